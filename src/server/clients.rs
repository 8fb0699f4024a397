//! Who is attached, for whoever wants to know on whatever thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How many clients are attached, and since when there is none. Clones are the same.
#[derive(Clone, Debug)]
pub struct Clients(Arc<watch::Sender<Attached>>);

#[derive(Clone, Copy, Debug)]
struct Attached {
    clients: usize,
    daemons: usize,
    /// When the last one left, or when the counting began.
    changed: Instant,
}

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Detrix daemon.
    Daemon,
    /// Anything else.
    Other,
}

/// Counts as a client until it is dropped.
#[derive(Debug)]
pub struct Seat {
    clients: Clients,
    kind: Kind,
}

impl Clients {
    /// Nobody, from now on.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Attached {
            clients: 0,
            daemons: 0,
            changed: Instant::now(),
        })))
    }

    /// How many there are. A client counts from its `initialize`, which all that it can do comes after, until its
    /// session is closed.
    pub fn count(&self) -> usize {
        self.0.borrow().clients
    }

    /// How many of them are the Detrix daemon.
    pub fn daemons(&self) -> usize {
        self.0.borrow().daemons
    }

    /// Returns as soon as nobody has been there for `time`.
    pub async fn idle_for(&self, time: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let attached = *changes.borrow_and_update();
            let changed = changes.changed();
            if attached.clients > 0 {
                // Cannot fail: we hold the sender.
                let _ = changed.await;
            } else if let Some(end) = attached.changed.checked_add(time) {
                if tokio::time::timeout_at(end.into(), changed).await.is_err() {
                    return;
                }
            } else {
                // Longer than the clock goes.
                let _ = changed.await;
            }
        }
    }

    pub(super) fn seat(&self, kind: Kind) -> Seat {
        self.0.send_modify(|attached| attached.add(kind, 1));
        Seat {
            clients: self.clone(),
            kind,
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new()
    }
}

impl Attached {
    fn add(&mut self, kind: Kind, count: isize) {
        self.clients = self.clients.saturating_add_signed(count);
        if kind == Kind::Daemon {
            self.daemons = self.daemons.saturating_add_signed(count);
        }
        self.changed = Instant::now();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let kind = self.kind;
        self.clients
            .0
            .send_modify(|attached| attached.add(kind, -1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn seats_are_counted() {
        let clients = Clients::new();
        let daemon = clients.seat(Kind::Daemon);
        let other = clients.seat(Kind::Other);
        assert_eq!((clients.count(), clients.daemons()), (2, 1));
        drop(daemon);
        assert_eq!((clients.count(), clients.daemons()), (1, 0));
        drop(other);
        assert_eq!(clients.count(), 0);
    }

    /// A runtime with a clock.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    }

    #[test]
    fn idle_only_without_a_client() {
        runtime().block_on(async {
            let clients = Clients::new();
            clients.idle_for(Duration::ZERO).await;
            let seat = clients.seat(Kind::Other);
            let mut idle = pin!(clients.idle_for(Duration::ZERO));
            let mut context = Context::from_waker(Waker::noop());
            assert!(idle.as_mut().poll(&mut context).is_pending());
            drop(seat);
            idle.await;
        });
    }

    #[test]
    fn a_client_that_comes_and_goes_begins_the_time_anew() {
        runtime().block_on(async {
            let clients = Clients::new();
            let time = Duration::from_millis(20);
            let mut idle = pin!(clients.idle_for(time));
            let mut context = Context::from_waker(Waker::noop());
            assert!(idle.as_mut().poll(&mut context).is_pending());
            drop(clients.seat(Kind::Other));
            let left = Instant::now();
            idle.await;
            assert!(left.elapsed() >= time - Duration::from_millis(1));
            // Nobody waits so long; it must not overflow either.
            let mut never = pin!(clients.idle_for(Duration::MAX));
            assert!(never.as_mut().poll(&mut context).is_pending());
        });
    }
}
