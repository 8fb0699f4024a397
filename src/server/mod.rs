//! The DAP listener and its sessions: requests in, calls of the [`Backend`] and events out; no debugging logic.
//!
//! Everything runs on the one thread that runs [`serve`]: [`connection`] moves bytes, [`session`] answers one client's
//! requests, [`outlet`] is the way by which the backend sends events to a client whenever it likes.

pub mod backend;
mod connection;
#[cfg(test)]
mod fake;
pub mod outlet;
mod session;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use backend::{Backend, SessionId};
use session::Session;

/// How many clients are served at the same time.
const MAX_CLIENTS: usize = 64;

/// How many clients more are told that they are too many; what comes beyond them is closed without a word.
const MAX_REFUSALS: usize = 16;

/// How long a client that is refused may take to ask for something, so that it can be told.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before the next try to accept a client, after one failed (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves debug clients until `shutdown` is ready: then the port is closed, all sessions are closed at the backend,
/// their clients are told that debugging is `terminated`, and it returns.
///
/// Runs on a current-thread runtime with I/O and time enabled.
///
/// # Panics
///
/// Outside of a [`tokio::task::LocalSet`].
pub async fn serve<B: Backend + 'static>(
    listener: TcpListener,
    backend: Rc<RefCell<B>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut sessions = JoinSet::new();
    // Each session that is served holds a clone, so that the count is right however a session ends.
    let seats = Rc::new(());
    let mut last_id: SessionId = 0;
    let (stop, stopped) = watch::channel(false);
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = sessions.join_next() => continue,
            stream = accept(&listener) => stream,
        };
        // Clients that are gone already leave their seats before the next one is counted.
        tokio::task::yield_now().await;
        let seats_taken = Rc::strong_count(&seats) - 1;
        if seats_taken < MAX_CLIENTS {
            last_id += 1;
            let session = Session::new(last_id, Rc::clone(&backend));
            let (seat, stopped) = (Rc::clone(&seats), stopped.clone());
            sessions.spawn_local(async move {
                connection::run(stream, session, stopped).await;
                drop(seat);
            });
        } else if sessions.len() < MAX_CLIENTS + MAX_REFUSALS {
            let session = Session::refused(Rc::clone(&backend));
            let stopped = stopped.clone();
            sessions.spawn_local(async move {
                let refusal = connection::run(stream, session, stopped);
                // Time out or not, the client is gone then.
                let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refusal).await;
            });
        }
    }
    drop(listener);
    // Fails only where no session is left to be told.
    let _ = stop.send(true);
    while sessions.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tracing::debug!(%peer, "a debug client connected");
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a debug client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
