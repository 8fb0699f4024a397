//! What logpoints show is what the program itself prints with `{:?}`, or says that it cannot be known. Never a wrong value.
//!
//! `DETRIX_PROFILE` names another build: `o1`, `thin`, `dwarf5`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, source};

/// Between two values of one message: no value contains it.
const BETWEEN: &str = " ¦ ";

/// How what is shown begins for a value that the optimizer removed, or whose description cannot be trusted. It is honest, but
/// too much of it makes a debugger useless: the test has a ceiling for it.
const GONE: [&str; 2] = ["<optimized out", "<unavailable: its place is described"];

#[test]
fn values_are_what_the_program_prints() {
    check("values");
}

#[test]
fn library_types_are_what_the_program_prints() {
    check("values_std");
}

#[test]
fn code_is_shown_by_name_and_objects_by_their_types() {
    check("values_code");
}

#[test]
fn types_of_crates_are_what_the_program_prints() {
    check("values_crates");
}

#[test]
fn the_programs_own_types_are_shown_by_its_views() {
    check("values_views");
}

#[test]
fn random_values_of_nested_types_are_what_the_program_prints() {
    check("values_random");
}

#[test]
fn a_place_that_is_not_kept_up_to_date_is_not_shown() {
    check("scope_sunk");
}

/// What the fixture expects, by mark, pass and expression: a line that runs several times has several passes.
type Expected = BTreeMap<String, Vec<Vec<(String, String)>>>;

/// How many values of a fixture are right, by build. What the optimizer leaves of them depends on the compiler's version, not on
/// chance: fewer are a loss. Without optimization all of them are there.
const FLOORS: [(&str, [(&str, usize); 4]); 7] = [
    (
        "values",
        [
            ("o1", 125),
            ("release", 125),
            ("thin", 125),
            ("dwarf5", 125),
        ],
    ),
    (
        "values_std",
        [
            ("o1", 169),
            ("release", 169),
            ("thin", 169),
            ("dwarf5", 169),
        ],
    ),
    (
        "values_code",
        [("o1", 20), ("release", 20), ("thin", 20), ("dwarf5", 20)],
    ),
    (
        "values_crates",
        [("o1", 31), ("release", 31), ("thin", 31), ("dwarf5", 31)],
    ),
    (
        "values_random",
        [
            ("o1", 240),
            ("release", 240),
            ("thin", 240),
            ("dwarf5", 240),
        ],
    ),
    (
        "values_views",
        [("o1", 7), ("release", 7), ("thin", 5), ("dwarf5", 5)],
    ),
    (
        "scope_sunk",
        [("o1", 37), ("release", 29), ("thin", 27), ("dwarf5", 27)],
    ),
];

/// The builds to look at: the one that `DETRIX_PROFILE` names, or the two that users have most.
fn profiles() -> Vec<Profile> {
    match std::env::var_os("DETRIX_PROFILE") {
        Some(_) => vec![Profile::from_env()],
        None => vec![Profile::Debug, Profile::Release],
    }
}

fn check(name: &str) {
    for profile in profiles() {
        check_build(name, profile);
    }
}

