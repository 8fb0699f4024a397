//! A logpoint on every line of a program and of a crate that it uses, and the program does not notice.
//!
//! `DETRIX_PROFILE=o1` (or `thin`) repeats it for other builds, `DETRIX_CRATE=serde_json` with another crate's lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use detrix_test_support::{Output, PATIENCE, Profile, Running, Session, root, source, try_mark};
use serde_json::Value;

/// A line that has logged this often is taken out, so that hot loops do not decide how long the test runs.
const CAP: u32 = 20;

/// How often the program does its work under the logpoints: lines that a hot one crowded out log in a later round.
const ROUNDS: u32 = 3;

/// What must be reached at least, for the program's own files and for the crate's: armed lines and lines that hit.
const OWN: Floor = Floor {
    armed: 130,
    hit: 120,
};
const CRATE: Floor = Floor {
    armed: 1_150,
    hit: 800,
};

/// Marked lines that are known to run in each round.
const KNOWN: [&str; 6] = [
    "search text",
    "search report",
    "json report",
    "deflate report",
    "net report",
    "net handle",
];

struct Floor {
    armed: usize,
    hit: usize,
}

#[test]
fn a_logpoint_on_every_line_changes_nothing() {
    let profile = Profile::from_env();
    let mut undisturbed = Running::start("every_line", profile);
    let _ = undisturbed.port();
    let expected = undisturbed.run("go 2");
    undisturbed.quit();

    let mut program = Running::start("every_line", profile);
    let port = program.port();
    let before = program.process().text();
    let mut session = Session::attach(port);
    let name = std::env::var("DETRIX_CRATE").unwrap_or_else(|_| "miniz_oxide".to_owned());
    let mut own = Armed::new(sources(&source("bin/every_line")));
    let mut others = Armed::new(sources(&crate_root(&name).join("src")));
    own.arm(&mut session);
    others.arm(&mut session);

    for round in 0..ROUNDS {
        program.send("go 2");
        let printed = while_running(&mut program, |quiet| {
            // As many as are there at once: removing a line for each would take longer than the hits.
            while let Some(output) = session.try_output(quiet) {
                own.count(&output);
                others.count(&output);
            }
            own.remove_hot(&mut session);
            others.remove_hot(&mut session);
        });
        assert_eq!(printed, expected, "round {round}");
    }
    for output in session.drain() {
        own.count(&output);
        others.count(&output);
    }
    println!(
        "every line, {}:\n{}{}",
        profile.name(),
        own.report("own files"),
        others.report(&name)
    );
    for (file, mark) in own.marks() {
        assert!(
            own.hits(&file, mark) > 0,
            "{}:{mark} has run, and logged nothing",
            file.display()
        );
    }
    own.reaches(&OWN);
    others.reaches(&CRATE);
    session.disconnect();
    assert!(program.process().text() == before, "the text is restored");
    assert_eq!(program.run("go 2"), expected, "after all of it");
    program.quit();
}

/// Calls `meanwhile` until the program has finished its command, and returns what it printed.
fn while_running(program: &mut Running, mut meanwhile: impl FnMut(Duration)) -> Vec<String> {
    let mut printed = Vec::new();
    let deadline = std::time::Instant::now() + 5 * PATIENCE;
    loop {
        assert!(
            std::time::Instant::now() < deadline,
            "still at work: {printed:?}"
        );
        match program.try_line(Duration::ZERO) {
            Some(line) if line == "done go" => return printed,
            Some(line) => printed.push(line),
            None => meanwhile(Duration::from_millis(1)),
        }
    }
}

/// The logpoints of a set of files.
struct Armed {
    files: Vec<File>,
}

struct File {
    path: PathBuf,
    /// The lines that are armed still.
    left: BTreeSet<u32>,
    hits: BTreeMap<u32, u32>,
    armed: BTreeSet<u32>,
    refused: BTreeMap<String, u32>,
    /// Lines past the cap that are still armed.
    hot: BTreeSet<u32>,
}

impl Armed {
    fn new(paths: Vec<PathBuf>) -> Self {
        let files = paths.into_iter().map(File::new).collect();
        Self { files }
    }

