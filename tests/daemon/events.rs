//! What a hit becomes at the daemon.

use detrix_standin::{Report, Typed};
use detrix_test_support::{Process, until};

use crate::program::{Program, metric};
use crate::{daemon, events_of};

fn text(text: &str) -> Typed {
    Typed::Text(text.to_owned())
}

#[test]
fn values_arrive_with_their_types() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    let expressions = [
        "order.id",
        "order.symbol",
        "price",
        "active",
        "order.limit",
        "order.shares",
        "order.parts",
    ];
    metric(&daemon, &id, "all", "trade", &expressions);
    program.running.run("trade 2");
    let events = events_of(&daemon, "all", 2);
    let typed = |index: usize| -> Vec<Typed> {
        let values = events[index].values.iter();
        values.map(|value| value.typed.clone()).collect()
    };
    assert_eq!(
        typed(0),
        [
            Typed::Number(0.0),
            text("SYM0"),
            Typed::Number(0.5),
            Typed::Boolean(true),
            text("None"),
            text("340282366920938463463374607431768211455"),
            text("[-1, 2]"),
        ]
    );
    assert_eq!(
        typed(1),
        [
            Typed::Number(1.0),
            text("SYM1"),
            Typed::Number(1.5),
            Typed::Boolean(false),
            text("Some(7)"),
            text("340282366920938463463374607431768211454"),
            text("[-1, 2]"),
        ]
    );
    assert_eq!(events[0].values[2].json, "0.5");
    program.running.quit();
}

#[test]
fn each_event_has_its_thread() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    metric(&daemon, &id, "price", "trade", &["price"]);
    program.running.run("trade 1");
    let other = program.running.number("elsewhere 1", "thread");
    let events = events_of(&daemon, "price", 2);
    let pid = program.running.process().pid();
    let told: Vec<Option<i64>> = events.iter().map(|event| event.thread_id).collect();
    let other = i64::try_from(other).expect("a thread's id");
    assert_eq!(told, [Some(i64::from(pid)), Some(other)]);
    program.running.quit();
}

/// Bars, newlines, separators, quotation marks, characters where the daemon cuts.
#[test]
fn text_arrives_whole() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    metric(
        &daemon,
        &id,
        "note",
        "trade",
        &["order.note", "order.note", "price"],
    );
    program.running.run("trade 4");
    let events = events_of(&daemon, "note", 4);
    let filler: String = "0123456789".chars().cycle().take(98).collect();
    let notes = [
        "plain".to_owned(),
        "a|b\nc\u{1f}d \"e\" = {f}".to_owned(),
        format!("{filler}é and more"),
        "überall größer".to_owned(),
    ];
    for (index, (event, note)) in events.iter().zip(&notes).enumerate() {
        assert_eq!(event.values.len(), 3);
        assert_eq!(event.values[1].typed, text(note));
        // The one character that the daemon would die of is shown as its escape in Rust.
        let first = note.replace(&format!("{filler}é"), &format!("{filler}\\u{{e9}}"));
        assert_eq!(event.values[0].typed, text(&first));
        assert_eq!(event.values[2].typed, Typed::Number(0.5 + index as f64));
    }
    untroubled(&daemon.links(&id)[0]);
    program.running.quit();
}

#[test]
fn an_expression_that_means_nothing_says_so_for_itself() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    metric(
        &daemon,
        &id,
        "mixed",
        "trade",
        &["order.id", "order.nothing", "price"],
    );
    program.running.run("trade 1");
    let values = &events_of(&daemon, "mixed", 1)[0].values;
    assert_eq!(values[0].typed, Typed::Number(0.0));
    assert!(values[1].json.starts_with("<error: "), "{values:?}");
    assert_eq!(values[2].typed, Typed::Number(0.5));
    untroubled(&daemon.links(&id)[0]);
    program.running.quit();
}

