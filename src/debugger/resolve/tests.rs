//! What is said of values that are not there, asked of all lines of optimized programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use detrix_test_support::{Profile, fixture};

use super::*;
use crate::capture::template::MAX_EXPRESSIONS;
use crate::symbols::lookup::LineMatch;

/// The program, one of its files, the last line of that to ask, and how many values at least are to be found on another
/// line.
const FILES: [(&str, &str, u64, usize); 3] = [
    ("coroutines", "coroutines/program.rs", 60, 10),
    ("every_line", "every_line/json.rs", 100, 10),
    ("every_line", "every_line/search.rs", 100, 1),
];

fn wanted(line: u64, message: String) -> Wanted {
    Wanted {
        line,
        column: None,
        condition: None,
        hit_condition: None,
        log_message: Some(message),
        limits: dap::Limits::default(),
    }
}

/// A line with all the variables at its places.
struct Line {
    names: Vec<Box<str>>,
    found: LineMatch,
    scopes: Vec<Scope>,
    resolved: Resolved,
}

impl Line {
    fn compiled(&self, at: &LineAddress) -> Option<&Compiled> {
        let mut places = self.resolved.places.iter();
        places
            .find(|(place, _)| place.address == at.address)
            .map(|(_, compiled)| &**compiled)
    }
}

/// A program that does not run.
struct Program<'s> {
    symbols: &'s Symbols,
    file: &'s SourceFile<'s>,
    lines: BTreeMap<u64, Line>,
}

impl<'s> Program<'s> {
    fn new(symbols: &'s Symbols, file: &'s SourceFile<'s>, last: u64) -> Self {
        let mut program = Self {
            symbols,
            file,
            lines: BTreeMap::new(),
        };
        for line in 1..=last {
            let found = file.line(line).ok().filter(|found| found.line == line);
            let found = found.filter(|found| found.addresses.len() < 20);
            program
                .lines
                .extend(found.map(|found| (line, program.line(found))));
        }
        program
    }

    fn line(&self, found: LineMatch) -> Line {
        let visible = |at: &LineAddress| {
            let mut scope = self.symbols.scope_at(at.address).expect("a function");
            scope
                .variables
                .retain(|variable| variable.depth >= at.depth);
            scope
        };
        let scopes: Vec<Scope> = found.addresses.iter().map(visible).collect();
        let variables = scopes.iter().flat_map(|scope| &scope.variables);
        let mut names: Vec<Box<str>> = variables.map(|variable| variable.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_EXPRESSIONS);
        let message: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
        let resolved = self.resolve(found.line, message.join(" "));
        Line {
            names,
            found,
            scopes,
            resolved,
        }
    }

