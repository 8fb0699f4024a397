//! What optimized code does to memory, read from its instructions.

mod events;
mod object;
mod registers;

pub use events::{Code, Event, Kind};
pub use object::{Bytes, Object};
pub use registers::{Base, Place, Pointer};
