//! `format!` is the oracle.

use super::*;
use crate::capture::number::Number;

fn number(kind: &str, bits: u128) -> Number {
    Number::new(Kind::named(kind).unwrap(), bits)
}

fn shown(format: &str, number: Number) -> String {
    Format::parse_display(format).unwrap().number(number)
}

#[test]
fn numbers_as_rust_formats_them() {
    macro_rules! same {
        ($value:expr, $kind:literal, $bits:expr, $($format:literal)*) => {$(
            assert_eq!(
                shown($format, number($kind, $bits)),
                format!(concat!("{:", $format, "}"), $value),
                "{} of {}", $format, $value
            );
        )*};
    }
    same!(255u8, "u8", 255, "" "x" "X" "#x" "#X" "b" "#b" "o" "#o" "e" "E" ">8" "<8" "^8" "*^9" "08" "#010x" "#06b" "+" "+6");
    same!(-5i32, "i32", -5i128 as u128, "" "x" "#x" "b" "o" "e" ">8" "08" "+" "<4" "#012x");
    same!(i128::MIN, "i128", i128::MIN as u128, "" "x" "b" "e");
    same!(u128::MAX, "u128", u128::MAX, "" "#x" ">50");
    for value in [
        1.5f64,
        -0.0,
        1e300,
        12345.678,
        f64::NAN,
        f64::INFINITY,
        0.1 + 0.2,
    ] {
        let bits = u128::from(value.to_bits());
        same!(value, "f64", bits, "" "?" ".3" ".0" "e" ".2e" "E" ">12.3" "08.2" "+" "+.1" "^20");
    }
    same!(1.1f32, "f32", u128::from(1.1f32.to_bits()), "" "?" ".9" "e");
    same!(true, "bool", 1, "" "?" ">6" ">6?");
    same!('é', "char", 233, "" "?" ">3" "^5" ">5?");
}

#[test]
fn text_as_rust_formats_it() {
    for format in ["", "?", ">12?", ">8", "^8", "-<8", ".2", ">8.2"] {
        let own = Format::parse_display(format).unwrap().text("aé\"b");
        let rust = match format {
            "" => "aé\"b".to_owned(),
            "?" => format!("{:?}", "aé\"b"),
            ">12?" => format!("{:>12?}", "aé\"b"),
            ">8" => format!("{:>8}", "aé\"b"),
            "^8" => format!("{:^8}", "aé\"b"),
            "-<8" => format!("{:-<8}", "aé\"b"),
            ".2" => format!("{:.2}", "aé\"b"),
            _ => format!("{:>8.2}", "aé\"b"),
        };
        assert_eq!(own, rust, "{format}");
    }
    let (_, plain) = Format::split("a").unwrap();
    assert_eq!(
        plain.text("a\u{7f}\"é"),
        r#""a\"é""#.replace('a', "a\u{7f}")
    );
}

#[test]
fn the_format_follows_the_last_lone_colon() {
    for (source, expression, format) in [
        ("a", "a", ""),
        ("a:x", "a", "x"),
        ("a : #? ", "a", "#?"),
        ("a::b", "a::b", ""),
        ("a::b:?", "a::b", "?"),
        ("Foo { a: 1 }.a", "Foo { a: 1 }.a", ""),
        ("Foo { a: 1 }.a:>4", "Foo { a: 1 }.a", ">4"),
        ("a == \"b:x\"", "a == \"b:x\"", ""),
        ("a == ':'", "a == ':'", ""),
        ("a == ':':?", "a == ':'", "?"),
        ("v[a::b]:[10]", "v[a::b]", "[10]"),
        ("é:?", "é", "?"),
    ] {
        let (found, parsed) = Format::split(source).unwrap();
        assert_eq!((found, parsed.source()), (expression, format), "{source}");
    }
}

#[test]
fn an_unknown_format_is_an_error() {
    for source in [
        "a:q", "a:?x", "a:x?", "a:.", "a:.x", "a:[0]", "a:[x]", "a:[5000]", "a:>", "a: x y", ":x",
        "a:9999", "a:.999", "a:>8>",
    ] {
        let error = Format::split(source);
        match source {
            // An alignment without a width does nothing, as in Rust.
            "a:>" => assert!(error.is_ok()),
            _ => {
                let error = error.unwrap_err().to_string();
                assert!(error.starts_with("the format `"), "{source}: {error}");
            }
        }
    }
}

#[test]
fn floats_are_padded_as_rust_pads_them() {
    for value in [1.0, 1e16, -0.0, 2.75, f64::NAN] {
        let shown = |format: &str| {
            let (_, format) = Format::split(&format!("f:{format}")).unwrap();
            format.number(Number::new(Kind::F64, u128::from(value.to_bits())))
        };
        assert_eq!(shown(">20"), format!("{value:>20}"));
        assert_eq!(shown("08"), format!("{value:08}"));
        assert_eq!(shown("+"), format!("{value:+}"));
        assert_eq!(shown("?"), format!("{value:?}"));
    }
}

#[test]
fn elements_come_before_the_rest() {
    let (_, format) = Format::split("v:[100]#?").unwrap();
    assert_eq!(format.elements(), Some(100));
    assert_eq!(format.shown("[1, 2]"), "[\n    1,\n    2,\n]");
}
