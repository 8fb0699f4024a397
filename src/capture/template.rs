//! The text of a log message: literal parts and expressions in braces.

use std::sync::Arc;

use thiserror::Error;

/// Longest expression, in bytes: bounds the recursion of the parser behind it.
pub const MAX_EXPRESSION: usize = 512;

/// Most expressions in one message.
pub const MAX_EXPRESSIONS: usize = 64;

/// Most bytes of text between the expressions of one message: each hit says them again.
pub const MAX_TEXT: usize = 16 << 10;

/// A parsed log message.
///
/// `{expr}` is an expression, `\{` and `\}` are braces; nothing else is interpreted, so `\n` stays `\n`. Brackets,
/// braces and quotes within an expression belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// In order; no two texts in a row.
    pub segments: Arc<[Segment]>,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Printed as it is.
    Text(String),
    /// What stood between the braces, without blanks around it.
    Expression(String),
}

/// Why a log message could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("log message, column {column}: {problem}")]
pub struct TemplateError {
    /// Where, in characters, from 1.
    pub column: usize,
    /// What.
    pub problem: Problem,
}

/// What is wrong at a column of a log message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each says its own sentence.
pub enum Problem {
    #[error("this `{0}` is never closed")]
    Unclosed(char),
    #[error("this `{0}` closes nothing; write `\\{0}` for a literal brace")]
    Unopened(char),
    #[error("`{found}` where `{expected}` was expected")]
    Mismatched { found: char, expected: char },
    #[error(
        "there is no expression between these braces; write `\\{{` and `\\}}` for literal ones"
    )]
    Empty,
    #[error("this expression is longer than {MAX_EXPRESSION} bytes")]
    TooLong,
    #[error("more than {MAX_EXPRESSIONS} expressions in one message")]
    TooMany,
    #[error(
        "the text of this message is longer than {MAX_TEXT} bytes, and each hit would say it; write a shorter one"
    )]
    TooMuchText,
}

impl Template {
    /// Splits a log message into text and expressions.
    ///
    /// # Errors
    ///
    /// Braces, brackets or quotes that do not match, an empty or overlong expression, too many expressions, too
    /// much text.
    pub fn parse(message: &str) -> Result<Self, TemplateError> {
        let chars: Vec<char> = message.chars().collect();
        let mut segments = Vec::new();
        let mut text = String::new();
        let mut expressions = 0;
        let mut length = 0;
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            match (c, chars.get(at + 1)) {
                ('\\', Some(&brace @ ('{' | '}'))) => {
                    text.push(brace);
                    length += 1;
                    at += 2;
                }
                ('{', _) => {
                    let end = Scanner { chars: &chars, at }.closing()?;
                    let source: String =
                        chars.get(at + 1..end).unwrap_or_default().iter().collect();
                    let source = source.trim();
                    expressions += 1;
                    if source.is_empty() {
                        return Err(error(at, Problem::Empty));
                    } else if source.len() > MAX_EXPRESSION {
                        return Err(error(at, Problem::TooLong));
                    } else if expressions > MAX_EXPRESSIONS {
                        return Err(error(at, Problem::TooMany));
                    }
                    if !text.is_empty() {
                        segments.push(Segment::Text(std::mem::take(&mut text)));
                    }
                    segments.push(Segment::Expression(source.to_owned()));
                    at = end + 1;
                }
                ('}', _) => return Err(error(at, Problem::Unopened('}'))),
                _ => {
                    text.push(c);
                    length += c.len_utf8();
                    at += 1;
                }
            }
            if length > MAX_TEXT {
                return Err(error(at - 1, Problem::TooMuchText));
            }
        }
        if !text.is_empty() {
            segments.push(Segment::Text(text));
        }
        let segments = segments.into();
        Ok(Self { segments })
    }

    /// The expressions, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Expression(source) => Some(source.as_str()),
            Segment::Text(_) => None,
        })
    }
}

fn error(at: usize, problem: Problem) -> TemplateError {
    TemplateError {
        column: at + 1,
        problem,
    }
}

/// Finds the end of an expression without knowing Rust's grammar: brackets and quotes are enough.
struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
}

