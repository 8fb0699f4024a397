//! Logpoints end to end: where they are placed, when they log, and how they go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use detrix_test_support::{Profile, Running, Session, mark, plugin, source, until};
use serde_json::json;

fn orders() -> (Running, Session, PathBuf) {
    let mut program = Running::start("orders", Profile::Release);
    let session = Session::attach(program.port());
    (program, session, source("bin/orders.rs"))
}

#[test]
fn a_logpoint_logs_each_hit_with_its_values() {
    let (mut program, mut session, file) = orders();
    let line = mark(&file, "price");
    session.logpoint(
        &file,
        line,
        "id={order.id} quantity={order.quantity} cents={cents}",
    );
    let undisturbed = program.ask("go 3", "total");
    let texts: Vec<String> = session
        .outputs(3)
        .into_iter()
        .map(|output| {
            assert_eq!(
                (Path::new(&output.path), output.line),
                (file.as_path(), line)
            );
            output.text
        })
        .collect();
    assert_eq!(
        texts,
        [
            "id=0 quantity=1 cents=100",
            "id=1 quantity=2 cents=101",
            "id=2 quantity=3 cents=102"
        ]
    );
    session.disconnect();
    assert_eq!(
        program.ask("go 3", "total"),
        undisturbed,
        "the same result without it"
    );
    program.quit();
}

#[test]
fn without_optimization_arguments_are_there_on_the_first_line() {
    let mut program = Running::start("orders", Profile::Debug);
    let mut session = Session::attach(program.port());
    let file = source("bin/orders.rs");
    let message = "merged {order} {other} {count:?}";
    session.logpoint(&file, mark(&file, "merge"), message);
    let printed = program.ask("merge 5", "merged");
    assert_eq!(
        session.output().text.strip_prefix("merged "),
        Some(&*printed)
    );
}

#[test]
fn a_line_of_an_inlined_function_logs() {
    let (mut program, mut session, file) = orders();
    let placed = session.logpoint(&file, mark(&file, "fee"), "fee base={base} id={id}");
    assert_eq!(placed.line, Some(mark(&file, "fee")));
    program.run("go 2");
    let texts = session.texts(2);
    for (index, text) in texts.iter().enumerate() {
        assert!(text.starts_with("fee base="), "{text}");
        assert!(
            text.ends_with(&format!("id={index}")) || text.contains("optimized out"),
            "{text}"
        );
    }
}

#[test]
fn one_pass_of_a_line_is_one_hit() {
    let (mut program, mut session, file) = orders();
    let lines = [
        (mark(&file, "price"), "price"),
        (mark(&file, "fee"), "fee"),
        (mark(&file, "after price"), "after"),
    ];
    session.logpoints(&file, &lines);
    program.run("go 5");
    let texts = session.texts(15);
    let expected: Vec<&str> = ["fee", "price", "after"].repeat(5);
    assert_eq!(texts, expected, "in the order of the program");
    assert_eq!(session.drain(), [], "and no more");
}

#[test]
fn several_logpoints_on_one_line_each_log() {
    let (mut program, mut session, file) = orders();
    let line = mark(&file, "price");
    for placed in session.logpoints(&file, &[(line, "one {cents}"), (line, "two {order.id}")]) {
        assert!(placed.verified, "{placed:?}");
    }
    program.run("go 1");
    let texts: BTreeSet<String> = session.texts(2).into_iter().collect();
    assert_eq!(
        texts,
        BTreeSet::from(["one 100".to_owned(), "two 0".to_owned()])
    );
}

#[test]
fn row_10_braces() {
    let (mut program, mut session, file) = orders();
    let line = mark(&file, "price");
    for (message, expected) in [
        (r"\{literal\} {cents}", "{literal} 100"),
        (r"no newline\n", r"no newline\n"),
    ] {
        session.logpoint(&file, line, message);
        program.run("go 1");
        assert_eq!(session.output().text, expected);
    }
    for unbalanced in ["{cents", "{order.id} {"] {
        let placed = session.logpoints(&file, &[(line, unbalanced)]).remove(0);
        assert!(!placed.verified, "{unbalanced}: {placed:?}");
        assert!(!placed.message.is_empty());
    }
}

#[test]
fn row_14_setting_logpoints_does_not_pause_the_program() {
    let (mut program, mut session, file) = orders();
    let line = mark(&file, "price");
    program.run("fire");
    let mut priced = 0;
    for _ in 0..20 {
        session.logpoint(&file, line, "hit");
        priced = goes_on(&mut program, priced);
        session.logpoints(&file, &[]);
        priced = goes_on(&mut program, priced);
    }
    session.disconnect();
    goes_on(&mut program, priced);
    program.quit();
}

/// Waits until the program has priced more orders than `before`, and returns how many.
fn goes_on(program: &mut Running, before: u64) -> u64 {
    let mut priced = before;
    until("the program goes on", || {
        priced = program.number("priced", "priced");
        priced > before
    });
    priced
}

#[test]
fn row_24_text_is_restored_before_the_answer_to_disconnect() {
    let (mut program, mut session, file) = orders();
    let before = program.process().text();
    program.run("fire");
    session.logpoint(&file, mark(&file, "price"), "{cents}");
    session.logpoint(&file, mark(&file, "fee"), "{gross}");
    session.outputs(20);
    assert!(program.process().text() != before, "armed");
    session.disconnect();
    assert!(program.process().text() == before, "restored");
    // Row 20: it runs on, whatever was set.
    let priced = program.number("priced", "priced");
    goes_on(&mut program, priced);
    program.quit();
}

