//! Numbers of Rust's primitive types, and what Rust computes from them.
//!
//! Used at a hit, for conditions and indices, and for what is shown: one implementation, so that both agree. Part of the
//! interpreter: allocates nothing, panics never. What would panic in the program is a [`Fault`].

use super::floats::remainder;

/// A primitive type; `usize` and `isize` are those of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    /// An integer of 8 to 128 bits.
    Integer {
        signed: bool,
        bits: u8,
    },
    F32,
    F64,
    Bool,
    Char,
}

/// A number of a type. Two's complement and IEEE 754, without bits beyond the type's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its type.
    pub kind: Kind,
    bits: u128,
}

/// Why a computation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The result does not fit the type.
    Overflow,
    /// Division by zero, or its remainder.
    DivisionByZero,
    /// The operand has no such operation; typing keeps it from happening.
    Type,
}

/// Operations on one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Not,
    Abs,
}

/// Operations on two numbers of one type; the amount of a shift and an exponent are integers of any type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Pow,
    Min,
    Max,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What happens where a result does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is a [`Fault`], as in a program with overflow checks.
    Checked,
    /// The upper bits are lost.
    Wrapping,
    /// It is the nearest number that fits.
    Saturating,
}

impl Kind {
    /// `usize`, and what lengths are.
    pub const USIZE: Self = Self::unsigned(64);
    /// What a number without a type is.
    pub const I32: Self = Self::Integer {
        signed: true,
        bits: 32,
    };

    /// `u8` to `u128`.
    pub const fn unsigned(bits: u8) -> Self {
        Self::Integer {
            signed: false,
            bits,
        }
    }

    /// The type of a name; `None` for what is no primitive type of 8 to 128 bits.
    pub fn named(name: &str) -> Option<Self> {
        let integer = |signed, bits| Some(Self::Integer { signed, bits });
        match name {
            "u8" => integer(false, 8),
            "u16" => integer(false, 16),
            "u32" => integer(false, 32),
            "u64" | "usize" => integer(false, 64),
            "u128" => integer(false, 128),
            "i8" => integer(true, 8),
            "i16" => integer(true, 16),
            "i32" => integer(true, 32),
            "i64" | "isize" => integer(true, 64),
            "i128" => integer(true, 128),
            "f32" => Some(Self::F32),
            "f64" => Some(Self::F64),
            "bool" => Some(Self::Bool),
            "char" => Some(Self::Char),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer { signed, bits } => match (signed, bits) {
                (false, 8) => "u8",
                (false, 16) => "u16",
                (false, 32) => "u32",
                (false, 64) => "u64",
                (false, _) => "u128",
                (true, 8) => "i8",
                (true, 16) => "i16",
                (true, 32) => "i32",
                (true, 64) => "i64",
                (true, _) => "i128",
            },
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::Char => "char",
        }
    }

    /// How many bytes a number takes.
    pub fn size(self) -> u8 {
        match self {
            Self::Integer { bits, .. } => bits / 8,
            Self::F32 | Self::Char => 4,
            Self::F64 => 8,
            Self::Bool => 1,
        }
    }

    /// Whether it is an integer.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Integer { .. })
    }

    /// Whether it is `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    fn bits(self) -> u32 {
        u32::from(self.size()).wrapping_mul(8)
    }

    /// Whether it has a sign in two's complement.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Integer { signed: true, .. })
    }

    fn mask(self) -> u128 {
        u128::MAX
            .checked_shr(128u32.wrapping_sub(self.bits()))
            .unwrap_or(0)
    }

    fn signed_range(self) -> (i128, i128) {
        let unused = 128u32.wrapping_sub(self.bits());
        (
            i128::MIN.wrapping_shr(unused),
            i128::MAX.wrapping_shr(unused),
        )
    }
}

impl Number {
    /// A number by its bits; those beyond the type's own are left out.
    pub fn new(kind: Kind, bits: u128) -> Self {
        Self {
            kind,
            bits: bits & kind.mask(),
        }
    }

    /// `true` or `false`.
    pub fn boolean(value: bool) -> Self {
        Self::new(Kind::Bool, u128::from(value))
    }

    /// An `f64`.
    pub fn double(value: f64) -> Self {
        Self::new(Kind::F64, u128::from(value.to_bits()))
    }

