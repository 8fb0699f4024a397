//! The listener and its connections.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::Service;
use super::limits::{self, Impatient};
use super::routes;

/// How long to wait before the next try to accept a connection, after one failed (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's.
    pub peer: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

impl Ends {
    /// Whether the client is on another machine, or came by another interface than loopback.
    pub fn is_remote(self) -> bool {
        !self.peer.ip().to_canonical().is_loopback()
    }
}

/// Serves the control plane until `shutdown` is ready: then the port is closed, answers that are under way are finished
/// for up to a second, and it returns.
///
/// Runs on a current-thread runtime with I/O and time enabled.
///
/// # Panics
///
/// Outside of a [`tokio::task::LocalSet`].
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: S,
    shutdown: impl Future<Output = ()>,
) {
    let router = routes::router(service);
    let mut seats = Seats::default();
    let mut tasks = JoinSet::new();
    let (stop, stopped) = watch::channel(false);
    tokio::pin!(shutdown);
    loop {
        let (stream, ends) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = tasks.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        match seats.take(ends.is_remote()) {
            Some(seat) => {
                tasks.spawn_local(run(stream, ends, router.clone(), seat, stopped.clone()));
            }
            None => tracing::debug!(peer = %ends.peer, "too many requests to the control plane"),
        }
    }
    drop(listener);
    // Fails only where no connection is left to be told.
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, Ends) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match stream.local_addr() {
                Ok(local) => {
                    // Answers are small, and written at once. Fails only for a connection that is gone.
                    let _ = stream.set_nodelay(true);
                    return (stream, Ends { peer, local });
                }
                // It is gone already.
                Err(error) => tracing::debug!(%peer, %error, "lost a client of the control plane"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client of the control plane");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that are kept. When there is room for no more, the oldest that asks for nothing has to go: so
/// connections that are opened and not used cannot keep others out.
#[derive(Default)]
pub(super) struct Seats(Vec<Taken>);

struct Taken {
    /// Whether it comes from another machine.
    remote: bool,
    /// How many requests are being answered.
    requests: Rc<Cell<usize>>,
    /// Ends the connection; closed when it has ended.
    leave: oneshot::Sender<()>,
}

/// A connection's own side of its place in [`Seats`].
pub(super) struct Seat {
    requests: Rc<Cell<usize>>,
    left: oneshot::Receiver<()>,
}

impl Seats {
    /// Other machines get a part of the seats only: whoever sits on this one can always ask.
    pub(super) fn take(&mut self, remote: bool) -> Option<Seat> {
        self.0.retain(|taken| !taken.leave.is_closed());
        let remotes = self.0.iter().filter(|taken| taken.remote).count();
        let no_remote_seat = remote && remotes >= limits::REMOTE_CONNECTIONS;
        if no_remote_seat || self.0.len() >= limits::CONNECTIONS {
            let may_go =
                |taken: &Taken| taken.requests.get() == 0 && (taken.remote || !no_remote_seat);
            let idle = self.0.iter().position(may_go)?;
            // It may have ended by itself meanwhile.
            let _ = self.0.remove(idle).leave.send(());
        }
        let requests = Rc::<Cell<usize>>::default();
        let (leave, left) = oneshot::channel();
        self.0.push(Taken {
            remote,
            requests: requests.clone(),
            leave,
        });
        Some(Seat { requests, left })
    }
}

/// A request that is being answered.
struct Pending(Rc<Cell<usize>>);

impl Pending {
    fn new(requests: &Rc<Cell<usize>>) -> Self {
        requests.set(requests.get().saturating_add(1));
        Self(requests.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Serves one connection until its client is done with it, it has to go, or everything ends.
pub(super) async fn run(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    ends: Ends,
    router: Router,
    seat: Seat,
    mut stopped: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let Seat { requests, left } = seat;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let pending = Pending::new(&requests);
        request.extensions_mut().insert(ends);
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(pending);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs between requests as well.
        .header_read_timeout(limits::IDLE)
        .max_buf_size(limits::HEAD)
        .max_headers(limits::HEADERS)
        // Clients that have said all they have to say close their side, and still want the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = left => return,
        // An error is the same word: whoever would say it is gone.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits::GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %ends.peer, %error, "lost a client of the control plane");
    }
}
