//! Row 1: the tracer is killed, or waits for what does not come.

use detrix_test_support::{Profile, Random, Running, Session, mark, source, until};

use crate::world::{armed, figure, hits, skip, times, tracer};

/// Seeded by `DETRIX_SEED`, or the time; printed.
fn seeded() -> Random {
    let seed = match std::env::var("DETRIX_SEED") {
        Ok(seed) => seed.parse().expect("DETRIX_SEED is a number"),
        Err(_) => Random::any_seed(),
    };
    figure(1, "seed (DETRIX_SEED repeats it)", seed);
    Random::new(seed)
}

#[test]
fn row_01_the_tracer_is_killed_again_and_again_at_random_moments() {
    let mut random = seeded();
    let (mut program, mut session, file) = armed("children", "hit");
    let line = mark(&file, "hot");
    session.logpoints(&file, &[]);
    until("the text is whole", || {
        program.process().tracers().is_empty()
    });
    program.run("fire 3");
    let threads = program.process().threads();
    let undisturbed = program.process().text();
    let (kills, mut seen) = (times(6, 100), 0);
    for round in 0..kills {
        session.logpoint(&file, line, "hit");
        session.outputs(1 + random.below(50) as usize);
        for _ in 0..random.below(100_000) {
            std::hint::spin_loop();
        }
        let tracer = tracer(&program);
        let hits_before = hits(&mut program);
        assert!(hits_before > seen, "hits between the kills");
        seen = hits_before;
        tracer.signal(libc::SIGKILL);
        let changed = session.expect_event("breakpoint");
        assert_eq!(changed["reason"], "changed");
        assert_eq!(changed["breakpoint"]["verified"], false, "{changed}");
        let error = program.ask("status", "error");
        assert!(error.contains("logpoints are gone"), "{error}");
        assert!(
            program.process().text() == undisturbed,
            "the keeper restores the text before anybody is told"
        );
        assert_eq!(program.ask("hot 100", "hot"), "5050");
        let fired = program.number("fired", "fired");
        until("the threads go on", || {
            program.number("fired", "fired") > fired
        });
        session.drain();
        if round % 5 == 4 {
            program.run("sleep");
            session = Session::attach(program.wake());
            assert_eq!(
                program.ask("status", "error"),
                "",
                "forgotten by a new wake"
            );
            seen = 0;
        }
    }
    session.logpoint(&file, line, "hit");
    session.outputs(3);
    session.disconnect();
    until("the threads are those of the beginning", || {
        program.process().threads() == threads
    });
    program.run("cease");
    program.quit();
    figure(1, "kills of the tracer", kills);
}

#[test]
fn row_01_the_tracer_is_killed_under_fire() {
    let (mut program, mut session, file) = armed("fork_exec", "hit");
    let pristine = Running::start("fork_exec", Profile::Release);
    let undisturbed = pristine.process().text();
    program.run("fire");
    session.outputs(10);
    tracer(&program).signal(libc::SIGKILL);
    for _ in 0..5 {
        assert_eq!(program.ask("hot 1000", "hot"), "500500");
    }
    until("the keeper restores the text", || {
        let now = program.process().text();
        now.iter()
            .all(|(key, bytes)| undisturbed.get(key).is_none_or(|other| other == bytes))
    });
    assert!(program.process().lives());

    // It still serves: the logpoint can be set again.
    session.logpoints(&file, &[]);
    session.logpoint(&file, mark(&file, "hot"), "again");
    until("it logs again", || {
        program.run("hot 1");
        session.output().text == "again"
    });
    session.disconnect();
    program.quit();
}

#[test]
fn row_01_the_tracer_is_killed_while_nothing_hits() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    let tracer = tracer(&program);
    tracer.signal(libc::SIGKILL);
    assert_eq!(program.ask("hot 1000", "hot"), "500500");
    session.request("threads", serde_json::json!({}));
    until("the status tells it", || {
        program
            .ask("status", "error")
            .contains("logpoints are gone")
    });
    program.quit();
}

#[test]
fn row_01_a_tracer_that_waits_for_memory_is_ended() {
    let (mut program, mut session, hot) = armed("absent_memory", "hit");
    if program.ask("absent", "absent") != "true" {
        return skip("row_01_a_tracer_that_waits_for_memory_is_ended");
    }
    let file = source("bin/absent_memory.rs");
    session.logpoint(&file, mark(&file, "pass"), "{*page}");
    program.run("fire 2");
    session.outputs(10);
    program.run("pass");
    let changed = session.expect_event("breakpoint");
    assert_eq!(changed["breakpoint"]["verified"], false, "{changed}");
    let error = program.ask("status", "error");
    assert!(
        error.contains("logpoints are gone") && error.contains("userfaultfd"),
        "{error}"
    );
    let fired = program.number("fired", "fired");
    until("the threads go on", || {
        program.number("fired", "fired") > fired
    });
    session.logpoints(&file, &[]);
    session.logpoint(&hot, mark(&hot, "hot"), "again");
    until("it logs again", || session.output().text == "again");
    session.disconnect();
    program.run("cease");
    program.quit();
}
