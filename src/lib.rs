//! The debugger that lives inside a running Rust service.
//!
//! Asleep it costs one parked thread, which listens on a small HTTP control plane. [`wake`] opens a port for the
//! [Debug Adapter Protocol](https://microsoft.github.io/debug-adapter-protocol/) in the process itself and registers with
//! the Detrix daemon; clients attach, set logpoints by file and line, and get their values as `output` events while the
//! program runs on. [`sleep`] puts everything back as it was.
//!
//! ```no_run
//! fn main() -> Result<(), detrix::Error> {
//!     // Without a daemon: whoever wants to debug attaches.
//!     detrix::init(detrix::Config { register: false, ..detrix::Config::default() })?;
//!     let port = detrix::wake()?.debug_port;
//!     println!("attach a debug client to 127.0.0.1:{port}");
//!     // ... the service runs ...
//!     detrix::shutdown()
//! }
//! ```
//!
//! Every function may be called from any thread, also from inside of an async runtime. [`wake`] waits for the daemon as
//! long as the timeouts of [`Config`] allow, [`sleep`] also for a second at the most until clients have read what was
//! recorded; everything else takes milliseconds. Linux on x86-64 only: elsewhere [`init`] works, and [`wake`] returns
//! [`Error::Unsupported`].
//!
//! # Features
//!
//! `tls`, a default one, is for daemons at `https` addresses; `default-features = false` leaves it, and rustls, out.

mod build_macros;

// Where the debugger works. `detrix_unsupported` builds as if for another platform.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod capture;
mod caught;
#[cfg(test)]
mod collected;
mod config;
mod control;
mod daemon;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod debugger;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod engine;
mod error;
mod lifecycle;
mod override_url;
mod per_process;
mod preflight;
mod responses;
#[cfg(test)]
mod seeds;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod server;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod symbols;
mod type_view;

/// What the fuzz targets call; there only when they are built.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::capture::fuzz::expressions::expressions;
    pub use crate::capture::fuzz::interpreter;
    pub use crate::control::fuzz::control;
    pub use crate::debugger::fuzz::dwarf;
    pub use crate::server::fuzz::dap;
}

/// What `benches/readable` calls; there only for it.
#[cfg(all(
    feature = "_survey",
    target_os = "linux",
    target_arch = "x86_64",
    not(detrix_unsupported)
))]
#[doc(hidden)]
pub mod survey {
    pub use crate::symbols::readable::{Seen, State, each};
}

pub use config::{Config, StartState, TlsConfig};
pub use error::{Error, ErrorKind, Result};
pub use lifecycle::{init, shutdown, sleep, status, wake, wake_with_url};
pub use override_url::DaemonUrl;
pub use preflight::preflight;
pub use responses::{
    Check, ClientState, DaemonLink, DiscoverResponse, InfoResponse, LogpointCounts, LogpointState,
    LogpointStatus, Preflight, SleepResponse, SleepResponseStatus, StatusResponse, UnknownName,
    WakeResponse, WakeResponseStatus,
};
pub use type_view::{Shape, TypeView};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

// Tests the examples of the README and the guides.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/configuration.md")]
#[doc = include_str!("../docs/exposing.md")]
struct Guides;
