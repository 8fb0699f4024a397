use super::parse::MAX_NESTING;
use super::*;
use crate::capture::template::MAX_EXPRESSION;

fn name(name: &str) -> Box<Expr> {
    Box::new(Expr::Name(name.into()))
}

fn integer(value: i128) -> Expr {
    Expr::Literal(Literal::Integer(value, None))
}

#[test]
fn places() {
    let field = |base, name: &str| Expr::Field(base, name.into());
    for (source, expected) in [
        ("a", *name("a")),
        ("(self)", *name("self")),
        ("r#type", *name("type")),
        ("a.b", field(name("a"), "b")),
        ("a.0.1", field(Box::new(field(name("a"), "0")), "1")),
        ("*a.b", Expr::Deref(Box::new(field(name("a"), "b")))),
        ("&mut a", Expr::Reference(name("a"))),
        ("a[i]", Expr::Index(name("a"), name("i"))),
        ("a[-1]", Expr::Index(name("a"), Box::new(integer(-1)))),
        (
            "1_000u64",
            Expr::Literal(Literal::Integer(1000, Some(Kind::unsigned(64)))),
        ),
        ("0x10", integer(16)),
        (
            "0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe",
            Expr::Literal(Literal::Large(u128::MAX - 1, None)),
        ),
        (
            "-170141183460469231731687303715884105728",
            integer(i128::MIN),
        ),
        ("-2.5", Expr::Literal(Literal::Float("-2.5".into(), None))),
        (
            "1f32",
            Expr::Literal(Literal::Float("1".into(), Some(Kind::F32))),
        ),
        ("'x'", Expr::Literal(Literal::Char('x'))),
        (
            "b'x'",
            Expr::Literal(Literal::Integer(120, Some(Kind::unsigned(8)))),
        ),
        ("\"x\"", Expr::Literal(Literal::Text("x".into()))),
        ("$hits", Expr::Special(Special::Hits)),
        ("a::B", Expr::Path(vec!["a".into(), "B".into()])),
    ] {
        assert_eq!(Expr::parse(source), Ok(expected), "{source}");
    }
}

#[test]
fn operators_bind_as_in_rust() {
    let binary = |op, left, right| Box::new(Expr::Binary(op, left, right));
    for (source, expected) in [
        (
            "a + b * c",
            *binary(
                Binary::Add,
                name("a"),
                binary(Binary::Mul, name("b"), name("c")),
            ),
        ),
        (
            "a as u8 == b && !c",
            Expr::And(
                binary(
                    Binary::Eq,
                    Box::new(Expr::Cast(name("a"), Kind::unsigned(8))),
                    name("b"),
                ),
                Box::new(Expr::Unary(Unary::Not, name("c"))),
            ),
        ),
        (
            "v[1..=b].len()",
            Expr::Method(
                Box::new(Expr::Slice(
                    name("v"),
                    Bounds {
                        start: Some(Box::new(integer(1))),
                        end: Some(name("b")),
                        inclusive: true,
                    },
                )),
                "len".into(),
                Vec::new(),
            ),
        ),
        (
            "Foo { a: 1 }.a",
            Expr::Field(
                Box::new(Expr::Struct(vec![("a".into(), integer(1))])),
                "a".into(),
            ),
        ),
    ] {
        assert_eq!(Expr::parse(source), Ok(expected), "{source}");
    }
}

