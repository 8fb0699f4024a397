//! State that a forked child does not inherit.
//!
//! A child of fork(2) gets a copy of all memory, but of all threads only the one that forked: what the others were about to
//! do is never done, and a lock that one of them held is held for ever. So what several threads share belongs to the
//! process that made it; a child finds it anew.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that each process makes for itself when it first asks for it. It is never freed.
pub struct PerProcess<T: 'static> {
    cell: AtomicPtr<Cell<T>>,
    make: fn() -> T,
}

struct Cell<T> {
    process: Process,
    value: T,
}

/// Tells a process from its forked children.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    /// How many forks away it is from where detrix was first used: in a namespace of its own a child may have its parent's
    /// number.
    generation: u64,
}

impl<T: Send + Sync> PerProcess<T> {
    /// With the function that makes the value.
    pub const fn new(make: fn() -> T) -> Self {
        Self {
            cell: AtomicPtr::new(ptr::null_mut()),
            make,
        }
    }

    /// This process' value.
    pub fn get(&'static self) -> &'static T {
        let process = Process::current();
        let known = self.cell.load(Ordering::Acquire);
        // SAFETY: a cell is never freed.
        if let Some(cell) = unsafe { known.as_ref() }
            && cell.process == process
        {
            return &cell.value;
        }
        let fresh = Box::into_raw(Box::new(Cell {
            process,
            value: (self.make)(),
        }));
        match self
            .cell
            .compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: as above.
            Ok(_) => unsafe { &(*fresh).value },
            Err(other) => {
                // SAFETY: it was made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: only another thread of this process can have stored one meanwhile, and it is not freed.
                unsafe { &(*other).value }
            }
        }
    }
}

impl Process {
    fn current() -> Self {
        Self {
            pid: std::process::id(),
            generation: generation(),
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
fn generation() -> u64 {
    use std::sync::Once;
    use std::sync::atomic::AtomicU64;

    static GENERATION: AtomicU64 = AtomicU64::new(0);
    static COUNTED: Once = Once::new();

    extern "C" fn count() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    COUNTED.call_once(|| {
        // SAFETY: the handler only touches an atomic. A failure (no memory) leaves what the process number tells.
        unsafe { libc::pthread_atfork(None, None, Some(count)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
fn generation() -> u64 {
    0
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_child_does_not_wait_for_a_thread_that_it_does_not_have() {
        static NUMBER: PerProcess<Mutex<u32>> = PerProcess::new(|| Mutex::new(1));
        let mut held = NUMBER.get().lock().unwrap();
        *held = 2;
        // SAFETY: the child only touches what is its own, and leaves at once.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let number = NUMBER.get().try_lock().map_or(0, |number| *number);
            // SAFETY: ends the child without what the test's process does at its end.
            unsafe { libc::_exit(number as i32) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(libc::WEXITSTATUS(status), 1, "its own, not locked");
        drop(held);
        assert_eq!(*NUMBER.get().lock().unwrap(), 2);
    }
}
