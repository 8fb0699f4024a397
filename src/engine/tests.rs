//! The engine on this very process: sites in functions of these tests, hit by threads of theirs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

mod limits;
mod refusals;

use super::*;
use crate::capture::compile::compile;
use crate::capture::logpoint::{Knowledge, Limits, Logpoint};
use crate::capture::program::Program;
use crate::capture::template::Template;
use crate::symbols::scope::Scope;
use crate::symbols::types::{Type, TypeError, TypeRef, TypeSource};

/// One process can be traced by one tracer.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine() -> Engine {
    Engine::start(Budget { total_share: 1.0 }).unwrap()
}

#[inline(never)]
extern "C" fn target(x: u64) -> u64 {
    std::hint::black_box(x).wrapping_mul(3)
}

fn address() -> u64 {
    target as extern "C" fn(u64) -> u64 as usize as u64
}

fn placement(probe: u32) -> Placement {
    Placement {
        probe,
        address: address(),
        text: address()..address() + 64,
        origin: None,
        program: program(),
        account: Arc::default(),
    }
}

/// Records the hit and nothing else.
fn program() -> Program {
    struct NoTypes;
    impl TypeSource for NoTypes {
        fn load(&self, _: TypeRef) -> Result<Type, TypeError> {
            Err(TypeError("none".to_owned()))
        }
    }
    let template = Template::parse("hit").unwrap();
    let logpoint = Logpoint::new(&template);
    let (scope, limits) = (Scope::default(), Limits::default());
    compile(&logpoint, &scope, &NoTypes, &limits, &Knowledge::default())
        .unwrap()
        .program
}

fn text() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    assert_eq!(
        sys::read_memory(sys::process_id(), address(), &mut bytes),
        64
    );
    bytes
}

fn tracer_pid(engine: &Engine) -> i32 {
    let tracer = engine.service.tracer.as_ref().expect("a site is armed");
    tracer.channel.tracer.load(Ordering::Acquire)
}

/// The handler alone: libc adds flags of its own to an action that it puts back.
fn trap_handler() -> usize {
    sys::signal_action(libc::SIGTRAP).unwrap().handler
}

fn traced() -> usize {
    let mut count = 0;
    proc::each_thread(sys::process_id(), |tid| {
        let status =
            std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).unwrap_or_default();
        count += usize::from(status.contains("TracerPid:") && !status.contains("TracerPid:\t0\n"));
    })
    .unwrap();
    count
}

#[test]
fn an_engine_that_goes_late_leaves_the_handler_of_the_next_one() {
    let _alone = alone();
    let before = trap_handler();
    let old = engine();
    let ours = trap_handler();
    assert_ne!(ours, before);
    let new = engine();
    drop(old);
    assert_eq!(trap_handler(), ours);
    drop(new);
    assert_eq!(trap_handler(), before);
}

#[test]
fn a_hit_is_recorded_and_the_function_does_what_it_does() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    assert_eq!(traced(), 0, "awake without a site nothing is traced");
    assert!(
        engine
            .change(&[], vec![placement(1), placement(2)])
            .into_iter()
            .all(|result| result.is_ok())
    );
    assert_ne!(text(), before);
    let thread = std::thread::spawn(|| (0..1000).map(|x| target(x)).sum::<u64>());
    assert_eq!(thread.join().unwrap(), 999 * 1000 / 2 * 3);
    let mut seen = HashMap::new();
    engine.read(usize::MAX, |header, bytes| {
        assert!(!bytes.is_empty());
        *seen.entry(header.probe).or_insert(0) += 1;
    });
    assert_eq!(seen, HashMap::from([(1, 1000), (2, 1000)]));
    engine.change(&[1, 2], Vec::new());
    assert_eq!(text(), before);
    drop(engine);
    assert_eq!(traced(), 0);
}

#[test]
fn what_took_the_place_of_what_was_located_is_not_patched() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    let mut placements = [placement(1), placement(2)];
    locate(&mut placements);
    let [right, mut wrong] = placements;
    // As of memory that has no file.
    wrong.origin = Some(origin::Origin::default());
    let refused = engine.change(&[], vec![wrong]);
    assert!(
        matches!(refused[..], [Err(PlaceError::NotWritten { .. })]),
        "{refused:?}"
    );
    assert_eq!(text(), before);
    let placed = engine.change(&[], vec![right]);
    assert!(matches!(placed[..], [Ok(())]), "{placed:?}");
    assert_ne!(text(), before);
    drop(engine);
    assert_eq!(text(), before);
}

