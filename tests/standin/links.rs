//! The DAP side: handshake, breakpoints, the ends of links.

use std::thread;

use detrix_standin::{Ended, Options, Registrations, Standin, Status, call};
use detrix_test_support::until;
use serde_json::{Value, json};

use crate::adapter::{Adapter, Manner};
use crate::{Pair, delete, file, post, register, registration};

/// What the real daemon sends at first, but for the two file names of its toolchain.
const INITIALIZE: &str = r#"{"type":"request","seq":1,"command":"initialize","arguments":{"clientId":"detrix","clientName":"Detrix","adapterID":"rust","locale":"en-US","linesStartAt1":true,"columnsStartAt1":true,"pathFormat":"path"}}"#;
const ATTACH_AGAIN: &str = r#"{"type":"request","seq":2,"command":"attach","arguments":{"justMyCode":false,"subProcess":true,"redirectOutput":true}}"#;
const CONFIGURATION_DONE: &str = r#"{"type":"request","seq":3,"command":"configurationDone"}"#;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_handshake_is_the_daemons() {
    let pair = Pair::new();
    let requests = pair.adapter.requests();
    assert_eq!(requests[0], parsed(INITIALIZE));
    let attach = &requests[1];
    assert_eq!(attach["command"], "attach");
    assert_eq!(attach["arguments"]["pid"], 4711);
    assert_eq!(attach["arguments"]["stopOnEntry"], false);
    assert!(attach["arguments"]["initCommands"].is_array());
    assert_eq!(requests[2], parsed(CONFIGURATION_DONE));
    assert_eq!(requests.len(), 3);

    let standin = Standin::start(Options::default()).expect("a free port");
    let adapter = Adapter::start();
    let mut body = registration(adapter.port);
    body.as_object_mut().expect("an object").remove("pid");
    register(&standin, &body);
    assert_eq!(
        adapter.requests(),
        [INITIALIZE, ATTACH_AGAIN, CONFIGURATION_DONE].map(parsed)
    );
}

/// The registration is answered when the link is ready, and not before.
#[test]
fn the_answer_to_attach_is_waited_for() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let adapter = Adapter::start();
    adapter.set_manner("attach", Manner::Silent);
    thread::scope(|scope| {
        let answer = scope.spawn(|| register(&standin, &registration(adapter.port)));
        let attach = adapter.wait_for("attach");
        assert_eq!(standin.registrations_in_flight(), 1);
        assert!(!answer.is_finished());
        assert!(adapter.requests_of("configurationDone").is_empty());
        adapter.answer(&attach);
        answer.join().expect("it is answered");
    });
    assert_eq!(standin.registrations_in_flight(), 0);

    // Without a process id it is not.
    let mut body = registration(adapter.port);
    body.as_object_mut().expect("an object").remove("pid");
    body["name"] = json!("another");
    register(&standin, &body);
}

