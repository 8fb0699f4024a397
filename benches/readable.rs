//! How many variables have a place at the statements of three crates of the registry, at `opt-level = 3`.
//!
//! Each line counts once in each instance of its function, with the variables that the function declares above it: also those
//! that the optimizer has dropped, and those that the source has dropped or moved by then, or declares in a block that has
//! ended. The second table leaves out what nobody can ask for: variables of blocks that the address is not in, those that the
//! compiler made up (their line does not have their name), and the lines of functions that drop a coroutine, which run when
//! the line does not. `-- --list` prints each variable.

use std::collections::{BTreeMap, HashMap};

use detrix::survey::{Seen, State, each};
use detrix_test_support::{Profile, Table, readable};

/// What is looked at, and the share to reach.
const CRATES: [(&str, &str); 3] = [
    ("miniz_oxide-0.9.1", "> 75 %"),
    ("regex-lite-0.1.6", "> 75 %"),
    ("mini-redis-0.4.1", "> 85 %"),
];

fn main() {
    let list = std::env::args().any(|argument| argument == "--list");
    let program = readable(Profile::Release);
    let mut sources = Sources::default();
    let (mut declared, mut visible) = (Table::default(), Table::default());
    let (mut reasons, mut left) = (Table::default(), Table::default());
    for (name, goal) in CRATES {
        let (mut all, mut asked) = (Counts::default(), Counts::default());
        each(&program, &format!("/{name}/src/"), |seen| {
            if list {
                println!("{seen:?}");
            }
            all.add(seen.state);
            if seen.state != State::OtherBlock && !seen.in_drop && sources.names(&seen) {
                asked.add(seen.state);
            }
        });
        assert!(all.sum() > 1000, "{name}: {all:?}");
        all.show(name, goal, &mut declared, &mut reasons);
        asked.show(name, "", &mut visible, &mut left);
    }
    println!("variables that are declared above a line:\n{reasons}\n{declared}");
    println!("those of them that can be asked for there:\n{left}\n{visible}");
}

#[derive(Debug, Default)]
struct Counts(BTreeMap<State, usize>);

impl Counts {
    fn add(&mut self, state: State) {
        *self.0.entry(state).or_default() += 1;
    }

    fn sum(&self) -> usize {
        self.0.values().sum()
    }

    fn show(&self, name: &str, goal: &str, shares: &mut Table, reasons: &mut Table) {
        let all = self.sum();
        let percent = |count: usize| format!("{:.1} %", count as f64 * 100.0 / all as f64);
        let there = self.0.range(..=State::Partly).map(|(_, count)| count);
        let title = format!("{name}: readable of {all}");
        shares.add(&title, percent(there.sum()), goal);
        for (state, count) in &self.0 {
            reasons.add(&format!("{name}: {state:?}"), count, &percent(*count));
        }
    }
}

/// The texts of files.
#[derive(Default)]
struct Sources(HashMap<String, String>);

impl Sources {
    /// Whether a variable's name is on the line of its declaration.
    fn names(&mut self, seen: &Seen) -> bool {
        let text = self.0.entry(seen.file.clone()).or_insert_with(|| {
            std::fs::read_to_string(&seen.file)
                .unwrap_or_else(|error| panic!("{}: {error}", seen.file))
        });
        let line = usize::try_from(seen.declared).ok().and_then(|line| {
            let line = line.checked_sub(1)?;
            text.lines().nth(line)
        });
        let mut words = line
            .unwrap_or_default()
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == seen.name)
    }
}
