//! When the last thread has left what is about to go.
//!
//! After the text is restored a thread may still be on its way: stopped by the scheduler inside a slot, or with a trap
//! that it has taken and a handler that it has not yet run. Both are over within microseconds of the thread's own time,
//! but that time may be long in coming on a busy machine.

use std::collections::HashMap;
use std::fs;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::proc;
use super::shared::Shared;

/// How long sleep waits for threads; what is not quiet by then is kept, and tried again at the next sleep.
const PATIENCE: Duration = Duration::from_millis(500);

/// A thread that has run for so long since is past any slot.
const OWN_TIME: u64 = 20_000_000;

/// What threads might still be inside of, from earlier times awake.
static KEPT: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Waits until no thread can be in a slot or about to run the SIGTRAP handler; false when that takes too long.
pub fn wait_until_quiet(shared: &Shared) -> bool {
    let end = Instant::now() + PATIENCE;
    let mut run_time = HashMap::new();
    loop {
        let quiet =
            shared.in_handler.load(Ordering::SeqCst) == 0 && threads_are_out(shared, &mut run_time);
        if quiet || Instant::now() >= end {
            return quiet;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Frees what was shared, unless a thread may be inside; then it is kept until one sleep finds it quiet.
pub fn retire(shared: Arc<Shared>, quiet: bool) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let candidates = mem::take(&mut *kept);
    kept.extend(
        candidates
            .into_iter()
            .filter(|shared| !wait_until_quiet(shared)),
    );
    if !quiet {
        kept.push(shared);
    }
}

/// Looks at every thread; `run_time` remembers how long each had run when it was first found running.
fn threads_are_out(shared: &Shared, run_time: &mut HashMap<i32, u64>) -> bool {
    let mut all_out = true;
    let listed = proc::each_thread(shared.app, |tid| {
        all_out &= is_out(shared, tid, run_time).unwrap_or(true);
    });
    listed.is_ok() && all_out
}

/// `None` for a thread that is gone.
fn is_out(shared: &Shared, tid: i32, run_time: &mut HashMap<i32, u64>) -> Option<bool> {
    let file = |name| fs::read_to_string(format!("/proc/self/task/{tid}/{name}")).ok();
    if has_pending_trap(&file("status")?) {
        return Some(false);
    }
    match program_counter(&file("syscall").unwrap_or_default()) {
        Some(pc) => Some(!shared.slots.contains(pc)),
        None => {
            let now = file("schedstat")?.split(' ').next()?.parse().unwrap_or(0);
            Some(now >= run_time.entry(tid).or_insert(now).saturating_add(OWN_TIME))
        }
    }
}

/// In `/proc/PID/task/TID/status`: signals that wait for the thread, bit 0 for signal 1, in hexadecimal.
fn has_pending_trap(status: &str) -> bool {
    status
        .lines()
        .filter_map(|line| line.strip_prefix("SigPnd:"))
        .filter_map(|set| u64::from_str_radix(set.trim(), 16).ok())
        .any(|set| set & (1 << (libc::SIGTRAP - 1)) != 0)
}

/// In `/proc/PID/task/TID/syscall`: the last number of a thread that sleeps; `running` for one that does not.
fn program_counter(syscall: &str) -> Option<u64> {
    u64::from_str_radix(
        syscall.trim_end().rsplit(' ').next()?.strip_prefix("0x")?,
        16,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_thread_shows_its_program_counter() {
        assert_eq!(
            program_counter("7 0x1 0x2 0x3 0x0 0x0 0x0 0x7ffd 0x7f12\n"),
            Some(0x7f12)
        );
        assert_eq!(program_counter("-1 0x7ffd 0x55\n"), Some(0x55));
        assert_eq!(program_counter("running\n"), None);
        assert_eq!(program_counter(""), None);
    }

    #[test]
    fn a_pending_trap_is_seen() {
        assert!(has_pending_trap(
            "Name:\tx\nSigPnd:\t0000000000000010\nShdPnd:\t0000000000000000\n"
        ));
        assert!(!has_pending_trap(
            "SigPnd:\t0000000000000008\nShdPnd:\t0000000000000010\n"
        ));
    }

    #[test]
    fn an_idle_process_is_quiet() {
        let shared = Shared::new(0).unwrap();
        assert!(wait_until_quiet(&shared));
    }
}
