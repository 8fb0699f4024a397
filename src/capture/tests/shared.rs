//! Text and elements behind owners, and parts of sequences.

use super::world::{STACK, World, words};
use super::{all, world};

/// As a message, and where it is `true` or `false` as a condition too.
fn shows_and_decides(world: &mut World, expression: &str, expected: &str) {
    assert_eq!(
        world.show(&format!("{{{expression}}}")),
        expected,
        "{expression}"
    );
    if let "true" | "false" = expected {
        let decided = world.decide(expression).map(|it| it.to_string());
        assert_eq!(decided.as_deref(), Ok(expected), "{expression}");
    }
}

/// Text and numbers whose owners count who shares them.
fn shared() -> World {
    let mut world = World::new();
    let (byte, word) = (world.types.base("u8"), world.types.base("u64"));
    for (owner, text, numbers) in [
        ("alloc::sync::Arc", "arc", "arcs"),
        ("alloc::rc::Rc", "rc", "rcs"),
    ] {
        let ty = world.types.shared(owner, "str", byte);
        let bytes = world.counted(b"BTC", 3);
        world.variable(text, ty, &bytes);
        let ty = world.types.shared(owner, "[u64]", word);
        let bytes = world.counted(&words(&[7, 9, 8]), 3);
        world.variable(numbers, ty, &bytes);
    }
    let boxed = world
        .types
        .fat("alloc::boxed::Box<str, alloc::alloc::Global>", byte);
    let bytes = world.fat(b"BTC", 3);
    world.variable("boxed", boxed, &bytes);
    let reference = world.types.reference(world.scope.variables[0].ty);
    world.variable("to_arc", reference, &words(&[STACK]));
    let ty = world.types.shared("alloc::sync::Arc", "str", byte);
    world.variable("wild", ty, &words(&[16, 3]));
    world.variable("huge", ty, &words(&[STACK, u64::MAX]));
    world
}

#[test]
fn shared_text_is_text() {
    let mut world = shared();
    for name in ["arc", "rc", "boxed", "to_arc"] {
        for (expression, expected) in [
            ("x == \"BTC\"", "true"),
            ("x != \"BTC\"", "false"),
            ("x == arc", "true"),
            ("x < \"BTD\"", "true"),
            ("x.len()", "3"),
            ("x.is_empty()", "false"),
            ("x.starts_with(\"B\")", "true"),
            ("x.starts_with('T')", "false"),
            ("x.ends_with(\"TC\")", "true"),
            ("x.contains(\"T\")", "true"),
            ("matches!(x, \"BTC\" | \"ETH\")", "true"),
            ("format!(\"{}-{x}\", x)", "\"BTC-BTC\""),
            ("x:>5", "  BTC"),
            ("x:.2", "BT"),
            ("*x", "\"BTC\""),
            ("x.as_bytes()[1]", "84"),
        ] {
            shows_and_decides(&mut world, &expression.replace('x', name), expected);
        }
    }
    for (expression, expected) in [
        ("wild.len()", "3"),
        ("wild == \"BTC\"", "<unreadable 0x20>"),
        ("huge == \"BTC\"", "<invalid length 18446744073709551615>"),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert_eq!(shown, expected, "{expression}");
    }
}

