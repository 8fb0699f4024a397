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
    /// Wakes wait for each other, and too many wait already: try again.
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
    /// The daemon did not answer in time when it was to unregister this process. [`sleep`](crate::sleep) tells it by
    /// `tracing`, and goes to sleep all the same. A wake that waits too long is
    /// [`DaemonUnreachable`](Self::DaemonUnreachable) or [`RegistrationFailed`](Self::RegistrationFailed).
    #[error("timeout: {0}")]
    Timeout(String),
    /// The daemon refused, or broke off, when it was to unregister this process; told as [`Timeout`](Self::Timeout) is.
    #[error("HTTP error: {0}")]
    HttpError(String),
    /// Memory, a descriptor, a thread, a process or an event loop could not be had. Raise the limits of the process.
    #[error("i/o error: {0}")]
    IoError(#[from] std::io::Error),
    /// JSON that is none. Never made by detrix: it is there for the `?` of functions that return [`Result`].
    #[error("JSON error: {0}")]
    JsonError(#[from] serde_json::Error),
    /// detrix's own code panicked before there was an answer. It went to sleep; [`status`](crate::status) tells why. Where
    /// it cannot be woken any more, call [`shutdown`](crate::shutdown), then [`init`](crate::init) again.
    #[error("detrix's own thread has ended unexpectedly; call shutdown and init again")]
    ThreadEnded,
}

/// Whose fault an [`Error`](enum@Error) is likely to be; the classes of the Python client.
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
    /// The same once more, for another caller who waited for the same outcome.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::AlreadyInitialized => Self::AlreadyInitialized,
            Self::NotInitialized => Self::NotInitialized,
            Self::WakeInProgress => Self::WakeInProgress,
            Self::ConfigError(text) => Self::ConfigError(text.clone()),
            Self::DaemonUnreachable { url, message } => Self::DaemonUnreachable {
                url: url.clone(),
                message: message.clone(),
            },
            Self::RegistrationFailed(text) => Self::RegistrationFailed(text.clone()),
            Self::ControlPlaneError(text) => Self::ControlPlaneError(text.clone()),
            Self::PortBindError(text) => Self::PortBindError(text.clone()),
            Self::DebugInfoMissing(text) => Self::DebugInfoMissing(text.clone()),
            Self::TracingRefused(text) => Self::TracingRefused(text.clone()),
            Self::Unsupported(platform) => Self::Unsupported(platform),
            Self::Timeout(text) => Self::Timeout(text.clone()),
            Self::HttpError(text) => Self::HttpError(text.clone()),
            Self::IoError(error) => {
                Self::IoError(std::io::Error::new(error.kind(), error.to_string()))
            }
            Self::JsonError(error) => Self::HttpError(error.to_string()),
            Self::ThreadEnded => Self::ThreadEnded,
        }
    }

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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// Each variant with its text and kind. The control plane and programs of others match on the texts.
    #[test]
    fn texts_and_kinds() {
        use ErrorKind::{Config, ControlPlane, Daemon, Debugger};
        let text = || "why".to_owned();
        let unreachable = Error::DaemonUnreachable {
            url: "http://a:1".to_owned(),
            message: text(),
        };
        let json = serde_json::from_str::<u8>("x").unwrap_err();
        let json_text = format!("JSON error: {json}");
        for (error, shown, kind) in [
            (
                Error::AlreadyInitialized,
                "detrix client already initialized",
                Config,
            ),
            (
                Error::NotInitialized,
                "detrix client not initialized",
                Config,
            ),
            (
                Error::ConfigError(text()),
                "configuration error: why",
                Config,
            ),
            (
                unreachable,
                "daemon not reachable at http://a:1: why",
                Daemon,
            ),
            (
                Error::RegistrationFailed(text()),
                "failed to register with daemon: why",
                Daemon,
            ),
            (Error::HttpError(text()), "HTTP error: why", Daemon),
            (Error::JsonError(json), &json_text, Daemon),
            (Error::Timeout(text()), "timeout: why", Daemon),
            (
                Error::ControlPlaneError(text()),
                "failed to start control plane: why",
                ControlPlane,
            ),
            (
                Error::WakeInProgress,
                "wake operation already in progress",
                Debugger,
            ),
            (
                Error::PortBindError(text()),
                "port bind failed: why",
                Debugger,
            ),
            (
                Error::DebugInfoMissing(text()),
                "debug information missing: why",
                Debugger,
            ),
            (
                Error::TracingRefused(text()),
                "tracing refused: why",
                Debugger,
            ),
            (
                Error::Unsupported("plan9"),
                "detrix debugs on Linux on x86-64 only; this program was built for plan9",
                Debugger,
            ),
            (
                Error::IoError(io::Error::other("why")),
                "i/o error: why",
                Debugger,
            ),
            (
                Error::ThreadEnded,
                "detrix's own thread has ended unexpectedly; call shutdown and init again",
                Debugger,
            ),
        ] {
            assert_eq!(error.to_string(), shown);
            assert_eq!(error.kind(), kind, "{shown}");
        }
    }

    #[test]
    fn errors_of_others_convert() {
        fn file() -> Result<()> {
            Err(io::Error::other("no file"))?
        }
        fn number() -> Result<u8> {
            Ok(serde_json::from_str("x")?)
        }
        fn poisoned() -> Result<()> {
            let mutex = Mutex::new(());
            std::thread::scope(|scope| {
                let holder = scope.spawn(|| {
                    let _held = mutex.lock();
                    std::panic::resume_unwind(Box::new("while it is held"));
                });
                holder.join().unwrap_err();
            });
            let _held = mutex.lock()?;
            Ok(())
        }
        assert!(matches!(file(), Err(Error::IoError(_))));
        assert!(matches!(number(), Err(Error::JsonError(_))));
        assert!(matches!(poisoned(), Err(Error::ControlPlaneError(_))));
    }
}
