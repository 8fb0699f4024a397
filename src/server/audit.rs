//! Who did what, for the records of whoever runs the service: events of `tracing` with the target `detrix::audit`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::access::Refusal;
use super::backend::{NamedFile, SessionId};

/// Where these events go.
const TARGET: &str = "detrix::audit";

/// A client's line and message.
pub type Logpoint = (u64, String);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its user, where access hung on it.
    pub user: Option<u32>,
}

/// What one client does.
#[derive(Debug)]
pub struct Trail {
    session: SessionId,
    peer: Peer,
    client: Option<String>,
    set: BTreeMap<NamedFile, Vec<Logpoint>>,
}

impl Trail {
    /// A client has attached; `client` is what it calls itself.
    pub fn attached(session: SessionId, peer: Peer, client: Option<&str>) -> Self {
        let trail = Self {
            session,
            peer,
            client: client.map(str::to_owned),
            set: BTreeMap::new(),
        };
        trail.write("debug client attached");
        trail
    }

    /// These are the file's logpoints now.
    pub fn set(&mut self, file: &NamedFile, now: Vec<Logpoint>) {
        let before = self.set.remove(file).unwrap_or_default();
        for logpoint in missing(&before, &now) {
            self.write_logpoint("logpoint removed", file, logpoint);
        }
        for logpoint in missing(&now, &before) {
            self.write_logpoint("logpoint set", file, logpoint);
        }
        if !now.is_empty() {
            self.set.insert(file.clone(), now);
        }
    }

    /// The client is gone, and its logpoints with it.
    pub fn detached(mut self) {
        let files: Vec<NamedFile> = self.set.keys().cloned().collect();
        for file in files {
            self.set(&file, Vec::new());
        }
        self.write("debug client detached");
    }

    fn write(&self, what: &str) {
        tracing::info!(
            target: TARGET,
            session = self.session,
            peer = %self.peer.address,
            uid = self.peer.user,
            client = self.client.as_deref(),
            "{what}"
        );
    }

    fn write_logpoint(&self, what: &str, file: &NamedFile, (line, text): &Logpoint) {
        tracing::info!(
            target: TARGET,
            session = self.session,
            peer = %self.peer.address,
            uid = self.peer.user,
            client = self.client.as_deref(),
            file = file.name.as_ref().unwrap_or(&file.path),
            line,
            log_message = ?text,
            "{what}"
        );
    }
}

/// A client was not let in; `count` is how many there were since the port was opened.
pub fn refused(peer: SocketAddr, refusal: &Refusal, count: u64) {
    tracing::warn!(target: TARGET, %peer, refused = count, "debug client refused: {refusal}");
}

/// Those of `all` that are not in `others`; one that is there twice must be there twice.
fn missing<'a>(all: &'a [Logpoint], others: &[Logpoint]) -> Vec<&'a Logpoint> {
    let mut left: BTreeMap<&Logpoint, usize> = BTreeMap::new();
    for other in others {
        *left.entry(other).or_default() += 1;
    }
    let is_missing = |logpoint: &&Logpoint| match left.get_mut(*logpoint) {
        Some(count @ 1..) => {
            *count -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(is_missing).collect()
}

#[cfg(test)]
pub mod tests;
