//! Whether the system lets this process be traced: tried out, because too many things may forbid it to ask them all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::Total;
use super::channel::{Progress, Purpose};
use super::error::{self, EngineError, field};
use super::keeper::Tracer;
use super::shared::Shared;
use super::{privileges, sys, trap};
use crate::per_process::PerProcess;

/// Yama lets one task at a time trace a process, the last one that was asked for, and a trial may be made on any thread:
/// hold this while a tracer is made, or a trial runs.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: PerProcess<Mutex<()>> = PerProcess::new(|| Mutex::new(()));
    ALONE.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a tracer seize its own keeper and leave.
///
/// # Errors
///
/// When tracing is refused, with what to change.
pub fn run(shared: &Arc<Shared>) -> Result<(), EngineError> {
    let _alone = alone();
    run_alone(shared)
}

fn run_alone(shared: &Arc<Shared>) -> Result<(), EngineError> {
    let trial = Tracer::spawn(shared, Purpose::Trial)
        .map_err(EngineError::Resources)?
        .join();
    match trial.progress() {
        Progress::Left => Ok(()),
        _ => Err(error::refusal(&trial)),
    }
}

/// Tries what [`Engine::start`](super::Engine::start) tries, and leaves nothing behind. Takes about a millisecond.
///
/// # Errors
///
/// As [`Engine::start`](super::Engine::start).
pub fn try_tracing() -> Result<(), EngineError> {
    privileges::check_shadow_stack()?;
    let _alone = alone();
    if is_traced_by_ourselves() {
        return Ok(());
    }
    let shared = Arc::new(Shared::new(Total::default()).map_err(EngineError::Resources)?);
    // What is put back, should the trial end badly.
    if let Ok(action) = sys::signal_action(libc::SIGTRAP) {
        shared.trap_action.store(&action);
    }
    run_alone(&shared)
}

/// Whether a tracer of an [`Engine`](super::Engine) is at work: a child of ours traces us, and our handler is in place.
/// No other one can be tried then, and none needs to be.
fn is_traced_by_ourselves() -> bool {
    trap::is_in_place()
        && ["/proc/thread-self/status", "/proc/self/status"]
            .iter()
            .map(|status| field(status, "TracerPid:"))
            .any(|tracer| {
                !matches!(tracer.as_str(), "" | "0")
                    && field(&format!("/proc/{tracer}/status"), "PPid:")
                        == std::process::id().to_string()
            })
}
