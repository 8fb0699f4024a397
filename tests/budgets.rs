//! What logpoints may cost and how long they live, over the protocol: budgets, hit limits, times to live, and the numbers
//! of `status`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use detrix::{LogpointCounts, LogpointState, LogpointStatus};
use detrix_test_support::{PATIENCE, Profile, Running, Session, fixture, mark, source};
use serde_json::{Value, json};

/// Four threads, for longer than a window.
const RUN: &str = "run 4 400";

struct World {
    program: Running,
    port: u16,
    file: PathBuf,
}

impl World {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(fixture("hot_loops", Profile::Release));
        let mut program = Running::spawn(command.envs(variables.iter().copied()));
        program.run("init");
        let port = program.wake();
        let file = source("bin/hot_loops.rs");
        Self {
            program,
            port,
            file,
        }
    }

    fn line(&self, name: &str) -> u32 {
        mark(&self.file, name)
    }

    fn status(&mut self, key: &str) -> Vec<String> {
        let printed = self.program.run("status");
        let values = printed.iter().filter_map(|line| line.strip_prefix(key));
        values.map(|value| value.trim().to_owned()).collect()
    }

    fn logpoints(&mut self) -> Vec<LogpointStatus> {
        let all = self.status("logpoint ");
        all.iter()
            .map(|json| serde_json::from_str(json).expect("a logpoint"))
            .collect()
    }

    /// The only logpoint, as soon as it is in that state.
    fn standing(&mut self, state: LogpointState) -> LogpointStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.logpoints();
            let [logpoint] = &all[..] else {
                panic!("one logpoint: {all:?}");
            };
            if logpoint.state == state {
                return logpoint.clone();
            }
            assert!(Instant::now() < deadline, "{logpoint:?}");
            std::thread::yield_now();
        }
    }

    fn totals(&mut self) -> LogpointCounts {
        let totals = self.status("totals ");
        serde_json::from_str(&totals[0]).expect("the totals")
    }
}

/// Waits for the event that a breakpoint is not set any more; returns its message.
fn unset(session: &mut Session) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = session.try_event("breakpoint", left);
        let event = event.expect("the end of a logpoint is told");
        if event["breakpoint"]["verified"] == false {
            assert_eq!(event["reason"], "changed");
            let message = event["breakpoint"]["message"].as_str();
            return message.expect("a reason").to_owned();
        }
    }
}

/// Waits until the server says something with `part` in it on its own account.
fn told(session: &mut Session, part: &str) -> String {
    loop {
        let event = session.expect_event("output");
        let text = event["output"].as_str().expect("a text");
        if event["source"].is_null() && text.contains(part) {
            return text.to_owned();
        }
    }
}

fn with(line: u32, message: &str, more: Value) -> Value {
    let mut breakpoint = more;
    breakpoint["line"] = json!(line);
    breakpoint["logMessage"] = json!(message);
    breakpoint
}

#[test]
fn a_logpoint_over_its_budget_is_suspended_and_its_numbers_add_up() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_BUDGET", "0.002")]);
    let mut session = Session::attach(world.port);
    session.logpoint(&world.file, world.line("hot"), "{id}");
    let calls = world.program.number("run 4 2000", "calls");
    // What was counted stays when it is put back.
    let counts = world.standing(LogpointState::Active).counts;
    assert!(counts.suspensions > 1, "{counts:?}");
    assert!(
        counts.suspended_ns > 0 && counts.stopped_ns > 0,
        "{counts:?}"
    );
    // There is no condition, so what was looked at was logged or lost.
    assert_eq!(counts.hits, counts.logged + counts.dropped, "{counts:?}");
    assert!(counts.hits + counts.missed < calls, "{counts:?} of {calls}");
    // What is logged arrives, and no more.
    let arrived = session.outputs(usize::try_from(counts.logged).expect("some"));
    assert_eq!(arrived.len() as u64, counts.logged);
    assert_eq!(session.drain(), []);
    let totals = world.totals();
    assert_eq!(
        (
            totals.hits,
            totals.logged,
            totals.missed,
            totals.suspensions
        ),
        (
            counts.hits,
            counts.logged,
            counts.missed,
            counts.suspensions
        )
    );
    assert_eq!(totals.stopped_ns, counts.stopped_ns);
    world.program.quit();
}

#[test]
fn a_client_is_told_that_a_logpoint_is_suspended_and_that_it_logs_again() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_BUDGET", "0.002")]);
    let mut session = Session::attach(world.port);
    let line = world.line("hot");
    session.logpoint(&world.file, line, "{id}");
    world.program.run(RUN);
    let logpoint = format!("the logpoint at {}:{line}", world.file.display());
    for news in [
        "is over its budget and suspended",
        "is within its budget again",
    ] {
        let text = told(&mut session, news);
        assert!(text.contains(&logpoint), "{text}");
    }
    world.program.quit();
}

