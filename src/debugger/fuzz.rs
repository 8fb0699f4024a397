//! Any bytes as the file of a program: its lines, its variables, and logpoints on them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use dap::Limits;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::resolve::resolve;
use crate::capture::fuzz::show;
use crate::capture::logpoint::Knowledge;
use crate::server::backend::{Wanted, WrongExpressions};
use crate::symbols::Symbols;
use crate::symbols::types::TypeSource as _;

/// The program's source, `fuzz/sample.rs`, has not more lines.
const LINES: u64 = 100;

/// Distances of addresses at which variables are asked for, and their number.
const STEP: usize = 7;
const ADDRESSES: usize = 200;

/// Variables that one message shows.
const SHOWN: usize = 8;

/// What was found in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Lines that a logpoint can be set on.
    pub lines: usize,
    /// Variables that are visible at all addresses together.
    pub variables: usize,
    /// Bytes of text that was shown.
    pub text: usize,
}

/// Asks everything that is ever asked of a file.
///
/// # Panics
///
/// Where a logpoint would go to an address outside of the program's code, or a capture program breaks its bounds.
pub fn dwarf(data: &[u8]) -> Found {
    let mut found = Found::default();
    let file = memfd_create("program", MFdFlags::MFD_CLOEXEC).expect("there is memory for a file");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut file = std::fs::File::from(file);
    file.write_all(data).expect("there is memory for a file");
    let Some(symbols) = Symbols::of_file(&path) else {
        return found;
    };
    symbols.missing_info();
    symbols.overview();
    symbols.package_version(0, "core");
    symbols.implementors(0, "sample::Fee");
    let knowledge = Knowledge::default();
    let file = symbols.file("sample.rs");
    for line in 1..=LINES {
        let Ok(file) = &file else { break };
        // Lines without code slide down to one that was looked at, or will be.
        let Some(place) = file.line(line).ok().filter(|found| found.line == line) else {
            continue;
        };
        let message = place.addresses.first();
        let message = message.map(|first| message_at(&symbols, first.address));
        let wanted = wanted(line, message.unwrap_or_default());
        let resolved = resolve(
            &symbols,
            &knowledge,
            Ok(file),
            &wanted,
            WrongExpressions::Show,
        );
        let Ok(resolved) = resolved else { continue };
        found.lines += 1;
        for (place, compiled) in &resolved.places {
            assert!(place.text.contains(&place.address));
            assert_eq!(symbols.text_at(place.address).as_ref(), Some(&place.text));
            found.text += show(compiled, data);
        }
    }
    let code: Vec<_> = symbols.text().map(|text| text.range).collect();
    let addresses = code.into_iter().flat_map(|range| range.step_by(STEP));
    for address in addresses.take(ADDRESSES) {
        symbols.function_at(address);
        if let Ok(scope) = symbols.scope_at(address) {
            found.variables += scope.variables.len();
        }
    }
    found
}

/// Shows the variables at an address, and what statics there may be.
fn message_at(symbols: &Symbols, address: u64) -> String {
    let mut message = String::from("{TOTAL} {sample::TOTAL} {order.event} {fee:#?}");
    let scope = symbols.scope_at(address);
    for variable in scope.iter().flat_map(|scope| &scope.variables).take(SHOWN) {
        // Fails for no string.
        let _ = write!(message, " {{{}:?}}", variable.name);
    }
    message
}

fn wanted(line: u64, message: String) -> Wanted {
    Wanted {
        line,
        column: None,
        condition: line
            .is_multiple_of(3)
            .then(|| "sizes[0] < 3 || order.id > 5".to_owned()),
        hit_condition: None,
        log_message: Some(message),
        limits: Limits::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer begins with, and what it found.
    #[test]
    fn the_sample_is_read() {
        for (name, data) in crate::seeds::of("dwarf") {
            let found = dwarf(&data);
            println!("{name}: {found:?}");
            if name.starts_with('v') {
                assert!(
                    found.lines >= 15 && found.variables >= 200,
                    "{name}: {found:?}"
                );
                assert!(found.text > 1000, "{name}: {found:?}");
            }
        }
    }

    /// Some of what a fuzzer tries first.
    #[test]
    fn changed_bytes_do_no_harm() {
        for (_, data) in crate::seeds::of("dwarf") {
            for at in (0..data.len()).step_by(1 + data.len() / 12) {
                dwarf(&data[..at]);
                let mut changed = data.clone();
                changed[at] ^= 1 << (at % 8);
                dwarf(&changed);
            }
        }
    }
}
