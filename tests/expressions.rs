//! Expressions and conditions end to end: what a logpoint makes of them is what the program itself makes of them.
//!
//! `DETRIX_PROFILE` names another build: `o1`, `thin`, `dwarf5`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use detrix_test_support::{Placed, Profile, Running, Session, fixture, mark, source};
use serde_json::json;

/// Between two values of one message: no value contains it.
const BETWEEN: &str = " ¦ ";

/// Expressions of one message, which share the room of a record.
const AT_ONCE: usize = 3;

/// Expressions of one condition.
const DECIDED_AT_ONCE: usize = 4;

fn start() -> (Running, Session, PathBuf) {
    let mut program = Running::start("expressions", Profile::from_env());
    let session = Session::attach(program.port());
    (program, session, source("bin/expressions.rs"))
}

/// How many expressions are right, and how many conditions are decided, by build: as for values, fewer are a loss. Without
/// optimization no expression is without a value.
const FLOORS: [(&str, usize, usize); 3] =
    [("debug", 451, 338), ("o1", 444, 331), ("release", 443, 330)];

/// The builds to look at: the one that `DETRIX_PROFILE` names, or the two that users have most.
fn profiles() -> Vec<Profile> {
    match std::env::var_os("DETRIX_PROFILE") {
        Some(_) => vec![Profile::from_env()],
        None => vec![Profile::Debug, Profile::Release],
    }
}

/// Expressions by the mark that they are for, each with what the program makes of it.
type Expected = BTreeMap<String, Vec<(String, String)>>;

fn expected(program: &mut Running) -> Expected {
    let mut expected = Expected::new();
    for line in program.run("go") {
        let Some(line) = line.strip_prefix("expect ") else {
            continue;
        };
        let parts: Vec<&str> = line.splitn(3, '¦').collect();
        let [mark, expression, text] = parts[..] else {
            panic!("{line}")
        };
        let cases = expected.entry(mark.to_owned()).or_default();
        cases.push((expression.to_owned(), text.to_owned()));
    }
    expected
}

#[test]
fn expressions_and_conditions_are_what_the_program_makes_of_them() {
    for profile in profiles() {
        let mut program = Running::start("expressions", profile);
        let mut session = Session::attach(program.port());
        let file = source("bin/expressions.rs");
        let expected = expected(&mut program);
        let right = shown(&mut program, &mut session, &file, &expected, profile);
        let decided = decided(&mut program, &mut session, &file, &right);
        println!(
            "{}: {} right, {decided} decided",
            profile.name(),
            right.values().map(Vec::len).sum::<usize>()
        );
        let floor = FLOORS.iter().find(|(name, ..)| *name == profile.name());
        if let Some((_, least_right, least_decided)) = floor {
            let right: usize = right.values().map(Vec::len).sum();
            assert!(
                right >= *least_right,
                "{right} right, there were {least_right}"
            );
            assert!(
                decided >= *least_decided,
                "{decided} decided, there were {least_decided}"
            );
        }
        session.disconnect();
        program.quit();
    }
}

