//! The logpoints and their numbers, for whoever asks on whatever thread, however busy or stuck detrix's own is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Debugger;
use crate::engine::{Account, Backlog, Counts, Standing, Total};
use crate::responses::{LogpointCounts, LogpointState, LogpointStatus};

/// For how long detrix's own thread may leave its work undone until that is said. To read the debug information of a
/// large program for the first time takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    entries: Arc<Mutex<Vec<Entry>>>,
    total: Arc<Total>,
    backlog: Arc<Backlog>,
}

struct Entry {
    id: i64,
    path: String,
    line: u64,
    expired: bool,
    account: Arc<Account>,
}

impl Roster {
    /// Without logpoints.
    pub fn new(total: Arc<Total>, backlog: Arc<Backlog>) -> Self {
        Self {
            entries: Arc::default(),
            total,
            backlog,
        }
    }

    /// The logpoints that are set or have expired, by the numbers that their clients know.
    pub fn logpoints(&self) -> Vec<LogpointStatus> {
        // A list is replaced as a whole.
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(Entry::status).collect()
    }

    /// All logpoints since the start, those that are gone included.
    pub fn totals(&self) -> LogpointCounts {
        let passed = self.total.passed.load(Ordering::Relaxed);
        let mut totals = counts(self.total.tally.counts());
        totals.missed = totals.missed.saturating_add(passed);
        totals
    }

    /// That detrix's own thread does not come round, where it does not.
    pub fn stall(&self) -> Option<String> {
        let age = self.backlog.age();
        (age >= PATIENCE).then(|| {
            format!(
                "detrix's own thread has been busy or stuck for {} s: hits are kept until 4 MiB are full, then dropped \
                 and counted; look at what the thread `detrix` of this process waits for",
                age.as_secs()
            )
        })
    }
}

impl Entry {
    fn status(&self) -> LogpointStatus {
        LogpointStatus {
            id: self.id,
            path: self.path.clone(),
            line: self.line,
            state: match self.account.standing() {
                _ if self.expired => LogpointState::Expired,
                Standing::Active => LogpointState::Active,
                Standing::Suspended => LogpointState::Suspended,
                Standing::Expired => LogpointState::Expired,
            },
            counts: counts(self.account.current()),
        }
    }
}

fn counts(counts: Counts) -> LogpointCounts {
    LogpointCounts {
        hits: counts.hits,
        logged: counts.logged,
        dropped: counts.dropped,
        missed: counts.missed,
        suspensions: counts.suspensions,
        suspended_ns: counts.suspended_ns,
        stopped_ns: counts.stopped_ns,
    }
}

impl Debugger {
    /// The logpoints and their numbers, now and later.
    pub fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// Has the roster show what is set now.
    pub(super) fn publish_roster(&self) {
        let mut all = Vec::new();
        for session in self.sessions.values() {
            for (name, file) in &session.files {
                let breakpoints = file.breakpoints.iter();
                let known = breakpoints
                    .filter(|breakpoint| breakpoint.placed.verified || breakpoint.expired);
                all.extend(known.map(|breakpoint| Entry {
                    id: breakpoint.placed.id,
                    path: name.path.clone(),
                    line: breakpoint.placed.line.unwrap_or(breakpoint.wanted.line),
                    expired: breakpoint.expired,
                    account: breakpoint.account.clone(),
                }));
            }
        }
        all.sort_by_key(|entry| entry.id);
        *self
            .roster
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = all;
    }
}
