//! The debugger that lives inside a running Rust service.

mod capture;
mod server;
mod symbols;
