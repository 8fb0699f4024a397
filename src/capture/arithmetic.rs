//! The arithmetic of formulas. Part of the interpreter: allocates nothing, panics never.

use super::program::STACK;
use crate::symbols::place::{Binary, Unary};

/// The stack of a formula.
#[derive(Default)]
pub struct Stack {
    numbers: [u64; STACK],
    depth: usize,
}

impl Stack {
    /// Puts a number on top; `None` where there is no room.
    pub fn push(&mut self, value: u64) -> Option<()> {
        *self.numbers.get_mut(self.depth)? = value;
        self.depth += 1;
        Some(())
    }

    /// Takes the top.
    pub fn pop(&mut self) -> Option<u64> {
        self.depth = self.depth.checked_sub(1)?;
        self.numbers.get(self.depth).copied()
    }

    /// The number that is `below` the top.
    pub fn pick(&self, below: usize) -> Option<u64> {
        let at = self.depth.checked_sub(1)?.checked_sub(below)?;
        self.numbers.get(at).copied()
    }
}

/// A [`Unary`] operation.
pub fn unary(operator: Unary, value: u64) -> u64 {
    match operator {
        Unary::Abs => value.cast_signed().unsigned_abs(),
        Unary::Neg => value.wrapping_neg(),
        Unary::Not => !value,
        Unary::ZeroExtend(size) => zero_extend(value, size),
        Unary::SignExtend(size) => sign_extend(value, size),
    }
}

fn zero_extend(value: u64, size: u8) -> u64 {
    let unused = 64u32.saturating_sub(u32::from(size).saturating_mul(8));
    value.wrapping_shl(unused).wrapping_shr(unused)
}

/// Repeats the sign of a number of `size` bytes.
pub fn sign_extend(value: u64, size: u8) -> u64 {
    let unused = 64u32.saturating_sub(u32::from(size).saturating_mul(8));
    value
        .cast_signed()
        .wrapping_shl(unused)
        .wrapping_shr(unused)
        .cast_unsigned()
}

/// A [`Binary`] operation; `None` for a division by zero.
pub fn binary(operator: Binary, left: u64, right: u64) -> Option<u64> {
    let (a, b) = (left.cast_signed(), right.cast_signed());
    let shift = u32::try_from(right).unwrap_or(u32::MAX);
    Some(match operator {
        Binary::Add => left.wrapping_add(right),
        Binary::Sub => left.wrapping_sub(right),
        Binary::Mul => left.wrapping_mul(right),
        // `checked_div` fails for zero, and for the one overflow: MIN / -1 wraps to MIN.
        Binary::Div if b == -1 => left.wrapping_neg(),
        Binary::Div => a.checked_div(b)?.cast_unsigned(),
        Binary::Mod => left.checked_rem(right)?,
        Binary::And => left & right,
        Binary::Or => left | right,
        Binary::Xor => left ^ right,
        Binary::Shl => left.checked_shl(shift).unwrap_or(0),
        Binary::Shr => left.checked_shr(shift).unwrap_or(0),
        Binary::Sar => a.wrapping_shr(shift.min(63)).cast_unsigned(),
        Binary::Eq => u64::from(a == b),
        Binary::Ne => u64::from(a != b),
        Binary::Lt => u64::from(a < b),
        Binary::Le => u64::from(a <= b),
        Binary::Gt => u64::from(a > b),
        Binary::Ge => u64::from(a >= b),
    })
}
