//! Conversations with a DAP server, one for each row of the list of behaviours that servers get wrong. They run against
//! any server: the session layer with a debugger that is made up, and the whole library in a real program.

use std::net::SocketAddr;
use std::time::Duration;

use dap::{Client, ClientError};
use serde_json::{Value, json};

use crate::{Received, watch, watch_and_keep};

/// Calls a macro with the names of all conversations that need nothing but a server.
#[macro_export]
macro_rules! each_row {
    ($call:ident) => {
        $call! {
            row_01_nothing_before_initialize
            row_02_attach_is_answered_at_once
            row_03_set_breakpoints_replaces
            row_04_ids_stay
            row_05_order_and_length
            row_08_empty_log_message_is_a_breakpoint
            row_12_output
            row_16_seq_rises_from_one
            row_17_errors_leave_the_connection
            row_18_frames
            row_18_http_is_closed_at_once
            row_19_lines_from_zero_and_uris
            row_20_disconnect_leaves_the_program_running
            row_21_several_clients
            row_22_cancel
            row_27_no_arguments
        }
    };
}

/// How long anything may take that must happen.
pub const WAIT: Duration = Duration::from_secs(60);

/// A server, and what is known of the program behind it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// A file of the program, absolute, as its debug information has it.
    pub path: String,
    /// Two lines in it that have code of their own and run again and again.
    pub lines: [u64; 2],
    /// A line in it that cannot have a logpoint.
    pub bad_line: u64,
}

impl Target {
    /// A client that checks every message against the schema.
    pub fn connect(&self) -> Client {
        let mut client = Client::connect(self.address).unwrap();
        watch(&mut client);
        client
    }

    /// A client that is past `attach` and `configurationDone`.
    pub fn attach(&self) -> Client {
        let mut client = self.connect();
        handshake(&mut client);
        client
    }

    /// As [`Target::attach`], with all that it receives.
    fn attach_and_keep(&self) -> (Client, Received) {
        let mut client = Client::connect(self.address).unwrap();
        let received = watch_and_keep(&mut client);
        handshake(&mut client);
        (client, received)
    }

    fn source(&self) -> Value {
        json!({"path": self.path})
    }
}

fn handshake(client: &mut Client) {
    client.initialize().unwrap();
    client.wait_event("initialized", WAIT).unwrap();
    client.attach(json!({})).unwrap();
    client.call("configurationDone", Value::Null).unwrap();
}

/// Waits until a logpoint says `text`; what others say before is passed over.
fn until_output(client: &mut Client, text: &str) {
    while client.next_output(WAIT).unwrap().output.trim_end() != text {}
}

/// Asserts that logpoints have said nothing but `text` since the last answer but `back` to a `setBreakpoints`.
fn only(received: &Received, back: usize, text: &str) {
    let messages = received.messages();
    let answers: Vec<usize> = (0..messages.len())
        .filter(|&index| messages[index]["command"] == "setBreakpoints")
        .collect();
    for message in &messages[answers[answers.len() - 1 - back]..] {
        if message["event"] == "output" {
            let said = message["body"]["output"].as_str().unwrap();
            assert_eq!(said.trim_end(), text);
        }
    }
}

fn framed(message: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    dap::frame(&[message.to_string().as_bytes()], &mut bytes);
    bytes
}

fn request(seq: i64, command: &str) -> Vec<u8> {
    framed(&json!({"seq": seq, "type": "request", "command": command}))
}

/// Reads until the server closes, and gives what came.
fn until_closed(client: &mut Client) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        match client.next_message(WAIT) {
            Ok(message) => messages.push(message),
            Err(ClientError::Closed) => return messages,
            Err(error) => panic!("{error} after {messages:?}"),
        }
    }
}

