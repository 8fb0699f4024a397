//! Formulas and computations have to leave one number on their stack, and never need more room than there is.

use super::{CheckError, Checker, in_range, table};
use crate::capture::program::{Calc, NUMBERS, Part, SLOTS, STACK, Slot};
use crate::symbols::place::{Register, Term, Unary};

impl Checker<'_> {
    /// Checks a formula; returns how many reads and how many terms it runs.
    pub(super) fn formula(&self, at: usize, part: Part) -> Result<(u64, u64), CheckError> {
        let terms = table(&self.parts.terms, part, at)?;
        let mut depth = 0usize;
        let mut reads = 0;
        for term in terms {
            let (pops, pushes) = match *term {
                Term::Constant(_) => (0, 1),
                Term::Register(register, _) => {
                    in_range(Register::is_general(register), CheckError::Register(at))?;
                    (0, 1)
                }
                Term::Load(size) => {
                    in_range((1..=8).contains(&size), CheckError::Size(at))?;
                    reads += 1;
                    (1, 1)
                }
                Term::Unary(Unary::ZeroExtend(size) | Unary::SignExtend(size)) => {
                    in_range((1..=8).contains(&size), CheckError::Size(at))?;
                    (1, 1)
                }
                Term::Unary(_) => (1, 1),
                Term::Binary(_) => (2, 1),
                Term::Pick(n) => (usize::from(n) + 1, usize::from(n) + 2),
                Term::Drop => (1, 0),
                Term::Swap => (2, 2),
            };
            depth = depth.checked_sub(pops).ok_or(CheckError::Formula(at))? + pushes;
            in_range(depth <= STACK, CheckError::Formula(at))?;
        }
        in_range(depth == 1, CheckError::Formula(at))?;
        Ok((reads, terms.len() as u64))
    }

    /// Checks a computation, and returns how many steps it has.
    pub(super) fn calculation(&self, at: usize, part: Part) -> Result<u64, CheckError> {
        let steps = table(&self.parts.steps, part, at)?;
        let slot = |Slot(slot): Slot| in_range(usize::from(slot) < SLOTS, CheckError::Slot(at));
        let mut depth = 0usize;
        for step in steps {
            let (pops, pushes) = match *step {
                Calc::Slot(from, kind) => {
                    slot(from)?;
                    in_range(kind.size() <= 8, CheckError::Size(at))?;
                    (0, 1)
                }
                Calc::Wide(low, high, _) => {
                    slot(low)?;
                    slot(high)?;
                    (0, 1)
                }
                Calc::Constant(_) => (0, 1),
                Calc::Unary(..) | Calc::Cast(_) | Calc::Function(_) => (1, 1),
                Calc::Binary(..) => (2, 1),
            };
            depth = depth.checked_sub(pops).ok_or(CheckError::Formula(at))? + pushes;
            in_range(depth <= NUMBERS, CheckError::Formula(at))?;
        }
        in_range(depth == 1, CheckError::Formula(at))?;
        Ok(steps.len() as u64)
    }
}
