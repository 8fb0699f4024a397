//! A client that is the Detrix daemon.

use dap::Client;
use detrix_test_support::rows::WAIT;
use serde_json::{Value, json};

use crate::server::Drained;
use crate::server::backend::{Notice, Part, Placed, WrongExpressions};
use crate::server::fake::{Call, FakeServer, hit};

/// What the daemon says, as far as it matters here.
fn daemon(server: &FakeServer) -> Client {
    let mut client = server.target.connect();
    let name = json!({"clientId": "detrix", "adapterID": "rust"});
    client.call("initialize", name).unwrap();
    client.attach(json!({"pid": 1})).unwrap();
    client.call("configurationDone", Value::Null).unwrap();
    client
}

/// Has the debugger send `count` metrics, numbered, at once.
fn burst(server: &FakeServer, count: usize) {
    server.act(move |backend| {
        for number in 0..count {
            let parts = [Part::Text("DETRICS:m="), Part::Value(number.to_string())];
            backend.outlets[&1].log(&hit(&parts));
        }
    });
}

fn number(message: &Value) -> Option<usize> {
    let text = message["body"]["output"].as_str()?;
    let number = text.strip_prefix("[thread 42] DETRICS:m=").unwrap();
    Some(number.trim_end().parse().unwrap())
}

#[test]
fn it_is_known_by_either_spelling_of_its_name() {
    let server = FakeServer::start();
    for key in ["clientId", "clientID"] {
        let mut client = server.target.connect();
        client.call("initialize", json!({key: "detrix"})).unwrap();
    }
    let mut other = server.target.connect();
    other
        .call("initialize", json!({"clientID": "detrix2"}))
        .unwrap();
    let opened = |call: &Call| matches!(call, Call::Open(..));
    let mut calls = server.calls();
    calls.retain(opened);
    assert_eq!(
        calls,
        [
            Call::Open(1, WrongExpressions::Show),
            Call::Open(2, WrongExpressions::Show),
            Call::Open(3, WrongExpressions::Refuse),
        ]
    );
}

#[test]
fn a_hit_is_one_event_of_a_category_that_it_takes() {
    let server = FakeServer::start();
    let mut client = daemon(&server);
    server.act(|backend| {
        let value = |text: &str| Part::Value(text.to_owned());
        backend.outlets[&1].log(&hit(&[
            Part::Text("DETRICS:m="),
            value("\"a|b\\n\""),
            Part::Text("\u{1f}"),
            value("Some(1)"),
        ]));
    });
    assert_eq!(
        client.wait_event("output", WAIT).unwrap(),
        json!({
            "category": "console",
            "output": "[thread 42] DETRICS:m=\"a\\u007cb\\u000a\"\u{1f}\"Some(1)\"\n",
            "source": {"name": "main.rs", "path": "/src/main.rs"},
            "line": 7,
        })
    );
}

#[test]
fn what_the_debugger_says_is_no_output() {
    let server = FakeServer::start();
    let (mut client, mut other) = (daemon(&server), server.target.attach());
    let placed = Placed {
        id: 5,
        verified: true,
        line: Some(7),
        path: Some("/a.rs".to_owned()),
        ..Placed::default()
    };
    server.act(move |backend| {
        for outlet in backend.outlets.values() {
            outlet.send(Notice::Remark {
                about: placed.clone(),
                text: "overflow of the budget".to_owned(),
            });
            outlet.send(Notice::Console("panicked at x".to_owned()));
            outlet.log(&hit(&[Part::Text("DETRICS:m=1")]));
        }
    });
    let changed = client.wait_event("breakpoint", WAIT).unwrap();
    let source = json!({"name": "a.rs", "path": "/a.rs"});
    let breakpoint = json!({
        "id": 5, "verified": true, "message": "overflow of the budget", "line": 7, "source": source,
    });
    assert_eq!(
        changed,
        json!({"reason": "changed", "breakpoint": breakpoint})
    );
    // The first output is the hit.
    let text = client.next_output(WAIT).unwrap().output;
    assert_eq!(text, "[thread 42] DETRICS:m=1\n");
    // Others read it all, and the message as it was written.
    for text in [
        "overflow of the budget\n",
        "panicked at x\n",
        "DETRICS:m=1\n",
    ] {
        assert_eq!(other.next_output(WAIT).unwrap().output, text);
    }
}

