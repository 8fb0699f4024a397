//! What `detrix::preflight` tells of a program that can be debugged, in every state, and that it leaves nothing behind.

use std::fs;

use detrix::{Config, Preflight};

/// Each thread's tracer, and the signals that it catches.
fn traces() -> Vec<(String, String)> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status"));
    let lines = |name: &str, status: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default().to_owned()
    };
    threads
        .map(|task| status(task.unwrap()).unwrap())
        .map(|status| (lines("TracerPid:", &status), lines("SigCgt:", &status)))
        .collect()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn assert_ready(preflight: &Preflight) {
    assert!(preflight.ready, "{preflight:#?}");
    assert!(
        preflight.ptrace.ok && preflight.debug_info.ok,
        "{preflight:#?}"
    );
    let executable = std::env::current_exe().unwrap();
    let executable = executable.to_str().unwrap();
    assert!(
        preflight.debug_info.detail.contains(executable),
        "{preflight:#?}"
    );
}

#[test]
fn a_program_that_can_be_debugged_is_ready_in_every_state() {
    let before = (traces(), open_files());
    assert_ready(&detrix::preflight());
    assert_eq!((traces(), open_files()), before);

    let config = Config {
        register: false,
        ..Config::default()
    };
    detrix::init(config).unwrap();
    assert_ready(&detrix::preflight());
    detrix::wake().unwrap();
    let awake = traces();
    let found = detrix::preflight();
    assert_ready(&found);
    assert_eq!(traces(), awake);
    detrix::shutdown().unwrap();
    assert_eq!(detrix::preflight(), found);
}
