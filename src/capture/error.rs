//! What can be wrong with an expression.

use super::check::CheckError;
use super::template::MAX_EXPRESSION;
use crate::symbols::types::TypeError;
use std::collections::HashSet;
use thiserror::Error;

/// Why an expression has no value at an address. One line each, fit for the client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each says its own sentence.
pub enum CompileError {
    #[error("`{text}` is not a Rust expression: {reason}")]
    Syntax { text: String, reason: String },
    #[error("{what} is not supported: {why}")]
    Unsupported { what: String, why: &'static str },
    #[error("no variable `{name}` is visible here{hint}")]
    UnknownName { name: String, hint: String },
    #[error(
        "no static `{name}` is found here; a `const` leaves nothing in the program that could be read: make it a `static`, or write its value"
    )]
    NoStatic { name: String },
    #[error("which static `{name}` is cannot be told: {why}")]
    UnclearStatic { name: String, why: String },
    #[error("the closure has captured only parts of `{name}`: {parts}")]
    Captured { name: String, parts: String },
    #[error("no field `{field}` in `{ty}`{hint}")]
    NoField {
        field: String,
        ty: String,
        hint: String,
    },
    #[error("`{ty}` cannot be indexed")]
    NotIndexable { ty: String },
    #[error("`{ty}` is not an integer of at most 64 bits, so it cannot be an index")]
    NotAnIndex { ty: String },
    #[error("index {index} is out of bounds: `{ty}` has {count} elements")]
    OutOfBounds { index: i128, ty: String, count: u64 },
    #[error("`{ty}` cannot be dereferenced")]
    NotAPointer { ty: String },
    #[error(
        "no method `{method}` of `{ty}` is supported: detrix runs no code of the program, and knows only methods of libraries that read"
    )]
    NoMethod { method: String, ty: String },
    #[error("no variant `{variant}` in `{ty}`{hint}")]
    NoVariant {
        variant: String,
        ty: String,
        hint: String,
    },
    #[error(
        "`{operator}` is not built in for `{ty}`, and operators that the program defines are not run"
    )]
    NoOperator { operator: String, ty: String },
    #[error("`{left} {operator} {right}` have different types; cast one with `as`")]
    Mismatched {
        operator: String,
        left: String,
        right: String,
    },
    #[error("`{from}` cannot be cast to `{to}`")]
    Cast { from: String, to: String },
    #[error("`{literal}` does not fit `{ty}`")]
    OutOfRange { literal: String, ty: String },
    #[error("`{ty}` is not a number")]
    NotANumber { ty: String },
    #[error("a condition has to be `bool`, and this is `{ty}`")]
    NotABool { ty: String },
    #[error("{what} takes {wanted}, not {found}")]
    Arguments {
        what: String,
        wanted: usize,
        found: usize,
    },
    #[error("the format `{format}` is not possible: {why}")]
    Format { format: String, why: String },
    #[error(
        "the condition `{condition}` cannot be decided: what it needs is optimized out at this line"
    )]
    Undecidable { condition: String },
    #[error(
        "the hit condition `{text}` is not understood; write `N`, `== N`, `!= N`, `> N`, `>= N`, `< N`, `<= N` or `% N`"
    )]
    HitCondition { text: String },
    #[error("the expression is too complex")]
    TooComplex,
    #[error(
        "the expression is longer than the {MAX_EXPRESSION} bytes that are allowed; shorten it"
    )]
    TooLong,
    #[error("its type cannot be read: {0}")]
    Type(TypeError),
    #[error("it is redacted")]
    Redacted,
    #[error("the capture program is not sound: {0}; report this as a bug of detrix")]
    Check(CheckError),
}

/// Up to three of `candidates` that `name` may be a misspelling of, or all of them where they are few.
pub fn hint<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let mut seen = HashSet::new();
    let candidates =
        candidates.filter(|candidate| !candidate.is_empty() && seen.insert(*candidate));
    let mut nearest: Vec<(usize, &str)> = candidates
        .take(MOST_COMPARED)
        .map(|candidate| (distance(name, candidate), candidate))
        .collect();
    let close = |distance: usize| distance <= 1 + name.chars().count() / 3;
    let near = nearest
        .iter()
        .filter(|(distance, _)| close(*distance))
        .count();
    if near > 0 {
        nearest.sort_by_key(|(distance, _)| *distance);
    }
    let (word, shown) = match (near, nearest.len()) {
        (_, 0) => return String::new(),
        (0, all) => ("there are", all.min(8)),
        (near, _) => ("did you mean", near.min(3)),
    };
    let names: Vec<String> = nearest
        .iter()
        .take(shown)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    let more = if near == 0 && nearest.len() > shown {
        " and others"
    } else {
        ""
    };
    let mark = if near == 0 { "" } else { "?" };
    format!("; {word} {}{more}{mark}", names.join(", "))
}

/// How many names are compared with the one that is not found.
const MOST_COMPARED: usize = 512;

/// Longest name that is compared, in bytes: comparing takes as many steps as both have characters, multiplied.
const LONGEST_COMPARED: usize = 64;

/// Levenshtein's distance, in characters; of long names, more than makes any two alike.
fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > LONGEST_COMPARED {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }

    #[test]
    fn hints_name_the_nearest_or_what_there_is() {
        let names = ["price", "prices", "order", "self"];
        assert_eq!(
            hint("prize", names.into_iter()),
            "; did you mean `price`, `prices`?"
        );
        assert_eq!(
            hint("zzzzzz", names.into_iter().take(2)),
            "; there are `price`, `prices`"
        );
        assert_eq!(hint("x", [].into_iter()), "");
    }

    #[test]
    fn long_and_many_names_take_no_time() {
        let long = "x".repeat(100 << 10);
        assert_eq!(distance(&long, &long), usize::MAX);
        let names: Vec<String> = (0..100_000).map(|n| format!("variant_{n}")).collect();
        assert_eq!(
            hint("variant_1", names.iter().map(String::as_str).rev()),
            "; did you mean `variant_99991`, `variant_99981`, `variant_99971`?"
        );
    }
}
