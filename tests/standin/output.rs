//! What becomes of output: the rules that lose whatever is not written for them.

use std::time::Duration;

use detrix_standin::{BUFFERED, Ended, Event, Options, Typed};
use detrix_test_support::{PATIENCE, until};
use serde_json::json;

use crate::Pair;

/// The values of `metric` until one says `end`, which is sent now.
fn until_end(pair: &Pair) -> Vec<Event> {
    pair.adapter.output("DETRICS:end=\"end\"\n");
    let is_end = |event: &Event| event.metric == "end";
    let mut events = pair
        .standin
        .wait_events(PATIENCE, |events| events.iter().any(is_end));
    assert_eq!(
        events.pop().map(|event| event.metric).as_deref(),
        Some("end")
    );
    events
}

/// A pair with the metrics `m`, of three expressions, and `end`.
fn pair() -> Pair {
    let pair = Pair::new();
    pair.metric("m", 1, &["a", "b", "c"]);
    pair.metric("end", 2, &["x"]);
    pair
}

/// The JSON of each value of each event.
fn values(events: &[Event]) -> Vec<Vec<&str>> {
    events
        .iter()
        .map(|event| {
            event
                .values
                .iter()
                .map(|value| value.json.as_str())
                .collect()
        })
        .collect()
}

#[test]
fn values_have_types() {
    let pair = pair();
    let raw = [
        ("7", "7", Typed::Number(7.0)),
        (
            "18446744073709551615",
            "18446744073709551615",
            Typed::Number(18_446_744_073_709_551_615.0),
        ),
        ("5.0", "5.0", Typed::Number(5.0)),
        // Beyond 64 bits a number is a float.
        (
            "340282366920938463463374607431768211455",
            "3.402823669209385e+38",
            Typed::Number(340_282_366_920_938_463_463_374_607_431_768_211_455.0),
        ),
        (r#""a b""#, r#""a b""#, Typed::Text("a b".to_owned())),
        (
            r#""a\u007cb\u001f\n""#,
            "\"a|b\\u001f\\n\"",
            Typed::Text("a|b\u{1f}\n".to_owned()),
        ),
        ("true", "true", Typed::Boolean(true)),
        ("[1, 2]", "[1,2]", Typed::Untyped),
        ("null", "null", Typed::Untyped),
        ("NaN", "NaN", Typed::Number(f64::NAN)),
        ("inf", "inf", Typed::Number(f64::INFINITY)),
        (
            "<error: no>",
            "<error: no>",
            Typed::Text("<error: no>".to_owned()),
        ),
        ("", "", Typed::Text(String::new())),
    ];
    for (raw, _, _) in &raw {
        pair.adapter.output(&format!("DETRICS:m={raw}\n"));
    }
    let events = until_end(&pair);
    assert_eq!(events.len(), raw.len());
    for (event, (raw, json, typed)) in events.iter().zip(&raw) {
        let value = &event.values[0];
        assert_eq!(
            (value.json.as_str(), value.expression.as_str()),
            (*json, "a")
        );
        // Not a number is not equal to itself.
        assert_eq!(format!("{:?}", value.typed), format!("{typed:?}"), "{raw}");
    }
}

#[test]
fn values_go_to_expressions_in_turn() {
    let pair = pair();
    pair.adapter.output("DETRICS:m=1\u{1f}2\u{1f}3\u{1f}4\n");
    pair.adapter.output("DETRICS:m=1\u{1f}\"k=v\"\n");
    pair.adapter.output("DETRICS:nobody=1\n");
    let events = until_end(&pair);
    assert_eq!(values(&events), [vec!["1", "2", "3"], vec!["1", "\"k=v\""]]);
    assert_eq!(pair.standin.links(&pair.id)[0].noise.len(), 1);
}

#[test]
fn threads_are_told_by_a_prefix() {
    let pair = pair();
    for text in [
        "[thread 77] DETRICS:m=1\n",
        "thread #78, name = 'x', DETRICS:m=2",
        "* thread #79: DETRICS:m=3",
        "junk DETRICS:m=4",
        "[thread x] DETRICS:m=5",
    ] {
        pair.adapter.output(text);
    }
    let events = until_end(&pair);
    let threads: Vec<Option<i64>> = events.iter().map(|event| event.thread_id).collect();
    assert_eq!(threads, [Some(77), Some(78), Some(79), None, None]);
    assert_eq!(events[0].thread_name.as_deref(), Some("thread-77"));
    assert_eq!(values(&events), [["1"], ["2"], ["3"], ["4"], ["5"]]);
}

#[test]
fn other_categories_are_dropped() {
    let pair = pair();
    for category in [json!("important"), json!("detrix"), json!(7)] {
        let body = json!({"category": category, "output": "DETRICS:m=0"});
        pair.adapter.event("output", body);
    }
    pair.adapter.event("output", json!({"category": "console"}));
    for category in ["console", "stdout", "stderr", "telemetry"] {
        let body = json!({"category": category, "output": "DETRICS:m=1"});
        pair.adapter.event("output", body);
    }
    pair.adapter
        .event("output", json!({"output": "DETRICS:m=2"}));
    let events = until_end(&pair);
    assert_eq!(values(&events), [["1"], ["1"], ["1"], ["1"], ["2"]]);
    assert_eq!(pair.standin.links(&pair.id)[0].dropped, 4);
}

/// Whatever looks like an error is put down to a metric that has nothing to do with it.
#[test]
fn errors_go_to_an_innocent_metric() {
    let pair = pair();
    for text in [
        "error: 12 records were dropped",
        "thread 'main' panicked at src/main.rs",
        "attempt to add with overflow",
        "logpoint at main.rs:7 is suspended",
    ] {
        pair.adapter.output(text);
    }
    let events = until_end(&pair);
    let errors: Vec<&str> = events
        .iter()
        .filter_map(|event| event.error.as_deref())
        .collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(events.iter().all(|event| event.metric == "m"), "{events:?}");
    let report = &pair.standin.links(&pair.id)[0];
    assert_eq!((report.errors, report.noise.len()), (3, 1));
}

/// The same values with and without the escapes that this daemon needs: with them all is as it was, without them some are
/// cut, some are lost, and some are the end.
#[test]
fn it_notices_when_escaping_is_off() {
    let texts = [
        "a|b",
        "first\nsecond",
        "left\u{1f}right",
        "tab\tand \"quotes\"",
    ];
    let escaped = |text: &str| {
        let json = json!(text).to_string();
        json.replace('|', "\\u007c")
    };
    let with = pair();
    let without = pair();
    for text in texts {
        with.adapter
            .output(&format!("[thread 7] DETRICS:m={}\n", escaped(text)));
        without.adapter.output(&format!("DETRICS:m=\"{text}\"\n"));
    }
    let as_typed = |events: Vec<Event>| -> Vec<Typed> {
        let first = |event: &Event| event.values[0].typed.clone();
        events.iter().map(first).collect()
    };
    let sent: Vec<Typed> = texts.map(|text| Typed::Text(text.to_owned())).to_vec();
    assert_eq!(as_typed(until_end(&with)), sent);
    let read = as_typed(until_end(&without));
    let broken = ["\"a", "\"first", "\"left", "\"tab\tand \"quotes\"\""];
    assert_eq!(read, broken.map(|text| Typed::Text(text.to_owned())));
    // Two records in one event: the second one is lost.
    without.adapter.output("DETRICS:m=1\nDETRICS:m=2\n");
    assert_eq!(until_end_again(&without), 1);
}

/// How many more events of `m` there are when a second `end` is.
fn until_end_again(pair: &Pair) -> usize {
    let ends = |events: &[Event]| events.iter().filter(|event| event.metric == "end").count();
    let before = pair
        .standin
        .events()
        .iter()
        .filter(|event| event.metric == "m")
        .count();
    pair.adapter.output("DETRICS:end=\"again\"\n");
    let events = pair
        .standin
        .wait_events(PATIENCE, |events| ends(events) == 2);
    events.iter().filter(|event| event.metric == "m").count() - before
}

/// The daemon cuts the first value for its log at byte 100.
#[test]
fn a_character_across_byte_100_kills_the_link() {
    let pair = pair();
    // The quotation mark is a byte as well, so this ends at byte 99.
    let filler = "x".repeat(98);
    let harmless = [
        format!("\"{filler}yü\""),
        format!("1\u{1f}\"{filler}ü\""),
        format!("\"{}ü\"", "x".repeat(97)),
    ];
    for value in &harmless {
        pair.adapter.output(&format!("DETRICS:m={value}\n"));
    }
    assert_eq!(until_end(&pair).len(), harmless.len());
    assert_eq!(pair.standin.links(&pair.id)[0].ended, None);

    // An escape does not help: the daemon writes the JSON anew. Another text in its place does.
    pair.adapter
        .output(&format!("DETRICS:m=\"{filler}\\u00fc\"\n"));
    let mut ended = None;
    until("the link dies", || {
        ended = pair.standin.links(&pair.id)[0].ended.clone();
        ended.is_some()
    });
    assert!(matches!(ended, Some(Ended::Crashed(_))), "{ended:?}");
}

/// What comes faster than it is written is lost once the buffer is full, and nobody is told.
#[test]
fn a_burst_overflows_the_buffer() {
    const BURST: u64 = 2_000;
    // However busy the machine is, a burst takes less time than its writing.
    let pair = Pair::with(Options {
        write_time: Duration::from_millis(500),
        ..Options::default()
    });
    pair.metric("m", 1, &["a"]);
    for index in 0..BURST {
        pair.adapter.output(&format!("DETRICS:m={index}\n"));
    }
    until("the burst is read", || {
        pair.standin.links(&pair.id)[0].outputs == BURST
    });
    let report = &pair.standin.links(&pair.id)[0];
    assert_eq!(report.metric_events, BURST);
    assert!(report.overflowed > 0, "{report:?}");
    let kept = usize::try_from(BURST - report.overflowed).expect("fewer than there were");
    assert!(kept >= BUFFERED);
    let events = pair
        .standin
        .wait_events(PATIENCE, |events| events.len() == kept);
    assert_eq!(events.len(), kept);
}