#[test]
fn a_sleep_delivers_what_was_recorded_before_it() {
    const HITS: u64 = 1000;
    let (mut program, mut session, file) = orders();
    session.logpoint(&file, mark(&file, "price"), "{order.id}");
    program.run(&format!("go {HITS}"));
    program.run("sleep");
    let texts = session.texts(usize::try_from(HITS).expect("a thousand"));
    assert!(texts.into_iter().eq((0..HITS).map(|id| id.to_string())));
    session.expect_event("terminated");
    program.quit();
}

#[test]
fn a_line_without_code_slides_within_its_function() {
    let (mut program, mut session, file) = orders();
    let placed = session.logpoint(&file, mark(&file, "comment"), "slid {order.id}");
    assert_eq!(placed.line, Some(mark(&file, "after price")));
    program.run("go 1");
    assert_eq!(session.output().text, "slid 0");
    // Between two functions, and at the end of an inlined one: never the next function.
    for name in ["between", "nothing"] {
        let line = mark(&file, name);
        let placed = session.logpoints(&file, &[(line, "nowhere")]).remove(0);
        if name == "between" || !placed.verified {
            assert!(!placed.verified && !placed.message.is_empty(), "{placed:?}");
        } else {
            assert!(placed.line <= Some(line + 1), "{placed:?}");
        }
    }
}

#[test]
fn a_client_that_vanishes_takes_its_logpoints_with_it() {
    let (mut program, mut session, file) = orders();
    let before = program.process().text();
    session.logpoint(&file, mark(&file, "price"), "hit");
    assert!(program.process().text() != before, "armed");
    drop(session);
    // The server sees the end of the connection on its own time; a new client is served after that or meanwhile.
    until("the text is restored", || {
        program.process().text() == before
    });
    program.run("go 1");
    program.quit();
}

#[test]
fn a_source_map_translates_the_clients_paths() {
    let mut program = Running::start("orders", Profile::Release);
    let port = program.port();
    let file = source("bin/orders.rs");
    let directory = file.parent().expect("a file is in a directory");
    let line = mark(&file, "price");
    let mut session = Session::attach_with(
        port,
        json!({ "sourceMap": [[directory, "/elsewhere/of/the/client"]] }),
    );
    let theirs = Path::new("/elsewhere/of/the/client/orders.rs");
    session.logpoint(theirs, line, "mapped {cents}");
    program.run("go 1");
    let output = session.output();
    assert_eq!(output.text, "mapped 100");
    assert_eq!(
        output.path,
        theirs.to_str().expect("UTF-8"),
        "events speak the client's paths"
    );
}

#[test]
fn row_26_paths_with_spaces_unicode_and_signs_and_two_files_of_one_name() {
    let mut program = Running::start("names", Profile::Release);
    let port = program.port();
    let files = [
        ("names/with space/order book.rs", "space"),
        ("names/größe/zähler.rs", "unicode"),
        ("names/r&d #1/c#.rs", "signs"),
        ("names/left/same.rs", "left"),
        ("names/right/same.rs", "right"),
    ];
    let mut session = Session::attach(port);
    for (path, name) in files {
        let file = source(path);
        session.logpoint(&file, mark(&file, name), &format!("{name} {{value}}"));
    }
    program.run("go");
    for (output, (path, name)) in session.outputs(files.len()).iter().zip(files) {
        assert_eq!(output.text, format!("{name} 10"));
        assert_eq!(Path::new(&output.path), source(path));
    }
    session.disconnect();

    let mut session = Session::attach(port);
    let left = source("names/left/same.rs");
    let placed = session
        .logpoints(Path::new("same.rs"), &[(mark(&left, "left"), "which?")])
        .remove(0);
    assert!(
        !placed.verified,
        "a base name that two files have is ambiguous"
    );
    assert!(
        placed.message.contains("left/same.rs") && placed.message.contains("right/same.rs"),
        "it names both: {placed:?}"
    );
    let file = Path::new("left/same.rs");
    session.logpoint(file, mark(&left, "left"), "left {value}");
    program.run("go");
    assert_eq!(session.output().text, "left 10");
    program.quit();
}

#[test]
fn row_06_a_logpoint_in_a_library_that_is_loaded_later_is_armed_then() {
    let library = plugin(Profile::Release);
    let mut program = Running::program(
        &detrix_test_support::fixture("modules", Profile::Release),
        &[library.to_str().expect("UTF-8")],
    );
    let mut session = Session::attach(program.port());
    let file = source("../plugin/src/lib.rs");
    let file = file.canonicalize().expect("the plugin's source");
    let line = mark(&file, "plugin");
    let early = session
        .logpoints(&file, &[(line, "gross={gross}")])
        .remove(0);
    assert!(!early.verified, "{early:?}");
    program.run("load");
    let event = session.expect_event("breakpoint");
    assert_eq!(event["reason"], "changed");
    assert_eq!(event["breakpoint"]["id"].as_u64(), early.id);
    assert_eq!(event["breakpoint"]["verified"], true);
    program.run("go 2");
    let texts = session.texts(2);
    assert_eq!(texts, ["gross=0", "gross=100"]);
    session.disconnect();
    program.quit();
}

#[test]
fn many_threads_log_and_the_result_is_the_same() {
    let (mut program, mut session, file) = orders();
    let undisturbed = program.ask("work 50 4", "total");
    session.logpoint(&file, mark(&file, "price"), "{order.id}");
    assert_eq!(program.ask("work 50 4", "total"), undisturbed);
    let ids: BTreeSet<String> = session.texts(200).into_iter().collect();
    let expected: BTreeSet<String> = (0..4_u64)
        .flat_map(|worker| (0..50).map(move |index| (worker * 1_000_000 + index).to_string()))
        .collect();
    assert_eq!(ids, expected, "each order once");
}
