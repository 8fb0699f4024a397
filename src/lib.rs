//! The debugger that lives inside a running Rust service.

mod capture;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod engine;
mod server;
mod symbols;