/// Row 1: nothing before initialize.
pub fn row_01_nothing_before_initialize(target: &Target) {
    let mut client = target.connect();
    let pipelined = [
        request(1, "initialize"),
        request(2, "attach"),
        request(3, "threads"),
    ];
    client.send_bytes(&pipelined.concat()).unwrap();
    let first = client.next_message(WAIT).unwrap();
    assert_eq!(
        (&first["type"], &first["request_seq"]),
        (&json!("response"), &json!(1))
    );
    assert_eq!(client.next_message(WAIT).unwrap()["event"], "initialized");
    assert!(client.wait_reply(2, WAIT).unwrap().success);
    assert!(client.wait_reply(3, WAIT).unwrap().success);
}

/// Row 2: attach is answered at once.
pub fn row_02_attach_is_answered_at_once(target: &Target) {
    // `configurationDone` never.
    let mut client = target.connect();
    client.initialize().unwrap();
    client.wait_event("initialized", WAIT).unwrap();
    client.attach(json!({})).unwrap();
    let set = client
        .set_logpoints(&target.path, &[(target.lines[0], "x")])
        .unwrap();
    assert!(set[0].verified, "{set:?}");
    // Before `attach`, and both without waiting.
    let mut client = target.connect();
    client.initialize().unwrap();
    let done = client.send("configurationDone", Value::Null).unwrap();
    let attach = client
        .send("attach", json!({"stopOnEntry": false}))
        .unwrap();
    assert!(client.wait_reply(attach, WAIT).unwrap().success);
    assert!(client.wait_reply(done, WAIT).unwrap().success);
}

/// Row 3: set breakpoints replaces.
pub fn row_03_set_breakpoints_replaces(target: &Target) {
    let (mut client, received) = target.attach_and_keep();
    let [first, second] = target.lines;
    let set = client
        .set_logpoints(&target.path, &[(first, "old"), (second, "old too")])
        .unwrap();
    assert_eq!(set.len(), 2);
    until_output(&mut client, "old");
    client
        .set_logpoints(&target.path, &[(second, "new")])
        .unwrap();
    until_output(&mut client, "new");
    only(&received, 0, "new");
    for none in [
        json!({"source": target.source(), "breakpoints": []}),
        json!({"source": target.source()}),
        json!({"source": target.source(), "breakpoints": null}),
    ] {
        client
            .set_logpoints(&target.path, &[(first, "cleared")])
            .unwrap();
        until_output(&mut client, "cleared");
        let body = client.call("setBreakpoints", none).unwrap();
        assert_eq!(body, json!({"breakpoints": []}));
        // Where this line logs, the program was at the other one again.
        client
            .set_logpoints(&target.path, &[(second, "alive")])
            .unwrap();
        until_output(&mut client, "alive");
        only(&received, 1, "alive");
    }
}

/// Row 4: ids stay, and what is said changes in place.
pub fn row_04_ids_stay(target: &Target) {
    let (mut client, received) = target.attach_and_keep();
    let [first, second] = target.lines;
    let set = client
        .set_logpoints(&target.path, &[(first, "x"), (second, "y")])
        .unwrap();
    until_output(&mut client, "y");
    let again = client
        .set_logpoints(&target.path, &[(second, "other"), (first, "other")])
        .unwrap();
    assert_eq!((again[0].id, again[1].id), (set[1].id, set[0].id));
    assert!(set[0].id.is_some() && set[0].id != set[1].id);
    until_output(&mut client, "other");
    only(&received, 0, "other");
}

/// Row 5: order and length.
pub fn row_05_order_and_length(target: &Target) {
    let mut client = target.attach();
    let [first, second] = target.lines;
    let wanted = [
        (second, "x"),
        (target.bad_line, "y"),
        (0, "z"),
        (first, "x"),
    ];
    let set = client.set_logpoints(&target.path, &wanted).unwrap();
    let verified: Vec<bool> = set.iter().map(|it| it.verified).collect();
    assert_eq!(verified, [true, false, false, true], "{set:?}");
    for refused in &set[1..3] {
        assert!(
            refused.message.as_deref().is_some_and(|it| !it.is_empty()),
            "{refused:?}"
        );
    }
    assert_eq!(set[0].line, Some(second as i64));
    assert_eq!(set[3].line, Some(first as i64));
}

