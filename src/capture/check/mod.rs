//! Static verification of capture programs, before one is armed.
//!
//! The interpreter stays safe whatever it is given. A program that passes here, besides, never names what does not
//! exist, never jumps backwards or into a loop, and has a known worst case.

mod operands;
mod stacks;
#[cfg(test)]
mod tests;

use super::program::{EXPRESSIONS, LOOPS, OPS, Op, Part, Parts, Prefetch, READ_COST, WINDOW};
use super::record;
use crate::symbols::place::Register;
use thiserror::Error;

/// Why a program is refused. Positions are indices of operations.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each says its own sentence.
pub enum CheckError {
    #[error("{0} operations are more than {OPS}")]
    TooManyOps(usize),
    #[error("{0} expressions are more than {EXPRESSIONS}")]
    TooManyExpressions(u8),
    #[error("a record of {0} bytes has no room for its own head")]
    Record(usize),
    #[error("the prefetch is not possible")]
    Prefetch,
    #[error("operation {0}: there is no such slot")]
    Slot(usize),
    #[error("operation {0}: there is no such view")]
    View(usize),
    #[error("operation {0}: a size is out of range")]
    Size(usize),
    #[error("operation {0}: a table is too short")]
    Table(usize),
    #[error("operation {0}: there is no such register")]
    Register(usize),
    #[error("operation {0}: the formula's stack does not come out even")]
    Formula(usize),
    #[error("operation {0}: expressions are out of order")]
    Order(usize),
    #[error("operation {0} stands outside of an expression")]
    Outside(usize),
    #[error("operation {0} jumps backwards or out of its block")]
    Jump(usize),
    #[error("operation {0}: loops are nested too deeply")]
    Nesting(usize),
}

/// Checks a program and returns what its worst case costs, in the unit of [`FUEL`](super::program::FUEL).
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check(parts: &Parts) -> Result<u64, CheckError> {
    if parts.ops.len() > OPS {
        return Err(CheckError::TooManyOps(parts.ops.len()));
    }
    if usize::from(parts.expressions) > EXPRESSIONS {
        return Err(CheckError::TooManyExpressions(parts.expressions));
    }
    if parts.record < record::head(parts.expressions) || u32::try_from(parts.record).is_err() {
        return Err(CheckError::Record(parts.record));
    }
    let mut cost = 0;
    if let Some(Prefetch { register, size, .. }) = parts.prefetch {
        if !Register::is_general(register) || usize::from(size) > WINDOW {
            return Err(CheckError::Prefetch);
        }
        cost += u64::from(READ_COST);
    }
    let mut checker = Checker {
        parts,
        next_expression: 0,
        deciding: 0,
        blocks: Vec::new(),
        targets: Vec::new(),
    };
    for (at, op) in parts.ops.iter().enumerate() {
        cost = checker.op(at, op)?.saturating_add(cost);
    }
    Ok(cost)
}

struct Checker<'a> {
    parts: &'a Parts,
    next_expression: u8,
    /// Where the condition ends.
    deciding: usize,
    /// The expression and the loops that the current operation stands in: end, and how often the block runs.
    blocks: Vec<(usize, u64)>,
    /// Where the jumps so far go.
    targets: Vec<usize>,
}

impl Checker<'_> {
    /// Checks one operation and returns its cost.
    fn op(&mut self, at: usize, op: &Op) -> Result<u64, CheckError> {
        while self.blocks.last().is_some_and(|(end, _)| *end <= at) {
            self.blocks.pop();
        }
        let turns = self.blocks.last().map(|(_, turns)| *turns);
        if turns.is_none() && !matches!(op, Op::Expression { .. } | Op::Condition { .. }) {
            return Err(CheckError::Outside(at));
        }
        let turns = turns.unwrap_or(1);
        let (reads, terms) = self.operands(at, op)?;
        match *op {
            Op::Condition { end } => {
                if at > 0 || self.parts.expressions == 0 {
                    return Err(CheckError::Order(at));
                }
                // Its entry is the first one.
                self.next_expression = 1;
                self.deciding = usize::from(end);
                self.target(at, end, self.parts.ops.len())?;
                self.blocks.push((usize::from(end), 1));
            }
            Op::Count | Op::Keep { .. } if at >= self.deciding => {
                return Err(CheckError::Order(at));
            }
            Op::Expression { index, end } => {
                if !self.blocks.is_empty()
                    || index < self.next_expression
                    || index >= self.parts.expressions
                {
                    return Err(CheckError::Order(at));
                }
                self.next_expression = index + 1;
                self.target(at, end, self.parts.ops.len())?;
                self.blocks.push((usize::from(end), 1));
            }
            Op::Loop { limit, end, .. } => {
                self.target(at, end, self.block_end(at)?)?;
                // The expression itself is a block too.
                if self.blocks.len() > LOOPS {
                    return Err(CheckError::Nesting(at));
                }
                if self
                    .targets
                    .iter()
                    .any(|to| *to > at && *to < usize::from(end))
                {
                    return Err(CheckError::Jump(at));
                }
                self.blocks
                    .push((usize::from(end), turns.saturating_mul(u64::from(limit))));
            }
            Op::Match { otherwise: to, .. } | Op::Jump { to } => {
                self.target(at, to, self.block_end(at)?)?;
                self.targets.push(usize::from(to));
            }
            _ => {}
        }
        Ok((1 + terms + reads * u64::from(READ_COST)).saturating_mul(turns))
    }

    fn block_end(&self, at: usize) -> Result<usize, CheckError> {
        self.blocks
            .last()
            .map(|(end, _)| *end)
            .ok_or(CheckError::Outside(at))
    }

    fn target(&self, at: usize, to: u16, end: usize) -> Result<(), CheckError> {
        let to = usize::from(to);
        if to > at && to <= end {
            Ok(())
        } else {
            Err(CheckError::Jump(at))
        }
    }
}

fn table<T>(table: &[T], part: Part, at: usize) -> Result<&[T], CheckError> {
    let first = usize::from(part.first);
    table
        .get(first..first + usize::from(part.count))
        .ok_or(CheckError::Table(at))
}

fn in_range(holds: bool, error: CheckError) -> Result<(), CheckError> {
    if holds { Ok(()) } else { Err(error) }
}
