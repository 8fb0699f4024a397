//! Row 12: threads, many and short-lived. Row 15: threads and fibers with little stack.

use std::collections::BTreeSet;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};

use serde_json::json;

use crate::world::{armed, figure, times};

#[test]
fn row_12_threads_that_are_created_while_traced() {
    let (mut program, mut session, _) = armed("threads", "thread {thread}");
    assert_eq!(program.ask("serial 40 2", "sum"), "1560");
    let texts: BTreeSet<String> = session
        .outputs(80)
        .into_iter()
        .map(|output| output.text)
        .collect();
    assert_eq!(texts.len(), 40, "each thread logged: {texts:?}");
    assert_eq!(program.ask("storm 40 2", "sum"), "3120");
    session.outputs(160);
    assert_eq!(program.process().untraced(), 0);
    session.disconnect();
    program.quit();
}

#[test]
fn row_12_a_thousand_threads_at_once() {
    let count = times(100, 1_000);
    let file = source("bin/threads.rs");
    let mut program = Running::start("threads", Profile::Release);
    let mut session = Session::attach(program.port());
    let undisturbed = program.ask(&format!("many {count} 3"), "sum");
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    assert_eq!(program.ask(&format!("many {count} 3"), "sum"), undisturbed);
    let texts: Vec<String> = session.texts(3 * count as usize);
    let threads: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(threads.len(), count as usize, "each thread logged");
    session.disconnect();
    program.quit();
    figure(12, "threads at once, each logged", count);
}

#[test]
fn row_12_threads_are_born_and_die_while_sites_come_and_go() {
    let (born, rounds) = (times(60, 500), times(20, 200));
    let (mut program, mut session, file) = armed("threads", "thread {thread}");
    let storm = format!("storm {born} 4");
    session.logpoints(&file, &[]);
    let undisturbed = program.ask(&storm, "sum");
    program.run("fire 2");
    program.send(&storm);
    let mut storms = 1;
    for round in 0..rounds {
        // Only some of what all threads hit is logged, for the client to keep up.
        let wanted = json!([{
            "line": mark(&file, "hot"),
            "logMessage": "thread {thread}",
            "hitCondition": "% 50",
        }]);
        let placed = session.breakpoints(&file, &wanted).remove(0);
        assert!(placed.verified, "{placed:?}");
        session.outputs(3);
        session.logpoints(&file, &[]);
        if round % 10 == 9 {
            let outcome = program.outcome(&storm).expect("a storm ends");
            assert_eq!(outcome, [format!("sum {undisturbed}")]);
            program.send(&storm);
            storms += 1;
        }
    }
    let outcome = program.outcome(&storm).expect("a storm ends");
    assert_eq!(outcome, [format!("sum {undisturbed}")]);
    drop(session);
    program.quit();
    figure(
        12,
        "threads born and dead while sites came and went",
        2 * born * storms,
    );
    figure(12, "times that a site came and went meanwhile", rounds);
}

#[test]
fn row_12_threads_that_no_tracer_is_told_of() {
    let count = times(10, 100);
    let (mut program, mut session, file) = armed("threads", "thread {thread}");
    let command = format!("untraced {count} 400");
    session.logpoints(&file, &[]);
    let undisturbed = program.ask(&command, "sum");
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    program.run("fire 2");
    session.outputs(10);
    assert_eq!(program.ask(&command, "sum"), undisturbed);
    // The first hits pass, and are counted as such; then the thread is traced, and logs, unless it has ended before.
    let totals = program.ask("status", "totals");
    let totals: serde_json::Value = serde_json::from_str(&totals).expect("the totals are JSON");
    assert!(totals["missed"].as_u64() > Some(0), "{totals}");
    let own: BTreeSet<String> = (2..count).map(|index| format!("thread {index}")).collect();
    until("one of them logs", || {
        program.send(&command);
        let found = session
            .outputs(400)
            .iter()
            .any(|output| own.contains(&output.text));
        assert_eq!(
            program.outcome(&command).expect("it ends"),
            [format!("sum {undisturbed}")]
        );
        found
    });
    drop(session);
    program.quit();
    figure(12, "threads made with CLONE_UNTRACED under fire", count);
}

#[test]
fn row_12_a_process_whose_main_thread_has_ended() {
    let file = source("bin/threads.rs");
    let mut command = Command::new(fixture("threads", Profile::Release));
    let mut program = Running::spawn(command.arg("--without-main"));
    let mut session = Session::attach(program.port());
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    assert_eq!(program.ask("serial 4 2", "sum"), "12");
    session.outputs(8);
    program.run("sleep");
    assert_eq!(program.ask("serial 4 2", "sum"), "12");
    program.quit();
}

#[test]
fn row_12_threads_that_existed_before_are_traced_only_while_a_site_is_armed() {
    let file = source("bin/threads.rs");
    let mut program = Running::start("threads", Profile::Release);
    let mut session = Session::attach(program.port());
    program.run("park 20");
    assert_eq!(
        program.process().tracers(),
        BTreeSet::new(),
        "awake, and nothing is traced"
    );
    session.logpoint(&file, mark(&file, "hot"), "hit");
    assert_eq!(program.process().tracers().len(), 1);
    until("every thread is traced", || {
        program.process().untraced() == 0
    });
    session.logpoints(&file, &[]);
    until("nothing is traced any more", || {
        program.process().tracers().is_empty()
    });
    program.quit();
}

#[test]
fn row_15_tiny_stacks_and_fibers() {
    let count = times(20, 1_000);
    let (mut program, mut session, file) = armed("threads", "thread {thread}");
    for command in [format!("tiny {count} 5"), format!("fibers {count} 5")] {
        session.logpoints(&file, &[]);
        let undisturbed = program.ask(&command, "sum");
        session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
        assert_eq!(program.ask(&command, "sum"), undisturbed, "{command}");
        let texts: BTreeSet<String> = session.texts(5 * count as usize).into_iter().collect();
        assert_eq!(texts.len(), count as usize, "each logged: {command}");
    }
    // And where nobody traces them: the handler runs on the stack that there is.
    session.logpoints(&file, &[]);
    program.run("fire 2");
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    session.outputs(10);
    for command in ["tiny 10 50", "fibers 10 50"] {
        assert_eq!(program.ask(command, "sum"), "2250", "{command}");
    }
    drop(session);
    program.quit();
    figure(
        15,
        "threads with the smallest stack, and as many fibers",
        count,
    );
}
