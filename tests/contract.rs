//! The table of what the Detrix daemon, its clients and its users rely on, `contract.md`, against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};

use detrix_test_support::root;

const TABLE: &str = include_str!("contract.md");

/// The parts of the contract. Stops of a thread, c.5, are not in this version.
const PARTS: [&str; 14] = [
    "a.1", "a.2", "a.3", "a.4", "b", "c.1", "c.2", "c.3", "c.4", "c.6", "c.7", "c.8", "c.9", "e",
];

/// What begins the second cell of a row that no test keeps.
const NOT_KEPT: &str = "not kept: ";

struct Row {
    part: String,
    statement: &'static str,
    kept_by: &'static str,
}

fn rows() -> Vec<Row> {
    let mut part = String::new();
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            part = heading.split(':').next().unwrap_or_default().to_owned();
        }
        let cells = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"));
        let Some(cells) = cells.filter(|cells| !cells.starts_with("statement |")) else {
            continue;
        };
        let (statement, kept_by) = cells
            .rsplit_once(" | ")
            .unwrap_or_else(|| panic!("a row has two cells: {line}"));
        rows.push(Row {
            part: part.clone(),
            statement,
            kept_by,
        });
    }
    rows
}

/// The functions of a source file that are tests.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = root().join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, function)) = line.split_once("fn ") {
            let name = function.split(['(', '<']).next().unwrap_or_default();
            if is_test {
                tests.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    tests
}

#[test]
fn every_statement_is_kept_by_tests_that_exist() {
    let mut files = BTreeMap::new();
    let mut missing = Vec::new();
    for row in rows() {
        if row.kept_by.starts_with(NOT_KEPT) {
            continue;
        }
        for test in row.kept_by.split(", ") {
            let named = test.trim_matches('`').split_once("::");
            let (file, name) =
                named.unwrap_or_else(|| panic!("`{test}` is no file and test: {}", row.statement));
            let tests: &BTreeSet<String> = files
                .entry(file.to_owned())
                .or_insert_with(|| tests_of(file));
            if !tests.contains(name) {
                missing.push(format!("{}: {test}: {}", row.part, row.statement));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

#[test]
fn every_part_has_statements_and_each_stands_once() {
    let mut seen = BTreeSet::new();
    let mut parts = BTreeSet::new();
    for row in rows() {
        assert!(!row.statement.is_empty() && !row.kept_by.is_empty());
        assert!(
            seen.insert((row.part.clone(), row.statement)),
            "twice: {}",
            row.statement
        );
        parts.insert(row.part);
    }
    assert_eq!(parts, PARTS.map(str::to_owned).into());
}