    /// An `f32`.
    pub fn single(value: f32) -> Self {
        Self::new(Kind::F32, u128::from(value.to_bits()))
    }

    /// An integer; `None` where it does not fit the type.
    pub fn integer(kind: Kind, value: i128) -> Option<Self> {
        let number = Self::new(kind, value.cast_unsigned());
        let fits = if kind.is_signed() {
            number.signed() == value
        } else {
            value >= 0 && number.bits == value.cast_unsigned()
        };
        (kind.is_integer() && fits).then_some(number)
    }

    /// Its bits, zero-extended.
    pub fn bits(self) -> u128 {
        self.bits
    }

    /// An integer's value with its sign; above `i128::MAX` an unsigned one's bits.
    pub fn signed(self) -> i128 {
        if self.kind.is_signed() {
            let unused = 128u32.wrapping_sub(self.kind.bits());
            self.bits
                .cast_signed()
                .wrapping_shl(unused)
                .wrapping_shr(unused)
        } else {
            self.bits.cast_signed()
        }
    }

    /// Whether it is `true`, or not zero.
    pub fn is_true(self) -> bool {
        self.bits != 0
    }

    /// A float's value; an `f32` widened.
    pub fn float(self) -> f64 {
        match self.kind {
            Kind::F32 => f64::from(f32::from_bits(self.bits as u32)),
            _ => f64::from_bits(self.bits as u64),
        }
    }

    /// An `f32`'s value.
    pub fn single_float(self) -> f32 {
        f32::from_bits(self.bits as u32)
    }

    /// Whether it is a value of its type: a `bool` is 0 or 1, a `char` a Unicode scalar value.
    pub fn is_valid(self) -> bool {
        match self.kind {
            Kind::Bool => self.bits <= 1,
            Kind::Char => u32::try_from(self.bits).is_ok_and(|bits| char::from_u32(bits).is_some()),
            _ => true,
        }
    }
}

/// A [`Unary`] operation.
///
/// # Errors
///
/// [`Fault::Overflow`] for the absolute value and the negation of the least number.
pub fn unary(operator: Unary, mode: Mode, value: Number) -> Result<Number, Fault> {
    let kind = value.kind;
    match (operator, kind) {
        (Unary::Neg, Kind::F32) => Ok(Number::single(-value.single_float())),
        (Unary::Neg, Kind::F64) => Ok(Number::double(-value.float())),
        (Unary::Abs, Kind::F32) => Ok(Number::single(value.single_float().abs())),
        (Unary::Abs, Kind::F64) => Ok(Number::double(value.float().abs())),
        (Unary::Not, Kind::Bool) => Ok(Number::boolean(!value.is_true())),
        (Unary::Not, Kind::Integer { .. }) => Ok(Number::new(kind, !value.bits)),
        (Unary::Neg, Kind::Integer { .. }) => {
            binary(Binary::Sub, mode, Number::new(kind, 0), value)
        }
        (Unary::Abs, Kind::Integer { .. }) if value.signed() < 0 && kind.is_signed() => {
            unary(Unary::Neg, mode, value)
        }
        (Unary::Abs, Kind::Integer { .. }) => Ok(value),
        _ => Err(Fault::Type),
    }
}

/// A [`Binary`] operation.
///
/// # Errors
///
/// What would panic in the program.
pub fn binary(operator: Binary, mode: Mode, a: Number, b: Number) -> Result<Number, Fault> {
    if let Binary::Shl | Binary::Shr = operator {
        return shift(operator, mode, a, b);
    }
    if operator == Binary::Pow {
        return power(mode, a, b);
    }
    if a.kind != b.kind {
        return Err(Fault::Type);
    }
    if operator == Binary::Rem && a.kind.is_float() {
        return Ok(remainder(a, b));
    }
    match a.kind {
        Kind::F32 => {
            let (x, y) = (a.single_float(), b.single_float());
            let result = match operator {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                _ => return floats(operator, a, b),
            };
            Ok(Number::single(result))
        }
        Kind::F64 => {
            let (x, y) = (a.float(), b.float());
            let result = match operator {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                _ => return floats(operator, a, b),
            };
            Ok(Number::double(result))
        }
        Kind::Integer { signed: true, .. } => signed(operator, mode, a, b),
        Kind::Integer { signed: false, .. } => unsigned(operator, mode, a, b),
        Kind::Bool | Kind::Char => ordered(operator, a, b, a.bits, b.bits),
    }
}

