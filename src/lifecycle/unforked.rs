//! Where children close nothing: there is no debugger either.

use std::net::TcpListener;

/// Has children do nothing.
pub struct ClosedInChildren;

impl ClosedInChildren {
    /// There is nothing to be done.
    pub fn new(_: &TcpListener) -> Option<Self> {
        None
    }
}
