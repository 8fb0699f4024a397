//! The sessions over real sockets, with a debugger that is made up.

mod daemon;
mod service;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dap::{Client, ClientError, SourceMap};
use detrix_test_support::rows::{self, WAIT};
use serde_json::{Value, json};

use super::backend::{NamedFile, Notice, Part, Placed, Wanted, WrongExpressions::Refuse};
use super::fake::{Call, FakeServer, hit};
use super::{MAX_CLIENTS, MAX_REFUSALS};

/// Runs the conversations that need nothing but a server.
macro_rules! conversations {
    ($($row:ident)*) => {
        $(#[test]
        fn $row() {
            rows::$row(&FakeServer::start().target);
        })*
    };
}

detrix_test_support::each_row!(conversations);

fn wanted(line: u64, message: &str) -> Wanted {
    Wanted {
        line,
        column: None,
        condition: None,
        hit_condition: None,
        log_message: Some(message.to_owned()),
        limits: dap::Limits::default(),
    }
}

fn file(path: &str) -> NamedFile {
    NamedFile {
        path: path.to_owned(),
        name: None,
    }
}

fn set(session: u64, path: &str, wanted: Vec<Wanted>) -> Call {
    Call::Set {
        session,
        file: file(path),
        source_map: SourceMap::default(),
        wanted,
    }
}

#[test]
fn row_01_requests_before_initialize_are_refused() {
    let server = FakeServer::start();
    let mut client = server.target.connect();
    for command in ["threads", "attach", "setBreakpoints", "nonsense"] {
        let arguments = json!({"source": {"path": "/a.rs"}});
        assert!(!client.request(command, arguments).unwrap().success);
    }
    assert_eq!(server.calls(), []);
    client.initialize().unwrap();
    let again = client.request("initialize", Value::Null).unwrap();
    let reason = again.message.as_deref();
    assert_eq!(reason, Some("the session is initialized already"));
    assert_eq!(server.calls(), [Call::Open(1, Refuse)]);
}

#[test]
fn a_pause_is_refused_with_a_word_for_the_user() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    let refused = client.request("pause", json!({"threadId": 1})).unwrap();
    let message = refused.message.unwrap_or_default();
    assert!(
        !refused.success && message.contains("set a logpoint"),
        "{message}"
    );
}

#[test]
fn row_03_the_backend_gets_the_whole_list() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    let breakpoints = json!([
        {"line": 7, "column": 3, "condition": "a", "hitCondition": "> 3", "logMessage": "x"},
        {"line": 9, "condition": "", "hitCondition": "", "logMessage": "", "unknown": 5},
    ]);
    let source = json!({"path": "/a.rs"});
    let arguments = json!({"source": source, "breakpoints": breakpoints});
    client.call("setBreakpoints", arguments).unwrap();
    client
        .call("setBreakpoints", json!({"source": source}))
        .unwrap();
    let full = Wanted {
        column: Some(3),
        condition: Some("a".to_owned()),
        hit_condition: Some("> 3".to_owned()),
        ..wanted(7, "x")
    };
    let bare = Wanted {
        log_message: None,
        ..wanted(9, "")
    };
    let expected = [
        Call::Open(1, Refuse),
        set(1, "/a.rs", vec![full, bare]),
        set(1, "/a.rs", vec![]),
    ];
    assert_eq!(server.calls(), expected);
}

#[test]
fn row_06_breakpoint_changed() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    server.act(|backend| {
        backend.outlets[&1].send(Notice::BreakpointChanged(Placed {
            id: 5,
            verified: true,
            line: Some(7),
            path: Some("/a.rs".to_owned()),
            ..Placed::default()
        }));
    });
    let body = client.wait_event("breakpoint", WAIT).unwrap();
    let breakpoint =
        json!({"id": 5, "verified": true, "line": 7, "source": {"name": "a.rs", "path": "/a.rs"}});
    assert_eq!(body, json!({"reason": "changed", "breakpoint": breakpoint}));
}

#[test]
fn row_23_terminated_when_the_server_ends() {
    let server = FakeServer::start();
    let target = server.target.clone();
    rows::row_23_terminated_when_the_server_ends(&target, || {
        let mut served = target.attach();
        server.stop();
        assert_eq!(served.wait_event("terminated", WAIT).unwrap(), Value::Null);
    });
    assert!(matches!(
        Client::connect(target.address),
        Err(ClientError::Io(_))
    ));
}