#[test]
fn who_hangs_up_ends_the_registration() {
    use std::io::Write;
    let standin = Standin::start(Options::default()).expect("a free port");
    let adapter = Adapter::start();
    standin.set_registrations(Registrations::Stalled);
    let address = standin.url().replace("http://", "");
    let mut client = std::net::TcpStream::connect(address).expect("it listens");
    let body = registration(adapter.port).to_string();
    write!(
        client,
        "POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    adapter.wait_for("configurationDone");
    assert_eq!(standin.registrations_in_flight(), 1);
    drop(client);
    until("the registration ends", || {
        standin.registrations_in_flight() == 0
    });
    let id = standin.connections()[0].id.clone();
    assert_eq!(standin.links(&id)[0].ended, Some(Ended::ByDaemon));
}

/// All logpoints of a file, in an order that changes, with several expressions in one message.
#[test]
fn breakpoints_of_a_file_come_as_a_whole() {
    let pair = Pair::new();
    let first = pair.metric("one", 1, &["a"]);
    let second = pair.metric("two", 2, &["b.c", "(d)"]);
    pair.metric("three", 3, &["e"]);
    pair.standin.remove_metric(first).expect("it is there");
    pair.standin.remove_metric(second).expect("it is there");
    let third = pair.metric("four", 4, &["f"]);
    pair.standin.remove_metric(third).expect("it is there");
    let requests = pair.adapter.requests_of("setBreakpoints");
    let lines: Vec<Vec<u64>> = requests
        .iter()
        .map(|request| {
            let breakpoints = request["arguments"]["breakpoints"].as_array();
            let lines = breakpoints.expect("a list").iter();
            lines
                .map(|one| one["line"].as_u64().expect("a line"))
                .collect()
        })
        .collect();
    let sorted: Vec<Vec<u64>> = lines
        .iter()
        .map(|lines| {
            let mut lines = lines.clone();
            lines.sort_unstable();
            lines
        })
        .collect();
    let expected: [&[u64]; 7] = [&[1], &[1, 2], &[1, 2, 3], &[2, 3], &[3], &[3, 4], &[3]];
    assert_eq!(sorted, expected);
    assert_ne!(sorted, lines, "in an order of its own");
    let source = json!({"path": file(), "name": file()});
    assert_eq!(requests[0]["arguments"]["source"], source);
    assert_eq!(requests[0]["arguments"]["sourceModified"], false);
    let message = |line: u64| {
        let breakpoints = requests[2]["arguments"]["breakpoints"].as_array();
        let found = breakpoints
            .expect("a list")
            .iter()
            .find(|one| one["line"] == line);
        found.expect("it is in the list")["logMessage"].clone()
    };
    assert_eq!(message(2), "DETRICS:two={b.c}\u{1f}{(d)}");
}

#[test]
fn the_last_metric_leaves_an_empty_list() {
    let pair = Pair::new();
    let metric = pair.metric("one", 1, &["a"]);
    pair.standin.remove_metric(metric).expect("it is there");
    let requests = pair.adapter.requests_of("setBreakpoints");
    assert_eq!(requests[1]["arguments"]["breakpoints"], json!([]));
}

#[test]
fn a_metric_without_a_link_is_kept_for_the_next() {
    let pair = Pair::new();
    pair.metric("one", 1, &["a"]);
    delete(&pair.standin, &format!("/api/v1/connections/{}", pair.id));
    let path = file();
    let path = path.to_str().expect("a path in UTF-8");
    let refusal = pair
        .standin
        .add_metric(&pair.id, "two", (path, 2), &["b"])
        .expect_err("there is no link");
    assert!(
        refusal.starts_with("500") && refusal.contains("No adapter found"),
        "{refusal}"
    );
    register(&pair.standin, &registration(pair.adapter.port));
    let requests = pair.adapter.requests_of("setBreakpoints");
    let counts: Vec<usize> = requests
        .iter()
        .filter_map(|request| request["arguments"]["breakpoints"].as_array())
        .map(Vec::len)
        .collect();
    assert_eq!(counts, [1, 2], "one more with each request");
}

/// Each is the end of the link, and the connection needs a new registration.
#[test]
fn what_cannot_be_parsed_ends_the_link() {
    let messages = [
        "{",
        "[]",
        r#"{"seq":1,"event":"output"}"#,
        r#"{"seq":1,"type":"chat"}"#,
        r#"{"type":"event","event":"output","body":{}}"#,
        r#"{"seq":"1","type":"event","event":"output"}"#,
        r#"{"seq":1.5,"type":"event","event":"output"}"#,
        r#"{"seq":1,"type":"event","body":{}}"#,
        r#"{"seq":1,"type":"response","command":"x","success":true}"#,
        r#"{"seq":1,"type":"response","request_seq":1,"success":true}"#,
        r#"{"seq":1,"type":"response","request_seq":1,"command":"x"}"#,
        r#"{"seq":1,"type":"response","request_seq":1,"command":"x","success":false,"message":7}"#,
    ];
    let pair = Pair::new();
    for (index, message) in messages.iter().enumerate() {
        pair.adapter.raw(message);
        ends(&pair, index, &format!("{message:?}"), |ended| {
            matches!(ended, Ended::Unparsable(_))
        });
        register(&pair.standin, &registration(pair.adapter.port));
    }
    // A header in other letters is none, whatever follows.
    let body = r#"{"seq":1,"type":"event","event":"other"}"#;
    let frame = format!("content-length: {}\r\n\r\n{body}", body.len());
    pair.adapter.bytes(frame.as_bytes());
    ends(&pair, messages.len(), "lower case", |ended| {
        matches!(ended, Ended::Unparsable(_))
    });
}

#[test]
fn what_is_only_odd_does_not() {
    let pair = Pair::new();
    pair.metric("m", 1, &["x"]);
    pair.adapter
        .raw(r#"{"seq":0,"type":"event","event":"somethingNew","extra":1}"#);
    pair.adapter
        .raw(r#"{"seq":0,"type":"request","command":"runInTerminal"}"#);
    pair.adapter.bytes(b"Other: header\r\nContent-Length: 45\r\n\r\n{\"seq\":0,\"type\":\"event\",\"event\":\"breakpoint\"}");
    until("all of it is read", || {
        !pair.standin.links(&pair.id)[0].breakpoint_events.is_empty()
    });
    assert_eq!(pair.standin.links(&pair.id)[0].ended, None);
}

#[test]
fn the_end_of_the_program_ends_the_link() {
    let pair = Pair::new();
    for (index, event) in ["terminated", "exited"].iter().enumerate() {
        pair.adapter.event(event, json!({}));
        ends(&pair, index, event, |ended| *ended == Ended::Terminated);
        register(&pair.standin, &registration(pair.adapter.port));
    }
    pair.adapter.close();
    ends(&pair, 2, "closed", |ended| *ended == Ended::ByPeer);
    assert_eq!(
        pair.adapter.connections(),
        3,
        "and nothing dials again by itself"
    );
}

fn ends(pair: &Pair, index: usize, what: &str, as_expected: impl Fn(&Ended) -> bool) {
    let mut ended = None;
    until(what, || {
        ended = pair.standin.links(&pair.id)[index].ended.clone();
        let row = pair.standin.connection(&pair.id).expect("the row stays");
        ended.is_some() && row.status == Status::Disconnected
    });
    assert!(ended.as_ref().is_some_and(as_expected), "{what}: {ended:?}");
}

#[test]
fn a_restart_dials_what_is_stored() {
    let mut pair = Pair::new();
    pair.metric("one", 1, &["a"]);
    pair.metric("two", 2, &["b"]);
    pair.standin.restart().expect("its port is free again");
    until("the link is back", || {
        let row = pair.standin.connection(&pair.id).expect("stored");
        row.status == Status::Connected
    });
    let requests = pair.adapter.requests();
    assert_eq!(pair.adapter.connections(), 2);
    assert_eq!(
        requests[..3],
        [INITIALIZE, ATTACH_AGAIN, CONFIGURATION_DONE].map(parsed)
    );
    assert_eq!(
        requests[3]["arguments"]["breakpoints"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        requests[4]["arguments"]["breakpoints"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert!(pair.adapter.requests_of("disconnect").is_empty());
}

#[test]
fn nothing_listens_while_it_is_away() {
    let mut pair = Pair::new();
    let url = format!("{}/health", pair.standin.url());
    let during = pair.standin.away(|| call("GET", &url, None, None));
    assert!(during.expect("its port is free again").is_err());
    assert!(call("GET", &url, None, None).is_ok());
}

#[test]
fn a_second_link_takes_over_from_the_first() {
    let pair = Pair::new();
    pair.standin
        .dial_again(&pair.id)
        .expect("the adapter is there");
    assert_eq!(pair.adapter.connections(), 2);
    assert_eq!(pair.adapter.requests()[1], parsed(ATTACH_AGAIN));
    let links = pair.standin.links(&pair.id);
    assert_eq!(links[0].ended, Some(Ended::ByDaemon));
    assert_eq!(links[1].ended, None);
    let row = pair.standin.connection(&pair.id).expect("stored");
    assert_eq!(row.status, Status::Connected);
    // A handshake that fails leaves the first alone.
    pair.adapter.set_manner("initialize", Manner::Refuses);
    let reply = post(&pair.standin, "/api/v1/connections", &{
        let mut other = registration(pair.adapter.port);
        other["name"] = json!("other");
        other
    });
    assert_eq!(reply.status, 500, "{}", reply.body);
    assert_eq!(pair.standin.links(&pair.id)[1].ended, None);
}
