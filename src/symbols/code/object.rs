//! Bytes that belong together, and sets of them.

use std::ops::Range;

use super::registers::Pointer;

/// Bytes that belong together, with the addresses where they do.
pub struct Object<'s> {
    /// The first byte.
    pub start: Pointer,
    /// How many, at least one.
    pub size: u64,
    /// The code of the scope.
    pub scope: &'s [Range<u64>],
}

/// One bit for each byte of an object, or for each few of a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u128);

impl Object<'_> {
    /// The part of a block that is in the scope, from its first to its last instruction there; empty, at 0, if none is.
    pub fn inside(&self, block: &Range<u64>) -> Range<u64> {
        let parts = self.scope.iter().map(|range| {
            let start = range.start.max(block.start);
            start..range.end.min(block.end)
        });
        parts
            .filter(|part| part.start < part.end)
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
            .unwrap_or_default()
    }

    /// Whether an address is one of its bytes.
    pub fn contains(&self, at: Pointer) -> bool {
        if at.base != self.start.base {
            return false;
        }
        at.offset
            .checked_sub(self.start.offset)
            .and_then(|offset| u64::try_from(offset).ok())
            .is_some_and(|offset| offset < self.size)
    }

    /// How many bytes a bit stands for.
    fn unit(&self) -> u64 {
        self.size.div_ceil(u128::BITS.into()).max(1)
    }

    /// All of them.
    pub fn all(&self) -> Bytes {
        bits(0, self.size.div_ceil(self.unit()))
    }

    /// The part of some bytes that is in the object, as offsets.
    fn part(&self, at: Pointer, size: u64) -> Range<u64> {
        if at.base != self.start.base {
            return 0..0;
        }
        let clamp = |offset: i128| offset.clamp(0, self.size.into()) as u64;
        let start = i128::from(at.offset) - i128::from(self.start.offset);
        clamp(start)..clamp(start + i128::from(size))
    }

    /// The bits whose bytes are all among some.
    pub fn covered(&self, at: Pointer, size: u64) -> Bytes {
        let part = self.part(at, size);
        let last = if part.end == self.size {
            part.end.div_ceil(self.unit())
        } else {
            part.end / self.unit()
        };
        bits(part.start.div_ceil(self.unit()), last)
    }

    /// The bits that have any of some bytes.
    pub fn touched(&self, at: Pointer, size: u64) -> Bytes {
        let part = self.part(at, size);
        if part.is_empty() {
            return Bytes(0);
        }
        bits(part.start / self.unit(), part.end.div_ceil(self.unit()))
    }

    /// The bytes that bits stand for, as offsets.
    pub fn runs(&self, bytes: Bytes) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let units = self.size.div_ceil(self.unit());
        for unit in (0..units).filter(|&unit| bytes.0 >> unit & 1 == 1) {
            let (start, end) = (unit * self.unit(), (unit + 1) * self.unit());
            let end = end.min(self.size);
            match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            }
        }
        runs
    }
}

/// The bits from one to before another.
fn bits(start: u64, end: u64) -> Bytes {
    let below = |bit: u64| match u32::try_from(bit) {
        Ok(bit) if bit < u128::BITS => (1u128 << bit) - 1,
        _ => u128::MAX,
    };
    Bytes(below(end) & !below(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64) -> Object<'static> {
        Object {
            start: Pointer::frame(-40),
            size,
            scope: &[],
        }
    }

    fn bounds(runs: Vec<Range<u64>>) -> Vec<(u64, u64)> {
        runs.into_iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn a_write_covers_whole_units_and_a_read_touches_parts() {
        let small = object(24);
        assert_eq!(
            bounds(small.runs(small.covered(Pointer::frame(-40), 24))),
            [(0, 24)]
        );
        assert_eq!(
            bounds(small.runs(small.covered(Pointer::frame(-32), 100))),
            [(8, 24)]
        );
        assert_eq!(
            bounds(small.runs(small.covered(Pointer::frame(-64), 25))),
            [(0, 1)]
        );
        assert!(
            small
                .runs(small.covered(Pointer::frame(-64), 24))
                .is_empty()
        );
        assert!(small.runs(small.touched(Pointer::frame(-16), 8)).is_empty());
        let large = object(1000);
        assert_eq!(large.unit(), 8);
        assert_eq!(
            bounds(large.runs(large.covered(Pointer::frame(-39), 16))),
            [(8, 16)]
        );
        assert_eq!(
            bounds(large.runs(large.touched(Pointer::frame(-39), 16))),
            [(0, 24)]
        );
        assert_eq!(bounds(large.runs(large.all())), [(0, 1000)]);
        assert_eq!(bounds(object(1001).runs(object(1001).all())), [(0, 1001)]);
    }
}
