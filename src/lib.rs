//! The debugger that lives inside a running Rust service.
//!
//! Asleep it costs one parked thread. [`wake`] opens a port for the
//! [Debug Adapter Protocol](https://microsoft.github.io/debug-adapter-protocol/) in the process itself; clients attach,
//! set logpoints by file and line, and get their values as `output` events while the program runs on. [`sleep`] puts
//! everything back as it was.
//!
//! ```no_run
//! fn main() -> Result<(), detrix::Error> {
//!     detrix::init(detrix::Config { register: false, ..detrix::Config::default() })?;
//!     let port = detrix::wake()?.debug_port;
//!     println!("attach a debug client to 127.0.0.1:{port}");
//!     // ... the service runs ...
//!     detrix::shutdown()
//! }
//! ```
//!
//! Every function may be called from any thread, also from inside of an async runtime; it blocks the caller for
//! milliseconds at the most. Linux on x86-64 only: elsewhere [`init`] works, and [`wake`] returns
//! [`Error::Unsupported`].

// Where the debugger works. `detrix_unsupported` builds as if for another platform.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod capture;
mod config;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod debugger;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod engine;
mod error;
mod lifecycle;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod server;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod symbols;
mod type_view;

pub use config::Config;
pub use error::{Error, Result};
pub use lifecycle::{
    ClientState, SleepResponse, SleepResponseStatus, StatusResponse, WakeResponse,
    WakeResponseStatus, init, shutdown, sleep, status, wake,
};
pub use type_view::{Shape, TypeView};

// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
