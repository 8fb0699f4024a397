//! What detrix costs while it sleeps: instructions, threads, wake-ups, memory; and awake without a logpoint: throughput.

use std::process::Command;
use std::time::Duration;

use detrix_test_support::{Profile, Running, Table, fixture, median, root};

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut table = Table::default();
    instructions(&mut table);
    idle(&mut table, Duration::from_secs(if quick { 5 } else { 60 }));
    throughput(&mut table, if quick { 5 } else { 25 });
    println!("{table}");
}

/// Counts instructions with callgrind: those of the rounds alone, as the difference of a run with them and one without, so
/// that neither `init` nor the program's own start is in it, but every thread is.
fn instructions(table: &mut Table) {
    const ROUNDS: u32 = 20;
    let name = "instructions asleep / without detrix";
    let counted = |program: &str| Some(count(program, ROUNDS)? - count(program, 0)?);
    match (counted("asleep_with"), counted("asleep_without")) {
        (Some(with), Some(without)) => {
            table.add(name, format!("{:.5}", with / without), "1.000");
            table.add("  instructions of the workload", without, "");
        }
        _ => table.add(name, "skipped: valgrind is not installed", "1.000"),
    }
}

/// The instructions that a run executes, or `None` where there is no valgrind.
fn count(program: &str, rounds: u32) -> Option<f64> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!(
            "--callgrind-out-file={}",
            root().join("target/callgrind.out").display()
        ))
        .arg(fixture(program, Profile::Release))
        .arg(rounds.to_string())
        .env("DETRIX_REGISTER", "0")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.unwrap_or_else(|| panic!("callgrind counted nothing: {text}"));
    number.trim().parse().ok()
}

fn idle(table: &mut Table, window: Duration) {
    let mut program = Running::start("idle", Profile::Release);
    let process = program.process();
    let (threads, memory) = (process.threads().len(), process.private_memory());
    program.run("init");
    table.add("threads asleep", process.threads().len() - threads, "1");
    let asleep = process.private_memory().saturating_sub(memory);
    // The switch by which the thread goes to sleep is none of sleeping.
    while !process.all_sleep() {
        std::thread::yield_now();
    }
    let before = process.voluntary_switches();
    std::thread::sleep(window);
    let switches = process.voluntary_switches() - before;
    table.add(
        "wake-ups a minute asleep",
        format!("{:.0}", switches as f64 * 60.0 / window.as_secs_f64()),
        "0",
    );
    table.add("private memory asleep", kibibytes(asleep), "< 1024 KiB");
    program.wake();
    program.run("sleep");
    let again = process.private_memory().saturating_sub(memory);
    table.add("  after wake and sleep", kibibytes(again), "");
    program.quit();
}

fn kibibytes(bytes: u64) -> String {
    format!("{} KiB", bytes / 1024)
}

/// The same calls asleep and awake by turns, so that a change of the machine's pace meets both.
fn throughput(table: &mut Table, rounds: usize) {
    const CALLS: &str = "hot 1000000";
    let mut program = Running::start("spin", Profile::Release);
    program.run("init");
    let (mut asleep, mut awake) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        asleep.push(program.number(CALLS, "nanoseconds") as f64);
        program.wake();
        awake.push(program.number(CALLS, "nanoseconds") as f64);
        program.run("sleep");
    }
    program.quit();
    let ratio = median(&asleep) / median(&awake);
    table.add(
        "throughput awake without a logpoint / asleep",
        format!("{ratio:.3}"),
        "> 0.99",
    );
}
