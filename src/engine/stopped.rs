//! A stopped thread's registers, and the thread as capture programs see it.

use core::sync::atomic::{AtomicU64, Ordering};

use super::sys;
use crate::capture::interp::Machine;
use crate::symbols::place::{Register, THREAD_POINTER};

/// A stopped thread's registers.
pub struct Registers {
    /// Read at every stop.
    pub general: libc::user_regs_struct,
    /// Read where a capture program asks for one.
    vector: Option<libc::user_fpregs_struct>,
}

impl Default for Registers {
    fn default() -> Self {
        // SAFETY: plain numbers, for which zeroes are valid.
        let general = unsafe { core::mem::zeroed() };
        Self {
            general,
            vector: None,
        }
    }
}

impl Registers {
    /// Reads the general ones.
    pub fn read(&mut self, tid: i32) -> Result<(), sys::Errno> {
        sys::general_registers(tid, &mut self.general)
    }
}

/// A stopped thread, as capture programs see it.
pub struct Stopped<'a> {
    /// The process to read memory by.
    pub memory: i32,
    pub tid: i32,
    pub registers: &'a mut Registers,
    /// Of the hits of the logpoint.
    pub counter: &'a AtomicU64,
}

impl Machine for Stopped<'_> {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        let r = &self.registers.general;
        let value = match register {
            Register::General(0) => r.rax,
            Register::General(1) => r.rdx,
            Register::General(2) => r.rcx,
            Register::General(3) => r.rbx,
            Register::General(4) => r.rsi,
            Register::General(5) => r.rdi,
            Register::General(6) => r.rbp,
            Register::General(7) => r.rsp,
            Register::General(8) => r.r8,
            Register::General(9) => r.r9,
            Register::General(10) => r.r10,
            Register::General(11) => r.r11,
            Register::General(12) => r.r12,
            Register::General(13) => r.r13,
            Register::General(14) => r.r14,
            Register::General(15) => r.r15,
            Register::General(16) => r.rip,
            Register::General(THREAD_POINTER) => r.fs_base,
            Register::General(_) => return None,
            Register::Vector(number) => return self.vector_register(number),
        };
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
            *byte = from;
        }
        Some(bytes)
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        sys::read_memory(self.memory, address, out)
    }

    fn count(&mut self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    fn thread(&self) -> u64 {
        u64::try_from(self.tid).unwrap_or(0)
    }

    fn time(&self) -> u64 {
        sys::wall_time()
    }
}

impl Stopped<'_> {
    fn vector_register(&mut self, number: u8) -> Option<[u8; 16]> {
        if self.registers.vector.is_none() {
            // SAFETY: plain numbers, for which zeroes are valid.
            let mut vector = unsafe { core::mem::zeroed() };
            sys::vector_registers(self.tid, &mut vector).ok()?;
            self.registers.vector = Some(vector);
        }
        let vector = self.registers.vector.as_ref()?;
        let words = vector
            .xmm_space
            .get(usize::from(number) * 4..)?
            .first_chunk::<4>()?;
        let mut bytes = [0; 16];
        for (byte, from) in bytes
            .iter_mut()
            .zip(words.iter().flat_map(|word| word.to_le_bytes()))
        {
            *byte = from;
        }
        Some(bytes)
    }
}
