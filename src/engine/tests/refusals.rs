//! A system that does not let this process be traced: what is said, and what is left.

use super::*;

/// In a thread of its own, whose filter answers ptrace(2) with `action`; threads and tracers that it makes inherit it.
fn filtered<T: Send + 'static>(
    action: u32,
    prepare: impl FnOnce() -> Option<Engine> + Send + 'static,
    run: impl FnOnce(Option<Engine>) -> T + Send + 'static,
) -> T {
    filtered_call(libc::SYS_ptrace, action, prepare, run)
}

/// As [`filtered`], with another system call.
fn filtered_call<T: Send + 'static>(
    call: libc::c_long,
    action: u32,
    prepare: impl FnOnce() -> Option<Engine> + Send + 'static,
    run: impl FnOnce(Option<Engine>) -> T + Send + 'static,
) -> T {
    std::thread::spawn(move || {
        let engine = prepare();
        detrix_test_support::filter(call, action);
        run(engine)
    })
    .join()
    .unwrap()
}

fn start() -> Result<Engine, EngineError> {
    Engine::start(Budget { total_share: 1.0 })
}

#[test]
fn a_filter_that_refuses_ptrace_is_named() {
    let _alone = alone();
    let before = trap_handler();
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let error = filtered(refuse, || None, |_| start().map(drop)).unwrap_err();
    assert!(matches!(error, EngineError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("seccomp filter"), "{error}");
    assert_eq!(trap_handler(), before);
    assert_eq!(traced(), 0);
}

#[test]
fn a_filter_that_kills_on_ptrace_kills_the_tracer_alone() {
    let _alone = alone();
    let before = trap_handler();
    let kill = libc::SECCOMP_RET_KILL_PROCESS;
    let error = filtered(kill, || None, |_| start().map(drop)).unwrap_err();
    assert!(matches!(error, EngineError::Ended(_)), "{error:?}");
    assert!(error.to_string().contains("signal 31"), "{error}");
    assert_eq!(trap_handler(), before);
}

#[test]
fn a_trial_says_the_same_and_leaves_as_little() {
    let _alone = alone();
    let before = trap_handler();
    for _ in 0..3 {
        try_tracing().unwrap();
    }
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let error = filtered(refuse, || None, |_| try_tracing()).unwrap_err();
    assert!(matches!(error, EngineError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("seccomp filter"), "{error}");
    let kill = libc::SECCOMP_RET_KILL_PROCESS;
    let error = filtered(kill, || None, |_| try_tracing()).unwrap_err();
    assert!(matches!(error, EngineError::Ended(_)), "{error:?}");
    assert_eq!(trap_handler(), before);
    assert_eq!(traced(), 0);
}

#[test]
fn a_filter_that_lets_nobody_wait_is_named_and_leaves_nothing() {
    let _alone = alone();
    let faults = || sys::signal_action(libc::SIGSEGV).unwrap();
    let before = (trap_handler(), faults());
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    for _ in 0..20 {
        let refused = |_| start().map(drop);
        let error = filtered_call(libc::SYS_wait4, refuse, || None, refused).unwrap_err();
        assert!(matches!(error, EngineError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("seccomp filter"), "{error}");
        assert_eq!((trap_handler(), faults()), before);
    }
    assert_eq!(zombies(), 0);
}

/// Tracers that have ended and that nobody has reaped.
fn zombies() -> usize {
    let own = format!(") Z {} ", std::process::id());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats =
        processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    stats
        .filter(|stat| stat.contains("(detrix-keeper") && stat.contains(&own))
        .count()
}

#[test]
fn a_tracer_that_does_not_hear_the_bell_is_ended() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    let tracer = engine.service.tracer.as_ref().unwrap();
    tracer.channel.unheard.store(true, Ordering::Release);
    detrix_test_support::until("its end", || tracer.is_gone());
    assert_eq!(text(), before);
    let events = engine.tick();
    assert!(matches!(events[..], [Event::Lost { .. }]), "{events:?}");
}

#[test]
fn a_trial_leaves_a_tracer_at_work_alone() {
    let _alone = alone();
    let mut engine = engine();
    try_tracing().unwrap();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    let tracer = tracer_of(&engine);
    // Also where another one would be refused.
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    filtered(refuse, || None, |_| try_tracing()).unwrap();
    try_tracing().unwrap();
    // The threads of other tests come and go.
    assert_eq!(tracer_of(&engine), tracer);
    assert!(traced() > 0);
    std::thread::spawn(|| target(1)).join().unwrap();
    assert_eq!(engine.read(usize::MAX, |_, _| ()), 1);
    drop(engine);
    assert_eq!(traced(), 0);
}

#[test]
fn probes_that_go_with_a_tracer_that_cannot_be_replaced_are_told() {
    let _alone = alone();
    let before = text();
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let armed = || {
        let mut engine = engine();
        assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
        Some(engine)
    };
    filtered(refuse, armed, |engine| {
        let mut engine = engine.unwrap();
        let pid = tracer_of(&engine);
        // SAFETY: the tracer is a process of ours.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let tracer = engine.service.tracer.as_ref().unwrap();
        detrix_test_support::until("its end", || tracer.is_gone());
        let other = Placement {
            address: other as extern "C" fn(u64) -> u64 as usize as u64,
            ..placement(2)
        };
        let refused = engine.change(&[], vec![other]);
        assert!(
            matches!(refused[0], Err(PlaceError::Tracer(_))),
            "{refused:?}"
        );
        assert!(!engine.park(), "there is something to tell");
        let events = engine.tick();
        let [Event::Lost { probes, reason }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(probes, &[1]);
        assert!(reason.contains("seccomp filter"), "{reason}");
    });
    assert_eq!(text(), before);
}

#[inline(never)]
extern "C" fn other(x: u64) -> u64 {
    std::hint::black_box(x).wrapping_mul(5)
}

fn tracer_of(engine: &Engine) -> i32 {
    let tracer = engine.service.tracer.as_ref().unwrap();
    tracer.channel.tracer.load(Ordering::Acquire)
}
