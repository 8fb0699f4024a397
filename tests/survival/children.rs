//! Rows 5 and 6: children, and other programs in the place of this one.

use detrix_test_support::{Session, mark, source};

use crate::world::{armed, figure, times, tracer, unbounded, until};

#[test]
fn row_05_fork_exec_and_spawn_under_fire() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    session.outputs(10);
    for (command, expected) in [
        ("fork 20", "fork 0"),
        ("exec 20", "exec 0"),
        ("spawn 20", "spawn 0 210"),
    ] {
        let printed = program.run(command);
        assert_eq!(printed, vec![expected; 20], "{command}");
    }
    session.disconnect();
    assert!(program.process().lives());
    program.quit();
}

#[test]
fn row_05_a_forked_child_is_not_logged_and_its_text_is_whole() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    assert_eq!(program.run("fork 5"), vec!["fork 0"; 5]);
    assert_eq!(session.drain(), [], "only the children ran the line");
    assert_eq!(program.ask("hot 3", "hot"), "6");
    session.outputs(3);
    session.disconnect();
    program.quit();
}

#[test]
fn row_06_the_program_becomes_another_under_fire() {
    let rounds = times(20, 200);
    for round in 0..rounds {
        let file = source("bin/fork_exec.rs");
        let mut program = unbounded("fork_exec");
        let mut session = Session::attach(program.port());
        program.run("fire");
        // Sometimes while threads are still being seized.
        session.logpoint(&file, mark(&file, "hot"), "hit");
        let tracer = tracer(&program);
        if round % 2 == 0 {
            session.outputs(3);
        }
        program.send("become");
        let (printed, status) = program.end();
        assert!(status.success(), "{status}");
        assert_eq!(printed, ["210"], "the new image runs the line untouched");
        until("the tracer goes", || !tracer.lives());
    }
    figure(6, "execve under fire", rounds);
}
