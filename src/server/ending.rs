//! How the service ends: first clients get what was recorded, then they are told that it is over.
//!
//! In between is the time to unregister at a daemon that is among them: told too early it hangs up before it has its
//! events, and told too late it takes the end of the connection for a crash.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Where a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients are served.
    Serving,
    /// Sessions are closed at the backend, and write until then what is left.
    Draining(Instant),
    /// Clients are told that it is over, and their connections closed.
    Ended,
}

/// Held by a session for as long as it has something to write. Nothing is ever sent.
pub(super) type Busy = mpsc::Sender<std::convert::Infallible>;

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Hits that were recorded and that a client who was there at the end was not told of, because it did not read, or
    /// more were left than it can take in the time that there was.
    pub undelivered: u64,
}

/// A server whose port is closed, and whose clients have got what was recorded. Dropped, it closes their connections
/// without a word.
pub struct Leaving {
    pub(super) sessions: JoinSet<u64>,
    pub(super) phase: watch::Sender<Phase>,
}

impl Leaving {
    /// Tells the clients that debugging is `terminated`, and closes the connections.
    pub async fn end(mut self) -> Drained {
        // Nobody is left to be told where there is no receiver.
        let _ = self.phase.send(Phase::Ended);
        let mut undelivered = 0;
        while let Some(ended) = self.sessions.join_next().await {
            // An error is a panic, which has said so itself.
            undelivered += ended.unwrap_or(0);
        }
        if undelivered > 0 {
            tracing::warn!(undelivered, "debug clients were not told of all hits");
        }
        Drained { undelivered }
    }
}
