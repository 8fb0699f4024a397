//! Row 2: detrix's own thread is stalled, or panics.

use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};
use serde_json::Value;

use crate::world::{armed, figure, hits, times, tracer, unbounded};

/// What the fixture's event panics in.
const DELIVERY: &str = "panic 1";
const SESSION: &str = "panic 2";
const LIFECYCLE: &str = "panic 3";
const EVERYTHING: &str = "panic 4";
const NOTHING: &str = "panic 0";

fn totals(program: &mut Running) -> Value {
    serde_json::from_str(&program.ask("status", "totals")).expect("the totals are JSON")
}

#[test]
fn row_02_nobody_waits_for_a_stalled_thread() {
    let (mut program, mut session, file) = armed("own_thread", "hit");
    program.run("fire 3");
    session.outputs(10);
    let (rounds, mut dropped) = (times(1, 5), 0);
    for _ in 0..rounds {
        program.run("stall");
        until("it stalls", || program.ask("stalled", "stalled") == "true");
        let fired = program.number("fired", "fired");
        until("the ring is full, and drops are counted", || {
            totals(&mut program)["dropped"].as_u64() > Some(dropped)
        });
        dropped = totals(&mut program)["dropped"].as_u64().unwrap_or(0);
        until("the status tells that it is stuck", || {
            program.ask("status", "error").contains("busy or stuck")
        });
        until("the program's threads go on", || {
            program.number("fired", "fired") > fired + 1_000
        });
        assert_eq!(program.ask("hot 100", "hot"), "5050");
        program.run("resume");
        until("the status tells that it is over", || {
            program.ask("status", "error").is_empty()
        });
        // Another client, which has nothing of this to read first.
        drop(session);
        session = Session::attach(program.number("status", "debug_port") as u16);
        session.logpoint(&file, mark(&file, "hot"), "hit");
        session.outputs(10);
    }
    drop(session);
    figure(2, "stalls of detrix's thread", rounds);
    figure(2, "hits meanwhile", hits(&mut program));
    figure(2, "hits dropped, and counted", dropped);
    program.quit();
}

#[test]
fn row_02_what_was_recorded_before_the_tracer_died_is_delivered() {
    const HITS: usize = 1_000;
    let (mut program, mut session, _) = armed("own_thread", "hit");
    program.run("stall");
    program.run(&format!("hot {HITS}"));
    until("it stalls", || program.ask("stalled", "stalled") == "true");
    assert_eq!(totals(&mut program)["logged"], HITS);
    tracer(&program).signal(libc::SIGKILL);
    until("the tracer is gone", || {
        program.process().tracers().is_empty()
    });
    program.run("resume");
    session.outputs(HITS);
    let changed = session.expect_event("breakpoint");
    assert_eq!(changed["breakpoint"]["verified"], false, "{changed}");
    session.disconnect();
    program.quit();
    figure(2, "hits delivered after the end of the tracer", HITS);
}

#[test]
fn row_02_a_panic_while_hits_are_delivered_is_told() {
    let (mut program, mut session, file) = armed("own_thread", "hit");
    program.run("fire 3");
    session.outputs(10);
    program.run(DELIVERY);
    // Its end is told by an event that panics.
    tracer(&program).signal(libc::SIGKILL);
    until("it panics", || {
        program.ask("panicked", "panicked") == "true"
    });
    until("the status tells", || {
        program.ask("status", "error").contains("panicked")
    });
    assert_eq!(program.ask("hot 100", "hot"), "5050");
    // It serves as before.
    session.logpoints(&file, &[]);
    session.drain();
    session.logpoint(&file, mark(&file, "hot"), "again");
    assert_eq!(session.output().text, "again");
    session.logpoints(&file, &[]);
    program.run("cease");
    program.run("sleep");
    assert_eq!(
        program.process().tracers().len(),
        0,
        "nothing is left behind"
    );
    let mut session = Session::attach(program.wake());
    assert_eq!(program.ask("status", "error"), "");
    session.logpoint(&file, mark(&file, "hot"), "woken");
    program.run("hot 1");
    assert_eq!(session.output().text, "woken");
    session.disconnect();
    program.quit();
    figure(2, "panics where hits are delivered", 1);
}