/// The daemon buffers a thousand events and loses what comes beyond; so they are held back, and what cannot be is told.
#[test]
fn of_a_burst_nothing_is_lost_in_silence() {
    const BURST: u64 = 5_000;
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    metric(&daemon, &id, "burst", "burst", &["index"]);
    program.running.run(&format!("burst {BURST}"));
    let mut report = Report::default();
    until("all of it is accounted for", || {
        // What the stand-in reports is locked meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(10));
        report = daemon.links(&id).remove(0);
        report.metric_events + told_dropped(&report) >= BURST
    });
    assert_eq!(report.metric_events + told_dropped(&report), BURST);
    assert_eq!(report.overflowed, 0, "the daemon's buffer never was full");
    untroubled(&report);
    let kept = usize::try_from(report.metric_events).expect("fewer than there were");
    assert_eq!(events_of(&daemon, "burst", kept).len(), kept);
    program.running.quit();
}

/// What the debugger has to say is not taken for what the program says.
#[test]
fn notices_are_no_errors_of_the_program() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[("DETRIX_LOGPOINT_BUDGET", "0.0001")]);
    let (_, id) = program.wake();
    metric(&daemon, &id, "burst", "burst", &["index"]);
    program.running.run("burst 20000");
    until("it is told", || {
        let report = daemon.links(&id).remove(0);
        untroubled(&report);
        messages(&report).any(|message| message.contains("over its budget"))
    });
    assert!(daemon.events().iter().all(|event| event.error.is_none()));
    program.running.quit();
}

/// A metric whose logpoint has expired is told to be so, as the change that it is.
#[test]
fn an_expired_metric_is_told() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[("DETRIX_LOGPOINT_HIT_LIMIT", "3")]);
    let (_, id) = program.wake();
    metric(&daemon, &id, "short", "burst", &["index"]);
    program.running.run("burst 10");
    until("it is told", || {
        let report = daemon.links(&id).remove(0);
        untroubled(&report);
        let mut changes = report.breakpoint_events.iter();
        changes.any(|body| {
            let breakpoint = &body["breakpoint"];
            let why = breakpoint["message"].as_str().unwrap_or_default();
            breakpoint["verified"] == false && why.contains("expired: it has logged as many hits")
        })
    });
    assert_eq!(events_of(&daemon, "short", 3).len(), 3);
    assert!(daemon.events().iter().all(|event| event.error.is_none()));
    program.running.quit();
}

/// Metrics come and go one by one, and all that stay go on.
#[test]
fn metrics_come_and_go() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    let text = |process: Process| process.text();
    let unarmed = text(program.running.process());
    let price = metric(&daemon, &id, "price", "trade", &["price"]);
    let activity = metric(&daemon, &id, "activity", "traded", &["active"]);
    program.running.run("trade 1");
    events_of(&daemon, "price", 1);
    events_of(&daemon, "activity", 1);
    daemon.remove_metric(price).expect("it is there");
    program.running.run("trade 1");
    events_of(&daemon, "activity", 2);
    assert_eq!(events_of(&daemon, "price", 1).len(), 1);
    daemon.remove_metric(activity).expect("it is there");
    assert!(text(program.running.process()) == unarmed);
    program.running.quit();
}

/// Nothing that the daemon would drop, misread or die of.
fn untroubled(report: &Report) {
    let troubles = (report.dropped, report.errors, report.overflowed);
    assert_eq!(troubles, (0, 0, 0), "{report:?}");
    assert!(report.noise.is_empty(), "{:?}", report.noise);
    assert_eq!(report.ended, None);
}

/// What `breakpoint` events say.
fn messages(report: &Report) -> impl Iterator<Item = &str> {
    let events = report.breakpoint_events.iter();
    events.filter_map(|body| body["breakpoint"]["message"].as_str())
}

/// How many events are told to be dropped on their way, and how many hits to be lost before.
fn told_dropped(report: &Report) -> u64 {
    let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    messages(report)
        .filter_map(|message| match message.split_once(" events were dropped") {
            Some((before, _)) => number(before.rsplit(' ').next()?),
            None => number(message.split_once(" lost ")?.1),
        })
        .sum()
}
