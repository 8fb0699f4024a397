//! Who is let in, who is there, what is written down, and how it ends.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use dap::ClientError;
use detrix_test_support::rows::WAIT;
use serde_json::{Value, json};

use crate::server::Drained;
use crate::server::backend::Part;
use crate::server::fake::{FakeServer, hit};

/// A user that nothing belongs to.
const OTHER: u32 = 12345;

/// Counts the bytes that another user is sent who connects and asks for something; none without the right to be another
/// user.
fn bytes_for_another_user(server: &FakeServer) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        detrix_test_support::skip("a_connection_of_another_user");
        return None;
    }
    let port = server.target.address.port();
    let body = r#"{"seq":1,"type":"request","command":"initialize"}"#;
    let request = format!("Content-Length: {}\\r\\n\\r\\n{body}", body.len());
    let script = format!(
        "trap '' PIPE; exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3 2>/dev/null; head -c 1 <&3 2>/dev/null | wc -c"
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .uid(OTHER)
        .gid(OTHER)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn another_user_gets_no_byte() {
    let server = FakeServer::start();
    let Some(bytes) = bytes_for_another_user(&server) else {
        return;
    };
    assert_eq!(bytes, "0");
    assert_eq!(server.calls(), []);
    let told = server.audit.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("WARN debug client refused: user 12345 is neither"),
        "{told:?}"
    );
    // The own user is served.
    server.target.attach();
}

#[test]
fn another_user_is_served_where_it_is_listed() {
    for entry in ["uid:12345", "127.0.0.0/8"] {
        let server = FakeServer::start_at("127.0.0.1", &[entry]);
        let Some(bytes) = bytes_for_another_user(&server) else {
            return;
        };
        assert_eq!(bytes, "1", "{entry}");
        let user = match entry {
            "uid:12345" => "uid=12345",
            // It was not looked for.
            _ => "peer=127.0.0.1",
        };
        assert!(server.audit.take()[0].contains(user));
    }
}

#[test]
fn clients_are_counted_while_they_are_there() {
    let server = FakeServer::start();
    let silent = server.target.connect();
    let mut client = server.target.attach();
    assert_eq!((server.clients.count(), server.clients.daemons()), (1, 0));
    let mut daemon = server.target.connect();
    daemon
        .call("initialize", json!({"clientId": "detrix"}))
        .unwrap();
    assert_eq!((server.clients.count(), server.clients.daemons()), (2, 1));
    client.call("disconnect", Value::Null).unwrap();
    assert_eq!((server.clients.count(), server.clients.daemons()), (1, 1));
    drop((daemon, silent));
    let deadline = Instant::now() + WAIT;
    while server.clients.count() > 0 {
        assert!(Instant::now() < deadline, "nobody has noticed");
        std::thread::yield_now();
    }
}

#[test]
fn the_audit_trail_has_who_did_what() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    let bad = server.target.bad_line;
    client
        .set_logpoints("/a.rs", &[(7, "x"), (bad, "y")])
        .unwrap();
    client.set_logpoints("/a.rs", &[(9, "z")]).unwrap();
    client.call("disconnect", Value::Null).unwrap();
    let told = server.audit.take();
    let peer = client.local_address().unwrap();
    let user = nix::unistd::geteuid();
    let who = format!(r#"session=1 peer={peer} uid={user} client="detrix-dap""#);
    let expected = [
        format!("INFO debug client attached {who}"),
        format!(r#"INFO logpoint set {who} file="/a.rs" line=7 log_message="x""#),
        format!(r#"INFO logpoint removed {who} file="/a.rs" line=7 log_message="x""#),
        format!(r#"INFO logpoint set {who} file="/a.rs" line=9 log_message="z""#),
        format!(r#"INFO logpoint removed {who} file="/a.rs" line=9 log_message="z""#),
        format!("INFO debug client detached {who}"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn at_the_end_all_that_was_recorded_is_written() {
    const EVENTS: u64 = 3000;
    let server = FakeServer::start();
    let mut client = server.target.attach();
    server.act(|backend| {
        for number in 0..EVENTS {
            backend.outlets[&1].log(&hit(&[Part::Value(number.to_string())]));
        }
    });
    let reader = std::thread::spawn(move || {
        let mut outputs = 0;
        loop {
            match client.next_message(WAIT) {
                Ok(message) => outputs += u64::from(message["event"] == "output"),
                Err(ClientError::Closed) => return outputs,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(server.stop(), Drained { undelivered: 0 });
    // The debugger's last hit as well.
    assert_eq!(reader.join().unwrap(), EVENTS + 1);
}

#[test]
fn at_the_end_there_is_room_for_what_comes_at_once() {
    // More than waits for a client at other times, and less than the sockets hold.
    const EVENTS: usize = 8000;
    let server = FakeServer::start();
    let mut client = server.target.attach();
    server.act(|backend| backend.last_hits = EVENTS);
    assert_eq!(server.stop(), Drained { undelivered: 0 });
    let messages = std::iter::from_fn(|| client.next_message(WAIT).ok());
    let outputs = messages.filter(|message| message["body"]["output"] == "the last hit\n");
    assert_eq!(outputs.count(), EVENTS);
}

#[test]
fn at_the_end_what_a_client_does_not_read_is_counted() {
    let server = FakeServer::start();
    let mut client = server.target.attach();
    let unsent = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        server.act(move |backend| sender.send(backend.outlets[&1].unsent()).unwrap());
        receiver.recv().unwrap()
    };
    let (mut events, mut turns) = (0, 0);
    // Until the sockets hold no more: nothing was taken in many turns of the server.
    while turns < 200 {
        if unsent() > 0 {
            turns += 1;
            continue;
        }
        turns = 0;
        events += 500;
        server.act(|backend| {
            for _ in 0..500 {
                let text = "x".repeat(1000);
                backend.outlets[&1].log(&hit(&[Part::Value(text)]));
            }
        });
    }
    let Drained { undelivered } = server.stop();
    // What the sockets held can still be read.
    let (mut outputs, mut dropped) = (0, 0);
    while let Ok(message) = client.next_message(WAIT) {
        let text = message["body"]["output"].as_str().unwrap_or_default();
        match text.split_once(" events were dropped") {
            Some((count, _)) => dropped += count.parse::<u64>().unwrap(),
            None => outputs += u64::from(text.starts_with('x')),
        }
    }
    // Of the batch that was begun all counts, though the client got some.
    let sum = outputs + dropped + undelivered;
    assert!(
        sum >= events && sum <= events + 100,
        "{outputs} {dropped} {undelivered} of {events}"
    );
    assert!(undelivered > 0, "{undelivered}");
}
