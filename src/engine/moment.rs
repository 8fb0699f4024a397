//! When something was, and how long it took.

use super::sys;

/// A moment by two clocks: the system's, which everybody else knows, and the processor's, which costs no system call.
pub struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Of the processor's clock.
    pub ticks: u64,
}

impl Moment {
    pub fn now() -> Self {
        Self {
            time: sys::now(),
            ticks: ticks(),
        }
    }

    /// How long `spent` ticks are, in nanoseconds; how fast the processor's clock runs shows from `origin` to this moment.
    pub fn nanoseconds(&self, spent: u64, origin: &Self) -> u64 {
        let spent = u128::from(spent);
        let ticks = u128::from(self.ticks.wrapping_sub(origin.ticks)).max(1);
        let nanoseconds = u128::from(self.time.wrapping_sub(origin.time));
        u64::try_from(
            spent
                .wrapping_mul(nanoseconds)
                .checked_div(ticks)
                .unwrap_or(0),
        )
        .unwrap_or(0)
    }
}

/// What the processor's clock says.
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has it; user code may be forbidden it by PR_SET_TSC, which concerns the calling
    // thread and is inherited: then the tracer dies, and the keeper repairs.
    unsafe { core::arch::x86_64::_rdtsc() }
}
