//! Comparison of texts, a piece at a time. Part of the interpreter: allocates nothing, panics never.

use super::choose::sensible;
use super::load::copy;
use super::{Machine, Run, Then};
use crate::capture::number::Binary;
use crate::capture::program::{Part, Slot, Words};
use crate::capture::record::Code;
use crate::capture::typed::Comparison;
use core::cmp::Ordering;

/// Bytes that are compared at once.
const PIECE: usize = 64;

/// A text that is known to be possible.
#[derive(Clone, Copy)]
pub(super) struct Text {
    constant: Option<Part>,
    /// Of memory.
    address: u64,
    pub(super) length: u64,
}

impl<M: Machine> Run<'_, M> {
    /// Sets `to` to 1 where the comparison of two texts holds, else to 0.
    pub(super) fn compare(
        &mut self,
        to: Slot,
        comparison: Comparison,
        left: Words,
        right: Words,
    ) -> Then {
        let (left, right) = match (self.resolve(left), self.resolve(right)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(then), _) | (_, Err(then)) => return then,
        };
        let holds = match comparison {
            Comparison::Order(Binary::Eq | Binary::Ne) if left.length != right.length => {
                Ok(comparison == Comparison::Order(Binary::Ne))
            }
            Comparison::Order(op) => self
                .order(left, 0, right, left.length.min(right.length))
                .map(|order| order.then(left.length.cmp(&right.length)))
                .map(|order| match op {
                    Binary::Eq => order.is_eq(),
                    Binary::Ne => order.is_ne(),
                    Binary::Lt => order.is_lt(),
                    Binary::Le => order.is_le(),
                    Binary::Gt => order.is_gt(),
                    _ => order.is_ge(),
                }),
            Comparison::StartsWith if left.length < right.length => Ok(false),
            Comparison::StartsWith => self
                .order(left, 0, right, right.length)
                .map(Ordering::is_eq),
            Comparison::EndsWith => match left.length.checked_sub(right.length) {
                Some(skip) => self
                    .order(left, skip, right, right.length)
                    .map(Ordering::is_eq),
                None => Ok(false),
            },
            Comparison::Contains => self.contains(left, right),
        };
        match holds {
            Ok(holds) => {
                self.put(to, Some(u64::from(holds)));
                Then::Next
            }
            Err(then) => then,
        }
    }

    pub(super) fn resolve(&mut self, words: Words) -> Result<Text, Then> {
        match words {
            Words::Constant(part) => Ok(Text {
                constant: Some(part),
                address: 0,
                length: self.program.bytes(part).len() as u64,
            }),
            Words::Memory { base, length } => {
                let Some(address) = self.slot(base) else {
                    return Err(self.require(base));
                };
                let Some(bytes) = self.slot(length) else {
                    return Err(self.require(length));
                };
                self.text_at(address, bytes)
            }
        }
    }

    /// A text of `length` bytes at an address.
    pub(super) fn text_at(&mut self, address: u64, length: u64) -> Result<Text, Then> {
        if !sensible(length, 1) {
            self.writer
                .set(self.expression, Code::InvalidLength, 0, length);
            return Err(Then::Over);
        }
        Ok(Text {
            constant: None,
            address,
            length,
        })
    }

    /// How the bytes of `left` from `skip` on compare to those of `right`, `length` of them.
    pub(super) fn order(
        &mut self,
        left: Text,
        skip: u64,
        right: Text,
        length: u64,
    ) -> Result<Ordering, Then> {
        let mut done = 0u64;
        while let Some(rest) = length.checked_sub(done).filter(|rest| *rest > 0) {
            let size = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
            let (mut a, mut b) = ([0; PIECE], [0; PIECE]);
            self.fetch(left, skip.wrapping_add(done), a.get_mut(..size))?;
            self.fetch(right, done, b.get_mut(..size))?;
            let mut pairs = a.iter().zip(&b).take(size);
            if let Some((a, b)) = pairs.find(|(a, b)| a != b) {
                return Ok(a.cmp(b));
            }
            done = done.wrapping_add(size as u64);
        }
        Ok(Ordering::Equal)
    }

    /// Whether `needle`, which is constant, is within `text`.
    fn contains(&mut self, text: Text, needle: Text) -> Result<bool, Then> {
        let Some(part) = needle.constant else {
            return Err(self.out_of_fuel());
        };
        let bytes = self.program.bytes(part);
        let Some((first, _)) = bytes.split_first() else {
            return Ok(true);
        };
        let Some(last) = text.length.checked_sub(needle.length) else {
            return Ok(false);
        };
        // Each place at which it may begin, a piece of them at a time; the whole needle is looked at only where its
        // first byte fits.
        let mut at = 0u64;
        while at <= last {
            let rest = last.wrapping_sub(at).saturating_add(1);
            let size = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
            let mut piece = [0; PIECE];
            self.fetch(text, at, piece.get_mut(..size))?;
            for (offset, byte) in piece.iter().take(size).enumerate() {
                if byte == first {
                    let begin = at.wrapping_add(offset as u64);
                    if self.order(text, begin, needle, needle.length)?.is_eq() {
                        return Ok(true);
                    }
                }
            }
            at = at.saturating_add(size as u64);
        }
        Ok(false)
    }

    /// All bytes of a text, some at a time.
    pub(super) fn pieces(&mut self, text: Text, mut each: impl FnMut(&[u8])) -> Result<(), Then> {
        let mut done = 0u64;
        while let Some(rest) = text.length.checked_sub(done).filter(|rest| *rest > 0) {
            let size = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
            let mut piece = [0; PIECE];
            self.fetch(text, done, piece.get_mut(..size))?;
            each(piece.get(..size).unwrap_or_default());
            done = done.wrapping_add(size as u64);
        }
        Ok(())
    }

    /// Reads bytes of a text from `skip` on.
    fn fetch(&mut self, text: Text, skip: u64, out: Option<&mut [u8]>) -> Result<(), Then> {
        let Some(out) = out else {
            return Err(self.out_of_fuel());
        };
        if let Some(part) = text.constant {
            if !self.spend(1) {
                return Err(self.out_of_fuel());
            }
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let bytes = self.program.bytes(part).get(skip..).unwrap_or_default();
            copy(bytes, out);
            return Ok(());
        }
        let address = text.address.wrapping_add(skip);
        let length = out.len();
        if self.peek(address, out)? < length {
            self.writer
                .set(self.expression, Code::Unreadable, address, 0);
            return Err(Then::Over);
        }
        Ok(())
    }

    fn out_of_fuel(&self) -> Then {
        Then::Cut
    }
}
