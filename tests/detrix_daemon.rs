//! The conversation of the Detrix daemon: what it sends, and how it reads what it gets. The tests are named after the
//! statements of the contract that they keep.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use dap::{Client, ClientError};
use detrix_test_support::{
    PATIENCE, Profile, Received, Running, fixture, mark, source, until, watch_and_keep,
};
use serde_json::{Value, json};

const INITIALIZE: &str = r#""command":"initialize","arguments":{"clientId":"detrix","clientName":"Detrix","adapterID":"rust","locale":"en-US","linesStartAt1":true,"columnsStartAt1":true,"pathFormat":"path"}"#;
const ATTACH_AGAIN: &str = r#""command":"attach","arguments":{"justMyCode":false,"subProcess":true,"redirectOutput":true}"#;
const CONFIGURATION_DONE: &str = r#""command":"configurationDone""#;

/// The daemon's side: it writes its messages as these texts, byte for byte.
struct Daemon {
    client: Client,
    received: Received,
    seq: i64,
}

impl Daemon {
    fn dial(port: u16) -> Self {
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        let received = watch_and_keep(&mut client);
        let mut daemon = Self {
            client,
            received,
            seq: 0,
        };
        daemon.call(INITIALIZE);
        daemon
    }

    /// As for a process that registers: dials, attaches and configures.
    fn attached(program: &Running, port: u16) -> Self {
        let mut daemon = Self::dial(port);
        daemon.attach_by_pid(program.process().pid());
        daemon
    }

    /// The registration named the process: its answer is waited for before anything else is sent.
    fn attach_by_pid(&mut self, pid: u32) {
        self.call(&format!(
            r#""command":"attach","arguments":{{"stopOnEntry":false,"pid":{pid},"initCommands":["command script import \"/usr/lib/rustlib/etc/lldb_lookup.py\"","command source -s 0 \"/usr/lib/rustlib/etc/lldb_commands\""]}}"#
        ));
        self.call(CONFIGURATION_DONE);
    }

    /// After the daemon's restart: nothing is waited for.
    fn attach_again(&mut self) {
        self.send(ATTACH_AGAIN);
        self.call(CONFIGURATION_DONE);
    }

    /// All metrics of the file, in whatever order a hash map has them; each must be where it was asked for.
    fn set(&mut self, file: &Path, metrics: &[&Metric]) -> Vec<Value> {
        let placed = self.try_set(file, metrics);
        for (placed, metric) in placed.iter().zip(metrics) {
            assert_eq!(placed["verified"], true, "{}: {placed}", metric.name);
            assert_eq!(placed["line"], metric.line, "in the order of the request");
        }
        placed
    }

    /// As [`Daemon::set`], whatever comes of them.
    fn try_set(&mut self, file: &Path, metrics: &[&Metric]) -> Vec<Value> {
        self.try_set_named(file, file, metrics)
    }

    /// As [`Daemon::try_set`], with a path that was made of what the user wrote.
    fn try_set_named(&mut self, name: &Path, path: &Path, metrics: &[&Metric]) -> Vec<Value> {
        let breakpoints: Vec<String> = metrics.iter().map(|metric| metric.breakpoint()).collect();
        let answer = self.call(&set_breakpoints(name, path, &breakpoints));
        let placed = answer["breakpoints"].as_array().expect("breakpoints");
        assert_eq!(placed.len(), metrics.len());
        placed.clone()
    }

    fn call(&mut self, rest: &str) -> Value {
        let seq = self.send(rest);
        self.answer(seq, rest)
    }

    fn answer(&mut self, seq: i64, rest: &str) -> Value {
        let reply = self.client.wait_reply(seq, PATIENCE).expect("an answer");
        assert!(reply.success, "{rest}: {reply:?}");
        reply.body
    }

