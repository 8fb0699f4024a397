//! Programs whose debug information is elsewhere, packed, or of another version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// `total` is inlined, `value` is in a register.
const PROGRAM: &str = "
use std::hint::black_box;

#[inline(never)]
pub fn work(order: u64) -> u64 {
    let value = black_box(order) * 3; // value
    black_box(value) + order // sum
}

fn main() {
    println!(\"{}\", work(black_box(5)));
}
";

/// A directory that is removed with the test's end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("detrix-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("tiny_program.rs"), PROGRAM).unwrap();
        Self(path)
    }

    /// Compiles the program with some options.
    fn program(&self, options: &[&str]) -> String {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .current_dir(&self.0)
            .args(["-Copt-level=3", "-g", "--edition=2024", "tiny_program.rs"])
            .args(options)
            .output()
            .expect("rustc runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        path(&self.0.join("tiny_program"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn path(path: &Path) -> String {
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}

fn line(marker: &str) -> u64 {
    let found = PROGRAM.lines().position(|line| line.ends_with(marker));
    found.expect("the program has the marker") as u64 + 1
}

/// Asserts that a breakpoint's error names what is missing.
fn says(program: &str, words: &[&str]) {
    let symbols = of_file(program);
    let error = symbols
        .find_line("tiny_program.rs", line("// sum"))
        .unwrap_err();
    for word in words {
        let text = error.to_string();
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn stripped_programs_name_the_setting() {
    let directory = Directory::new("stripped");
    let program = directory.program(&["-Cstrip=symbols"]);
    says(&program, &["debug = true", "strip = false"]);
    let program = directory.program(&["-Cstrip=debuginfo"]);
    says(&program, &["debug = true", "strip = false"]);
    let program = directory.program(&["-Cdebuginfo=0", "-Cstrip=debuginfo"]);
    says(&program, &["debug = true"]);
}

#[test]
fn split_programs_name_the_setting() {
    let directory = Directory::new("split");
    for kind in ["packed", "unpacked"] {
        let program = directory.program(&[&format!("-Csplit-debuginfo={kind}")]);
        let symbols = of_file(&program);
        // Line tables stay in the program.
        let found = symbols
            .find_line("tiny_program.rs", line("// sum"))
            .unwrap();
        let error = symbols.scope_at(found.addresses[0].address).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("split-debuginfo = \"off\""), "{kind}: {text}");
    }
}

#[test]
fn compressed_programs_name_the_linker_option() {
    let directory = Directory::new("compressed");
    let option = "-Clink-arg=-Wl,--compress-debug-sections=zlib";
    let program = directory.program(&[option]);
    says(&program, &["compressed", "--compress-debug-sections"]);
}

#[test]
fn a_program_with_line_tables_only_has_lines_and_says_why_there_are_no_variables() {
    let directory = Directory::new("lines");
    let program = directory.program(&["-Cdebuginfo=line-tables-only"]);
    let symbols = of_file(&program);
    let found = symbols
        .find_line("tiny_program.rs", line("// sum"))
        .unwrap();
    for place in &found.addresses {
        let scope = symbols.scope_at(place.address);
        let variables = scope.map_or(0, |scope| scope.variables.len());
        assert_eq!(variables, 0);
    }
}

/// std stays DWARF 4, so that the program has both.
#[test]
fn lines_and_variables_are_found_in_either_version() {
    let directory = Directory::new("versions");
    for version in ["4", "5"] {
        let program = directory.program(&[&format!("-Cdwarf-version={version}")]);
        let symbols = of_file(&program);
        let module = symbols.modules[0].as_ref().unwrap();
        let versions: std::collections::BTreeSet<u16> = module
            .units()
            .iter()
            .map(|&unit| module.unit(&module.dwarf(), unit).unwrap().header.version())
            .collect();
        assert!(versions.contains(&version.parse().unwrap()), "{versions:?}");
        assert!(versions.contains(&4), "{versions:?}");
        assert_eq!(module.missing_in_units(), None);

        let found = symbols
            .find_line("tiny_program.rs", line("// sum"))
            .unwrap();
        assert_eq!(found.line, line("// sum"));
        assert!(found.path.ends_with("/tiny_program.rs"), "{}", found.path);
        assert_eq!(found.addresses.len(), 1, "{found:?}");
        let place = &found.addresses[0];
        assert_eq!(place.function, "tiny_program::work");
        let scope = symbols.scope_at(place.address).unwrap();
        for name in ["value", "order"] {
            let mut all = scope.variables.iter();
            let variable = all
                .find(|variable| &*variable.name == name)
                .unwrap_or_else(|| panic!("DWARF {version}: no {name}"));
            assert_eq!(&*symbols.load(variable.ty).unwrap().name, "u64");
        }
        // Those of std have another version here.
        let found = symbols.find_line("library/std/src/rt.rs", 190);
        assert!(
            !matches!(found, Err(LineError::NoSuchFile { .. })),
            "DWARF {version}: {found:?}"
        );
    }
}
