//! The longest stall of a thread that spins, through wake, a logpoint set and cleared, and sleep.
//!
//! The scheduler stalls a spinning thread too: the same number of rounds without detrix stands beside it.

use std::time::{Duration, Instant};

use detrix_test_support::{Profile, Running, Session, Table, mark, median, source};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 10 } else { 50 };
    let file = source("bin/spin.rs");
    let line = mark(&file, "hot");
    let mut program = Running::start("spin", Profile::Release);
    program.run("init");
    program.run("spin 1");

    let (mut stalls, mut quiet) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        program.run("gap");
        let start = Instant::now();
        let port = program.wake();
        let mut session = Session::attach(port);
        session.logpoint(&file, line, "{id}");
        session.logpoints(&file, &[]);
        session.disconnect();
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