#[test]
fn a_logpoint_that_is_removed_while_it_is_suspended_keeps_its_numbers() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_BUDGET", "0")]);
    let mut session = Session::attach(world.port);
    session.logpoint(&world.file, world.line("hot"), "{id}");
    world.program.run("count 1");
    assert_eq!(session.texts(1), ["0"]);
    let before = world.logpoints().remove(0).counts;
    session.logpoints(&world.file, &[]);
    assert_eq!(world.logpoints(), []);
    let totals = world.totals();
    assert_eq!((totals.hits, totals.suspensions), (1, 1));
    assert!(totals.suspended_ns > 0, "{totals:?}");
    assert!(totals.suspended_ns >= before.suspended_ns, "{totals:?}");
    world.program.quit();
}

#[test]
fn all_logpoints_together_stay_within_the_total() {
    let mut world = World::start(&[("DETRIX_TOTAL_BUDGET", "0.002")]);
    let (mut one, mut other) = (Session::attach(world.port), Session::attach(world.port));
    one.logpoint(&world.file, world.line("hot"), "{id}");
    other.logpoint(&world.file, world.line("rest"), "{id}");
    world.program.run(RUN);
    let all = world.logpoints();
    let suspensions = all.iter().map(|logpoint| logpoint.counts.suspensions);
    assert!(suspensions.clone().all(|count| count > 0), "{all:?}");
    assert_eq!(world.totals().suspensions, suspensions.sum::<u64>());
    world.program.quit();
}

#[test]
fn a_client_limits_its_own_logpoints_together_and_nobody_elses() {
    let mut world = World::start(&[]);
    let limits = json!({"totalBudget": 0.001});
    let mut limited = Session::attach_with(world.port, limits);
    let mut free = Session::attach(world.port);
    let (hot, rest) = (world.line("hot"), world.line("rest"));
    limited.logpoints(&world.file, &[(hot, "{id}"), (rest, "{id}")]);
    free.logpoint(&world.file, hot, "free {id}");
    world.program.run(RUN);
    let all = world.logpoints();
    let suspensions: Vec<u64> = all
        .iter()
        .map(|logpoint| logpoint.counts.suspensions)
        .collect();
    let [hot, rest, free] = suspensions[..] else {
        panic!("three logpoints: {all:?}");
    };
    assert!(hot > 0 && rest > 0 && free == 0, "{all:?}");
    // At the line that both are at, hits went on while the limited one was suspended.
    assert!(all[0].counts.missed > 0, "{all:?}");
    assert!(all[2].counts.hits > all[0].counts.hits, "{all:?}");
    world.program.quit();
}

#[test]
fn a_client_cannot_raise_what_the_configuration_allows() {
    let mut world = World::start(&[
        ("DETRIX_LOGPOINT_BUDGET", "0.002"),
        ("DETRIX_LOGPOINT_HIT_LIMIT", "1000000"),
    ]);
    let limits = json!({"logpointBudget": 1, "hitLimit": 2_000_000});
    let mut session = Session::attach_with(world.port, limits);
    session.logpoint(&world.file, world.line("hot"), "{id}");
    world.program.run(RUN);
    assert!(world.logpoints()[0].counts.suspensions > 0);
    world.program.quit();
}

#[test]
fn a_client_may_ask_for_less_than_the_configuration_allows() {
    let mut world = World::start(&[]);
    let mut session = Session::attach_with(world.port, json!({"logpointBudget": 0.002}));
    session.logpoint(&world.file, world.line("hot"), "{id}");
    world.program.run(RUN);
    assert!(world.logpoints()[0].counts.suspensions > 0);
    let refused = session.try_request("attach", json!({"logpointBudget": 2}));
    assert!(refused.unwrap_err().contains("a share, 0 to 1"));
    world.program.quit();
}

#[test]
fn a_suspended_logpoint_that_cannot_be_put_back_is_told() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_BUDGET", "0")]);
    let mut session = Session::attach(world.port);
    let (patched, rest) = (world.line("patched"), world.line("rest"));
    session.logpoint(&world.file, patched, "{id}");
    world.program.run("patch");
    let why = unset(&mut session);
    assert!(why.contains("is not what it was"), "{why}");
    assert_eq!(session.texts(1), ["1"]);
    // Others go on.
    let again = session.logpoints(&world.file, &[(patched, "{id}"), (rest, "rest")]);
    assert_eq!((again[0].verified, again[1].verified), (false, true));
    world.program.run("count 1");
    assert_eq!(session.texts(1), ["rest"]);
    world.program.quit();
}

