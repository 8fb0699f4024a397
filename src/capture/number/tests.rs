//! Rust itself is the oracle.

use super::*;
use proptest::prelude::*;

fn both(a: Number, b: Number, operator: Binary, mode: Mode) -> Option<u128> {
    binary(operator, mode, a, b).ok().map(Number::bits)
}

/// All operations of two integers of one type.
macro_rules! integers {
    ($name:ident, $ty:ty, $unsigned:ty) => {
        proptest! {
            #[test]
            fn $name(x: $ty, y: $ty, small in 0u32..140) {
                let kind = Kind::named(stringify!($ty)).unwrap();
                let number = |value: $ty| Number::new(kind, value as u128);
                let (a, b) = (number(x), number(y));
                let bits = |value: Option<$ty>| value.map(|value| value as $unsigned as u128);
                let shown = |op, mode| both(a, b, op, mode);
                prop_assert_eq!(shown(Binary::Add, Mode::Checked), bits(x.checked_add(y)));
                prop_assert_eq!(shown(Binary::Sub, Mode::Checked), bits(x.checked_sub(y)));
                prop_assert_eq!(shown(Binary::Mul, Mode::Checked), bits(x.checked_mul(y)));
                prop_assert_eq!(shown(Binary::Div, Mode::Checked), bits(x.checked_div(y)));
                prop_assert_eq!(shown(Binary::Rem, Mode::Checked), bits(x.checked_rem(y)));
                prop_assert_eq!(shown(Binary::Add, Mode::Wrapping), bits(Some(x.wrapping_add(y))));
                prop_assert_eq!(shown(Binary::Sub, Mode::Wrapping), bits(Some(x.wrapping_sub(y))));
                prop_assert_eq!(shown(Binary::Mul, Mode::Wrapping), bits(Some(x.wrapping_mul(y))));
                prop_assert_eq!(shown(Binary::Add, Mode::Saturating), bits(Some(x.saturating_add(y))));
                prop_assert_eq!(shown(Binary::Sub, Mode::Saturating), bits(Some(x.saturating_sub(y))));
                prop_assert_eq!(shown(Binary::Mul, Mode::Saturating), bits(Some(x.saturating_mul(y))));
                prop_assert_eq!(shown(Binary::And, Mode::Checked), bits(Some(x & y)));
                prop_assert_eq!(shown(Binary::Or, Mode::Checked), bits(Some(x | y)));
                prop_assert_eq!(shown(Binary::Xor, Mode::Checked), bits(Some(x ^ y)));
                prop_assert_eq!(shown(Binary::Min, Mode::Checked), bits(Some(x.min(y))));
                prop_assert_eq!(shown(Binary::Max, Mode::Checked), bits(Some(x.max(y))));
                for (op, holds) in [(Binary::Eq, x == y), (Binary::Ne, x != y), (Binary::Lt, x < y),
                    (Binary::Le, x <= y), (Binary::Gt, x > y), (Binary::Ge, x >= y)]
                {
                    prop_assert_eq!(shown(op, Mode::Checked), Some(u128::from(holds)));
                }
                let amount = Number::new(Kind::unsigned(32), u128::from(small));
                prop_assert_eq!(both(a, amount, Binary::Shl, Mode::Checked), bits(x.checked_shl(small)));
                prop_assert_eq!(both(a, amount, Binary::Shr, Mode::Checked), bits(x.checked_shr(small)));
                prop_assert_eq!(both(a, amount, Binary::Shl, Mode::Wrapping), bits(Some(x.wrapping_shl(small))));
                prop_assert_eq!(both(a, amount, Binary::Pow, Mode::Checked), bits(x.checked_pow(small)));
                prop_assert_eq!(both(a, amount, Binary::Pow, Mode::Wrapping), bits(Some(x.wrapping_pow(small))));
                prop_assert_eq!(both(a, amount, Binary::Pow, Mode::Saturating), bits(Some(x.saturating_pow(small))));
                let one = |op| unary(op, Mode::Checked, a).ok().map(Number::bits);
                prop_assert_eq!(one(Unary::Not), bits(Some(!x)));
                prop_assert_eq!(one(Unary::Neg), bits(x.checked_neg()));
                let to = |name: &str| cast(a, Kind::named(name).unwrap()).unwrap().bits();
                prop_assert_eq!(to("u8"), u128::from(x as u8));
                prop_assert_eq!(to("i16"), u128::from(x as i16 as u16));
                prop_assert_eq!(to("u64"), u128::from(x as u64));
                prop_assert_eq!(to("i128"), x as i128 as u128);
                prop_assert_eq!(to("f64"), u128::from((x as f64).to_bits()));
                prop_assert_eq!(to("f32"), u128::from((x as f32).to_bits()));
            }
        }
    };
}

integers!(u8s, u8, u8);
integers!(i8s, i8, u8);
integers!(u16s, u16, u16);
integers!(i32s, i32, u32);
integers!(u64s, u64, u64);
integers!(i64s, i64, u64);
integers!(u128s, u128, u128);
integers!(i128s, i128, u128);