    fn send(&mut self, rest: &str) -> i64 {
        self.seq += 1;
        let message = format!(r#"{{"type":"request","seq":{},{rest}}}"#, self.seq);
        let mut frame = Vec::new();
        write!(frame, "Content-Length: {}\r\n\r\n{message}", message.len()).expect("a Vec");
        self.client.send_bytes(&frame).expect("the server reads");
        self.seq
    }

    /// The next `output` event, read as the daemon reads it; it is always a metric's.
    fn event(&mut self) -> Event {
        let body = self
            .client
            .wait_event("output", PATIENCE)
            .expect("an event");
        Event::read(&body)
    }

    /// The values of the next metric event, which must be of this metric.
    fn values(&mut self, name: &str) -> Vec<String> {
        let event = self.event();
        assert_eq!(event.name, name);
        event.values
    }

    /// What the next change of a breakpoint says.
    fn changed(&mut self) -> Value {
        let mut body = self
            .client
            .wait_event("breakpoint", PATIENCE)
            .expect("a change");
        assert_eq!(body["reason"], "changed");
        body["breakpoint"].take()
    }

    /// Asserts of all that came that the daemon parses it, and that each `output` is a metric: it takes others for errors
    /// of the program.
    fn assert_parsed(&self) {
        for message in self.received.messages() {
            assert!(message["seq"].is_i64(), "{message}");
            assert!(message["message"].is_null() || message["message"].is_string());
            match message["type"].as_str().expect("a type") {
                "response" => {
                    assert!(message["request_seq"].is_i64() && message["success"].is_boolean());
                    assert!(message["command"].is_string(), "{message}");
                }
                "event" => {
                    assert!(message["event"].is_string(), "{message}");
                    if message["event"] == "output" {
                        Event::read(&message["body"]);
                    }
                }
                other => panic!("{other}: {message}"),
            }
        }
    }
}

fn set_breakpoints(name: &Path, path: &Path, breakpoints: &[String]) -> String {
    let (name, path) = (json!(name), json!(path));
    format!(
        r#""command":"setBreakpoints","arguments":{{"source":{{"path":{path},"name":{name}}},"breakpoints":[{}],"sourceModified":false}}"#,
        breakpoints.join(",")
    )
}

/// A metric event.
#[derive(Debug, PartialEq)]
struct Event {
    thread: u32,
    name: String,
    /// As the daemon stores them: JSON, or the text itself.
    values: Vec<String>,
}

impl Event {
    /// Reads it by the daemon's rules, and dies where the daemon does.
    fn read(body: &Value) -> Self {
        let category = body["category"].as_str().expect("a category");
        assert!(["console", "stdout", "stderr", "telemetry"].contains(&category));
        let text = body["output"].as_str().expect("a text").trim();
        let rest = text.strip_prefix("[thread ").expect("a thread");
        let (thread, rest) = rest.split_once("] DETRICS:").expect("a metric");
        assert!(!rest.contains('\n'), "the next line could be lost: {rest}");
        let rest = rest.split('|').next().expect("a first part");
        let (name, values) = rest.split_once('=').expect("a name and values");
        let stored = |value: &str| match serde_json::from_str::<Value>(value) {
            Ok(json) => json.to_string(),
            Err(_) => value.to_owned(),
        };
        let values: Vec<String> = values.split('\u{1f}').map(stored).collect();
        if values[0].len() > 100 {
            let _log = &values[0][..100];
        }
        Self {
            thread: thread.parse().expect("a number"),
            name: name.to_owned(),
            values,
        }
    }
}

struct Metric {
    name: &'static str,
    line: u32,
    expressions: &'static [&'static str],
}

impl Metric {
    fn message(&self) -> String {
        let holes: Vec<String> = self
            .expressions
            .iter()
            .map(|expression| format!("{{{expression}}}"))
            .collect();
        format!("DETRICS:{}={}", self.name, holes.join("\u{1f}"))
    }

    fn breakpoint(&self) -> String {
        let message = json!(self.message());
        format!(r#"{{"line":{},"logMessage":{message}}}"#, self.line)
    }
}

fn metric(
    file: &Path,
    name: &'static str,
    line: &str,
    expressions: &'static [&'static str],
) -> Metric {
    Metric {
        name,
        line: mark(file, line),
        expressions,
    }
}

fn metrics(file: &Path) -> [Metric; 3] {
    let details: &[&str] = &["order.symbol", "order.quantity", "cents"];
    [
        metric(file, "order_id", "fee", &["id"]),
        metric(file, "order_details", "price", details),
        metric(file, "order-total", "after price", &["(cents)"]),
    ]
}

fn orders() -> (Running, u16, PathBuf) {
    let mut program = Running::start("orders", Profile::Release);
    let port = program.port();
    (program, port, source("bin/orders.rs"))
}

/// The program with the odd values, one metric of it set, and its file.
fn odd(name: &'static str, line: &str, expressions: &'static [&'static str]) -> (Running, Daemon) {
    let mut program = Running::start("metrics", Profile::Release);
    let port = program.port();
    let file = source("bin/metrics.rs");
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&metric(&file, name, line, expressions)]);
    (program, daemon)
}

