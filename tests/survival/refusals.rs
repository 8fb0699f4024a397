//! Row 18: what must not be traced. Row 19: limits within which a wake cannot be had.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use detrix_test_support::{Profile, Running, Session, Trace, filter, fixture, mark, source, until};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use serde_json::json;

use crate::world::{figure, skip, tracer};

/// What a wake answers that must not work.
fn refusal(program: &mut Running) -> String {
    program.send("wake");
    program.outcome("wake").expect_err("it must not work")
}

/// That a refused wake has left everything as it was, and that the next one works.
fn works_again(program: &mut Running, before: &Trace) {
    before.wait(program.process());
    let file = source("hot.rs");
    let mut session = Session::attach(program.wake());
    session.logpoint(&file, mark(&file, "hot"), "hit");
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.outputs(10);
    session.disconnect();
    program.run("sleep");
    before.wait(program.process());
}

fn limited() -> (Running, Trace) {
    let mut program = Running::start("limits", Profile::Release);
    program.run("init");
    let before = Trace::of(program.process());
    (program, before)
}

#[test]
fn row_18_a_filter_that_refuses_ptrace() {
    let mut command = Command::new(fixture("limits", Profile::Release));
    // SAFETY: prctl(2) alone, on memory of the closure's own.
    unsafe {
        command.pre_exec(|| {
            filter(
                libc::SYS_ptrace,
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            );
            Ok(())
        })
    };
    let mut program = Running::spawn(&mut command);
    program.run("init");
    let before = Trace::of(program.process());
    let why = refusal(&mut program);
    assert!(
        why.contains("seccomp filter") && why.contains("allow ptrace"),
        "{why}"
    );
    before.wait(program.process());
    assert_eq!(program.ask("hot 10", "hot"), "55");
    program.quit();
}

#[test]
fn row_18_a_process_that_is_not_dumpable() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return skip("row_18_a_process_that_is_not_dumpable");
    }
    let (mut program, _) = limited();
    program.run("become 65533");
    let before = Trace::of(program.process());
    let why = refusal(&mut program);
    assert!(
        why.contains("not dumpable") && why.contains("PR_SET_DUMPABLE"),
        "{why}"
    );
    before.wait(program.process());
    assert_eq!(program.ask("hot 10", "hot"), "55");
    program.run("dumpable");
    works_again(&mut program, &before);
    program.quit();
}

/// A tracer as strace is one, which lets everything pass, on threads of another process. It goes with the value.
struct Foreign {
    stop: std::sync::Arc<AtomicBool>,
    stops: std::sync::Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Foreign {
    fn on(threads: Vec<u32>) -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stops = std::sync::Arc::new(AtomicU64::new(0));
        let (sender, seized) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (stop, stops) = (stop.clone(), stops.clone());
            move || {
                let pids: Vec<Pid> = threads
                    .iter()
                    .map(|tid| Pid::from_raw(tid.cast_signed()))
                    .collect();
                for pid in &pids {
                    ptrace::seize(*pid, ptrace::Options::empty())
                        .expect("our own child may be traced");
                }
                sender.send(()).expect("the test waits");
                while !stop.load(Ordering::SeqCst) {
                    for pid in &pids {
                        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
                        if let Ok(WaitStatus::Stopped(pid, signal)) = waitpid(*pid, Some(flags)) {
                            stops.fetch_add(1, Ordering::SeqCst);
                            let _ = ptrace::cont(pid, signal);
                        }
                    }
                    std::thread::yield_now();
                }
            }
        });
        seized.recv().expect("it seized them");
        Self {
            stop,
            stops,
            thread: Some(thread),
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The threads of a process by whether they are detrix's.
fn threads(program: &Running, own: bool) -> Vec<u32> {
    let all = program.process().threads();
    all.into_iter()
        .filter(|(_, name)| name.starts_with("detrix") == own)
        .map(|(tid, _)| tid)
        .collect()
}

#[test]
fn row_18_another_tracer_has_detrixs_thread() {
    let (mut program, before) = limited();
    program.run("fire 2");
    let foreign = Foreign::on(threads(&program, true));
    let why = refusal(&mut program);
    assert!(
        why.contains("traces it already") && why.contains("strace"),
        "{why}"
    );
    drop(foreign);
    until("it has gone", || {
        program.process().tracers() == BTreeSet::new()
    });
    let with_fire = Trace {
        threads: before.threads + 2,
        ..before
    };
    works_again(&mut program, &with_fire);

    // Awake, and another one comes before the first logpoint.
    let mut session = Session::attach(program.wake());
    let foreign = Foreign::on(threads(&program, true));
    let file = source("hot.rs");
    let refused = session
        .logpoints(&file, &[(mark(&file, "hot"), "hit")])
        .remove(0);
    assert!(refused.message.contains("traces it already"), "{refused:?}");
    drop(foreign);
    until("it has gone", || {
        program.process().tracers() == BTreeSet::new()
    });
    session.logpoint(&file, mark(&file, "hot"), "hit");
    session.outputs(10);
    drop(session);
    program.quit();
}

#[test]
fn row_18_another_tracer_has_a_thread_of_the_program() {
    let (mut program, _) = limited();
    let main = program.process().pid();
    let foreign = Foreign::on(vec![main]);
    // Born of threads that are not traced, or by one that tells its tracer of no children.
    program.run("fire 2");
    let file = source("hot.rs");
    let mut session = Session::attach(program.wake());
    session.logpoint(&file, mark(&file, "hot"), "hit");
    session.outputs(10);
    // The thread that is the other one's passes by the site.
    let before = foreign.stops.load(Ordering::SeqCst);
    assert_eq!(program.ask("hot 100", "hot"), "5050");
    assert!(
        foreign.stops.load(Ordering::SeqCst) >= before + 100,
        "it saw our traps"
    );
    session.outputs(10);
    session.logpoints(&file, &[]);
    drop(foreign);
    program.quit();
}

#[test]
fn row_19_limits_on_memory() {
    let (mut program, before) = limited();
    for left in [0, 1, 4, 16, 32] {
        program.run(&format!("address_space {left}"));
        let why = refusal(&mut program);
        assert!(
            why.contains("RLIMIT_AS") && why.contains("raise it"),
            "{why}"
        );
        program.run("unlimited");
        before.wait(program.process());
    }
    works_again(&mut program, &before);
    program.quit();
    figure(19, "wakes refused for want of address space", 5);
}

/// The files that are looked into are no memory of the program.
#[test]
fn row_19_a_program_that_locks_its_memory() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return skip("row_19_a_program_that_locks_its_memory");
    }
    let (mut program, _) = limited();
    let file = source("hot.rs");
    program.run("lock");
    let mut session = Session::attach(program.wake());
    session.logpoint(&file, mark(&file, "hot"), "hit");
    program.run("hot 1");
    session.outputs(1);
    let locked = program.process().locked();
    let is_file = |name: &&String| name.starts_with('/');
    assert_eq!(locked.keys().find(is_file), None, "{locked:?}");
    assert!(!locked.is_empty(), "its own memory is");
    session.disconnect();
    program.quit();
}

