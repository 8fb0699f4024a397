//! Rows 13 and 14: threads and handlers that have SIGTRAP for themselves.

use crate::world::armed;

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
