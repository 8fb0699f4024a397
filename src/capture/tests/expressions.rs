//! Expressions over values in memory and registers: shown, and as conditions.

use super::world::{World, words};
use crate::symbols::scope::Unclear;

fn world() -> World {
    World::of_many_types()
}

fn all(expected: &[(&str, &str)]) {
    let mut world = world();
    for (expression, text) in expected {
        assert_eq!(
            world.show(&format!("{{{expression}}}")),
            *text,
            "{expression}"
        );
    }
}

#[test]
fn arithmetic_is_rusts() {
    all(&[
        ("n + 1", "42"),
        ("1 + n * 2 - 3", "80"),
        ("(1 + n) * 2", "84"),
        ("n / 2 % 7", "6"),
        ("i / 2", "-3"),
        ("i % 2", "-1"),
        ("-i", "7"),
        ("!n", "4294967254"),
        ("!yes", "false"),
        ("n & 0xf | 64 ^ 1", "73"),
        ("n << 4 >> 2", "164"),
        ("i >> 1", "-4"),
        ("small + 5", "255"),
        ("small + 6", "<arithmetic overflow>"),
        ("zero - 1", "<arithmetic overflow>"),
        ("n / zero as u32", "<division by zero>"),
        ("n % 0", "<division by zero>"),
        ("-wide", &i128::MAX.to_string()),
        ("wide - 2", "<arithmetic overflow>"),
        ("f * 2.0", "5.5"),
        ("f % 1.0", "0.75"),
        ("f / 0.0", "inf"),
        ("g - 1.0", "-1.5"),
        ("register + 1", "1001"),
        ("1 + 2", "3"),
        ("u8::MAX", "255"),
        ("i64::MIN", "-9223372036854775808"),
        ("order.id + r.id", "24"),
        ("orders[0].id * 2", "24"),
        ("small as i8", "-6"),
        ("i as u8", "249"),
        ("i as u64", "18446744073709551609"),
        ("f as u8", "2"),
        ("nan as i32", "0"),
        ("300.7 as u8", "255"),
        ("letter as u32", "120"),
        ("65u8 as char", "'A'"),
        ("yes as u8", "1"),
        ("side as i32", "5"),
    ]);
}

#[test]
fn comparison_and_logic() {
    all(&[
        ("n == 41", "true"),
        ("n != 41", "false"),
        ("i < 0", "true"),
        ("f >= 2.75", "true"),
        ("nan == nan", "false"),
        ("letter == 'x'", "true"),
        ("yes && n > 50", "false"),
        ("yes || n / 0 == 1", "true"),
        ("!yes && n / 0 == 1", "false"),
        ("yes && n / 0 == 1", "<division by zero>"),
        ("s == \"päron\"", "true"),
        ("symbol == \"BTC\"", "false"),
        ("symbol < \"BTD\"", "true"),
        ("symbol != s", "true"),
        ("side == Side::Sell", "true"),
        ("side == other", "false"),
        ("orders::Side::Buy == side", "false"),
        ("some == Some(5)", "true"),
        ("some == None", "false"),
        ("none == None", "true"),
        ("event == Event::Idle", "false"),
        ("ok == Ok(9)", "true"),
        ("niche == Some(77)", "true"),
        ("yes == true", "true"),
        ("Foo { a: n, b: 2 }.a == 41", "true"),
    ]);
}

#[test]
fn patterns() {
    all(&[
        ("matches!(some, Some(_))", "true"),
        ("matches!(some, Some(1..=4))", "false"),
        ("matches!(some, Some(1 | 5))", "true"),
        ("matches!(none, None)", "true"),
        ("matches!(n, 1..=9 | 41)", "true"),
        ("matches!(i, ..0)", "true"),
        ("matches!(event, Event::Move { x: 8, .. })", "true"),
        ("matches!(event, Event::Move { x: 8, y: 7 })", "false"),
        ("matches!(event, Event::Pair(..))", "false"),
        ("matches!(event, Event::Move { .. } if n > 40)", "true"),
        ("matches!(side, Side::Buy | Side::Sell)", "true"),
        ("matches!(err, Err(-1))", "true"),
        ("matches!(symbol, \"BTC-USD\")", "true"),
        ("matches!(letter, 'a'..='z')", "true"),
        ("matches!(v.first(), Some(3))", "true"),
        ("matches!(small.checked_add(9), None)", "true"),
        ("matches!(order, Order { id: 12, .. })", "true"),
    ]);
}