#[test]
fn text_that_is_borrowed_or_owned_is_text() {
    let mut world = World::new();
    let (tag, text, string) = (
        world.types.base("u64"),
        world.types.text(),
        world.types.string(),
    );
    let cow = world.types.enumeration(
        "alloc::borrow::Cow<str>",
        24,
        Some((0, tag)),
        &[
            ("Borrowed", &[(1 << 63, 1 << 63)], &[("__0", 8, text)]),
            ("Owned", &[], &[("__0", 0, string)]),
        ],
    );
    let bytes = [words(&[1 << 63]), world.fat(b"BTC", 3)].concat();
    world.variable("borrowed", cow, &bytes);
    let bytes = world.vector(b"BTC", 3);
    world.variable("owned", cow, &bytes);
    world.variable("wild", cow, &words(&[8, 16, 3]));
    for name in ["borrowed", "owned"] {
        for (expression, expected) in [
            ("x == \"BTC\"", "true"),
            ("x != \"BTC\"", "false"),
            ("x == owned", "true"),
            ("borrowed < x", "false"),
            ("x.len() == 3", "true"),
            ("x.is_empty()", "false"),
            ("x.starts_with(\"B\")", "true"),
            ("x.contains(\"X\")", "false"),
            ("matches!(x, \"BTC\")", "true"),
            ("format!(\"{}\", x)", "\"BTC\""),
            ("x.len()", "3"),
            ("x:>5", "  BTC"),
            ("x", "\"BTC\""),
        ] {
            shows_and_decides(&mut world, &expression.replace('x', name), expected);
        }
    }
    assert_eq!(world.show("{wild == \"BTC\"}"), "<unreadable 0x10>");
    assert!(
        world
            .decide("wild == \"BTC\"")
            .is_err_and(|why| why.ends_with("<unreadable 0x10>"))
    );
}

#[test]
fn shared_elements_are_a_sequence() {
    let mut world = shared();
    for name in ["arcs", "rcs"] {
        for (expression, expected) in [
            ("x.len() == 3", "true"),
            ("x.is_empty()", "false"),
            ("x[0] == 7", "true"),
            ("x[3]", "<index 3 out of bounds, len 3>"),
            ("x.iter().sum::<u64>() == 24", "true"),
            ("x.iter().max()", "Some(9)"),
            ("x.first()", "Some(7)"),
            ("x.last().unwrap() == 8", "true"),
            ("x.get(3)", "None"),
            ("x.contains(&9)", "true"),
            ("x.contains(&1)", "false"),
            ("x[1..]", "[9, 8]"),
            ("x[..2].iter().sum::<u64>() == 16", "true"),
            ("*x", "[7, 9, 8]"),
        ] {
            let expression = expression.replace("x.", &format!("{name}."));
            let expression = expression.replace("x[", &format!("{name}["));
            let expression = expression.replace("*x", &format!("*{name}"));
            let shown = world.show(&format!("{{{expression}}}"));
            assert_eq!(shown, expected, "{expression}");
            if let "true" | "false" = expected {
                let decided = world.decide(&expression).map(|it| it.to_string());
                assert_eq!(decided.as_deref(), Ok(expected), "{expression}");
            }
        }
    }
}

#[test]
fn ranges_that_are_none_are_told_as_they_are_written() {
    all(&[
        ("v[3..1]", "<slice index starts at 3 but ends at 1>"),
        ("v[3..=1]", "<slice index starts at 3 but ends at 2>"),
        ("v[2..=1]", "[]"),
        ("v[4..]", "[]"),
        ("v[5..]", "<index 5 out of bounds, len 4>"),
        ("v[9..2]", "<index 9 out of bounds, len 4>"),
        ("v[..9]", "<index 9 out of bounds, len 4>"),
        ("v[..=3]", "[3, 1, 2, 9]"),
        ("v[..=4]", "<index 5 out of bounds, len 4>"),
        ("v[i..]", "<index -7 out of bounds, len 4>"),
        ("v[..i]", "<index -7 out of bounds, len 4>"),
        ("v[i + 6..]", "<index -1 out of bounds, len 4>"),
        ("v[..=i + 6]", "<index -1 out of bounds, len 4>"),
        ("v[..=i + 7]", "[3]"),
        ("v[-1..]", "<index -1 out of bounds, len 4>"),
        ("v[..=-1]", "<index -1 out of bounds, len 4>"),
        ("v[i as i64..i as i64]", "<index -7 out of bounds, len 4>"),
        ("array[2..1]", "<slice index starts at 2 but ends at 1>"),
        (
            "some.unwrap_or(v[3..1].iter().sum())",
            "<slice index starts at 3 but ends at 1>",
        ),
    ]);
    assert_eq!(
        world().decide("v[3..1].contains(&1)"),
        Err("detrix: the condition `v[3..1].contains(&1)` could not be decided: <slice index starts at 3 but ends at 1>".into())
    );
}

