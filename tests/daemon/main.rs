//! A service, detrix in it, and a daemon that forgives nothing: registration, events, and what becomes of them when either
//! side comes and goes.

mod events;
mod links;
mod program;
mod registration;

use detrix_standin::{Event, Options, Standin};
use detrix_test_support::PATIENCE;

fn daemon() -> Standin {
    Standin::start(Options::default()).expect("a free port")
}

/// Waits until a metric has `count` events, and gives all that it has then.
fn events_of(daemon: &Standin, metric: &str, count: usize) -> Vec<Event> {
    let of_it = |event: &&Event| event.metric == metric;
    let all = daemon.wait_events(PATIENCE, |events| {
        events.iter().filter(of_it).count() >= count
    });
    let found: Vec<Event> = all.iter().filter(of_it).cloned().collect();
    assert!(found.len() >= count, "{metric}: {found:?} of {all:?}");
    found
}
