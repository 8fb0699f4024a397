//! The secret that the daemon and the control plane ask for.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;

use crate::config::{Config, env};

/// Where a token is looked for, for messages.
pub const PLACES: &str =
    "DETRIX_TOKEN, or a file auth-token in detrix_home (DETRIX_HOME) or ~/detrix";

/// The files of a home, the newer name first.
const FILES: [&str; 2] = ["auth-token", "mcp-token"];

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// A secret that may stand in an `Authorization` header. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, if `text` is one. `None` for nothing, and for what has control characters (RFC 9110, section 5.5).
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty() && HeaderValue::from_str(&text).is_ok()).then_some(Self(text))
    }

    /// The token of this process, as it is now: `DETRIX_TOKEN` as it stands, or else the trimmed content of the first
    /// file that has some, in the configured home before `~/detrix`, in each `auth-token` before `mcp-token`. What is
    /// wrong with one of them is logged as a warning, and the next is taken.
    pub fn discover(config: &Config) -> Option<Self> {
        let default = env::home().map(|home| home.join("detrix"));
        let mut homes: Vec<PathBuf> = config.detrix_home.clone().into_iter().collect();
        homes.extend(default.filter(|default| config.detrix_home.as_ref() != Some(default)));
        let (token, warnings) = search(env::variable("DETRIX_TOKEN"), &homes);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        token
    }

    /// The secret itself. Compare it in constant time.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token, and what was not as it should be on the way to it.
fn search(variable: Option<OsString>, homes: &[PathBuf]) -> (Option<Token>, Vec<String>) {
    let mut warnings = Vec::new();
    if let Some(text) = variable.filter(|text| !text.is_empty()) {
        match text.into_string().ok().and_then(Token::new) {
            Some(token) => return (Some(token), warnings),
            None => warnings.push(
                "DETRIX_TOKEN is ignored: it has control characters, which cannot stand in an HTTP header"
                    .to_owned(),
            ),
        }
    }
    for home in homes {
        for file in FILES {
            let path = home.join(file);
            match read(&path) {
                Ok(Some((text, readable_by_others))) => match Token::new(text) {
                    Some(token) => {
                        if readable_by_others {
                            let path = path.display();
                            warnings.push(format!(
                                "the token in {path} can be used by other users of this machine, who may read or \
                                 write the file; run: chmod 600 {path}"
                            ));
                        }
                        return (Some(token), warnings);
                    }
                    None => warnings.push(format!(
                        "the token in {} is ignored: it has control characters, which cannot stand in an HTTP \
                         header; a token is one line",
                        path.display()
                    )),
                },
                Ok(None) => {}
                Err(error) => warnings.push(format!(
                    "the token in {} is ignored: {error}; this process has to be able to read it",
                    path.display()
                )),
            }
        }
    }
    (None, warnings)
}

/// The trimmed text of a file, and whether others than its owner have access to it. `None` where there is no file, or
/// nothing in it.
fn read(path: &Path) -> io::Result<Option<(String, bool)>> {
    match path.metadata() {
        // A pipe would never end.
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("it is no file")),
        Ok(_) => {}
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let file = File::open(path)?;
    let others = open_to_others(&file.metadata()?);
    let mut text = String::new();
    let length = file.take(LONGEST + 1).read_to_string(&mut text)?;
    if length as u64 > LONGEST {
        return Err(io::Error::other("it is too long for a token"));
    }
    let text = text.trim();
    Ok((!text.is_empty()).then(|| (text.to_owned(), others)))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(unix)]
fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

/// There is no such notion.
#[cfg(not(unix))]
fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Two homes: one that is configured, and the default.
    struct Homes(tempfile::TempDir);

    impl Homes {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn paths(&self) -> [PathBuf; 2] {
            ["configured", "default"].map(|home| self.0.path().join(home))
        }

        fn with(self, file: &str, text: &str) -> Self {
            self.with_mode(file, text, 0o600)
        }

        fn with_mode(self, file: &str, text: &str, mode: u32) -> Self {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn search(&self, variable: Option<&str>) -> (Option<String>, Vec<String>) {
            let (token, warnings) = search(variable.map(OsString::from), &self.paths());
            (token.map(|token| token.0), warnings)
        }

        fn found(&self) -> Option<String> {
            let (token, warnings) = self.search(None);
            assert_eq!(warnings, [""; 0]);
            token
        }
    }

    #[test]
    fn the_variable_comes_first_as_it_stands() {
        let homes = Homes::new().with("configured/auth-token", "file");
        let found = homes.search(Some(" variable "));
        assert_eq!(found, (Some(" variable ".to_owned()), vec![]));
        assert_eq!(homes.search(Some("")).0.as_deref(), Some("file"));
    }

    #[test]
    fn a_configured_home_comes_before_the_default_and_the_newer_file_before_the_older() {
        let homes = Homes::new();
        assert_eq!(homes.found(), None);
        let homes = homes.with("default/mcp-token", "4");
        assert_eq!(homes.found().as_deref(), Some("4"));
        let homes = homes.with("default/auth-token", "3");
        assert_eq!(homes.found().as_deref(), Some("3"));
        let homes = homes.with("configured/mcp-token", "\t2\r\n");
        assert_eq!(homes.found().as_deref(), Some("2"));
        let homes = homes.with("configured/auth-token", "1\n");
        assert_eq!(homes.found().as_deref(), Some("1"));
        let homes = homes.with("configured/auth-token", " \n");
        assert_eq!(homes.found().as_deref(), Some("2"));
    }

    #[test]
    fn a_file_that_others_can_read_is_used_with_a_warning() {
        for mode in [0o640, 0o604, 0o620] {
            let homes = Homes::new().with_mode("default/auth-token", "x", mode);
            let (token, warnings) = homes.search(None);
            assert_eq!(token.as_deref(), Some("x"));
            assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
            assert_eq!(warnings.len(), 1);
        }
    }

    #[test]
    fn what_cannot_be_used_is_skipped_with_a_warning() {
        let homes = Homes::new()
            .with("configured/auth-token/inner", "a directory")
            .with("configured/mcp-token", "two\nlines")
            .with("default/auth-token", &"x".repeat(LONGEST as usize + 1))
            .with("default/mcp-token", "good");
        let (token, warnings) = homes.search(Some("a\u{7f}"));
        assert_eq!(token.as_deref(), Some("good"));
        for (warning, reason) in warnings.iter().zip([
            "DETRIX_TOKEN is ignored: it has control characters",
            "auth-token is ignored: it is no file",
            "mcp-token is ignored: it has control characters",
            "auth-token is ignored: it is too long",
        ]) {
            assert!(warning.contains(reason), "{warning}");
        }
        assert_eq!(warnings.len(), 4);
    }

    #[test]
    fn no_warning_and_no_debug_output_repeats_a_token() {
        let homes = Homes::new().with("default/auth-token", "hunter2\nhunter2");
        let (token, warnings) = homes.search(Some("hunter2\u{7f}"));
        assert_eq!(token, None);
        assert!(!format!("{warnings:?}").contains("hunter2"));
        assert!(!format!("{:?}", Token::new("hunter2")).contains("hunter2"));
    }
}