#[test]
fn a_logpoint_that_has_logged_enough_expires_and_stays_so() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_HIT_LIMIT", "3")]);
    let before = world.program.process().text();
    let mut session = Session::attach(world.port);
    let hot = world.line("hot");
    let placed = session.logpoint(&world.file, hot, "{id}");
    world.program.run("count 10");
    assert_eq!(session.texts(3), ["0", "1", "2"]);
    let why = unset(&mut session);
    assert!(why.contains("expired: it has logged as many hits"), "{why}");
    // For people, too.
    let said = session.expect_event("output");
    let said = said["output"].as_str().expect("a text");
    assert!(said.contains("has expired: it has logged"), "{said}");
    assert!(world.program.process().text() == before);
    // The list is sent again whenever another line changes; that brings nothing back.
    let rest = world.line("rest");
    let again = session.logpoints(&world.file, &[(hot, "{id}"), (rest, "rest")]);
    assert_eq!((again[0].id, again[0].verified), (placed.id, false));
    assert!(again[0].message.contains("expired"), "{again:?}");
    assert!(again[1].verified);
    world.program.run("count 1");
    assert_eq!(session.texts(1), ["rest"]);
    let states: Vec<_> = world.logpoints().iter().map(|it| it.state).collect();
    assert_eq!(states, [LogpointState::Expired, LogpointState::Active]);
    assert_eq!(world.logpoints()[0].counts.logged, 3);
    // What is removed and set again is new.
    session.logpoints(&world.file, &[]);
    session.logpoint(&world.file, hot, "{id}");
    world.program.run("count 1");
    assert_eq!(session.texts(1), ["0"]);
    world.program.quit();
}

#[test]
fn the_addresses_of_a_logpoint_share_one_account() {
    let mut world = World::start(&[]);
    let before = world.program.process().text();
    let mut session = Session::attach(world.port);
    // Inlined into two functions, which are called in turn.
    let limited = with(world.line("inlined"), "{id}", json!({"hitLimit": 5}));
    assert!(session.breakpoints(&world.file, &json!([limited]))[0].verified);
    world.program.run("count 10");
    assert_eq!(session.texts(5), ["0", "100", "1", "101", "2"]);
    unset(&mut session);
    assert_eq!(session.drain(), []);
    assert!(world.program.process().text() == before, "at all of them");
    assert_eq!(world.logpoints()[0].counts.logged, 5);
    world.program.quit();
}

#[test]
fn hits_that_a_condition_passes_over_do_not_count_for_the_limit() {
    let mut world = World::start(&[]);
    let mut session = Session::attach_with(world.port, json!({"hitLimit": 2}));
    let condition = json!({"condition": "id % 10 == 0"});
    let limited = with(world.line("hot"), "{id}", condition);
    session.breakpoints(&world.file, &json!([limited]));
    world.program.run("count 100");
    assert_eq!(session.texts(2), ["0", "10"]);
    unset(&mut session);
    let hot = world.logpoints().remove(0);
    assert_eq!((hot.counts.hits, hot.counts.logged), (11, 2));
    world.program.quit();
}

#[test]
fn one_of_two_logpoints_of_a_line_expires_and_the_other_goes_on() {
    let mut world = World::start(&[]);
    let mut session = Session::attach(world.port);
    let hot = world.line("hot");
    let both = json!([
        with(hot, "short {id}", json!({"hitLimit": 1})),
        with(hot, "long {id}", json!({})),
    ]);
    assert!(
        session
            .breakpoints(&world.file, &both)
            .iter()
            .all(|it| it.verified)
    );
    world.program.run("count 3");
    let texts = session.texts(4);
    assert_eq!(texts, ["short 0", "long 0", "long 1", "long 2"]);
    unset(&mut session);
    world.program.run("count 1");
    assert_eq!(session.texts(1), ["long 0"]);
    world.program.quit();
}

#[test]
fn a_logpoint_that_has_lived_long_enough_expires() {
    let mut world = World::start(&[("DETRIX_LOGPOINT_TTL", "0.05")]);
    let before = world.program.process().text();
    let mut session = Session::attach(world.port);
    // Asks for more, and gets what is allowed.
    let long = with(world.line("hot"), "{id}", json!({"ttl": 1000}));
    assert!(session.breakpoints(&world.file, &json!([long]))[0].verified);
    let why = unset(&mut session);
    assert!(why.contains("expired: it has lived as long"), "{why}");
    assert!(world.program.process().text() == before);
    assert_eq!(world.logpoints()[0].state, LogpointState::Expired);
    world.program.quit();
}

#[test]
fn a_breakpoints_own_limits_count_before_those_of_attach_which_may_come_later() {
    let mut world = World::start(&[]);
    let mut session = Session::connect(world.port);
    let (hot, rest) = (world.line("hot"), world.line("rest"));
    let both = json!([
        with(hot, "hot", json!({"hitLimit": 2})),
        with(rest, "rest", json!({})),
    ]);
    session.breakpoints(&world.file, &both);
    session.request("attach", json!({"hitLimit": 1}));
    world.program.run("count 5");
    assert_eq!(session.texts(3), ["hot", "rest", "hot"]);
    for _ in 0..2 {
        unset(&mut session);
    }
    assert_eq!(session.drain(), []);
    for wrong in [json!({"hitLimit": 0}), json!({"ttl": -1})] {
        let path = world.file.to_str().expect("UTF-8");
        let breakpoints = json!([with(hot, "hot", wrong)]);
        let refused = session.try_request(
            "setBreakpoints",
            json!({"source": {"path": path}, "breakpoints": breakpoints}),
        );
        assert!(refused.unwrap_err().contains("are not understood"));
    }
    world.program.quit();
}