#[test]
fn row_24_closed_before_disconnect_is_answered() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    client.call("disconnect", Value::Null).unwrap();
    assert_eq!(server.calls(), [Call::Open(1, Refuse), Call::Close(1)]);
    // What was hit until then is not lost, and comes before the answer.
    assert_eq!(client.next_output(WAIT).unwrap().output, "the last hit\n");
    assert!(matches!(
        client.next_message(WAIT),
        Err(ClientError::Closed)
    ));
    let mut client = server.target.attach();
    client.finish().unwrap();
    assert_eq!(
        [server.next_call(), server.next_call()],
        [Call::Open(2, Refuse), Call::Close(2)]
    );
    client.next_output(WAIT).unwrap();
    assert!(matches!(
        client.next_message(WAIT),
        Err(ClientError::Closed)
    ));
}

#[test]
fn row_24_the_answer_to_disconnect_survives_what_follows_it() {
    let server = FakeServer::start();
    let mut stream = TcpStream::connect(server.target.address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let mut writing = stream.try_clone().unwrap();
    // On the server's thread, so that it does not read before all is there.
    server.act(move |_| {
        let tail = vec![b' '; 60_000];
        let requests = [framed("initialize", 1), framed("disconnect", 2), tail];
        writing.write_all(&requests.concat()).unwrap();
    });
    let mut answers = String::new();
    // The stream ends before the bytes that nobody reads make the connection reset.
    stream.read_to_string(&mut answers).unwrap();
    assert!(answers.contains("\"command\":\"disconnect\""), "{answers}");
}

#[test]
fn row_24_closed_when_the_client_vanishes() {
    let server = FakeServer::start();
    let mut stream = TcpStream::connect(server.target.address).unwrap();
    stream.write_all(&framed("initialize", 1)).unwrap();
    stream.peek(&mut [0]).unwrap();
    // What was not read makes this a reset.
    drop(stream);
    assert_eq!(
        [server.next_call(), server.next_call()],
        [Call::Open(1, Refuse), Call::Close(1)]
    );
}

#[test]
fn row_24_closed_when_the_protocol_is_broken() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    client.send_bytes(b"nonsense\r\n").unwrap();
    assert_eq!(
        [server.next_call(), server.next_call()],
        [Call::Open(1, Refuse), Call::Close(1)]
    );
    client.next_output(WAIT).unwrap();
    assert!(matches!(
        client.next_message(WAIT),
        Err(ClientError::Closed)
    ));
}

#[test]
fn row_26_paths() {
    let server = FakeServer::start();
    let path = "/src/a b/ü & #1/%20.rs";
    let mut client = server.target.attach();
    let source = client.set_logpoints(path, &[(7, "x")]).unwrap()[0]
        .source
        .clone()
        .unwrap();
    assert_eq!(
        (source.name.as_deref(), source.path.as_deref()),
        (Some("%20.rs"), Some(path))
    );
    assert_eq!(
        server.calls(),
        [Call::Open(1, Refuse), set(1, path, vec![wanted(7, "x")])]
    );

    let mut client = server.target.connect();
    client
        .call("initialize", json!({"pathFormat": "uri"}))
        .unwrap();
    let uri = "file:///src/a%20b/%C3%BC%20%26%20%231/%2520.rs";
    let source = client.set_logpoints(uri, &[(7, "x")]).unwrap()[0]
        .source
        .clone()
        .unwrap();
    assert_eq!(source.path.as_deref(), Some(uri));
    assert_eq!(
        server.calls(),
        [Call::Open(2, Refuse), set(2, path, vec![wanted(7, "x")])]
    );
}

