//! Expressions over values in memory and registers.

use super::world::World;
use super::{all, world};

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
        ("n & !1", "40"),
        ("n > !0 / 2", "false"),
        ("n & !0 / 2", "41"),
        ("small & (255 << 4 >> 4)", "10"),
        ("1 << 31", "-2147483648"),
        ("!0 as u8", "255"),
        ("(!0 >> 4) as u64", "18446744073709551615"),
        ("(0 - 1) as u64", "18446744073709551615"),
        ("(200 + 100) as u8", "44"),
        ("(300 - 100) as u8", "200"),
        ("-(1 + 2)", "-3"),
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
fn variants_without_values_are_never_met() {
    let mut world = World::new();
    let (word, flag, byte) = (
        world.types.base("u32"),
        world.types.base("bool"),
        world.types.base("u8"),
    );
    let nothing = world
        .types
        .enumeration("core::convert::Infallible", 0, None, &[]);
    let sure = world.types.enumeration(
        "core::result::Result<u32, core::convert::Infallible>",
        4,
        None,
        &[
            ("Ok", &[], &[("__0", 0, word)]),
            ("Err", &[], &[("__0", 0, nothing)]),
        ],
    );
    world.variable("sure", sure, &[5, 0, 0, 0]);
    // As the compiler describes them: `Never` has the number that would come before those of the others.
    let event = world.types.enumeration(
        "shop::Event",
        1,
        Some((0, byte)),
        &[
            ("Never", &[(0, 0)], &[("__0", 0, nothing)]),
            ("Flag", &[], &[("__0", 0, flag)]),
            ("Idle", &[(2, 2)], &[]),
        ],
    );
    world.variable("flag", event, &[0]);
    world.variable("idle", event, &[2]);
    for (expression, wanted) in [
        ("sure", "Ok(5)"),
        ("sure.is_ok()", "true"),
        ("sure.is_err()", "false"),
        ("sure == Ok(5)", "true"),
        ("matches!(sure, Err(_))", "false"),
        ("sure.ok()", "Some(5)"),
        ("sure.err()", "None"),
        ("sure.unwrap() + 1", "6"),
        ("sure.unwrap_err()", "<unwrap_err of Ok(..)>"),
        ("flag", "Flag(false)"),
        ("matches!(flag, Event::Flag(false))", "true"),
        ("matches!(flag, Event::Never(_))", "false"),
        ("matches!(idle, Event::Flag(_))", "false"),
        ("idle", "Idle"),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert_eq!(shown, wanted, "{expression}");
    }
    assert_eq!(world.decide("sure.is_ok() && sure == Ok(5)"), Ok(true));
    assert_eq!(world.decide("matches!(flag, Event::Never(_))"), Ok(false));
}

#[test]
fn text_with_parts_left_out_is_not_compared() {
    let mut world = world();
    for (expression, shown) in [
        ("format!(\"{:?}\", v).contains(\"3\")", "true"),
        ("format!(\"{:.1}\", s) == \"p\"", "true"),
    ] {
        assert_eq!(
            world.show(&format!("{{{expression}}}")),
            shown,
            "{expression}"
        );
    }
    world.limits.elements = 2;
    assert_eq!(
        world.show("{format!(\"{:?}\", v).contains(\"9\")}"),
        "<unavailable: a text to compare has parts that are not shown>"
    );
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
        ("some.unwrap_or(v[9])", "<index 9 out of bounds, len 4>"),
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
        ("n.wrapping_neg()", "4294967255"),
        ("n.checked_neg()", "None"),
        ("zero.checked_neg()", "Some(0)"),
        ("i.wrapping_neg()", "7"),
        ("i.checked_neg()", "Some(7)"),
        ("i.unsigned_abs()", "7"),
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
            let error = format!("<error: no method `{method}` of `");
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
