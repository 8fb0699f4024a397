//! Rows 7 to 9: signals and their handlers.

use detrix_test_support::mark;

use crate::world::{armed, as_without_us, figure, hits, times, unbounded};

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

#[test]
fn row_07_queued_values_come_in_the_same_order_with_the_same_siginfo() {
    // Each thread gets half of them while it blocks them: what the kernel queues is limited.
    let (count, rounds) = (times(25, 100), times(1, 20));
    let command = format!("queue {count} 3");
    let commands = vec![command.as_str(); rounds as usize];
    let (printed, hits) = as_without_us("queued", None, &commands);
    for line in &printed {
        let told = format!("told {} strangers 0", count * 8);
        assert!(line.contains(&told), "{line}");
    }
    figure(7, "signals with values", count * 8 * 3 * rounds);
    figure(7, "hits meanwhile", hits);
}

#[test]
fn row_08_timers_alarms_and_childrens_ends() {
    let (count, milliseconds) = (times(30, 1_000), times(200, 3_000));
    let (alarms, children) = (format!("alarms {count}"), format!("children {count}"));
    let (printed, under) = as_without_us("timers", None, &[&alarms, &children]);
    assert_eq!(
        printed,
        [format!("alarms {count}"), format!("ends {count}")]
    );
    figure(8, "alarms, each delivered", count);
    figure(8, "SIGCHLD, each delivered", count);

    let mut asleep = unbounded("timers");
    let _ = asleep.port();
    asleep.run("sleep");
    let (mut program, mut session, _) = armed("timers", "hit");
    let number = |printed: &[String], key: &str| -> u64 {
        let line = printed.iter().find_map(|line| line.strip_prefix(key));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {key}: {printed:?}"))
    };
    // The kernel looks at this timer in its ticks, and only in those that find the program on the processor, not the
    // tracer: what expired meanwhile is merged.
    let profile = format!("profile {milliseconds}");
    let (without, with) = (asleep.run(&profile), program.run(&profile));
    let rate = |printed: &[String]| {
        let delivered = number(printed, "delivered");
        let time = number(printed, "milliseconds");
        assert!(delivered <= time + 1, "{printed:?}");
        delivered as f64 / time as f64
    };
    let (without, with) = (rate(&without), rate(&with));
    assert!(
        with > without / 5.0,
        "SIGPROF per millisecond of processor time: {with}, without us {without}"
    );
    figure(8, "SIGPROF per ms of processor time", format!("{with:.3}"));
    figure(8, "the same without us", format!("{without:.3}"));
    // What this timer merges it tells: nothing is lost.
    let printed = program.run(&format!("timer {milliseconds}"));
    let told = number(&printed, "delivered") + number(&printed, "merged");
    let time = number(&printed, "milliseconds");
    assert!(
        u64::from(milliseconds) <= told && told <= time + 1,
        "{printed:?}"
    );
    figure(8, "expirations of a 1 kHz timer", told);
    figure(8, "of them merged", number(&printed, "merged"));
    figure(8, "hits meanwhile", under + hits(&mut program));
    // What was logged has to be read before the end can be.
    session.drain();
    session.disconnect();
    program.quit();
    asleep.quit();
}

#[test]
fn row_09_no_address_of_a_copy_becomes_visible() {
    samples("sample");
}

#[test]
fn row_09_no_address_of_a_copy_becomes_visible_by_a_trap_of_the_program() {
    samples("sample_traps");
}

fn samples(command: &str) {
    let count = times(500, 5_000);
    let (mut program, mut session, file) = armed("handlers", "hit");
    // A call, which is emulated, and an instruction that runs as a copy.
    let lines = [(mark(&file, "hot"), "hit"), (mark(&file, "sum"), "sum")];
    for placed in session.logpoints(&file, &lines) {
        assert!(placed.verified, "{placed:?}");
    }
    let printed = program.run(&format!("{command} {count}"));
    let told = |key: &str| {
        let line = printed.iter().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key}: {printed:?}"))
            .trim()
    };
    let number = |key| told(key).parse::<u64>().expect("a number");
    assert!(number("handled") >= u64::from(count));
    assert_eq!(told("alternate"), "true", "on a stack of their own");
    assert!(number("in_hot") > 0, "the hot line was interrupted");
    assert!(number("anonymous") > 0, "there are copies somewhere");
    assert_eq!(number("strange"), 0, "{printed:?}");
    figure(9, "signals in the hot loop", number("handled"));
    figure(9, "addresses seen by handlers", number("addresses"));
    figure(9, "of them inside of a copy", number("strange"));
    figure(9, "hits meanwhile", hits(&mut program));
    session.disconnect();
    program.quit();
}

#[test]
fn row_09_handlers_that_jump_or_panic_through_and_signals_that_are_waited_for() {
    let (count, rounds) = (times(50, 250), times(1, 20));
    let commands = ["jump", "panic", "sigwait", "signalfd"].map(|way| format!("{way} {count}"));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let commands = commands.repeat(rounds as usize);
    let (printed, hits) = as_without_us("handlers", None, &commands);
    let twice = count * 2;
    let expected = [
        format!("jumped {twice}"),
        "right true".to_owned(),
        format!("panicked {twice}"),
        "right true".to_owned(),
        format!("sigwait {count} {count}"),
        format!("signalfd {count} {count}"),
    ];
    for printed in printed.chunks(expected.len()) {
        assert_eq!(printed, expected);
    }
    let twice = twice * rounds;
    figure(9, "jumps out of a handler", twice);
    figure(9, "panics through a handler", twice);
    figure(9, "signals by sigwait and by signalfd", twice);
    figure(9, "hits meanwhile", hits);
}
