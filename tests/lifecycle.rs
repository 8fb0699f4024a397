//! The life of detrix in a program: what each state leaves behind is nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use detrix_test_support::{
    Process, Profile, Running, Session, Trace, fixture, mark, source, until,
};

fn whole_life(way: &[&str]) {
    let file = source("bin/lifecycle.rs");
    let line = mark(&file, "step");
    let mut program = Running::program(&fixture("lifecycle", Profile::Release), way);
    program.run("go 1");
    let virgin = Trace::of(program.process());
    program.run("init");
    let asleep = Trace::of(program.process());
    assert_eq!(asleep.threads, virgin.threads + 1, "asleep is one thread");
    assert_eq!(
        asleep.ports.len(),
        virgin.ports.len() + 1,
        "asleep is one port, the control plane's"
    );

    let mut port = 0;
    for _ in 0..3 {
        assert_eq!(program.ask("status", "state"), "Sleeping");
        port = program.wake();
        assert_eq!(program.ask("status", "state"), "Awake");
        assert_eq!(program.number("status", "debug_port"), u64::from(port));
        assert_eq!(program.ask("status", "debug_port_active"), "true");
        assert!(program.process().listening_ports().contains(&port));
        assert!(
            program.process().tracers().is_empty(),
            "awake without a logpoint traces nothing"
        );
        let mut session = Session::attach(port);
        session.logpoint(&file, line, "index={index}");
        program.run("go 3");
        let texts = session.texts(3);
        assert_eq!(texts, ["index=0", "index=1", "index=2"]);
        assert!(Trace::of(program.process()).text != asleep.text);
        assert_eq!(program.ask("sleep", "status"), "Sleeping");
        // Row 23: an orderly end is told.
        session.expect_event("terminated");
        assert!(session.closes());
        drop(session);
        asleep.wait(program.process());
    }
    assert_eq!(program.ask("sleep", "status"), "AlreadySleeping");
    assert_eq!(
        program.number("status", "debug_port"),
        u64::from(port),
        "the last port stays known"
    );
    assert_eq!(program.ask("status", "debug_port_active"), "false");

    program.run("shutdown");
    virgin.wait(program.process());
    program.run("init");
    // The control plane has another port now.
    let control = program.process().listening_ports();
    assert_eq!(control.len(), asleep.ports.len());
    let asleep = Trace {
        ports: control,
        ..asleep
    };
    asleep.wait(program.process());
    let port = program.wake();
    assert_eq!(program.wake(), port, "awake already");
    let mut session = Session::attach(port);
    session.logpoint(&file, line, "again {index}");
    program.run("go 1");
    assert_eq!(session.output().text, "again 0");
    program.run("shutdown");
    session.expect_event("terminated");
    virgin.wait(program.process());
    program.quit();
}

#[test]
fn from_a_plain_thread() {
    whole_life(&[]);
}

#[test]
fn from_the_main_thread_of_a_tokio_runtime() {
    whole_life(&["tokio"]);
}

#[test]
fn from_a_task_of_a_tokio_runtime() {
    whole_life(&["worker"]);
}

#[test]
fn calls_in_the_wrong_order_are_errors_that_say_so() {
    let mut program = Running::start("lifecycle", Profile::Release);
    assert_eq!(
        program.ask("status", "state"),
        "Sleeping",
        "before init as after"
    );
    for command in ["wake", "sleep"] {
        program.send(command);
        let why = program.outcome(command).expect_err("not initialised");
        assert!(why.contains("init"), "{command}: {why}");
    }
    program.run("init");
    program.send("init");
    let why = program.outcome("init").expect_err("initialised twice");
    assert!(why.contains("already"), "{why}");
    program.run("shutdown");
    program.run("init");
    program.quit();
}

#[test]
fn the_program_ends_while_awake_and_armed() {
    let file = source("bin/lifecycle.rs");
    let mut program = Running::start("lifecycle", Profile::Release);
    program.run("init");
    let port = program.wake();
    let mut session = Session::attach(port);
    session.logpoint(&file, mark(&file, "step"), "hit");
    program.run("go 1");
    session.output();
    program.quit();
    assert!(session.closes(), "the connection ends with the program");
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

#[test]
fn signals_are_left_to_the_threads_of_the_application() {
    let mut program = Running::start("lifecycle", Profile::Release);
    program.run("init");
    let process = program.process();
    let threads = process.threads();
    let (tid, _) = threads
        .iter()
        .find(|(_, name)| *name == "detrix")
        .expect("init has started it");
    let blocked = Process::new(*tid)
        .field("SigBlk")
        .expect("status has the blocked signals");
    let blocked = u64::from_str_radix(blocked.trim(), 16).expect("a hexadecimal number");
    let is_blocked = |signal: i32| blocked & (1 << (signal - 1)) != 0;
    assert!(
        [libc::SIGTERM, libc::SIGUSR1, libc::SIGCHLD, libc::SIGPROF].map(is_blocked) == [true; 4]
    );
    assert!([libc::SIGTRAP, libc::SIGSEGV].map(is_blocked) == [false; 2]);
    program.quit();
}

#[test]
fn a_forked_child_starts_without_detrix() {
    let mut program = Running::start("lifecycle", Profile::Release);
    for state in ["before init", "asleep", "awake"] {
        match state {
            "asleep" => drop(program.run("init")),
            "awake" => drop(program.wake()),
            _ => {}
        }
        let printed = program.run("fork");
        assert_eq!(
            printed,
            [
                "child state sleeping",
                "child wake detrix client not initialized",
                "child wake awake",
                "child sleep sleeping",
            ],
            "{state}"
        );
    }
    assert_eq!(program.ask("status", "state"), "Awake");
    program.quit();
}

/// Sets a flag to false when it is dropped.
struct Unset<'a>(&'a AtomicBool);

