//! The conversation of the Detrix daemon: what it sends, and how it reads what it gets.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dap::Client;
use detrix_test_support::{PATIENCE, Profile, Running, mark, source, watch};
use serde_json::{Value, json};

/// The daemon's side: it writes its messages as these texts, byte for byte.
struct Daemon {
    client: Client,
    seq: i64,
}

impl Daemon {
    fn dial(port: u16) -> Self {
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        watch(&mut client);
        let mut daemon = Self { client, seq: 0 };
        daemon.call(
            r#""command":"initialize","arguments":{"clientId":"detrix","clientName":"Detrix","adapterID":"rust","locale":"en-US","linesStartAt1":true,"columnsStartAt1":true,"pathFormat":"path"}"#,
        );
        daemon
    }

    /// The registration named the process: its answer is waited for before anything else is sent.
    fn attach_by_pid(&mut self, pid: u32) {
        self.call(&format!(
            r#""command":"attach","arguments":{{"stopOnEntry":false,"pid":{pid},"initCommands":["command script import \"/usr/lib/rustlib/etc/lldb_lookup.py\"","command source -s 0 \"/usr/lib/rustlib/etc/lldb_commands\""]}}"#
        ));
        self.call(r#""command":"configurationDone""#);
    }

    /// After the daemon's restart: nothing is waited for.
    fn attach_again(&mut self) {
        self.send(
            r#""command":"attach","arguments":{"justMyCode":false,"subProcess":true,"redirectOutput":true}"#,
        );
        self.call(r#""command":"configurationDone""#);
    }

    /// All metrics of the file, in whatever order a hash map has them; its base path leads to the file.
    fn set(&mut self, file: &Path, metrics: &[&Metric]) -> Vec<Value> {
        let path = json!(file);
        let breakpoints: Vec<String> = metrics
            .iter()
            .map(|metric| {
                let message = json!(metric.message());
                format!(r#"{{"line":{},"logMessage":{message}}}"#, metric.line)
            })
            .collect();
        let answer = self.call(&format!(
            r#""command":"setBreakpoints","arguments":{{"source":{{"path":{path},"name":{path}}},"breakpoints":[{}],"sourceModified":false}}"#,
            breakpoints.join(",")
        ));
        let placed = answer["breakpoints"].as_array().expect("breakpoints");
        assert_eq!(placed.len(), metrics.len());
        for (placed, metric) in placed.iter().zip(metrics) {
            assert_eq!(placed["verified"], true, "{}: {placed}", metric.name);
            assert_eq!(placed["line"], metric.line, "in the order of the request");
        }
        placed.clone()
    }

    fn call(&mut self, rest: &str) -> Value {
        let seq = self.send(rest);
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

    /// The next metric event, read as the daemon reads it.
    fn event(&mut self) -> (String, Vec<String>) {
        let body = self
            .client
            .wait_event("output", PATIENCE)
            .expect("an event");
        let category = body["category"].as_str().expect("a category");
        assert!(["console", "stdout", "stderr", "telemetry"].contains(&category));
        let text = body["output"].as_str().expect("a text").trim();
        assert!(!text.contains('\n'), "only the first line is read: {text}");
        let text = &text[text.find("DETRICS:").expect("a metric") + "DETRICS:".len()..];
        let text = text.split('|').next().expect("a first part");
        let (name, values) = text.split_once('=').expect("a name and values");
        let values = values.split('\u{1f}').map(str::to_owned).collect();
        (name.to_owned(), values)
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
}

fn metrics(file: &Path) -> [Metric; 3] {
    let metric = |name, line, expressions| Metric {
        name,
        line: mark(file, line),
        expressions,
    };
    [
        metric("order_id", "fee", &["id"]),
        metric(
            "order_details",
            "price",
            &["order.symbol", "order.quantity", "cents"],
        ),
        metric("order-total", "after price", &["(cents)"]),
    ]
}

fn orders() -> (Running, u16, PathBuf) {
    let mut program = Running::start("orders", Profile::Release);
    let port = program.port();
    (program, port, source("bin/orders.rs"))
}

#[test]
fn row_02_a_registration_and_its_metrics() {
    let (mut program, port, file) = orders();
    let undisturbed = program.process().text();
    let [id, details, total] = metrics(&file);
    let mut daemon = Daemon::dial(port);
    daemon.attach_by_pid(program.process().pid());

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
        let (name, values) = daemon.event();
        for value in &values {
            assert!(
                serde_json::from_str::<Value>(value).is_ok(),
                "{name} is typed by its JSON: {value}"
            );
        }
        events.entry(name).or_default().push(values);
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

    // It never says goodbye: it closes.
    daemon.client.finish().expect("open until now");
    restored(&program, &undisturbed);
    program.quit();
}

#[test]
fn row_21_a_restarted_daemon_dials_again() {
    let (mut program, port, file) = orders();
    let [id, details, _] = metrics(&file);
    let mut old = Daemon::dial(port);
    old.attach_by_pid(program.process().pid());
    old.set(&file, &[&details, &id]);
    // The old connection may be there still.
    let mut new = Daemon::dial(port);
    new.attach_again();
    new.set(&file, &[&id, &details]);
    drop(old);
    program.run("go 1");
    let mut names = [new.event().0, new.event().0];
    names.sort();
    assert_eq!(names, ["order_details", "order_id"]);
    program.quit();
}

type Text = BTreeMap<(String, u64), Vec<u8>>;

fn restored(program: &Running, text: &Text) {
    let deadline = Instant::now() + PATIENCE;
    while program.process().text() != *text {
        assert!(Instant::now() < deadline, "the text stays patched");
        std::thread::yield_now();
    }
}
