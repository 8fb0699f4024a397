//! For how long work has been waiting for detrix's own thread, for whoever asks on whatever thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sys;

/// Times are in ns of the monotonic clock.
#[derive(Debug, Default)]
pub struct Backlog {
    /// When the thread was last seen at work, or was called to it; 0 while there is none.
    since: AtomicU64,
}

impl Backlog {
    /// The thread is called. Where it has been before, that call counts.
    pub fn called(&self, now: u64) {
        let _ = self
            .since
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The thread is at work.
    pub fn attended(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    /// The thread has nothing to do, unless it is called from now on.
    pub fn done(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long there has been work that nobody did.
    pub fn age(&self) -> Duration {
        self.age_at(sys::now())
    }

    fn age_at(&self, now: u64) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(now.saturating_sub(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_counts_until_the_thread_is_seen() {
        let backlog = Backlog::default();
        assert_eq!(backlog.age_at(1_000), Duration::ZERO, "nobody called");
        backlog.called(100);
        backlog.called(300);
        assert_eq!(backlog.age_at(1_000), Duration::from_nanos(900));
        backlog.attended(400);
        assert_eq!(backlog.age_at(1_000), Duration::from_nanos(600));
        backlog.done();
        assert_eq!(backlog.age_at(1_000), Duration::ZERO);
        backlog.called(500);
        assert_eq!(
            backlog.age_at(400),
            Duration::ZERO,
            "another processor's time"
        );
    }
}