#[test]
fn a_burst_is_spread_in_order_without_holding_up_answers() {
    const EVENTS: usize = 2000;
    let server = FakeServer::start();
    let mut client = daemon(&server);
    burst(&server, EVENTS);
    let threads = client.send("threads", Value::Null).unwrap();
    let (mut next, mut answered_at) = (0, None);
    while next < EVENTS {
        let message = client.next_message(WAIT).unwrap();
        match number(&message) {
            Some(number) => {
                assert_eq!(number, next);
                next += 1;
            }
            None if message["request_seq"] == threads => answered_at = Some(next),
            None => {}
        }
    }
    let answered_at = answered_at.expect("before the last event");
    assert!(answered_at < EVENTS, "{answered_at}");
    assert_eq!(server.stop(), Drained { undelivered: 0 });
}

#[test]
fn what_is_too_much_is_counted_and_told_of_its_logpoint() {
    const EVENTS: usize = 20_000;
    let server = FakeServer::start();
    let mut client = daemon(&server);
    burst(&server, EVENTS);
    // What was dropped is told at once, and what was kept comes in its time.
    let (mut received, mut lost) = (0, 0);
    while received + lost < EVENTS {
        let message = client.next_message(WAIT).unwrap();
        if number(&message).is_some() {
            received += 1;
        } else if message["event"] == "breakpoint" {
            let breakpoint = &message["body"]["breakpoint"];
            assert_eq!(
                (&breakpoint["id"], &breakpoint["verified"]),
                (&json!(1), &json!(true))
            );
            let text = breakpoint["message"].as_str().unwrap();
            let (count, _) = text.split_once(" events were dropped").unwrap();
            lost += count.parse::<usize>().unwrap();
        }
        // What it keeps of a megabyte takes seconds: enough was seen.
        if received > 1000 && lost > 0 {
            assert!(lost < EVENTS - 1000, "{lost}");
            return;
        }
    }
    panic!("{received} received, {lost} lost");
}

#[test]
fn at_the_end_it_gets_what_it_can_take_and_then_the_last_word() {
    const EVENTS: usize = 4000;
    let server = FakeServer::start();
    let mut client = daemon(&server);
    burst(&server, EVENTS);
    let Drained { undelivered } = server.stop();
    let mut received = 0;
    loop {
        let message = client.next_message(WAIT).unwrap();
        if message["event"] == "terminated" {
            break;
        }
        received += u64::from(message["event"] == "output");
    }
    assert!(client.next_message(WAIT).is_err(), "it was the last");
    // The hit that the debugger reports when it closes comes on top.
    assert_eq!(received + undelivered, EVENTS as u64 + 1);
    assert!(
        received >= 500 && undelivered > 0,
        "{received} and {undelivered}"
    );
}

#[test]
fn a_file_has_the_name_that_was_written_beside_the_path_that_was_made_of_it() {
    let server = FakeServer::start();
    let (mut client, mut other) = (daemon(&server), server.target.attach());
    for (name, path) in [("a.rs", "/base/a.rs"), ("/base/a.rs", "/base/a.rs")] {
        for client in [&mut client, &mut other] {
            let source = json!({"name": name, "path": path});
            client
                .call("setBreakpoints", json!({"source": source}))
                .unwrap();
        }
    }
    let calls = server.calls().into_iter();
    let files = calls.filter_map(|call| match call {
        Call::Set { session, file, .. } => Some((session, file.path, file.name)),
        _ => None,
    });
    let path = || "/base/a.rs".to_owned();
    let expected = [
        (1, path(), Some("a.rs".to_owned())),
        (2, path(), None),
        (1, path(), None),
        (2, path(), None),
    ];
    assert!(files.eq(expected));
}

#[test]
fn dropped_changes_are_told_by_a_change() {
    const CHANGES: u64 = 20_000;
    let server = FakeServer::start();
    let mut client = daemon(&server);
    server.act(|backend| {
        for _ in 0..CHANGES {
            backend.outlets[&1].send(Notice::BreakpointChanged(Placed {
                message: Some("x".repeat(200)),
                ..Placed::default()
            }));
        }
    });
    let (mut received, mut dropped) = (0, 0);
    while received + dropped < CHANGES {
        let body = client.wait_event("breakpoint", WAIT).unwrap();
        let text = body["breakpoint"]["message"].as_str().unwrap();
        match text.split_once(" events were dropped") {
            Some((count, _)) => dropped += count.parse::<u64>().unwrap(),
            None => received += 1,
        }
    }
    assert!(received > 1000 && dropped > 1000, "{received} {dropped}");
}
