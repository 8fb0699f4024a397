//! Rows 13 and 14: threads and handlers that have SIGTRAP, or SIGSEGV, for themselves.

use detrix_test_support::{Session, mark};

use crate::world::{armed, figure, times};

#[test]
fn row_13_a_thread_that_blocks_sigtrap() {
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    let action = program.ask("action", "action");
    let printed = program.run("blocked 50");
    assert_eq!(printed, ["sum 1275", "blocked 1", "unchanged true"]);
    assert_eq!(session.outputs(50).len(), 50);
    assert_eq!(program.ask("action", "action"), action);
    session.disconnect();
    program.quit();
}

#[test]
fn row_13_the_only_thread_of_a_program() {
    let expected: [(&str, &[&str]); 2] = [
        ("alone 50", &["sum 1275", "blocked 1", "unchanged true"]),
        ("alone_later 50", &["sum 1275", "kept true"]),
    ];
    for (command, expected) in expected {
        let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
        assert_eq!(program.run(command), expected);
        session.outputs(50);
        session.disconnect();
        program.quit();
    }
}

#[test]
fn row_13_a_thread_that_blocks_every_signal_under_fire() {
    let hits = times(50, 5_000);
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    let action = program.ask("action", "action");
    program.run("fire 2");
    session.outputs(10);
    let sum = u64::from(hits) * u64::from(hits + 1) / 2;
    let printed = program.run(&format!("everything {hits}"));
    assert_eq!(printed, [format!("sum {sum}"), "kept true".to_owned()]);
    assert_eq!(program.ask("action", "action"), action);
    session.outputs(10);
    drop(session);
    program.quit();
    figure(13, "hits of a thread that blocks every signal", hits);
}

#[test]
fn row_13_several_threads_that_block_sigtrap_hit_at_once() {
    let (threads, hits) = (times(3, 8), times(100, 5_000));
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    let action = program.ask("action", "action");
    // Half of them does not block it.
    let printed = program.run(&format!("together {threads} {hits}"));
    let expected = [
        format!("sum {}", 2 * threads * (hits + 1)),
        "lost 0".into(),
        "gained 0".into(),
    ];
    assert_eq!(printed, expected);
    session.outputs(100);
    assert_eq!(program.ask("action", "action"), action);
    drop(session);
    program.quit();
    figure(
        13,
        "hits of threads that block SIGTRAP, and of as many that do not, at once",
        2 * threads * hits,
    );
}

#[test]
fn row_13_threads_that_block_every_signal_come_and_go_among_others() {
    let threads = times(20, 2_000);
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    let action = program.ask("action", "action");
    let printed = program.run(&format!("strangers {threads}"));
    assert_eq!(printed[0], format!("sum {}", 6 * threads));
    // The kernel does not tell whose mask it was.
    let wrong = ["lost ", "gained "].map(|what| {
        let line = printed.iter().find_map(|line| line.strip_prefix(what));
        line.and_then(|number| number.parse::<u32>().ok())
    });
    let allowed = 5.max(1 + threads / 500);
    assert!(
        wrong
            .iter()
            .all(|wrong| wrong.is_some_and(|wrong| wrong <= allowed)),
        "{printed:?}"
    );
    session.outputs(100);
    assert_eq!(program.ask("action", "action"), action);
    drop(session);
    program.quit();
    figure(
        13,
        "threads that block every signal from before their first hit, among others that hit",
        threads,
    );
    let wrong: u32 = wrong.into_iter().flatten().sum();
    figure(13, "masks that were taken for another's", wrong);
}

#[test]
fn row_14_a_program_that_ignores_or_handles_sigtrap() {
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    assert_eq!(program.run("ignored 50"), ["sum 1275", "action true"]);
    session.outputs(50);
    assert_eq!(
        program.run("handled 50"),
        ["sum 1275", "handled 1"],
        "its own trap reaches its own handler, ours never do"
    );
    session.outputs(50);
    session.disconnect();
    program.quit();
}

#[test]
fn row_14_a_program_that_ignores_sigtrap_while_logpoints_change() {
    let (mut program, mut session, file) = armed("sigtrap_blocked", "hit");
    program.run("ignored 0");
    let ignored = format!("{:#x}", libc::SIG_IGN);
    for message in ["other", "hit"] {
        session.logpoint(&file, mark(&file, "hot"), message);
        assert_eq!(program.ask("action", "action"), ignored);
    }
    session.disconnect();
    program.quit();
}

#[test]
fn row_14_a_handler_that_was_set_before_wake() {
    let (mut program, session, file) = armed("sigtrap_blocked", "hit");
    session.disconnect();
    program.run("sleep");
    program.run("chain");
    let action = program.ask("action", "action");
    let undisturbed = program.ask("trap 20", "handled");
    let rounds = times(3, 30);
    program.run("fire 2");
    for _ in 0..rounds {
        let mut session = Session::attach(program.wake());
        session.logpoint(&file, mark(&file, "hot"), "hit");
        session.outputs(10);
        assert_eq!(program.ask("trap 20", "handled"), undisturbed);
        program.run("sleep");
        assert_eq!(program.ask("trap 20", "handled"), undisturbed);
        assert_eq!(program.ask("action", "action"), action);
    }
    program.quit();
    figure(
        14,
        "traps of the program's own, handled by a handler from before wake",
        80 * rounds,
    );
}

#[test]
fn row_14_a_handler_that_is_set_after_wake_and_calls_the_one_before() {
    let (mut program, mut session, file) = armed("sigtrap_blocked", "hit");
    program.run("fire 2");
    session.outputs(10);
    program.run("chain");
    let action = program.ask("action", "action");
    // What was there before it is ours; without us there would have been none, and no end.
    assert_eq!(program.ask("trap 20", "handled"), "40");
    session.outputs(10);
    program.run("sleep");
    assert_eq!(program.ask("action", "action"), action);
    assert_eq!(program.ask("trap 20", "handled"), "40");
    let rounds = times(3, 30);
    for _ in 0..rounds {
        let mut session = Session::attach(program.wake());
        session.logpoint(&file, mark(&file, "hot"), "hit");
        session.outputs(10);
        assert_eq!(program.ask("trap 20", "handled"), "40");
        program.run("sleep");
        assert_eq!(program.ask("action", "action"), action);
    }
    program.quit();
    figure(14, "wakes over a handler that calls ours", rounds);
}

#[test]
fn row_14_a_program_that_sets_the_default_on_purpose() {
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    program.run("fire 2");
    session.outputs(10);
    // No hit ends it, of whatever thread.
    let hits = times(50, 5_000);
    let sum = u64::from(hits) * u64::from(hits + 1) / 2;
    assert_eq!(
        program.run(&format!("default {hits}")),
        [format!("sum {sum}")]
    );
    session.outputs(10);
    // Its own trap does, as without us.
    program.send("trap 1");
    program.end();
    assert_eq!(program.killed_by(), Some(libc::SIGTRAP));
}