type Text = BTreeMap<(String, u64), Vec<u8>>;

fn restored(program: &Running, text: &Text) {
    until("the text is restored", || program.process().text() == *text);
}

#[test]
fn c1_all_messages_parse_and_the_link_ends_with_the_sleep() {
    let (mut program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&details, &id]);
    // What another client does, or the daemon does wrong, is no end.
    let other = Daemon::attached(&program, port);
    drop(other);
    for wrong in [
        r#""command":"stackTrace","arguments":{"threadId":1}"#,
        r#""command":"nonsense""#,
        r#""command":"setBreakpoints","arguments":{}"#,
    ] {
        let seq = daemon.send(wrong);
        let reply = daemon.client.wait_reply(seq, PATIENCE).expect("an answer");
        assert!(!reply.success && reply.message.is_some(), "{wrong}");
    }
    program.run("go 1");
    let names: BTreeSet<String> = (0..2).map(|_| daemon.event().name).collect();
    assert_eq!(
        names,
        ["order_details", "order_id"].map(str::to_owned).into()
    );
    let is_end = |message: &Value| message["event"] == "terminated" || message["event"] == "exited";
    assert!(!daemon.received.messages().iter().any(is_end));

    // The hits that were recorded before the sleep come before the end.
    program.run("go 20");
    program.run("sleep");
    for _ in 0..40 {
        daemon.event();
    }
    daemon
        .client
        .wait_event("terminated", PATIENCE)
        .expect("an orderly end");
    let rest = daemon.client.next_message(PATIENCE);
    let mut rest = rest
        .into_iter()
        .filter(|message| message["event"] == "output");
    assert_eq!(rest.next(), None);
    daemon.assert_parsed();
    program.quit();
}

#[test]
fn c2_a_registration_by_pid() {
    let (program, port, _) = orders();
    let mut daemon = Daemon::dial(port);
    // The answer does not wait for `configurationDone`; any pid will do, since it may be seen from another namespace.
    daemon.attach_by_pid(program.process().pid());
    let mut other = Daemon::dial(port);
    other.attach_by_pid(1);
    program.quit();
}