/// Near the ends, where random numbers seldom fall.
#[test]
fn the_ends_of_each_type() {
    let number = |name: &str, value: i128| Number::new(Kind::named(name).unwrap(), value as u128);
    let fault = |op, a, b| binary(op, Mode::Checked, a, b).unwrap_err();
    for (name, least) in [
        ("i8", i128::from(i8::MIN)),
        ("i64", i128::from(i64::MIN)),
        ("i128", i128::MIN),
    ] {
        let (least, minus_one) = (number(name, least), number(name, -1));
        assert_eq!(fault(Binary::Div, least, minus_one), Fault::Overflow);
        assert_eq!(fault(Binary::Rem, least, minus_one), Fault::Overflow);
        assert_eq!(fault(Binary::Mul, least, minus_one), Fault::Overflow);
        assert_eq!(
            fault(Binary::Div, least, number(name, 0)),
            Fault::DivisionByZero
        );
        assert_eq!(
            unary(Unary::Abs, Mode::Checked, least),
            Err(Fault::Overflow)
        );
        assert_eq!(unary(Unary::Abs, Mode::Wrapping, least), Ok(least));
        assert_eq!(
            binary(Binary::Div, Mode::Wrapping, least, minus_one),
            Ok(least)
        );
    }
    assert_eq!(
        unary(Unary::Abs, Mode::Checked, number("i32", -5)),
        Ok(number("i32", 5))
    );
    assert_eq!(
        binary(
            Binary::Shl,
            Mode::Checked,
            number("u8", 1),
            number("i32", -1)
        ),
        Err(Fault::Overflow)
    );
    assert_eq!(Number::integer(Kind::unsigned(8), 256), None);
    assert_eq!(Number::integer(Kind::unsigned(8), -1), None);
    assert_eq!(
        Number::integer(Kind::named("i8").unwrap(), -128).map(Number::signed),
        Some(-128)
    );
}

proptest! {
    #[test]
    fn floats(x: f64, y: f64) {
        let (a, b) = (Number::double(x), Number::double(y));
        let shown = |op| both(a, b, op, Mode::Checked);
        let bits = |value: f64| Some(u128::from(value.to_bits()));
        prop_assert_eq!(shown(Binary::Add), bits(x + y));
        prop_assert_eq!(shown(Binary::Mul), bits(x * y));
        prop_assert_eq!(shown(Binary::Div), bits(x / y));
        prop_assert_eq!(shown(Binary::Min), bits(x.min(y)));
        prop_assert_eq!(shown(Binary::Max), bits(x.max(y)));
        prop_assert_eq!(shown(Binary::Lt), Some(u128::from(x < y)));
        prop_assert_eq!(shown(Binary::Ge), Some(u128::from(x >= y)));
        let (c, d) = (Number::single(x as f32), Number::single(y as f32));
        prop_assert_eq!(
            both(c, d, Binary::Sub, Mode::Checked),
            Some(u128::from((x as f32 - y as f32).to_bits()))
        );
    }

    #[test]
    fn floats_are_cast_as_rust_does(bits: u64, scale in -20i32..140) {
        for value in [f64::from_bits(bits), (bits as f64) * 2f64.powi(scale - 64), -(bits as f64) * 2f64.powi(scale - 64)] {
            let to = |name: &str| cast(Number::double(value), Kind::named(name).unwrap()).unwrap().bits();
            prop_assert_eq!(to("u8"), u128::from(value as u8));
            prop_assert_eq!(to("i8"), u128::from(value as i8 as u8));
            prop_assert_eq!(to("u64"), u128::from(value as u64));
            prop_assert_eq!(to("i64"), u128::from(value as i64 as u64));
            prop_assert_eq!(to("u128"), value as u128);
            prop_assert_eq!(to("i128"), value as i128 as u128);
            prop_assert_eq!(to("f32"), u128::from((value as f32).to_bits()));
        }
    }
}

#[test]
fn what_is_not_a_number() {
    let (nan, one) = (Number::double(f64::NAN), Number::double(1.0));
    for (a, b) in [(nan, one), (one, nan)] {
        assert_eq!(binary(Binary::Min, Mode::Checked, a, b), Ok(one));
        assert_eq!(binary(Binary::Max, Mode::Checked, a, b), Ok(one));
        assert_eq!(
            binary(Binary::Eq, Mode::Checked, a, b),
            Ok(Number::boolean(false))
        );
        assert_eq!(
            binary(Binary::Ne, Mode::Checked, a, b),
            Ok(Number::boolean(true))
        );
    }
    assert_eq!(cast(nan, Kind::I32).map(Number::signed), Ok(0));
    assert_eq!(cast(one, Kind::Char), Err(Fault::Type));
    assert!(!Number::new(Kind::Bool, 2).is_valid());
    assert!(!Number::new(Kind::Char, 0xd800).is_valid());
}