/// What integers, `bool` and `char` have in common: bits, comparison, the lesser and the greater one.
fn ordered<T: Ord>(operator: Binary, a: Number, b: Number, x: T, y: T) -> Result<Number, Fault> {
    Ok(match operator {
        Binary::Eq => Number::boolean(x == y),
        Binary::Ne => Number::boolean(x != y),
        Binary::Lt => Number::boolean(x < y),
        Binary::Le => Number::boolean(x <= y),
        Binary::Gt => Number::boolean(x > y),
        Binary::Ge => Number::boolean(x >= y),
        Binary::Min => {
            if y < x {
                b
            } else {
                a
            }
        }
        Binary::Max => {
            if x > y {
                a
            } else {
                b
            }
        }
        Binary::And if a.kind != Kind::Char => Number::new(a.kind, a.bits & b.bits),
        Binary::Or if a.kind != Kind::Char => Number::new(a.kind, a.bits | b.bits),
        Binary::Xor if a.kind != Kind::Char => Number::new(a.kind, a.bits ^ b.bits),
        _ => return Err(Fault::Type),
    })
}

fn floats(operator: Binary, a: Number, b: Number) -> Result<Number, Fault> {
    let (x, y) = (a.float(), b.float());
    Ok(match operator {
        Binary::Eq => Number::boolean(x == y),
        Binary::Ne => Number::boolean(x != y),
        Binary::Lt => Number::boolean(x < y),
        Binary::Le => Number::boolean(x <= y),
        Binary::Gt => Number::boolean(x > y),
        Binary::Ge => Number::boolean(x >= y),
        // As `f64::min`: what is not a number loses.
        Binary::Min if x.is_nan() || y < x => b,
        Binary::Max if x.is_nan() || y > x => b,
        Binary::Min | Binary::Max => a,
        _ => return Err(Fault::Type),
    })
}

fn signed(operator: Binary, mode: Mode, a: Number, b: Number) -> Result<Number, Fault> {
    let (kind, x, y) = (a.kind, a.signed(), b.signed());
    let (least, most) = kind.signed_range();
    let (exact, wrapped, above) = match operator {
        Binary::Add => (x.checked_add(y), x.wrapping_add(y), y > 0),
        Binary::Sub => (x.checked_sub(y), x.wrapping_sub(y), y < 0),
        Binary::Mul => (x.checked_mul(y), x.wrapping_mul(y), (x < 0) == (y < 0)),
        Binary::Div | Binary::Rem if y == 0 => return Err(Fault::DivisionByZero),
        // The one division that does not fit, and its remainder: `MIN / -1`.
        Binary::Div if y == -1 => (x.checked_neg(), x.wrapping_neg(), true),
        Binary::Rem if y == -1 => {
            return if x == least && mode == Mode::Checked {
                Err(Fault::Overflow)
            } else {
                Ok(Number::new(kind, 0))
            };
        }
        Binary::Div => (x.checked_div(y), x, true),
        Binary::Rem => (x.checked_rem(y), x, true),
        _ => return ordered(operator, a, b, x, y),
    };
    let fitting = exact.filter(|exact| (least..=most).contains(exact));
    match (fitting, mode) {
        (Some(exact), _) => Ok(Number::new(kind, exact.cast_unsigned())),
        (None, Mode::Checked) => Err(Fault::Overflow),
        (None, Mode::Wrapping) => Ok(Number::new(kind, wrapped.cast_unsigned())),
        (None, Mode::Saturating) => {
            let bound = if above { most } else { least };
            Ok(Number::new(kind, bound.cast_unsigned()))
        }
    }
}

