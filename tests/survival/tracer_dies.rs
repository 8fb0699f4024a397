//! Row 1: the tracer is killed.

use detrix_test_support::{Profile, Running, mark};

use crate::world::{armed, tracer, until};

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