#[test]
fn c2_an_attach_without_pid_and_a_launch() {
    let (program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let mut again = Daemon::dial(port);
    again.attach_again();
    again.set(&file, &[&id]);
    let mut launched = Daemon::dial(port);
    launched.call(
        r#""command":"launch","arguments":{"program":"/srv/app/orders","args":["x"],"stopOnEntry":false,"cwd":"/srv/app","initCommands":["a"],"preRunCommands":["b"]}"#,
    );
    launched.call(CONFIGURATION_DONE);
    launched.set(&file, &[&id]);
    // It is the program that runs, and it goes on when the client that launched it goes.
    drop(launched);
    again.set(&file, &[]);
    program.quit();
}

#[test]
fn c2_configuration_done_may_come_before_the_answer_to_attach() {
    let (program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::dial(port);
    let attach = daemon.send(ATTACH_AGAIN);
    let done = daemon.send(CONFIGURATION_DONE);
    let set = set_breakpoints(&file, &file, &[id.breakpoint()]);
    let set = daemon.send(&set);
    for seq in [attach, done, set] {
        daemon.answer(seq, "one of several at once");
    }
    program.quit();
}

#[test]
fn c2_stored_metrics_are_set_four_at_a_time() {
    let (mut program, port, file) = orders();
    let [id, details, total] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    // Cumulative, and none waits for the answer to the one before.
    let lists = [vec![&id], vec![&details, &id], vec![&id, &total, &details]];
    let sent = lists.map(|metrics| {
        let breakpoints: Vec<String> = metrics.iter().map(|metric| metric.breakpoint()).collect();
        let set = set_breakpoints(&file, &file, &breakpoints);
        daemon.send(&set)
    });
    for seq in sent {
        let body = daemon.answer(seq, "setBreakpoints");
        let placed = body["breakpoints"].as_array().expect("breakpoints");
        assert!(placed.iter().all(|placed| placed["verified"] == true));
    }
    program.run("go 1");
    let names: BTreeSet<String> = (0..3).map(|_| daemon.event().name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    program.quit();
}

#[test]
fn c3_the_whole_list_of_a_file_in_any_order() {
    let (mut program, port, file) = orders();
    let undisturbed = program.process().text();
    let [id, details, total] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);

    // One more metric each time, and the order is another one each time.
    daemon.set(&file, &[&details]);
    let two = daemon.set(&file, &[&total, &details]);
    let three = daemon.set(&file, &[&details, &id, &total]);
    assert_eq!(
        (&three[0]["id"], &three[2]["id"]),
        (&two[1]["id"], &two[0]["id"])
    );
    daemon.set(&file, &[&id, &total, &details]);

    program.run("go 2");
    let mut events: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for _ in 0..6 {
        let event = daemon.event();
        events.entry(event.name).or_default().push(event.values);
    }
    assert_eq!(events["order_id"], [["0"], ["1"]]);
    assert_eq!(
        events["order_details"],
        [["\"BTC\"", "1", "100"], ["\"ETH\"", "2", "101"]]
    );
    assert_eq!(events["order-total"], [["100"], ["101"]]);

    // The last metrics of the file are removed; the connection stays.
    daemon.set(&file, &[]);
    assert!(program.process().text() == undisturbed);
    daemon.set(&file, &[&details]);
    program.quit();
}

#[test]
fn c3_answers_have_the_order_and_length_of_the_request() {
    let (program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let nowhere = Metric {
        name: "nowhere",
        line: 1,
        expressions: &["x"],
    };
    let mut daemon = Daemon::attached(&program, port);
    let placed = daemon.try_set(&file, &[&details, &nowhere, &id]);
    let verified: Vec<&Value> = placed.iter().map(|placed| &placed["verified"]).collect();
    assert_eq!(verified, [true, false, true]);
    assert!(placed[1]["message"].is_string(), "{placed:?}");
    let lines: Vec<&Value> = [&placed[0], &placed[2]]
        .map(|placed| &placed["line"])
        .into();
    assert_eq!(lines, [details.line, id.line]);
    program.quit();
}

#[test]
fn c3_files_by_relative_joined_or_base_name() {
    let (mut program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let file = file.to_str().expect("UTF-8");
    // What the user wrote, and what the daemon makes of it: its directory has nothing to do with where the program was
    // built.
    for (name, path) in [
        (file, file),
        ("src/bin/orders.rs", "/home/detrix/src/bin/orders.rs"),
        ("bin/../bin/orders.rs", "/home/detrix/bin/../bin/orders.rs"),
        ("orders.rs", "/home/detrix/orders.rs"),
        ("orders.rs", "orders.rs"),
        ("/app/src/bin/orders.rs", "/app/src/bin/orders.rs"),
    ] {
        let mut daemon = Daemon::attached(&program, port);
        let placed = daemon.try_set_named(Path::new(name), Path::new(path), &[&id]);
        assert_eq!(placed[0]["verified"], true, "{name}: {placed:?}");
        program.run("go 1");
        assert_eq!(daemon.values("order_id"), ["0"], "{name}");
    }
    program.quit();
}

#[test]
fn c4_a_hit_is_one_event_with_its_thread() {
    let (mut program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&id]);
    // What the program prints is not among the events.
    program.run("go 3");
    for index in 0..3 {
        let event = daemon.event();
        assert_eq!(event.thread, program.process().pid(), "its main thread");
        assert_eq!(event.values, [index.to_string()]);
    }
    program.run("work 2 2");
    let events: Vec<Event> = (0..4).map(|_| daemon.event()).collect();
    let threads: BTreeSet<u32> = events.iter().map(|event| event.thread).collect();
    assert!(threads.len() == 2 && !threads.contains(&program.process().pid()));
    daemon.assert_parsed();
    program.quit();
}

#[test]
fn c4_pipes_and_control_characters_are_escaped() {
    let (mut program, mut daemon) = odd("texts", "texts", &["piped", "control", "quoted"]);
    program.run("texts");
    let text = |text: &str| json!(text).to_string();
    assert_eq!(
        daemon.values("texts"),
        [
            text("a|b"),
            text("tab\tline\nunit\u{1f}delete\u{7f}next\u{85}"),
            text("quote \" backslash \\ braces {}"),
        ]
    );
    program.quit();
}

#[test]
fn c4_what_is_no_scalar_is_one_json_string() {
    let (mut program, mut daemon) = odd("texts", "texts", &["order", "list", "none", "order.id"]);
    program.run("texts");
    let text = |text: &str| json!(text).to_string();
    assert_eq!(
        daemon.values("texts"),
        [
            text(r#"Order { id: 1, note: "a|b\n" }"#),
            text("[1, 2]"),
            text("None"),
            "1".to_owned(),
        ]
    );
    program.quit();
}

#[test]
fn c4_numbers_keep_their_digits() {
    let wide: &[&str] = &["wide.0", "wide.1", "wide.2", "wide.3"];
    let (mut program, mut daemon) = odd("wide", "numbers", wide);
    program.run("numbers");
    let text = |number: String| json!(number).to_string();
    let (most, least) = (u128::MAX.to_string(), i128::MIN.to_string());
    assert_eq!(
        daemon.values("wide"),
        [
            text(most),
            text(least),
            u64::MAX.to_string(),
            i64::MIN.to_string()
        ]
    );
    let floats: &[&str] = &["floats.0", "floats.1", "floats.2", "floats.3"];
    let file = source("bin/metrics.rs");
    daemon.set(&file, &[&metric(&file, "floats", "numbers", floats)]);
    program.run("numbers");
    // The first two are read as Rust reads them, since JSON cannot.
    assert_eq!(daemon.values("floats"), ["NaN", "-inf", "5.0", "true"]);
    program.quit();
}

#[test]
fn c4_the_first_value_can_be_cut_at_byte_100() {
    let (mut program, mut daemon) = odd("long", "long", &["text", "text"]);
    for before in [0, 90, 96, 97, 98, 99, 100] {
        program.run(&format!("long {before}"));
        // Reading it cuts it.
        let values = daemon.values("long");
        let whole = format!("{}é{}", "x".repeat(before), "ü".repeat(60));
        assert_eq!(
            values[1],
            json!(whole).to_string(),
            "the second is not touched"
        );
        let first: String = serde_json::from_str(&values[0]).expect("text");
        let back = first.replace(r"\u{e9}", "é").replace(r"\u{fc}", "ü");
        assert_eq!(back, whole, "one character is escaped, at the most");
        assert!(first.matches('\\').count() <= 1, "{first}");
    }
    program.quit();
}

#[test]
fn c4_an_expression_that_cannot_be_evaluated_is_an_error_for_itself() {
    let (mut program, port, file) = orders();
    let mut daemon = Daemon::attached(&program, port);
    let expressions: &[&str] = &["order.id", "nothing.here", "cents +", "cents ||", "cents"];
    let partly = metric(&file, "partly", "price", expressions);
    let placed = daemon.set(&file, &[&partly]);
    let message = placed[0]["message"]
        .as_str()
        .expect("it says what is wrong");
    assert!(message.contains("nothing"), "{message}");
    program.run("go 1");
    let values = daemon.values("partly");
    assert_eq!((&*values[0], &*values[4]), ("0", "100"));
    for (value, part) in values[1..4]
        .iter()
        .zip(["`nothing`", "`cents +`", "`cents ||`"])
    {
        // Plain, unless a character in it could not be sent so.
        let text = serde_json::from_str(value).unwrap_or_else(|_| value.clone());
        assert!(
            text.starts_with("<error: ") && text.ends_with('>'),
            "{text}"
        );
        assert!(text.contains(part), "{text}");
    }
    // Also where nothing else is in it.
    daemon.set(&file, &[&metric(&file, "wrong", "price", &["nothing"])]);
    program.run("go 1");
    assert!(daemon.values("wrong")[0].starts_with("<error: "));
    program.quit();
}

#[test]
fn c4_notices_are_changes_of_the_breakpoint() {
    let mut command = Command::new(fixture("orders", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_LOGPOINT_BUDGET", "0.01"));
    let port = program.port();
    let file = source("bin/orders.rs");
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    let placed = daemon.set(&file, &[&id]).remove(0);
    program.run("go 20000");
    let paused = daemon.changed();
    assert_eq!(
        (&paused["id"], &paused["verified"]),
        (&placed["id"], &json!(true))
    );
    let text = paused["message"].as_str().expect("a message");
    assert!(text.contains("over its budget"), "{text}");
    // It says so once more while it goes on, and then that it is over.
    loop {
        let changed = daemon.changed();
        let text = changed["message"].as_str().expect("a message");
        if text.contains("within its budget again") {
            assert_eq!(
                (&changed["id"], &changed["verified"]),
                (&placed["id"], &json!(true))
            );
            break;
        }
    }
    daemon.assert_parsed();
    program.quit();
}

#[test]
fn c4_a_burst_is_spread_and_nothing_of_it_is_lost() {
    const HITS: u64 = 2500;
    let (mut program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&id]);
    program.run(&format!("go {HITS}"));
    for index in 0..HITS {
        assert_eq!(daemon.values("order_id"), [index.to_string()]);
    }
    daemon.assert_parsed();
    program.quit();
}

#[test]
fn c5_breakpoints_are_refused_beside_logpoints() {
    let (mut program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    let breakpoints = [
        details.breakpoint(),
        format!(r#"{{"line":{}}}"#, mark(&file, "after price")),
        id.breakpoint(),
    ];
    let answer = daemon.call(&set_breakpoints(&file, &file, &breakpoints));
    let placed = &answer["breakpoints"];
    assert_eq!(placed[1]["verified"], false);
    assert!(placed[1]["message"].is_string(), "{placed}");
    program.run("go 1");
    let names: BTreeSet<String> = (0..2).map(|_| daemon.event().name).collect();
    assert_eq!(
        names,
        ["order_details", "order_id"].map(str::to_owned).into()
    );
    program.quit();
}

#[test]
fn c6_parentheses_and_nested_braces() {
    let (mut program, port, file) = orders();
    let mut daemon = Daemon::attached(&program, port);
    let nested: &[&str] = &["(cents)", r#"format!("{}", cents)"#, "(order.symbol)"];
    daemon.set(&file, &[&metric(&file, "nested", "price", nested)]);
    program.run("go 1");
    let values = daemon.values("nested");
    assert_eq!(values.len(), 3, "{values:?}");
    assert_eq!((&*values[0], &*values[2]), ("100", "\"BTC\""));
    program.quit();
}

#[test]
fn c7_a_line_without_code_slides_forward() {
    let (mut program, port, file) = orders();
    let mut daemon = Daemon::attached(&program, port);
    let placed = daemon.try_set(&file, &[&metric(&file, "slid", "comment", &["order.id"])]);
    assert_eq!(placed[0]["verified"], true);
    assert_eq!(placed[0]["line"], mark(&file, "after price"));
    program.run("go 1");
    assert_eq!(daemon.values("slid"), ["0"]);
    program.quit();
}

#[test]
fn c8_the_end_of_the_stream_is_goodbye() {
    let (program, port, file) = orders();
    let undisturbed = program.process().text();
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&id]);
    assert!(program.process().text() != undisturbed);
    // It never says `disconnect`.
    daemon.client.finish().expect("open until now");
    restored(&program, &undisturbed);
    let end = std::iter::repeat_with(|| daemon.client.next_message(PATIENCE)).find_map(Result::err);
    assert!(matches!(end, Some(ClientError::Closed)), "{end:?}");
    // The port is open still.
    Daemon::attached(&program, port).set(&file, &[&id]);
    program.quit();
}

#[test]
fn c8_a_restarted_daemon_dials_again() {
    let (mut program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let mut old = Daemon::attached(&program, port);
    old.set(&file, &[&details, &id]);
    // The old connection may be there still.
    let mut new = Daemon::dial(port);
    new.attach_again();
    new.set(&file, &[&id, &details]);
    drop(old);
    program.run("go 1");
    let mut names = [new.event().name, new.event().name];
    names.sort();
    assert_eq!(names, ["order_details", "order_id"]);
    program.quit();
}

#[test]
fn c8_connections_at_once_have_their_own_metrics() {
    let (mut program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let mut first = Daemon::attached(&program, port);
    let mut second = Daemon::attached(&program, port);
    first.set(&file, &[&id]);
    second.set(&file, &[&details]);
    program.run("go 1");
    assert_eq!(first.values("order_id"), ["0"]);
    assert_eq!(second.values("order_details").len(), 3);
    // What one removes stays with the other.
    first.set(&file, &[]);
    program.run("go 1");
    assert_eq!(second.values("order_details").len(), 3);
    program.quit();
}

#[test]
fn c8_the_metrics_come_back_after_a_sleep_and_a_wake() {
    let (mut program, port, file) = orders();
    let [id, ..] = metrics(&file);
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&id]);
    program.run("sleep");
    let port = program.wake();
    let mut daemon = Daemon::attached(&program, port);
    daemon.set(&file, &[&id]);
    program.run("go 1");
    assert_eq!(daemon.values("order_id"), ["0"]);
    program.quit();
}
