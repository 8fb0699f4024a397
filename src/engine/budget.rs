//! How much logpoints may cost the threads that run into them.
//!
//! The measure is the time that threads spend stopped, added up over threads, within windows of [`WINDOW`]. The windows
//! are the same for all logpoints: one begins with the first stop after the last one's end.

use std::sync::atomic::{AtomicU64, Ordering};

use super::account::Tally;

/// The length of a window in nanoseconds.
pub const WINDOW: u64 = 100_000_000;

/// What a stop costs a thread beside the time that the tracer can see, in nanoseconds: the way into the kernel, to the
/// tracer and back. A bare stop and continue on one CPU takes 4 to 5 us, of which the tracer sees about one.
pub const SWITCH: u64 = 4_000;

/// What one logpoint, or several together, may cost in a window, and have cost. One writer, the tracer; anybody reads.
#[derive(Debug)]
pub struct Meter {
    allowance: u64,
    window: AtomicU64,
    spent: AtomicU64,
}

impl Meter {
    /// For a share of one CPU's time, 0 to 1; 1 is no limit.
    pub fn new(share: f64) -> Self {
        let allowance = match share {
            1.0.. => u64::MAX,
            share => (share.max(0.0) * WINDOW as f64) as u64,
        };
        Self {
            allowance,
            window: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        }
    }

    /// Adds `cost` ns to the window that began at `window`; whether that exceeds what is allowed.
    pub fn charge(&self, window: u64, cost: u64) -> bool {
        let spent = self.spent(window).saturating_add(cost);
        self.window.store(window, Ordering::Relaxed);
        self.spent.store(spent, Ordering::Relaxed);
        spent > self.allowance
    }

    /// What was spent in the window that began at `window`.
    pub fn spent(&self, window: u64) -> u64 {
        match self.window.load(Ordering::Relaxed) == window {
            true => self.spent.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// When the window ends that was charged last.
    pub fn window_end(&self) -> u64 {
        self.window.load(Ordering::Relaxed).wrapping_add(WINDOW)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(1.0)
    }
}

/// All logpoints together, those that are gone included.
#[derive(Debug, Default)]
pub struct Total {
    /// What they may cost, and have cost.
    pub meter: Meter,
    /// What became of their hits.
    pub tally: Tally,
    /// How often one was suspended or has expired.
    pub limited: AtomicU64,
    /// Hits of threads that were not traced.
    pub passed: AtomicU64,
}

impl Total {
    /// With a share of one CPU's time for all logpoints.
    pub fn new(share: f64) -> Self {
        Self {
            meter: Meter::new(share),
            ..Self::default()
        }
    }

    /// The beginning of the window that a stop at `now` belongs to, which is to be charged with it.
    pub fn window(&self, now: u64) -> u64 {
        let current = self.meter.window.load(Ordering::Relaxed);
        match now.wrapping_sub(current) < WINDOW {
            true => current,
            false => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_and_the_next_one_starts_empty() {
        let total = Total::new(0.00001);
        let charge = |now, cost| total.meter.charge(total.window(now), cost);
        let start = 5 * WINDOW;
        assert!(!charge(start, 600));
        assert!(!charge(start + 10, 400));
        assert!(charge(start + 20, 1));
        assert_eq!(total.meter.window_end(), start + WINDOW);
        assert!(charge(start + WINDOW - 1, 1));
        assert!(!charge(start + WINDOW, 1000));
        assert!(charge(start + WINDOW, 1));
    }

    #[test]
    fn a_meter_that_was_not_charged_in_a_window_has_spent_nothing_there() {
        let meter = Meter::new(0.5);
        meter.charge(7, 30);
        assert_eq!((meter.spent(7), meter.spent(8)), (30, 0));
    }

    #[test]
    fn the_whole_of_a_cpu_is_no_limit_and_nothing_of_it_is_no_hit() {
        assert!(!Meter::new(1.0).charge(1, u64::MAX));
        assert!(Meter::new(0.0).charge(1, 1));
        assert!(Meter::new(f64::NAN).charge(1, 1));
    }
}
