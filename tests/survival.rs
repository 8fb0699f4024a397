//! The application does not notice: whatever it does, and whatever happens to the tracer, under fire.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use detrix_test_support::{PATIENCE, Process, Profile, Running, Session, fixture, mark, source};

/// Starts the fixture and arms its `hot` line.
fn armed(name: &str, message: &str) -> (Running, Session, PathBuf) {
    let file = source(&format!("bin/{name}.rs"));
    let mut program = unbounded(name);
    let mut session = Session::attach(program.port());
    session.logpoint(&file, mark(&file, "hot"), message);
    (program, session, file)
}

/// Starts the fixture with a budget that takes no site out: a test that counts hits must see each of them, however
/// slow the machine is.
fn unbounded(name: &str) -> Running {
    Running::spawn(Command::new(fixture(name, Profile::Release)).env("DETRIX_LOGPOINT_BUDGET", "1"))
}

/// The tracer, seen from outside: the process that traces the fixture's threads.
fn tracer(program: &Running) -> Process {
    let tracers = program.process().tracers();
    assert_eq!(tracers.len(), 1, "one tracer: {tracers:?}");
    Process::new(tracers.into_iter().next().expect("one"))
}

/// Waits for something that becomes true on the time of another process.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_tracer_is_killed_under_fire() {
    let (mut program, mut session, file) = armed("fork_exec", "hit");
    let pristine = Running::start("fork_exec", Profile::Release);
    let undisturbed = pristine.process().text();
    program.run("fire");
    session.outputs(10);
    tracer(&program).signal(libc::SIGKILL);
    for _ in 0..5 {
        assert_eq!(program.ask("hot 1000", "hot"), "500500");
    }
    until("the keeper restores the text", || {
        let now = program.process().text();
        now.iter()
            .all(|(key, bytes)| undisturbed.get(key).is_none_or(|other| other == bytes))
    });
    assert!(program.process().lives());

    // It still serves: the logpoint can be set again.
    session.logpoints(&file, &[]);
    session.logpoint(&file, mark(&file, "hot"), "again");
    until("it logs again", || {
        program.run("hot 1");
        session.output().text == "again"
    });
    session.disconnect();
    program.quit();
}

#[test]
fn the_tracer_is_killed_while_nothing_hits() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    let tracer = tracer(&program);
    tracer.signal(libc::SIGKILL);
    assert_eq!(program.ask("hot 1000", "hot"), "500500");
    session.request("threads", serde_json::json!({}));
    until("the status tells it", || {
        program
            .ask("status", "error")
            .contains("logpoints are gone")
    });
    program.quit();
}

#[test]
fn fork_exec_and_spawn_under_fire() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    session.outputs(10);
    for (command, expected) in [
        ("fork 20", "fork 0"),
        ("exec 20", "exec 0"),
        ("spawn 20", "spawn 0 210"),
    ] {
        let printed = program.run(command);
        assert_eq!(printed, vec![expected; 20], "{command}");
    }
    session.disconnect();
    assert!(program.process().lives());
    program.quit();
}

#[test]
fn a_forked_child_is_not_logged_and_its_text_is_whole() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    assert_eq!(program.run("fork 5"), vec!["fork 0"; 5]);
    assert_eq!(session.drain(), [], "only the children ran the line");
    assert_eq!(program.ask("hot 3", "hot"), "6");
    session.outputs(3);
    session.disconnect();
    program.quit();
}

#[test]
fn a_thread_that_blocks_sigtrap() {
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    let action = program.ask("action", "action");
    let printed = program.run("blocked 50");
    assert_eq!(printed, ["sum 1275", "blocked 1", "unchanged true"]);
    assert_eq!(session.outputs(50).len(), 50);
    assert_eq!(program.ask("action", "action"), action);
    session.disconnect();
    program.quit();
}

#[test]
fn a_program_that_ignores_or_handles_sigtrap() {
    let (mut program, mut session, _) = armed("sigtrap_blocked", "hit");
    assert_eq!(program.run("ignored 50"), ["sum 1275", "action true"]);
    session.outputs(50);
    assert_eq!(
        program.run("handled 50"),
        ["sum 1275", "handled 1"],
        "its own trap reaches its own handler, ours never do"
    );
    session.outputs(50);
    session.disconnect();
    program.quit();
}

