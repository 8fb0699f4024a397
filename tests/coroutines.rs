//! What an optimized build shows of coroutines is what an unoptimized one shows, in each pass through each line, or that it
//! cannot be known. Never a wrong value.
//!
//! `DETRIX_PROFILE` names another build: `o1`, `thin`, `dwarf5`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use detrix_test_support::{Profile, Running, Session, mark, source};

/// Between two values of one message: no value contains it.
const BETWEEN: &str = " ¦ ";

/// How many values are right, by build. What the optimizer leaves depends on the compiler's version, not on chance: fewer are a
/// loss.
const FLOORS: [(&str, usize); 4] = [
    ("release", 715),
    ("o1", 750),
    ("thin", 790),
    ("dwarf5", 710),
];

/// How many variables that are unavailable on a line are told to be readable on another one, and are, in release.
const TOLD: usize = 23;

/// What a line shows: its passes, in order, each with the values of its variables.
type Passes = BTreeMap<u32, Vec<Vec<String>>>;

/// Variables by the line that they are asked for at.
type Names = BTreeMap<u32, Vec<String>>;

/// How many lines optimized code may run that unoptimized code does not.
const IDLE: usize = 2;

#[test]
fn optimized_coroutines_show_what_unoptimized_ones_do() {
    let file = source("bin/coroutines/program.rs");
    let variables = variables(&file);
    let profile = Profile::from_env();
    let seen = compare(profile, &file, &variables);
    println!(
        "{}: {} right, {} unavailable",
        profile.name(),
        seen.right,
        seen.unavailable.len()
    );
    let floor = FLOORS.iter().find(|(name, _)| *name == profile.name());
    if let Some((_, floor)) = floor {
        assert!(seen.right >= *floor, "{}, there were {floor}", seen.right);
    }

    let elsewhere = seen.elsewhere();
    let count: usize = elsewhere.values().map(Vec::len).sum();
    println!("{count} are told to be readable on another line");
    let there = compare(profile, &file, &elsewhere);
    let (told, unseen): (Vec<_>, Vec<_>) = elsewhere
        .iter()
        .flat_map(|(line, names)| names.iter().map(|name| (*line, name.clone())))
        .partition(|told| there.shown.contains(told));
    // It is told of one copy of the function; others may come by that line, and that one may not.
    println!("{} are shown there, others not: {unseen:?}", told.len());
    if profile == Profile::Release {
        assert!(told.len() >= TOLD, "{}, there were {TOLD}", told.len());
    }
}

/// What an optimized build shows, next to what an unoptimized one does.
struct Seen {
    right: usize,
    /// Lines, and variables that were right there.
    shown: BTreeSet<(u32, String)>,
    /// The line, the variable, and what is said of it.
    unavailable: Vec<(u32, String, String)>,
}

impl Seen {
    /// What was unavailable, by the lines that are told to have it.
    fn elsewhere(&self) -> Names {
        let mut told = Names::new();
        for (_, name, said) in &self.unavailable {
            let line = said
                .rsplit_once("readable at line ")
                .and_then(|(_, line)| line.trim_end_matches('>').parse().ok());
            if let Some(names) = line.map(|line| told.entry(line).or_default())
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        told
    }
}

/// Asks two builds for variables. Panics where their values differ.
fn compare(profile: Profile, file: &Path, variables: &Names) -> Seen {
    let expected = run(Profile::Debug, file, variables);
    let shown = run(profile, file, variables);
    let (mut wrong, mut idle) = (Vec::new(), Vec::new());
    let mut seen = Seen {
        right: 0,
        shown: BTreeSet::new(),
        unavailable: Vec::new(),
    };
    for (line, passes) in &shown {
        let names = &variables[line];
        let Some(truth) = expected.get(line) else {
            // Its code is that of a panic's way out, which the optimizer has made one with code that runs.
            idle.push(line);
            continue;
        };
        for (index, values) in passes.iter().enumerate() {
            for (at, value) in values.iter().enumerate() {
                // One pass may be several in optimized code; then any of the values that the line ever shows is taken.
                let is_right = if passes.len() == truth.len() {
                    truth[index][at] == *value
                } else {
                    truth.iter().any(|pass| pass[at] == *value)
                };
                if is_right {
                    seen.right += 1;
                    seen.shown.insert((*line, names[at].clone()));
                } else if value.contains("<optimized out") {
                    let name = names[at].clone();
                    seen.unavailable.push((*line, name, value.clone()));
                } else {
                    wrong.push(format!("{line}, pass {index}: {} is {value}", names[at]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(idle.len() <= IDLE, "unoptimized code never runs {idle:?}");
    seen
}

/// The variables in the scope of each statement.
fn variables(file: &Path) -> Names {
    let text = std::fs::read_to_string(file).expect("the fixture's source");
    let lines = (1..).zip(text.lines());
    let commented = lines.filter_map(|(line, text)| Some((line, text.split_once(" //: ")?.1)));
    commented
        .map(|(line, names)| (line, names.split(' ').map(str::to_owned).collect()))
        .collect()
}

fn run(profile: Profile, file: &Path, variables: &Names) -> Passes {
    let mut program = Running::start("coroutines", profile);
    let mut session = Session::attach(program.port());
    let main = source("bin/coroutines/main.rs");
    let end = mark(&main, "end");
    session.logpoint(&main, end, "end");
    let messages: Vec<(u32, String)> = variables
        .iter()
        .map(|(line, names)| {
            let values: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            (*line, values.join(BETWEEN))
        })
        .collect();
    let logpoints: Vec<(u32, &str)> = messages
        .iter()
        .map(|(line, message)| (*line, message.as_str()))
        .collect();
    let placed = session.logpoints(file, &logpoints);
    // What has no code of its own moves to a line that has another scope.
    let asked = logpoints.iter().zip(&placed);
    let own = asked.filter(|((line, _), placed)| placed.verified && placed.line == Some(*line));
    let own: Vec<(u32, &str)> = own.map(|(logpoint, _)| *logpoint).collect();
    assert!(own.len() * 2 > placed.len(), "{placed:#?}");
    session.logpoints(file, &own);
    program.send("go");
    let mut passes = Passes::new();
    loop {
        let output = session.output();
        if output.path == main.to_string_lossy() {
            break;
        }
        let values = output.text.split(BETWEEN).map(str::to_owned).collect();
        passes.entry(output.line).or_default().push(values);
    }
    session.disconnect();
    program.quit();
    passes
}
