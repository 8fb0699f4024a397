//! The cost of a hit of a logpoint (an integer and a `&str`), against the floor: a bare stop and continue by ptrace. Then
//! the cost by the kind of value.
//!
//! Both are paced alike, in bursts: what reads the records has to keep up. The budget is off.
//! Each is measured with everything that takes part on one CPU, and left to the scheduler.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use criterion::Criterion;
use detrix_test_support::{Profile, Running, Table, fixture, mark, median, pin, source};

/// The pause between two bursts of hits, in nanoseconds.
const PAUSE: u64 = 5_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut table = Table::default();
    let floor = floor(&mut criterion, "floor, one CPU", Some(0));
    let free_floor = self::floor(&mut criterion, "floor, unpinned", None);
    let pinned = hit(&mut criterion, "hit, one CPU", &ORDER, Some(0));
    let free = hit(&mut criterion, "hit, unpinned", &ORDER, None);
    let kinds = KINDS.map(|(name, message)| {
        let kind = Logpoint {
            command: "kinds",
            message,
        };
        (name, hit(&mut criterion, name, &kind, Some(0)))
    });
    criterion.final_summary();
    for (name, cost) in [
        ("bare ptrace stop and continue, one CPU", floor),
        ("bare ptrace stop and continue, unpinned", free_floor),
        ("hit of a logpoint, one CPU", pinned),
        ("hit of a logpoint, unpinned", free),
    ] {
        table.add(name, format!("{:.2} us", cost / 1000.0), "");
    }
    table.add(
        "hit / floor, one CPU",
        format!("{:.2}", pinned / floor),
        "< 1.5",
    );
    table.add(
        "hit unpinned / floor on one CPU",
        format!("{:.2}", free / floor),
        "< 2",
    );
    for (name, cost) in kinds {
        table.add(
            &format!("hit that shows {name}, one CPU"),
            format!("{:.2} us", cost / 1000.0),
            "",
        );
    }
    println!("{table}");
}

/// A marked line of the fixture, and the command that runs it.
struct Logpoint {
    command: &'static str,
    message: &'static str,
}

const ORDER: Logpoint = Logpoint {
    command: "hot",
    message: "id={id} symbol={symbol}",
};

/// What a value costs by its kind, with 16 elements or entries where it has several.
const KINDS: [(&str, &str); 9] = [
    ("nothing", "hit"),
    ("an integer", "{kinds.number}"),
    ("a String", "{kinds.text}"),
    ("an Option<String>", "{kinds.option}"),
    ("an Arc", "{kinds.shared}"),
    ("a Vec of integers", "{kinds.numbers}"),
    ("a Vec of Strings", "{kinds.words}"),
    ("a HashMap of integers", "{kinds.table}"),
    ("a BTreeMap to Strings", "{kinds.tree}"),
];

/// The median cost of a hit in nanoseconds: with the logpoint, less the same calls without it.
fn hit(criterion: &mut Criterion, name: &str, logpoint: &Logpoint, cpu: Option<usize>) -> f64 {
    let word = logpoint.command;
    pin(cpu);
    let mut command = Command::new(fixture("spin", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_LOGPOINT_BUDGET", "1"));
    // The client does not compete with what is measured.
    pin(cpu.map(|cpu| cpu + 1).filter(|_| cpus() > 1));
    program.run("init");
    let port = program.wake();
    let bare = program.number(&format!("{word} 2000 {PAUSE}"), "nanoseconds") as f64 / 2000.0;
    let client = Reader::start(port, logpoint);
    let (samples, hits) = sample(criterion, name, |iterations| {
        program.number(&format!("{word} {iterations} {PAUSE}"), "nanoseconds")
    });
    let logged = client.stop(hits);
    if logged < hits {
        println!("{name}: {logged} of {hits} hits were logged; the others were dropped");
    }
    program.quit();
    pin(None);
    median(&samples) - bare
}

/// The median cost of an `int3` whose tracer only continues, in nanoseconds.
fn floor(criterion: &mut Criterion, name: &str, cpu: Option<usize>) -> f64 {
    pin(cpu);
    let mut program = Running::start("spin", Profile::Release);
    let pid = i32::try_from(program.process().pid()).expect("a process id is positive");
    // SAFETY: ptrace(2) of our own child; no pointers are passed.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
    assert_eq!(seized, 0, "seize: {}", std::io::Error::last_os_error());
    let (samples, _) = sample(criterion, name, |iterations| {
        let command = format!("trap {iterations} {PAUSE}");
        program.send(&command);
        for _ in 0..iterations {
            resume(pid);
        }
        let printed = program.outcome(&command).expect("it works");
        let nanoseconds = printed[0].strip_prefix("nanoseconds ");
        nanoseconds
            .and_then(|number| number.parse().ok())
            .expect("it prints its time")
    });
    drop(program);
    pin(None);
    median(&samples)
}

/// Waits for one trap of the process and lets it go on.
fn resume(pid: i32) {
    let mut status = 0;
    // SAFETY: waitpid(2) with a valid place for the status.
    let stopped = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert!(
        stopped == pid && libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP,
        "not a trap: {status:#x}"
    );
    // SAFETY: ptrace(2) of a stopped tracee; no pointers are passed.
    let continued = unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) };
    assert_eq!(
        continued,
        0,
        "continue: {}",
        std::io::Error::last_os_error()
    );
}

/// Lets criterion decide how often `run` is called with how many iterations; returns the nanoseconds of an iteration of each
/// sample, and the number of all iterations.
fn sample(
    criterion: &mut Criterion,
    name: &str,
    mut run: impl FnMut(u64) -> u64,
) -> (Vec<f64>, u64) {
    let (mut samples, mut total) = (Vec::new(), 0);
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let nanoseconds = run(iterations);
            samples.push(nanoseconds as f64 / iterations as f64);
            total += iterations;
            Duration::from_nanos(nanoseconds)
        });
    });
    (samples, total)
}

/// A client that sets the logpoint and reads its output on a thread of its own.
struct Reader {
    thread: JoinHandle<()>,
    end: Arc<AtomicBool>,
    logged: Arc<AtomicU64>,
}

impl Reader {
    fn start(port: u16, logpoint: &Logpoint) -> Self {
        let file = source("bin/spin.rs");
        let line = mark(&file, logpoint.command);
        let mut client = dap::Client::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        client.initialize().expect("initialize");
        client.attach(serde_json::json!({})).expect("attach");
        let path = file.to_str().expect("UTF-8");
        let placed = client
            .set_logpoints(path, &[(line.into(), logpoint.message)])
            .expect("setBreakpoints");
        assert!(placed[0].verified, "{placed:?}");
        let (end, logged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (end, logged) = (end.clone(), logged.clone());
            move || {
                while !end.load(Ordering::Relaxed) {
                    match client.next_output(Duration::from_millis(20)) {
                        Ok(output) if output.source.is_some() => {
                            logged.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(_) | Err(dap::ClientError::Timeout(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        Self {
            thread,
            end,
            logged,
        }
    }

    /// The number of outputs, once `expected` have come or a second has passed.
    fn stop(self, expected: u64) -> u64 {
        let deadline = std::time::Instant::now() + Duration::from_secs(1);
        while self.logged.load(Ordering::Relaxed) < expected && std::time::Instant::now() < deadline
        {
            std::thread::yield_now();
        }
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader does not panic");
        self.logged.load(Ordering::Relaxed)
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