#[test]
fn macros_that_only_read() {
    let some = |inner| {
        Pattern::Tuple(
            vec!["Some".into()],
            TuplePattern {
                first: vec![inner],
                last: None,
            },
        )
    };
    assert_eq!(
        Expr::parse("matches!(x, Some(_) | None)"),
        Ok(Expr::Matches(
            name("x"),
            Pattern::Or(vec![some(Pattern::Any), Pattern::Path(vec!["None".into()])]),
            None
        ))
    );
    assert_eq!(
        Expr::parse("matches!(x, Some(1..=4) if y)"),
        Ok(Expr::Matches(
            name("x"),
            some(Pattern::Range(
                Some(Literal::Integer(1, None)),
                Some(Literal::Integer(4, None)),
                true
            )),
            Some(name("y"))
        ))
    );
    let value = |name_: &str, spec: &str| FormatPart::Value(*name(name_), spec.into());
    assert_eq!(
        Expr::parse(r#"format!("{{{}}} {b:?} {0} {c:>3}!", a, c = d)"#),
        Ok(Expr::Format(vec![
            FormatPart::Text("{".into()),
            value("a", ""),
            FormatPart::Text("} ".into()),
            value("b", "?"),
            FormatPart::Text(" ".into()),
            value("a", ""),
            FormatPart::Text(" ".into()),
            value("d", ">3"),
            FormatPart::Text("!".into()),
        ]))
    );
}

#[test]
fn refusals_say_what_and_why() {
    for (source, expected) in [
        (
            "a = 1",
            "an assignment is not supported: a log message must not change the program",
        ),
        (
            "a += 1",
            "an assignment is not supported: a log message must not change the program",
        ),
        (
            "v.iter().map(|x| x + 1)",
            "a closure is not supported: it would run code of the program",
        ),
        (
            "f().await",
            "async code is not supported: it would run code of the program",
        ),
        (
            "vec![1]",
            "the macro `vec!` is not supported: there are `format!` and `matches!`; others would run code of the program",
        ),
        (
            "$nothing",
            "no variable `$nothing` is visible here; there are `$hits`, `$thread`, `$time`",
        ),
        (
            "a as Foo",
            "a cast to this type is not supported: only numbers, `bool` and `char` can be cast to",
        ),
    ] {
        assert_eq!(Expr::parse(source).unwrap_err().to_string(), expected);
    }
    for source in [
        "(a, b)",
        "[a]",
        "if a {b} else {c}",
        "return",
        "b\"x\"",
        "1..2",
        "a?",
    ] {
        assert!(
            matches!(Expr::parse(source), Err(CompileError::Unsupported { .. })),
            "{source}"
        );
    }
    for source in [
        "a b",
        "a.",
        "1 +",
        "a[",
        "340282366920938463463374607431768211456",
        "1z8",
        "matches!(a)",
        r#"format!("{}")"#,
        r#"format!("{")"#,
    ] {
        assert!(
            matches!(Expr::parse(source), Err(CompileError::Syntax { .. })),
            "{source}: {:?}",
            Expr::parse(source)
        );
    }
}

/// A condition comes here as the client sent it.
#[test]
fn a_long_expression_is_refused_before_it_is_parsed() {
    for part in ["a+", "return ", "a.b().", "!", "x"] {
        assert_eq!(
            Expr::parse(&part.repeat(100 << 10)),
            Err(CompileError::TooLong)
        );
    }
    assert!(Expr::parse(&"x".repeat(MAX_EXPRESSION)).is_ok());
}

/// A client may send anything; no nesting must overflow the stack of a small thread.
#[test]
fn deep_nesting_fits_a_thread_of_two_megabytes() {
    let deep = [
        ("*", ""),
        ("&", ""),
        ("!", ""),
        ("-", ""),
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("a=", ""),
        ("||", ""),
        ("|a|", ""),
        ("return ", ""),
        ("break ", ""),
        ("a<", ""),
        ("a::<", ">"),
        ("<", ">::a"),
        ("a as &", ""),
        ("a as (", ")"),
        ("a as fn(", ")"),
        ("a as [", "]"),
        ("a as dyn A<", ">"),
        ("if a {", "}"),
        ("if let (", ")=a{}"),
        ("loop{", "}"),
        ("match a{_=>", "}"),
        ("f(", ")"),
        ("a.b(", ")"),
        ("m!(", ")"),
        ("matches!(", ",_)"),
        ("matches!(a,Some(", "))"),
        ("matches!(a,(", "))"),
        ("format!(\"{}\",", ")"),
        ("async{", "}"),
        ("unsafe{", "}"),
        ("a..", ""),
        ("a+", ""),
        ("a.b().", "c"),
        ("a as u8 as ", "u8"),
    ];
    let parse = move || {
        for (open, close) in deep {
            let fitting = MAX_EXPRESSION / (open.len() + close.len());
            for count in [fitting, MAX_NESTING, MAX_NESTING / 2, MAX_NESTING / 3] {
                let count = count.min(fitting);
                let _ = Expr::parse(&open.repeat(count));
                let _ = Expr::parse(&format!("{}a{}", open.repeat(count), close.repeat(count)));
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(parse)
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(
        Expr::parse(&format!("{}a", "*".repeat(MAX_NESTING + 1))),
        Err(CompileError::TooComplex)
    );
}

/// Braces that are written as escapes are none for the parser, and each hole is a value of its own.
#[test]
fn holes_do_not_multiply_without_end() {
    let nested = |levels: usize, holes: usize| {
        let open = format!(r#"format!("{}","#, r"\x7b0}".repeat(holes)).repeat(levels);
        format!("{open}a{}", ")".repeat(levels))
    };
    for (levels, holes) in [(17, 3), (20, 2), (8, 8)] {
        let source = nested(levels, holes);
        assert!(source.len() <= MAX_EXPRESSION, "{source}");
        assert_eq!(
            Expr::parse(&source),
            Err(CompileError::TooComplex),
            "{source}"
        );
    }
    assert!(Expr::parse(&nested(4, 4)).is_ok());
    let cases = format!(
        r#"format!("{}",matches!(a,{}1))"#,
        "{0}".repeat(60),
        "1|".repeat(60)
    );
    assert_eq!(Expr::parse(&cases), Err(CompileError::TooComplex));
}
