//! Functions of floats, as the standard library defines them. Part of the interpreter: where the processor has no
//! instruction for one, the compiler would call a library, which could be patched; so they are written out here.

use super::number::{Kind, Number};

/// A function of a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    Sqrt,
    Floor,
    Ceil,
    Round,
    Trunc,
    IsNan,
    IsFinite,
    IsInfinite,
    Signum,
}

impl Function {
    /// Its value for a number.
    pub fn of(self, number: Number) -> Number {
        let x = number.float();
        let result = match self {
            Self::IsNan => return Number::boolean(x.is_nan()),
            Self::IsFinite => return Number::boolean(x.is_finite()),
            Self::IsInfinite => return Number::boolean(x.is_infinite()),
            Self::Sqrt if number.kind == Kind::F32 => {
                return Number::single(number.single_float().sqrt());
            }
            Self::Sqrt => x.sqrt(),
            Self::Floor => floor(x),
            Self::Ceil => ceil(x),
            Self::Round => round(x),
            Self::Trunc => trunc(x),
            Self::Signum => x.signum(),
        };
        like(number, result)
    }
}

/// The remainder of two floats, with the sign of the first: always exact.
pub fn remainder(left: Number, right: Number) -> Number {
    like(left, modulo(left.float(), right.float()))
}

/// A result that its type holds exactly.
fn like(number: Number, result: f64) -> Number {
    match number.kind {
        Kind::F32 => Number::single(result as f32),
        _ => Number::double(result),
    }
}

const FRACTION: u32 = 52;
const EXPONENTS: u64 = 0x7ff;
const BIAS: u64 = 1023;
const SIGN: u64 = 1 << 63;

fn exponent(bits: u64) -> u64 {
    bits.wrapping_shr(FRACTION) & EXPONENTS
}

fn trunc(x: f64) -> f64 {
    let bits = x.to_bits();
    match exponent(bits).checked_sub(BIAS) {
        None => f64::from_bits(bits & SIGN),
        // Whole numbers, infinities, and what is no number.
        Some(whole) if whole >= u64::from(FRACTION) => x,
        Some(whole) => {
            let fraction = ((1u64 << FRACTION) - 1).wrapping_shr(whole as u32);
            f64::from_bits(bits & !fraction)
        }
    }
}

fn floor(x: f64) -> f64 {
    let whole = trunc(x);
    if whole > x { whole - 1.0 } else { whole }
}

fn ceil(x: f64) -> f64 {
    let whole = trunc(x);
    if whole >= x || x.is_nan() {
        whole
    } else if whole == 0.0 {
        1.0
    } else {
        whole + 1.0
    }
}

/// Halves go away from zero.
fn round(x: f64) -> f64 {
    let whole = trunc(x);
    if (x - whole).abs() >= 0.5 {
        whole + 1f64.copysign(x)
    } else {
        whole
    }
}

/// Long division in binary: at most 2,100 steps.
fn modulo(x: f64, y: f64) -> f64 {
    if y == 0.0 || y.is_nan() || !x.is_finite() {
        return f64::NAN;
    }
    let sign = x.to_bits() & SIGN;
    let (mut rest, mut scale) = parts(x);
    let (divisor, lowest) = parts(y);
    if x.abs() < y.abs() || rest == 0 {
        return x;
    }
    // Both have their leading bit at the same place, so that the scale of `x` is not below that of `y`.
    loop {
        rest = rest.checked_sub(divisor).unwrap_or(rest);
        if scale <= lowest || rest == 0 {
            break;
        }
        rest = rest.wrapping_shl(1);
        scale = scale.wrapping_sub(1);
    }
    if rest == 0 {
        return f64::from_bits(sign);
    }
    // Back to a leading bit, or to a number too small for one.
    let shift = rest.leading_zeros().wrapping_sub(63 - FRACTION);
    let possible = shift.min(lowest.wrapping_sub(1).max(0).unsigned_abs());
    let rest = rest.wrapping_shl(possible);
    let scale = lowest.wrapping_sub(possible.cast_signed());
    let bits = if rest >> FRACTION == 0 || scale < 1 {
        rest.checked_shr(1i32.wrapping_sub(scale).max(0).unsigned_abs())
            .unwrap_or(0)
    } else {
        let fraction = rest & ((1 << FRACTION) - 1);
        fraction | u64::from(scale.unsigned_abs()).wrapping_shl(FRACTION)
    };
    f64::from_bits(bits | sign)
}

/// A finite number's significant bits, the leading one at bit 52, and its exponent, which may be below 1.
fn parts(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let fraction = bits & ((1 << FRACTION) - 1);
    match exponent(bits) {
        0 => {
            let shift = fraction.leading_zeros().saturating_sub(63 - FRACTION);
            let shifted = fraction.checked_shl(shift).unwrap_or(0);
            (shifted, 1i32.wrapping_sub(shift.cast_signed()))
        }
        exponent => (fraction | 1 << FRACTION, exponent as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EDGES: [f64; 24] = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        0.49999999999999994,
        1.0,
        -1.0,
        1.5,
        2.5,
        -2.5,
        4503599627370495.5,
        4503599627370496.0,
        9007199254740993.0,
        1e300,
        -1e300,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1e-310,
        -3e-320,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];

    fn same(found: f64, wanted: f64) -> bool {
        found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan())
    }

    fn agree(x: f64, y: f64) {
        assert!(
            same(modulo(x, y), x % y),
            "{x:e} % {y:e} = {:e}, is {:e}",
            modulo(x, y),
            x % y
        );
        for (name, found, wanted) in [
            ("trunc", trunc(x), x.trunc()),
            ("floor", floor(x), x.floor()),
            ("ceil", ceil(x), x.ceil()),
            ("round", round(x), x.round()),
        ] {
            assert!(
                same(found, wanted),
                "{name}({x:e}) = {found:e}, is {wanted:e}"
            );
        }
    }

    #[test]
    fn edges_are_as_in_the_standard_library() {
        for x in EDGES {
            for y in EDGES {
                agree(x, y);
            }
        }
    }

    proptest! {
        #[test]
        fn all_are_as_in_the_standard_library(x: u64, y: u64, near in -60i32..60) {
            let (x, y) = (f64::from_bits(x), f64::from_bits(y));
            agree(x, y);
            // Two of one magnitude.
            let near = f64::from(near).exp2();
            agree(x, x * near + y.abs().min(1.0));
            agree((x % 1e6) * 0.25, y);
        }

        #[test]
        fn narrow_ones_too(x: u32, y: u32) {
            let (x, y) = (f32::from_bits(x), f32::from_bits(y));
            let (a, b) = (Number::single(x), Number::single(y));
            for (found, wanted) in [
                (remainder(a, b), x % y),
                (Function::Floor.of(a), x.floor()),
                (Function::Ceil.of(a), x.ceil()),
                (Function::Round.of(a), x.round()),
                (Function::Trunc.of(a), x.trunc()),
                (Function::Sqrt.of(a), x.sqrt()),
                (Function::Signum.of(a), x.signum()),
            ] {
                let found = found.single_float();
                prop_assert!(
                    found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan()),
                    "{x:e} {y:e}: {found:e}, is {wanted:e}"
                );
            }
        }
    }
}
