//! What a wake tells the daemon, and what is left of one that fails.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use detrix_standin::{Ended, Options, Registrations, Standin, Status};
use detrix_test_support::{Session, until};
use serde_json::json;

use crate::program::{Program, file, free_port, metric};
use crate::{daemon, events_of};

#[test]
fn every_field_is_told() {
    let daemon = daemon();
    let mut program = Program::start(
        &daemon,
        &[
            ("DETRIX_WORKSPACE_ROOT", "/srv/app"),
            ("DETRIX_SAFE_MODE", "1"),
            ("DETRIX_BUILD_COMMIT", "abc123"),
            ("DETRIX_BUILD_TAG", "v7"),
        ],
    );
    let (port, id) = program.wake();
    let stored = daemon.connection(&id).expect("registered under this id");
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("proc");
    let expected = json!({
        "host": "127.0.0.1",
        "port": port,
        "language": "rust",
        "name": program.name,
        "workspaceRoot": "/srv/app",
        "hostname": hostname.trim_end(),
        "pid": program.running.process().pid(),
        "safeMode": true,
        "buildCommit": "abc123",
        "buildTag": "v7",
        "controlPlaneUrl": format!("http://127.0.0.1:{}", program.control_port),
    });
    assert_eq!(stored.registration, expected);
    assert_eq!(stored.status, Status::Connected);
    program.running.quit();
}

/// The daemon attaches before it answers, and so can others.
#[test]
fn debug_clients_are_served_meanwhile() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[("DETRIX_REGISTER_TIMEOUT", "60")]);
    daemon.set_registrations(Registrations::Stalled);
    program.running.send("wake");
    until("the handshake is done", || {
        daemon
            .connections()
            .first()
            .is_some_and(|connection| connection.status == Status::Connected)
    });
    assert_eq!(daemon.registrations_in_flight(), 1);
    let mut session = Session::attach(daemon.connections()[0].port);
    session.request("threads", json!({}));
    session.disconnect();
    assert_eq!(daemon.registrations_in_flight(), 1);
    daemon.set_registrations(Registrations::Served);
    program.running.outcome("wake").expect("it is answered");
    program.running.quit();
}

#[test]
fn sleep_and_shutdown_unregister() {
    let daemon = daemon();
    let mut program = Program::start(&daemon, &[]);
    for (round, command) in ["sleep", "shutdown"].iter().enumerate() {
        let (_, id) = program.wake();
        program.running.run(command);
        let row = daemon.connection(&id).expect("the row is kept");
        assert_eq!(row.status, Status::Disconnected, "{command}");
        let links = daemon.links(&id);
        assert_eq!(links.len(), round + 1);
        assert_eq!(links[round].ended, Some(Ended::ByDaemon), "{command}");
    }
    program.running.quit();
}

/// An override holds for one wake, and for the sleep that ends it.
#[test]
fn an_override_is_where_sleep_unregisters() {
    let (configured, other) = (daemon(), daemon());
    let mut program = Program::start(&configured, &[]);
    let port = other.url().rsplit(':').next().map(str::to_owned);
    let wake = format!("wakeat {}", port.expect("it has a port"));
    let id = program.running.ask(&wake, "connection");
    assert!(configured.connections().is_empty());
    assert_eq!(
        other.connection(&id).map(|row| row.status),
        Some(Status::Connected)
    );
    program.sleep();
    assert_eq!(
        other.connection(&id).map(|row| row.status),
        Some(Status::Disconnected)
    );

    assert_eq!(program.wake().1, id, "the same identity");
    assert_eq!(
        configured.connection(&id).map(|row| row.status),
        Some(Status::Connected)
    );
    assert_eq!(other.links(&id).len(), 1);
    program.running.quit();
}

#[test]
fn a_token_is_sent_with_every_call() {
    let daemon = Standin::start(Options {
        token: Some("s3cret".to_owned()),
        ..Options::default()
    })
    .expect("a free port");
    let mut program = Program::start(&daemon, &[("DETRIX_TOKEN", "s3cret")]);
    let (_, id) = program.wake();
    program.sleep();
    assert_eq!(
        daemon.connection(&id).map(|row| row.status),
        Some(Status::Disconnected)
    );
    program.running.quit();

    let mut stranger = Program::start(&daemon, &[("DETRIX_TOKEN", "guess")]);
    let asleep = stranger.trace();
    let why = stranger.wake_failure();
    assert!(why.contains("401"), "{why}");
    stranger.becomes(&asleep);
    stranger.running.quit();
}

