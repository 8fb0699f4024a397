//! What a service in a hot loop keeps of its throughput with a logpoint in that loop and the default budgets.
//!
//! Every iteration takes some microseconds and hits the logpoint, on 1, 2 and 16 threads. Rounds with the logpoint and
//! without it alternate.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dap::Client;
use detrix_test_support::{Profile, Running, Table, fixture, mark, median, source};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, milliseconds) = if quick { (5, 500) } else { (15, 1000) };
    let mut table = Table::default();
    for threads in [1, 2, 16] {
        let command = format!("run {threads} {milliseconds}");
        let kept = kept(&command, rounds);
        let name = format!("throughput kept in a hot loop, threads: {threads}");
        table.add(&name, format!("{:.1} %", kept * 100.0), "> 90 %");
    }
    println!("{table}");
}

/// The median of how much faster it is without, as a share.
fn kept(command: &str, rounds: usize) -> f64 {
    let file = source("bin/hot_loops.rs");
    let line = u64::from(mark(&file, "hot"));
    let path = file.to_str().expect("UTF-8").to_owned();
    let mut start = Command::new(fixture("hot_loops", Profile::Release));
    // The defaults, which tests switch off.
    start
        .env("DETRIX_LOGPOINT_BUDGET", "")
        .env("DETRIX_TOTAL_BUDGET", "");
    let mut program = Running::spawn(&mut start);
    program.run("init");
    let port = program.wake();
    let mut shares = Vec::new();
    for _ in 0..rounds {
        let without = throughput(&mut program, command);
        let client = Reader::start(port, &path, line);
        let with = throughput(&mut program, command);
        client.stop();
        shares.push(with / without);
    }
    program.quit();
    median(&shares)
}

/// Calls in a nanosecond.
fn throughput(program: &mut Running, command: &str) -> f64 {
    let printed = program.run(command);
    let value = |key: &str| {
        let found = printed.iter().find_map(|line| line.strip_prefix(key));
        let number: u64 = found.and_then(|value| value.parse().ok()).expect(key);
        number as f64
    };
    value("calls ") / value("nanoseconds ")
}

/// A client that reads what is logged.
struct Reader {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Reader {
    fn start(port: u16, path: &str, line: u64) -> Self {
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        client.initialize().expect("initialize");
        client.attach(serde_json::json!({})).expect("attach");
        let placed = client.set_logpoints(path, &[(line, "{id}")]).expect("set");
        assert!(placed[0].verified, "{placed:?}");
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let over = over.clone();
            move || {
                while !over.load(Ordering::Relaxed) {
                    // Timeouts are what ends the wait.
                    let _ = client.next_output(Duration::from_millis(50));
                }
                let none = serde_json::json!({});
                client.call("disconnect", none).expect("disconnect");
            }
        });
        Self { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client does not panic");
    }
}
