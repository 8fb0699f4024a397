//! What can go wrong when debug information is asked.

use thiserror::Error;

/// The Cargo setting that gives a release build debug information.
const CARGO_SETTING: &str =
    "set `debug = true` in the Cargo profile of the build (`[profile.release]`)";

/// Why the debug information could not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SymbolError {
    /// No module with usable debug information has code at the address.
    #[error("no debug information for address {0:#x}")]
    NoModule(u64),
    /// The module has code there, and no function that is described.
    #[error("no function is described at address {0:#x}")]
    NoFunction(u64),
    /// The module has no debug information that can be read.
    #[error("{}: {reason}", .module)]
    Missing {
        /// Path of the module.
        module: String,
        /// What is missing, and what to change.
        reason: MissingInfo,
    },
    /// The debug information contradicts itself or DWARF.
    #[error("damaged debug information: {0}")]
    Damaged(#[from] gimli::Error),
}

/// Why a module has no debug information that can be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}; {}", self.problem(), self.fix())]
pub enum MissingInfo {
    /// Neither the file nor a link in it says anything.
    Stripped,
    /// Line tables only: lines can be found, variables cannot.
    LinesOnly,
    /// `.debug_*` sections with `SHF_COMPRESSED`, or `.zdebug_*`.
    Compressed,
    /// Units are skeletons whose contents are in `.dwo` or `.dwp` files.
    Split(String),
    /// Debug information was moved to a file that `.gnu_debuglink` names.
    DebugLink(String),
    /// Only the build id is left to find the debug information by.
    BuildId(String),
    /// The file on disk is not the one that runs.
    Replaced,
    /// The file cannot be opened or is no ELF file.
    Unreadable(String),
}

impl MissingInfo {
    /// What is wrong with the module, in words that follow its name.
    pub fn problem(&self) -> String {
        match self {
            Self::Stripped => "it has no debug information".to_owned(),
            Self::LinesOnly => "it has line tables only".to_owned(),
            Self::Compressed => "its debug information is compressed".to_owned(),
            Self::Split(file) => format!("its debug information is split into {file}"),
            Self::DebugLink(file) => {
                format!("its debug information is in a separate file, {file}")
            }
            Self::BuildId(id) => {
                format!("its debug information, if there is any, is outside of it (build id {id})")
            }
            Self::Replaced => "the file was replaced since it was loaded".to_owned(),
            Self::Unreadable(why) => format!("the file cannot be read: {why}"),
        }
    }

    /// What to change.
    pub fn fix(&self) -> String {
        match self {
            Self::Stripped | Self::BuildId(_) => format!("{CARGO_SETTING}, and `strip = false`"),
            Self::LinesOnly => format!("{CARGO_SETTING} for variables"),
            Self::Compressed => {
                "remove `-Clink-arg=-Wl,--compress-debug-sections` from the build".to_owned()
            }
            Self::Split(_) => "set `split-debuginfo = \"off\"` in the Cargo profile".to_owned(),
            Self::DebugLink(_) => "set `strip = false` and `split-debuginfo = \"off\"`".to_owned(),
            Self::Replaced => "restart the process to debug it".to_owned(),
            Self::Unreadable(_) => "let the user that the process runs as read the file".to_owned(),
        }
    }
}

/// Why a line has no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// No compiled file matches the path.
    #[error("no compiled source file matches {path}{}", hint(.similar, .missing))]
    NoSuchFile {
        /// What was asked for.
        path: String,
        /// Files of the same name that match in too few components.
        similar: Vec<String>,
        /// Set where the executable has no debug information at all.
        missing: Option<MissingInfo>,
    },
    /// Several different files match equally well.
    #[error("{path} is ambiguous: {}; send more of the path", some(.files))]
    AmbiguousPath {
        /// What was asked for.
        path: String,
        /// All that match.
        files: Vec<String>,
    },
    /// The function has no code at or after the line, or no function is there.
    #[error(
        "no code at {path}:{line}: the line is outside of every compiled function, or all of it was optimized out"
    )]
    NoCode {
        /// As in the debug information.
        path: String,
        /// As asked for.
        line: u64,
    },
    /// More addresses than can sensibly be patched.
    #[error(
        "{path}:{line} is compiled into {count} places, more than the limit of {cap}; choose a line of your own code"
    )]
    TooMany {
        /// As in the debug information.
        path: String,
        /// The line.
        line: u64,
        /// How many places.
        count: usize,
        /// [`super::lookup::MAX_ADDRESSES`].
        cap: usize,
    },
    /// Reading failed.
    #[error(transparent)]
    DebugInfo(#[from] SymbolError),
}

impl From<gimli::Error> for LineError {
    fn from(error: gimli::Error) -> Self {
        Self::DebugInfo(error.into())
    }
}

fn hint(similar: &[String], missing: &Option<MissingInfo>) -> String {
    match (missing, similar) {
        (Some(reason), _) => format!("; of the executable: {reason}"),
        (None, []) => String::new(),
        (None, similar) => format!("; there is {}", some(similar)),
    }
}

/// The first of some paths, and how many more there are: a `mod.rs` can be a hundred files.
fn some(paths: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = paths.get(..SHOWN).unwrap_or(paths).join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_files_is_cut() {
        let paths: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(some(&paths[..5]), "0, 1, 2, 3, 4");
        assert_eq!(some(&paths), "0, 1, 2, 3, 4 and 2 more");
    }
}