#[test]
fn methods_are_reads() {
    all(&[
        ("v.len()", "4"),
        ("v.is_empty()", "false"),
        ("empty.is_empty()", "true"),
        ("v.capacity()", "4"),
        ("array.len()", "3"),
        ("s.len()", "6"),
        ("symbol.len() * 2", "14"),
        ("s.is_empty()", "false"),
        ("v.first()", "Some(3)"),
        ("v.last()", "Some(9)"),
        ("empty.first()", "None"),
        ("empty.last()", "None"),
        ("v.get(2)", "Some(2)"),
        ("v.get(at)", "Some(1)"),
        ("v.get(4)", "None"),
        ("v.get(4).unwrap()", "<index 4 out of bounds, len 4>"),
        ("v.get(9).unwrap_or(8)", "8"),
        ("v.first().unwrap() + 1", "4"),
        ("v.first().is_some()", "true"),
        ("orders.first().unwrap().name", "\"first\""),
        ("orders.first().unwrap().name.len()", "5"),
        ("array.get(1)", "Some(8)"),
        ("array.get(7).is_none()", "true"),
        ("array.last().unwrap()", "9"),
        ("some.is_some()", "true"),
        ("none.is_none()", "true"),
        ("some.unwrap()", "5"),
        ("none.unwrap()", "<unwrap of None>"),
        ("none.expect(\"x\")", "<unwrap of None>"),
        ("none.unwrap_or(9)", "9"),
        ("some.unwrap_or(9) + 1", "6"),
        ("niche.unwrap()", "77"),
        ("niche.as_ref().unwrap() + 1", "78"),
        ("**niche.as_ref().unwrap() + 1", "78"),
        ("*v.first().unwrap() + 1", "4"),
        ("ok.is_ok()", "true"),
        ("err.is_err()", "true"),
        ("err.unwrap()", "<unwrap of Err(..)>"),
        ("err.unwrap_err()", "-1"),
        ("ok.unwrap_err()", "<unwrap_err of Ok(..)>"),
        ("ok.ok()", "Some(9)"),
        ("ok.err()", "None"),
        ("n.clone()", "41"),
        ("symbol.as_str()", "\"BTC-USD\""),
        ("symbol.clone().len()", "7"),
        ("symbol.to_string()", "\"BTC-USD\""),
        ("n.to_string()", "\"41\""),
        ("i.abs()", "7"),
        ("n.min(7)", "7"),
        ("n.max(77)", "77"),
        ("n.pow(2)", "1681"),
        ("small.pow(2)", "<arithmetic overflow>"),
        ("f.sqrt()", &format!("{:?}", 2.75f64.sqrt())),
        ("f.floor()", "2.0"),
        ("f.ceil()", "3.0"),
        ("f.round()", "3.0"),
        ("g.abs()", "0.5"),
        ("nan.is_nan()", "true"),
        ("small.checked_add(1)", "Some(251)"),
        ("small.checked_add(9)", "None"),
        ("small.checked_add(9).is_none()", "true"),
        ("small.wrapping_add(9)", "3"),
        ("small.saturating_add(9)", "255"),
        ("zero.wrapping_sub(1)", "18446744073709551615"),
        ("symbol.starts_with(\"BTC\")", "true"),
        ("symbol.starts_with('B')", "true"),
        ("symbol.ends_with(\"EUR\")", "false"),
        ("symbol.contains(\"-U\")", "true"),
        ("v.iter().sum()", "15"),
        ("v.iter().product()", "54"),
        ("v.iter().count()", "4"),
        ("v.iter().min()", "Some(1)"),
        ("v.iter().max().unwrap()", "9"),
        ("empty.iter().max()", "None"),
        ("v.contains(&2)", "true"),
        ("v.contains(&4)", "false"),
        ("array.iter().sum()", "24"),
        ("v[1..3]", "[1, 2]"),
        ("v[1..]", "[1, 2, 9]"),
        ("v[..=1]", "[3, 1]"),
        ("v[..]", "[3, 1, 2, 9]"),
        ("v[at..v.len() - 1]", "[1, 2]"),
        ("v[2..9]", "<index 9 out of bounds, len 4>"),
        ("v[1..3].iter().sum()", "3"),
        ("array[1..]", "[8, 9]"),
        ("v[at + 1]", "2"),
        ("v[v.len() - 1]", "9"),
        ("v[n as usize]", "<index 41 out of bounds, len 4>"),
        ("v[i]", "<index -7 out of bounds, len 4>"),
        ("v[empty.len() - 1]", "<arithmetic overflow>"),
        (
            "format!(\"{}-{:?}/{n:>4}\", symbol, s)",
            "\"BTC-USD-\\\"päron\\\"/  41\"",
        ),
        ("$thread", "77"),
        ("$time", "2001-09-09T01:46:40.000000Z"),
    ]);
}

