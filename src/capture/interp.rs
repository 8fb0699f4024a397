//! The interpreter of capture programs.

use crate::symbols::place::Register;

/// What a capture program can see of a stopped thread.
///
/// The interpreter runs in the tracer, and must be able to run in a signal handler: implementations allocate nothing,
/// lock nothing, panic never.
pub trait Machine {
    /// The bytes of a register, the unused upper ones zero; `None` where it cannot be read.
    fn register(&mut self, register: Register) -> Option<[u8; 16]>;

    /// Copies memory of the process from `address` into `out`, and returns how many bytes could be read before the
    /// first unreadable one.
    fn read(&mut self, address: u64, out: &mut [u8]) -> usize;
}
