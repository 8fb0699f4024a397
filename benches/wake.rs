//! How long it takes from `wake` to an attached client, and from there to the first logpoint that is armed; how long a wake
//! takes that registers with a daemon (a stand-in of it, which attaches before it answers); and how much memory that takes.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::Criterion;
use detrix_standin::{Options, Standin};
use detrix_test_support::{Profile, Running, Table, fixture, mark, median, source};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut program = Running::start("spin", Profile::Release);
    program.run("init");
    let (mut wakes, mut firsts) = (Vec::new(), Vec::new());
    criterion.bench_function("wake and attach", |bencher| {
        bencher.iter_custom(|iterations| sum(iterations, || life(&mut program).0, &mut wakes));
    });
    criterion.bench_function("first logpoint", |bencher| {
        bencher.iter_custom(|iterations| sum(iterations, || life(&mut program).1, &mut firsts));
    });
    let mut registrations = Vec::new();
    {
        let daemon = Standin::start(Options::default()).expect("a free port");
        let mut command = Command::new(fixture("registered", Profile::Release));
        command.env("DETRIX_REGISTER", "1");
        command.env("DETRIX_DAEMON_URL", daemon.url());
        let mut program = Running::spawn(&mut command);
        program.run("start");
        criterion.bench_function("wake and register", |bencher| {
            bencher.iter_custom(|iterations| {
                let run = || registered_life(&mut program);
                sum(iterations, run, &mut registrations)
            });
        });
        program.quit();
    }
    criterion.final_summary();
    let before = program.process().private_memory();
    let (_, _, awake) = life(&mut program);
    program.quit();

    let size = std::fs::metadata(fixture("spin", Profile::Release)).map_or(0, |file| file.len());
    let mut table = Table::default();
    table.add(
        "wake to an attached client",
        format!("{:.2} ms", median(&wakes)),
        "< 10 ms",
    );
    table.add(
        "wake with registration",
        format!("{:.2} ms", median(&registrations)),
        "< 30 ms",
    );
    table.add(
        &format!("first logpoint, {} MB binary", size / 1_000_000),
        format!("{:.2} ms", median(&firsts)),
        "< 15 ms",
    );
    table.add(
        "private memory awake with a logpoint",
        format!("{} KiB", awake.saturating_sub(before) / 1024),
        "< 64 MiB",
    );
    println!("{table}");
}

/// Wakes, attaches, sets the first logpoint and sleeps again; how long the two steps took, and how much memory the program
/// had of its own then.
fn life(program: &mut Running) -> (Duration, Duration, u64) {
    let file = source("bin/spin.rs");
    let line = mark(&file, "hot");
    let start = Instant::now();
    let port = program.wake();
    let mut client = dap::Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
    client.initialize().expect("initialize");
    client.attach(serde_json::json!({})).expect("attach");
    let attached = Instant::now();
    let placed = client
        .set_logpoints(
            file.to_str().expect("UTF-8"),
            &[(line.into(), "id={id} symbol={symbol}")],
        )
        .expect("setBreakpoints");
    let armed = Instant::now();
    assert!(placed[0].verified, "{placed:?}");
    let memory = program.process().private_memory();
    program.run("sleep");
    (attached - start, armed - attached, memory)
}

/// Wakes, which registers, and sleeps again, which unregisters; how long the wake took.
fn registered_life(program: &mut Running) -> Duration {
    let start = Instant::now();
    program.wake();
    let woken = start.elapsed();
    program.run("sleep");
    woken
}

fn sum(iterations: u64, mut run: impl FnMut() -> Duration, samples: &mut Vec<f64>) -> Duration {
    (0..iterations)
        .map(|_| {
            let time = run();
            samples.push(time.as_secs_f64() * 1000.0);
            time
        })
        .sum()
}