#[test]
fn formats() {
    all(&[
        ("n:x", "29"),
        ("n:#x", "0x29"),
        ("n:#010b", "0b00101001"),
        ("i:x", "fffffff9"),
        ("f:.1", "2.8"),
        ("f:e", "2.75e0"),
        ("n:>5", "   41"),
        ("symbol:>9", "  BTC-USD"),
        ("symbol:?", "\"BTC-USD\""),
        ("s:.2", "pä"),
        ("v:[2]", "[3, 1, .. 2 more]"),
        ("v:#?", "[\n    3,\n    1,\n    2,\n    9,\n]"),
        ("some:>9", "  Some(5)"),
        ("n + 1:x", "2a"),
        ("order.id:x", "c"),
        ("n:5?", "   41"),
        ("n:<5?", "41   "),
        ("n:05?", "00041"),
        ("f:.1?", "2.8"),
        ("f:7.1?", "    2.8"),
        ("yes:6?", "true  "),
        ("letter:6?", "'x'"),
        ("letter:6", "x     "),
        ("symbol:>12?", "\"BTC-USD\""),
        ("symbol:.2?", "\"BTC-USD\""),
        ("format!(\"{:>5?}\", n)", "\"   41\""),
        ("yes:>5", " true"),
    ]);
}

#[test]
fn what_looks_at_a_value_is_a_method_of_a_library() {
    let mut world = world();
    for method in [
        "as_str", "as_ref", "as_slice", "as_path", "as_deref", "deref", "iter", "to_vec", "copied",
        "into",
    ] {
        for of in ["order", "r", "event", "chain"] {
            let shown = world.show(&format!("{{{of}.{method}()}}"));
            let error = format!("<error: no method `{method}` can be read of `");
            assert!(shown.starts_with(&error), "{of}.{method}: {shown}");
        }
    }
    all(&[
        ("order.name.as_str()", "\"first\""),
        ("order.clone().id", "12"),
        ("r.clone().id", "12"),
        ("v.iter().as_slice().to_vec()", "[3, 1, 2, 9]"),
        ("array.as_slice()", "[7, 8, 9]"),
        ("some.as_ref().cloned()", "Some(5)"),
        ("n.into()", "41"),
    ]);
}