/// Row 8: an empty log message is a breakpoint, with a condition too. It is refused until it is supported, and never logs.
pub fn row_08_empty_log_message_is_a_breakpoint(target: &Target) {
    let (mut client, received) = target.attach_and_keep();
    let [first, second] = target.lines;
    for refused in [
        json!({"line": first}),
        json!({"line": first, "logMessage": ""}),
        json!({"line": first, "logMessage": "", "condition": "1 < 2"}),
        json!({"line": first, "logMessage": "", "hitCondition": "3"}),
    ] {
        let breakpoints = json!([refused, {"line": second, "logMessage": "alive"}]);
        let arguments = json!({"source": target.source(), "breakpoints": breakpoints});
        let body = client.call("setBreakpoints", arguments).unwrap();
        let answer = &body["breakpoints"][0];
        assert_eq!(answer["verified"], false, "{refused}: {answer}");
        let message = answer["message"].as_str();
        assert!(message.is_some_and(|it| !it.is_empty()), "{answer}");
        until_output(&mut client, "alive");
        only(&received, 0, "alive");
    }
}

/// Row 12: output.
pub fn row_12_output(target: &Target) {
    let mut client = target.attach();
    let line = target.lines[0];
    client
        .set_logpoints(&target.path, &[(line, "here")])
        .unwrap();
    let output = client.next_output(WAIT).unwrap();
    assert_eq!(output.output, "here\n");
    assert_eq!(output.category.as_deref(), Some("console"));
    assert_eq!(output.line, Some(line as i64));
    let source = output.source.unwrap();
    assert_eq!(source.path.as_ref(), Some(&target.path));
    assert_eq!(source.name.as_deref(), target.path.rsplit('/').next());
}

/// Row 16: seq rises from one.
pub fn row_16_seq_rises_from_one(target: &Target) {
    let mut client = Client::connect(target.address).unwrap();
    let received = watch_and_keep(&mut client);
    client.initialize().unwrap();
    client.attach(json!({})).unwrap();
    client
        .set_logpoints(&target.path, &[(target.lines[0], "x")])
        .unwrap();
    client.request("nonsense", Value::Null).unwrap();
    client.next_output(WAIT).unwrap();
    client.call("disconnect", Value::Null).unwrap();
    let messages = received.messages();
    let seqs: Vec<Value> = messages.iter().map(|it| it["seq"].clone()).collect();
    let expected: Vec<Value> = (1..=seqs.len()).map(|seq| json!(seq)).collect();
    assert_eq!(seqs, expected);
    assert!(seqs.len() >= 7);
}

/// Row 17: errors leave the connection.
pub fn row_17_errors_leave_the_connection(target: &Target) {
    let mut client = target.attach();
    let bad = [
        ("nonsense", json!({})),
        ("setBreakpoints", json!({})),
        ("setBreakpoints", json!(5)),
        (
            "setBreakpoints",
            json!({"source": target.source(), "breakpoints": [{"line": "x"}]}),
        ),
        ("setBreakpoints", json!({"source": {}, "breakpoints": []})),
        ("stackTrace", json!({"threadId": 1})),
        ("evaluate", json!({"expression": "x"})),
        ("initialize", json!({})),
    ];
    for (command, arguments) in bad {
        let seq = client.send(command, arguments.clone()).unwrap();
        let response = loop {
            let message = client.next_message(WAIT).unwrap();
            if message["type"] == "response" {
                break message;
            }
        };
        assert_eq!(response["request_seq"], seq);
        assert_eq!(response["command"], command);
        assert_eq!(response["success"], false, "{command} {arguments}");
        assert!(response["message"].is_string(), "{response}");
        let error = &response["body"]["error"];
        assert!(
            error["id"].is_i64() && error["format"].is_string(),
            "{response}"
        );
    }
    client
        .send_bytes(&framed(&json!({"seq": 99, "type": "request"})))
        .unwrap();
    assert!(!client.wait_reply(99, WAIT).unwrap().success);
    client
        .send_bytes(&framed(
            &json!({"seq": 100, "type": "response", "request_seq": 1}),
        ))
        .unwrap();
    client.call("threads", Value::Null).unwrap();
}