#[test]
fn row_19_limits_on_files() {
    let (mut program, before) = limited();
    let file = source("hot.rs");
    let mut refused = 0;
    for left in 0..12 {
        program.run(&format!("files {}", before.descriptors + left));
        program.send("wake");
        match program.outcome("wake") {
            Err(why) => {
                refused += 1;
                assert!(
                    why.contains("open files") || why.contains("limit"),
                    "{left} left: {why}"
                );
            }
            Ok(_) => {
                program.run("unlimited");
                let port = program.number("status", "debug_port") as u16;
                let mut session = Session::attach(port);
                session.logpoint(&file, mark(&file, "hot"), "hit");
                program.run("hot 2");
                session.outputs(2);
                until("the status has nothing to tell", || {
                    program.ask("status", "error").is_empty()
                });
                session.disconnect();
                program.run("sleep");
            }
        }
        program.run("unlimited");
        before.wait(program.process());
    }
    assert!(refused > 0, "with none left it must not work");
    works_again(&mut program, &before);
    program.quit();
    figure(19, "wakes refused for want of descriptors", refused);
}

/// The end of a logpoint has detrix's thread look at the program's privileges, which it cannot then.
#[test]
fn row_19_a_program_that_has_run_out_of_files_keeps_its_logpoints() {
    let (mut program, _) = limited();
    let file = source("hot.rs");
    let line = mark(&file, "hot");
    let mut session = Session::attach(program.wake());
    let wanted = json!([
        { "line": line, "logMessage": "lasting" },
        { "line": line, "logMessage": "short", "hitLimit": 2 },
    ]);
    session.breakpoints(&file, &wanted);
    program.run("hot 1");
    session.outputs(2);
    let tracer = tracer(&program);
    program.run("files 3");
    program.run("hot 2");
    let ended = session.expect_event("breakpoint");
    let message = ended["breakpoint"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("expired"), "{ended}");
    session.drain();
    program.run("hot 1");
    assert_eq!(session.output().text, "lasting");
    assert!(tracer.lives());
    session.disconnect();
    program.run("unlimited");
    program.quit();
}

#[test]
fn row_19_limits_on_threads_and_processes() {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return skip("row_19_limits_on_threads_and_processes");
    }
    let (mut program, _) = limited();
    // A user of this test alone: nothing else of it counts.
    program.run(&format!(
        "become {}",
        100_000 + std::process::id() % 100_000
    ));
    program.run("dumpable");
    program.run("fire 2");
    let before = Trace::of(program.process());
    // A keeper, and then a tracer, that cannot be had.
    for more in 0..2 {
        program.run(&format!("processes {}", before.threads + more));
        let why = refusal(&mut program);
        assert!(
            why.contains("limit") || why.contains("unavailable"),
            "{more} more: {why}"
        );
        before.wait(program.process());
    }
    program.run("unlimited");
    // Awake, and the first logpoint finds no room.
    let file = source("hot.rs");
    let mut session = Session::attach(program.wake());
    let awake = Trace::of(program.process());
    for more in 0..2 {
        program.run(&format!("processes {}", before.threads + more));
        let refused = session
            .logpoints(&file, &[(mark(&file, "hot"), "hit")])
            .remove(0);
        assert!(!refused.verified, "{more} more: {refused:?}");
        assert!(refused.message.contains("limits"), "{refused:?}");
        session.logpoints(&file, &[]);
        awake.wait(program.process());
    }
    program.run("unlimited");
    session.logpoint(&file, mark(&file, "hot"), "hit");
    session.outputs(10);
    session.logpoints(&file, &[]);
    drop(session);
    program.run("sleep");
    before.wait(program.process());
    program.quit();
}