/// A local caller needs no token, and has whatever rights its user has: it cannot have the token sent to itself.
#[test]
fn another_user_has_the_token_sent_nowhere() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return detrix_test_support::skip("another_user_has_the_token_sent_nowhere");
    }
    let configured = daemon();
    let other = Standin::start(Options {
        token: Some("s3cret".to_owned()),
        ..Options::default()
    })
    .expect("a free port");
    let mut program = Program::start(&configured, &[("DETRIX_TOKEN", "s3cret")]);
    let port = program.control_port;
    let body = format!(r#"{{"daemon_url":"{}"}}"#, other.url());
    let post = |path: &str, body: &str, user: u32| {
        let request = format!(
            "POST {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nConnection: close\\r\\nContent-Length: {}\\r\\n\\r\\n{}",
            body.len(),
            body.replace('"', "\\\""),
        );
        let script =
            format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf \"{request}\" >&3; cat <&3");
        let mut bash = Command::new("bash");
        let output = bash.args(["-c", &script]).uid(user).gid(user).output();
        String::from_utf8(output.expect("bash").stdout).expect("UTF-8")
    };
    let refused = post("/detrix/wake", &body, 12345);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(
        refused.contains("401"),
        "the daemon got no token: {refused}"
    );
    let refused = post("/detrix/files/read", r#"{"path":"Cargo.toml"}"#, 12345);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    // The own user has it sent, and another one may wake with the daemon that is configured.
    let woken = post("/detrix/wake", &body, 0);
    assert!(woken.starts_with("HTTP/1.1 200"), "{woken}");
    program.sleep();
    let woken = post("/detrix/wake", "{}", 12345);
    assert!(woken.starts_with("HTTP/1.1 200"), "{woken}");
    program.running.quit();
}

/// The port is the same each time, and free again at once; so are the metrics, which the daemon has kept.
#[test]
fn a_fixed_port_can_be_woken_on_again() {
    let daemon = daemon();
    let port = free_port();
    let mut program = Program::start(&daemon, &[("DETRIX_DEBUG_PORT", &port.to_string())]);
    let mut ids = Vec::new();
    for round in 0..5 {
        let (woken, id) = program.wake();
        assert_eq!(woken, port);
        if round == 0 {
            metric(&daemon, &id, "price", "trade", &["price"]);
        }
        program.running.run("trade 1");
        events_of(&daemon, "price", round + 1);
        program.sleep();
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one identity");
    program.running.quit();
}

/// The daemon refuses, or never answers; the second time its metrics are armed already.
#[test]
fn a_failed_registration_leaves_nothing() {
    let daemon = daemon();
    let port = free_port().to_string();
    let variables = [
        ("DETRIX_DEBUG_PORT", port.as_str()),
        ("DETRIX_REGISTER_TIMEOUT", "5"),
    ];
    let mut program = Program::start(&daemon, &variables);
    let asleep = program.trace();
    daemon.set_registrations(Registrations::Refused);
    let why = program.wake_failure();
    assert!(why.starts_with("failed to register with daemon: "), "{why}");
    program.becomes(&asleep);

    daemon.set_registrations(Registrations::Served);
    let (_, id) = program.wake();
    metric(&daemon, &id, "price", "trade", &["price"]);
    program.sleep();
    program.becomes(&asleep);

    daemon.set_registrations(Registrations::Stalled);
    let why = program.wake_failure();
    assert!(why.starts_with("failed to register with daemon: "), "{why}");
    assert_eq!(program.running.ask("status", "state"), asleep_state());
    assert_eq!(program.running.ask("status", "debug_port_active"), "false");
    program.becomes(&asleep);
    // Its metrics were set meanwhile: it was not merely too early.
    let report = daemon.links(&id).pop().expect("it was dialled");
    let last = report.requests.last().expect("requests");
    assert_eq!(last["arguments"]["source"]["path"], json!(file()));

    daemon.set_registrations(Registrations::Served);
    assert_eq!(program.wake().1, id);
    program.running.run("trade 1");
    events_of(&daemon, "price", 1);
    program.running.quit();
}

/// As the fixtures print it.
fn asleep_state() -> &'static str {
    "Sleeping"
}
