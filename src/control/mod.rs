//! The HTTP control plane: how a daemon, a script or a person asks this process for its state, wakes it and puts it to
//! sleep.
//!
//! [`serve`] accepts connections and bounds them (`server.rs`). Each request passes `gate.rs`, which decides whether
//! who asks may ask, before anything is looked up; then `routes.rs` answers it by asking the [`Service`]. `files/read`
//! alone has something to do itself (`files.rs`): it reads files of the workspace, opened beneath its root
//! (`beneath.rs`).
//!
//! Everything runs on the thread that runs [`serve`]. Without a connection there is no timer and nothing to wake up for.

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod beneath;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod files;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
#[path = "no_files.rs"]
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gate;
mod limits;
mod routes;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::responses::{
    DiscoverResponse, InfoResponse, SleepResponse, StatusResponse, WakeResponse,
};

pub use server::serve;

/// The target of the audit trail: who woke, put to sleep and read what, and who was refused.
const AUDIT: &str = "detrix::audit";

/// What the control plane controls. Clones are the same service.
///
/// The futures run on the thread of [`serve`]; what they block, they block for all connections. They are carried out to
/// their end even where whoever asked has hung up.
pub trait Service: Clone + Send + Sync + 'static {
    /// What the process is doing.
    fn status(&self) -> StatusResponse;

    /// The token that lets anyone in who presents it, as of now; `None`, or an empty one, lets nobody in.
    fn token(&self) -> Option<Arc<str>>;

    /// The token, read anew if that was not done just now: somebody presents another one.
    fn renewed_token(&self) -> Option<Arc<str>>;

    /// Whether who asks may have what this process may have: it carries the token, or it is the same user, or root. Other
    /// users of this machine are let in as well, because they are local, and must not get more than their own rights.
    fn trusts(&self, caller: &Caller) -> bool;

    /// The hosts, without port, by which this control plane is known beside `localhost`, the addresses of the loopback
    /// interface and the one that it was connected at: what it was told to listen on, what is advertised.
    fn hosts(&self) -> Vec<String>;

    /// The configured root below which files are read; `None` for the working directory.
    fn workspace_root(&self) -> Option<PathBuf>;

    /// What there is to know of the process, a [`preflight`](crate::preflight()) included.
    fn info(&self) -> impl Future<Output = InfoResponse> + Send;

    /// Where daemon and control plane are.
    fn discover(&self) -> impl Future<Output = DiscoverResponse> + Send;

    /// Wakes the process; for this once registers it with the daemon at `daemon_url`, where there is one.
    fn wake(
        &self,
        daemon_url: Option<String>,
        caller: Caller,
    ) -> impl Future<Output = Result<WakeResponse>> + Send;

    /// Puts the process to sleep.
    fn sleep(&self, caller: Caller) -> impl Future<Output = Result<SleepResponse>> + Send;
}

/// Who asked, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// From where.
    pub peer: SocketAddr,
    /// Our end of the connection.
    pub local: SocketAddr,
    /// Why it was let in.
    pub admitted: Admitted,
}

/// Why a request was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It comes from this machine, directly, and is meant for this control plane.
    Local,
    /// It carries the token.
    Token,
    /// It asks for what everybody may know.
    Public,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.admitted {
            Admitted::Local => "local",
            Admitted::Token => "token",
            Admitted::Public => "public",
        };
        write!(f, "{} ({why})", self.peer)
    }
}
