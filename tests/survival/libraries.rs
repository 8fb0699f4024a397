//! Row 16: libraries that are loaded and unloaded.

use std::path::PathBuf;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, plugin, source, until};

use crate::world::{figure, slow_fire, times};

/// The fixture, with loops of its own that log, and the plugin's file and line.
fn loader() -> (Running, Session, PathBuf, u32) {
    let library = plugin(Profile::Release);
    let mut program =
        Running::spawn(Command::new(fixture("modules", Profile::Release)).arg(library));
    let mut session = Session::attach(program.port());
    slow_fire(&mut program, &mut session);
    let file = source("../plugin/src/lib.rs")
        .canonicalize()
        .expect("the plugin's source");
    let line = mark(&file, "plugin");
    (program, session, file, line)
}

/// Waits for what the plugin's logpoint says.
fn logs(session: &mut Session, text: &str) {
    until("the library's logpoint logs", || {
        session.output().text == text
    });
}

#[test]
fn row_16_a_library_comes_and_goes_with_its_sites() {
    let rounds = times(10, 1_000);
    let (mut program, mut session, file, line) = loader();
    for round in 0..rounds {
        program.run("load");
        session.logpoint(&file, line, "gross={gross}");
        let expected = ["total 1", "total 101", "total 201"];
        assert_eq!(program.run("go 3"), expected, "round {round}");
        logs(&mut session, "gross=200");
        // In turn: the site goes before the library does, with it, and after it.
        if round % 3 == 0 {
            session.logpoints(&file, &[]);
        }
        program.run("unload");
        if round % 3 == 1 {
            let gone = session
                .logpoints(&file, &[(line, "gross={gross}")])
                .remove(0);
            assert!(!gone.verified, "{gone:?}");
        }
    }
    drop(session);
    program.quit();
    figure(16, "dlopen and dlclose of a library with a site", rounds);
}

#[test]
fn row_16_other_memory_in_the_place_of_a_library_is_not_touched() {
    let rounds = times(6, 1_000);
    let (mut program, mut session, file, line) = loader();
    for round in 0..rounds {
        program.run("load");
        session.logpoint(&file, line, "gross={gross}");
        program.run("go 3");
        logs(&mut session, "gross=200");
        // With our `int3` among its bytes, and the rest of the instruction behind.
        program.run("cover");
        match round % 3 {
            0 => drop(session.logpoints(&file, &[])),
            1 => {
                let gone = session.logpoints(&file, &[(line, "again")]).remove(0);
                assert!(!gone.verified, "{gone:?}");
            }
            // It is noticed on its own.
            _ if round < 6 => until("the client is told", || {
                let told = session.expect_event("breakpoint");
                told["breakpoint"]["verified"] == false
            }),
            _ => {}
        }
        assert_eq!(program.ask("uncover", "changed"), "0", "round {round}");
    }
    drop(session);
    program.quit();
    figure(
        16,
        "mappings in the place of a library that had an armed site",
        rounds,
    );
}

#[test]
fn row_16_a_library_that_is_loaded_again_at_once_logs_again() {
    let rounds = times(3, 20);
    let (mut program, mut session, file, line) = loader();
    program.run("load");
    session.logpoint(&file, line, "gross={gross}");
    for _ in 0..rounds {
        program.run("go 3");
        logs(&mut session, "gross=200");
        // At the same address as a rule, with text that has no site of ours.
        program.run("again");
        until("it logs again", || {
            program.run("go 2");
            session
                .drain()
                .iter()
                .any(|output| output.text == "gross=100")
        });
    }
    drop(session);
    program.quit();
    figure(16, "reloads that nobody told the debugger of", rounds);
}
