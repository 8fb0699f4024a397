//! Why an HTTP exchange did not come about.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

/// What kept an exchange from its end, and what to change.
#[derive(Debug, Error)]
pub enum Failure {
    /// The host's name leads nowhere.
    #[error("its name cannot be looked up: {0}; check the host in daemon_url (DETRIX_DAEMON_URL)")]
    Lookup(io::Error),
    /// Nobody can be connected to.
    #[error(
        "connecting to {address}: {error}; check that the daemon runs there, and daemon_url (DETRIX_DAEMON_URL)"
    )]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The certificates to trust cannot be had.
    #[cfg(feature = "tls")]
    #[error("{0}")]
    Trust(String),
    /// No encrypted connection came about.
    #[cfg(feature = "tls")]
    #[error("TLS: {0}; {advice}", advice = tls_advice(.0))]
    Tls(io::Error),
    /// The time was over.
    #[error("no answer within {limit:?}, still {}", .phase.doing())]
    Timeout {
        /// What it was busy with.
        phase: Phase,
        /// The time that the whole call had.
        limit: Duration,
    },
    /// What came back is no HTTP, or ended early.
    #[error("{}", exchange(.0))]
    Exchange(#[from] hyper::Error),
    /// The answer is longer than one of a daemon can be.
    #[error(
        "its answer is longer than {0} bytes, which none of a Detrix daemon is; check daemon_url (DETRIX_DAEMON_URL)"
    )]
    TooLong(usize),
    /// The request cannot be expressed.
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
}

/// What a call is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking the resolver for the host's addresses.
    Lookup,
    /// Connecting to one of them.
    Connect,
    /// The TLS handshake.
    #[cfg(feature = "tls")]
    Handshake,
    /// The request is on its way, and nothing has come back.
    Answer,
    /// The answer has begun.
    Body,
}

impl Phase {
    fn doing(self) -> &'static str {
        match self {
            Self::Lookup => "looking up its name",
            Self::Connect => "connecting",
            #[cfg(feature = "tls")]
            Self::Handshake => "in the TLS handshake",
            Self::Answer => "waiting for its answer",
            Self::Body => "reading its answer",
        }
    }
}

impl Failure {
    /// Whether the daemon was never spoken to, for another reason than that the time was over.
    pub fn before_the_request(&self) -> bool {
        match self {
            Self::Lookup(_) | Self::Connect { .. } => true,
            #[cfg(feature = "tls")]
            Self::Trust(_) | Self::Tls(_) => true,
            Self::Timeout { .. } | Self::Exchange(_) | Self::TooLong(_) | Self::Request(_) => false,
        }
    }
}

fn exchange(error: &hyper::Error) -> String {
    if error.is_parse() {
        format!(
            "what it answers is no HTTP ({}); check the port and http or https in daemon_url (DETRIX_DAEMON_URL)",
            with_sources(error)
        )
    } else if error.is_incomplete_message() || ended_in_the_body(error) {
        "it closed the connection before its answer was complete; see the daemon's log".to_owned()
    } else {
        format!(
            "the connection broke ({}); check that a Detrix daemon is there, and daemon_url (DETRIX_DAEMON_URL)",
            with_sources(error)
        )
    }
}

fn ended_in_the_body(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

#[cfg(feature = "tls")]
fn tls_advice(error: &io::Error) -> &'static str {
    use tokio_rustls::rustls;
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
    if certificate {
        "if it is the daemon's own certificate, name a PEM file with it or its issuer in tls.ca_bundle \
         (DETRIX_CA_BUNDLE)"
    } else {
        "check that the daemon speaks https on this port, or use an http URL"
    }
}

/// An error and what is behind it, which hyper leaves out.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    super::text::excerpt(&text)
}
