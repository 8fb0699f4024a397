//! What `build_commit!` and `build_tag!` bake into the program that calls them, and when that is compiled again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Every variable that a macro looks at.
const VARIABLES: [&str; 9] = [
    "CI_COMMIT_SHA",
    "CI_COMMIT_TAG",
    "DETRIX_BUILD_COMMIT",
    "DETRIX_BUILD_TAG",
    "GITHUB_REF_NAME",
    "GITHUB_REF_TYPE",
    "GITHUB_SHA",
    "GIT_COMMIT",
    "GIT_TAG",
];

/// A program that has detrix's macros, and shows what they say.
struct Program {
    files: TempDir,
}

impl Program {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let macros = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/build_macros.rs");
        let source = format!(
            "#[path = {macros:?}]\n#[macro_use]\nmod build_macros;\n\
             fn main() {{ print!(\"{{:?}} {{:?}}\", build_commit!(), build_tag!()); }}\n"
        );
        std::fs::write(files.path().join("main.rs"), source).unwrap();
        Self { files }
    }

    /// Compiles it as cargo does, in an environment with these variables.
    fn compile(&self, variables: &[(&str, &str)]) {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = Command::new(rustc);
        for variable in VARIABLES {
            rustc.env_remove(variable);
        }
        let status = rustc
            .args([
                "--edition",
                "2024",
                "--emit",
                "link,dep-info",
                "-D",
                "warnings",
                "main.rs",
            ])
            .envs(variables.iter().copied())
            .current_dir(self.files.path())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// What it shows when it runs, wherever that is.
    fn says(&self) -> String {
        let output = Command::new(self.path("main"))
            .env("GIT_COMMIT", "of the run")
            .env("GIT_TAG", "of the run")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}

#[test]
fn the_compilers_environment_is_what_counts() {
    let program = Program::new();
    for (variables, says) in [
        (&[][..], "None None"),
        (&[("DETRIX_BUILD_COMMIT", ""), ("GIT_TAG", "")], "None None"),
        (
            &[
                ("GITHUB_SHA", "sha"),
                ("GITHUB_REF_TYPE", "branch"),
                ("GITHUB_REF_NAME", "main"),
            ],
            r#"Some("sha") None"#,
        ),
        (
            &[
                ("GITHUB_SHA", "sha"),
                ("CI_COMMIT_SHA", "ci"),
                ("GITHUB_REF_TYPE", "tag"),
                ("GITHUB_REF_NAME", "v1"),
            ],
            r#"Some("ci") Some("v1")"#,
        ),
        (
            &[
                ("CI_COMMIT_SHA", "ci"),
                ("GIT_COMMIT", "git"),
                ("CI_COMMIT_TAG", "v2"),
                ("GITHUB_REF_TYPE", "tag"),
                ("GITHUB_REF_NAME", "v1"),
            ],
            r#"Some("git") Some("v2")"#,
        ),
        (
            &[
                ("GIT_COMMIT", "git"),
                ("DETRIX_BUILD_COMMIT", "own"),
                ("CI_COMMIT_TAG", "v2"),
                ("GIT_TAG", "v3"),
            ],
            r#"Some("own") Some("v3")"#,
        ),
        (
            &[("GIT_TAG", "v3"), ("DETRIX_BUILD_TAG", "v4")],
            r#"None Some("v4")"#,
        ),
    ] {
        program.compile(variables);
        assert_eq!(program.says(), says, "{variables:?}");
    }
}

/// Cargo compiles a crate again when a variable changes that its dep-info file has as `# env-dep:`.
#[test]
fn cargo_learns_which_variables_to_watch() {
    let program = Program::new();
    program.compile(&[("GIT_COMMIT", "abc")]);
    let info = std::fs::read_to_string(program.path("main.d")).unwrap();
    let watched: BTreeSet<&str> = info
        .lines()
        .filter_map(|line| line.strip_prefix("# env-dep:"))
        .collect();
    let mut expected: BTreeSet<&str> = VARIABLES.into_iter().collect();
    expected.remove("GIT_COMMIT");
    expected.insert("GIT_COMMIT=abc");
    assert_eq!(watched, expected);
}

#[test]
fn a_program_uses_them_by_the_name_of_the_crate() {
    let commit: Option<String> = detrix::build_commit!();
    let tag: Option<String> = detrix::build_tag!();
    let config = detrix::Config {
        build_commit: commit.clone(),
        build_tag: tag.clone(),
        ..Default::default()
    };
    assert_eq!((config.build_commit, config.build_tag), (commit, tag));
}
