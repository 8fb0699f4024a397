//! Numbers out of registers, memory, and what is captured already.

use super::{Machine, Run, Then};
use crate::capture::arithmetic::{Stack, binary, unary};
use crate::capture::program::{Part, READ_COST, View};
use crate::symbols::place::{Register, Term};

impl<M: Machine> Run<'_, M> {
    pub(super) fn general(&mut self, register: u8) -> Option<u64> {
        let bytes = self.machine.register(Register::General(register))?;
        bytes.first_chunk().map(|low| u64::from_le_bytes(*low))
    }

    pub(super) fn load(&mut self, address: u64, size: u8) -> Option<u64> {
        let mut bytes = [0; 8];
        let wanted = bytes.get_mut(..usize::from(size))?;
        let length = wanted.len();
        self.fault = None;
        if self.peek(address, wanted).ok()? < length {
            self.fault = Some(address);
            return None;
        }
        Some(u64::from_le_bytes(bytes))
    }

    pub(super) fn formula(&mut self, terms: Part) -> Option<u64> {
        let terms = self.program.terms(terms);
        self.fault = None;
        if !self.spend(u32::try_from(terms.len()).unwrap_or(u32::MAX)) {
            return None;
        }
        let mut stack = Stack::default();
        for term in terms {
            match *term {
                Term::Constant(value) => stack.push(value)?,
                Term::Register(register, offset) => {
                    let value = self.general(register)?;
                    stack.push(value.wrapping_add_signed(offset))?;
                }
                Term::Load(size) => {
                    let address = stack.pop()?;
                    let value = self.load(address, size)?;
                    stack.push(value)?;
                }
                Term::Unary(operator) => {
                    let value = stack.pop()?;
                    stack.push(unary(operator, value))?;
                }
                Term::Binary(operator) => {
                    let right = stack.pop()?;
                    let left = stack.pop()?;
                    stack.push(binary(operator, left, right)?)?;
                }
                Term::Pick(below) => {
                    let value = stack.pick(usize::from(below))?;
                    stack.push(value)?;
                }
                Term::Drop => {
                    stack.pop()?;
                }
                Term::Swap => {
                    let top = stack.pop()?;
                    let next = stack.pop()?;
                    stack.push(top)?;
                    stack.push(next)?;
                }
            }
        }
        stack.pop()
    }

    pub(super) fn load_captured(&self, from: View, offset: u32, size: u8) -> Option<u64> {
        let span = self.span(from);
        let end = offset.checked_add(u32::from(size))?;
        if end > span.size {
            return None;
        }
        number(
            self.writer
                .bytes(span.start.checked_add(offset)?, usize::from(size))?,
            size,
        )
    }

    /// A number of 1 to 8 bytes that was captured.
    pub(super) fn captured_number(&mut self, base: u64, offset: u32, size: u8) -> Option<u64> {
        let address = base.checked_add(u64::from(offset))?;
        let start = self.recorded(address, u32::from(size))?;
        number(self.writer.bytes(start, usize::from(size))?, size)
    }

    /// Where in the record memory is that was captured before, all of it in one block.
    pub(super) fn recorded(&mut self, address: u64, size: u32) -> Option<u32> {
        if !self.spend(READ_COST) {
            return None;
        }
        self.writer.find(address, size)
    }

    /// Reads memory; an error where the fuel is used up.
    pub(super) fn peek(&mut self, address: u64, out: &mut [u8]) -> Result<usize, Then> {
        if !self.spend(READ_COST) {
            return Err(Then::Cut);
        }
        let window = Window {
            bytes: self.window.get(..self.window_size).unwrap_or_default(),
            at: self.window_at,
        };
        Ok(read(&window, self.machine, address, out))
    }

    /// Reads `size` bytes from an address on, or as many of them as there is room for.
    pub(super) fn fill(&mut self, bulk: &mut Bulk, address: u64, size: u64) -> Result<(), Then> {
        let size = usize::try_from(size).unwrap_or(BULK).min(BULK);
        bulk.at = address;
        bulk.size = 0;
        if let Some(out) = bulk.bytes.get_mut(..size) {
            bulk.size = self.peek(address, out)?;
        }
        Ok(())
    }
}

/// Bytes that are read at once where many things in a row are looked at: all keys of a tree's node, if they are text.
pub(super) const BULK: usize = 272;

/// See [`BULK`].
pub(super) struct Bulk {
    bytes: [u8; BULK],
    at: u64,
    size: usize,
}

impl Default for Bulk {
    fn default() -> Self {
        Self {
            bytes: [0; BULK],
            at: 0,
            size: 0,
        }
    }
}

impl Bulk {
    pub(super) fn get(&self, address: u64, size: u8) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.at)?).ok()?;
        let end = start.checked_add(usize::from(size))?;
        self.bytes.get(..self.size)?.get(start..end)
    }
}

/// Memory that was read beforehand.
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: u64,
}

/// Reads memory, from the window where it covers everything.
pub(super) fn read(
    window: &Window<'_>,
    machine: &mut impl Machine,
    address: u64,
    out: &mut [u8],
) -> usize {
    let offset = address
        .checked_sub(window.at)
        .and_then(|offset| usize::try_from(offset).ok());
    let found = offset.and_then(|start| window.bytes.get(start..start.checked_add(out.len())?));
    match found {
        Some(bytes) => {
            copy(bytes, out);
            out.len()
        }
        None => machine.read(address, out).min(out.len()),
    }
}

/// As `copy_from_slice`, without its panic.
pub(super) fn copy(from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// The first `size` bytes as a number; `None` where there are fewer, or more than 8.
pub(super) fn number(bytes: &[u8], size: u8) -> Option<u64> {
    let mut value = [0; 8];
    let wanted = value.get_mut(..usize::from(size))?;
    copy(bytes.get(..wanted.len())?, wanted);
    Some(u64::from_le_bytes(value))
}