/// Row 18: frames.
pub fn row_18_frames(target: &Target) {
    let mut client = target.connect();
    for byte in request(1, "initialize") {
        client.send_bytes(&[byte]).unwrap();
    }
    assert!(client.wait_reply(1, WAIT).unwrap().success);
    let body = r#"{"seq":2,"type":"request","command":"threads"}"#;
    let length = body.len();
    let frames = [
        format!("content-length: {length}\r\n\r\n{body}"),
        format!("Content-Type: x\r\nContent-Length: {length}\r\n\r\n{body}")
            .replace("\"seq\":2", "\"seq\":3"),
        format!("Content-Length: {length}\r\nContent-Type: x\r\n\r\n{body}")
            .replace("\"seq\":2", "\"seq\":4"),
    ];
    client.send_bytes(frames.concat().as_bytes()).unwrap();
    for seq in 2..=4 {
        assert!(client.wait_reply(seq, WAIT).unwrap().success);
    }
    let bad: [&[u8]; 8] = [
        b"Content-Length: x\r\n\r\n{}",
        b"Content-Length: 9999999999999\r\n\r\n",
        b"Content-Length: 99999999999999999999999999999\r\n\r\n",
        b"Content-Type: x\r\n\r\n",
        b"Content-Length: 1\r\n\r\n{",
        b"Content-Length: 3\r\n\r\n\"\xff\"",
        b"Content-Length: 2\r\n\r\n[]",
        b"Content-Length: 2\r\n\r\n{}",
    ];
    for bytes in bad {
        let mut bad_client = target.connect();
        bad_client.send_bytes(bytes).unwrap();
        assert_eq!(
            until_closed(&mut bad_client),
            [] as [Value; 0],
            "{}",
            bytes.escape_ascii()
        );
    }
    // Others do not notice.
    client.send_bytes(&request(5, "threads")).unwrap();
    assert!(client.wait_reply(5, WAIT).unwrap().success);
}

/// A browser must not reach the debugger, neither by a request nor by a frame in a request's body.
/// Row 18: http is closed at once.
pub fn row_18_http_is_closed_at_once(target: &Target) {
    let smuggled = String::from_utf8(request(1, "initialize")).unwrap();
    for bytes in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET ".to_owned(),
        format!("POST / HTTP/1.1\r\nContent-Length: 200\r\n\r\n{smuggled}"),
        format!("ANY / HTTP/1.1\r\n\r\n{smuggled}"),
    ] {
        let mut client = target.connect();
        client.send_bytes(bytes.as_bytes()).unwrap();
        assert_eq!(until_closed(&mut client), [] as [Value; 0], "{bytes}");
    }
}

/// Row 19: lines from zero and uris.
pub fn row_19_lines_from_zero_and_uris(target: &Target) {
    let mut client = target.connect();
    let refused = client
        .request("initialize", json!({"pathFormat": "vms"}))
        .unwrap();
    assert!(!refused.success);
    assert!(refused.message.unwrap().contains("vms"));
    let arguments = json!({"linesStartAt1": false, "columnsStartAt1": false, "pathFormat": "uri"});
    client.call("initialize", arguments).unwrap();
    client.attach(json!({})).unwrap();
    let uri = format!(
        "file://{}",
        target.path.replace('/', "%2F").replacen("%2F", "/", 1)
    );
    let line = target.lines[0] - 1;
    let set = client.set_logpoints(&uri, &[(line, "x")]).unwrap();
    assert!(set[0].verified, "{set:?}");
    assert_eq!(set[0].line, Some(line as i64));
    let path = set[0]
        .source
        .as_ref()
        .and_then(|source| source.path.clone())
        .unwrap();
    assert!(path.starts_with("file:///"), "{path}");
    let output = client.next_output(WAIT).unwrap();
    assert_eq!(output.line, Some(line as i64));
    assert_eq!(output.source.unwrap().path, Some(path));
    let refused = client.set_logpoints(&target.path, &[(line, "x")]);
    assert!(
        matches!(refused, Err(ClientError::Refused { .. })),
        "{refused:?}"
    );
}