#[test]
fn parts_are_asked_as_wholes_are() {
    all(&[
        ("v[1..3].len()", "2"),
        ("v[1..].len() + 1", "4"),
        ("v[..=2].iter().count()", "3"),
        ("v[1..at].is_empty()", "true"),
        ("v[4..].is_empty()", "true"),
        ("v[2..9].len()", "<index 9 out of bounds, len 4>"),
        (
            "v[3..1].is_empty()",
            "<slice index starts at 3 but ends at 1>",
        ),
        ("v[i..].len()", "<index -7 out of bounds, len 4>"),
        ("v[1..3].first()", "Some(1)"),
        ("v[1..3].last()", "Some(2)"),
        ("v[..2].last().unwrap()", "1"),
        ("v[2..2].first()", "None"),
        ("v[2..2].last()", "None"),
        ("v[2..2].last().is_none()", "true"),
        ("v[5..].first()", "<index 5 out of bounds, len 4>"),
        ("v[5..].first().is_some()", "<index 5 out of bounds, len 4>"),
        ("v[1..3].get(1)", "Some(2)"),
        ("v[1..3].get(2)", "None"),
        ("v[1..3].get(2).unwrap_or(7)", "7"),
        ("v[1..3][1]", "2"),
        ("v[1..3][2]", "<index 2 out of bounds, len 2>"),
        ("v[1..3][i]", "<index -7 out of bounds, len 2>"),
        ("v[v[1..3].len()]", "2"),
        ("v[1..][v[1..3][0]]", "2"),
        ("orders[..1][0].name.len()", "5"),
        ("orders[1..].first().is_none()", "true"),
        ("array[1..][1]", "9"),
        ("array[1..][2]", "<index 2 out of bounds, len 2>"),
        ("array[1..].len()", "2"),
        ("array[1..].get(2)", "None"),
        ("sizes[1..].first()", "Some(5)"),
        ("s.as_bytes()[..2]", "[112, 195]"),
        ("s.as_bytes()[1..][0]", "195"),
        ("s.as_bytes()[..2].len()", "2"),
        ("symbol.as_bytes()[9..]", "<index 9 out of bounds, len 7>"),
    ]);
    let mut world = world();
    for (condition, expected) in [
        ("v[1..].len() == 3", Ok(true)),
        ("v[4..].is_empty()", Ok(true)),
        ("v[2..].last() == Some(9)", Ok(true)),
        ("v[2..2].last().is_none()", Ok(true)),
        ("v[1..3].get(at + 1).is_some()", Ok(false)),
        ("v[1..3][at] == 2", Ok(true)),
        ("v[v[1..3].len()] == 2", Ok(true)),
        ("v[2..9].len() == 7", Err("<index 9 out of bounds, len 4>")),
        ("v[1..3][2] == 9", Err("<index 2 out of bounds, len 2>")),
    ] {
        let expected = expected.map_err(|why| {
            format!("detrix: the condition `{condition}` could not be decided: {why}")
        });
        assert_eq!(world.decide(condition), expected, "{condition}");
    }
    world.limits.elements = 1;
    assert_eq!(world.show("{v[1..].len()}"), "3");
    let mut world = shared();
    assert_eq!(world.show("{arcs[1..].last()}"), "Some(8)");
    assert_eq!(world.show("{arc.as_bytes()[1..]}"), "[84, 67]");
}

#[test]
fn parts_that_are_not_taken_are_told_with_what_is() {
    let text = "a part of a text is not supported: write `{text:.3}` for its first characters, `text.as_bytes()[..3]` for bytes of one that is no `Cow`";
    let mut world = shared();
    assert_eq!(world.show("{arc[1..]}"), format!("<error: {text}>"));
    let mut world = super::world();
    for (expression, error) in [
        ("symbol[..3]", text),
        ("&s[2..]", text),
        ("order.name[1..2].len()", text),
        ("format!(\"{n}\")[1..]", text),
        (
            "v[1..][..2]",
            "a part of a part is not supported: write both as one range",
        ),
        ("n[1..]", "`u32` cannot be indexed"),
    ] {
        let shown = world.show(&format!("{{{expression}}}"));
        assert_eq!(shown, format!("<error: {error}>"), "{expression}");
    }
}
