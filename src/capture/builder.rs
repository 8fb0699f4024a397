//! Puts a capture program together.

use super::program::{Calc, Op, Part, Parts, Prefetch, SLOTS, Search, Slot, VIEWS, View, WINDOW};
use crate::symbols::place::{Binary, Formula, Term};

/// A program under construction.
#[derive(Default)]
pub struct Builder {
    parts: Parts,
    slots: u8,
    views: u8,
    reads: Vec<FrameRead>,
}

/// Bytes relative to a register that will be read.
#[derive(Clone, Copy)]
struct FrameRead {
    register: u8,
    start: i64,
    end: i64,
}

/// A state to return to.
#[derive(Clone, Copy)]
pub struct Mark {
    ops: usize,
    reads: usize,
    slots: u8,
    views: u8,
}

impl Builder {
    /// The state now.
    pub fn mark(&self) -> Mark {
        Mark {
            ops: self.parts.ops.len(),
            reads: self.reads.len(),
            slots: self.slots,
            views: self.views,
        }
    }

    /// Takes back all operations since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.parts.ops.truncate(mark.ops);
        self.reads.truncate(mark.reads);
        self.release(mark);
    }

    /// Gives back the slots and views that were taken since `mark`.
    pub fn release(&mut self, mark: Mark) {
        self.slots = mark.slots;
        self.views = mark.views;
    }

    /// Number of operations so far, which is where the next one goes.
    pub fn len(&self) -> usize {
        self.parts.ops.len()
    }

    /// As [`Self::len`], as a target for jumps. A program that outgrows it does not pass the check.
    pub fn here(&self) -> u16 {
        u16::try_from(self.len()).unwrap_or(u16::MAX)
    }

    /// Adds an operation and returns where it is.
    pub fn push(&mut self, op: Op) -> usize {
        self.parts.ops.push(op);
        self.len() - 1
    }

    /// Lets the jump, loop or expression at `at` end here.
    pub fn patch(&mut self, at: usize) {
        let here = self.here();
        if let Some(
            Op::Condition { end: to }
            | Op::Expression { end: to, .. }
            | Op::Match { otherwise: to, .. }
            | Op::Jump { to }
            | Op::Loop { end: to, .. },
        ) = self.parts.ops.get_mut(at)
        {
            *to = here;
        }
    }

    /// A free slot, if there is one.
    pub fn slot(&mut self) -> Option<Slot> {
        let slot = Slot(self.slots);
        (usize::from(self.slots) < SLOTS).then(|| {
            self.slots += 1;
            slot
        })
    }

    /// A free view, if there is one.
    pub fn view(&mut self) -> Option<View> {
        let view = View(self.views);
        (usize::from(self.views) < VIEWS).then(|| {
            self.views += 1;
            view
        })
    }

    /// A formula, followed by `more`.
    pub fn formula(&mut self, formula: &Formula, more: &[Term]) -> Option<Slot> {
        let to = self.slot()?;
        let terms = append(&mut self.parts.terms, formula.0.iter().chain(more).copied())?;
        self.push(Op::Formula { to, terms });
        Some(to)
    }

    /// A constant.
    pub fn constant(&mut self, value: u64) -> Option<Slot> {
        let to = self.slot()?;
        self.push(Op::Constant { to, value });
        Some(to)
    }

    /// The steps of a computation.
    pub fn steps(&mut self, steps: &[Calc]) -> Option<Part> {
        append(&mut self.parts.steps, steps.iter().copied())
    }

    /// A constant's bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Option<Part> {
        append(&mut self.parts.bytes, bytes.iter().copied())
    }

    /// A list of ranges.
    pub fn ranges(&mut self, ranges: impl IntoIterator<Item = (u64, u64)>) -> Option<Part> {
        append(&mut self.parts.ranges, ranges.into_iter())
    }

    /// Looks for a key.
    pub fn find(&mut self, search: Search) -> Option<()> {
        let index = u16::try_from(self.parts.searches.len()).ok()?;
        self.parts.searches.push(search);
        self.push(Op::Find { search: index });
        Some(())
    }

    /// Notes that `size` bytes relative to a register will be read.
    pub fn reads(&mut self, frame: Option<(u8, i64)>, offset: i64, size: u64) {
        let read = frame.and_then(|(register, at)| {
            let start = at.checked_add(offset)?;
            Some(FrameRead {
                register,
                start,
                end: start.checked_add_unsigned(size)?,
            })
        });
        self.reads.extend(read);
    }

    /// The finished parts, for records of at most `record` bytes.
    pub fn finish(mut self, expressions: u8, record: usize) -> Parts {
        self.parts.prefetch = best_window(&mut self.reads);
        Parts {
            expressions,
            record,
            ..self.parts
        }
    }
}

