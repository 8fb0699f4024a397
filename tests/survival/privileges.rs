//! Rows 18 and 19: what may not be traced, or no longer.

use std::collections::BTreeSet;

use detrix_test_support::{Profile, Running, mark};

use crate::world::{armed, skip, tracer, until};

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
