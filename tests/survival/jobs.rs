//! Row 10: job control, and a parent that watches.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};

use crate::world::{armed, figure, hits, times};

#[test]
fn row_10_the_program_stops_and_continues() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    session.outputs(10);
    program.process().signal(libc::SIGSTOP);
    until("all of it is stopped", || program.process().all_stopped());
    program.process().signal(libc::SIGCONT);
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.disconnect();
    program.quit();
}

#[test]
fn row_10_a_parent_sees_the_program_stop_and_continue() {
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

/// What a parent sees of a program in a process group of its own that is stopped by each of the signals of job control
/// and continued, and then ends: the codes and signals that waitid(2) gives, each looked at twice.
fn seen_by_its_parent(rounds: u32, logged: bool) -> (Vec<(i32, i32)>, u64) {
    let mut command = Command::new(fixture("children", Profile::Release));
    // With a parent in the same session, but in another group, the stops of job control have an effect.
    command.env("DETRIX_LOGPOINT_BUDGET", "1").process_group(0);
    let mut program = Running::spawn(&mut command);
    let mut session = Session::attach(program.port());
    program.run("fire 3");
    if logged {
        let file = source("hot.rs");
        session.logpoint(&file, mark(&file, "hot"), "hit");
    }
    let pid = program.process().pid();
    let mut seen = Vec::new();
    let mut wait = |flags: i32| {
        // SAFETY: zeroes are a valid siginfo, which the call overwrites.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            assert_eq!(libc::waitid(libc::P_PID, pid, &raw mut info, flags), 0);
            assert_eq!(info.si_pid().unsigned_abs(), pid);
            seen.push((info.si_code, info.si_status()));
        }
    };
    for _ in 0..rounds {
        for signal in [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            if logged {
                session.outputs(2);
            }
            program.process().signal(signal);
            let all = libc::WSTOPPED | libc::WCONTINUED | libc::WEXITED;
            wait(all | libc::WNOWAIT);
            wait(all);
            program.process().signal(libc::SIGCONT);
            wait(all | libc::WNOWAIT);
            wait(all);
            assert_eq!(program.ask("hot 10", "hot"), "55");
        }
    }
    let hits = hits(&mut program);
    session.disconnect();
    program.run("cease");
    program.send("quit");
    wait(libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT);
    let (_, status) = program.end();
    assert!(status.success(), "{status}");
    (seen, hits)
}

#[test]
fn row_10_job_control_looks_the_same_to_a_waiting_parent() {
    let rounds = times(3, 250);
    let (with, hits) = seen_by_its_parent(rounds, true);
    let (without, _) = seen_by_its_parent(rounds, false);
    assert_eq!(with, without);
    let ends = with.last().expect("it has ended");
    assert_eq!(*ends, (libc::CLD_EXITED, 0));
    let stops = with
        .iter()
        .filter(|(code, _)| *code == libc::CLD_STOPPED)
        .count();
    assert_eq!(stops, rounds as usize * 8, "each stop was seen twice");
    assert!(hits > 0);
    figure(10, "stops and continuations, by four signals", rounds * 4);
    figure(10, "hits meanwhile", hits);
}

/// A shell with job control that runs a program in the foreground and says how often it was stopped.
const SHELL: &str = r#"
set -m
"$0"; code=$?
while [ $code = 148 ]; do
    echo stopped
    fg >/dev/null; code=$?
done
exit $code
"#;

/// How a shell at a terminal of its own ends whose program has the terminal's `^Z` typed some times, and `^C` then.
fn at_a_terminal(rounds: u32, logged: bool) -> (ExitStatus, u64) {
    let terminal = nix::pty::openpty(None, None).expect("a pseudoterminal");
    let slave = terminal.slave.as_raw_fd();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SHELL]);
    command.arg(fixture("children", Profile::Release));
    // SAFETY: system calls alone, on a descriptor that is open until the program has been started.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            // Where the tests run in the background, it is ignored.
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            let done = libc::ioctl(slave, libc::TIOCSCTTY, 0);
            nix::errno::Errno::result(done)?;
            Ok(())
        });
    }
    let mut program = Running::spawn(&mut command);
    drop(terminal.slave);
    let mut keys = File::from(terminal.master);
    let mut session = Session::attach(program.port());
    program.run("fire 3");
    if logged {
        let file = source("hot.rs");
        session.logpoint(&file, mark(&file, "hot"), "hit");
    }
    for _ in 0..rounds {
        if logged {
            session.outputs(2);
        }
        keys.write_all(b"\x1a").expect("the terminal is open");
        program.line_where(|line| line == "stopped");
        assert_eq!(program.ask("hot 10", "hot"), "55");
    }
    let hits = hits(&mut program);
    keys.write_all(b"\x03").expect("the terminal is open");
    assert!(session.closes(), "the connection ends with the program");
    let (_, status) = program.end();
    (status, hits)
}

#[test]
fn row_10_a_terminal_stops_continues_and_interrupts_the_program() {
    let rounds = times(3, 100);
    let (with, hits) = at_a_terminal(rounds, true);
    let (without, _) = at_a_terminal(rounds, false);
    assert_eq!(with, without);
    assert!(!with.success(), "it was interrupted: {with}");
    assert!(hits > 0);
    figure(10, "stops at a terminal", rounds);
}
