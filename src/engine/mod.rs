//! Sites, patched text and the tracer: everything that touches the running threads.

pub mod displace;