impl Drop for Unset<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn a_child_waits_for_no_lock_that_its_parent_held() {
    let mut program = Running::start("lifecycle", Profile::Release);
    program.run("init");
    let port = program.number("status", "control_port");
    let asked = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // Each has detrix's thread try whether it can be traced.
        scope.spawn(|| {
            let address = format!("127.0.0.1:{port}");
            while asked.load(Ordering::Relaxed) {
                let mut plane = TcpStream::connect(&address).expect("the control plane listens");
                let request = format!(
                    "GET /detrix/info HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                );
                plane.write_all(request.as_bytes()).expect("it reads");
                let mut answer = String::new();
                plane.read_to_string(&mut answer).expect("it answers");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        });
        // Also when the test fails.
        let _end = Unset(&asked);
        for _ in 0..10 {
            let printed = program.run("fork");
            assert_eq!(printed.len(), 4, "the whole life of a child: {printed:?}");
        }
    });
    program.quit();
}

#[test]
fn a_child_keeps_no_port_open() {
    let mut program = Running::start("lifecycle", Profile::Release);
    program.run("init");
    let before = program.process().listening_ports();
    let port = program.wake();
    program.run("hold");
    program.run("sleep");
    assert_eq!(program.process().listening_ports(), before);
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))
        .expect("nobody holds the port any more");
    program.run("shutdown");
    for port in before {
        std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))
            .expect("nobody holds the control plane's port any more");
    }
    program.run("release");
    program.quit();
}

#[test]
fn a_daemon_initialises_after_it_has_made_itself_one() {
    let mut program = Running::program(&fixture("lifecycle", Profile::Release), &["daemon"]);
    assert_eq!(program.ask("status", "state"), "Sleeping");
    program.run("init");
    let port = program.wake();
    let file = source("bin/lifecycle.rs");
    let mut session = Session::attach(port);
    session.logpoint(&file, mark(&file, "step"), "index={index}");
    program.run("go 2");
    assert_eq!(session.texts(2), ["index=0", "index=1"]);
    program.run("shutdown");
    session.expect_event("terminated");
    program.quit();
}

#[test]
fn warm_is_ready_and_opens_nothing() {
    let file = source("bin/lifecycle.rs");
    let mut command = std::process::Command::new(fixture("lifecycle", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_START_STATE", "warm"));
    program.run("go 1");
    let virgin = Trace::of(program.process());
    program.run("init");
    assert_eq!(program.ask("status", "state"), "Warm");
    let warm = Trace::of(program.process());
    assert_eq!(warm.threads, virgin.threads + 1);
    assert!(warm.text == virgin.text && warm.tracers.is_empty());
    assert_eq!(
        warm.ports.len(),
        virgin.ports.len() + 1,
        "the control plane's"
    );
    for _ in 0..2 {
        let mut session = Session::attach(program.wake());
        session.logpoint(&file, mark(&file, "step"), "index={index}");
        program.run("go 1");
        assert_eq!(session.output().text, "index=0");
        program.run("sleep");
        assert_eq!(program.ask("status", "state"), "Warm", "as it started");
        assert!(session.closes());
        warm.wait(program.process());
    }
    program.quit();
}

#[test]
fn switched_off_it_does_nothing_and_says_so() {
    let mut command = std::process::Command::new(fixture("lifecycle", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_ENABLED", "0"));
    program.run("go 1");
    let virgin = Trace::of(program.process());
    program.run("init");
    virgin.wait(program.process());
    program.send("wake");
    let why = program.outcome("wake").expect_err("switched off");
    assert!(why.contains("DETRIX_ENABLED"), "{why}");
    assert_eq!(program.ask("sleep", "status"), "AlreadySleeping");
    assert_eq!(program.ask("status", "state"), "Sleeping");
    program.run("shutdown");
    program.quit();
}

#[test]
fn without_clients_it_goes_to_sleep_by_itself() {
    let mut command = std::process::Command::new(fixture("lifecycle", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_MAX_AWAKE", "0.2"));
    program.run("init");
    let session = Session::attach(program.wake());
    drop(session);
    until("it sleeps", || program.ask("status", "state") == "Sleeping");
    // It can be woken again, and stays awake while somebody is there: a test of that cannot be waited for, but the
    // session that is attached would be closed.
    let mut session = Session::attach(program.wake());
    let file = source("bin/lifecycle.rs");
    session.logpoint(&file, mark(&file, "step"), "index={index}");
    program.run("go 1");
    assert_eq!(session.output().text, "index=0");
    program.quit();
}
