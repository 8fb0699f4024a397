//! Row 20: the program's own end. Rows 14 and 15: faults that it handles, or ends by.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source, until};
use object::Endianness::Little;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::world::{armed, figure, skip, times, tracer};

#[test]
fn row_20_the_program_is_killed_while_traced() {
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

/// How the fixture ended.
#[derive(Debug, PartialEq, Eq)]
struct End {
    printed: Vec<String>,
    signal: Option<i32>,
    code: Option<i32>,
    /// What it wrote to its standard error, without backtraces, and without numbers: threads and processes have others each
    /// time.
    said: String,
}

/// Runs `before`, then `last`, of which it ends, in `directory`; with logpoints under fire on two threads where it is awake.
fn end_of(directory: &Path, awake: bool, before: &[&str], last: &str) -> End {
    let errors = directory.join("stderr");
    let mut command = Command::new(fixture("ends", Profile::Release));
    command
        .current_dir(directory)
        .stderr(File::create(&errors).expect("a file of its own"))
        .env("RUST_BACKTRACE", "0");
    let cores = i32::from(directory.join("cores").exists());
    // SAFETY: setrlimit(2) is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let most = if cores == 1 { libc::RLIM_INFINITY } else { 0 };
            let limit = libc::rlimit {
                rlim_cur: most,
                rlim_max: most,
            };
            match libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    };
    let mut program = Running::spawn(&mut command);
    program.run("fire 2");
    let mut tracing = None;
    let mut waiting: Vec<&str> = before.to_vec();
    if awake {
        // Half of what is to be set up comes before wake, half after it.
        let early = waiting.len().div_ceil(2);
        for command in waiting.drain(..early) {
            program.run(command);
        }
        program.run("init");
        let mut session = Session::attach(program.wake());
        let file = source("bin/ends.rs");
        session.logpoint(&file, mark(&file, "hot"), "hit");
        session.outputs(10);
        tracing = Some((tracer(&program), session));
    }
    for command in waiting {
        program.run(command);
    }
    program.send(last);
    let (printed, status) = program.end();
    if let Some((tracer, _session)) = tracing {
        until("the tracer goes with it", || !tracer.lives());
    }
    let said = std::fs::read_to_string(&errors).expect("text");
    End {
        printed,
        signal: status.signal(),
        code: status.code(),
        said: said
            .lines()
            .filter(|line| !line.starts_with(' '))
            .flat_map(str::chars)
            .filter(|c| !c.is_ascii_digit())
            .collect(),
    }
}

#[test]
fn row_20_every_end_is_as_without_us() {
    let ends = [
        "abort",
        "alloc",
        "panic",
        "segv",
        "trap",
        "overflow",
        "overflow_thread",
    ];
    let rounds = times(1, 50);
    let directory = tempfile::tempdir().expect("a directory");
    for last in ends {
        let without = end_of(directory.path(), false, &[], last);
        assert!(without.signal.is_some(), "{last}: {without:?}");
        for _ in 0..rounds {
            let with = end_of(directory.path(), true, &[], last);
            assert_eq!(with, without, "{last}");
        }
    }
    figure(
        20,
        "ends by abort, panic, failed allocation, faults and overflow",
        rounds * 7,
    );
}

#[test]
fn row_15_stack_overflow_is_told_as_without_us() {
    let directory = tempfile::tempdir().expect("a directory");
    for last in ["overflow", "overflow_thread"] {
        let with = end_of(directory.path(), true, &[], last);
        assert_eq!(with.signal, Some(libc::SIGABRT));
        assert!(with.said.contains("has overflowed its stack"), "{with:?}");
        assert_eq!(with, end_of(directory.path(), false, &[], last));
    }
}

