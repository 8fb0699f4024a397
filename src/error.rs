//! What can go wrong, in words that say what to change.

use std::sync::PoisonError;

use thiserror::Error;

/// The result of detrix's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a function of detrix did not do what it is for. Nothing is half done: the state is as before the call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// [`init`](crate::init) was called before, without [`shutdown`](crate::shutdown) since.
    #[error("detrix client already initialized")]
    AlreadyInitialized,
    /// [`init`](crate::init) was not called in this process. A forked child has to call it for itself.
    #[error("detrix client not initialized")]
    NotInitialized,
    /// Another wake is under way. Does not happen: wakes wait for each other.
    #[error("wake operation already in progress")]
    WakeInProgress,
    /// A field of [`Config`](crate::Config), or its variable, has a value that makes no sense.
    #[error("configuration error: {0}")]
    ConfigError(String),
    /// The daemon does not answer.
    #[error("daemon not reachable at {url}: {message}")]
    DaemonUnreachable {
        /// Where it was looked for.
        url: String,
        /// Why, and what to change.
        message: String,
    },
    /// The daemon could not be told that this process is awake.
    #[error("failed to register with daemon: {0}")]
    RegistrationFailed(String),
    /// The control plane could not be started.
    #[error("failed to start control plane: {0}")]
    ControlPlaneError(String),
    /// The port for debug clients could not be opened.
    #[error("port bind failed: {0}")]
    PortBindError(String),
    /// The executable has no debug information that can be read.
    #[error("debug information missing: {0}")]
    DebugInfoMissing(String),
    /// The system does not let this process be traced, or the tracer could not start.
    #[error("tracing refused: {0}")]
    TracingRefused(String),
    /// The debugger works on Linux on x86-64 only.
    #[error("detrix debugs on Linux on x86-64 only; this program was built for {0}")]
    Unsupported(&'static str),
    /// Something took longer than it may.
    #[error("timeout: {0}")]
    Timeout(String),
    /// An answer over HTTP could not be had or understood.
    #[error("HTTP error: {0}")]
    HttpError(String),
    /// A thread or an event loop could not be had.
    #[error("i/o error: {0}")]
    IoError(#[from] std::io::Error),
    /// JSON that is none.
    #[error("JSON error: {0}")]
    JsonError(#[from] serde_json::Error),
    /// detrix's own thread has ended by a panic; [`shutdown`](crate::shutdown), then [`init`](crate::init) again.
    #[error("detrix's own thread has ended unexpectedly; call shutdown and init again")]
    ThreadEnded,
}

/// Whose fault an [`Error`] is likely to be; the classes of the Python client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was configured, or the order of calls.
    Config,
    /// The Detrix daemon, or the way to it.
    Daemon,
    /// The debugger in this process: its debug information, its permissions, its port.
    Debugger,
    /// The control plane.
    ControlPlane,
}

impl Error {
    /// Whose fault it is likely to be.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyInitialized | Self::NotInitialized | Self::ConfigError(_) => {
                ErrorKind::Config
            }
            Self::DaemonUnreachable { .. }
            | Self::RegistrationFailed(_)
            | Self::HttpError(_)
            | Self::JsonError(_)
            | Self::Timeout(_) => ErrorKind::Daemon,
            Self::ControlPlaneError(_) => ErrorKind::ControlPlane,
            Self::WakeInProgress
            | Self::PortBindError(_)
            | Self::DebugInfoMissing(_)
            | Self::TracingRefused(_)
            | Self::Unsupported(_)
            | Self::IoError(_)
            | Self::ThreadEnded => ErrorKind::Debugger,
        }
    }
}

impl<T> From<PoisonError<T>> for Error {
    fn from(error: PoisonError<T>) -> Self {
        Self::ControlPlaneError(error.to_string())
    }
}
