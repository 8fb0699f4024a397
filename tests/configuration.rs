//! Configuration as a program meets it: what `init` and `wake` say to variables, right and wrong.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use detrix::{ClientState, Config, Error};
use detrix_test_support::{Profile, Running, Session, fixture, mark, source};
use serde_json::json;

/// A program that has called nothing of detrix yet.
fn program(variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new(fixture("lifecycle", Profile::Release));
    Running::spawn(command.envs(variables.iter().copied()))
}

/// What a command fails with.
fn failure(program: &mut Running, command: &str) -> String {
    program.send(command);
    program.outcome(command).expect_err("it fails")
}

#[test]
fn a_wrong_value_fails_init_and_leaves_nothing() {
    for (variable, value) in [
        ("DETRIX_DEBUG_PORT", "http"),
        ("DETRIX_CONTROL_PORT", "65536"),
        ("DETRIX_REGISTER_TIMEOUT", "-1"),
        ("DETRIX_UNREGISTER_TIMEOUT", "NaN"),
        ("DETRIX_HEALTH_CHECK_TIMEOUT", "inf"),
        ("DETRIX_MAX_AWAKE", "1e300"),
        ("DETRIX_START_STATE", "asleep"),
        ("DETRIX_CONTROL_HOST", "localhost"),
        ("DETRIX_DEBUG_ALLOW", "everybody"),
        ("DETRIX_CA_BUNDLE", "/no such file"),
        ("DETRIX_ENABLED", "perhaps"),
    ] {
        let mut program = program(&[(variable, value)]);
        let threads = program.process().threads().len();
        let why = failure(&mut program, "init");
        assert!(why.starts_with("configuration error: "), "{why}");
        assert!(why.contains(variable) && why.contains(value), "{why}");
        assert_eq!(program.process().threads().len(), threads, "{variable}");
        assert!(program.process().listening_ports().is_empty(), "{variable}");
        let why = failure(&mut program, "wake");
        assert!(why.contains("not initialized"), "{variable}: {why}");
        program.quit();
    }
}

#[test]
fn a_debug_port_beyond_this_machine_is_refused_by_wake_unless_it_is_meant() {
    let everywhere = ("DETRIX_CONTROL_HOST", "0.0.0.0");
    let mut refused = program(&[everywhere]);
    refused.run("init");
    let control_plane = refused.process().listening_ports();
    assert_eq!(control_plane.len(), 1);
    let why = failure(&mut refused, "wake");
    for part in [
        "configuration error: ",
        "DETRIX_CONTROL_HOST",
        "DETRIX_DEBUG_ALLOW",
    ] {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(refused.ask("status", "state"), "Sleeping");
    assert_eq!(refused.process().listening_ports(), control_plane);
    refused.quit();

    for meant in [
        ("DETRIX_DEBUG_HOST", "127.0.0.1"),
        ("DETRIX_DEBUG_ALLOW", "10.0.0.0/8"),
    ] {
        let mut program = program(&[everywhere, meant]);
        program.run("init");
        let port = program.wake();
        assert!(program.process().listening_ports().contains(&port));
        program.quit();
    }
}

#[test]
fn safe_mode_refuses_what_would_hold_a_thread_and_says_so() {
    let file = source("bin/lifecycle.rs");
    let line = mark(&file, "step");
    for (safe_mode, named) in [("1", true), ("0", false)] {
        let mut program = program(&[("DETRIX_SAFE_MODE", safe_mode)]);
        program.run("init");
        let mut session = Session::attach(program.wake());
        let answer = session.request(
            "setBreakpoints",
            json!({
                "source": {"path": file},
                "breakpoints": [{"line": line}, {"line": line, "logMessage": "index={index}"}],
            }),
        );
        let [stop, logpoint] = [0, 1].map(|index| &answer["breakpoints"][index]);
        assert_eq!(
            (&stop["verified"], &logpoint["verified"]),
            (&json!(false), &json!(true)),
            "{answer}"
        );
        let why = stop["message"].as_str().expect("it says why");
        assert_eq!(why.contains("DETRIX_SAFE_MODE"), named, "{why}");
        program.run("go 1");
        assert_eq!(session.output().text, "index=0");
        program.quit();
    }
}

/// The only test here that has detrix in its own process.
#[test]
fn init_asks_no_daemon() {
    let daemon = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    daemon.set_nonblocking(true).expect("a flag of the socket");
    let port = daemon.local_addr().expect("it has one").port();
    let config = || Config {
        daemon_url: format!("http://127.0.0.1:{port}"),
        ..Config::default()
    };
    detrix::init(config()).expect("whether there is a daemon is not asked yet");
    assert!(matches!(
        detrix::init(config()),
        Err(Error::AlreadyInitialized)
    ));
    let status = detrix::status();
    assert_eq!(status.state, ClientState::Sleeping);
    assert_eq!(status.daemon_url, config().daemon_url);
    assert_ne!(status.control_port, 0);
    detrix::shutdown().expect("it ends");
    let asked = daemon.accept().expect_err("nobody has connected");
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}
