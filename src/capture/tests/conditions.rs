//! Expressions as conditions: they decide at the hit what they show afterwards.

use super::world;

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
        "none.unwrap_or_default() == 0",
        "err.unwrap_or_default() == 0",
        "small.checked_add(9).unwrap_or(7) == 7",
        "small.checked_sub(50).unwrap_or(7) == 200",
        "small.checked_div(0).unwrap_or_default() < 1",
        "i.checked_sub(1).unwrap_or(0) == -8",
        "v.iter().max().unwrap_or(&0) == 9",
        "empty.iter().max().unwrap_or(&7) == 7",
        "v[empty.iter().min().unwrap_or(&1)] == 1",
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
        "small.wrapping_neg() == 6",
        "small.checked_neg().is_none()",
        "zero.checked_neg() == Some(0)",
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
        ("v[", "1", "..].last().unwrap()"),
        ("", "n", ".clone()"),
        ("", "n", ".min(1)"),
        ("matches!(n+1+1+1+1+1+1+1+1,n if ", "n>0", ")"),
        (
            "matches!(n+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1,n if ",
            "n>0",
            ")",
        ),
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

/// A name that a pattern binds stands for all that it is bound to, each time that it is mentioned.
#[test]
fn copies_of_what_is_bound_have_an_end() {
    let mut world = world();
    for (first, open, levels) in [
        ("matches!(n,b if ", "matches!(b+b+b,b if ", 18),
        ("matches!(1,b if ", "matches!(b+b+b,b if ", 18),
        ("matches!(1u8,b if ", "matches!(b+b+b,b if ", 18),
        (
            "matches!(small,b if ",
            "matches!(b.checked_add(b),Some(b) if ",
            12,
        ),
        ("matches!(v[0],b if ", "matches!(v[b+b+b],b if ", 12),
        (
            "matches!(v[0],b if ",
            "matches!(v[v[..b+b+b+b+b+b+b+b+b+b+b+b+b+b+b+b+b].len()],b if ",
            7,
        ),
    ] {
        let nested = |levels: usize| {
            let close = ")".repeat(levels + 1);
            format!("{first}{}true{close}", open.repeat(levels))
        };
        let source = nested(levels);
        assert!(source.len() <= crate::capture::template::MAX_EXPRESSION);
        assert_eq!(
            world.decide(&source),
            Err("the expression is too complex".into()),
            "{source}"
        );
        let shown = world.show(&format!("{{{source}}}"));
        assert_eq!(shown, "<error: the expression is too complex>", "{source}");
        let shown = world.show(&format!("{{{}}}", nested(1)));
        assert!(matches!(&*shown, "true" | "false"), "{shown}");
    }
    let sum = vec!["b"; 40].join("+");
    assert_eq!(
        world.show(&format!("{{matches!(n, b if {sum} == 40 * n)}}")),
        "true"
    );
}
