//! Which version of a package a module was built from, by the directory that its sources were in.

use memchr::memmem;

use super::module::Module;

/// The version in the paths of a package's source files, as cargo's registry has them: `time-0.3.55/src/lib.rs`. `None`
/// where there is no such path, or where the module has several versions.
pub fn version(module: &Module, package: &str) -> Option<[u32; 3]> {
    let needle = format!("/{package}-");
    let mut found = None;
    for section in [".debug_str", ".debug_line_str"] {
        let section = module.section(section);
        let bytes = section.slice();
        for at in memmem::find_iter(bytes, &needle) {
            let rest = bytes.get(at + needle.len()..).unwrap_or_default();
            let Some(version) = parse(rest) else { continue };
            if found.is_some_and(|known| known != version) {
                return None;
            }
            found = Some(version);
        }
    }
    found
}

/// Three numbers with dots between them, up to a slash.
fn parse(bytes: &[u8]) -> Option<[u32; 3]> {
    let end = bytes.iter().take(32).position(|byte| *byte == b'/')?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_are_three_numbers_before_a_slash() {
        assert_eq!(parse(b"0.3.55/src/lib.rs"), Some([0, 3, 55]));
        for other in [
            &b"macros-0.2.32/"[..],
            b"0.3/",
            b"0.3.5-rc.1/",
            b"0.3.5.1/",
            b"0.3.5",
            b"",
        ] {
            assert_eq!(parse(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