#[test]
fn a_hit_of_the_own_thread_is_not_reported() {
    let _alone = alone();
    let mut engine = engine();
    engine.change(&[], vec![placement(1)]);
    assert_eq!(target(4), 12);
    assert_eq!(engine.read(usize::MAX, |_, _| ()), 0);
    drop(engine);
}

#[test]
fn sites_come_and_go_while_threads_run() {
    let _alone = alone();
    let before = text();
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let n = calls.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(target(n), n * 3);
                }
            });
        }
        let mut engine = engine();
        let mut records = 0;
        for round in 0..200 {
            assert!(engine.change(&[], vec![placement(round)])[0].is_ok());
            let start = calls.load(Ordering::Relaxed);
            while calls.load(Ordering::Relaxed) < start + 10 {
                records += engine.read(usize::MAX, |_, _| ());
            }
            engine.change(&[round], Vec::new());
            assert_eq!(text(), before);
        }
        assert!(records > 200);
        drop(engine);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(text(), before);
}

#[test]
fn a_killed_tracer_hurts_nobody() {
    let _alone = alone();
    let before = text();
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let all = affinity();
                while !stop.load(Ordering::Relaxed) {
                    let n = calls.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(target(n), n * 3);
                }
                assert_eq!(affinity(), all, "no tracer's death left it narrowed");
            });
        }
        let mut engine = engine();
        for round in 0..50 {
            assert!(engine.change(&[], vec![placement(round)])[0].is_ok());
            while engine.read(usize::MAX, |_, _| ()) == 0 {}
            // SAFETY: the tracer is a process of ours.
            unsafe { libc::kill(tracer_pid(&engine), libc::SIGKILL) };
            let lost = loop {
                let events = engine.tick();
                if let Some(Event::Lost { reason, probes }) =
                    events.into_iter().find(|e| matches!(e, Event::Lost { .. }))
                {
                    break (reason, probes);
                }
            };
            assert_eq!(
                lost,
                ("the tracer was killed by signal 9".to_string(), vec![round])
            );
            assert_eq!(text(), before);
            engine.read(usize::MAX, |_, _| ());
        }
        drop(engine);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_thread_that_blocks_sigtrap_keeps_its_mask_and_the_action() {
    let _alone = alone();
    let mut engine = engine();
    engine.change(&[], vec![placement(1)]);
    let action = sys::signal_action(libc::SIGTRAP);
    let thread = std::thread::spawn(|| {
        // SAFETY: sets that are initialized before they are used.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut set);
            libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            assert_eq!((0..100).map(|x| target(x)).sum::<u64>(), 4950 * 3);
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut set);
            libc::sigismember(&set, libc::SIGTRAP)
        }
    });
    assert_eq!(thread.join().unwrap(), 1);
    assert_eq!(sys::signal_action(libc::SIGTRAP), action);
    assert_eq!(engine.read(usize::MAX, |_, _| ()), 100);
    drop(engine);
}

#[test]
fn sleep_puts_the_signal_action_back() {
    let _alone = alone();
    let before = trap_handler();
    let engine = engine();
    assert_ne!(trap_handler(), before);
    drop(engine);
    assert_eq!(trap_handler(), before);
}

#[test]
fn a_fault_of_the_tracer_takes_no_handler_away() {
    let _alone = alone();
    // Rust's own, against stack overflows.
    let before = sys::signal_action(libc::SIGSEGV).unwrap();
    assert_ne!(before.handler, libc::SIG_DFL);
    let mut engine = engine();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    let nowhere = Command::Settle(std::ptr::without_provenance(8));
    let answered = engine
        .service
        .tracer
        .as_ref()
        .unwrap()
        .channel
        .bell
        .ring(&[nowhere]);
    assert!(!answered, "it must have died of that");
    while !engine
        .tick()
        .iter()
        .any(|event| matches!(event, Event::Lost { .. }))
    {}
    assert_eq!(sys::signal_action(libc::SIGSEGV).unwrap(), before);
}

