//! Rows 5, 18 and 19: what has more privileges than the program, may not be traced, or no longer.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};

use crate::world::{armed, figure, hits, skip, times, tracer};

#[test]
fn row_05_a_program_with_more_privileges() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return skip("row_05_a_program_with_more_privileges");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let set_user_id = directory.path().join("id");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
    fs::copy("/usr/bin/id", &set_user_id).expect("coreutils are there");
    fs::set_permissions(&set_user_id, Permissions::from_mode(0o4755)).expect("it is ours");

    let mut command = Command::new(fixture("drop_privileges", Profile::Release));
    let mut program = Running::spawn(command.env("SPAWNED", &set_user_id));
    let port = program.port();
    program.run("drop");
    program.run("dumpable");
    if program.ask("spawn", "spawned") != "0" {
        return skip("row_05_a_program_with_more_privileges");
    }
    let mut session = Session::attach(port);
    let file = source("hot.rs");
    session.logpoint(&file, mark(&file, "hot"), "hit");
    program.run("fire");
    let children = times(5, 250);
    for _ in 0..children {
        session.outputs(1);
        assert_eq!(program.ask("spawn", "spawned"), "0", "while it was logged");
    }
    assert!(hits(&mut program) > 0);
    session.disconnect();
    program.quit();
    figure(5, "set-user-ID programs that were started", children);
}

#[test]
fn row_19_a_tracer_keeps_no_privilege_that_the_program_gave_up() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return skip("row_19_a_tracer_keeps_no_privilege_that_the_program_gave_up");
    }
    let (mut program, mut session, file) = armed("drop_privileges", "hit");
    let pristine = Running::start("drop_privileges", Profile::Release);
    let root = tracer(&program);
    program.run("drop");
    until("the privileged tracer goes", || !root.lives());
    // The program may not be traced now: its text is restored.
    assert_eq!(program.process().tracers(), BTreeSet::new());
    let undisturbed = pristine.process().text();
    let now = program.process().text();
    assert!(
        now.iter()
            .all(|(key, bytes)| undisturbed.get(key).is_none_or(|other| other == bytes))
    );
    program.run("dumpable");
    session.logpoints(&file, &[]);
    session.logpoint(&file, mark(&file, "hot"), "again");
    assert_eq!(program.ask("hot 10", "hot"), "55");
    assert_eq!(session.output().text, "again");
    let user = tracer(&program).field("Uid").expect("it lives");
    assert!(user.starts_with("65534"), "{user}");
    session.disconnect();
    program.quit();
}
