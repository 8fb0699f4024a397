//! Whether the system lets this process be traced: tried out, because too many things may forbid it to ask them all.

use std::sync::Arc;

use super::channel::{Progress, Purpose};
use super::error::{self, EngineError, field};
use super::keeper::Tracer;
use super::shared::Shared;
use super::{privileges, sys, trap};

/// Has a tracer seize its own keeper and leave.
///
/// # Errors
///
/// When tracing is refused, with what to change.
pub fn run(shared: &Arc<Shared>) -> Result<(), EngineError> {
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
/// Not at the same time as an engine makes its tracer, on another thread: Yama lets one task trace at a time, and the
/// end of this trial takes back its permission.
///
/// # Errors
///
/// As [`Engine::start`](super::Engine::start).
pub fn try_tracing() -> Result<(), EngineError> {
    privileges::check_shadow_stack()?;
    if is_traced_by_ourselves() {
        return Ok(());
    }
    let shared = Arc::new(Shared::new(0).map_err(EngineError::Resources)?);
    // What is put back, should the trial end badly.
    if let Ok(action) = sys::signal_action(libc::SIGTRAP) {
        shared.trap_action.store(&action);
    }
    run(&shared)
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
