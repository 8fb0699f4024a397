//! Daemons that restart, go away, dial twice.

use detrix_standin::{Ended, Status, call};
use detrix_test_support::until;
use serde_json::json;

use crate::program::{Program, metric};
use crate::{daemon, events_of};

/// The link is back by itself, and so are the metrics.
#[test]
fn a_restarted_daemon_goes_on() {
    let mut daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (port, id) = program.wake();
    metric(&daemon, &id, "price", "trade", &["price"]);
    program.running.run("trade 1");
    events_of(&daemon, "price", 1);

    daemon.restart().expect("its port is free again");
    until("the link is back", || {
        let row = daemon.connection(&id).expect("it is stored");
        row.status == Status::Connected
    });
    program.link_becomes("connected");
    program.running.run("trade 1");
    events_of(&daemon, "price", 2);
    assert_eq!(program.wake(), (port, id.clone()), "awake all the time");
    program.sleep();
    let row = daemon.connection(&id).expect("it is stored");
    assert_eq!(row.status, Status::Disconnected);
    program.running.quit();
}

#[test]
fn a_daemon_that_is_away_is_missed_and_no_more() {
    let mut daemon = daemon();
    let mut program = Program::start(&daemon, &[("DETRIX_HEALTH_CHECK_TIMEOUT", "5")]);
    let asleep = program.trace();
    let (_, id) = program.wake();
    metric(&daemon, &id, "price", "trade", &["price"]);
    program.link_becomes("connected");
    daemon
        .away(|| {
            program.link_becomes("disconnected");
            assert_eq!(program.running.ask("status", "debug_port_active"), "true");
            program.running.run("trade 1");
            // Nobody to tell, and no reason to fail.
            program.sleep();
            program.becomes(&asleep);
            let why = program.wake_failure();
            assert!(why.starts_with("daemon not reachable at "), "{why}");
            program.becomes(&asleep);
        })
        .expect("its port is free again");
    let (_, again) = program.wake();
    assert_eq!(again, id);
    program.running.run("trade 1");
    events_of(&daemon, "price", 1);
    program.running.quit();
}

/// The daemon never says goodbye. What it had set goes with its link.
#[test]
fn a_link_that_ends_takes_its_metrics_along() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    let awake = program.running.process().text();
    metric(&daemon, &id, "price", "trade", &["price"]);
    assert!(program.running.process().text() != awake, "armed");
    let url = format!("{}/api/v1/connections/{id}", daemon.url());
    assert_eq!(
        call("DELETE", &url, None, None).expect("it answers").status,
        204
    );
    until("the text is restored", || {
        program.running.process().text() == awake
    });
    program.running.quit();
}

#[test]
fn a_second_link_takes_over() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, id) = program.wake();
    metric(&daemon, &id, "price", "trade", &["price"]);
    daemon.dial_again(&id).expect("it is served");
    let links = daemon.links(&id);
    assert_eq!((links.len(), &links[0].ended), (2, &Some(Ended::ByDaemon)));
    program.running.run("trade 3");
    let events = events_of(&daemon, "price", 3);
    assert_eq!(events.len(), 3, "each once");
    assert_eq!(daemon.links(&id)[1].ended, None);
    program.running.quit();
}

/// Two names for one process: each has metrics of its own.
#[test]
fn a_second_identity_is_served_as_well() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    let (_, first) = program.wake();
    let mut registration = daemon.connection(&first).expect("stored").registration;
    registration["name"] = json!("somebody else");
    let url = format!("{}/api/v1/connections", daemon.url());
    let reply = call("POST", &url, None, Some(&registration)).expect("it answers");
    assert_eq!(reply.status, 201, "{}", reply.body);
    let second = reply.json()["connectionId"].as_str().map(str::to_owned);
    let second = second.expect("an id");

    metric(&daemon, &first, "price", "trade", &["price"]);
    metric(&daemon, &second, "activity", "trade", &["active"]);
    program.running.run("trade 2");
    assert_eq!(events_of(&daemon, "price", 2)[0].connection_id, first);
    assert_eq!(events_of(&daemon, "activity", 2)[0].connection_id, second);
    for id in [&first, &second] {
        let report = &daemon.links(id)[0];
        assert_eq!((report.metric_events, &report.ended), (2, &None));
        assert!(report.noise.is_empty(), "{report:?}");
    }
    program.running.quit();
}
