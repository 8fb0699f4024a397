//! Hit conditions: which of the hits count.

use super::error::CompileError;
use super::number::{Binary, Kind, Mode, Number};
use super::typed::Node;

/// Which hits count, by their number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HitRule {
    op: Binary,
    number: u64,
}

impl HitRule {
    /// Parses `N`, `== N`, `= N`, `!= N`, `> N`, `>= N`, `< N`, `<= N` or `% N`, with blanks anywhere around them. A bare
    /// `N` means from the `N`th hit on, `% N` each `N`th hit.
    ///
    /// # Errors
    ///
    /// [`CompileError::HitCondition`] for anything else, `% 0` too.
    pub fn parse(text: &str) -> Result<Self, CompileError> {
        let wrong = || CompileError::HitCondition { text: text.into() };
        let trimmed = text.trim();
        let digits = trimmed.trim_start_matches(['=', '!', '<', '>', '%']);
        let operator = trimmed
            .get(..trimmed.len().saturating_sub(digits.len()))
            .unwrap_or_default();
        let op = match operator {
            "" | ">=" => Binary::Ge,
            "==" | "=" => Binary::Eq,
            "!=" => Binary::Ne,
            ">" => Binary::Gt,
            "<" => Binary::Lt,
            "<=" => Binary::Le,
            "%" => Binary::Rem,
            _ => return Err(wrong()),
        };
        let digits = digits.trim_start();
        // `parse` would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number = digits.parse().map_err(|_| wrong())?;
        if op == Binary::Rem && number == 0 {
            return Err(wrong());
        }
        Ok(Self { op, number })
    }

    /// Whether the hit whose number `hits` gives counts.
    pub fn node(self, hits: Node) -> Node {
        let constant = |value: u64| Node::Number(Number::new(Kind::unsigned(64), value.into()));
        let binary =
            |op, left, right| Node::Binary(op, Mode::Checked, Box::new(left), Box::new(right));
        let compared = binary(self.op, hits, constant(self.number));
        match self.op {
            Binary::Rem => binary(Binary::Eq, compared, constant(0)),
            _ => compared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form() {
        for (text, op, number) in [
            ("3", Binary::Ge, 3),
            (" 3 ", Binary::Ge, 3),
            ("== 3", Binary::Eq, 3),
            ("==3", Binary::Eq, 3),
            ("= 3", Binary::Eq, 3),
            ("!= 3", Binary::Ne, 3),
            ("> 3", Binary::Gt, 3),
            (">= 3", Binary::Ge, 3),
            ("< 3", Binary::Lt, 3),
            ("<= 3", Binary::Le, 3),
            ("% 3", Binary::Rem, 3),
            ("0", Binary::Ge, 0),
            ("18446744073709551615", Binary::Ge, u64::MAX),
        ] {
            assert_eq!(HitRule::parse(text), Ok(HitRule { op, number }), "{text}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "x",
            "=== 3",
            "=> 3",
            "<> 3",
            "% 0",
            "-3",
            "+3",
            "3.0",
            "3 4",
            "> x",
            ">",
            "% ",
            "! 3",
            "3 <",
            "0x3",
            "18446744073709551616",
            "> = 3",
            "$hits > 3",
        ] {
            let error = HitRule::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("is not understood; write `N`"),
                "{text}: {error}"
            );
        }
    }
}
