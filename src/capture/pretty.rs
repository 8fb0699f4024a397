//! Breaks what `{:?}` prints into the lines of `{:#?}`.

/// What is shown in one line, in several.
pub fn pretty(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut depth = 0usize;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => literal(rest, '"'),
            '\'' => character(rest),
            '<' => marker(rest),
            '[' => socket(rest),
            _ => 0,
        };
        if length > 0 {
            let (whole, tail) = rest.split_at(length);
            out.push_str(whole);
            rest = tail;
            continue;
        }
        if let Some(digits) = address(rest).filter(|_| !ends_in_word(&out)) {
            out.push_str(&format!("0x{digits:0>16}"));
            rest = rest.get(2 + digits.len()..).unwrap_or_default();
            continue;
        }
        let (token, tail) = rest.split_at(c.len_utf8());
        rest = tail;
        match c {
            '(' | '[' | '{' => {
                rest = rest.trim_start_matches(' ');
                out.push_str(token);
                // What is empty stays together.
                if rest.starts_with([')', ']', '}']) {
                    continue;
                }
                depth += 1;
                line_break(&mut out, depth);
            }
            ')' | ']' | '}' => {
                let opened = out.ends_with(['(', '[', '{']);
                if !opened {
                    depth = depth.saturating_sub(1);
                    let end = out.trim_end_matches([' ', ',']).len();
                    out.truncate(end);
                    // Behind `..` there is nothing that a comma would separate.
                    if !out.ends_with("..") && !out.ends_with(" more") {
                        out.push(',');
                    }
                    line_break(&mut out, depth);
                }
                out.push_str(token);
            }
            ',' if depth > 0 => {
                rest = rest.trim_start_matches(' ');
                out.push(',');
                // The comma of a tuple of one.
                if !rest.starts_with(')') {
                    line_break(&mut out, depth);
                }
            }
            _ => out.push_str(token),
        }
    }
    out
}

fn line_break(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("    ", depth));
}

/// The digits of the address at the start, which `{:#?}` shows with all of them.
fn address(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit());
    digits.get(..end.unwrap_or(digits.len()))
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// How long the socket address at the start is, an IPv6 address in brackets and a port; 0 where there is none.
fn socket(text: &str) -> usize {
    let address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '%');
    let is_one = || {
        let (_, rest) = text.split_once('[')?;
        let (inside, port) = rest.split_once("]:")?;
        let digits = port
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(port.len());
        (inside.chars().all(address) && digits > 0).then_some("[]:".len() + inside.len() + digits)
    };
    is_one().unwrap_or(0)
}

/// How long the quoted text at the start is.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// How long the character at the start is; 0 where the quote begins none.
fn character(text: &str) -> usize {
    let length = literal(text, '\'');
    // `'\u{10ffff}'` is the longest.
    if length <= 12
        && text
            .get(..length)
            .is_some_and(|it| it.len() > 1 && it.ends_with('\''))
    {
        length
    } else {
        0
    }
}

/// How long the mark at the start is that says what is not there.
fn marker(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "printed")]
    struct Order {
        id: u32,
        name: &'static str,
        legs: Vec<Leg>,
        side: Option<Result<(i8, char), ()>>,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "printed")]
    enum Leg {
        Empty,
        Pair(f64, [u8; 2]),
        Named { x: (), y: &'static str },
    }

    #[test]
    fn as_rust_prints_it() {
        let order = Order {
            id: 1,
            name: "a, {b} \"c\" (d",
            legs: vec![
                Leg::Empty,
                Leg::Pair(1.5, [1, 2]),
                Leg::Named { x: (), y: "]" },
            ],
            side: Some(Ok((-1, ')'))),
        };
        assert_eq!(pretty(&format!("{order:?}")), format!("{order:#?}"));
        for value in [vec![], vec![(1,)]] {
            assert_eq!(pretty(&format!("{value:?}")), format!("{value:#?}"));
        }
        let quote = Some(['\'', '"', '\\']);
        assert_eq!(pretty(&format!("{quote:?}")), format!("{quote:#?}"));
        let sockets = [
            "[::1]:80",
            "[fe80::1%5]:80",
            "[::ffff:1.2.3.4]:80",
            "1.2.3.4:80",
        ];
        let sockets = sockets.map(|it| it.parse::<std::net::SocketAddr>());
        assert_eq!(pretty(&format!("{sockets:?}")), format!("{sockets:#?}"));
        let nested = std::collections::BTreeMap::from([([1], 2)]);
        assert_eq!(pretty(&format!("{nested:?}")), format!("{nested:#?}"));
        assert_eq!(pretty("5"), "5");
    }

    #[test]
    fn marks_stay_whole() {
        assert_eq!(
            pretty("A { a: <optimized out>, b: <&dyn B<(C, D)> at 0x10>, .. }"),
            "A {\n    a: <optimized out>,\n    b: <&dyn B<(C, D)> at 0x10>,\n    ..\n}"
        );
        assert_eq!(pretty("[1, .. 98 more]"), "[\n    1,\n    .. 98 more\n]");
    }
}