impl Scanner<'_> {
    /// The index of the brace that closes the one at `self.at`.
    fn closing(mut self) -> Result<usize, TemplateError> {
        let mut open: Vec<(char, usize)> = Vec::new();
        while let Some(&c) = self.chars.get(self.at) {
            match c {
                '{' | '[' | '(' => open.push((c, self.at)),
                '}' | ']' | ')' => {
                    let expected = open.pop().map(|(opener, _)| closer(opener));
                    match expected {
                        Some(expected) if expected != c => {
                            return Err(error(self.at, Problem::Mismatched { found: c, expected }));
                        }
                        _ if open.is_empty() => return Ok(self.at),
                        _ => {}
                    }
                }
                '"' => self.string()?,
                '\'' => self.character(),
                'r' if !self.within_word() => self.raw_string()?,
                _ => {}
            }
            self.at += 1;
        }
        let (c, at) = open.pop().unwrap_or(('{', self.at));
        Err(error(at, Problem::Unclosed(c)))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn within_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.chars.get(at));
        before.is_some_and(|c| c.is_alphanumeric() || *c == '_')
    }

    /// From the opening quote to the closing one.
    fn string(&mut self) -> Result<(), TemplateError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek(0) {
                Some('"') => return Ok(()),
                Some('\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(error(start, Problem::Unclosed('"'))),
            }
        }
    }

    /// From the opening quote of a character to its closing one; stays where it is at a lifetime.
    fn character(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                let rest = self.chars.get(self.at + 3..).unwrap_or_default();
                if let Some(end) = rest.iter().position(|c| *c == '\'') {
                    self.at += 3 + end;
                }
            }
            (Some(_), Some('\'')) => self.at += 2,
            _ => {}
        }
    }

    /// From the `r` of a raw string to its last hash; stays where it is at anything else.
    fn raw_string(&mut self) -> Result<(), TemplateError> {
        let rest = self.chars.get(self.at + 1..).unwrap_or_default();
        let hashes = rest.iter().take_while(|c| **c == '#').count();
        if rest.get(hashes) != Some(&'"') {
            return Ok(());
        }
        let body = rest.get(hashes + 1..).unwrap_or_default();
        let ends = |at: usize| {
            body.get(at) == Some(&'"')
                && body
                    .get(at + 1..at + 1 + hashes)
                    .is_some_and(|tail| tail.iter().all(|c| *c == '#'))
        };
        match (0..body.len()).find(|at| ends(*at)) {
            Some(end) => {
                self.at += hashes + 2 + end + hashes;
                Ok(())
            }
            None => Err(error(self.at, Problem::Unclosed('"'))),
        }
    }
}

fn closer(opener: char) -> char {
    match opener {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Segment {
        Segment::Text(text.into())
    }

    fn expression(source: &str) -> Segment {
        Segment::Expression(source.into())
    }

    fn parse(message: &str) -> Vec<Segment> {
        Template::parse(message).unwrap().segments.to_vec()
    }

    fn problem(message: &str) -> (usize, Problem) {
        let error = Template::parse(message).unwrap_err();
        (error.column, error.problem)
    }

    #[test]
    fn splits_text_and_expressions() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("plain"), [text("plain")]);
        assert_eq!(
            parse("a={ a } b={b.c}!"),
            [
                text("a="),
                expression("a"),
                text(" b="),
                expression("b.c"),
                text("!")
            ]
        );
        assert_eq!(
            parse("DETRICS:m={a}\u{1f}{b}"),
            [
                text("DETRICS:m="),
                expression("a"),
                text("\u{1f}"),
                expression("b")
            ]
        );
    }

    #[test]
    fn escapes_braces_and_nothing_else() {
        assert_eq!(
            parse(r"\{a\} \n \\ {x}"),
            [text(r"{a} \n \\ "), expression("x")]
        );
    }

    #[test]
    fn nested_brackets_and_quotes_belong_to_the_expression() {
        for source in [
            "Foo { a: 1 }.a",
            r#"format!("{}}}", price)"#,
            r#"f("\"}")"#,
            "v[f({0})]",
            "x == '}'",
            r"x == '\''",
            r"x == '\u{7d}'",
            "f::<'a, b>(c)",
            r###"r#"}"#.len()"###,
            "bar + r#type",
        ] {
            assert_eq!(
                parse(&format!("<{{{source}}}>")),
                [text("<"), expression(source), text(">")]
            );
        }
    }

    #[test]
    fn names_the_column_of_what_does_not_match() {
        assert_eq!(problem("äb {c"), (4, Problem::Unclosed('{')));
        assert_eq!(problem("ab }"), (4, Problem::Unopened('}')));
        assert_eq!(
            problem("{a[1}"),
            (
                5,
                Problem::Mismatched {
                    found: '}',
                    expected: ']'
                }
            )
        );
        assert_eq!(problem("{a[1"), (3, Problem::Unclosed('[')));
        assert_eq!(problem("{\"a}"), (2, Problem::Unclosed('"')));
        assert_eq!(problem("x{ }"), (2, Problem::Empty));
        assert_eq!(
            problem(&format!("{{{}}}", "a".repeat(MAX_EXPRESSION + 1))),
            (1, Problem::TooLong)
        );
        assert_eq!(
            problem(&"{a}".repeat(MAX_EXPRESSIONS + 1)).1,
            Problem::TooMany
        );
        let most = "{a}".to_owned() + &"x".repeat(MAX_TEXT);
        assert_eq!(parse(&most).len(), 2);
        assert_eq!(
            problem(&format!("{most}y{{a}}")),
            (MAX_TEXT + 4, Problem::TooMuchText)
        );
        let shown = Template::parse("ab }").unwrap_err().to_string();
        assert_eq!(
            shown,
            r"log message, column 4: this `}` closes nothing; write `\}` for a literal brace"
        );
    }

    proptest! {
        #[test]
        fn any_message_parses_or_fails(message in "([{}\\[\\]()\"'r#\\\\a ]|\\PC){0,40}") {
            let _ = Template::parse(&message);
        }

        #[test]
        fn escaped_text_is_kept(message in "\\PC{0,40}") {
            let escaped = message.replace('{', "\\{").replace('}', "\\}");
            let joined: String = parse(&escaped).into_iter().map(|segment| match segment {
                Segment::Text(text) => text,
                Segment::Expression(_) => unreachable!("every brace is escaped"),
            }).collect();
            prop_assert_eq!(joined, message);
        }
    }
}
