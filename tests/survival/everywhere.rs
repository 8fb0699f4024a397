//! Row 22: logpoints where a debugger would trip over itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use detrix_test_support::{Session, mark, root, source, until};

use crate::world::{figure, times, unbounded};

#[test]
fn row_22_in_an_allocator_a_lock_and_a_handler() {
    let count = times(200, 20_000);
    let file = source("bin/everywhere.rs");
    let mut program = unbounded("everywhere");
    let port = program.port();
    let commands = ["allocate", "lock", "signal"].map(|what| format!("{what} {count} 4"));
    let undisturbed = commands
        .each_ref()
        .map(|command| program.ask(command, "sum"));
    let marks = ["alloc", "dealloc", "slow", "handler"];
    let lines = marks.map(|name| (mark(&file, name), name));
    let logged = || {
        let mut session = Session::attach(port);
        let placed = session.logpoints(&file, &lines);
        assert!(placed.iter().all(|placed| placed.verified), "{placed:?}");
        session
    };
    let session = logged();
    for (command, expected) in commands.iter().zip(undisturbed).take(2) {
        assert_eq!(program.ask(command, "sum"), expected, "{command}");
    }
    // Each line is run and logged: for a client that has nothing of all that to read first.
    drop(session);
    let mut session = logged();
    let mut seen = BTreeSet::new();
    until("each line is logged", || {
        program.run("lock 20 4");
        program.run("signal 1");
        program.run("allocate 1 1");
        seen.extend(session.drain().into_iter().map(|output| output.text));
        seen.len() == marks.len()
    });
    drop(session);
    program.quit();
    figure(
        22,
        "allocations, lock rounds under logpoints in them",
        8 * count,
    );
}

#[test]
fn row_22_in_what_detrix_itself_uses() {
    let count = times(20, 2_000);
    let mut program = unbounded("everywhere");
    let port = program.port();
    let commands = [
        format!("tokio {count} 2"),
        format!("std {count} 4"),
        format!("allocate {count} 4"),
    ];
    let undisturbed = commands
        .each_ref()
        .map(|command| program.ask(command, "sum"));
    let mut placed = 0;
    // Lines without code slide down to some that have.
    let wanted: Vec<u32> = (10..900).step_by(times(15, 5) as usize).collect();
    for path in shared_files().iter().step_by(times(3, 1) as usize) {
        for lines in wanted.chunks(16) {
            let mut session = Session::attach(port);
            let lines: Vec<(u32, &str)> = lines.iter().map(|line| (*line, "hit")).collect();
            let answers = session.logpoints(path, &lines);
            placed += answers.iter().filter(|placed| placed.verified).count();
            for (command, expected) in commands.iter().zip(&undisturbed) {
                let path = path.display();
                assert_eq!(program.ask(command, "sum"), *expected, "{command}: {path}");
            }
            // detrix's own thread runs the same code to answer this.
            session.request("threads", serde_json::json!({}));
        }
    }
    assert!(placed > 5, "{placed}");
    program.quit();
    figure(22, "logpoints in std and tokio", placed);
}

/// Sources of std and tokio that detrix's own thread runs through, by the tails of their paths.
fn shared_files() -> Vec<PathBuf> {
    [
        "alloc/src/raw_vec/mod.rs",
        "std/src/sys/sync/mutex/futex.rs",
        "std/src/io/stdio.rs",
        "src/runtime/scheduler/current_thread/mod.rs",
        "src/runtime/task/harness.rs",
        "src/runtime/io/driver.rs",
    ]
    .map(PathBuf::from)
    .to_vec()
}

#[test]
fn row_22_code_of_detrix_itself_is_refused() {
    let mut program = unbounded("everywhere");
    let mut session = Session::attach(program.port());
    for (file, wanted) in [
        ("src/engine/tracer.rs", "fn serve(&mut self)"),
        ("src/engine/trap.rs", "fn pass("),
        ("src/debugger/pump.rs", "async fn step(&mut self)"),
    ] {
        let path = root().join(file);
        let line = line_of(&path, wanted);
        let refused = session.logpoints(&path, &[(line + 1, "hit")]).remove(0);
        assert!(!refused.verified, "{file}: {refused:?}");
        assert!(refused.message.contains("detrix"), "{file}: {refused:?}");
    }
    assert_eq!(program.ask("allocate 1 1", "sum"), "1");
    session.disconnect();
    program.quit();
}

/// The line of a source of detrix that has this text.
fn line_of(path: &Path, text: &str) -> u32 {
    let source = std::fs::read_to_string(path).expect("our own source");
    let at = source.lines().position(|line| line.contains(text));
    u32::try_from(at.unwrap_or_else(|| panic!("{}: {text}", path.display())) + 1).expect("a line")
}
