//! How long a call may take, whatever it is busy with.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Phase};

/// The end of a call.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// `None` for a time that the clock cannot express: never.
    at: Option<Instant>,
    limit: Duration,
}

impl Deadline {
    /// A call that begins now and may take `limit`.
    pub fn within(limit: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(limit),
            limit,
        }
    }

    /// Waits for `phase` of the call.
    ///
    /// # Errors
    ///
    /// [`Failure::Timeout`] when the call's time is over; what `phase` is then stops where it is.
    pub async fn wait<T>(&self, phase: Phase, work: impl Future<Output = T>) -> Result<T, Failure> {
        match self.at {
            Some(at) => timeout_at(at, work).await.map_err(|_| Failure::Timeout {
                phase,
                limit: self.limit,
            }),
            None => Ok(work.await),
        }
    }

    /// The deadline of one of `attempts` that follow each other: each gets its share of the time that is left.
    pub fn share(&self, attempts: usize) -> Self {
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).max(1);
        let now = Instant::now();
        Self {
            at: self
                .at
                .map(|at| now + at.saturating_duration_since(now) / attempts),
            limit: self.limit,
        }
    }
}
