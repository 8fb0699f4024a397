//! Who may connect to the port for debug clients.
//!
//! Whoever is let in can read this process' memory, and the protocol asks for no name or password. So a connection over
//! loopback is accepted from the user that this process runs as, if that user may read its memory anyway, and from root,
//! who may; others have to be on a list.

mod owner;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use thiserror::Error;

use self::owner::Owner;
use crate::config::allow::Allow;

/// How often refusals are logged at the most: anybody can cause them, as often as they like.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Why a client is not served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It comes from another machine, or by another interface than loopback.
    #[error(
        "{0} is not on the loopback interface, and in no network of debug_allow (DETRIX_DEBUG_ALLOW)"
    )]
    Network(IpAddr),
    /// The user is another one.
    #[error(
        "user {0} is neither root nor the user of this process, as whom one may trace it; debug_allow (DETRIX_DEBUG_ALLOW) \
         can have `uid:{0}`"
    )]
    User(u32),
    /// The user has no number in this process' user namespace, or the one that stands for all of these.
    #[error(
        "the client's user cannot be told from those that have no number in this process' user namespace; debug_allow \
         (DETRIX_DEBUG_ALLOW) can have `127.0.0.0/8` to accept every user of this machine"
    )]
    Unmapped,
    /// It has closed its end already, and with it nobody owns it.
    #[error("the client was gone before its user could be found")]
    Gone,
    /// The system does not tell.
    #[error(
        "the client's user cannot be found ({0}); debug_allow (DETRIX_DEBUG_ALLOW) can have `127.0.0.0/8` to accept \
         every user of this machine"
    )]
    Unknown(String),
}

/// Whether the other end of a connection over loopback belongs to root, or to the user that this process runs as, where both
/// can read whatever this process knows anyway.
pub fn is_own_user(peer: SocketAddr, local: SocketAddr) -> bool {
    matches!(Allow::default().permits(peer, local), Ok(Some(_)))
}

impl Allow {
    /// Whether the client at `peer` may use its connection to our end, `local`; gives its user, where that was what
    /// counted.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: close the connection without a byte.
    pub fn permits(&self, peer: SocketAddr, local: SocketAddr) -> Result<Option<u32>, Refusal> {
        let address = peer.ip().to_canonical();
        if self.has_network_of(address) {
            return Ok(None);
        }
        if !address.is_loopback() {
            return Err(Refusal::Network(address));
        }
        match owner::of_peer(peer, local) {
            Ok(Owner::User(user)) if self.is_trusted(user) => Ok(Some(user)),
            Ok(Owner::User(user)) => Err(Refusal::User(user)),
            Ok(Owner::Unmapped) => Err(Refusal::Unmapped),
            Ok(Owner::Nobody) => Err(Refusal::Gone),
            Err(error) => Err(Refusal::Unknown(error.to_string())),
        }
    }

    /// Looked at each time: a process may change its user while it is awake.
    fn is_trusted(&self, user: u32) -> bool {
        user == 0 || own_user() == Some(user) || self.has_user(user)
    }
}

/// The user that may read this process' memory; `None` where nobody but root may.
fn own_user() -> Option<u32> {
    let users = nix::unistd::getresuid().ok()?;
    let groups = nix::unistd::getresgid().ok()?;
    may_read(
        [users.real, users.effective, users.saved].map(|user| user.as_raw()),
        [groups.real, groups.effective, groups.saved].map(|group| group.as_raw()),
        is_dumpable(),
    )
}

/// As whoever runs it says, not only root (prctl(2), PR_GET_DUMPABLE): 1, not 2.
fn is_dumpable() -> bool {
    // SAFETY: takes a number only.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE) == 1 }
}

/// The kernel's own rule (kernel/ptrace.c, `__ptrace_may_access`): real, effective and saved user, and group, are the same,
/// and the process has not become what it is by more privileges than that. So the real user of a set-user-ID program may
/// not, nor one whom a server of root's takes on for a while.
fn may_read(users: [u32; 3], groups: [u32; 3], dumpable: bool) -> Option<u32> {
    let same = |[real, effective, saved]: [u32; 3]| real == effective && effective == saved;
    let [user, ..] = users;
    (same(users) && same(groups) && dumpable).then_some(user)
}

/// Counts refusals, and says which of them to log.
#[derive(Debug, Default)]
pub struct Refusals {
    count: u64,
    logged: Option<Instant>,
}

impl Refusals {
    /// One more; the number of them all if this one is to be logged.
    pub fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.logged.is_some_and(|logged| now < logged + LOG_EVERY) {
            return None;
        }
        self.logged = Some(now);
        Some(self.count)
    }
}

#[cfg(test)]
mod tests;
