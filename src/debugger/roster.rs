//! The logpoints and their numbers, for whoever asks on whatever thread, however busy or stuck detrix's own is.

use std::sync::{Arc, Mutex, PoisonError};

use super::Debugger;
use crate::engine::{Account, Counts, Standing, Total};
use crate::responses::{LogpointCounts, LogpointState, LogpointStatus};

/// Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    entries: Arc<Mutex<Vec<Entry>>>,
    total: Arc<Total>,
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
    pub fn new(total: Arc<Total>) -> Self {
        Self {
            entries: Arc::default(),
            total,
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
        counts(self.total.tally.counts())
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
