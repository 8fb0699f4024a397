//! How a value is shown: what follows the `:` of an expression, as in `format!`.

use super::error::CompileError;
use super::expr::quoted;
use super::number::{Kind, Number};
use super::pretty::pretty;
use std::fmt::Write as _;

/// Most blanks around a value.
const MAX_WIDTH: usize = 1024;
/// Most digits behind the point.
const MAX_PRECISION: usize = 64;
/// Most elements that can be asked for.
const MAX_ELEMENTS: usize = 4096;

/// A format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    source: String,
    style: Style,
    fill: char,
    align: Option<Align>,
    plus: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    elements: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Center,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// As `{:?}`, text as JSON.
    Plain,
    /// As `{}`.
    Display,
    /// As `{:?}`.
    Debug,
    Hex,
    UpperHex,
    Octal,
    Binary,
    Exp,
    UpperExp,
}

impl Format {
    /// Splits an expression from its format: the format follows the last single `:` outside of brackets and quotes.
    ///
    /// # Errors
    ///
    /// [`CompileError::Format`] where there is no such format.
    pub fn split(source: &str) -> Result<(&str, Self), CompileError> {
        match colon(source) {
            None => Ok((source, Self::of(Style::Plain))),
            Some(at) => {
                let (expression, format) = source.split_at(at);
                let format = format.get(1..).unwrap_or_default().trim();
                let parsed = Self::parse(format, Style::Plain)?;
                if expression.trim().is_empty() {
                    return Err(wrong(format, "there is no expression before it"));
                }
                Ok((expression.trim(), parsed))
            }
        }
    }

    /// As `{}`.
    pub fn display() -> Self {
        Self::of(Style::Display)
    }

    /// As `{:?}`.
    pub fn debug() -> Self {
        Self::of(Style::Debug)
    }

    /// Parses what follows the `:` in `format!`; nothing is `{}`.
    ///
    /// # Errors
    ///
    /// [`CompileError::Format`] where there is no such format.
    pub fn parse_display(source: &str) -> Result<Self, CompileError> {
        Self::parse(source, Style::Display)
    }

    /// What was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is `{}`, which only numbers and text have without code of the program.
    pub fn is_display(&self) -> bool {
        self.style == Style::Display
    }

    /// Whether it is `{:?}` or `{:#?}`.
    pub fn is_debug(&self) -> bool {
        self.style == Style::Debug
    }

    /// Whether numbers and text are to be shown as `{}` does, because a format was given that is none of debugging.
    pub fn is_bare(&self) -> bool {
        self.style == Style::Display
            || (self.style == Style::Plain
                && (self.width > 0 || self.precision.is_some() || self.plus))
    }

    /// How many elements are wanted.
    pub fn elements(&self) -> Option<usize> {
        self.elements
    }

    /// Whether only a number can be shown so.
    pub fn wants_number(&self) -> bool {
        !matches!(self.style, Style::Plain | Style::Display | Style::Debug)
            || self.plus
            || self.zero
    }

    /// Whether, of all that is no text, only a float can be shown so.
    pub fn has_precision(&self) -> bool {
        self.precision.is_some()
    }

    /// Whether it is `{:?}` with what Rust hands down to each part of a value.
    pub fn goes_to_parts(&self) -> bool {
        self.is_debug() && (self.width > 0 || self.precision.is_some())
    }

    /// Whether a number of that type can be shown so.
    pub fn fits(&self, kind: Kind) -> bool {
        let style = match self.style {
            Style::Hex | Style::UpperHex | Style::Octal | Style::Binary => kind.is_integer(),
            Style::Exp | Style::UpperExp => kind.is_integer() || kind.is_float(),
            Style::Plain | Style::Display | Style::Debug => true,
        };
        let signed = !(self.plus || self.zero) || kind.is_integer() || kind.is_float();
        // Of integers `?` ignores a precision.
        let ignored = self.style == Style::Debug && kind.is_integer();
        style && signed && (self.precision.is_none() || kind.is_float() || ignored)
    }

