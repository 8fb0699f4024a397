//! Text of all kinds.

use super::super::record::Why;
use super::super::views::{Quoting, Spot};
use super::Renderer;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

impl Renderer<'_> {
    /// A `str`; as an expression's whole value, a JSON string.
    pub(super) fn text(&mut self, address: u64, data: Spot, length: u64, whole: bool) {
        let Some((bytes, length)) = self.captured(address, data, length) else {
            return;
        };
        let cut = (bytes.len() as u64) < length;
        let (text, valid) = match std::str::from_utf8(&bytes) {
            Ok(text) => (text.to_owned(), true),
            // A character that the cut went through is left out as well.
            Err(error) if cut && error.error_len().is_none() => {
                let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
                (String::from_utf8_lossy(whole).into_owned(), true)
            }
            Err(_) => (String::from_utf8_lossy(&bytes).into_owned(), false),
        };
        if whole {
            self.put(super::json(&text));
        } else {
            self.put(format_args!("{text:?}"));
        }
        if !valid {
            self.put(" <not UTF-8>");
        }
        let shown = if valid { text.len() } else { bytes.len() };
        self.more_bytes(length, shown);
    }

    /// Bytes that need not be UTF-8, as their type's `Debug` prints them.
    pub(super) fn quoted(
        &mut self,
        address: u64,
        data: Spot,
        length: u64,
        quoting: Quoting,
        whole: bool,
    ) {
        if quoting == Quoting::Text {
            return self.text(address, data, length, whole);
        }
        let Some((mut bytes, mut length)) = self.captured(address, data, length) else {
            return;
        };
        match quoting {
            Quoting::Text => {}
            Quoting::Os => {
                if (bytes.len() as u64) < length
                    && let Err(error) = std::str::from_utf8(&bytes)
                    && error.error_len().is_none()
                {
                    bytes.truncate(error.valid_up_to());
                }
                match std::str::from_utf8(&bytes) {
                    Ok(text) if whole => self.put(super::json(text)),
                    _ => self.put(format_args!("{:?}", OsStr::from_bytes(&bytes))),
                }
            }
            Quoting::C => {
                if bytes.len() as u64 == length {
                    if bytes.pop() != Some(0) {
                        return self.put("<not ended by 0>");
                    }
                    length = bytes.len() as u64;
                }
                let mut ended = bytes.clone();
                ended.push(0);
                match CStr::from_bytes_with_nul(&ended) {
                    Ok(text) => self.put(format_args!("{text:?}")),
                    Err(_) => return self.put("<a 0 inside of a C string>"),
                }
            }
            Quoting::Literal => self.put(literal(&bytes)),
        }
        self.more_bytes(length, bytes.len());
    }

    /// The captured bytes, and how many there are in all.
    fn captured(&mut self, address: u64, data: Spot, length: u64) -> Option<(Vec<u8>, u64)> {
        let length = self.number(address.wrapping_add(length))?;
        if length > i64::MAX.cast_unsigned() {
            self.put(format_args!("<invalid length {length}>"));
            return None;
        }
        if length == 0 {
            return Some((Vec::new(), 0));
        }
        let pointer = self.at(address, data)?;
        let limit = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(self.compiled.limits.bytes);
        let (bytes, rest) = self.record.read_up_to(pointer, limit);
        match rest {
            Err(why @ (Why::Unreadable | Why::OptimizedOut)) if bytes.is_empty() => {
                self.why(why, pointer);
                None
            }
            _ => Some((bytes, length)),
        }
    }

    fn more_bytes(&mut self, length: u64, shown: usize) {
        match length.saturating_sub(shown as u64) {
            0 => {}
            more => self.put(format_args!(" .. {more} more bytes")),
        }
    }
}

/// A byte string, escaped as the crate `bytes` does.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("b\"");
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
            0x20..0x7f => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
    text
}