#[test]
fn row_02_a_panic_in_a_session_ends_that_session_alone() {
    let (mut program, mut good, file) = armed("own_thread", "good");
    program.run("fire 2");
    program.run(SESSION);
    let mut stream =
        std::net::TcpStream::connect(("127.0.0.1", program.number("status", "debug_port") as u16))
            .expect("connect");
    let mut bytes = Vec::new();
    for (seq, command) in (1..).zip(["initialize", "attach"]) {
        let message = serde_json::json!({ "seq": seq, "type": "request", "command": command, "arguments": {} });
        dap::frame(&[message.to_string().as_bytes()], &mut bytes);
    }
    std::io::Write::write_all(&mut stream, &bytes).expect("the server reads");
    until("it panics", || {
        program.ask("panicked", "panicked") == "true"
    });
    until("its connection is closed", || {
        !matches!(std::io::Read::read(&mut stream, &mut [0; 512]), Ok(1..))
    });
    good.drain();
    assert_eq!(good.output().text, "good");
    good.logpoint(&file, mark(&file, "hot"), "goes on");
    while good.output().text != "goes on" {}
    program.run("cease");
    good.drain();
    good.disconnect();
    program.quit();
    figure(2, "panics in a session", 1);
}

#[test]
fn row_02_a_panic_upon_a_panic_in_a_session_does_not_end_the_program() {
    let file = source("hot.rs");
    let line = mark(&file, "hot");
    let mut program = unbounded("own_thread");
    let port = program.port();
    let text = program.process().text();
    program.run("fire 2");
    let mut client = dap::Client::connect(("127.0.0.1", port)).expect("connect");
    client.initialize().expect("the server answers");
    let mut set = |message: &str| {
        let breakpoints = serde_json::json!([{ "line": line, "logMessage": message }]);
        let arguments =
            serde_json::json!({ "source": { "path": file }, "breakpoints": breakpoints });
        client.call("setBreakpoints", arguments)
    };
    set("hit").expect("the server answers");
    until("it logs", || hits(&mut program) > 0);
    program.run(EVERYTHING);
    // What is set is written down by an event that panics, and so is what goes with the session.
    set("another").expect_err("the session ends without an answer");
    until("the text is whole", || {
        program.process().tracers().is_empty() && program.process().text() == text
    });
    assert_eq!(program.ask("hot 100", "hot"), "5050");
    program.run(NOTHING);
    let mut session = Session::attach(port);
    session.logpoint(&file, line, "again");
    assert_eq!(session.output().text, "again");
    session.logpoints(&file, &[]);
    session.drain();
    session.disconnect();
    program.run("cease");
    program.quit();
    figure(2, "panics upon panics in a session", 1);
}

#[test]
fn row_02_a_panic_of_the_thread_itself_puts_it_to_sleep() {
    let file = source("hot.rs");
    let mut command = Command::new(fixture("own_thread", Profile::Release));
    let mut program = Running::spawn(command.env("DETRIX_MAX_AWAKE", "1"));
    let _ = program.port();
    let text = program.process().text();
    program.run("fire 2");
    program.run(LIFECYCLE);
    // Nobody is attached for a second: that is said by an event that panics.
    until("the status tells", || {
        program.ask("status", "error").contains("panicked")
    });
    assert_eq!(program.ask("status", "state"), "Sleeping");
    assert_eq!(program.ask("status", "debug_port_active"), "false");
    let mut session = Session::attach(program.wake());
    assert_eq!(program.ask("status", "error"), "");
    session.logpoint(&file, mark(&file, "hot"), "woken");
    assert_eq!(session.output().text, "woken");
    program.run("sleep");
    assert!(program.process().text() == text);
    program.run("cease");
    program.quit();
    figure(2, "panics of the thread itself", 1);
}
