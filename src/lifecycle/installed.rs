//! The one handle of the process.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::forked;
use super::orders::Orders;
use super::state::State;

/// What `init` has installed.
pub enum Installed {
    /// `init` was told that there is to be no debugger.
    Disabled(Arc<State>),
    /// detrix's thread.
    Running(Handle),
}

impl Installed {
    /// What is known of it.
    pub fn state(&self) -> &Arc<State> {
        match self {
            Self::Disabled(state) => state,
            Self::Running(handle) => &handle.state,
        }
    }
}

/// The ways to detrix's thread.
pub struct Handle {
    /// What it lets be known.
    pub state: Arc<State>,
    /// Tells it what to do.
    pub orders: Orders,
    /// Becomes true, or is dropped, when it is to end.
    pub end: watch::Sender<bool>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

struct Cell {
    pid: u32,
    installed: Mutex<Option<Installed>>,
}

/// Null until it is first asked for, and in a forked child.
static CELL: AtomicPtr<Cell> = AtomicPtr::new(ptr::null_mut());

/// What is installed in this process. What a parent process has installed is not: its thread and its event loop are the
/// parent's, so nothing of it can be used or dropped here.
pub fn installed() -> MutexGuard<'static, Option<Installed>> {
    let cell = cell();
    // What a panicking thread left is whole: every change is a single assignment.
    cell.installed
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn cell() -> &'static Cell {
    let pid = std::process::id();
    let known = CELL.load(Ordering::Acquire);
    // SAFETY: a cell is never freed.
    if let Some(cell) = unsafe { known.as_ref() }
        && cell.pid == pid
    {
        return cell;
    }
    forked::in_children(forget);
    let fresh = Box::into_raw(Box::new(Cell {
        pid,
        installed: Mutex::new(None),
    }));
    match CELL.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: as above.
        Ok(_) => unsafe { &*fresh },
        Err(other) => {
            // SAFETY: it was made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(fresh) });
            // SAFETY: only this function stores a cell in a process, so it is one, and it is not freed.
            unsafe { &*other }
        }
    }
}

/// In a forked child, before it can ask: the lock may be held by a thread that it does not have.
extern "C" fn forget() {
    CELL.store(ptr::null_mut(), Ordering::Release);
}
