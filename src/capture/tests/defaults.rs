//! What stands in for what is not there, and literals of any size.

use super::world::{World, words};
use super::{all, world};

#[test]
fn what_is_not_there_has_a_default() {
    all(&[
        ("small.checked_sub(50).unwrap_or(0)", "200"),
        ("small.checked_add(9).unwrap_or(7)", "7"),
        ("small.checked_add(9).unwrap_or(n as u8) + 1", "42"),
        ("small.checked_add(9).unwrap_or_default()", "0"),
        ("small.checked_div(0).unwrap_or(u8::MAX)", "255"),
        ("wide.checked_sub(9).unwrap_or(-1)", "-1"),
        ("v.iter().max().unwrap_or(&0)", "9"),
        ("empty.iter().max().unwrap_or(&7)", "7"),
        ("v.iter().copied().min().unwrap_or(0)", "1"),
        ("empty.iter().copied().min().unwrap_or_default()", "0"),
        ("empty.iter().min().unwrap_or(&v[0]) * 2", "6"),
        (
            "small.checked_add(1).unwrap_or(v[9] as u8)",
            "<index 9 out of bounds, len 4>",
        ),
        (
            "(small + 9).checked_add(1).unwrap_or(0)",
            "<arithmetic overflow>",
        ),
        ("none.unwrap_or_default()", "0"),
        ("some.unwrap_or_default() + 1", "6"),
        ("niche.unwrap_or_default()", "77"),
        ("ok.unwrap_or_default()", "9"),
        ("err.unwrap_or_default()", "0"),
        ("v.get(9).copied().unwrap_or_default()", "0"),
        ("v.get(1).copied().unwrap_or_default()", "1"),
    ]);
    let mut world = World::new();
    let (tag, bytes) = (world.types.base("u64"), world.vector(b"inner", 5));
    let fat = world.fat(b"inner", 5);
    let payloads = [
        ("u8", world.types.base("u8"), [5_u8].to_vec(), "5", "0"),
        (
            "bool",
            world.types.base("bool"),
            [1].to_vec(),
            "true",
            "false",
        ),
        (
            "char",
            world.types.base("char"),
            [b'x', 0, 0, 0].to_vec(),
            "'x'",
            "'\\0'",
        ),
        (
            "f64",
            world.types.base("f64"),
            2.5_f64.to_le_bytes().to_vec(),
            "2.5",
            "0.0",
        ),
        ("&str", world.types.text(), fat, "\"inner\"", "\"\""),
        (
            "alloc::string::String",
            world.types.string(),
            bytes,
            "\"inner\"",
            "\"\"",
        ),
    ];
    for (name, ty, bytes, there, default) in payloads {
        let option = world.types.enumeration(
            &format!("core::option::Option<{name}>"),
            8 + bytes.len() as u64,
            Some((0, tag)),
            &[
                ("None", &[(0, 0)], &[]),
                ("Some", &[(1, 1)], &[("__0", 8, ty)]),
            ],
        );
        for (variant, shown) in [(0, default), (1, there)] {
            let value = [&words(&[variant]), &*bytes].concat();
            world.variable("it", option, &value);
            assert_eq!(world.show("{it.unwrap_or_default()}"), shown, "{name}");
            world.scope.variables.clear();
        }
    }
}

#[test]
fn a_default_has_the_type_of_what_is_not_there() {
    let mut world = world();
    for (expression, error) in [
        (
            "small.checked_add(1).unwrap_or(n)",
            "`u8 unwrap_or u32` have different types; cast one with `as`",
        ),
        (
            "small.checked_add(1).unwrap_or(256)",
            "`256` does not fit `u8`",
        ),
        (
            "orders.first().unwrap_or_default()",
            "`unwrap_or_default` of `Order` is not supported: only of a number or text of the standard library",
        ),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert!(shown.contains(error), "{expression}: {shown}");
    }
}

#[test]
fn literals_have_up_to_128_bits() {
    let mut world = world();
    let id = world.types.base("u128");
    world.variable("id", id, &(u128::MAX - 1).to_le_bytes());
    for (expression, expected) in [
        ("id == 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe", "true"),
        ("id == 340282366920938463463374607431768211455u128", "false"),
        ("0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff - id", "1"),
        (
            "matches!(id, 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fff0..)",
            "true",
        ),
        (
            "wide - 1 == -170141183460469231731687303715884105728",
            "true",
        ),
        (
            "matches!(wide, -170141183460469231731687303715884105728..0)",
            "true",
        ),
        (
            "-0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe == wide",
            "<error: `340282366920938463463374607431768211454` does not fit `i128`>",
        ),
        (
            "n == 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe",
            "<error: `340282366920938463463374607431768211454` does not fit `u32`>",
        ),
        (
            "0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffeu64",
            "<error: `340282366920938463463374607431768211454` does not fit `u64`>",
        ),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert_eq!(shown, expected, "{expression}");
    }
    assert_eq!(
        world.decide("id == 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe"),
        Ok(true)
    );
}