fn check_build(fixture: &str, profile: Profile) {
    let file = source(&format!("bin/{fixture}.rs"));
    let mut program = Running::start(fixture, profile);
    let port = program.port();
    let expected = expectations(&file, &program.run("go"));
    let marks = marks(&file).len();
    assert_eq!(expected.len(), marks, "marks: {:?}", expected.keys());

    let mut session = Session::attach(port);
    let messages: Vec<(u32, String)> = expected
        .iter()
        .map(|(name, passes)| {
            let holes: Vec<String> = passes[0]
                .iter()
                .map(|(expression, _)| format!("{{{expression}}}"))
                .collect();
            (mark(&file, name), holes.join(BETWEEN))
        })
        .collect();
    let lines: Vec<(u32, &str)> = messages
        .iter()
        .map(|(line, message)| (*line, message.as_str()))
        .collect();
    for (placed, (line, message)) in session.logpoints(&file, &lines).iter().zip(&lines) {
        assert!(placed.verified, "line {line} {message:?}: {placed:?}");
        assert_eq!(placed.line, Some(*line), "{message:?} slid: {placed:?}");
    }

    program.run("go");
    let hits = expected.values().map(Vec::len).sum();
    let mut shown: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for output in session.outputs(hits) {
        shown.entry(output.line).or_default().push(output.text);
    }

    let (mut right, mut gone, mut wrong) = (0, Vec::new(), Vec::new());
    for (name, passes) in &expected {
        let texts = shown.remove(&mark(&file, name)).unwrap_or_default();
        assert_eq!(texts.len(), passes.len(), "hits of `{name}`: {texts:?}");
        for (pass, text) in passes.iter().zip(&texts) {
            let values: Vec<&str> = text.split(BETWEEN).collect();
            assert_eq!(values.len(), pass.len(), "`{name}`: {text}");
            for ((expression, wanted), value) in pass.iter().zip(values) {
                if value == wanted {
                    right += 1;
                } else if is_honest(value, wanted) {
                    gone.push(format!("{name}: {expression} = {value}, is {wanted}"));
                } else {
                    wrong.push(format!("{name}: {expression} = {value}, is {wanted}"));
                }
            }
        }
    }
    println!(
        "{fixture}, {}: {right} right, {} unavailable, {} wrong\n{}",
        profile.name(),
        gone.len(),
        wrong.len(),
        gone.join("\n")
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if profile == Profile::Debug {
        assert!(gone.is_empty(), "{}", gone.join("\n"));
    }
    let floor = FLOORS
        .iter()
        .filter(|(name, _)| *name == fixture)
        .flat_map(|(_, floors)| floors)
        .find(|(name, _)| *name == profile.name());
    if let Some((_, floor)) = floor {
        assert!(
            right >= *floor,
            "only {right} are right, there were {floor}:\n{}",
            gone.join("\n")
        );
    }
    session.disconnect();
    program.quit();
}

#[test]
fn a_long_vector_is_cut_and_its_elements_are_reached() {
    let file = source("bin/values.rs");
    let mut program = Running::start("values", Profile::Release);
    let mut session = Session::attach(program.port());
    session.logpoint(&file, mark(&file, "long vector"), "{long}");
    program.run("go");
    let text = session.output().text;
    assert!(text.starts_with("[0, 1, 2, 3, "), "{text}");
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    assert!(
        !text.ends_with("99999]"),
        "a vector of 100,000 is not shown whole"
    );
}

#[test]
fn what_does_not_exist_is_refused_with_its_name() {
    let file = source("bin/values.rs");
    let mut program = Running::start("values", Profile::Release);
    let mut session = Session::attach(program.port());
    let line = mark(&file, "structs");
    for (message, name) in [
        ("{nobody}", "nobody"),
        ("{order.nothing}", "nothing"),
        ("{order.id.deeper}", "deeper"),
        ("{meters.7}", "7"),
    ] {
        let placed = session.logpoints(&file, &[(line, message)]).remove(0);
        assert!(!placed.verified, "{message}: {placed:?}");
        assert!(
            placed.message.contains(name),
            "{message}: the reason names what is missing: {placed:?}"
        );
    }
    program.quit();
}

#[test]
fn what_is_redacted_is_shown_only_where_it_is_named() {
    let file = source("bin/values.rs");
    let shown = |redact: &str| {
        let mut command = Command::new(fixture("values", Profile::Release));
        let mut program = Running::spawn(command.env("DETRIX_REDACT", redact));
        let mut session = Session::attach(program.port());
        let line = mark(&file, "structs");
        session.logpoint(&file, line, "{order} {order.symbol} {order.id}");
        program.run("go");
        let text = session.output().text;
        session.disconnect();
        program.quit();
        text
    };
    let order = "Order { id: 42, symbol: <redacted>, at: Point { x: -1, y: 1 }, \
                 legs: [Point { x: 1, y: 2 }, Point { x: 3, y: 4 }] }";
    assert_eq!(shown("symbol"), format!("{order} \"ETH\" 42"));
    assert_eq!(shown("symbol,strict"), format!("{order} <redacted> 42"));
}

/// Whether `value` has holes that say so, and is right around them.
fn is_honest(value: &str, wanted: &str) -> bool {
    let (mut value, mut wanted) = (value, wanted);
    let mut holes = 0;
    while let Some(start) = GONE.iter().filter_map(|gone| value.find(gone)).min() {
        let Some(end) = value[start..].find('>') else {
            return false;
        };
        let before = &value[..start];
        let found = match holes {
            0 => wanted.starts_with(before).then_some(0),
            _ => wanted.find(before),
        };
        let Some(at) = found else { return false };
        wanted = &wanted[at + before.len()..];
        value = &value[start + end + 1..];
        holes += 1;
    }
    holes > 0 && wanted.ends_with(value)
}

#[test]
fn holes_are_honest_only_where_the_rest_is_right() {
    let wanted = "Point { x: 1, y: 2 }";
    for honest in [
        "<optimized out>",
        "Point { x: <optimized out: only the caller had it>, y: 2 }",
        "Point { x: <optimized out>, y: <optimized out> }",
    ] {
        assert!(is_honest(honest, wanted), "{honest}");
    }
    for wrong in [
        wanted,
        "Point { x: 2, y: <optimized out> }",
        "Point { x: <optimized out>, y: 3 }",
        "<optimized out",
    ] {
        assert!(!is_honest(wrong, wanted), "{wrong}");
    }
}

/// Reads the `expect MARK EXPRESSION TEXT` lines; a mark may have spaces, an expression has none.
fn expectations(file: &Path, printed: &[String]) -> Expected {
    let marks = marks(file);
    let mut expected = Expected::new();
    for line in printed {
        let Some(rest) = line.strip_prefix("expect ") else {
            continue;
        };
        let (name, rest) = marks
            .iter()
            .filter_map(|name| Some((name, rest.strip_prefix(name)?.strip_prefix(' ')?)))
            .max_by_key(|(name, _)| name.len())
            .unwrap_or_else(|| panic!("no mark of `{line}`"));
        let (expression, text) = rest
            .split_once(' ')
            .unwrap_or_else(|| panic!("no text in `{line}`"));
        let passes = expected.entry(name.to_owned()).or_default();
        // The next pass of a line begins where the first expression comes again.
        let again = passes
            .last()
            .is_none_or(|pass: &Vec<(String, String)>| pass[0].0 == expression);
        if again {
            passes.push(Vec::new());
        }
        if let Some(pass) = passes.last_mut() {
            pass.push((expression.to_owned(), text.to_owned()));
        }
    }
    expected
}

/// The names of a fixture's marks.
fn marks(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("the fixture's source");
    text.lines()
        .filter_map(|line| line.split_once("// MARK: "))
        .map(|(_, name)| name.trim().to_owned())
        .collect()
}
