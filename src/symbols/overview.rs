//! What there is of debug information, before anybody asks for a line.

use super::Symbols;
use super::error::MissingInfo;
use super::loaded;
use super::module::Module;

/// The debug information of the running process at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Path of the executable.
    pub executable: String,
    /// How many compilation units it describes.
    pub units: usize,
    /// The compiler that made it, as `1.88.0`, if it tells one.
    pub compiler: Option<String>,
    /// What is missing in the executable.
    pub missing: Option<MissingInfo>,
    /// How many libraries are loaded.
    pub libraries: usize,
    /// How many of them have debug information.
    pub described_libraries: usize,
}

impl Symbols {
    /// What there is. Reads the head of each compilation unit of each module.
    pub fn overview(&self) -> Overview {
        let missing = |module: &Option<Module>| match module {
            Some(module) => module.missing_in_units().is_some(),
            None => true,
        };
        let executable = self.modules.first().and_then(Option::as_ref);
        let libraries = self.modules.get(1..).unwrap_or_default();
        let name = self.loaded.first().map(|(loaded, _)| loaded.name.clone());
        Overview {
            executable: name.unwrap_or_default(),
            units: executable.map_or(0, |module| module.units().len()),
            compiler: executable.and_then(|module| compiler(&module.section(".comment"))),
            missing: executable.and_then(Module::missing_in_units),
            libraries: libraries.len(),
            described_libraries: libraries.iter().filter(|module| !missing(module)).count(),
        }
    }
}

/// The build id of the executable, in hexadecimal digits, if it has one. Reads no file.
pub fn build_id() -> Option<String> {
    let executable = loaded::list().into_iter().next()?;
    let digits = |id: Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
    executable.build_id.map(digits)
}

/// rustc's version, from what compilers leave in `.comment`: words that end with a zero byte, one for each that had a
/// part in it. Where several versions of rustc had one, it is not known which the program itself was made by.
fn compiler(comment: &[u8]) -> Option<String> {
    let mut versions = comment
        .split(|byte| *byte == 0)
        .filter_map(|words| words.strip_prefix(b"rustc version "))
        .filter_map(|version| std::str::from_utf8(version).ok()?.split(' ').next());
    let first = versions.next()?;
    versions
        .all(|other| other == first)
        .then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_tests_have_units_and_a_compiler() {
        let overview = Symbols::load().unwrap().overview();
        assert!(overview.executable.contains("detrix"), "{overview:?}");
        assert!(overview.units > 10, "{overview:?}");
        assert_eq!(overview.missing, None);
        assert!(overview.libraries > 1 && overview.described_libraries < overview.libraries);
        let compiler = overview.compiler.unwrap();
        assert!(compiler.starts_with("1."), "{compiler}");
        assert!(compiler.split('.').count() >= 3, "{compiler}");
    }

    #[test]
    fn a_compiler_is_told_if_there_is_one() {
        let one = b"GCC: (Debian) 14\0rustc version 1.88.0 (6b00bc388 2025-06-23)\0";
        assert_eq!(compiler(one), Some("1.88.0".to_owned()));
        assert_eq!(
            compiler(&[&one[..], one].concat()),
            Some("1.88.0".to_owned())
        );
        assert_eq!(compiler(b"GCC: 14\0"), None);
        let two = b"rustc version 1.88.0 (a)\0rustc version 1.89.0 (b)\0";
        assert_eq!(compiler(two), None);
    }

    #[test]
    fn a_build_id_is_hexadecimal() {
        if let Some(id) = build_id() {
            assert!(
                id.len() >= 16 && id.chars().all(|digit| digit.is_ascii_hexdigit()),
                "{id}"
            );
        }
    }
}
