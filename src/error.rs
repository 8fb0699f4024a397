//! What can go wrong, in words that say what to change.

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
    /// A field of [`Config`](crate::Config), or its variable, has a value that makes no sense.
    #[error("configuration error: {0}")]
    ConfigError(String),
    /// The port for debug clients could not be opened.
    #[error("port bind failed: {0}")]
    PortBindError(String),
    /// The daemon could not be told that this process is awake.
    #[error("failed to register with daemon: {0}")]
    RegistrationFailed(String),
    /// The executable has no debug information that can be read.
    #[error("debug information missing: {0}")]
    DebugInfoMissing(String),
    /// The system does not let this process be traced, or the tracer could not start.
    #[error("tracing refused: {0}")]
    TracingRefused(String),
    /// The debugger works on Linux on x86-64 only.
    #[error("detrix debugs on Linux on x86-64 only; this program was built for {0}")]
    Unsupported(&'static str),
    /// A thread or an event loop could not be had.
    #[error("i/o error: {0}")]
    IoError(#[from] std::io::Error),
    /// detrix's own thread has ended by a panic; [`shutdown`](crate::shutdown), then [`init`](crate::init) again.
    #[error("detrix's own thread has ended unexpectedly; call shutdown and init again")]
    ThreadEnded,
}