#[test]
fn every_hot_thread_gets_its_turn() {
    const THREADS: usize = 8;
    let _alone = alone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    target(1);
                }
            });
        }
        let mut engine = engine();
        assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
        let mut turns: HashMap<i32, u64> = HashMap::new();
        let end = Instant::now() + Duration::from_secs(60);
        let all_had_theirs = |turns: &HashMap<i32, u64>| {
            turns.len() == THREADS && turns.values().all(|turns| *turns > 100)
        };
        while !all_had_theirs(&turns) && Instant::now() < end {
            engine.read(usize::MAX, |header, _| {
                *turns.entry(header.tid).or_default() += 1;
            });
            engine.tick();
        }
        engine.change(&[1], Vec::new());
        drop(engine);
        stop.store(true, Ordering::Relaxed);
        assert!(all_had_theirs(&turns), "{turns:?}");
    });
}

/// What `wait` returns and how long it took, in a thread that gets `signal` every 10 ms meanwhile.
fn pestered(signal: i32, wait: impl FnOnce() -> i32 + Send + 'static) -> (i32, Duration) {
    let tid = Arc::new(std::sync::atomic::AtomicI32::new(0));
    let thread = std::thread::spawn({
        let tid = tid.clone();
        move || {
            tid.store(sys::thread_id(), Ordering::Release);
            let start = Instant::now();
            (wait(), start.elapsed())
        }
    });
    let end = Instant::now() + Duration::from_secs(60);
    while !thread.is_finished() && Instant::now() < end {
        let tid = tid.load(Ordering::Acquire);
        if tid != 0 {
            // SAFETY: a signal to a thread of this process, which ignores it.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(thread.is_finished(), "the timeout never comes");
    thread.join().unwrap()
}

#[test]
fn ignored_signals_neither_end_nor_prolong_a_wait() {
    let _alone = alone();
    let mut engine = engine();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    for signal in [libc::SIGCHLD, libc::SIGCONT, libc::SIGWINCH] {
        let (result, time) = pestered(signal, || {
            // SAFETY: one event fits; nothing is watched.
            unsafe {
                let epoll = libc::epoll_create1(0);
                let mut event = std::mem::zeroed();
                let result = libc::epoll_wait(epoll, &mut event, 1, 300);
                libc::close(epoll);
                result
            }
        });
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        assert!(time >= Duration::from_millis(300), "{time:?}");
    }
    engine.change(&[1], Vec::new());
    drop(engine);
}

/// The calling thread's affinity.
fn affinity() -> sys::CpuSet {
    let mut set = sys::CpuSet::default();
    sys::affinity(0, &mut set).unwrap();
    set
}

#[test]
fn a_thread_born_of_a_hot_one_may_run_where_that_may() {
    let _alone = alone();
    let mut engine = engine();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    let all = affinity();
    let thread = std::thread::spawn(move || {
        for _ in 0..2_000 {
            target(1);
            let child = std::thread::spawn(affinity).join().unwrap();
            if child != all {
                return Some(child);
            }
        }
        None
    });
    while !thread.is_finished() {
        engine.read(usize::MAX, |_, _| ());
        engine.tick();
    }
    assert_eq!(thread.join().unwrap(), None);
    engine.change(&[1], Vec::new());
    drop(engine);
}

#[test]
fn what_the_program_does_to_sigtrap_while_awake_stays() {
    extern "C" fn handler(_: i32) {}
    let _alone = alone();
    let before = sys::signal_action(libc::SIGTRAP).unwrap();
    let mut engine = engine();
    assert!(engine.change(&[], vec![placement(1)])[0].is_ok());
    for action in [libc::SIG_IGN, handler as extern "C" fn(i32) as usize] {
        // SAFETY: a handler that does nothing, or none.
        unsafe { libc::signal(libc::SIGTRAP, action) };
        for _ in 0..3 {
            std::thread::spawn(|| target(1)).join().unwrap();
            assert_eq!(sys::signal_action(libc::SIGTRAP).unwrap().handler, action);
        }
    }
    engine.change(&[1], Vec::new());
    drop(engine);
    assert_eq!(
        sys::signal_action(libc::SIGTRAP).unwrap().handler,
        handler as extern "C" fn(i32) as usize
    );
    // SAFETY: the action from before.
    unsafe { sys::set_signal_action(libc::SIGTRAP, &before) }.unwrap();
}