    fn resolve(&self, line: u64, message: String) -> Resolved {
        let knowledge = Knowledge::default();
        let wanted = wanted(line, message);
        let file = Ok(self.file);
        resolve(
            self.symbols,
            &knowledge,
            file,
            &wanted,
            WrongExpressions::Show,
        )
        .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Whether a variable is to be read at a line, in the copy of its function that a place is in.
    fn is_readable(&self, line: u64, near: (&LineAddress, &Scope), name: &str) -> bool {
        let Some(line) = self.lines.get(&line) else {
            return false;
        };
        let Some(index) = line.names.iter().position(|other| **other == *name) else {
            return false;
        };
        let places = line.found.addresses.iter().zip(&line.scopes);
        let mut places = places.filter(|(at, _)| at.instance == near.0.instance);
        let entry = |scope: &Scope| scope.named(name).map(|variable| variable.entry);
        let mut any = false;
        let all = places.all(|(at, scope)| {
            any = true;
            let compiled = line.compiled(at).expect("it is compiled for each place");
            let mut unavailable = compiled.unavailable();
            unavailable.all(|(other, _)| other != index)
                && compiled.errors.iter().all(|(other, _)| *other != index)
                && entry(scope) == entry(near.1)
        });
        any && all
    }
}

#[test]
fn at_the_line_that_is_told_the_value_is_there_and_at_none_nearer() {
    for (name, path, last, floor) in FILES {
        let symbols = Symbols::of_file(&fixture(name, Profile::Release)).unwrap();
        let file = symbols.file(path).unwrap();
        let program = Program::new(&symbols, &file, last);
        let (mut told, mut untold) = (0, 0);
        let mut wrong = String::new();
        for (line, here) in &program.lines {
            for (at, scope) in here.found.addresses.iter().zip(&here.scopes) {
                let compiled = here.compiled(at).expect("it is compiled for each place");
                for (index, _) in compiled.unavailable() {
                    let name = &here.names[index];
                    let Some(other) = compiled.named_line(index) else {
                        untold += 1;
                        continue;
                    };
                    told += 1;
                    if !program.is_readable(other, (at, scope), name) {
                        let _ = writeln!(wrong, "{line}: {name} is not there at {other}");
                    }
                    let distance = other.abs_diff(*line);
                    let nearer = line.saturating_sub(distance - 1)..line + distance;
                    for nearer in nearer.filter(|nearer| nearer != line) {
                        if program.is_readable(nearer, (at, scope), name) {
                            let _ = writeln!(wrong, "{line}: {name} is at {nearer} before {other}");
                        }
                    }
                }
            }
        }
        println!(
            "{path}: {} lines, {told} values on another line, {untold} on none",
            program.lines.len()
        );
        assert!(wrong.is_empty(), "{path}:\n{wrong}");
        assert!(told >= floor, "{path}: {told}");
    }
}

#[test]
fn what_will_not_be_shown_is_said_when_it_is_set() {
    let symbols = Symbols::of_file(&fixture("coroutines", Profile::Release)).unwrap();
    let file = symbols.file("coroutines/program.rs").unwrap();
    let program = Program::new(&symbols, &file, 30);
    let mut said = 0;
    for (line, here) in &program.lines {
        let remark = here.resolved.remark.as_deref().unwrap_or_default();
        let places = here.resolved.places.len();
        for (index, name) in here.names.iter().enumerate() {
            let told: Vec<_> = here
                .resolved
                .places
                .iter()
                .filter(|(_, compiled)| compiled.unavailable().any(|(it, _)| it == index))
                .map(|(_, compiled)| compiled.named_line(index))
                .collect();
            let resolved = program.resolve(*line, format!("{{{name}}}"));
            let alone = resolved.remark.unwrap_or_default();
            assert_eq!(alone.is_empty(), told.is_empty(), "{line} {name}: {alone}");
            let Some(first) = told.first() else { continue };
            said += 1;
            let place = match told.len() {
                all if all == places => "here".to_owned(),
                some => format!("at {some} of {places} places"),
            };
            let mut sentence = format!("`{name}` is optimized out {place}");
            if let Some(first) = first.filter(|_| told.iter().all(|it| it == first)) {
                let _ = write!(sentence, "; readable at line {first}");
            }
            assert!(alone.starts_with(&sentence), "{line}: {alone}");
            assert!(
                remark.contains(&sentence) || remark.contains("more are not there"),
                "{line} {name}: {remark}"
            );
        }
    }
    assert!(said > 10, "{said}");
}

#[test]
fn code_of_detrix_is_told_from_code_of_the_name() {
    for own in [
        "detrix::engine::hit::serve",
        "core::ptr::drop_in_place<detrix::Config>",
        "shop::run<(u8, &mut detrix::Config)>",
        "core::sync::atomic::atomic_load<u8>",
    ] {
        assert!(is_own(own), "{own}");
    }
    for other in [
        "orders::detrix::start",
        "acme_detrix::start",
        "orders::run<orders::detrix::Config>",
        "orders::detrix",
    ] {
        assert!(!is_own(other), "{other}");
    }
}