fn append<T>(table: &mut Vec<T>, items: impl Iterator<Item = T>) -> Option<Part> {
    let first = u16::try_from(table.len()).ok()?;
    table.extend(items);
    let count = u16::try_from(table.len() - usize::from(first)).ok()?;
    Some(Part { first, count })
}

/// The stretch of a frame whose single read replaces most others; none where it would replace no second one.
fn best_window(reads: &mut [FrameRead]) -> Option<Prefetch> {
    reads.sort_by_key(|read| (read.register, read.start));
    let mut best: Option<(usize, Prefetch)> = None;
    for (at, first) in reads.iter().enumerate() {
        let mut end = first.start;
        let mut count = 0;
        for read in reads
            .iter()
            .skip(at)
            .take_while(|read| read.register == first.register)
        {
            if read
                .end
                .checked_sub(first.start)
                .is_some_and(|span| span <= WINDOW as i64)
            {
                end = end.max(read.end);
                count += 1;
            }
        }
        if count >= 2 && best.is_none_or(|(most, _)| count > most) {
            let size = end
                .checked_sub(first.start)
                .and_then(|size| u16::try_from(size).ok())?;
            best = Some((
                count,
                Prefetch {
                    register: first.register,
                    offset: first.start,
                    size,
                },
            ));
        }
    }
    best.map(|(_, prefetch)| prefetch)
}

/// The register and offset that a formula amounts to, if it is as simple as that.
pub fn frame(formula: &Formula) -> Option<(u8, i64)> {
    let (first, rest) = formula.0.split_first()?;
    let Term::Register(register, mut offset) = *first else {
        return None;
    };
    let (pairs, odd) = rest.as_chunks::<2>();
    for pair in pairs {
        offset = match *pair {
            [Term::Constant(value), Term::Binary(Binary::Add)] => {
                offset.wrapping_add_unsigned(value)
            }
            [Term::Constant(value), Term::Binary(Binary::Sub)] => {
                offset.wrapping_sub_unsigned(value)
            }
            _ => return None,
        };
    }
    odd.is_empty().then_some((register, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefetch(reads: &[(u8, i64, u64)]) -> Option<(u8, i64, u16)> {
        let mut builder = Builder::default();
        for (register, offset, size) in reads {
            builder.reads(Some((*register, 0)), *offset, *size);
        }
        builder
            .finish(0, 64)
            .prefetch
            .map(|prefetch| (prefetch.register, prefetch.offset, prefetch.size))
    }

    #[test]
    fn the_window_covers_most_reads() {
        assert_eq!(prefetch(&[]), None);
        assert_eq!(prefetch(&[(7, 8, 4)]), None);
        assert_eq!(prefetch(&[(7, 8, 4), (7, 16, 16)]), Some((7, 8, 24)));
        assert_eq!(
            prefetch(&[(7, 16, 16), (7, 8, 4), (6, 0, 8)]),
            Some((7, 8, 24))
        );
        assert_eq!(
            prefetch(&[(7, 0, 8), (7, 1000, 8), (7, 1008, 8)]),
            Some((7, 1000, 16))
        );
        assert_eq!(
            prefetch(&[(7, 0, 8), (7, 8, 600), (7, 16, 8)]),
            Some((7, 0, 24))
        );
        assert_eq!(prefetch(&[(7, i64::MAX, 8), (7, i64::MIN, 8)]), None);
    }

    #[test]
    fn simple_formulas_are_frames() {
        let minus = Term::Constant(8u64.wrapping_neg());
        let add = Term::Binary(Binary::Add);
        assert_eq!(
            frame(&Formula(vec![Term::Register(7, 16), minus, add])),
            Some((7, 8))
        );
        assert_eq!(
            frame(&Formula(vec![Term::Register(7, 16), Term::Load(8)])),
            None
        );
        assert_eq!(frame(&Formula(vec![Term::Constant(1)])), None);
        assert_eq!(frame(&Formula(vec![])), None);
    }
}