/// Row 20: disconnect leaves the program running.
pub fn row_20_disconnect_leaves_the_program_running(target: &Target) {
    for arguments in [
        Value::Null,
        json!({"terminateDebuggee": true}),
        json!({"restart": false, "suspendDebuggee": true}),
    ] {
        let mut client = target.attach();
        client
            .set_logpoints(&target.path, &[(target.lines[0], "x")])
            .unwrap();
        client.call("disconnect", arguments).unwrap();
        let rest = until_closed(&mut client);
        assert!(
            rest.iter().all(|message| message["event"] == "output"),
            "{rest:?}"
        );
    }
    let mut next = target.attach();
    next.set_logpoints(&target.path, &[(target.lines[0], "alive")])
        .unwrap();
    assert_eq!(next.next_output(WAIT).unwrap().output, "alive\n");
}

/// Row 21: several clients.
pub fn row_21_several_clients(target: &Target) {
    let [line, other] = target.lines;
    let (mut first, to_first) = target.attach_and_keep();
    first
        .set_logpoints(&target.path, &[(line, "first")])
        .unwrap();
    let (mut second, to_second) = target.attach_and_keep();
    second
        .set_logpoints(&target.path, &[(line, "second")])
        .unwrap();
    until_output(&mut first, "first");
    until_output(&mut second, "second");
    only(&to_first, 0, "first");
    only(&to_second, 0, "second");
    second.call("disconnect", Value::Null).unwrap();
    first
        .set_logpoints(&target.path, &[(other, "still")])
        .unwrap();
    until_output(&mut first, "still");
    drop(first);
    for _ in 0..3 {
        let (mut next, to_next) = target.attach_and_keep();
        next.set_logpoints(&target.path, &[(line, "next")]).unwrap();
        until_output(&mut next, "next");
        only(&to_next, 0, "next");
        next.call("disconnect", Value::Null).unwrap();
    }
}

/// Row 22: cancel.
pub fn row_22_cancel(target: &Target) {
    let mut client = target.attach();
    let threads = client.send("threads", Value::Null).unwrap();
    client
        .call("cancel", json!({"requestId": threads}))
        .unwrap();
    let reply = client.wait_reply(threads, WAIT).unwrap();
    assert!(
        reply.success || reply.message.as_deref() == Some("cancelled"),
        "{reply:?}"
    );
    client.call("cancel", Value::Null).unwrap();
    client
        .call("cancel", json!({"requestId": 12345, "progressId": "x"}))
        .unwrap();
}

/// `stop` makes the server end in an orderly way.
/// Row 23: terminated when the server ends.
pub fn row_23_terminated_when_the_server_ends(target: &Target, stop: impl FnOnce()) {
    let mut client = target.attach();
    stop();
    let messages = until_closed(&mut client);
    assert_eq!(
        messages.last().unwrap()["event"],
        "terminated",
        "{messages:?}"
    );
}

/// Row 27: no arguments.
pub fn row_27_no_arguments(target: &Target) {
    for none in [
        None,
        Some(json!(null)),
        Some(json!({})),
        Some(json!({"unknown": [1]})),
    ] {
        let mut client = target.connect();
        let commands = [
            "initialize",
            "attach",
            "configurationDone",
            "threads",
            "cancel",
            "disconnect",
        ];
        for (seq, command) in (1..).zip(commands) {
            let mut message = json!({"seq": seq, "type": "request", "command": command, "more": 1});
            if let Some(arguments) = &none {
                message["arguments"] = arguments.clone();
            }
            client.send_bytes(&framed(&message)).unwrap();
            assert!(client.wait_reply(seq, WAIT).unwrap().success, "{message}");
        }
    }
}
