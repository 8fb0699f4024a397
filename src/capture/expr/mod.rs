//! The expressions of a log message: Rust's, cut down to what can be read without running the program.
//!
//! What is parsed here makes sense as Rust; whether it does in a scope is for [`typing`](super::typing) to say.

mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use super::error::CompileError;
use super::number::{Binary, Kind, Unary};

/// An expression that has been understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A variable.
    Name(String),
    /// A path with `::`, as its segments without arguments.
    Path(Vec<String>),
    /// What belongs to the hit and not to the program: `$hits`.
    Special(Special),
    /// `base.name`; a tuple's field by its number.
    Field(Box<Expr>, String),
    /// `base[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `base[start..end]`.
    Slice(Box<Expr>, Bounds),
    /// `*base`.
    Deref(Box<Expr>),
    /// `&base`.
    Reference(Box<Expr>),
    /// A literal.
    Literal(Literal),
    /// `!a`, `-a`.
    Unary(Unary, Box<Expr>),
    /// An operator between two values; not `&&` and `||`.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a && b`.
    And(Box<Expr>, Box<Expr>),
    /// `a || b`.
    Or(Box<Expr>, Box<Expr>),
    /// `a as u8`.
    Cast(Box<Expr>, Kind),
    /// `base.name(arguments)`.
    Method(Box<Expr>, String, Vec<Expr>),
    /// `Some(a)`: something that looks like a call, by its path's segments.
    Call(Vec<String>, Vec<Expr>),
    /// `matches!(a, pattern if guard)`.
    Matches(Box<Expr>, Pattern, Option<Box<Expr>>),
    /// `format!("...", ...)`.
    Format(Vec<FormatPart>),
    /// `Name { field: value }`, of which a field is read.
    Struct(Vec<(String, Expr)>),
}

/// What belongs to a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The number of this hit of the logpoint, from 1; counts those whose condition is true.
    Hits,
    /// The kernel's number of the thread.
    Thread,
    /// When it was.
    Time,
}

/// The ends of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The first index; 0 where there is none.
    pub start: Option<Box<Expr>>,
    /// The last index; the length where there is none.
    pub end: Option<Box<Expr>>,
    /// Whether the last index is within.
    pub inclusive: bool,
}

/// A constant in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// With the type of its suffix.
    Integer(i128, Option<Kind>),
    /// As [`Self::Integer`], above `i128::MAX`, which nothing but a `u128` can be.
    Large(u128, Option<Kind>),
    /// Its digits, with the type of its suffix.
    Float(String, Option<Kind>),
    /// `true` or `false`.
    Bool(bool),
    /// A character.
    Char(char),
    /// A string.
    Text(String),
}

impl Literal {
    /// `-` before it, where that gives a literal.
    fn negated(&self) -> Option<Self> {
        match self {
            Self::Integer(value, kind) => value.checked_neg().map(|it| Self::Integer(it, *kind)),
            Self::Large(value, kind) => {
                let is_least = *value == i128::MIN.unsigned_abs();
                is_least.then_some(Self::Integer(i128::MIN, *kind))
            }
            Self::Float(digits, kind) => {
                let opposite = match digits.strip_prefix('-') {
                    Some(positive) => positive.to_owned(),
                    None => format!("-{digits}"),
                };
                Some(Self::Float(opposite, *kind))
            }
            Self::Bool(_) | Self::Char(_) | Self::Text(_) => None,
        }
    }
}

/// A pattern of `matches!`.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `_`, `..`.
    Any,
    /// A name that can be nothing but a variable's: `{ id }`.
    Binding(String),
    /// A constant.
    Literal(Literal),
    /// `first..=last`, `first..last`, with open ends.
    Range(Option<Literal>, Option<Literal>, bool),
    /// `None`, `Side::Buy`: a path without data; a lone name may be a variable's.
    Path(Vec<String>),
    /// `Some(a, ..)`: the path, the patterns of the first fields, how many fields there are at least.
    Tuple(Vec<String>, TuplePattern),
    /// `Order { id: 1, .. }`.
    Struct(Vec<String>, Vec<(String, Pattern)>),
    /// `a | b`.
    Or(Vec<Pattern>),
}

/// The patterns of a tuple's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct TuplePattern {
    /// Those before `..`, or all.
    pub first: Vec<Pattern>,
    /// Those after `..`; `None` where there is no `..`.
    pub last: Option<Vec<Pattern>>,
}

/// A part of `format!`'s text.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatPart {
    /// As it is.
    Text(String),
    /// A value, and what follows its `:`; `{}` and not `{:?}` where that does not end in `?`.
    Value(Expr, String),
}

impl Expr {
    /// Parses the source text of an expression.
    ///
    /// # Errors
    ///
    /// [`CompileError::Syntax`] where it is no Rust expression, [`CompileError::Unsupported`] where it is one that
    /// this debugger does not evaluate.
    pub fn parse(source: &str) -> Result<Self, CompileError> {
        parse::parse(source)
    }

    /// Calls `visit` with this expression and all within it.
    pub fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Name(_) | Self::Path(_) | Self::Special(_) | Self::Literal(_) => {}
            Self::Field(inner, _)
            | Self::Deref(inner)
            | Self::Reference(inner)
            | Self::Unary(_, inner)
            | Self::Cast(inner, _) => inner.walk(visit),
            Self::Index(left, right)
            | Self::Binary(_, left, right)
            | Self::And(left, right)
            | Self::Or(left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::Slice(inner, bounds) => {
                inner.walk(visit);
                for end in bounds.start.iter().chain(&bounds.end) {
                    end.walk(visit);
                }
            }
            Self::Method(receiver, _, arguments) => {
                receiver.walk(visit);
                arguments.iter().for_each(|argument| argument.walk(visit));
            }
            Self::Call(_, arguments) => {
                arguments.iter().for_each(|argument| argument.walk(visit));
            }
            Self::Matches(inner, _, guard) => {
                inner.walk(visit);
                if let Some(guard) = guard {
                    guard.walk(visit);
                }
            }
            Self::Format(parts) => {
                for part in parts {
                    if let FormatPart::Value(value, _) = part {
                        value.walk(visit);
                    }
                }
            }
            Self::Struct(fields) => fields.iter().for_each(|(_, value)| value.walk(visit)),
        }
    }
}

/// Source text, and for each character whether it stands in a string or character literal.
pub(super) fn quoted(source: &str) -> Vec<(char, bool)> {
    let chars: Vec<char> = source.chars().collect();
    let mut marked: Vec<(char, bool)> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let length = match c {
            '"' => string_length(rest),
            '\'' => char_length(rest),
            _ => 0,
        };
        match length {
            0 => {
                marked.push((c, false));
                at += 1;
            }
            length => {
                marked.extend(rest.iter().take(length).map(|c| (*c, true)));
                at += length;
            }
        }
    }
    marked
}

/// How long the string literal at the start of `rest` is; to the end, where it is not closed.
fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while let Some(c) = rest.get(at) {
        match c {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

/// How long the character literal at the start of `rest` is; 0 for a lifetime.
fn char_length(rest: &[char]) -> usize {
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), Some(_)) => rest
            .iter()
            .skip(3)
            .position(|c| *c == '\'')
            .map_or(rest.len(), |end| end + 4),
        (Some(_), Some('\'')) => 3,
        _ => 0,
    }
}
