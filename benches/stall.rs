//! The longest stall of a thread that spins, through wake, a logpoint set and cleared, and sleep.
//!
//! The thread has a processor of its own; detrix and its client share the other, so that what is measured is what they
//! do to the thread, not that they want to run as well. The kernel stalls a spinning thread too: the same number of
//! rounds without detrix stands beside it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dap::Client;
use detrix_test_support::{Profile, Running, Table, mark, median, pin, source};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 10 } else { 50 };
    let file = source("bin/spin.rs");
    let line = mark(&file, "hot");
    let path = file.to_str().expect("UTF-8");
    pin(Some(1));
    let mut program = Running::start("spin", Profile::Release);
    program.run("init");
    program.run("spin 0");

    let (mut stalls, mut quiet) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        program.run("gap");
        let start = Instant::now();
        let port = program.wake();
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        client.initialize().expect("initialize");
        client.attach(serde_json::json!({})).expect("attach");
        let placed = client
            .set_logpoints(path, &[(line.into(), "{id}")])
            .expect("set");
        assert!(placed[0].verified, "{placed:?}");
        client.set_logpoints(path, &[]).expect("clear");
        program.run("sleep");
        let spent = start.elapsed();
        stalls.push(gap(&mut program));
        std::thread::sleep(spent);
        quiet.push(gap(&mut program));
    }
    program.quit();

    let mut table = Table::default();
    for (name, samples, goal) in [
        (
            "longest stall through wake, set, clear, sleep",
            &stalls,
            "< 200 us",
        ),
        ("longest stall of as long without", &quiet, ""),
    ] {
        let longest = samples.iter().copied().fold(0.0, f64::max);
        table.add(
            name,
            format!(
                "{:.0} us (median), {longest:.0} us (worst of {rounds})",
                median(samples)
            ),
            goal,
        );
    }
    println!("{table}");
}

/// The longest gap since the last question, in microseconds.
fn gap(program: &mut Running) -> f64 {
    Duration::from_nanos(program.number("gap", "nanoseconds")).as_secs_f64() * 1e6
}