/// Has all expressions shown; returns those that have a value.
fn shown(
    program: &mut Running,
    session: &mut Session,
    file: &Path,
    expected: &Expected,
    profile: Profile,
) -> Expected {
    let (mut right, mut gone, mut wrong) = (Expected::new(), Vec::new(), Vec::new());
    for (name, cases) in expected {
        for cases in cases.chunks(AT_ONCE) {
            let holes: Vec<String> = cases.iter().map(|(it, _)| format!("{{{it}}}")).collect();
            session.logpoint(file, mark(file, name), &holes.join(BETWEEN));
            program.run("go");
            let text = session.output().text;
            let shown: Vec<&str> = text.split(BETWEEN).collect();
            assert_eq!(shown.len(), cases.len(), "{name}: {text}");
            for ((expression, wanted), shown) in cases.iter().zip(shown) {
                if shown == wanted {
                    let case = (expression.clone(), wanted.clone());
                    right.entry(name.clone()).or_default().push(case);
                } else if shown.starts_with("<optimized out") && profile != Profile::Debug {
                    gone.push(format!("{name}: {expression}"));
                } else {
                    wrong.push(format!("{name}: {expression} = {shown}, is {wanted}"));
                }
            }
        }
    }
    println!("{} optimized out\n{}", gone.len(), gone.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    right
}

/// Has the hit decide whether each expression is what it should be, and again whether it is not; returns how many it can
/// decide.
fn decided(
    program: &mut Running,
    session: &mut Session,
    file: &Path,
    expected: &Expected,
) -> usize {
    let mut decided = 0;
    for (name, cases) in expected {
        let possible: Vec<String> = cases
            .iter()
            .filter_map(|(expression, text)| equality(expression, text))
            .filter(|condition| {
                let logpoint = json!({ "logMessage": "yes", "condition": condition });
                let placed = set(session, file, name, logpoint);
                let known = placed
                    .message
                    .contains("in a condition or an index is not supported");
                assert!(placed.verified || known, "{name}: {condition}: {placed:?}");
                placed.verified
            })
            .collect();
        for conditions in possible.chunks(DECIDED_AT_ONCE) {
            decided += conditions.len();
            for (condition, wanted) in [
                (conditions.join(" && "), &["yes"][..]),
                (format!("!({})", conditions.join(" && ")), &[]),
            ] {
                let logpoint = json!({ "logMessage": "yes", "condition": condition });
                assert!(set(session, file, name, logpoint).verified, "{condition}");
                assert_eq!(said(program, session, "go"), wanted, "{name}: {condition}");
            }
        }
    }
    decided
}

/// A condition that holds where an expression is what the program prints; `None` where that is not written as it is printed.
fn equality(expression: &str, text: &str) -> Option<String> {
    let formatted = expression
        .rsplit_once(':')
        .is_some_and(|(before, _)| !before.ends_with(':'));
    let literal = text.starts_with(['"', '\'']) || text.parse::<f64>().is_ok_and(f64::is_finite);
    match text {
        _ if formatted => None,
        "true" => Some(format!("({expression})")),
        "false" => Some(format!("!({expression})")),
        _ if literal => Some(format!("(({expression}) == {text})")),
        _ => None,
    }
}

/// Sets one logpoint with all that it may have, and one that says `end` after all passes.
fn set(session: &mut Session, file: &Path, name: &str, rest: serde_json::Value) -> Placed {
    let mut breakpoint = json!({ "line": mark(file, name), "logMessage": "{n} of {$hits}" });
    for (key, value) in rest.as_object().expect("members") {
        breakpoint[key] = value.clone();
    }
    let end = json!({ "line": mark(file, "passed"), "logMessage": "end" });
    let placed = session.breakpoints(file, &json!([breakpoint, end]));
    assert!(placed[1].verified, "{placed:?}");
    placed[0].clone()
}

/// What the logpoint says while the program does something.
fn said(program: &mut Running, session: &mut Session, command: &str) -> Vec<String> {
    program.run(command);
    let texts = std::iter::from_fn(|| Some(session.output().text));
    texts.take_while(|text| text != "end").collect()
}

#[test]
fn row_09_a_condition_with_a_log_message_logs_and_never_stops() {
    let (mut program, mut session, file) = start();
    for (condition, numbers) in [
        ("n % 3 == 0", &[3, 6, 9][..]),
        ("order.side == Side::Buy && order.id > 4", &[6, 8, 10]),
        ("order.symbol == \"SYM-7\"", &[7]),
        ("order.symbol.ends_with(\"-1\") || n == 2", &[1, 2]),
        ("order.legs.len() == 3", &[3, 7]),
        (
            "order.legs.get(1).is_some() && order.legs[1].quantity == 2",
            &[2, 3, 6, 7, 10],
        ),
        (
            "matches!(order.legs.first(), Some(_)) && order.price < 4.0",
            &[1, 2],
        ),
        ("order.parent.is_some()", &[]),
        ("order.price.sqrt().floor() == 3.0", &[6, 7, 8, 9, 10]),
        ("order.price % 2.0 == 1.0", &[2, 6, 10]),
        (
            "order.legs.len() > 1 && order.symbol.as_bytes()[4] == b'2'",
            &[2],
        ),
        ("$hits == 4 || $hits > 9", &[4, 10]),
        ("$hits % 5 == 0 && n != 5", &[10]),
        ("false", &[]),
    ] {
        let placed = set(
            &mut session,
            &file,
            "pass",
            json!({ "condition": condition }),
        );
        assert!(placed.verified, "{condition}: {placed:?}");
        // A condition that asks for the number of the hit has each pass counted.
        let counts_all = condition.contains("$hits");
        let expected: Vec<String> = (1..)
            .zip(numbers)
            .map(|(hit, number)| format!("{number} of {}", if counts_all { *number } else { hit }))
            .collect();
        assert_eq!(
            said(&mut program, &mut session, "pass 10"),
            expected,
            "{condition}"
        );
        assert!(
            session
                .try_event("stopped", std::time::Duration::ZERO)
                .is_none()
        );
    }
    session.disconnect();
    program.quit();
}

#[test]
fn row_11_hit_conditions() {
    let (mut program, mut session, file) = start();
    for (hits, numbers) in [
        ("3", &[3, 4, 5, 6][..]),
        ("== 3", &[3]),
        ("= 3", &[3]),
        ("!= 3", &[1, 2, 4, 5, 6]),
        ("> 3", &[4, 5, 6]),
        (">= 3", &[3, 4, 5, 6]),
        ("< 3", &[1, 2]),
        ("<= 3", &[1, 2, 3]),
        ("% 3", &[3, 6]),
        (" %2 ", &[2, 4, 6]),
    ] {
        let placed = set(&mut session, &file, "pass", json!({ "hitCondition": hits }));
        assert!(placed.verified, "{hits}: {placed:?}");
        let expected: Vec<String> = numbers.iter().map(|it| format!("{it} of {it}")).collect();
        assert_eq!(
            said(&mut program, &mut session, "pass 6"),
            expected,
            "{hits}"
        );
    }
    for hits in ["x", "== x", "=> 3", "% 0", "-1", "1 2"] {
        let placed = set(&mut session, &file, "pass", json!({ "hitCondition": hits }));
        assert!(!placed.verified, "{hits}");
        assert!(
            placed.message.contains("is not understood; write `N`"),
            "{placed:?}"
        );
    }
    session.disconnect();
    program.quit();
}

#[test]
fn a_hit_counts_when_its_condition_is_true() {
    let (mut program, mut session, file) = start();
    let both = json!({ "condition": "n % 2 == 0", "hitCondition": "% 2" });
    assert!(set(&mut session, &file, "pass", both).verified);
    assert_eq!(
        said(&mut program, &mut session, "pass 10"),
        ["4 of 2", "8 of 4"],
        "every second even one"
    );
    session.disconnect();
    program.quit();
}

#[test]
fn the_places_of_one_line_count_together() {
    let (mut program, mut session, file) = start();
    let logpoint = json!({ "logMessage": "{number} {$hits}", "hitCondition": "> 1" });
    let placed = set(&mut session, &file, "step", logpoint);
    assert!(placed.verified, "{placed:?}");
    let texts = said(&mut program, &mut session, "inline 4");
    assert_eq!(texts, ["101 2", "2 3", "103 4"]);
    session.disconnect();
    program.quit();
}

#[test]
fn a_condition_that_cannot_be_decided_is_told_ever_less() {
    let (mut program, mut session, file) = start();
    let condition = json!({ "condition": "order.legs[2].quantity == 3" });
    assert!(set(&mut session, &file, "pass", condition).verified);
    let texts = said(&mut program, &mut session, "pass 11");
    let why = |length: u32| {
        format!(
            "detrix: the condition `order.legs[2].quantity == 3` could not be decided: <index 2 out of bounds, len {length}>"
        )
    };
    // The passes 1, 2, 4, 5, 6, 8, 9 and 10 cannot; of those the first, second, fourth and eighth are told.
    assert_eq!(
        texts,
        [
            why(1),
            why(2),
            "3 of 1".into(),
            why(1),
            "7 of 2".into(),
            why(2),
            "11 of 3".into()
        ]
    );
    session.disconnect();
    program.quit();
}

#[test]
fn what_cannot_be_looked_through_is_no_answer() {
    let (mut program, mut session, file) = start();
    let line = mark(&file, "large");
    let parts = [
        ("words.get(\"none\")", "None"),
        ("words.get(\"004000\")", "None"),
        ("words[\"003999\"]", "3999"),
        ("words[\"none\"]", "<no such key>"),
        ("numbers.get(&200000)", "None"),
        ("numbers[&199999]", "199999"),
        // Its hasher is not known.
        ("other.get(\"none\")", "<unavailable: only "),
        ("floats.contains(&-1.0)", "<unavailable: only "),
        ("floats[..5000].iter().sum::<f64>()", "12497500.0"),
    ];
    for (expression, wanted) in parts {
        session.logpoint(&file, line, &format!("{{{expression}}}"));
        program.run("large");
        let text = session.output().text;
        assert!(text.starts_with(wanted), "{expression}: {text}");
    }
    let conditions = [
        ("words.contains_key(\"003999\")", vec!["yes".to_owned()]),
        ("numbers.contains_key(&200000)", vec![]),
    ];
    for (condition, wanted) in conditions {
        let logpoint = json!({ "logMessage": "yes", "condition": condition });
        assert!(
            set(&mut session, &file, "large", logpoint).verified,
            "{condition}"
        );
        assert_eq!(
            said(&mut program, &mut session, "large"),
            wanted,
            "{condition}"
        );
    }
    for (message, why) in [
        (
            "{sides.get(&Key::Buy)}",
            "looking for a key of type `expressions::Key` is not supported: only integers",
        ),
        (
            "{paths.get(\"a/b\")}",
            "looking for a key of type `std::path::PathBuf` is not supported: only integers",
        ),
        ("{words.get(&7)}", "`alloc::string::String == integer`"),
        ("{numbers.get(\"7\")}", "`String` is not a number"),
        ("{numbers.get(&-7)}", "does not fit"),
    ] {
        let placed = session.logpoints(&file, &[(line, message)]).remove(0);
        assert!(!placed.verified, "{message}");
        assert!(placed.message.contains(why), "{message}: {placed:?}");
    }
    session.disconnect();
    program.quit();
}

#[test]
fn a_thread_has_its_own_locals() {
    let (mut program, mut session, file) = start();
    let message = "{number} {ROUND.get()} {inner::DEPTH.get()} {TITLE.borrow()} {SEEN}";
    let line = mark(&file, "thread locals");
    session.logpoint(&file, line, message);
    program.run("threads");
    let texts: Vec<String> = session.outputs(2).into_iter().map(|it| it.text).collect();
    let none = "<no value in this thread: not made yet, or destroyed>";
    assert_eq!(
        texts,
        [
            format!("1 3 -3 \"\" {none}"),
            "2 20 -3 \"other\" RefCell { value: [9] }".into()
        ]
    );
    let placed = session
        .logpoints(&file, &[(line, "{ROUND.with(|it| it.get())}")])
        .remove(0);
    assert!(
        placed.message.contains("a closure is not supported"),
        "{placed:?}"
    );
    session.disconnect();
    program.quit();
}

/// What [`secrets`](../fixtures/src/bin/expressions.rs) must not tell.
const SECRETS: [&str; 3] = ["swordfish", "ordfi", "4711"];

/// The fixture, with names that are redacted.
fn start_redacting(redact: &str) -> (Running, Session, PathBuf) {
    let mut command = Command::new(fixture("expressions", Profile::from_env()));
    let mut program = Running::spawn(command.env("DETRIX_REDACT", redact));
    let session = Session::attach(program.port());
    (program, session, source("bin/expressions.rs"))
}

#[test]
fn what_is_strictly_redacted_is_told_in_no_way() {
    let (mut program, mut session, file) = start_redacting("password,secret,token,api_key,strict");
    let line = mark(&file, "secrets");
    let mut said = |session: &mut Session, message: &str| {
        let placed = session.logpoints(&file, &[(line, message)]).remove(0);
        if !placed.verified {
            return placed.message;
        }
        program.run("secrets");
        session.output().text
    };
    for expression in [
        "account.password",
        "account.password.len()",
        "account.password.is_empty()",
        "account.password.starts_with(\"s\")",
        "account.password == \"swordfish\"",
        "account.password.as_bytes()",
        "account.password.as_bytes()[0]",
        "account.password.to_string()",
        "*&account.password",
        "format!(\"{}\", account.password)",
        "matches!(account.password, \"swordfish\")",
        "matches!(account, Account { password: \"swordfish\", .. })",
        "Other { a: account.password }.a",
        "account.user == account.password",
        "password",
        "password.len() + 1",
        "account.key",
        "account.key.0",
        "account.key.0 > 4000",
        "matches!(account.key, SecretKey(4711))",
        "matches!(account.auth, Auth::Token(4711))",
        "account.headers[\"x-api_key\"]",
        "account.headers.get(\"x-api_key\")",
        "account.counts[\"token\"] + 1",
        "account.counts.get(\"token\").is_some()",
        "account.counts.values().sum::<u64>()",
        "account.counts.values().max()",
        "account.pairs[1].1",
        "account.pairs.last().unwrap().1",
        "matches!(account.pairs[1], (_, 4711))",
        "SECRET_WORD",
        "SECRET_WORD.len()",
    ] {
        assert_eq!(
            said(&mut session, &format!("{{{expression}}}")),
            "<redacted>",
            "{expression}"
        );
    }
    for (expression, wanted) in [
        (
            "account",
            "Account { user: \"joe\", password: <redacted>, key: <redacted>, headers: {\"accept\": \"all\", \
             \"x-api_key\": <redacted>}, counts: ",
        ),
        ("account:#?", "Account {"),
        ("format!(\"{:?}\", account)", "\"Account { user"),
        (
            "account.headers",
            "{\"accept\": \"all\", \"x-api_key\": <redacted>}",
        ),
        ("account.headers.values()", "[\"all\", <redacted>]"),
        ("account.counts", "{\""),
        ("account.counts.values()", "["),
        ("account.counts.keys()", "["),
        ("account.folders", "{\""),
        (
            "account.pairs",
            "[(\"accept\", 5), (\"X-Api-Key\", <redacted>)]",
        ),
        ("account.auth", "Token(<redacted>)"),
        (
            "held",
            "{closure#1} { account.password: <redacted>, other.key: <redacted> }",
        ),
        ("object", "<redacted>"),
        (
            "account.counts[name]",
            "a key that is not written out is not supported",
        ),
        (
            "account.counts.get(name)",
            "a key that is not written out is not supported",
        ),
        ("account.pasword", "no field `pasword`"),
        ("account.user", "\"joe\""),
        ("account.counts[\"visits\"]", "3"),
    ] {
        let text = said(&mut session, &format!("{{{expression}}}"));
        assert!(text.starts_with(wanted), "{expression}: {text}");
        let leaked = SECRETS.iter().find(|secret| text.contains(*secret));
        assert_eq!(leaked, None, "{expression}: {text}");
    }
    for condition in [
        "account.password.len() == 9",
        "account.password == account.user",
        "account.key.0 == 4711",
        "account.counts[\"token\"] > 4000",
        "account.counts[name] > 4000",
        "account.pairs[1].1 > 4000",
        "account.counts.values().sum::<u64>() > 4000",
        "account.user == \"joe\" && password.starts_with(\"s\")",
        "matches!(account.auth, Auth::Token(4711))",
        "account.user.len() == password.len()",
    ] {
        let logpoint = json!({ "logMessage": "yes", "condition": condition });
        let placed = set(&mut session, &file, "secrets", logpoint);
        assert!(!placed.verified, "{condition}: {placed:?}");
    }
    session.disconnect();
    program.quit();
}

#[test]
fn what_is_redacted_is_shown_where_it_is_named_on_purpose() {
    let (mut program, mut session, file) = start_redacting("password,secret,token,api_key");
    let line = mark(&file, "secrets");
    for (expression, wanted) in [
        ("account.password.len()", "9"),
        ("account.password", "\"swordfish\""),
        ("account.headers[\"x-api_key\"]", "\"swordfish\""),
        ("account.counts[name]", "4711"),
        (
            "account.headers",
            "{\"accept\": \"all\", \"x-api_key\": <redacted>}",
        ),
        ("account.headers.values()", "[\"all\", <redacted>]"),
        ("account.counts.values().sum::<u64>()", "<redacted>"),
        ("account.auth", "Token(<redacted>)"),
        ("object", "<redacted>"),
    ] {
        session.logpoint(&file, line, &format!("{{{expression}}}"));
        program.run("secrets");
        assert_eq!(session.output().text, wanted, "{expression}");
    }
    session.disconnect();
    program.quit();
}

#[test]
fn what_is_wrong_is_told_when_it_is_set() {
    let (program, mut session, file) = start();
    let line = mark(&file, "pass");
    for (message, why) in [
        (
            "{ordr.id}",
            "no variable `ordr` is visible here; did you mean `order`?",
        ),
        (
            "{order.prise}",
            "no field `prise` in `expressions::Order`; did you mean `price`?",
        ),
        ("{n + order.id}", "`u32 + u64` have different types"),
        (
            "{order.total()}",
            "no method `total` of `&expressions::Order` is supported",
        ),
        (
            "{compute(n)}",
            "the function call `compute(..)` is not supported: it would run code of the program",
        ),
        (
            "{order.legs.iter().map(|leg| leg.quantity)}",
            "a closure is not supported",
        ),
        ("{println!(\"x\")}", "the macro `println!` is not supported"),
        ("{n = 5}", "an assignment is not supported"),
        ("{n:q}", "the format `q` is not possible"),
        (
            "{order.side == Side::Hold}",
            "no variant `Hold` in `expressions::Side`; there are `Buy`, `Sell`",
        ),
        ("{n as String}", "a cast to this type is not supported"),
        ("{n +}", "`n +` is not a Rust expression"),
        (
            "{ROUNDS + n}",
            "no static `ROUNDS` is found here; a `const` leaves nothing in the program that could be read",
        ),
        (
            "{Order::LEAST}",
            "no static `Order::LEAST` is found here; a `const` leaves nothing",
        ),
    ] {
        let placed = session.logpoints(&file, &[(line, message)]).remove(0);
        assert!(!placed.verified, "{message}");
        assert!(placed.message.contains(why), "{message}: {placed:?}");
    }
    for (name, message, why) in [
        (
            "statics of a module",
            "{LIMIT}",
            "debug information tells no `use`; write `crate::LIMIT`",
        ),
        (
            "captured",
            "{order.symbol}",
            "the closure has captured only parts of `order`: `order.id`, `order.price`",
        ),
    ] {
        let wanted = [(mark(&file, name), message)];
        let placed = session.logpoints(&file, &wanted).remove(0);
        assert!(!placed.verified, "{message}");
        assert!(placed.message.contains(why), "{message}: {placed:?}");
    }
    for (condition, why) in [
        ("n", "a condition has to be `bool`, and this is `u32`"),
        ("m > 1", "no variable `m` is visible here"),
        (
            "format!(\"{n}\") == \"1\"",
            "text that is put together in a condition or an index is not supported",
        ),
    ] {
        let placed = set(
            &mut session,
            &file,
            "pass",
            json!({ "condition": condition }),
        );
        assert!(!placed.verified, "{condition}");
        assert!(placed.message.contains(why), "{condition}: {placed:?}");
    }
    session.disconnect();
    program.quit();
}

#[test]
fn what_a_lock_guards_says_whether_it_was_held() {
    let (mut program, mut session, file) = start();
    let message = "{shared.total.lock().unwrap().sum} {shared.count.load(Ordering::Relaxed)}";
    session.logpoint(&file, mark(&file, "shared"), message);
    program.run("locked");
    assert_eq!(session.output().text, "1 <locked> 0");
    session.disconnect();
    program.quit();
}

#[test]
fn a_hit_knows_its_thread_and_time() {
    let (mut program, mut session, file) = start();
    let thread = session.request("threads", json!({}));
    let numbers: Vec<u64> = thread["threads"]
        .as_array()
        .expect("threads")
        .iter()
        .filter_map(|thread| thread["id"].as_u64())
        .collect();
    session.logpoint(&file, mark(&file, "pass"), "{$thread} {$time}");
    program.run("pass 1");
    let text = session.output().text;
    let (thread, time) = text.split_once(' ').expect("two values");
    assert!(
        numbers.contains(&thread.parse().expect("a number")),
        "{text}"
    );
    assert!(
        time.starts_with("20") && time.ends_with('Z') && time.len() == 27,
        "{text}"
    );
    session.disconnect();
    program.quit();
}
