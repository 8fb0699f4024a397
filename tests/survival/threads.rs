//! Row 12: threads, many and short-lived.

use std::collections::BTreeSet;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source};

use crate::world::{armed, until};

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
