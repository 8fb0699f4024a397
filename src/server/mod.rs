//! The DAP listener and its sessions: requests in, calls of the [`Backend`] and events out; no debugging logic.
//!
//! Everything runs on the one thread that runs [`serve`]: [`connection`] moves bytes, [`session`] answers one client's
//! requests, [`outlet`] is the way by which the backend sends events to a client whenever it likes. [`access`] says who is
//! let in, [`audit`] writes down what they do, and [`detrix`] has all that one kind of client needs and no other does.

pub mod access;
mod audit;
pub mod backend;
mod clients;
mod connection;
mod detrix;
mod ending;
#[cfg(test)]
mod fake;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod outlet;
mod pace;
mod quota;
mod session;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::allow::Allow;
use access::{Refusal, Refusals};
use audit::Peer;
use backend::{Backend, SessionId};
use ending::Phase;
use session::Session;

pub use clients::Clients;
#[cfg(test)]
pub use ending::Drained;
pub use ending::Leaving;

/// How many clients are served at the same time.
const MAX_CLIENTS: usize = 64;

/// How many clients more are told that they are too many; what comes beyond them is closed without a word.
const MAX_REFUSALS: usize = 16;

/// How long a client that is refused may take to ask for something, so that it can be told.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

/// How long to wait before the next try to accept a client, after one failed (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the sessions may take at the end, all of them together, to write what was recorded until then.
const DRAIN_TIME: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 1 });

/// Serves debug clients that `allow` permits, and counts them in `clients`, until `shutdown` is ready: then the port is
/// closed, all sessions are closed at the backend, their clients get what was recorded until then, for up to a second in
/// total, and it returns. What is left to do is [`Leaving::end`].
///
/// Runs on a current-thread runtime with I/O and time enabled.
///
/// # Panics
///
/// Outside of a [`tokio::task::LocalSet`].
pub async fn serve<B: Backend + 'static>(
    listener: TcpListener,
    backend: Rc<RefCell<B>>,
    allow: Allow,
    clients: Clients,
    shutdown: impl Future<Output = ()>,
) -> Leaving {
    let mut sessions = JoinSet::new();
    // Each session that is served holds a clone, so that the count is right however a session ends.
    let seats = Rc::new(());
    let mut newcomers = Newcomers::default();
    let mut last_id: SessionId = 0;
    let (phase, phases) = watch::channel(Phase::Serving);
    let (busy, mut idle) = mpsc::channel(1);
    let mut door = Door::new(listener, allow);
    tokio::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = sessions.join_next() => continue,
            accepted = door.accept() => accepted,
        };
        // Clients that are gone already leave their seats before the next one is counted.
        tokio::task::yield_now().await;
        let seats_taken = Rc::strong_count(&seats) - 1;
        if seats_taken < MAX_CLIENTS || newcomers.make_room() {
            last_id += 1;
            let session = Session::new(last_id, peer, clients.clone(), Rc::clone(&backend));
            let seat = Rc::clone(&seats);
            let leave = newcomers.add();
            let served = connection::run(stream, session, phases.clone(), busy.clone(), leave);
            sessions.spawn_local(async move {
                let undelivered = served.await;
                drop(seat);
                undelivered
            });
        } else if sessions.len() < MAX_CLIENTS + MAX_REFUSALS {
            let session = Session::refused(peer, clients.clone(), Rc::clone(&backend));
            let (stay, leave) = oneshot::channel();
            let refusal = connection::run(stream, session, phases.clone(), busy.clone(), leave);
            sessions.spawn_local(async move {
                // Time out or not, the client is gone then.
                let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refusal).await;
                drop(stay);
                0
            });
        }
    }
    drop(door);
    // Fails only where no session is left to be told.
    let _ = phase.send(Phase::Draining(Instant::now() + DRAIN_TIME));
    drop(busy);
    // The end: nobody is busy any more.
    let _ = idle.recv().await;
    Leaving { sessions, phase }
}

/// The clients that have not initialized their sessions, the oldest first. When there is room for no more, the oldest has to
/// go: so connections that are opened and not used cannot keep others out.
#[derive(Default)]
struct Newcomers(VecDeque<oneshot::Sender<()>>);

impl Newcomers {
    fn add(&mut self) -> oneshot::Receiver<()> {
        self.0.retain(|leave| !leave.is_closed());
        let (leave, left) = oneshot::channel();
        self.0.push_back(leave);
        left
    }

    /// Whether somebody leaves.
    fn make_room(&mut self) -> bool {
        std::iter::from_fn(|| self.0.pop_front()).any(|leave| leave.send(()).is_ok())
    }
}

/// The port, and who may come in by it.
struct Door {
    listener: TcpListener,
    allow: Allow,
    refusals: Refusals,
}

impl Door {
    fn new(listener: TcpListener, allow: Allow) -> Self {
        Self {
            listener,
            allow,
            refusals: Refusals::default(),
        }
    }

    /// Waits for a client that may be served; others are closed without a byte. Can be dropped without loss.
    async fn accept(&mut self) -> (TcpStream, Peer) {
        loop {
            let accepted = self.listener.accept().await;
            let admitted = accepted.and_then(|(stream, address)| self.admit(stream, address));
            match admitted {
                Ok(Some(client)) => return client,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a debug client");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(
        &mut self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<Option<(TcpStream, Peer)>> {
        match self.allow.permits(address, stream.local_addr()?) {
            Ok(user) => {
                tracing::debug!(peer = %address, "a debug client connected");
                Ok(Some((stream, Peer { address, user })))
            }
            Err(Refusal::Gone) => {
                tracing::debug!(peer = %address, "a debug client came and went");
                Ok(None)
            }
            Err(refusal) => {
                if let Some(count) = self.refusals.add(Instant::now().into()) {
                    audit::refused(address, &refusal, count);
                }
                Ok(None)
            }
        }
    }
}
