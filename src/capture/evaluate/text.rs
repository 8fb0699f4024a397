//! Text of which perhaps only the first part was captured.

use crate::capture::format::Format;
use crate::capture::number::Binary;
use crate::capture::typed::Comparison;
use std::cmp::Ordering;

/// Text, or the first part of one.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    /// Bytes that it really has.
    pub(super) length: u64,
    /// Whether it is what the program would have put together, and not only what can be shown of that.
    pub(super) exact: bool,
}

impl Text {
    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.length
    }

    /// Whether it is shown in a format as the program would.
    pub(super) fn is_exact(&self, format: &Format) -> bool {
        let text = std::str::from_utf8(&self.bytes);
        self.exact && text.is_ok_and(|text| self.is_whole() || format.takes_no_more_than(text))
    }
}

pub(super) fn whole(text: String) -> Text {
    let bytes = text.into_bytes();
    Text {
        length: bytes.len() as u64,
        bytes,
        exact: true,
    }
}

/// Text, and what is missing of it.
pub(super) fn show_text(text: &Text, format: &Format) -> String {
    let mut bytes = text.bytes.as_slice();
    // A character that the cut went through is left out as well.
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
        && !text.is_whole()
    {
        bytes = bytes.get(..error.valid_up_to()).unwrap_or_default();
    }
    let known = String::from_utf8_lossy(bytes);
    let mut shown = format.text(&known);
    if std::str::from_utf8(bytes).is_err() {
        shown.push_str(" <not UTF-8>");
    }
    let missing = text.length.saturating_sub(bytes.len() as u64);
    if missing > 0 && !format.takes_no_more_than(&known) {
        shown.push_str(&format!(" .. {missing} more bytes"));
    }
    shown
}

/// Whether a comparison of texts holds; `None` where what was captured of them does not tell.
pub(super) fn compared(comparison: Comparison, left: &Text, right: &Text) -> Option<bool> {
    let both = left.is_whole() && right.is_whole();
    match comparison {
        Comparison::Order(Binary::Eq) if left.length != right.length => Some(false),
        Comparison::Order(Binary::Ne) if left.length != right.length => Some(true),
        Comparison::Order(op) => {
            let differs = left.bytes.iter().zip(&right.bytes).find(|(a, b)| a != b);
            let order = match differs {
                Some((a, b)) => a.cmp(b),
                None if both => left.length.cmp(&right.length),
                None => return None,
            };
            Some(match op {
                Binary::Eq => order == Ordering::Equal,
                Binary::Ne => order != Ordering::Equal,
                Binary::Lt => order == Ordering::Less,
                Binary::Le => order != Ordering::Greater,
                Binary::Gt => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        Comparison::StartsWith if left.length < right.length => Some(false),
        Comparison::StartsWith => {
            let known = left.bytes.len().min(right.bytes.len());
            if left.bytes.get(..known) != right.bytes.get(..known) {
                return Some(false);
            }
            (right.is_whole() && known == right.bytes.len()).then_some(true)
        }
        Comparison::EndsWith if left.length < right.length => Some(false),
        Comparison::EndsWith => both.then(|| left.bytes.ends_with(&right.bytes)),
        Comparison::Contains if left.length < right.length => Some(false),
        Comparison::Contains if !right.is_whole() => None,
        Comparison::Contains => {
            let found = memchr::memmem::find(&left.bytes, &right.bytes).is_some();
            (found || left.is_whole()).then_some(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &str, length: u64) -> Text {
        Text {
            bytes: bytes.into(),
            length,
            exact: true,
        }
    }

    #[test]
    fn what_was_cut_is_not_compared_beyond_the_cut() {
        let order = Comparison::Order;
        let (cut, all) = (text("abc", 5), text("abcde", 5));
        assert_eq!(compared(order(Binary::Eq), &cut, &all), None);
        assert_eq!(
            compared(order(Binary::Eq), &cut, &text("abc", 3)),
            Some(false)
        );
        assert_eq!(
            compared(order(Binary::Ne), &cut, &text("abx", 5)),
            Some(true)
        );
        assert_eq!(compared(order(Binary::Lt), &cut, &text("b", 1)), Some(true));
        assert_eq!(compared(order(Binary::Gt), &cut, &text("abc", 3)), None);
        assert_eq!(
            compared(Comparison::StartsWith, &cut, &text("ab", 2)),
            Some(true)
        );
        assert_eq!(
            compared(Comparison::StartsWith, &cut, &text("abcd", 4)),
            None
        );
        assert_eq!(
            compared(Comparison::StartsWith, &cut, &text("b", 1)),
            Some(false)
        );
        assert_eq!(compared(Comparison::EndsWith, &cut, &text("c", 1)), None);
        assert_eq!(
            compared(Comparison::Contains, &cut, &text("bc", 2)),
            Some(true)
        );
        assert_eq!(compared(Comparison::Contains, &cut, &text("cd", 2)), None);
        assert_eq!(
            compared(Comparison::Contains, &all, &text("cd", 2)),
            Some(true)
        );
        assert_eq!(
            compared(Comparison::Contains, &all, &text("ce", 2)),
            Some(false)
        );
    }
}
