//! What the program's own debug information says: modules, lines, functions, scopes, types.
//!
//! Reads DWARF and nothing else: no ptrace, no running code. Addresses that leave this layer are addresses of the
//! running process, load bias included.

pub mod error;
mod flow;
mod functions;
mod lines;
mod loaded;
pub mod lookup;
mod module;
mod path;
pub mod place;
pub mod scope;
pub mod types;
