//! Where there is no debugger: nothing can be awake.

use std::net::SocketAddr;
use std::time::Duration;

use super::state::Presence;
use crate::config::Config;
use crate::error::{Error, Result};

/// Nothing is debugged here, and nothing is held up.
pub fn keep_signals_away() {}

/// And nothing goes before it.
pub fn give_up_priority() {}

/// Nobody is known here.
pub fn is_own_user(_: SocketAddr, _: SocketAddr) -> bool {
    false
}

/// There is no such state on this platform.
pub enum Warm {}

impl Warm {
    /// Says so.
    pub fn up() -> Result<Self> {
        Err(Error::Unsupported(std::env::consts::OS))
    }
}

/// There is no such state on this platform.
pub enum Debugging {}

impl Debugging {
    /// Says so.
    pub fn start(_: &Config, _: Option<Warm>) -> Result<Self> {
        Err(Error::Unsupported(std::env::consts::OS))
    }

    /// There is none.
    pub fn port(&self) -> u16 {
        match *self {}
    }

    /// There is none to be idle.
    pub async fn idle_for(&self, _: Duration) {
        match *self {}
    }

    /// There is nobody.
    pub fn presence(&self) -> impl Fn() -> Presence + Send + use<> {
        match *self {}
        #[allow(unreachable_code)] // Says what type it would have.
        || Presence::default()
    }

    /// There is nothing to drain.
    pub async fn drain(self) -> Drained {
        match self {}
    }
}

/// There is no such state on this platform.
pub enum Drained {}

impl Drained {
    /// There is nobody to tell.
    pub async fn end(self) {
        match self {}
    }
}
