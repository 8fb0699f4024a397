//! Expressions and conditions end to end: what a logpoint makes of them is what the program itself makes of them.
//!
//! `DETRIX_PROFILE=o1` (or `thin`) repeats it for other builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use detrix_test_support::{Placed, Profile, Running, Session, mark, source};
use serde_json::json;

/// Between two values of one message: no value contains it.
const BETWEEN: &str = " ¦ ";

/// Expressions of one message.
const AT_ONCE: usize = 20;

fn start() -> (Running, Session, PathBuf) {
    let mut program = Running::start("expressions", Profile::from_env());
    let session = Session::attach(program.port());
    (program, session, source("bin/expressions.rs"))
}

#[test]
fn expressions_are_what_the_program_makes_of_them() {
    let (mut program, mut session, file) = start();
    let mut expected: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
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
    let (mut right, mut gone, mut wrong) = (0, Vec::new(), Vec::new());
    for (name, cases) in &expected {
        for cases in cases.chunks(AT_ONCE) {
            let holes: Vec<String> = cases.iter().map(|(it, _)| format!("{{{it}}}")).collect();
            session.logpoint(&file, mark(&file, name), &holes.join(BETWEEN));
            program.run("go");
            let text = session.output().text;
            let shown: Vec<&str> = text.split(BETWEEN).collect();
            assert_eq!(shown.len(), cases.len(), "{name}: {text}");
            for ((expression, wanted), shown) in cases.iter().zip(shown) {
                if shown == wanted {
                    right += 1;
                } else if shown == "<optimized out>" {
                    gone.push(format!("{name}: {expression}"));
                } else {
                    wrong.push(format!("{name}: {expression} = {shown}, is {wanted}"));
                }
            }
        }
    }
    println!(
        "{right} right, {} optimized out\n{}",
        gone.len(),
        gone.join("\n")
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(gone.len() * 20 <= right, "{}", gone.join("\n"));
    session.disconnect();
    program.quit();
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
        ("false", &[]),
    ] {
        let placed = set(
            &mut session,
            &file,
            "pass",
            json!({ "condition": condition }),
        );
        assert!(placed.verified, "{condition}: {placed:?}");
        let expected: Vec<String> = (1..)
            .zip(numbers)
            .map(|(hit, number)| format!("{number} of {hit}"))
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
        (
            "{n + order.id}",
            "`u32 + u64`: both sides must have one type",
        ),
        (
            "{order.total()}",
            "no method `total` can be read of `&expressions::Order`",
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
    ] {
        let placed = session.logpoints(&file, &[(line, message)]).remove(0);
        assert!(!placed.verified, "{message}");
        assert!(placed.message.contains(why), "{message}: {placed:?}");
    }
    for (condition, why) in [
        ("n", "a condition has to be `bool`, and this is `u32`"),
        ("m > 1", "no variable `m` is visible here"),
        (
            "order.price.sqrt() > 2.0",
            "a function of floats in a condition or an index is not supported",
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
