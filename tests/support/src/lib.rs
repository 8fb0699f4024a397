//! What the tests and benches share: fixtures are built once per profile ([`fixture()`]), run under a line protocol
//! ([`Running`]), debugged over real DAP ([`Session`], [`rows`]) and watched from outside ([`Process`]). [`schema`] and
//! [`openapi`] know what answers have to look like.
//!
//! Everything here panics on failure, with what happened in the message: it is test code.

mod fixture;
mod measure;
pub mod openapi;
mod process;
mod random;
pub mod rows;
mod running;
pub mod schema;
mod seccomp;
mod session;
mod skipped;
mod trace;
mod transcript;
mod wire;

pub use fixture::{Profile, drop_in, fixture, mark, plugin, readable, root, source, try_mark};
pub use measure::{Table, median, pin};
pub use process::Process;
pub use random::Random;
pub use running::{PATIENCE, Running, until};
pub use seccomp::filter;
pub use session::{Output, Placed, Session};
pub use skipped::skip;
pub use trace::Trace;
pub use transcript::{Received, watch, watch_and_keep};
pub use wire::{request, reset};
