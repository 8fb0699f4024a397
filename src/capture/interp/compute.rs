//! Computations on numbers of Rust's types. Part of the interpreter: allocates nothing, panics never.

use super::{Machine, Run, Then};
use crate::capture::number::{Fault, Kind, Number, binary, cast, unary};
use crate::capture::program::{Calc, NUMBERS, Part, Slot};
use crate::capture::record::Code;

/// The numbers of a computation.
struct Numbers {
    numbers: [Number; NUMBERS],
    depth: usize,
}

impl Numbers {
    fn push(&mut self, number: Number) -> Option<()> {
        *self.numbers.get_mut(self.depth)? = number;
        self.depth += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<Number> {
        self.depth = self.depth.checked_sub(1)?;
        self.numbers.get(self.depth).copied()
    }
}

impl<M: Machine> Run<'_, M> {
    /// Computes a number. A result of more than 64 bits, of which there is none in a program that was compiled, loses
    /// its upper half.
    pub(super) fn calculate(&mut self, to: Slot, steps: Part) -> Then {
        match self.calculated(steps) {
            Ok(Ok(number)) => {
                self.put(to, Some(number.bits() as u64));
                Then::Next
            }
            Ok(Err((fault, _))) => self.faulted(fault),
            Err(then) => then,
        }
    }

    /// Whether the last step of a computation gives a number. A fault of what it is given is one here as well.
    pub(super) fn fits(&mut self, to: Slot, steps: Part) -> Then {
        let fits = match self.calculated(steps) {
            Ok(Ok(_)) => true,
            Ok(Err((Fault::Overflow | Fault::DivisionByZero, true))) => false,
            Ok(Err((fault, _))) => return self.faulted(fault),
            Err(then) => return then,
        };
        self.put(to, Some(u64::from(fits)));
        Then::Next
    }

    /// A fault comes with whether it is that of the last step.
    fn calculated(&mut self, steps: Part) -> Result<Result<Number, (Fault, bool)>, Then> {
        let steps = self.program.steps(steps);
        if !self.spend(u32::try_from(steps.len()).unwrap_or(u32::MAX)) {
            return Err(Then::Cut);
        }
        let mut numbers = Numbers {
            numbers: [Number::new(Kind::Bool, 0); NUMBERS],
            depth: 0,
        };
        for (at, step) in (1..).zip(steps) {
            let is_last = at == steps.len();
            let result = match *step {
                Calc::Slot(slot, kind) => Ok(Number::new(kind, u128::from(self.needed(slot)?))),
                Calc::Wide(low, high, kind) => {
                    let (low, high) = (self.needed(low)?, self.needed(high)?);
                    let bits = u128::from(high).wrapping_shl(64) | u128::from(low);
                    Ok(Number::new(kind, bits))
                }
                Calc::Constant(number) => Ok(number),
                Calc::Unary(op, mode) => match numbers.pop() {
                    Some(value) => unary(op, mode, value),
                    None => Err(Fault::Type),
                },
                Calc::Binary(op, mode) => match (numbers.pop(), numbers.pop()) {
                    (Some(right), Some(left)) => binary(op, mode, left, right),
                    _ => Err(Fault::Type),
                },
                Calc::Cast(kind) => match numbers.pop() {
                    Some(value) => cast(value, kind),
                    None => Err(Fault::Type),
                },
                Calc::Function(function) => match numbers.pop() {
                    Some(value) => Ok(function.of(value)),
                    None => Err(Fault::Type),
                },
            };
            let pushed = match result {
                Ok(number) => numbers.push(number),
                Err(fault) => return Ok(Err((fault, is_last))),
            };
            if pushed.is_none() {
                return Ok(Err((Fault::Type, is_last)));
            }
        }
        Ok(numbers.pop().ok_or((Fault::Type, true)))
    }

    pub(super) fn faulted(&mut self, fault: Fault) -> Then {
        let code = match fault {
            Fault::Overflow => Code::Overflow,
            Fault::DivisionByZero => Code::DivisionByZero,
            Fault::Type => Code::Incomputable,
        };
        self.writer.set(self.expression, code, 0, 0);
        Then::Over
    }
}
