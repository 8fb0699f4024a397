//! Fixture programs: built once per profile, and their marked lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// How a fixture is compiled. All of them carry debug information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// No optimization.
    Debug,
    /// `release`: optimization level 3.
    Release,
    /// Optimization level 1.
    O1,
    /// Level 3, thin LTO, one codegen unit.
    Thin,
    /// Level 3, with debug information of version 5 instead of 4.
    Dwarf5,
}

impl Profile {
    /// What `DETRIX_PROFILE` asks for, `release` where it is not set.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var("DETRIX_PROFILE").as_deref() {
            Err(_) | Ok("" | "release") => Self::Release,
            Ok("debug") => Self::Debug,
            Ok("o1") => Self::O1,
            Ok("thin") => Self::Thin,
            Ok("dwarf5") => Self::Dwarf5,
            Ok(other) => {
                panic!("DETRIX_PROFILE={other}: expected debug, release, o1, thin or dwarf5")
            }
        }
    }

    /// What `DETRIX_PROFILE` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
            Self::O1 => "o1",
            Self::Thin => "thin",
            Self::Dwarf5 => "dwarf5",
        }
    }

    /// Cargo's name of the profile.
    fn cargo_name(self) -> &'static str {
        match self {
            Self::Debug => "dev",
            Self::Dwarf5 => "release",
            other => other.name(),
        }
    }
}

/// The program `name` of `fixtures/src/bin`, compiled with `profile`.
///
/// The first call of a process asks cargo, which builds what has changed; its lock on `target/fixtures` serializes test
/// binaries that run at once, and as it is not the target directory of the cargo that runs the tests, the two never wait for
/// each other.
#[must_use]
pub fn fixture(name: &str, profile: Profile) -> PathBuf {
    build(&["-p", "detrix-fixtures", "--bin", name], profile)
}

/// The shared library of `fixtures/plugin`, compiled with `profile`.
#[must_use]
pub fn plugin(profile: Profile) -> PathBuf {
    build(&["-p", "detrix-fixture-plugin", "--lib"], profile)
}

/// The program of `fixtures/drop_in`, compiled with `profile`.
#[must_use]
pub fn drop_in(profile: Profile) -> PathBuf {
    // Together with the fixtures: with the features of their dependencies, detrix is not compiled once more.
    let packages = ["-p", "detrix-fixtures", "-p", "detrix-drop-in"];
    build(
        &[&packages[..], &["--bin", "detrix-drop-in"]].concat(),
        profile,
    )
}

/// The program of `fixtures/readable`, compiled with `profile`.
#[must_use]
pub fn readable(profile: Profile) -> PathBuf {
    build(
        &[
            "-p",
            "detrix-fixture-readable",
            "--bin",
            "detrix-fixture-readable",
        ],
        profile,
    )
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let support = Path::new(env!("CARGO_MANIFEST_DIR"));
    support
        .ancestors()
        .nth(2)
        .expect("tests/support is two below the root")
        .to_path_buf()
}

/// A source file of the fixtures, by its path below `fixtures/src`.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    root().join("fixtures/src").join(path)
}

/// The number of the line that ends in `// MARK: name`, so that no test knows a line by its number.
#[must_use]
pub fn mark(file: &Path, name: &str) -> u32 {
    try_mark(file, name).unwrap_or_else(|| panic!("no `// MARK: {name}` in {}", file.display()))
}

/// As [`mark`], or `None` where the file has no such mark.
#[must_use]
pub fn try_mark(file: &Path, name: &str) -> Option<u32> {
    let text =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let wanted = format!("// MARK: {name}");
    let index = text
        .lines()
        .position(|line| line.trim_end().ends_with(&wanted))?;
    u32::try_from(index + 1).ok()
}

fn build(what: &[&str], profile: Profile) -> PathBuf {
    type Key = (String, Profile);
    static BUILT: Mutex<Option<HashMap<Key, PathBuf>>> = Mutex::new(None);
    // The lock is held through the build: the second asker must wait for it anyway. A poisoned one means that another
    // test's build failed; ask again and fail with the same text.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built
        .get_or_insert_default()
        .entry((what.join(" "), profile))
        .or_insert_with(|| ask_cargo(what, profile))
        .clone()
}

fn ask_cargo(what: &[&str], profile: Profile) -> PathBuf {
    let root = root();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&root)
        .args(["build", "--locked", "--message-format=json", "--profile"])
        .arg(profile.cargo_name())
        .arg("--target-dir")
        .arg(root.join(match profile {
            Profile::Dwarf5 => "target/fixtures-dwarf5",
            _ => "target/fixtures",
        }))
        .args(what)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    if profile == Profile::Dwarf5 {
        // No profile can ask for it.
        cargo.env("RUSTFLAGS", "-C dwarf-version=5");
    }
    // The cargo that runs the tests describes its own package in the environment; build scripts would see it and rerun.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{cargo:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("cargo's messages are UTF-8")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| artifact(&message))
        .next_back()
        .unwrap_or_else(|| panic!("{cargo:?} made no program"))
}

/// The program or shared library of a message about one of our packages; dependencies only make `.rlib`s and macros.
fn artifact(message: &Value) -> Option<PathBuf> {
    let kinds = message["target"]["kind"].as_array()?;
    if kinds.iter().any(|kind| kind == "cdylib") {
        return message["filenames"][0].as_str().map(PathBuf::from);
    }
    message["executable"].as_str().map(PathBuf::from)
}