#[test]
fn what_a_lock_gives_is_a_result() {
    let mut world = World::new();
    let byte = world.types.base("u8");
    let word = world.types.base("u32");
    let wrap = |world: &mut World, ty, name: &str| {
        let size = world.types.get(ty).size;
        world.types.structure(name, size, &[("value", 0, ty)])
    };
    let atomic = |world: &mut World, ty, member| {
        let cell = wrap(world, ty, "core::cell::UnsafeCell<T>");
        let size = world.types.get(ty).size;
        let number =
            world
                .types
                .structure("core::sync::atomic::Atomic<T>", size, &[("v", 0, cell)]);
        world
            .types
            .structure("std::sys::Inner", size, &[(member, 0, number)])
    };
    let inner = atomic(&mut world, word, "futex");
    let poison = atomic(&mut world, byte, "failed");
    let guarded = world.types.enumeration(
        "core::result::Result<u32, u32>",
        8,
        Some((0, word)),
        &[
            ("Ok", &[(0, 0)], &[("__0", 4, word)]),
            ("Err", &[(1, 1)], &[("__0", 4, word)]),
        ],
    );
    let data = wrap(&mut world, guarded, "core::cell::UnsafeCell<T>");
    let mutex = world.types.structure(
        "std::sync::poison::mutex::Mutex<core::result::Result<u32, u32>>",
        16,
        &[
            ("inner", 0, inner),
            ("poison", 4, poison),
            ("data", 8, data),
        ],
    );
    for (name, held, poisoned) in [
        ("free", 0, 0),
        ("held", 1, 0),
        ("poisoned", 0, 1),
        ("both", 2, 1),
    ] {
        world.variable(
            name,
            mutex,
            &[held, 0, 0, 0, poisoned, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0],
        );
    }
    for (expression, expected) in [
        ("free.lock().unwrap().is_err()", "true"),
        ("held.lock().unwrap()", "Err(9) <locked>"),
        ("poisoned.lock().unwrap()", "Err(9) <poisoned>"),
        (
            "poisoned.lock().unwrap().is_err() && poisoned.lock().unwrap().is_err()",
            "true <poisoned>",
        ),
        (
            "both.lock().expect(\"x\").unwrap_err()",
            "9 <locked> <poisoned>",
        ),
        (
            "free.lock().is_ok()",
            "<error: `is_ok` of what a lock gives is not supported: it is a `Result`, of which the guarded value is all that can be had; write `.unwrap()` before>",
        ),
    ] {
        assert_eq!(
            world.show(&format!("{{{expression}}}")),
            expected,
            "{expression}"
        );
    }
    for expression in [
        "free.lock().clone()",
        "matches!(free.lock(), Err(_))",
        "free.lock() == Err(9)",
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert!(
            shown.contains("of what a lock gives is not supported"),
            "{expression}: {shown}"
        );
    }
}

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
    for (name, ty, value, depth) in [
        ("point__x", word, 1_u64, 0),
        ("self__at__x", word, 2, 0),
        ("self__legs", point, 3 | 4 << 32, 0),
        ("accumulator", word, 5, 1),
        ("self", point, 6 | 7 << 32, 2),
        ("point", point, 8 | 9 << 32, 2),
        ("other__x", word, 10, 2),
        ("total", word, 11, 2),
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
fn a_fault_within_what_is_checked_is_a_fault() {
    for (expression, expected) in [
        ("(small + 9).checked_add(1)", "arithmetic overflow"),
        ("(small / (small - 250)).checked_add(1)", "division by zero"),
        (
            "small.checked_add(9).unwrap().checked_sub(9)",
            "arithmetic overflow",
        ),
        ("none.unwrap().checked_add(1)", "unwrap of None"),
        ("(i32::MIN + i).checked_abs()", "arithmetic overflow"),
        (
            "none.unwrap_or(v[9]).checked_add(1)",
            "index 9 out of bounds, len 4",
        ),
    ] {
        let mut world = world();
        assert_eq!(
            world.show(&format!("{{{expression}}}")),
            format!("<{expected}>")
        );
        for condition in [
            format!("{expression}.is_none()"),
            format!("matches!({expression}, None)"),
        ] {
            let told = world.decide(&condition).unwrap_err();
            assert!(
                told.ends_with(&format!("<{expected}>")),
                "{condition}: {told}"
            );
        }
    }
    all(&[
        ("(small - 50).checked_add(60)", "None"),
        ("small.checked_div(small - 250)", "None"),
        ("empty.iter().max().is_none()", "true"),
    ]);
    assert_eq!(
        world().decide("(small - 50).checked_add(60).is_none()"),
        Ok(true)
    );
}

#[test]
fn a_guard_knows_what_its_pattern_binds() {
    all(&[
        ("matches!(some, Some(n) if n == 5)", "true"),
        ("matches!(some, Some(n) if *n > 5)", "false"),
        ("matches!(none, Some(n) if n == 5)", "false"),
        ("matches!(ok, Ok(n) if n == 9 && i == -7)", "true"),
        ("matches!(v.get(1), Some(n) if n == 1)", "true"),
        ("matches!(v.get(9), Some(n) if n == 1)", "false"),
        ("matches!(small.checked_add(1), Some(n) if n > 250)", "true"),
        (
            "matches!(small.checked_add(9), Some(n) if n > 250)",
            "false",
        ),
        (
            "matches!(event, Event::Move { x: n, y } if n == 8 && y == 6)",
            "true",
        ),
        (
            "matches!(order, Order { name, .. } if name == \"first\")",
            "true",
        ),
        (
            "matches!(some, Some(at) if v[at] == 1)",
            "<index 5 out of bounds, len 4>",
        ),
        (
            "matches!(some, Some(n) if matches!(none, Some(n) if n == 5) || n == 5)",
            "true",
        ),
        ("matches!(side, it if it == Side::Sell)", "true"),
        ("matches!(some, Some(n) if n == 5) && n == 41", "true"),
    ]);
    let mut world = world();
    assert_eq!(world.decide("matches!(some, Some(n) if n == 5)"), Ok(true));
    assert_eq!(world.decide("matches!(none, Some(n) if n == 5)"), Ok(false));
    let shown =
        world.show("{matches!(event, Event::Move { x: n, .. } | Event::Pair(_, n) if n > 1)}");
    assert!(
        shown.starts_with("<error: `n` of a pattern here is not supported: `|` may bind it to"),
        "{shown}"
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
            "`u32 + u64`: both sides must have one type; cast one with `as`",
        ),
        (
            "n + 1.0",
            "`u32 + f64`: both sides must have one type; cast one with `as`",
        ),
        ("n == \"x\"", "`==` of `String` is not possible here"),
        ("small + 256", "`256` does not fit `u8`"),
        ("zero == -1", "`-1` does not fit `u64`"),
        ("order + 1", "`+` of `Order` is not possible here"),
        ("-n", "`-` of `u32` is not possible here"),
        ("yes + yes", "`+` of `bool` is not possible here"),
        ("order as u8", "`Order` cannot be cast to `u8`"),
        ("n as bool", "`u32` cannot be cast to `bool`"),
        (
            "n && yes",
            "a condition has to be `bool`, and this is `u32`",
        ),
        ("order.total()", "no method `total` can be read of `Order`"),
        (
            "v.push(1)",
            "no method `push` can be read of `alloc::vec::Vec<u16",
        ),
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

/// Each expression that is a `bool` decides at the hit what it shows afterwards.
#[test]
fn conditions_decide_as_they_are_shown() {
    let mut world = world();
    for condition in [
        "n == 41",
        "n + 1 > 42",
        "i < 0 && f > 2.5",
        "i > 0 || symbol == \"BTC-USD\"",
        "i > 0 && n / 0 == 1",
        "yes || n / 0 == 1",
        "wide < -5",
        "wide == 4",
        "-wide > 0",
        "s == \"päron\"",
        "s == \"päro\"",
        "symbol != s",
        "symbol == s",
        "symbol < \"BTD\"",
        "symbol < \"BTC\"",
        "symbol.starts_with(\"BTC\")",
        "symbol.ends_with(\"USD\")",
        "symbol.ends_with(\"EUR\")",
        "symbol.contains(\"-U\")",
        "symbol.contains(\"-E\")",
        "symbol.contains(\"\")",
        "s.is_empty()",
        "side == Side::Sell",
        "side == other",
        "some == Some(5)",
        "some == Some(4)",
        "none == None",
        "none.is_some() && none.unwrap() > 1",
        "none.unwrap_or(7) == 7",
        "some.unwrap_or(7) == 7",
        "matches!(event, Event::Move { x: 8, .. })",
        "matches!(event, Event::Pair(..))",
        "matches!(niche, Some(1..=80))",
        "v.len() > 3",
        "v.first() == Some(3)",
        "v.get(9).is_some()",
        "v.get(at).unwrap_or(0) == 1",
        "v[at] + v[at + 1] == 3",
        "empty.last().is_none()",
        "orders[0].name == \"first\"",
        "orders[0].id as f64 * 1.5 > 17.0",
        "r.id == order.id",
        "register == 1000",
        "f as u8 == 2",
        "!(n >= 41) == !yes",
        "niche.unwrap() == 77",
        "letter >= 'a' && letter <= 'z'",
        "small.wrapping_add(9) == 3",
        "$thread == 77",
        "symbol.len() == 7",
    ] {
        let shown = world.show(&format!("{{{condition}}}"));
        let decided = world.decide(condition);
        assert_eq!(decided.map(|it| it.to_string()), Ok(shown), "{condition}");
    }
}

#[test]
fn a_condition_that_cannot_be_decided_says_why() {
    let mut world = world();
    for (condition, why) in [
        ("n / 0 == 1", "<division by zero>"),
        ("small + 9 == 1", "<arithmetic overflow>"),
        ("none.unwrap() == 1", "<unwrap of None>"),
        ("v[7] == 1", "<index 7 out of bounds, len 4>"),
    ] {
        assert_eq!(
            world.decide(condition),
            Err(format!(
                "detrix: the condition `{condition}` could not be decided: {why}"
            ))
        );
    }
    for (condition, why) in [
        (
            "gone == 1",
            "the condition `gone == 1` cannot be decided: what it needs is optimized out",
        ),
        ("n", "a condition has to be `bool`, and this is `u32`"),
        (
            "format!(\"{n}\") == \"41\"",
            "text that is put together in a condition or an index is not supported",
        ),
        ("nn == 1", "no variable `nn` is visible here"),
        ("n ==", "`n ==` is not a Rust expression"),
    ] {
        let error = world.decide(condition).unwrap_err();
        assert!(error.starts_with(why), "{condition}: {error}");
    }
}

/// What is done with an expression recurses as deep as it is.
#[test]
fn deep_expressions_fit_a_thread_of_two_megabytes() {
    let deep = [
        ("n+", "n", ""),
        ("n as u8 as ", "u8", ""),
        ("!", "yes", ""),
        ("-", "i", ""),
        ("(", "n", ")"),
        ("yes&&", "yes", ""),
        ("yes||", "yes", ""),
        ("format!(\"{}\",", "n", ")"),
        ("matches!(", "n", ",_)"),
        ("v[", "1", " as usize]"),
        ("v[v[", "1", "]as usize]as usize"),
        ("", "n", ".clone()"),
        ("", "n", ".min(1)"),
    ];
    let compile = move || {
        let mut world = world();
        for (open, middle, close) in deep {
            for count in 1..48 {
                let expression = format!("{}{middle}{}", open.repeat(count), close.repeat(count));
                if expression.len() < crate::capture::template::MAX_EXPRESSION {
                    world.show(&format!("{{{expression}}}"));
                    let _ = world.decide(&expression);
                }
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(compile)
        .unwrap()
        .join()
        .unwrap();
}
