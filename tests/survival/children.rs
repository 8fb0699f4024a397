//! Rows 5 and 6: children, and other programs in the place of this one.

use detrix_test_support::{Profile, Running, Session, mark, source, until};

use crate::world::{armed, as_without_us, figure, times, tracer, unbounded};

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
    assert_eq!(program.run("bare 5"), vec!["bare 0"; 5]);
    assert_eq!(session.drain(), [], "only the children ran the line");
    assert_eq!(program.ask("hot 3", "hot"), "6");
    session.outputs(3);
    session.disconnect();
    program.quit();
}

#[test]
fn row_05_children_of_every_kind_from_several_threads_at_once() {
    let (rounds, threads) = (times(1, 50), 4);
    let command = format!("all {rounds} {threads}");
    let (printed, hits) = as_without_us("children", Some("fire 2"), &[&command]);
    assert_eq!(printed.len(), 15, "each way has one outcome: {printed:?}");
    for line in &printed {
        assert!(
            line.ends_with(&format!(" {}", rounds * threads)) && !line.contains("killed"),
            "{line}"
        );
    }
    figure(5, "children, by 15 ways", 15 * rounds * threads);
    figure(5, "hits meanwhile", hits);
}

#[test]
fn row_06_the_new_image_is_whole_and_untraced() {
    let file = source("bin/fork_exec.rs");
    let pristine = Running::start("fork_exec", Profile::Release);
    let undisturbed = pristine.process().text();
    let rounds = times(2, 50);
    for round in 0..rounds {
        let mut program = unbounded("fork_exec");
        let mut session = Session::attach(program.port());
        for _ in 0..3 {
            program.run("fire");
        }
        session.logpoint(&file, mark(&file, "hot"), "hit");
        session.outputs(3);
        let tracer = tracer(&program);
        let pid = program.process();
        program.send(match round % 2 {
            0 => "become-lasting",
            _ => "become-lasting-by-thread",
        });
        while program.line() != "lasting 210" {}
        assert_eq!(program.process().pid(), pid.pid());
        until("nobody traces it", || {
            program.process().tracers().is_empty()
        });
        until("the tracer goes", || !tracer.lives());
        let text = program.process().text();
        assert!(
            undisturbed
                .iter()
                .filter(|((path, _), _)| path.ends_with("/fork_exec"))
                .all(|(key, bytes)| text.get(key) == Some(bytes)),
            "the new image's text is as on disk"
        );
        assert_eq!(program.ask("hot 10", "hot"), "55");
        program.quit();
    }
    figure(6, "new images compared with the file", rounds);
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
        program.send(match round % 4 {
            0 | 1 => "become",
            _ => "become-by-thread",
        });
        let (printed, status) = program.end();
        assert!(status.success(), "{status}");
        assert_eq!(printed, ["210"], "the new image runs the line untouched");
        until("the tracer goes", || !tracer.lives());
    }
    figure(6, "execve under fire", rounds);
}
