//! What others wrote, made fit for a message.

/// The most characters of it that a message repeats.
const LONGEST: usize = 300;

/// `text` on one line: trimmed, with control characters escaped, and cut where it is long.
pub fn excerpt(text: &str) -> String {
    let text = text.trim();
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push_str("...");
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// What changes the order or the lines of the text around it without being a control character.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(
            excerpt("  größe\t1\r\n2\u{1b}[2J\u{202e} "),
            r"größe\t1\r\n2\u{1b}[2J\u{202e}"
        );
        let cut = excerpt(&"ä".repeat(LONGEST + 1));
        assert_eq!(cut, format!("{}...", "ä".repeat(LONGEST)));
        assert_eq!(excerpt(&"ä".repeat(LONGEST)), "ä".repeat(LONGEST));
    }
}
