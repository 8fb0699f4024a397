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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_share_the_time_that_is_left() {
        let hour = Deadline::within(Duration::from_secs(3600));
        let end = hour.at.unwrap();
        let half = hour.share(2).at.unwrap();
        assert!(half < end - Duration::from_secs(1000));
        assert!(hour.share(1).at.unwrap() <= end);
        assert!(Deadline::within(Duration::ZERO).share(3).at.unwrap() <= Instant::now());
        assert_eq!(Deadline::within(Duration::MAX).share(2).at, None);
    }

    #[tokio::test]
    async fn what_is_stopped_says_what_it_was_and_how_long_it_had() {
        let never = std::future::pending::<()>();
        let deadline = Deadline::within(Duration::from_millis(1)).share(2);
        let failure = deadline.wait(Phase::Connect, never).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "no answer within 1ms, still connecting"
        );
    }
}
