//! What the rows share.

use std::path::PathBuf;
use std::process::Command;

pub use detrix_test_support::skip;
use detrix_test_support::{Process, Profile, Running, Session, fixture, mark, source, try_mark};

/// Starts the fixture and arms its `hot` line.
pub fn armed(name: &str, message: &str) -> (Running, Session, PathBuf) {
    let file = hot_file(name);
    let mut program = unbounded(name);
    let mut session = Session::attach(program.port());
    session.logpoint(&file, mark(&file, "hot"), message);
    (program, session, file)
}

/// Where the fixture's `hot` line is: in its own source, or in the one that fixtures share.
pub fn hot_file(name: &str) -> PathBuf {
    let own = source(&format!("bin/{name}.rs"));
    match try_mark(&own, "hot") {
        Some(_) => own,
        None => source("hot.rs"),
    }
}

/// Starts the fixture with a budget that takes no site out: a test that counts hits must see each of them, however
/// slow the machine is.
pub fn unbounded(name: &str) -> Running {
    Running::spawn(Command::new(fixture(name, Profile::Release)).env("DETRIX_LOGPOINT_BUDGET", "1"))
}

/// Has the fixture `modules` hit a logpoint of its own in loops on two threads, of which only some hits are logged: a test that
/// waits for what another logpoint says must not have thousands to read before.
pub fn slow_fire(program: &mut Running, session: &mut Session) {
    let file = source("bin/modules.rs");
    let line = mark(&file, "hot");
    let wanted =
        serde_json::json!([{ "line": line, "logMessage": "own", "hitCondition": "% 500" }]);
    let placed = session.breakpoints(&file, &wanted);
    assert!(placed.iter().all(|placed| placed.verified), "{placed:?}");
    program.run("fire 2");
    session.outputs(3);
}

/// What `commands` print must not depend on us: the fixture runs them asleep, and again with its `hot` line armed, in
/// another process that `fire`s beside them where it can. Returns what they printed, and how many hits there were.
pub fn as_without_us(name: &str, fire: Option<&str>, commands: &[&str]) -> (Vec<String>, u64) {
    let mut asleep = unbounded(name);
    let _ = asleep.port();
    asleep.run("sleep");
    let (mut armed, mut session, _) = armed(name, "hit");
    if let Some(fire) = fire {
        asleep.run(fire);
        armed.run(fire);
    }
    let mut printed = Vec::new();
    for command in commands {
        let without = asleep.run(command);
        let with = armed.run(command);
        assert_eq!(with, without, "`{command}` is not as without us");
        printed.extend(with);
    }
    let hits = hits(&mut armed);
    assert!(hits > 0, "nothing was logged meanwhile");
    if fire.is_none() {
        // What was logged has to be read before the end can be.
        session.drain();
        session.disconnect();
    }
    for program in [asleep, armed] {
        program.quit();
    }
    (printed, hits)
}

/// How many hits the program's logpoints had since it woke, as `status` counts them.
pub fn hits(program: &mut Running) -> u64 {
    let totals = program.ask("status", "totals");
    let totals: serde_json::Value = serde_json::from_str(&totals).expect("the totals are JSON");
    totals["hits"].as_u64().expect("hits are a number")
}

/// The tracer, seen from outside: the process that traces the fixture's threads.
pub fn tracer(program: &Running) -> Process {
    let tracers = program.process().tracers();
    assert_eq!(tracers.len(), 1, "one tracer: {tracers:?}");
    Process::new(tracers.into_iter().next().expect("one"))
}

/// How often a row is tried: a few times, or `full` times where `DETRIX_SURVIVAL` is `full`.
pub fn times(few: u32, full: u32) -> u32 {
    match std::env::var("DETRIX_SURVIVAL").as_deref() {
        Ok("full") => full,
        Err(_) | Ok("") => few,
        Ok(other) => panic!("DETRIX_SURVIVAL={other}: expected full, or nothing"),
    }
}

/// Prints a figure of a row as `docs/survival.md` has it.
pub fn figure(row: u32, what: &str, number: impl std::fmt::Display) {
    println!("survival: row {row}: {what}: {number}");
}
