//! When the last thread has left what is about to go.
//!
//! After the text is restored a thread may still be on its way: stopped by the scheduler inside a slot, or with a trap
//! that it has taken and a handler that it has not yet run. Both are over within microseconds of the thread's own time,
//! but that time may be long in coming on a busy machine.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::proc;
use super::shared::Shared;
use super::trap::{self, Retired};
use crate::per_process::PerProcess;

/// How long sleep waits for threads; what is not quiet by then is kept, and tried again at the next sleep, for as long, all of
/// it together.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many looks one after the other have to find all threads out: the list of threads has gaps where some end meanwhile.
const LOOKS: u32 = 2;

/// A thread that has run for so long since is past any slot.
const OWN_TIME: u64 = 20_000_000;

/// What threads might still be inside of, from earlier times awake.
static KEPT: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new(|| Mutex::new(Vec::new()));

type Kept = (Leaving, Option<Retired>);

/// What threads may still be inside of, with what is known of each: how long it has run since adds up.
pub struct Leaving {
    shared: Arc<Shared>,
    seen: HashMap<i32, Seen>,
}

impl Leaving {
    /// Of which nothing is known yet; the text is restored.
    pub fn new(shared: Arc<Shared>) -> Self {
        let seen = HashMap::new();
        Self { shared, seen }
    }

    /// Waits until no thread can be in a slot or about to run the SIGTRAP handler; false when that takes too long.
    pub fn is_quiet(&mut self) -> bool {
        self.is_quiet_by(Instant::now() + PATIENCE)
    }

    fn is_quiet_by(&mut self, end: Instant) -> bool {
        let mut found = 0;
        loop {
            let quiet = !trap::is_entered() && threads_are_out(&self.shared, &mut self.seen);
            found = if quiet { found + 1 } else { 0 };
            if found == LOOKS || Instant::now() >= end {
                return found == LOOKS;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Frees what was shared, unless a thread may be inside; then it is kept until one sleep finds it quiet.
pub fn retire(leaving: Leaving, handler: Option<Retired>, quiet: bool) {
    let mut kept = KEPT.get().lock().unwrap_or_else(PoisonError::into_inner);
    let end = Instant::now() + PATIENCE;
    kept.retain_mut(|(leaving, _)| !leaving.is_quiet_by(end));
    if !quiet {
        kept.push((leaving, handler));
    }
}

/// What is known of a thread. With the text restored, one that is out stays out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Out,
    /// It ran; nanoseconds that it had run for when it was first found so.
    Running(u64),
}

/// Looks at every thread that is not known to be out.
fn threads_are_out(shared: &Shared, seen: &mut HashMap<i32, Seen>) -> bool {
    let mut all_out = true;
    let listed = proc::each_thread(shared.app, |tid| {
        let known = seen.get(&tid).copied();
        if known == Some(Seen::Out) {
            return;
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/self/task/{tid}/{name}"));
        match look(shared, known, read) {
            Found::Seen(now) => {
                all_out &= now == Seen::Out;
                seen.insert(tid, now);
            }
            Found::MayBeInside => all_out = false,
            Found::Gone => drop(seen.remove(&tid)),
        }
    });
    listed.is_ok() && all_out
}

/// What a look at a thread says.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Gone,
    /// In a slot, or about to run the handler; or nobody can tell.
    MayBeInside,
    Seen(Seen),
}

/// Looks at a thread by what `read` says of its files in `/proc`.
fn look(shared: &Shared, known: Option<Seen>, read: impl Fn(&str) -> io::Result<String>) -> Found {
    match read("status") {
        Ok(status) if has_pending_trap(&status) => return Found::MayBeInside,
        Ok(_) => {}
        // Where descriptors or memory have run out, for one, the thread is there all the same.
        Err(error) if !is_gone(&error) => return Found::MayBeInside,
        Err(_) => return Found::Gone,
    }
    if shared.slots.is_empty() {
        // Where a thread is need not be asked, which a process that is not dumpable may not.
        return Found::Seen(Seen::Out);
    }
    if let Some(pc) = program_counter(&read("syscall").unwrap_or_default()) {
        return match shared.slots.contains(pc) {
            true => Found::MayBeInside,
            false => Found::Seen(Seen::Out),
        };
    }
    // One that has gone since is found so by the next look.
    let Some(now) = read("schedstat").ok().and_then(|times| own_time(&times)) else {
        return Found::MayBeInside;
    };
    Found::Seen(match known {
        Some(Seen::Running(start)) if now >= start.saturating_add(OWN_TIME) => Seen::Out,
        Some(running) => running,
        None => Seen::Running(now),
    })
}

/// Whether a thread's file cannot be read because there is no such thread.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// In `/proc/PID/task/TID/schedstat`: for how many nanoseconds it ran.
fn own_time(schedstat: &str) -> Option<u64> {
    schedstat.split(' ').next()?.parse().ok()
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
    fn a_thread_that_cannot_be_looked_at_is_not_gone() {
        let shared = Shared::new(super::super::budget::Total::default()).unwrap();
        let found = |code| look(&shared, None, |_| Err(io::Error::from_raw_os_error(code)));
        for gone in [libc::ENOENT, libc::ESRCH] {
            assert_eq!(found(gone), Found::Gone);
        }
        for there in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EACCES] {
            assert_eq!(found(there), Found::MayBeInside);
        }
    }

    #[test]
    fn an_idle_process_is_quiet() {
        let shared = Shared::new(super::super::budget::Total::default()).unwrap();
        assert!(Leaving::new(Arc::new(shared)).is_quiet());
    }
}