    /// Sets a logpoint on every line that is not blank. Those that were moved to the next line with code are taken out
    /// again: that line has one of its own.
    fn arm(&mut self, session: &mut Session) {
        for file in &mut self.files {
            let text = std::fs::read_to_string(&file.path)
                .unwrap_or_else(|error| panic!("{}: {error}", file.path.display()));
            let wanted: Vec<(u32, &str)> = (1..)
                .zip(text.lines())
                .filter(|(_, text)| !text.trim().is_empty())
                .map(|(line, _)| (line, "hit"))
                .collect();
            let placed = session.logpoints(&file.path, &wanted);
            for ((line, _), placed) in wanted.into_iter().zip(placed) {
                if placed.verified {
                    file.armed.insert(placed.line.unwrap_or(line));
                } else {
                    assert!(
                        !placed.message.is_empty(),
                        "{}:{line} is refused without a reason",
                        file.path.display()
                    );
                    *file.refused.entry(reason(&placed.message)).or_default() += 1;
                }
            }
            file.left.clone_from(&file.armed);
            file.set_left(session);
        }
    }

    fn count(&mut self, output: &Output) {
        let path = Path::new(&output.path);
        let Some(file) = self.files.iter_mut().find(|file| file.path == path) else {
            return;
        };
        assert!(
            file.armed.contains(&output.line),
            "a hit where nothing is armed: {output:?}"
        );
        let hits = file.hits.entry(output.line).or_default();
        *hits += 1;
        if *hits == CAP {
            file.hot.insert(output.line);
        }
    }

    fn remove_hot(&mut self, session: &mut Session) {
        for file in &mut self.files {
            if file.hot.is_empty() {
                continue;
            }
            for hot in std::mem::take(&mut file.hot) {
                file.left.remove(&hot);
            }
            file.set_left(session);
        }
    }

    /// Where the lines are that are known to run.
    fn marks(&self) -> Vec<(PathBuf, u32)> {
        let mut marks = Vec::new();
        for file in &self.files {
            for name in KNOWN {
                if let Some(line) = try_mark(&file.path, name) {
                    marks.push((file.path.clone(), line));
                }
            }
        }
        assert_eq!(marks.len(), KNOWN.len(), "{marks:?}");
        marks
    }

    fn hits(&self, path: &Path, line: u32) -> u32 {
        self.files
            .iter()
            .find(|file| file.path == path)
            .and_then(|file| file.hits.get(&line).copied())
            .unwrap_or(0)
    }

    fn armed(&self) -> usize {
        self.files.iter().map(|file| file.armed.len()).sum()
    }

    fn hit(&self) -> usize {
        self.files.iter().map(|file| file.hits.len()).sum()
    }

    fn reaches(&self, floor: &Floor) {
        assert!(
            self.armed() >= floor.armed,
            "only {} lines armed, {} expected",
            self.armed(),
            floor.armed
        );
        assert!(
            self.hit() >= floor.hit,
            "only {} lines hit, {} expected",
            self.hit(),
            floor.hit
        );
    }

    fn report(&self, name: &str) -> String {
        let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
        for (reason, count) in self.files.iter().flat_map(|file| &file.refused) {
            *reasons.entry(reason).or_default() += count;
        }
        let refused: u32 = reasons.values().sum();
        let mut report = format!(
            "  {name}: {} lines armed, {} hit, {refused} refused\n",
            self.armed(),
            self.hit()
        );
        for (reason, count) in reasons {
            report.push_str(&format!("    {count:5} {reason}\n"));
        }
        report
    }
}

impl File {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            left: BTreeSet::new(),
            hits: BTreeMap::new(),
            armed: BTreeSet::new(),
            refused: BTreeMap::new(),
            hot: BTreeSet::new(),
        }
    }

    fn set_left(&self, session: &mut Session) {
        let left: Vec<(u32, &str)> = self.left.iter().map(|line| (*line, "hit")).collect();
        session.logpoints(&self.path, &left);
    }
}

/// A reason without its particulars, so that equal ones add up.
fn reason(message: &str) -> String {
    message
        .split_whitespace()
        .map(|word| {
            if word.contains('/') || word.contains(|letter: char| letter.is_ascii_digit()) {
                "_"
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// All Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Where cargo keeps the sources of a crate that the fixture depends on.
fn crate_root(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == name)
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .unwrap_or_else(|| panic!("the fixtures do not use {name}"))
        .to_path_buf()
}
