//! Static verification of capture programs, before one is armed.
//!
//! The interpreter stays safe whatever it is given. A program that passes here, besides, never names what does not
//! exist, never jumps backwards or into a loop, and has a known worst case.

use super::program::{
    CLIMB, Calc, EXPRESSIONS, LOOPS, NUMBERS, OPS, Op, Part, Parts, Prefetch, READ_COST, SLOTS,
    STACK, Slot, VIEWS, View, WINDOW, Words,
};
use super::record;
use crate::symbols::place::{Register, Term, Unary};
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
        if register > 16 || usize::from(size) > WINDOW {
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

    /// Checks what an operation names; returns how many reads and how many terms it runs.
    fn operands(&self, at: usize, op: &Op) -> Result<(u64, u64), CheckError> {
        let slot = |Slot(slot): Slot| in_range(usize::from(slot) < SLOTS, CheckError::Slot(at));
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
            Op::Compare {
                to, left, right, ..
            } => {
                slot(to)?;
                for words in [left, right] {
                    match words {
                        Words::Memory { base, length } => {
                            slot(base)?;
                            slot(length)?;
                        }
                        Words::Constant(part) => drop(table(&self.parts.bytes, part, at)?),
                    }
                }
                // As long as the fuel lasts.
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

    fn formula(&self, at: usize, part: Part) -> Result<(u64, u64), CheckError> {
        let terms = table(&self.parts.terms, part, at)?;
        let mut depth = 0usize;
        let mut reads = 0;
        for term in terms {
            let (pops, pushes) = match *term {
                Term::Constant(_) => (0, 1),
                Term::Register(register, _) => {
                    in_range(register <= 16, CheckError::Register(at))?;
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
}

impl Checker<'_> {
    /// Checks a computation, and returns how many steps it has.
    fn calculation(&self, at: usize, part: Part) -> Result<u64, CheckError> {
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
                Calc::Unary(..) | Calc::Cast(_) => (1, 1),
                Calc::Binary(..) => (2, 1),
            };
            depth = depth.checked_sub(pops).ok_or(CheckError::Formula(at))? + pushes;
            in_range(depth <= NUMBERS, CheckError::Formula(at))?;
        }
        in_range(depth == 1, CheckError::Formula(at))?;
        Ok(steps.len() as u64)
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

fn table<T>(table: &[T], part: Part, at: usize) -> Result<&[T], CheckError> {
    let first = usize::from(part.first);
    table
        .get(first..first + usize::from(part.count))
        .ok_or(CheckError::Table(at))
}

fn in_range(holds: bool, error: CheckError) -> Result<(), CheckError> {
    if holds { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(ops: Vec<Op>) -> Result<u64, CheckError> {
        let terms = vec![
            Term::Constant(1),
            Term::Drop,
            Term::Register(17, 0),
            Term::Load(9),
            Term::Pick(0),
        ];
        check(&Parts {
            ops,
            terms,
            steps: Vec::new(),
            bytes: vec![1, 2],
            ranges: vec![(0, 1)],
            expressions: 2,
            prefetch: None,
            record: 256,
        })
    }

    fn within(op: Op) -> Result<u64, CheckError> {
        checked(vec![Op::Expression { index: 0, end: 2 }, op])
    }

    const S: Slot = Slot(0);
    const V: View = View(0);

    #[test]
    fn sound_programs_have_a_worst_case() {
        assert_eq!(checked(vec![]), Ok(0));
        assert_eq!(
            within(Op::Memory {
                to: S,
                base: S,
                offset: 0,
                size: 8
            }),
            Ok(2 + u64::from(READ_COST))
        );
        let looped = vec![
            Op::Expression { index: 0, end: 4 },
            Op::Loop {
                index: S,
                count: S,
                limit: 10,
                end: 4,
            },
            Op::Loop {
                index: S,
                count: S,
                limit: 10,
                end: 4,
            },
            Op::Jump { to: 4 },
        ];
        assert_eq!(checked(looped), Ok(1 + 1 + 10 + 100));
    }

    #[test]
    fn each_operand_is_checked() {
        let part = |first, count| Part { first, count };
        let register = Register::General(0);
        for (op, error) in [
            (
                Op::Constant {
                    to: Slot(64),
                    value: 0,
                },
                CheckError::Slot(1),
            ),
            (
                Op::Element {
                    to: View(64),
                    from: V,
                    offset: 0,
                    index: S,
                    stride: 1,
                },
                CheckError::View(1),
            ),
            (
                Op::Memory {
                    to: S,
                    base: S,
                    offset: 0,
                    size: 9,
                },
                CheckError::Size(1),
            ),
            (
                Op::Memory {
                    to: S,
                    base: S,
                    offset: 0,
                    size: 0,
                },
                CheckError::Size(1),
            ),
            (
                Op::Capture {
                    to: V,
                    base: S,
                    offset: 0,
                    size: 257,
                },
                CheckError::Size(1),
            ),
            (
                Op::CaptureCounted {
                    to: V,
                    base: S,
                    count: S,
                    stride: 1 << 20,
                    limit: 1 << 20,
                },
                CheckError::Size(1),
            ),
            (
                Op::PieceRegister {
                    at: 0,
                    register,
                    skip: 1,
                    size: 8,
                },
                CheckError::Size(1),
            ),
            (
                Op::PieceRegister {
                    at: 0,
                    register: Register::Vector(16),
                    skip: 0,
                    size: 8,
                },
                CheckError::Register(1),
            ),
            (
                Op::PieceNumber {
                    at: 0,
                    slot: S,
                    skip: 255,
                    size: 8,
                },
                CheckError::Size(1),
            ),
            (
                Op::PieceBytes {
                    at: 0,
                    bytes: part(1, 2),
                },
                CheckError::Table(1),
            ),
            (
                Op::Match {
                    slot: S,
                    ranges: part(0, 2),
                    negated: false,
                    otherwise: 2,
                },
                CheckError::Table(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(0, 6),
                },
                CheckError::Table(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(0, 0),
                },
                CheckError::Formula(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(0, 2),
                },
                CheckError::Formula(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(1, 1),
                },
                CheckError::Formula(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(2, 1),
                },
                CheckError::Register(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(3, 1),
                },
                CheckError::Size(1),
            ),
            (
                Op::Formula {
                    to: S,
                    terms: part(4, 1),
                },
                CheckError::Formula(1),
            ),
            (Op::Jump { to: 1 }, CheckError::Jump(1)),
            (Op::Jump { to: 3 }, CheckError::Jump(1)),
            (
                Op::Loop {
                    index: S,
                    count: S,
                    limit: 1,
                    end: 3,
                },
                CheckError::Jump(1),
            ),
            (Op::Expression { index: 1, end: 2 }, CheckError::Order(1)),
        ] {
            assert_eq!(within(op), Err(error), "{op:?}");
        }
    }

    #[test]
    fn blocks_nest_and_expressions_are_in_order() {
        assert_eq!(
            checked(vec![Op::Jump { to: 1 }]),
            Err(CheckError::Outside(0))
        );
        assert_eq!(
            checked(vec![Op::Expression { index: 2, end: 1 }]),
            Err(CheckError::Order(0))
        );
        let twice = vec![
            Op::Expression { index: 1, end: 1 },
            Op::Expression { index: 1, end: 2 },
        ];
        assert_eq!(checked(twice), Err(CheckError::Order(1)));
        let out_of_a_loop = vec![
            Op::Expression { index: 0, end: 4 },
            Op::Loop {
                index: S,
                count: S,
                limit: 1,
                end: 3,
            },
            Op::Jump { to: 4 },
            Op::Jump { to: 4 },
        ];
        assert_eq!(checked(out_of_a_loop), Err(CheckError::Jump(2)));
        let into_a_loop = vec![
            Op::Expression { index: 0, end: 4 },
            Op::Jump { to: 3 },
            Op::Loop {
                index: S,
                count: S,
                limit: 1,
                end: 4,
            },
            Op::Jump { to: 4 },
        ];
        assert_eq!(checked(into_a_loop), Err(CheckError::Jump(2)));
        let mut deep = vec![Op::Expression { index: 0, end: 6 }];
        deep.extend(
            [Op::Loop {
                index: S,
                count: S,
                limit: 1,
                end: 6,
            }; LOOPS + 1],
        );
        assert_eq!(checked(deep), Err(CheckError::Nesting(LOOPS + 1)));
    }

    #[test]
    fn heads_are_checked() {
        let parts = |expressions, record, size| Parts {
            expressions,
            record,
            prefetch: Some(Prefetch {
                register: 7,
                offset: 0,
                size,
            }),
            ..Parts::default()
        };
        assert_eq!(
            check(&parts(97, 4096, 8)),
            Err(CheckError::TooManyExpressions(97))
        );
        assert_eq!(check(&parts(1, 4, 8)), Err(CheckError::Record(4)));
        assert_eq!(check(&parts(1, 4096, 513)), Err(CheckError::Prefetch));
        let many = Parts {
            ops: vec![Op::Jump { to: 0 }; OPS + 1],
            ..parts(1, 4096, 8)
        };
        assert_eq!(check(&many), Err(CheckError::TooManyOps(OPS + 1)));
    }
}