#[test]
fn a_source_map_reaches_the_backend_however_late_it_comes() {
    let server = FakeServer::start();
    let mut client = server.target.connect();
    client.initialize().unwrap();
    client.set_logpoints("/home/a.rs", &[(7, "x")]).unwrap();
    client
        .attach(json!({"sourceMap": [["/build", "/home"]]}))
        .unwrap();
    let change = client.wait_event("breakpoint", WAIT).unwrap();
    assert_eq!(change["breakpoint"]["source"]["path"], "/home/a.rs");
    client.set_logpoints("/home/b.rs", &[(9, "y")]).unwrap();
    let mapped = |path: &str, line, message| Call::Set {
        session: 1,
        file: file(path),
        source_map: serde_json::from_value(json!({"/build": "/home"})).unwrap(),
        wanted: vec![wanted(line, message)],
    };
    let expected = [
        Call::Open(1, Refuse),
        set(1, "/home/a.rs", vec![wanted(7, "x")]),
        mapped("/home/a.rs", 7, "x"),
        mapped("/home/b.rs", 9, "y"),
    ];
    assert_eq!(server.calls(), expected);
    let refused = client.attach(json!({"sourceMap": "x"}));
    assert!(
        matches!(refused, Err(ClientError::Refused { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_there_is_no_room_for_is_answered_and_not_kept() {
    let server = FakeServer::start();
    let mut client = server.target.connect();
    client.initialize().unwrap();
    let lines = |count| json!({"source": {"path": "/a.rs"}, "lines": vec![9; count]});
    let answer = client.call("setBreakpoints", lines(10_200)).unwrap();
    let answered = answer["breakpoints"].as_array().unwrap();
    assert_eq!(answered.len(), 10_200);
    assert_eq!(answered[0]["source"]["path"], "/a.rs");
    let message = |index: usize| answered[index]["message"].as_str().unwrap();
    assert_eq!(message(9_999), "not here");
    assert!(message(10_000).starts_with("not set: a request sets 10000 breakpoints"));
    let bare = Wanted {
        log_message: None,
        ..wanted(9, "")
    };
    let kept = set(1, "/a.rs", vec![bare; 10_000]);
    assert_eq!(server.calls(), [Call::Open(1, Refuse), kept]);
    // What would make it hundreds of megabytes is left out.
    let path = "\u{1}".repeat(4_096);
    let none = json!({"source": {"path": path}, "lines": vec![0; 20_000]});
    let answer = client.call("setBreakpoints", none).unwrap();
    let answered = answer["breakpoints"].as_array().unwrap();
    assert_eq!(answered.len(), 20_000);
    assert!(answered.iter().all(|answer| answer["source"].is_null()));
    for (arguments, why) in [
        (lines(20_001), "the request has 20001 breakpoints"),
        (
            json!({"source": {"path": "x".repeat(4_097)}}),
            "the source's path or name has 4097 bytes",
        ),
    ] {
        let refused = client.request("setBreakpoints", arguments).unwrap();
        let message = refused.message.unwrap_or_default();
        assert!(!refused.success && message.starts_with(why), "{message}");
    }
    let directory = "x".repeat(3 << 20);
    let map = json!({"sourceMap": [[directory, "/home"]]});
    // Each file keeps the map that it was set with.
    client.attach(map.clone()).unwrap();
    client.attach(map.clone()).unwrap();
    match client.attach(map) {
        Err(ClientError::Refused { message, .. }) => {
            assert!(message.starts_with("the source map is too long"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_without_breakpoints_are_forgotten_before_attach() {
    let server = FakeServer::start();
    let mut client = server.target.connect();
    client.initialize().unwrap();
    client.set_logpoints("/a.rs", &[(7, "x")]).unwrap();
    client.set_logpoints("/a.rs", &[]).unwrap();
    client.attach(json!({"hitLimit": 5})).unwrap();
    let expected = [
        Call::Open(1, Refuse),
        set(1, "/a.rs", vec![wanted(7, "x")]),
        set(1, "/a.rs", vec![]),
    ];
    assert_eq!(server.calls(), expected);
}

#[test]
fn a_client_that_does_not_read_loses_events_and_is_told() {
    const EVENTS: u64 = 30_000;
    let server = FakeServer::start();
    let mut slow = server.target.attach();
    server.act(|backend| {
        for number in 0..EVENTS {
            let text = format!("{number} {}", "x".repeat(200));
            backend.outlets[&1].log(&hit(&[Part::Value(text)]));
        }
    });
    // Others are served meanwhile, and so are its own requests, once it reads.
    let mut other = server.target.attach();
    other.call("threads", Value::Null).unwrap();
    let threads = slow.send("threads", Value::Null).unwrap();
    let (mut received, mut lost, mut answered) = (0, 0, false);
    while received + lost < EVENTS || !answered {
        let message = slow.next_message(WAIT).unwrap();
        let text = message["body"]["output"].as_str().unwrap_or_default();
        match text.split_once(" events were dropped") {
            Some((count, _)) => lost += count.parse::<u64>().unwrap(),
            None if text.is_empty() => answered |= message["request_seq"] == threads,
            None => received += 1,
        }
    }
    assert_eq!(received + lost, EVENTS);
    assert!(
        received > 1000 && lost > 1000,
        "{received} received, {lost} lost"
    );
}

#[test]
fn a_client_that_never_reads_can_disconnect() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    server.act(|backend| {
        for _ in 0..2000 {
            backend.outlets[&1].log(&hit(&[Part::Value("x".repeat(1000))]));
        }
    });
    client.send("disconnect", Value::Null).unwrap();
    assert_eq!(
        [server.next_call(), server.next_call()],
        [Call::Open(1, Refuse), Call::Close(1)]
    );
}

#[test]
fn too_many_clients_are_told_so() {
    let server = FakeServer::start();
    let clients: Vec<Client> = (0..MAX_CLIENTS).map(|_| server.target.attach()).collect();
    let mut refused = server.target.connect();
    match refused.initialize() {
        Err(ClientError::Refused { message, .. }) => {
            assert!(message.starts_with("64 debug clients"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        refused.next_message(WAIT),
        Err(ClientError::Closed)
    ));
    let silent: Vec<Client> = (0..MAX_REFUSALS).map(|_| server.target.connect()).collect();
    let mut beyond = server.target.connect();
    let nothing = beyond.next_message(WAIT / 2);
    assert!(matches!(nothing, Err(ClientError::Closed)), "{nothing:?}");
    drop((clients, silent));
    let deadline = Instant::now() + WAIT;
    while server.target.connect().initialize().is_err() {
        assert!(Instant::now() < deadline, "no seat was given back");
    }
}

#[test]
fn connections_that_are_not_used_make_room() {
    let server = FakeServer::start();
    let mut attached = server.target.attach();
    let silent: Vec<Client> = (0..MAX_CLIENTS).map(|_| server.target.connect()).collect();
    let mut others: Vec<Client> = (1..MAX_CLIENTS).map(|_| server.target.attach()).collect();
    for mut client in silent {
        let left = client.next_message(WAIT);
        assert!(matches!(left, Err(ClientError::Closed)), "{left:?}");
    }
    for client in others.iter_mut().chain([&mut attached]) {
        client.call("threads", Value::Null).unwrap();
    }
    assert!(server.target.connect().initialize().is_err());
}

#[test]
fn a_client_that_does_not_initialize_its_session_is_not_waited_for() {
    let server = FakeServer::start();
    let mut attached = server.target.attach();
    let mut silent = server.target.connect();
    let early = silent.request("threads", Value::Null).unwrap();
    assert!(!early.success);
    server.act(|_| {
        tokio::time::pause();
        tokio::task::spawn_local(async {
            tokio::time::advance(Duration::from_secs(30)).await;
            tokio::time::resume();
        });
    });
    let left = silent.next_message(WAIT);
    assert!(matches!(left, Err(ClientError::Closed)), "{left:?}");
    attached.call("threads", Value::Null).unwrap();
}

#[test]
fn requests_of_a_client_that_does_not_read_are_left_in_the_socket() {
    let server = FakeServer::start();
    let (mut stream, requests) = clogged(&server);
    let mut decoder = dap::Decoder::default();
    let mut chunk = [0; 64 << 10];
    let mut answered = 0;
    while answered < requests {
        let length = stream.read(&mut chunk).unwrap();
        assert!(length > 0, "{answered} of {requests} answered");
        decoder.push(&chunk[..length]);
        while decoder.next_message().unwrap().is_some() {
            answered += 1;
        }
    }
}

#[test]
fn a_client_that_never_reads_does_not_delay_the_end() {
    let server = FakeServer::start();
    let _clogged = clogged(&server);
    server.stop();
}

/// A client that has written requests until the server takes no more, and how many were whole.
fn clogged(server: &FakeServer) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(server.target.address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let patience = Duration::from_millis(300);
    stream.set_write_timeout(Some(patience)).unwrap();
    let request = framed(&"x".repeat(50_000), 1);
    let (mut requests, mut sent) = (0, 0);
    while let Ok(length) = stream.write(&request[sent..]) {
        sent += length;
        if sent == request.len() {
            (requests, sent) = (requests + 1, 0);
        }
        assert!(requests < 10_000, "the server takes requests without end");
    }
    (stream, requests)
}

fn framed(command: &str, seq: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let message = json!({"seq": seq, "type": "request", "command": command});
    dap::frame(&[message.to_string().as_bytes()], &mut bytes);
    bytes
}

#[test]
fn clients_that_left_before_they_were_served_take_no_seats() {
    let server = FakeServer::start();
    let address = server.target.address;
    for _ in 0..20 {
        // Meanwhile the server's thread is held up, so that all of them wait to be accepted.
        server.act(move |_| {
            for _ in 0..MAX_CLIENTS {
                drop(TcpStream::connect(address).unwrap());
            }
        });
        let mut client = server.target.connect();
        client.initialize().unwrap();
    }
}
