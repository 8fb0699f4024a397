//! Computations at the hit, for what decides what is read: conditions and indices.

use super::Compiler;
use super::paths::Elements;
use crate::capture::error::CompileError;
use crate::capture::fold::Fold;
use crate::capture::number::{Binary, Kind};
use crate::capture::place::Stop;
use crate::capture::program::{Calc, Op, Slot, Words};
use crate::capture::typed::{Comparison, Node, Step, Typed, Want};

impl Compiler<'_> {
    /// A slot with the value of a node of at most 64 bits.
    pub(super) fn lowered(&mut self, typed: &Typed, node: &Node) -> Result<Slot, Stop> {
        match node {
            Node::And(left, right) => self.short(typed, left, right, 1),
            Node::Or(left, right) => self.short(typed, left, right, 0),
            Node::Within(inner, ranges, negated) => {
                let slot = self.lowered(typed, inner)?;
                let ranges: Vec<(u64, u64)> = ranges
                    .iter()
                    .filter_map(|(first, last)| {
                        let first = u64::try_from(*first).ok()?;
                        Some((first, u64::try_from(*last).unwrap_or(u64::MAX)))
                    })
                    .collect();
                self.within(slot, &ranges, *negated)
            }
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.words(typed, left)?, self.words(typed, right)?);
                self.compared(*comparison, left, right)
            }
            Node::Present(operand) => self.present(typed, *operand),
            Node::Count(operand) => Ok(self.run(typed, *operand)?.1),
            Node::Fits(inner) => self.fits(typed, inner),
            Node::Fold(fold, operand, kind, wanted) => {
                let wanted = wanted.as_deref();
                let wanted = wanted
                    .map(|wanted| self.lowered(typed, wanted))
                    .transpose()?;
                self.folded(typed, (*fold, *kind), *operand, wanted)
            }
            Node::Either(operand, inner, default) => {
                let present = self.present(typed, *operand)?;
                self.either(typed, present, inner, default)
            }
            Node::Fallback(_, inner, default) => {
                let fits = self.fits(typed, inner)?;
                self.either(typed, fits, inner, default)
            }
            _ => {
                let mut steps = Vec::new();
                self.steps(typed, node, &mut steps)?;
                match steps.as_slice() {
                    [Calc::Slot(slot, _)] => Ok(*slot),
                    steps => self.calculated(steps),
                }
            }
        }
    }

    /// The steps of a computation, after what they need is loaded.
    fn steps(&mut self, typed: &Typed, node: &Node, steps: &mut Vec<Calc>) -> Result<(), Stop> {
        match node {
            Node::Number(number) => steps.push(Calc::Constant(*number)),
            Node::Load(operand, kind) => {
                let operand = typed.operands.get(*operand);
                let operand = operand.ok_or(CompileError::TooComplex)?;
                let place = self.place(&operand.path)?;
                if kind.size() <= 8 {
                    let slot = self.required(&place, kind.size())?;
                    steps.push(Calc::Slot(slot, *kind));
                } else {
                    let low = self.required(&place, 8)?;
                    let high = self.required(&place.at(8), 8)?;
                    steps.push(Calc::Wide(low, high, *kind));
                }
            }
            Node::Special(special) => {
                let to = self.free_slot()?;
                self.builder.push(Op::Special {
                    to,
                    special: *special,
                });
                steps.push(Calc::Slot(to, Kind::unsigned(64)));
            }
            Node::Unary(op, mode, inner) => {
                self.steps(typed, inner, steps)?;
                steps.push(Calc::Unary(*op, *mode));
            }
            Node::Binary(op, mode, left, right) => {
                self.steps(typed, left, steps)?;
                self.steps(typed, right, steps)?;
                steps.push(Calc::Binary(*op, *mode));
            }
            Node::Cast(inner, kind) => {
                self.steps(typed, inner, steps)?;
                steps.push(Calc::Cast(*kind));
            }
            Node::And(..)
            | Node::Or(..)
            | Node::Within(..)
            | Node::Compare(..)
            | Node::Fits(_)
            | Node::Present(_) => {
                let slot = self.lowered(typed, node)?;
                steps.push(Calc::Slot(slot, Kind::Bool));
            }
            Node::Either(_, inner, _) => match **inner {
                Node::Load(_, kind) if kind.size() <= 8 => {
                    let slot = self.lowered(typed, node)?;
                    steps.push(Calc::Slot(slot, kind));
                }
                _ => return Err(only_shown("`unwrap_or` of this type")),
            },
            Node::Fallback(kind, ..) if kind.size() <= 8 => {
                let slot = self.lowered(typed, node)?;
                steps.push(Calc::Slot(slot, *kind));
            }
            Node::Fallback(..) => return Err(only_shown("`unwrap_or` of this type")),
            Node::Function(function, inner) => {
                self.steps(typed, inner, steps)?;
                steps.push(Calc::Function(*function));
            }
            Node::Fold(fold, _, kind, _) => {
                let slot = self.lowered(typed, node)?;
                let kind = match fold {
                    Fold::Contains => Kind::Bool,
                    _ => *kind,
                };
                steps.push(Calc::Slot(slot, kind));
            }
            Node::Count(_) => {
                let slot = self.lowered(typed, node)?;
                steps.push(Calc::Slot(slot, Kind::USIZE));
            }
            Node::Checked(_) => return Err(only_shown("an `Option` that is computed")),
            Node::Format(_) | Node::Words(_) | Node::Text(_) => {
                return Err(only_shown("text that is put together"));
            }
            Node::Value(_) | Node::Optional(..) => return Err(only_shown("a value of this type")),
        }
        Ok(())
    }

    pub(super) fn calculated(&mut self, steps: &[Calc]) -> Result<Slot, Stop> {
        let to = self.free_slot()?;
        let steps = self.builder.steps(steps).ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Calculate { to, steps });
        Ok(to)
    }

    fn copy(&mut self, to: Slot, from: Slot) -> Result<(), Stop> {
        let steps = [Calc::Slot(from, Kind::unsigned(64))];
        let steps = self.builder.steps(&steps).ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Calculate { to, steps });
        Ok(())
    }

    /// The right side only where the left one is `goes_on`.
    fn short(
        &mut self,
        typed: &Typed,
        left: &Node,
        right: &Node,
        goes_on: u64,
    ) -> Result<Slot, Stop> {
        let out = self.free_slot()?;
        let left = self.lowered(typed, left)?;
        self.copy(out, left)?;
        let choose = self.choose(out, &[(goes_on, goes_on)], false)?;
        let right = self.lowered(typed, right)?;
        self.copy(out, right)?;
        self.builder.patch(choose);
        Ok(out)
    }

    /// The first node where the slot is 1, else the second.
    fn either(
        &mut self,
        typed: &Typed,
        slot: Slot,
        inner: &Node,
        default: &Node,
    ) -> Result<Slot, Stop> {
        let out = self.free_slot()?;
        let choose = self.choose(slot, &[(1, 1)], false)?;
        let inner = self.lowered(typed, inner)?;
        self.copy(out, inner)?;
        let end = self.builder.push(Op::Jump { to: 0 });
        self.builder.patch(choose);
        let default = self.lowered(typed, default)?;
        self.copy(out, default)?;
        self.builder.patch(end);
        Ok(out)
    }

    /// Goes on where the number is in the ranges; the jump elsewhere is to be patched.
    fn choose(&mut self, slot: Slot, ranges: &[(u64, u64)], negated: bool) -> Result<usize, Stop> {
        let ranges = self
            .builder
            .ranges(ranges.iter().copied())
            .ok_or(CompileError::TooComplex)?;
        Ok(self.builder.push(Op::Match {
            slot,
            ranges,
            negated,
            otherwise: 0,
        }))
    }

    /// Whether a number is in the ranges, as 1 or 0.
    fn within(&mut self, slot: Slot, ranges: &[(u64, u64)], negated: bool) -> Result<Slot, Stop> {
        let out = self.free_slot()?;
        self.builder.push(Op::Constant { to: out, value: 0 });
        let choose = self.choose(slot, ranges, negated)?;
        self.builder.push(Op::Constant { to: out, value: 1 });
        self.builder.patch(choose);
        Ok(out)
    }

    /// Whether the last step of an operand that may lead to nothing leads to something.
    fn present(&mut self, typed: &Typed, operand: usize) -> Result<Slot, Stop> {
        let operand = typed
            .operands
            .get(operand)
            .ok_or(CompileError::TooComplex)?;
        let path = &operand.path;
        let last = path.steps.iter().rposition(|step| {
            matches!(
                step,
                Step::Element { optional: true, .. }
                    | Step::Entry { optional: true, .. }
                    | Step::Variant { optional: true, .. }
            )
        });
        let last = last.ok_or(CompileError::TooComplex)?;
        let place = self.place_after(path, last)?;
        match path.steps.get(last) {
            Some(Step::Variant {
                discriminant,
                ranges,
                negated,
                ..
            }) => {
                let slot = self.discriminant_slot(&place, *discriminant)?;
                self.within(slot, ranges, *negated)
            }
            Some(Step::Entry { map, key, part, .. }) => {
                let (found, _) = self.found(&place, map, key, *part)?;
                Ok(found)
            }
            Some(Step::Element { run, index, .. }) => {
                let length = self.length_at(&place, run)?;
                let index = match index {
                    Some(index) => {
                        let wide = Node::Cast(Box::new(index.node.clone()), Kind::USIZE);
                        self.lowered(index, &wide)?
                    }
                    None => self.last(length)?,
                };
                self.calculated(&[
                    Calc::Slot(index, Kind::USIZE),
                    Calc::Slot(length, Kind::USIZE),
                    Calc::Binary(Binary::Lt, crate::capture::number::Mode::Checked),
                ])
            }
            _ => Err(CompileError::TooComplex.into()),
        }
    }

    /// Whether a number can be computed.
    fn fits(&mut self, typed: &Typed, node: &Node) -> Result<Slot, Stop> {
        if let Node::Fold(Fold::Min | Fold::Max, operand, ..) = node {
            let (_, count) = self.run(typed, *operand)?;
            return self.within(count, &[(1, u64::MAX)], false);
        }
        let mut steps = Vec::new();
        self.steps(typed, node, &mut steps)?;
        let to = self.free_slot()?;
        let steps = self.builder.steps(&steps).ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Fits { to, steps });
        Ok(to)
    }

    fn folded(
        &mut self,
        typed: &Typed,
        (fold, kind): (Fold, Kind),
        operand: usize,
        wanted: Option<Slot>,
    ) -> Result<Slot, Stop> {
        if kind.size() > 8 {
            return Err(only_shown("adding up or searching numbers of 128 bits"));
        }
        let (base, count) = self.run(typed, operand)?;
        let to = self.free_slot()?;
        self.builder.push(Op::Fold {
            to,
            base,
            count,
            kind,
            fold,
            wanted: wanted.unwrap_or(to),
        });
        Ok(to)
    }

    /// Where an operand's elements begin, and how many there are.
    fn run(&mut self, typed: &Typed, operand: usize) -> Result<(Slot, Slot), Stop> {
        let operand = typed.operands.get(operand);
        let operand = operand.ok_or(CompileError::TooComplex)?;
        let (Want::Run(run) | Want::Count(run) | Want::Folded(run, _)) = &operand.want else {
            return Err(only_shown("adding up or searching a map or a set"));
        };
        let place = self.place(&operand.path)?;
        self.sliced(&place, run)
    }

    /// Where a text is.
    pub(super) fn words(&mut self, typed: &Typed, node: &Node) -> Result<Words, Stop> {
        match node {
            Node::Words(text) => {
                let bytes = self.builder.bytes(text.as_bytes());
                Ok(Words::Constant(bytes.ok_or(CompileError::TooComplex)?))
            }
            Node::Text(operand) => {
                let operand = typed.operands.get(*operand);
                let path = &operand.ok_or(CompileError::TooComplex)?.path;
                let place = self.place(path)?;
                let view = self.view_of(path.ty).ok_or(CompileError::TooComplex)?;
                let text = view.text().ok_or(CompileError::TooComplex)?;
                let Elements { base, length } = self.pointed(&place, text)?;
                Ok(Words::Memory { base, length })
            }
            Node::Either(operand, inner, default) => {
                let present = self.present(typed, *operand)?;
                let (base, length) = (self.free_slot()?, self.free_slot()?);
                let choose = self.choose(present, &[(1, 1)], false)?;
                self.copy_words((base, length), typed, inner)?;
                let end = self.builder.push(Op::Jump { to: 0 });
                self.builder.patch(choose);
                self.copy_words((base, length), typed, default)?;
                self.builder.patch(end);
                Ok(Words::Memory { base, length })
            }
            _ => Err(only_shown("text that is put together")),
        }
    }

    fn copy_words(
        &mut self,
        (base, length): (Slot, Slot),
        typed: &Typed,
        node: &Node,
    ) -> Result<(), Stop> {
        let Words::Memory {
            base: from,
            length: count,
        } = self.words(typed, node)?
        else {
            return Err(only_shown("text that stands in for text of the program"));
        };
        self.copy(base, from)?;
        self.copy(length, count)
    }

    fn compared(
        &mut self,
        comparison: Comparison,
        left: Words,
        right: Words,
    ) -> Result<Slot, Stop> {
        if comparison == Comparison::Contains && !matches!(right, Words::Constant(_)) {
            return Err(only_shown("searching for text of the program"));
        }
        let to = self.free_slot()?;
        self.builder.push(Op::Compare {
            to,
            comparison,
            left,
            right,
        });
        Ok(to)
    }

    fn free_slot(&mut self) -> Result<Slot, Stop> {
        Ok(self.builder.slot().ok_or(CompileError::TooComplex)?)
    }
}

fn only_shown(what: &str) -> Stop {
    Stop::Error(CompileError::Unsupported {
        what: format!("{what} in a condition or an index"),
        why: "what decides at the hit has to be numbers, variants and texts of the program; it works in a message",
    })
}
