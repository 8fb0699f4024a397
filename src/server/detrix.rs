//! What is particular to the Detrix daemon as a client.
//!
//! The daemon makes metrics of logpoints. Its log messages are `DETRICS:<metric>={expression}`, with U+001F between
//! several expressions, and it takes the `output` events apart again:
//!
//! 1. a `[thread N] ` may stand before `DETRICS:`; what stands behind the name's `=` are the values, between U+001F.
//! 2. a `|` ends everything, and so may a newline, wherever they stand.
//! 3. a value that is a JSON scalar has a type, anything else is text.
//! 4. output that is no metric is searched for words like `overflow`, and is taken for an error of the program.
//!
//! So each hit is one event, each value a JSON scalar without those characters ([`log_text`]); what the debugger itself
//! has to say goes into `breakpoint` events; and since the daemon buffers a thousand events and loses what comes beyond,
//! [`pace`](super::pace) holds them back.

use dap::{Breakpoint, BreakpointChange, Event, Source};
use serde_json::Value;

use super::backend::{Hit, NamedFile, Part};

/// What a metric's log message begins with.
const METRIC: &str = "DETRICS:";

/// Stands between values.
const SEPARATOR: char = '\u{1f}';

/// The daemon writes the first value of an event, as JSON, into its log, cut at this byte. If that is within a character
/// its task panics, and the connection is lost.
const CUT: usize = 100;

/// Whether a client is the daemon, by what it calls itself in `initialize`.
pub fn is_daemon(client_id: Option<&str>) -> bool {
    client_id == Some("detrix")
}

/// The file of a `setBreakpoints` with this source and `path`. The daemon's path is what its user wrote, joined to a
/// directory of the daemon's machine; what was written is in the name, and each spelling has a list of its own.
pub fn file(source: &Source, path: String) -> NamedFile {
    let name = source.name.clone();
    let name = name.filter(|name| !name.is_empty() && *name != path);
    NamedFile { path, name }
}

/// The text of the one `output` event that a hit is. A message that is no metric has its values written in the same way,
/// and no thread.
pub fn log_text(hit: &Hit<'_>) -> String {
    let mut message = String::new();
    for part in hit.parts {
        match part {
            Part::Text(text) => message.push_str(text),
            Part::Value(text) => message.push_str(&value(text)),
        }
    }
    match message.starts_with(METRIC) {
        true => format!("[thread {}] {}", hit.thread, safe_to_cut(message)),
        false => message,
    }
}

/// Tells that events were dropped of which nothing is known any more.
pub fn dropped(count: u64) -> Event {
    let breakpoint = Breakpoint {
        verified: true,
        message: Some(dropped_text(count)),
        ..Breakpoint::default()
    };
    Event::Breakpoint(BreakpointChange {
        reason: "changed".to_owned(),
        breakpoint,
    })
}

/// What is told of events that were dropped.
pub fn dropped_text(count: u64) -> String {
    format!("{count} events were dropped, because they came faster than the daemon takes them")
}

/// An expression's value as a JSON scalar.
///
/// * Numbers and truth values are what they are. So are the floats that JSON has no name for: the daemon reads `NaN` and
///   `inf` as Rust does.
/// * Integers beyond 64 bits are strings: the daemon would read them as floats, and lose digits.
/// * Text is a string, and everything else is its `{:?}` as a string, so that `[1, 2]` or a variant called `null` is not
///   taken for JSON's.
/// * What stands for a value that is not there, such as `<optimized out>`, is no JSON, for the daemon stores it as it is,
///   unless it has a character that may not be there: then it is a string.
fn value(text: &str) -> String {
    let plain = matches!(text, "true" | "false" | "NaN" | "inf" | "-inf");
    if plain || is_number(text) || is_marker(text) {
        return text.to_owned();
    }
    // Cut text, `"abc" .. 9 more bytes`, is no JSON, and begins with a quote all the same.
    match serde_json::from_str::<String>(text) {
        Ok(text) => quoted(&text),
        Err(_) => quoted(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let integer = || text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let float = || text.contains(['.', 'e']) && text.parse::<f64>().is_ok_and(f64::is_finite);
    digits.starts_with(|c: char| c.is_ascii_digit()) && (integer() || float())
}

fn is_marker(text: &str) -> bool {
    let may_be_there = |c: char| matches!(c, ' '..='~') && c != '|';
    text.starts_with('<') && text.ends_with('>') && text.chars().all(may_be_there)
}

/// A JSON string without any character that the daemon looks for.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c == '|' || c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Changes a metric's first value where the daemon could not cut it: see [`CUT`].
///
/// The daemon reads the value and writes it anew before it cuts, which takes back all that JSON could escape. What is
/// left is to change the one character that is in the way, and to do so where it shows: it becomes its escape in Rust,
/// `\u{e9}` for `é`. Within the `{:?}` of a text that is the same text still.
fn safe_to_cut(message: String) -> String {
    let Some(start) = message.find('=').map(|at| at + 1) else {
        return message;
    };
    let (head, rest) = message.split_at(start);
    let end = rest.find(SEPARATOR).unwrap_or(rest.len());
    let (first, tail) = rest.split_at(end);
    if first.is_ascii() || first.len() < CUT {
        return message;
    }
    let first = match serde_json::from_str(first) {
        Ok(Value::String(text)) => match cut_character(&text) {
            Some(at) => quoted(&escaped_at(&text, at)),
            None => return message,
        },
        // A message that is not the daemon's own, with text between its values.
        _ => first
            .chars()
            .map(|c| match c.is_ascii() {
                true => c.to_string(),
                false => c.escape_unicode().to_string(),
            })
            .collect(),
    };
    format!("{head}{first}{tail}")
}

/// Where the character begins that the daemon would cut through.
fn cut_character(text: &str) -> Option<usize> {
    // The opening quote.
    let mut at = 1;
    for (index, c) in text.char_indices() {
        let length = json_length(c);
        if at < CUT && CUT < at + length && !c.is_ascii() {
            return Some(index);
        }
        at += length;
        if at >= CUT {
            break;
        }
    }
    None
}

/// How many bytes a character takes in the JSON that the daemon writes.
fn json_length(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

fn escaped_at(text: &str, at: usize) -> String {
    let escape = |(index, c): (usize, char)| match index == at {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    text.char_indices().map(escape).collect()
}

#[cfg(test)]
mod tests;
