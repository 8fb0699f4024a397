//! What `detrix::preflight` tells of a program that can be debugged, in every state, and that it leaves nothing behind.

use detrix::{Config, Preflight};
use detrix_test_support::{Process, Trace};

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
    let process = Process::new(std::process::id());
    let caught = || process.field("SigCgt").unwrap();
    let (before, handlers) = (Trace::of(process), caught());
    assert_ready(&detrix::preflight());
    before.wait(process);
    assert_eq!(caught(), handlers);

    let config = Config {
        register: false,
        ..Config::default()
    };
    detrix::init(config).unwrap();
    assert_ready(&detrix::preflight());
    detrix::wake().unwrap();
    let (awake, handlers) = (Trace::of(process), caught());
    let found = detrix::preflight();
    assert_ready(&found);
    awake.wait(process);
    assert_eq!(caught(), handlers);
    detrix::shutdown().unwrap();
    assert_eq!(detrix::preflight(), found);
}
