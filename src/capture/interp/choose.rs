//! What decides whether and with what an expression goes on.

use super::{Machine, Run, Then};
use crate::capture::program::{Part, Slot};
use crate::capture::record::Code;

/// The ends of what is taken, see [`Op::Slice`](crate::capture::program::Op::Slice).
pub(super) struct Range {
    pub(super) start: Slot,
    pub(super) end: Slot,
    pub(super) signed: (bool, bool),
    pub(super) inclusive: bool,
}

impl<M: Machine> Run<'_, M> {
    pub(super) fn require(&mut self, slot: Slot) -> Then {
        if self.slot(slot).is_some() {
            return Then::Next;
        }
        match self.fault {
            Some(address) => self
                .writer
                .set(self.expression, Code::Unreadable, address, 0),
            None => self.writer.set(self.expression, Code::Incomputable, 0, 0),
        }
        Then::Over
    }

    pub(super) fn needed(&mut self, slot: Slot) -> Result<u64, Then> {
        match self.slot(slot) {
            Some(value) => Ok(value),
            None => Err(self.require(slot)),
        }
    }

    /// Whether a number is in the ranges, or, `negated`, in none of them; `None` where the fuel is used up. An invalid
    /// number selects nothing, not even what is left over.
    pub(super) fn is_within(&mut self, slot: Slot, ranges: Part, negated: bool) -> Option<bool> {
        let ranges = self.program.ranges(ranges);
        if !self.spend(u32::try_from(ranges.len()).unwrap_or(u32::MAX)) {
            return None;
        }
        let within = |value: u64| {
            let mut ranges = ranges.iter();
            ranges.any(|(first, last)| (*first..=*last).contains(&value)) != negated
        };
        Some(self.slot(slot).is_some_and(within))
    }

    pub(super) fn slice(
        &mut self,
        (to, count): (Slot, Slot),
        (base, length): (Slot, Slot),
        range: Range,
        stride: u64,
    ) -> Then {
        let Range { start, end, .. } = range;
        let Some(first) = self.slot(start) else {
            return self.require(start);
        };
        let Some(last) = self.slot(end) else {
            return self.require(end);
        };
        let Some(available) = self.slot(length) else {
            return self.require(length);
        };
        let stated = last;
        let last = last.saturating_add(u64::from(range.inclusive));
        let is_negative = |end: u64, signed| signed && end.cast_signed() < 0;
        let (code, wrong, limit) = if !sensible(available, stride) {
            (Code::InvalidLength, first, available)
        } else if is_negative(first, range.signed.0) {
            (Code::Negative, first, available)
        } else if is_negative(stated, range.signed.1) {
            (Code::Negative, stated, available)
        } else if last > available || (range.inclusive && stated == u64::MAX) {
            (Code::OutOfBounds, last, available)
        } else if first > available {
            (Code::OutOfBounds, first, available)
        } else if first > last {
            (Code::Backwards, first, last)
        } else {
            let distance = first.checked_mul(stride);
            let address = self
                .slot(base)
                .zip(distance)
                .and_then(|(base, distance)| base.checked_add(distance));
            self.put(to, address);
            self.put(count, last.checked_sub(first));
            return self.require(to);
        };
        self.writer.set(self.expression, code, wrong, limit);
        Then::Over
    }

    pub(super) fn bounds(
        &mut self,
        index: Slot,
        length: Slot,
        signed: bool,
        stride: u64,
        optional: bool,
    ) -> Then {
        let Some(at) = self.slot(index) else {
            return self.require(index);
        };
        let Some(count) = self.slot(length) else {
            return self.require(length);
        };
        let code = if !sensible(count, stride) {
            Code::InvalidLength
        } else if at >= count && optional {
            Code::Nothing
        } else if signed && at.cast_signed() < 0 {
            Code::Negative
        } else if at >= count {
            Code::OutOfBounds
        } else {
            return Then::Next;
        };
        self.writer.set(self.expression, code, at, count);
        Then::Over
    }
}

/// Whether `count` elements of `stride` bytes can exist: Rust allows no object above `isize::MAX` bytes.
pub(super) fn sensible(count: u64, stride: u64) -> bool {
    count
        .checked_mul(stride)
        .is_some_and(|bytes| bytes <= i64::MAX.cast_unsigned())
}
