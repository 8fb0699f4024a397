//! Arguments that unoptimized code has, although its debug information says for a while that it has not.
//!
//! What does not fit into two registers is passed as an address in one. Unoptimized code stores that in its frame at
//! once, but LLVM notices only at the end of the block: when the register is used for something else before, as on the
//! first line of a function, the list of the argument's places has a gap until the next block begins.

use super::Reader;
use crate::symbols::code::{Base, Pointer};
use crate::symbols::functions::Entry;
use crate::symbols::place::{Formula, Location, Piece, Source, Term};

impl<'a> Reader<'_, 'a> {
    /// The place that an argument has behind a gap that the address is in, where the code shows that it has it already:
    /// what was passed in the register that it is first said to be behind is where it is said to be next.
    pub fn spilled(&self, argument: &Entry<'a>) -> Option<Location> {
        if self.module.is_optimized(self.unit) {
            return None;
        }
        let starts = self.listed(argument).into_iter().map(|range| range.start);
        let (before, behind): (Vec<u64>, Vec<u64>) = starts.partition(|at| *at <= self.address);
        let first = self
            .expressions
            .variable(argument, before.into_iter().min()?);
        let next = self
            .expressions
            .variable(argument, behind.into_iter().min()?);
        let (&[Term::Register(passed, 0)], &[Term::Register(frame, offset), Term::Load(8)]) =
            (memory(&first)?, memory(&next)?)
        else {
            return None;
        };
        let registers = &self.code()?.registers;
        let slot = registers.get(frame)?.checked_add(offset)?;
        let held = Pointer {
            base: Base::Argument(passed),
            offset: 0,
        };
        (registers.saved(slot) == Some(held)).then_some(next)
    }
}

/// How the address of a value is computed that is in memory as a whole.
fn memory(location: &Location) -> Option<&[Term]> {
    match location.pieces.as_slice() {
        [
            Piece {
                size: None,
                source: Source::Memory(Formula(terms)),
                ..
            },
        ] => Some(terms),
        _ => None,
    }
}
