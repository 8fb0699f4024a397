//! How much a site may cost the threads that run into it.
//!
//! The measure is the time that threads spend stopped, added up over threads, within windows of [`WINDOW`].

use std::sync::atomic::{AtomicU64, Ordering};

/// The length of a window in nanoseconds.
pub const WINDOW: u64 = 100_000_000;

/// What a stop costs a thread beside the time that the tracer can see, in nanoseconds: the way into the kernel, to the
/// tracer and back. A bare stop and continue on one CPU takes 4 to 5 us, of which the tracer sees about one.
pub const SWITCH: u64 = 4_000;

/// What the hits of one site cost. One writer, the tracer; anybody reads.
#[derive(Default)]
pub struct Meter {
    window: AtomicU64,
    spent: AtomicU64,
}

impl Meter {
    /// Adds a stop of `cost` ns that ended at `now`; whether that exceeds `allowed` ns for this window.
    pub fn charge(&self, now: u64, cost: u64, allowed: u64) -> bool {
        let mut spent = cost;
        if now.wrapping_sub(self.window.load(Ordering::Relaxed)) < WINDOW {
            spent = spent.saturating_add(self.spent.load(Ordering::Relaxed));
        } else {
            self.window.store(now, Ordering::Relaxed);
        }
        self.spent.store(spent, Ordering::Relaxed);
        spent > allowed
    }

    /// When the current window ends, in ns of the clock that `charge` was told.
    pub fn window_end(&self) -> u64 {
        self.window.load(Ordering::Relaxed).wrapping_add(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_and_the_next_one_starts_empty() {
        let meter = Meter::default();
        let start = 5 * WINDOW;
        assert!(!meter.charge(start, 600, 1000));
        assert!(!meter.charge(start + 10, 400, 1000));
        assert!(meter.charge(start + 20, 1, 1000));
        assert_eq!(meter.window_end(), start + WINDOW);
        assert!(meter.charge(start + WINDOW - 1, 1, 1000));
        assert!(!meter.charge(start + WINDOW, 1000, 1000));
    }
}