fn unsigned(operator: Binary, mode: Mode, a: Number, b: Number) -> Result<Number, Fault> {
    let (kind, x, y) = (a.kind, a.bits, b.bits);
    let (exact, wrapped, above) = match operator {
        Binary::Add => (x.checked_add(y), x.wrapping_add(y), true),
        Binary::Sub => (x.checked_sub(y), x.wrapping_sub(y), false),
        Binary::Mul => (x.checked_mul(y), x.wrapping_mul(y), true),
        Binary::Div => (
            Some(x.checked_div(y).ok_or(Fault::DivisionByZero)?),
            x,
            true,
        ),
        Binary::Rem => (
            Some(x.checked_rem(y).ok_or(Fault::DivisionByZero)?),
            x,
            true,
        ),
        _ => return ordered(operator, a, b, x, y),
    };
    let fitting = exact.filter(|exact| *exact <= kind.mask());
    match (fitting, mode) {
        (Some(exact), _) => Ok(Number::new(kind, exact)),
        (None, Mode::Checked) => Err(Fault::Overflow),
        (None, Mode::Wrapping) => Ok(Number::new(kind, wrapped)),
        (None, Mode::Saturating) => Ok(Number::new(kind, if above { u128::MAX } else { 0 })),
    }
}

fn shift(operator: Binary, mode: Mode, a: Number, b: Number) -> Result<Number, Fault> {
    if !a.kind.is_integer() || !b.kind.is_integer() {
        return Err(Fault::Type);
    }
    let bits = a.kind.bits();
    let amount = match u32::try_from(b.signed()) {
        Ok(amount) if amount < bits => amount,
        _ if mode == Mode::Wrapping => b.bits as u32 & bits.wrapping_sub(1),
        _ => return Err(Fault::Overflow),
    };
    Ok(Number::new(
        a.kind,
        match operator {
            Binary::Shl => a.bits.wrapping_shl(amount),
            // Repeats the sign of a signed one.
            _ if a.kind.is_signed() => a.signed().wrapping_shr(amount).cast_unsigned(),
            _ => a.bits.wrapping_shr(amount),
        },
    ))
}

/// By squaring, as the standard library does it: the last square, which might not fit, is not computed.
fn power(mode: Mode, a: Number, b: Number) -> Result<Number, Fault> {
    if !a.kind.is_integer() || !b.kind.is_integer() {
        return Err(Fault::Type);
    }
    let mut exponent = u32::try_from(b.signed()).map_err(|_| Fault::Overflow)?;
    let mut base = a;
    let mut result = Number::new(a.kind, 1);
    while exponent > 1 {
        if exponent & 1 == 1 {
            result = binary(Binary::Mul, mode, result, base)?;
        }
        exponent >>= 1;
        base = binary(Binary::Mul, mode, base, base)?;
    }
    if exponent == 1 {
        result = binary(Binary::Mul, mode, result, base)?;
    }
    Ok(result)
}

/// `value as kind`.
///
/// # Errors
///
/// [`Fault::Type`] for what Rust does not cast.
pub fn cast(value: Number, kind: Kind) -> Result<Number, Fault> {
    let bits = match (value.kind, kind) {
        (from, to) if from == to => value.bits,
        (Kind::F32 | Kind::F64, Kind::Integer { signed, .. }) => {
            let float = value.float();
            if signed {
                let (least, most) = kind.signed_range();
                (float as i128).clamp(least, most).cast_unsigned()
            } else {
                (float as u128).min(kind.mask())
            }
        }
        (Kind::F64, Kind::F32) => return Ok(Number::single(value.float() as f32)),
        (Kind::F32, Kind::F64) => return Ok(Number::double(value.float())),
        (Kind::Integer { signed: true, .. }, Kind::F64) => {
            return Ok(Number::double(value.signed() as f64));
        }
        (Kind::Integer { signed: true, .. }, Kind::F32) => {
            return Ok(Number::single(value.signed() as f32));
        }
        (Kind::Integer { .. }, Kind::F64) => return Ok(Number::double(value.bits as f64)),
        (Kind::Integer { .. }, Kind::F32) => return Ok(Number::single(value.bits as f32)),
        (Kind::Integer { .. }, Kind::Integer { .. }) => value.signed().cast_unsigned(),
        (Kind::Bool | Kind::Char, Kind::Integer { .. }) => value.bits,
        (
            Kind::Integer {
                signed: false,
                bits: 8,
            },
            Kind::Char,
        ) => value.bits,
        _ => return Err(Fault::Type),
    };
    Ok(Number::new(kind, bits))
}

#[cfg(test)]
mod tests;