    /// A number in this format.
    pub fn number(&self, number: Number) -> String {
        if !number.is_valid() {
            return format!("<invalid {} {:#x}>", number.kind.name(), number.bits());
        }
        let digits = self.digits(number);
        let digits = if self.plus && !digits.starts_with('-') && digits != "NaN" {
            format!("+{digits}")
        } else {
            digits
        };
        let numeric = number.kind.is_integer() || number.kind.is_float();
        if self.zero && numeric {
            let missing = self.width.saturating_sub(digits.chars().count());
            let sign = usize::from(digits.starts_with(['-', '+']));
            let prefix = match digits.get(sign..sign.saturating_add(2)) {
                Some("0x" | "0b" | "0o") if self.alternate => sign + 2,
                _ => sign,
            };
            let (prefix, rest) = digits.split_at(prefix);
            return format!("{prefix}{}{rest}", "0".repeat(missing));
        }
        // The `Debug` of `char` takes no width.
        if number.kind == Kind::Char && self.is_debug() {
            return digits;
        }
        self.padded(&digits, if numeric { Align::Right } else { Align::Left })
    }

    /// Text in this format.
    pub fn text(&self, text: &str) -> String {
        let shown = match self.style {
            // Which takes no width.
            Style::Debug => return format!("{text:?}"),
            Style::Plain if !self.is_bare() => serde_json::Value::from(text).to_string(),
            _ => match self.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.to_owned(),
            },
        };
        self.padded(&shown, Align::Left)
    }

    /// Whether a precision leaves of a text that begins so nothing but what is there.
    pub fn takes_no_more_than(&self, beginning: &str) -> bool {
        let wanted = self.precision.filter(|_| self.is_bare());
        wanted.is_some_and(|wanted| beginning.chars().take(wanted).count() == wanted)
    }

    /// What is shown already, in this format.
    pub fn shown(&self, shown: &str) -> String {
        if self.style == Style::Debug && self.alternate {
            return pretty(shown);
        }
        self.padded(shown, Align::Left)
    }

    fn of(style: Style) -> Self {
        Self {
            source: String::new(),
            style,
            fill: ' ',
            align: None,
            plus: false,
            alternate: false,
            zero: false,
            width: 0,
            precision: None,
            elements: None,
        }
    }

    /// `[elements][[fill]align][sign]['#']['0'][width]['.' precision][type]`.
    fn parse(source: &str, default: Style) -> Result<Self, CompileError> {
        let mut format = Self {
            source: source.into(),
            ..Self::of(default)
        };
        let mut rest = source;
        if let Some((elements, tail)) = rest.strip_prefix('[').and_then(|it| it.split_once(']')) {
            let elements = elements.trim().parse().ok();
            let elements = elements.filter(|elements| (1..=MAX_ELEMENTS).contains(elements));
            format.elements =
                Some(elements.ok_or_else(|| wrong(source, "write 1 to 4096 elements"))?);
            rest = tail;
        }
        let mut chars = rest.chars();
        let (first, second) = (chars.next(), chars.next());
        if let (Some(fill), Some(align)) = (first, second.and_then(align)) {
            format.fill = fill;
            format.align = Some(align);
            rest = chars.as_str();
        } else if let Some(align) = first.and_then(align) {
            format.align = Some(align);
            rest = rest.get(1..).unwrap_or_default();
        }
        let mut flag = |flag: char| match rest.strip_prefix(flag) {
            Some(tail) => {
                rest = tail;
                true
            }
            None => false,
        };
        format.plus = flag('+');
        format.alternate = flag('#');
        format.zero = flag('0');
        if let Some(width) = digits(&mut rest) {
            format.width = width;
        }
        if let Some(mut tail) = rest.strip_prefix('.') {
            let precision = digits(&mut tail);
            format.precision =
                Some(precision.ok_or_else(|| wrong(source, "a number follows the `.`"))?);
            rest = tail;
        }
        format.style = match rest {
            "" => default,
            "?" => Style::Debug,
            "x" => Style::Hex,
            "X" => Style::UpperHex,
            "o" => Style::Octal,
            "b" => Style::Binary,
            "e" => Style::Exp,
            "E" => Style::UpperExp,
            _ => {
                let why = "there are `?`, `#?`, `x`, `X`, `#x`, `o`, `b`, `e`, `E`, `.3`, `>8`, `08`, `+` and `[100]`";
                return Err(wrong(source, why));
            }
        };
        if format.width > MAX_WIDTH || format.precision.is_some_and(|it| it > MAX_PRECISION) {
            return Err(wrong(
                source,
                "a width is at most 1024, a precision at most 64",
            ));
        }
        Ok(format)
    }

    fn digits(&self, number: Number) -> String {
        let bits = number.bits();
        let integer = matches!(number.kind, Kind::Integer { signed: false, .. });
        match (number.kind, self.style) {
            (Kind::F32, _) => self.float(number.single_float()),
            (Kind::F64, _) => self.float(number.float()),
            (Kind::Bool, _) => number.is_true().to_string(),
            (Kind::Char, _) => {
                let c = u32::try_from(bits).ok().and_then(char::from_u32);
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                if self.style == Style::Display || self.is_bare() {
                    c.to_string()
                } else {
                    format!("{c:?}")
                }
            }
            (_, Style::Hex) if self.alternate => format!("{bits:#x}"),
            (_, Style::Hex) => format!("{bits:x}"),
            (_, Style::UpperHex) if self.alternate => format!("{bits:#X}"),
            (_, Style::UpperHex) => format!("{bits:X}"),
            (_, Style::Octal) if self.alternate => format!("{bits:#o}"),
            (_, Style::Octal) => format!("{bits:o}"),
            (_, Style::Binary) if self.alternate => format!("{bits:#b}"),
            (_, Style::Binary) => format!("{bits:b}"),
            (_, Style::Exp) if integer => format!("{bits:e}"),
            (_, Style::Exp) => format!("{:e}", number.signed()),
            (_, Style::UpperExp) if integer => format!("{bits:E}"),
            (_, Style::UpperExp) => format!("{:E}", number.signed()),
            _ if integer => bits.to_string(),
            _ => number.signed().to_string(),
        }
    }

    fn float<F>(&self, value: F) -> String
    where
        F: std::fmt::Display + std::fmt::Debug + std::fmt::LowerExp + std::fmt::UpperExp,
    {
        match (self.style, self.precision) {
            (Style::Exp, None) => format!("{value:e}"),
            (Style::Exp, Some(precision)) => format!("{value:.precision$e}"),
            (Style::UpperExp, None) => format!("{value:E}"),
            (Style::UpperExp, Some(precision)) => format!("{value:.precision$E}"),
            (_, Some(precision)) => format!("{value:.precision$}"),
            (_, None) if self.is_bare() => format!("{value}"),
            (_, None) => format!("{value:?}"),
        }
    }

    fn padded(&self, text: &str, default: Align) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let (before, after) = match self.align.unwrap_or(default) {
            Align::Left => (0, missing),
            Align::Center => (missing / 2, missing - missing / 2),
            Align::Right => (missing, 0),
        };
        let mut padded = String::with_capacity(text.len() + missing);
        let fill = |count| std::iter::repeat_n(self.fill, count);
        padded.extend(fill(before));
        // Writing to a string cannot fail.
        let _ = padded.write_str(text);
        padded.extend(fill(after));
        padded
    }
}

fn align(c: char) -> Option<Align> {
    match c {
        '<' => Some(Align::Left),
        '^' => Some(Align::Center),
        '>' => Some(Align::Right),
        _ => None,
    }
}

/// Takes the digits at the start of a text.
fn digits(rest: &mut &str) -> Option<usize> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, tail) = rest.split_at(end);
    *rest = tail;
    if number.is_empty() {
        None
    } else {
        Some(number.parse().unwrap_or(usize::MAX))
    }
}

fn wrong(format: &str, why: &str) -> CompileError {
    CompileError::Format {
        format: format.into(),
        why: why.into(),
    }
}

/// Where the colon is that a format follows, in bytes.
fn colon(source: &str) -> Option<usize> {
    let marked = quoted(source);
    let mut depth = 0usize;
    let mut found = None;
    let mut at = 0;
    for (index, (c, quoted)) in marked.iter().enumerate() {
        let near = |index: Option<usize>| {
            index
                .and_then(|index| marked.get(index))
                .is_some_and(|(c, quoted)| *c == ':' && !quoted)
        };
        match c {
            _ if *quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && !near(index.checked_sub(1)) && !near(index.checked_add(1)) => {
                found = Some(at);
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    found
}

#[cfg(test)]
mod tests;
