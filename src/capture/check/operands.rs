//! What an operation names has to be there.

use super::{CheckError, Checker, in_range, table};
use crate::capture::program::{
    CLIMB, FUEL, Keys, Op, SLOTS, Search, Slot, VIEWS, View, Wanted, Words,
};
use crate::symbols::place::Register;

impl Checker<'_> {
    /// Checks what an operation names; returns how many reads and how many terms it runs.
    pub(super) fn operands(&self, at: usize, op: &Op) -> Result<(u64, u64), CheckError> {
        let slot = |slot: Slot| self.slot(at, slot);
        let view = |View(view): View| in_range(usize::from(view) < VIEWS, CheckError::View(at));
        let number = |size: u8| in_range((1..=8).contains(&size), CheckError::Size(at));
        let bytes = |size: u32| {
            let fits = usize::try_from(size).is_ok_and(|size| size <= self.parts.record);
            in_range(size > 0 && fits, CheckError::Size(at))
        };
        let mut reads = 0;
        let mut terms = 0;
        match *op {
            Op::Condition { .. }
            | Op::Count
            | Op::Expression { .. }
            | Op::PlacePseudo { .. }
            | Op::Jump { .. } => {}
            Op::Special { to, .. } => slot(to)?,
            Op::Calculate { to, steps } => {
                slot(to)?;
                terms = self.calculation(at, steps)?;
            }
            Op::Fits { to, steps } => {
                slot(to)?;
                terms = self.calculation(at, steps)?;
            }
            Op::Fold {
                to,
                base,
                count,
                kind,
                wanted,
                ..
            } => {
                [to, base, count, wanted].into_iter().try_for_each(slot)?;
                number(kind.size())?;
                // As long as the fuel lasts.
                terms = u64::from(FUEL);
            }
            Op::Find { search } => {
                self.search(at, search)?;
                terms = u64::from(FUEL);
            }
            Op::Compare {
                to, left, right, ..
            } => {
                slot(to)?;
                self.words(at, left)?;
                self.words(at, right)?;
                reads = 2;
            }
            Op::Choose {
                slot: value,
                ranges,
                ..
            } => {
                slot(value)?;
                terms = table(&self.parts.ranges, ranges, at)?.len() as u64;
            }
            Op::Slice {
                to,
                count,
                base,
                length,
                start,
                end,
                ..
            } => {
                for operand in [to, count, base, length, start, end] {
                    slot(operand)?;
                }
            }
            Op::PlaceCounted { base, count } => {
                slot(base)?;
                slot(count)?;
            }
            Op::Formula { to, terms: part } => {
                slot(to)?;
                (reads, terms) = self.formula(at, part)?;
            }
            Op::Register {
                to,
                register,
                skip,
                size,
            } => {
                slot(to)?;
                number(size)?;
                register_part(at, register, skip, size)?;
            }
            Op::Memory { to, base, size, .. } => {
                slot(to)?;
                slot(base)?;
                number(size)?;
                reads = 1;
            }
            Op::View { to, from, size, .. } => {
                slot(to)?;
                view(from)?;
                number(size)?;
            }
            Op::Scale {
                to, base, index, ..
            } => {
                slot(to)?;
                slot(base)?;
                slot(index)?;
            }
            Op::Require { slot: needed } | Op::Keep { slot: needed } => slot(needed)?,
            Op::Bounds { index, length, .. } => {
                slot(index)?;
                slot(length)?;
            }
            Op::Place { base, .. } => slot(base)?,
            Op::Capture { to, base, size, .. } => {
                view(to)?;
                slot(base)?;
                bytes(size)?;
                reads = 1;
            }
            Op::CaptureCounted {
                to,
                base,
                count,
                stride,
                limit,
            } => {
                view(to)?;
                slot(base)?;
                slot(count)?;
                bytes(stride.checked_mul(limit).ok_or(CheckError::Size(at))?)?;
                reads = 1;
            }
            Op::PieceMemory { base, size, .. } => {
                slot(base)?;
                bytes(size)?;
                reads = 1;
            }
            Op::PieceRegister {
                register,
                skip,
                size,
                ..
            } => register_part(at, register, skip, size)?,
            Op::PieceNumber {
                slot: from,
                skip,
                size,
                ..
            } => {
                slot(from)?;
                in_range(
                    size > 0 && skip.checked_add(size).is_some_and(|end| end <= 8),
                    CheckError::Size(at),
                )?;
            }
            Op::PieceBytes { bytes: part, .. } => {
                table(&self.parts.bytes, part, at)?;
                bytes(u32::from(part.count))?;
            }
            Op::Match {
                slot: value,
                ranges,
                ..
            } => {
                slot(value)?;
                terms = table(&self.parts.ranges, ranges, at)?.len() as u64;
            }
            Op::Loop { index, count, .. } => {
                slot(index)?;
                slot(count)?;
            }
            Op::Element {
                to, from, index, ..
            } => {
                view(to)?;
                view(from)?;
                slot(index)?;
            }
            Op::Constant { to, .. } => slot(to)?,
            Op::CaptureOnce { to, base, size, .. } => {
                view(to)?;
                slot(base)?;
                bytes(size)?;
                reads = 2;
            }
            Op::CaptureBefore {
                to,
                end,
                count,
                stride,
                limit,
            } => {
                view(to)?;
                slot(end)?;
                slot(count)?;
                bytes(stride.checked_mul(limit).ok_or(CheckError::Size(at))?)?;
                reads = 1;
            }
            Op::ElementBefore {
                to, from, index, ..
            } => {
                view(to)?;
                view(from)?;
                slot(index)?;
            }
            Op::Split {
                first,
                second,
                head,
                length,
                capacity,
            } => [first, second, head, length, capacity]
                .into_iter()
                .try_for_each(slot)?,
            Op::NextNode { node, height, .. } => {
                slot(node)?;
                slot(height)?;
                // At each level two numbers of the node and one of its parent, then the way down.
                reads = 3 * CLIMB as u64 + 1;
            }
        }
        Ok((reads, terms))
    }

    fn words(&self, at: usize, words: Words) -> Result<(), CheckError> {
        match words {
            Words::Memory { base, length } => {
                self.slot(at, base)?;
                self.slot(at, length)
            }
            Words::Constant(part) => table(&self.parts.bytes, part, at).map(drop),
        }
    }

    fn search(&self, at: usize, index: u16) -> Result<(), CheckError> {
        let search = self.parts.searches.get(usize::from(index));
        let Search {
            to,
            found,
            root,
            extent,
            items,
            wanted,
            keys,
            ..
        } = search.ok_or(CheckError::Table(at))?;
        for slot in [to, found, root, extent, items] {
            self.slot(at, *slot)?;
        }
        match *wanted {
            Wanted::Number { slot, size, .. } => {
                self.slot(at, slot)?;
                in_range((1..=8).contains(&size), CheckError::Size(at))?;
            }
            Wanted::Text { words, .. } => self.words(at, words)?,
        }
        match *keys {
            Keys::Table { stride, hasher } => {
                for slot in hasher.into_iter().flat_map(|(k0, k1)| [k0, k1]) {
                    self.slot(at, slot)?;
                }
                in_range(stride > 0, CheckError::Size(at))
            }
            Keys::Tree { key_stride, .. } => in_range(key_stride > 0, CheckError::Size(at)),
        }
    }

    fn slot(&self, at: usize, Slot(slot): Slot) -> Result<(), CheckError> {
        in_range(usize::from(slot) < SLOTS, CheckError::Slot(at))
    }
}

fn register_part(at: usize, register: Register, skip: u8, size: u8) -> Result<(), CheckError> {
    let (known, width) = match register {
        Register::General(number) => (number <= 16, 8),
        Register::Vector(number) => (number <= 15, 16),
    };
    in_range(known, CheckError::Register(at))?;
    in_range(
        size > 0 && skip.checked_add(size).is_some_and(|end| end <= width),
        CheckError::Size(at),
    )
}