#[test]
fn signals_arrive_as_without_us() {
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
fn threads_that_are_created_while_traced() {
    let (mut program, mut session, _) = armed("threads", "thread {thread}");
    assert_eq!(program.ask("serial 40 2", "sum"), "1560");
    let texts: BTreeSet<String> = session
        .outputs(80)
        .into_iter()
        .map(|output| output.text)
        .collect();
    assert_eq!(texts.len(), 40, "each thread logged: {texts:?}");
    assert_eq!(program.ask("storm 40 2", "sum"), "3120");
    session.outputs(160);
    assert_eq!(program.process().untraced(), 0);
    session.disconnect();
    program.quit();
}

#[test]
fn a_process_whose_main_thread_has_ended() {
    let file = source("bin/threads.rs");
    let mut command = Command::new(fixture("threads", Profile::Release));
    let mut program = Running::spawn(command.arg("--without-main"));
    let mut session = Session::attach(program.port());
    session.logpoint(&file, mark(&file, "hot"), "thread {thread}");
    assert_eq!(program.ask("serial 4 2", "sum"), "12");
    session.outputs(8);
    program.run("sleep");
    assert_eq!(program.ask("serial 4 2", "sum"), "12");
    program.quit();
}

#[test]
fn threads_that_existed_before_are_traced_only_while_a_site_is_armed() {
    let file = source("bin/threads.rs");
    let mut program = Running::start("threads", Profile::Release);
    let mut session = Session::attach(program.port());
    program.run("park 20");
    assert_eq!(
        program.process().tracers(),
        BTreeSet::new(),
        "awake, and nothing is traced"
    );
    session.logpoint(&file, mark(&file, "hot"), "hit");
    assert_eq!(program.process().tracers().len(), 1);
    until("every thread is traced", || {
        program.process().untraced() == 0
    });
    session.logpoints(&file, &[]);
    until("nothing is traced any more", || {
        program.process().tracers().is_empty()
    });
    program.quit();
}

#[test]
fn the_program_is_killed_while_traced() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    let port = program.process().listening_ports();
    program.run("fire");
    session.outputs(10);
    let tracer = tracer(&program);
    program.process().signal(libc::SIGKILL);
    let (_, status) = program.end();
    assert!(!status.success());
    until("the tracer goes too", || !tracer.lives());
    for port in port {
        until("the port is free", || {
            std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
        });
    }
}

#[test]
fn the_program_stops_and_continues() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    session.outputs(10);
    program.process().signal(libc::SIGSTOP);
    until("it is stopped", || {
        program
            .process()
            .field("State")
            .is_some_and(|state| state.starts_with(['T', 't']))
    });
    program.process().signal(libc::SIGCONT);
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.disconnect();
    program.quit();
}

#[test]
fn the_program_becomes_another_under_fire() {
    for round in 0..50 {
        let file = source("bin/fork_exec.rs");
        let mut program = unbounded("fork_exec");
        let mut session = Session::attach(program.port());
        program.run("fire");
        // Sometimes while threads are still being seized.
        session.logpoint(&file, mark(&file, "hot"), "hit");
        let tracer = tracer(&program);
        if round % 2 == 0 {
            session.outputs(3);
        }
        program.send("become");
        let (printed, status) = program.end();
        assert!(status.success(), "{status}");
        assert_eq!(printed, ["210"], "the new image runs the line untouched");
        until("the tracer goes", || !tracer.lives());
    }
}

#[test]
fn a_parent_sees_the_program_stop_and_continue() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    let pid = i32::try_from(program.process().pid()).expect("a process id");
    let seen = |flag: i32| {
        let mut status = 0;
        // SAFETY: `status` is a valid place; the child's end, which is not asked for, stays to be waited for.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, flag) }, pid);
        status
    };
    for _ in 0..20 {
        session.outputs(3);
        program.process().signal(libc::SIGSTOP);
        let status = seen(libc::WUNTRACED);
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP);
        program.process().signal(libc::SIGCONT);
        assert!(libc::WIFCONTINUED(seen(libc::WCONTINUED)));
    }
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.disconnect();
    program.quit();
}

#[test]
fn a_tracer_keeps_no_privilege_that_the_program_gave_up() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root can give its user up");
        return;
    }
    let (mut program, mut session, file) = armed("drop_privileges", "hit");
    let pristine = Running::start("drop_privileges", Profile::Release);
    let root = tracer(&program);
    program.run("drop");
    until("the privileged tracer goes", || !root.lives());
    // The program may not be traced now: its text is restored.
    assert_eq!(program.process().tracers(), BTreeSet::new());
    let undisturbed = pristine.process().text();
    let now = program.process().text();
    assert!(
        now.iter()
            .all(|(key, bytes)| undisturbed.get(key).is_none_or(|other| other == bytes))
    );
    program.run("dumpable");
    session.logpoints(&file, &[]);
    session.logpoint(&file, mark(&file, "hot"), "again");
    assert_eq!(program.ask("hot 10", "hot"), "55");
    assert_eq!(session.output().text, "again");
    let user = tracer(&program).field("Uid").expect("it lives");
    assert!(user.starts_with("65534"), "{user}");
    session.disconnect();
    program.quit();
}
