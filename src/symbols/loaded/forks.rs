//! Keeps the dynamic linker's lock from being held where the program forks.
//!
//! dl_iterate_phdr(3) takes a lock of glibc's that fork(2) does not give back to the child, as it does with malloc's: a child
//! that is made meanwhile would wait for ever when it asks the same, as it does to unwind, or to load a library.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Threads that ask the dynamic linker.
static ASKING: AtomicU32 = AtomicU32::new(0);
/// Forks that are being made.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// How long a fork waits at most, for a thread that the processor was taken from: one that does not get on at all is not
/// waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a fork is waited for at most.
const LONGEST_FORK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_micros(50);

/// Asks the dynamic linker while no fork is being made.
pub fn between<T>(ask: impl FnOnce() -> T) -> T {
    register();
    let _asking = Asking::begin();
    ask()
}

struct Asking;

impl Asking {
    fn begin() -> Self {
        let end = Instant::now() + LONGEST_FORK;
        loop {
            ASKING.fetch_add(1, Ordering::SeqCst);
            if FORKS.load(Ordering::SeqCst) == 0 || Instant::now() >= end {
                return Self;
            }
            drop(Self);
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // A child begins anew, also where a signal handler made it in the middle of this.
        let less = |asking: u32| Some(asking.saturating_sub(1));
        let _ = ASKING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }
}

fn register() {
    // Not a `Once`: a child that is made while another thread is at it would wait for that thread for ever.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::SeqCst) {
        // SAFETY: the handlers only use what may be used around a fork: atomics, the clock, and nanosleep(2). A failure
        // (no memory) leaves forks as they are.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

extern "C" fn before() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    let end = Instant::now() + PATIENCE;
    while ASKING.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
}

extern "C" fn in_parent() {
    FORKS.fetch_sub(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    FORKS.store(0, Ordering::SeqCst);
    ASKING.store(0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::{generation, list};
    use super::*;

    const ALONE: &str = "DETRIX_TEST_FORKS_ALONE";

    /// In a process of its own: other tests of this one ask the linker by themselves, as unwinding does.
    #[test]
    fn a_child_may_ask_the_dynamic_linker() {
        if std::env::var_os(ALONE).is_some() {
            return fork_beside_a_thread_that_asks();
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "a_child_may_ask_the_dynamic_linker"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
    }

    fn fork_beside_a_thread_that_asks() {
        static END: AtomicBool = AtomicBool::new(false);
        // Registered before the first fork, as it is where detrix wakes.
        list();
        let asking = std::thread::spawn(|| {
            while !END.load(Ordering::Relaxed) {
                list();
            }
        });
        let made = (0..100).take_while(|_| child_asks()).count();
        END.store(true, Ordering::Relaxed);
        asking.join().unwrap();
        assert_eq!(made, 100, "the next child waited for ever");
    }

    fn child_asks() -> bool {
        // SAFETY: the child allocates, which glibc allows it, asks the linker, and ends; SIGALRM ends one that waits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: both take numbers.
            unsafe {
                libc::alarm(60);
                generation();
                libc::_exit(0);
            }
        }
        let mut status = 0;
        // SAFETY: a child of ours, and room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status == 0
    }
}