#[test]
fn row_14_a_crash_handler_sees_what_it_would_see() {
    let directory = tempfile::tempdir().expect("a directory");
    let rounds = times(1, 50);
    for (last, said) in [
        ("segv", "crash SIGSEGV"),
        ("trap", "crash SIGTRAP"),
        ("abort", "crash SIGABRT"),
    ] {
        let without = end_of(directory.path(), false, &["crash_handler"], last);
        assert_eq!(
            without.printed.first().map(String::as_str),
            Some(said),
            "{last}"
        );
        for _ in 0..rounds {
            // Attached before wake, and after it.
            for before in [&["crash_handler"][..], &["hot 1", "crash_handler"]] {
                let with = end_of(directory.path(), true, before, last);
                assert_eq!(with, without, "{before:?} {last}");
            }
        }
    }
    figure(14, "crashes that the crate crash-handler saw", rounds * 6);
}

#[test]
fn row_14_a_handler_of_faults_goes_on() {
    let faults = times(100, 20_000);
    let mut program = Running::start("ends", Profile::Release);
    let undisturbed = program.ask(&format!("barrier {faults}"), "faults");
    program.run("init");
    let mut session = Session::attach(program.wake());
    let file = source("bin/ends.rs");
    let lines = [
        (mark(&file, "hot"), "hit"),
        (mark(&file, "handler"), "handler"),
    ];
    for placed in session.logpoints(&file, &lines) {
        assert!(placed.verified, "{placed:?}");
    }
    program.run("fire 2");
    assert_eq!(
        program.ask(&format!("barrier {faults}"), "faults"),
        undisturbed
    );
    until("the handler logs", || session.output().text == "handler");
    drop(session);
    program.quit();
    figure(
        14,
        "faults handled by a SIGSEGV handler with a logpoint in it",
        faults,
    );
}

#[test]
fn row_20_a_core_is_usable() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim_end() != "core" {
        return skip("row_20_a_core_is_usable");
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("cores"), "").expect("a file of its own");
    let mut threads = Vec::new();
    for awake in [false, true] {
        let end = end_of(directory.path(), awake, &["pid"], "abort");
        assert_eq!(end.signal, Some(libc::SIGABRT), "{end:?}");
        let core = std::fs::read_dir(directory.path())
            .expect("it can be listed")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.file_name().is_some_and(|name| {
                    name.as_encoded_bytes().starts_with(b"core") && name != "cores"
                })
            });
        let core = core.expect("a core was written");
        let bytes = std::fs::read(&core).expect("it can be read");
        std::fs::remove_file(&core).expect("it can be removed");
        threads.push(threads_in_core(&bytes, libc::SIGABRT));
    }
    // Main, and the two that fire; awake, detrix's thread and the keeper, too. The tracer is another process.
    assert_eq!(threads, [3, 5]);
}

/// How many threads a core has the registers of; the first one's signal is to be `signal`.
fn threads_in_core(bytes: &[u8], signal: i32) -> usize {
    let header = elf::FileHeader64::<object::Endianness>::parse(bytes).expect("an ELF file");
    assert_eq!(header.e_type(Little), elf::ET_CORE);
    let segments = header
        .program_headers(Little, bytes)
        .expect("program headers");
    let memory = segments
        .iter()
        .filter(|segment| segment.p_type(Little) == elf::PT_LOAD)
        .map(|segment| segment.p_filesz(Little))
        .sum::<u64>();
    assert!(memory > 0, "the memory of the program is in it");
    let mut threads = 0;
    for segment in segments {
        let Ok(Some(mut notes)) = segment.notes(Little, bytes) else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            if note.n_type(Little) == elf::NT_PRSTATUS && note.name() == b"CORE" {
                threads += 1;
                // `struct elf_prstatus` begins with `struct elf_siginfo`, that with the signal's number.
                let first = note
                    .desc()
                    .first_chunk::<4>()
                    .map(|number| i32::from_le_bytes(*number));
                assert!(threads > 1 || first == Some(signal), "{first:?}");
            }
        }
    }
    threads
}
