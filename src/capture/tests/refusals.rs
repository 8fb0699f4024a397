//! Expressions that have no value: what is wrong with them, and what is gone.

use super::world::{World, words};
use super::{all, world};
use crate::symbols::scope::Unclear;

#[test]
fn a_closure_has_parts_of_what_is_around_it() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let point = world
        .types
        .structure("Point", 8, &[("x", 0, word), ("y", 4, word)]);
    let here = "orders::Book::sum::{closure#0}<u8>";
    let outer = "orders::Book::run";
    world.scope.functions = [here, "core::iter::Iterator::map", outer]
        .map(str::to_owned)
        .into();
    let declared = [&["rate"][..], &[], &["rate", "total"]];
    world.scope.declared = declared
        .map(|names| names.iter().map(|&name| name.into()).collect())
        .into();
    for (name, ty, value, depth) in [
        ("point__x", word, 1_u64, 0),
        ("self__at__x", word, 2, 0),
        ("self__legs", point, 3 | 4 << 32, 0),
        ("accumulator", word, 5, 1),
        ("self", point, 6 | 7 << 32, 2),
        ("point", point, 8 | 9 << 32, 2),
        ("other__x", word, 10, 2),
        ("total", word, 11, 2),
        ("rate", word, 12, 2),
    ] {
        world.variable(name, ty, &words(&[value]));
        world.scope.variables.last_mut().unwrap().depth = depth;
    }
    let parts = "the closure has captured only parts of";
    for (expression, expected) in [
        ("point.x", "1".into()),
        ("point.x + 1", "2".into()),
        ("self.at.x", "2".into()),
        ("self.legs.y", "4".into()),
        ("total", "11".into()),
        (
            "self",
            format!("<error: {parts} `self`: `self.at.x`, `self.legs`>"),
        ),
        (
            "self.x",
            format!("<error: {parts} `self`: `self.at.x`, `self.legs`>"),
        ),
        ("point.y", format!("<error: {parts} `point`: `point.x`>")),
        (
            "accumulator",
            "<error: no variable `accumulator` is visible here".into(),
        ),
        // Before its own `let`.
        ("rate", "<error: no variable `rate` is visible here".into()),
        (
            "other.x",
            "<error: no variable `other` is visible here".into(),
        ),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert!(shown.starts_with(&expected), "{expression}: {shown}");
    }
    world.scope.depth = 2;
    assert_eq!(world.show("{point.x} {self.y}"), "8 7");
}

#[test]
fn a_static_that_may_be_meant_is_not_shown() {
    let mut world = world();
    world.scope.unclear.push(Unclear {
        name: "LIMIT".into(),
        why: "write `crate::LIMIT`".into(),
    });
    assert_eq!(
        world.show("{LIMIT}"),
        "<error: which static `LIMIT` is cannot be told: write `crate::LIMIT`>"
    );
}

#[test]
fn what_is_wrong_is_told() {
    let mut world = world();
    for (expression, error) in [
        (
            "nn + 1",
            "no variable `nn` is visible here; did you mean `n`",
        ),
        (
            "n + zero",
            "`u32 + u64` have different types; cast one with `as`",
        ),
        (
            "n + 1.0",
            "`u32 + f64` have different types; cast one with `as`",
        ),
        ("n == \"x\"", "`==` is not built in for `String`"),
        ("small + 256", "`256` does not fit `u8`"),
        ("zero == -1", "`-1` does not fit `u64`"),
        ("order + 1", "`+` is not built in for `Order`"),
        ("-n", "`-` is not built in for `u32`"),
        ("n.abs()", "`abs` is not built in for `u32`"),
        (
            "n.wrapping_abs()",
            "`wrapping_abs` is not built in for `u32`",
        ),
        ("n.checked_abs()", "`checked_abs` is not built in for `u32`"),
        (
            "n.unsigned_abs()",
            "`unsigned_abs` is not built in for `u32`",
        ),
        ("f.checked_neg()", "`checked_neg` is not built in for `f64`"),
        ("yes + yes", "`+` is not built in for `bool`"),
        ("order as u8", "`Order` cannot be cast to `u8`"),
        ("n as bool", "`u32` cannot be cast to `bool`"),
        (
            "n && yes",
            "a condition has to be `bool`, and this is `u32`",
        ),
        ("order.total()", "no method `total` of `Order` is supported"),
        ("v.push(1)", "no method `push` of `alloc::vec::Vec<u16"),
        (
            "frobnicate(n)",
            "the function call `frobnicate(..)` is not supported",
        ),
        ("side == Side::Hold", "no variant `Hold` in `orders::Side`"),
        ("side == Kind::Buy", "`orders::Side == Kind::Buy`"),
        (
            "matches!(event, Event::Mov { .. })",
            "no variant `Mov` in `orders::Event`; did you mean `Move`?",
        ),
        ("n:q", "the format `q` is not possible"),
        (
            "order:x",
            "the format `x` is not possible: `Order` has none such",
        ),
        (
            "n:.3",
            "the format `.3` is not possible: `u32` has none such",
        ),
        (
            "v:5?",
            "the format `5?` is not possible: with `?`, a width or precision is one of each part of `alloc::vec::Vec<u16",
        ),
        (
            "some:.1?",
            "the format `.1?` is not possible: with `?`, a width or precision",
        ),
        (
            "format!(\"{:5?}\", order)",
            "the format `5?` is not possible: with `?`, a width or precision",
        ),
        (
            "format!(\"{}\", order)",
            "`{}` of `Order` is not supported: its `Display` is code of the program",
        ),
        (
            "v[f]",
            "`f64` is not an integer of at most 64 bits, so it cannot be an index",
        ),
        ("array[3]", "index 3 is out of bounds"),
        (
            "Side::X",
            "the path `Side::X` is not supported: there is no such static",
        ),
        (
            "matches!(n, LIMIT)",
            "`LIMIT` in a pattern is not supported: a constant leaves nothing in the program",
        ),
        (
            "matches!(some, Some(_LIMIT_2))",
            "`_LIMIT_2` in a pattern is not supported: a constant leaves nothing",
        ),
        (
            "matches!(symbol, SYMBOL)",
            "`SYMBOL` in a pattern is not supported: a constant leaves nothing",
        ),
        (
            "matches!(side, LIMIT)",
            "no variant `LIMIT` in `orders::Side`",
        ),
        (
            "matches!(v.get(1), Some(LIMIT))",
            "`LIMIT` in a pattern is not supported: a constant leaves nothing",
        ),
        (
            "matches!(some, Some(1, 2))",
            "the pattern for `core::option::Option<u16>` takes 1, not 2",
        ),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert!(
            shown.starts_with(&format!("<error: {error}")),
            "{expression}: {shown}"
        );
    }
}

#[test]
fn what_is_gone_is_said_to_be() {
    all(&[
        ("gone + 1", "<optimized out>"),
        ("yes || gone > 1", "true"),
        ("!yes || gone > 1", "<optimized out>"),
        ("order.id + gone", "<optimized out>"),
    ]);
    let compiled = world().compile("{n + 1} {n + gone}");
    let unavailable: Vec<usize> = compiled.unavailable().map(|(index, _)| index).collect();
    assert_eq!(unavailable, [1]);
}
