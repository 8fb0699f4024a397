//! The one handle of the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::orders::Orders;
use super::state::State;
use crate::per_process::PerProcess;

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

/// What is installed in this process; held for some moves of memory only. What a parent process has installed is not: its
/// thread and its event loop are the parent's.
pub fn installed() -> MutexGuard<'static, Option<Installed>> {
    static INSTALLED: PerProcess<Mutex<Option<Installed>>> = PerProcess::new(|| Mutex::new(None));
    // What a panicking thread left is whole: every change is a single assignment.
    lock(INSTALLED.get())
}

/// Held while detrix is initialized or shut down: one after the other, each to its end.
pub fn changing() -> MutexGuard<'static, ()> {
    static CHANGING: PerProcess<Mutex<()>> = PerProcess::new(|| Mutex::new(()));
    lock(CHANGING.get())
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
