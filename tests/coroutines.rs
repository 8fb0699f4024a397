//! What an optimized build shows of coroutines is what an unoptimized one shows, in each pass through each line, or that it
//! cannot be known. Never a wrong value.
//!
//! `DETRIX_PROFILE` names another build: `o1`, `thin`, `dwarf5`.

use std::collections::BTreeMap;
use std::path::Path;

use detrix_test_support::{Profile, Running, Session, mark, source};

/// Between two values of one message: no value contains it.
const BETWEEN: &str = " ¦ ";

/// How many values are right, by build. What the optimizer leaves depends on the compiler's version, not on chance: fewer are a
/// loss.
const FLOORS: [(&str, usize); 1] = [("release", 719)];

/// What a line shows: its passes, in order, each with the values of its variables.
type Passes = BTreeMap<u32, Vec<Vec<String>>>;

#[test]
fn optimized_coroutines_show_what_unoptimized_ones_do() {
    let file = source("bin/coroutines/program.rs");
    let variables = variables(&file);
    let expected = run(Profile::Debug, &file, &variables);
    let profile = Profile::from_env();
    let shown = run(profile, &file, &variables);

    let (mut right, mut unavailable, mut wrong) = (0, 0, Vec::new());
    for (line, passes) in &shown {
        let names = &variables[line];
        let truth = expected.get(line).map_or(&[][..], Vec::as_slice);
        for (index, values) in passes.iter().enumerate() {
            for (at, value) in values.iter().enumerate() {
                // One pass may be several in optimized code; then any of the values that the line ever shows is taken.
                let is_right = if passes.len() == truth.len() {
                    truth[index][at] == *value
                } else {
                    truth.iter().any(|pass| pass[at] == *value)
                };
                if is_right {
                    right += 1;
                } else if value.contains("<optimized out>") {
                    unavailable += 1;
                } else {
                    wrong.push(format!("{line}, pass {index}: {} is {value}", names[at]));
                }
            }
        }
    }
    println!(
        "{}: {right} right, {unavailable} unavailable",
        profile.name()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    let floor = FLOORS.iter().find(|(name, _)| *name == profile.name());
    if let Some((_, floor)) = floor {
        assert!(right >= *floor, "{right} right, there were {floor}");
    }
}

/// The variables in the scope of each statement.
fn variables(file: &Path) -> BTreeMap<u32, Vec<String>> {
    let text = std::fs::read_to_string(file).expect("the fixture's source");
    let lines = (1..).zip(text.lines());
    let commented = lines.filter_map(|(line, text)| Some((line, text.split_once(" //: ")?.1)));
    commented
        .map(|(line, names)| (line, names.split(' ').map(str::to_owned).collect()))
        .collect()
}

fn run(profile: Profile, file: &Path, variables: &BTreeMap<u32, Vec<String>>) -> Passes {
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
