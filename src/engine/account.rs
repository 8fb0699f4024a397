//! What one logpoint may do and has done, at all of its sites.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::budget::Meter;
use super::sys;

/// What a logpoint may do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The share of one CPU's time that threads may spend stopped by it, 0 to 1; 1 is no limit.
    pub share: f64,
    /// What it may cost together with others of its client.
    pub group: Arc<Meter>,
    /// How many hits it may log until it expires.
    pub hits: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            share: 1.0,
            group: Arc::default(),
            hits: None,
        }
    }
}

/// Whether a logpoint logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// It does.
    Active = 0,
    /// Not until the window ends in which it, or its client's, or all logpoints, cost too much.
    Suspended = 1,
    /// Never again: it has logged as many hits as it may.
    Expired = 2,
}

/// One logpoint's. One writer, the tracer; anybody reads.
#[derive(Debug)]
pub struct Account {
    /// What it may cost, and has cost.
    pub meter: Meter,
    /// What it may cost together with others of its client.
    pub group: Arc<Meter>,
    /// The hits that its program counted.
    pub counter: AtomicU64,
    /// What became of its hits.
    pub tally: Tally,
    hit_limit: u64,
    standing: AtomicU8,
    suspended_at: AtomicU64,
}

impl Account {
    /// Of a logpoint without hits.
    pub fn new(limits: &Limits) -> Self {
        Self {
            meter: Meter::new(limits.share),
            group: limits.group.clone(),
            counter: AtomicU64::new(0),
            tally: Tally::default(),
            hit_limit: limits.hits.unwrap_or(u64::MAX),
            standing: AtomicU8::new(Standing::Active as u8),
            suspended_at: AtomicU64::new(0),
        }
    }

    /// Whether it logs.
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            0 => Standing::Active,
            1 => Standing::Suspended,
            _ => Standing::Expired,
        }
    }

    /// Whether it logs, now.
    pub fn is_active(&self) -> bool {
        self.standing() == Standing::Active
    }

    /// What became of its hits until now.
    pub fn current(&self) -> Counts {
        self.counts(sys::now())
    }

    /// What became of its hits; `now` is in ns of the monotonic clock.
    fn counts(&self, now: u64) -> Counts {
        let mut counts = self.tally.counts();
        if self.standing() == Standing::Suspended {
            let since = self.suspended_at.load(Ordering::Relaxed);
            counts.suspended_ns = counts
                .suspended_ns
                .saturating_add(now.saturating_sub(since));
        }
        counts
    }

    /// Suspends it at `now`, if it is active.
    pub fn suspend(&self, now: u64) -> bool {
        if !self.is_active() {
            return false;
        }
        self.suspended_at.store(now, Ordering::Relaxed);
        self.set_standing(Standing::Suspended);
        true
    }

    /// Makes it active again where its window has ended by `now`; for how long it was suspended.
    pub fn resume(&self, now: u64) -> Option<u64> {
        if now < self.meter.window_end() {
            return None;
        }
        self.close(now)
    }

    /// Ends a suspension at `now`, however long its window lasts; for how long it was suspended.
    pub fn close(&self, now: u64) -> Option<u64> {
        if self.standing() != Standing::Suspended {
            return None;
        }
        self.set_standing(Standing::Active);
        Some(now.saturating_sub(self.suspended_at.load(Ordering::Relaxed)))
    }

    /// Expires it where it has logged as many hits as it may.
    pub fn expire(&self) -> bool {
        let lost = self.tally.dropped.load(Ordering::Relaxed);
        let logged = self.tally.logged.load(Ordering::Relaxed);
        let spent = logged.saturating_add(lost) >= self.hit_limit;
        if spent {
            self.set_standing(Standing::Expired);
        }
        spent
    }

    fn set_standing(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Release);
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

/// What became of hits, and what they cost. Times are in nanoseconds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Hits that were looked at.
    pub hits: AtomicU64,
    /// Those of them that were recorded.
    pub logged: AtomicU64,
    /// Those of them whose record was lost to a full ring.
    pub dropped: AtomicU64,
    /// Hits that were not looked at: threads were on their way into the site when it was taken out.
    pub missed: AtomicU64,
    /// How often the budget took it out.
    pub suspensions: AtomicU64,
    /// For how long, until it was put back last.
    pub suspended: AtomicU64,
    /// How long threads were stopped, added up.
    pub stopped: AtomicU64,
}

impl Tally {
    /// As plain numbers.
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            hits: read(&self.hits),
            logged: read(&self.logged),
            dropped: read(&self.dropped),
            missed: read(&self.missed),
            suspensions: read(&self.suspensions),
            suspended_ns: read(&self.suspended),
            stopped_ns: read(&self.stopped),
        }
    }
}

/// What became of hits: see [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hits that were looked at.
    pub hits: u64,
    /// Those of them that were recorded.
    pub logged: u64,
    /// Those of them whose record was lost.
    pub dropped: u64,
    /// Hits that were not looked at.
    pub missed: u64,
    /// How often the budget took it out.
    pub suspensions: u64,
    /// For how long, in ns.
    pub suspended_ns: u64,
    /// How long threads were stopped, in ns.
    pub stopped_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::super::budget::WINDOW;
    use super::*;

    #[test]
    fn what_is_suspended_comes_back_when_its_window_is_over() {
        let account = Account::new(&Limits {
            share: 0.5,
            ..Limits::default()
        });
        assert!(account.meter.charge(100, WINDOW));
        assert!(account.suspend(150));
        assert!(!account.suspend(160), "once");
        assert_eq!(account.counts(250).suspended_ns, 100);
        assert_eq!(account.resume(99 + WINDOW), None);
        assert_eq!(account.resume(100 + WINDOW), Some(WINDOW - 50));
        assert_eq!(account.resume(100 + WINDOW), None);
        assert!(account.is_active());
    }

    #[test]
    fn what_has_logged_enough_expires_for_good_lost_hits_included() {
        let account = Account::new(&Limits {
            hits: Some(2),
            ..Limits::default()
        });
        account.tally.hits.store(9, Ordering::Relaxed);
        account.tally.logged.store(1, Ordering::Relaxed);
        assert!(!account.expire());
        account.tally.dropped.store(1, Ordering::Relaxed);
        assert!(account.expire());
        assert!(!account.suspend(1));
        assert_eq!(account.resume(u64::MAX), None);
        assert_eq!(account.standing(), Standing::Expired);
    }
}
