use super::*;
use proptest::prelude::*;

fn logged(parts: &[Part<'_>]) -> String {
    log_text(&Hit {
        breakpoint: 1,
        thread: 42,
        path: "/a.rs",
        line: 7,
        parts,
    })
}

fn metric(values: &[&str]) -> String {
    let mut parts = vec![Part::Text("DETRICS:m=")];
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            parts.push(Part::Text("\u{1f}"));
        }
        parts.push(Part::Value((*value).to_owned()));
    }
    logged(&parts)
}

/// What the daemon makes of an event: the values as it stores them, in JSON, or as they are.
///
/// Panics where the daemon does.
fn read(text: &str) -> Vec<String> {
    let text = text.trim();
    let text = text.split('|').next().unwrap();
    let (_, values) = text.split_once('=').unwrap();
    let stored: Vec<String> = values
        .split(SEPARATOR)
        .map(|value| match serde_json::from_str::<Value>(value) {
            Ok(json) => json.to_string(),
            Err(_) => value.to_owned(),
        })
        .collect();
    if let Some(first) = stored.first().filter(|first| first.len() > CUT) {
        let _log = &first[..CUT];
    }
    stored
}

#[test]
fn the_daemon_by_its_name() {
    assert!(is_daemon(Some("detrix")));
    for other in [
        None,
        Some("detrix-dap"),
        Some("vscode"),
        Some("Detrix"),
        Some(""),
    ] {
        assert!(!is_daemon(other), "{other:?}");
    }
}

#[test]
fn each_kind_of_value() {
    for (shown, sent) in [
        ("0", "0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", r#""18446744073709551616""#),
        ("-9223372036854775809", r#""-9223372036854775809""#),
        ("5.0", "5.0"),
        ("-0.0", "-0.0"),
        ("1e300", "1e300"),
        ("1.5e-7", "1.5e-7"),
        ("NaN", "NaN"),
        ("-inf", "-inf"),
        ("true", "true"),
        ("null", r#""null""#),
        ("0x7fff10e0", r#""0x7fff10e0""#),
        ("'x'", r#""'x'""#),
        ("()", r#""()""#),
        ("None", r#""None""#),
        ("[1, 2]", r#""[1, 2]""#),
        ("Order { id: 1 }", r#""Order { id: 1 }""#),
        (r#"Name("a\n")"#, r#""Name(\"a\\n\")""#),
        (r#""text""#, r#""text""#),
        (r#""a\"b\\""#, r#""a\"b\\""#),
        (r#""a" .. 9 more bytes"#, r#""\"a\" .. 9 more bytes""#),
        ("<optimized out>", "<optimized out>"),
        ("<unreadable 0x10>", "<unreadable 0x10>"),
        (
            "<error: no variable `x` is visible here>",
            "<error: no variable `x` is visible here>",
        ),
    ] {
        assert_eq!(value(shown), sent);
    }
}

#[test]
fn what_would_end_a_value_is_escaped() {
    assert_eq!(
        value(r#""a|b\nc\u001fd\u007f\u0085é""#),
        r#""a\u007cb\u000ac\u001fd\u007f\u0085é""#
    );
    assert_eq!(value("Pair('|', '\\n')"), r#""Pair('\u007c', '\\n')""#);
    for marker in ["<error: `a | b` is none>", "<error: a\nb>", "<error: `é`>"] {
        let sent = value(marker);
        assert_eq!(serde_json::from_str::<String>(&sent).unwrap(), marker);
        assert!(!sent.contains(['|', '\n', SEPARATOR]), "{sent}");
    }
}

#[test]
fn a_metric_has_its_thread_and_separators() {
    assert_eq!(
        metric(&["1", "\"x\"", "Some(1)"]),
        "[thread 42] DETRICS:m=1\u{1f}\"x\"\u{1f}\"Some(1)\""
    );
    assert_eq!(metric(&[]), "[thread 42] DETRICS:m=");
}

#[test]
fn other_messages_are_what_they_are() {
    let parts = [
        Part::Text("price "),
        Part::Value("[1]".to_owned()),
        Part::Text("!"),
    ];
    assert_eq!(logged(&parts), "price \"[1]\"!");
    assert_eq!(logged(&[]), "");
}

#[test]
fn the_first_value_can_be_cut_at_its_hundredth_byte() {
    // The quote and 98 letters leave one byte for a character of two.
    let text = format!("{}é and more", "x".repeat(98));
    let sent = metric(&[&Value::from(text.as_str()).to_string(), "2"]);
    assert_eq!(
        read(&sent),
        [
            format!(r#""{}\\u{{e9}} and more""#, "x".repeat(98)),
            "2".to_owned()
        ]
    );
    // Where it is not in the way it stays, in the other values too.
    for letters in [96, 97, 99] {
        let text = Value::from(format!("{}é{}", "x".repeat(letters), "é".repeat(200)).as_str());
        let first = &read(&metric(&[&text.to_string(), &text.to_string()]));
        assert_eq!(first[1], text.to_string());
        if letters == 97 || letters == 99 {
            assert_eq!(first[0], text.to_string());
        }
    }
    // Escapes that the daemon takes back do not count.
    let text = format!("{}é{}", "|".repeat(98), "x".repeat(50));
    let first = &read(&metric(&[&Value::from(text.as_str()).to_string()]))[0];
    assert!(first.contains(r"\\u{e9}"), "{first}");
    // Not the daemon's own message.
    let parts = [
        Part::Text("DETRICS:m=é "),
        Part::Value(format!("\"{}\"", "é".repeat(60))),
    ];
    assert!(read(&logged(&parts))[0].is_ascii());
}

proptest! {
    #[test]
    fn any_text_comes_back(texts in proptest::collection::vec("(?s).{0,140}", 1..4)) {
        let shown: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        let sent = metric(&shown);
        prop_assert!(!sent.contains('|') && sent.lines().count() == 1);
        let stored = read(&sent);
        prop_assert_eq!(stored.len(), shown.len());
        prop_assert_eq!(&stored[1..], &shown[1..]);
        let first: String = serde_json::from_str(&stored[0]).unwrap();
        if first != texts[0] {
            let changed = texts[0].char_indices().find_map(|(at, _)| {
                (escaped_at(&texts[0], at) == first).then_some(at)
            });
            prop_assert!(changed.is_some(), "{first:?} of {:?}", texts[0]);
        }
    }

    #[test]
    fn any_message_can_be_read(parts in proptest::collection::vec(("(?s)[^|\u{1f}]{0,60}", "(?s).{0,120}"), 1..4)) {
        let mut all = vec![Part::Text("DETRICS:m=")];
        for (text, value) in &parts {
            all.push(Part::Text(text));
            all.push(Part::Value(value.clone()));
        }
        read(&logged(&all));
    }
}
