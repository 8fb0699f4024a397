//! Rows 7 to 9: signals and their handlers.

use detrix_test_support::mark;

use crate::world::armed;

#[test]
fn row_07_signals_arrive_as_without_us() {
    let (mut program, mut session, file) = armed("signals", "hit");
    let lines = [
        (mark(&file, "hot"), "hit"),
        (mark(&file, "handler"), "handler"),
    ];
    for placed in session.logpoints(&file, &lines) {
        assert!(placed.verified, "{placed:?}");
    }
    program.run("install");
    program.run("user 100");
    program.run("queue 100");
    let counts = program.run("counts");
    assert_eq!(
        counts,
        ["alarms 0", "user 100", "queued 100", "out_of_order 0"]
    );
    let texts = session.outputs(400);
    let handled = texts
        .iter()
        .filter(|output| output.text == "handler")
        .count();
    assert_eq!(handled, 200, "the handlers log too");

    // An interval timer interrupts hits at any place of them.
    program.run("timer 500");
    assert_eq!(program.ask("hot 3000", "sum"), "4501500");
    program.run("timer 0");
    assert!(program.number("counts", "alarms") > 0);
    session.disconnect();
    program.quit();
}
