//! Row 21: a logpoint that is hit far more often than its budget allows.

use std::process::Command;
use std::time::{Duration, Instant};

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};
use serde_json::{Value, json};

use crate::world::{figure, times};

/// What `status` says of the only logpoint, and of all together.
fn standing(program: &mut Running) -> (Option<Value>, Value) {
    let printed = program.run("status");
    let read = |key: &str| {
        let line = printed.iter().find_map(|line| line.strip_prefix(key))?;
        Some(serde_json::from_str::<Value>(line).expect("JSON"))
    };
    (read("logpoint "), read("totals ").expect("it is awake"))
}

fn number(counts: &Value, name: &str) -> u64 {
    counts[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {counts}"))
}

/// What a client was told.
#[derive(Default)]
struct Told {
    hits: u64,
    /// Events that it was told were left out for it, because it reads too slowly; not all need be hits.
    left_out: u64,
}

impl Told {
    /// Reads what has been sent until now.
    fn read(&mut self, session: &mut Session) {
        session.request("threads", json!({}));
        while let Some(body) = session.try_event("output", Duration::ZERO) {
            let text = body["output"].as_str().expect("`output` is required");
            if let Some((count, _)) = text.split_once(" events were dropped") {
                let count: Option<u64> = count
                    .rsplit(' ')
                    .next()
                    .and_then(|count| count.parse().ok());
                self.left_out += count.unwrap_or_else(|| panic!("no number: {text}"));
            }
            self.hits += u64::from(text.starts_with("thread "));
        }
    }
}

#[test]
fn row_21_sixteen_threads_through_one_logpoint() {
    let suspensions = u64::from(times(5, 20));
    let file = source("bin/threads.rs");
    // The budgets that users have: 5 % of a processor for a logpoint.
    let mut program = Running::spawn(
        Command::new(fixture("threads", Profile::Release))
            .env("DETRIX_LOGPOINT_BUDGET", "")
            .env("DETRIX_TOTAL_BUDGET", ""),
    );
    let mut session = Session::attach(program.port());
    program.run("fire 16");
    let start = Instant::now();
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    let (mut told, mut elapsed, mut before) = (Told::default(), 0, Value::Null);
    until("the budget acts again and again", || {
        told.read(&mut session);
        before = standing(&mut program).0.expect("it is set");
        elapsed = u64::try_from(start.elapsed().as_nanos()).expect("fits");
        number(&before, "suspensions") >= suspensions
    });
    session.logpoints(&file, &[]);
    until("all is told", || {
        told.read(&mut session);
        told.hits + told.left_out >= number(&standing(&mut program).1, "logged")
    });
    let (logpoint, totals) = standing(&mut program);
    assert_eq!(logpoint, None, "it was removed");
    let [hits, logged, dropped, suspended, stopped] =
        ["hits", "logged", "dropped", "suspended_ns", "stopped_ns"]
            .map(|name| number(&totals, name));
    assert_eq!(
        hits,
        logged + dropped,
        "each hit is accounted for: {totals}"
    );
    assert!(
        told.hits <= logged,
        "each that was logged was told once: {totals}"
    );
    assert!(hits > 16 && stopped > 0, "{totals}");
    // When it is taken out each thread may be on its way into it, once.
    let missed = number(&totals, "missed");
    let ways = 16 * number(&totals, "suspensions");
    assert!(missed <= ways, "it stayed while it was suspended: {totals}");
    // There is no other logpoint.
    let own = number(&before, "stopped_ns");
    assert!(0 < own && own <= stopped, "{before} {totals}");
    let known = number(&before, "suspended_ns");
    assert!(
        suspended >= known,
        "nothing that was counted is lost: {before} {totals}"
    );
    let suspended = known;
    assert!(suspended <= elapsed, "{suspended} of {elapsed}");
    assert!(suspended > 0, "{before}");
    assert_eq!(program.ask("many 16 1", "sum"), "120");
    drop(session);
    program.quit();
    figure(
        21,
        "suspensions of a logpoint that 16 threads run through",
        suspensions,
    );
    figure(21, "hits, of them dropped", format!("{hits}, {dropped}"));
    figure(
        21,
        "share of the time that it was suspended",
        format!("{} %", suspended * 100 / elapsed),
    );
    figure(
        21,
        "share of one processor's time that threads were stopped",
        format!("{:.1} %", stopped as f64 * 100.0 / elapsed as f64),
    );
}
