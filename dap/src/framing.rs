//! Frames: `Content-Length: N`, an empty line, and N bytes of JSON.

use serde_json::Value;

/// The most bytes that the header of one message may have.
pub const MAX_HEADER: usize = 4 << 10;

/// The most bytes that the body of one message may have.
pub const MAX_BODY: usize = 4 << 20;

/// Why a connection's bytes are not the Debug Adapter Protocol. There is no way back into step: the connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Somebody speaks HTTP, most likely a browser: it must not reach the debugger, so close at once.
    #[error("this is an HTTP request, but the port speaks the Debug Adapter Protocol")]
    Http,
    /// The header did not end in time.
    #[error("the header of a message is longer than {MAX_HEADER} bytes")]
    HeaderTooLong,
    /// A line of the header is not `name: value` in ASCII.
    #[error("the header of a message has a line that is not `name: value`")]
    BadHeader,
    /// The header ended without a `Content-Length`.
    #[error("the header of a message has no Content-Length")]
    MissingLength,
    /// The length is not a decimal number, or there are two different ones.
    #[error("the Content-Length of a message is not a number")]
    BadLength,
    /// The length is above [`MAX_BODY`].
    #[error("a message is longer than {MAX_BODY} bytes")]
    BodyTooLong,
    /// The body is not UTF-8.
    #[error("the body of a message is not UTF-8")]
    NotUtf8,
    /// The body is not JSON; the parser's words, without the text.
    #[error("the body of a message is not JSON: {0}")]
    NotJson(String),
}

/// Takes the bytes of a connection as they come, and gives the messages.
///
/// After each [`push`](Self::push), call [`next_message`](Self::next_message) until it gives `None`: then no more than
/// one incomplete message is buffered, and its announced length alone allocates nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Start in `buffer` of the header's current line, or of the body.
    at: usize,
    /// How far `buffer` was searched for the end of the line.
    scanned: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Header { bytes: usize, length: Option<usize> },
    Body { length: usize },
    Failed(FramingError),
}

impl Default for State {
    fn default() -> Self {
        Self::Header {
            bytes: 0,
            length: None,
        }
    }
}

impl Decoder {
    /// Adds bytes that were received.
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        self.buffer.drain(..self.at);
        self.scanned -= self.at;
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes are pushed.
    ///
    /// # Errors
    ///
    /// [`FramingError`], the same one from then on: close the connection.
    pub fn next_message(&mut self) -> Result<Option<Value>, FramingError> {
        self.step().inspect_err(|error| {
            self.state = State::Failed(error.clone());
            self.buffer = Vec::new();
            (self.at, self.scanned) = (0, 0);
        })
    }

    fn step(&mut self) -> Result<Option<Value>, FramingError> {
        loop {
            match self.state {
                State::Failed(ref error) => return Err(error.clone()),
                State::Header { bytes, length } => {
                    let Some(line) = self.line(bytes)? else {
                        return Ok(None);
                    };
                    let text = &self.buffer[self.at..line.end];
                    self.state = match (text.is_empty(), length) {
                        (true, None) => return Err(FramingError::MissingLength),
                        (true, Some(length)) => State::Body { length },
                        (false, length) => State::Header {
                            bytes: bytes + (line.next - self.at),
                            length: content_length(text, length)?,
                        },
                    };
                    (self.at, self.scanned) = (line.next, line.next);
                }
                State::Body { length } => {
                    // In range: `at` never passes the buffer's end, and `length` is at most `MAX_BODY`.
                    let Some(body) = self.buffer.get(self.at..self.at + length) else {
                        return Ok(None);
                    };
                    let text = std::str::from_utf8(body).map_err(|_| FramingError::NotUtf8)?;
                    let value = serde_json::from_str(text)
                        .map_err(|error| FramingError::NotJson(error.to_string()))?;
                    self.at += length;
                    self.scanned = self.at;
                    self.state = State::default();
                    return Ok(Some(value));
                }
            }
        }
    }

    /// Looks for the end of the header's current line; `before` is the length of the lines before it.
    fn line(&mut self, before: usize) -> Result<Option<Line>, FramingError> {
        let fresh = &self.buffer[self.scanned..];
        let newline = fresh.iter().position(|byte| *byte == b'\n');
        let end = self.scanned + newline.unwrap_or(fresh.len());
        let line = &self.buffer[self.at..end];
        if before == 0 && is_http(line) {
            return Err(FramingError::Http);
        }
        if before + line.len() > MAX_HEADER {
            return Err(FramingError::HeaderTooLong);
        }
        let text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r');
        if !self.buffer[self.scanned..end].iter().all(text) {
            return Err(FramingError::BadHeader);
        }
        if newline.is_none() {
            self.scanned = end;
            return Ok(None);
        }
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        Ok(Some(Line {
            end: self.at + length,
            next: end + 1,
        }))
    }
}

/// Where a line's text ends, and where the next line begins.
struct Line {
    end: usize,
    next: usize,
}

/// Whether the beginning of a connection's or message's first line is an HTTP request: told by the method, before the
/// line is complete, or by the version at its end. No header of ours has a blank in its name.
fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"OPTIONS ",
        b"DELETE ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    METHODS.iter().any(|method| line.starts_with(method))
        || line.windows(6).any(|window| window == b" HTTP/")
}

/// Reads one line of the header, and gives the message's length as far as it is known after it.
fn content_length(line: &[u8], known: Option<usize>) -> Result<Option<usize>, FramingError> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or(FramingError::BadHeader)?);
    if !name
        .trim_ascii()
        .eq_ignore_ascii_case(b"content-length".as_slice())
    {
        return Ok(known);
    }
    let digits = value[1..].trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::BadLength);
    }
    // Only a number too large for `usize` can fail to parse now.
    let length = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|length| *length <= MAX_BODY)
        .ok_or(FramingError::BodyTooLong)?;
    match known {
        Some(known) if known != length => Err(FramingError::BadLength),
        _ => Ok(Some(length)),
    }
}

/// Appends one message, whose JSON is the concatenation of `parts`, with its header.
pub fn frame(parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let header = format!("Content-Length: {length}\r\n\r\n");
    out.reserve(header.len() + length);
    out.extend_from_slice(header.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn decode(bytes: &[u8]) -> Result<Vec<Value>, FramingError> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        drain(&mut decoder)
    }

    fn drain(decoder: &mut Decoder) -> Result<Vec<Value>, FramingError> {
        let mut messages = Vec::new();
        while let Some(message) = decoder.next_message()? {
            messages.push(message);
        }
        Ok(messages)
    }

    fn framed(body: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&[body.as_bytes()], &mut out);
        out
    }

    #[test]
    fn byte_by_byte() {
        let mut decoder = Decoder::default();
        let mut bytes = framed(r#"{"a":"ü"}"#);
        bytes.extend(framed("[1]"));
        let mut messages = Vec::new();
        for byte in bytes {
            decoder.push(&[byte]);
            messages.extend(drain(&mut decoder).unwrap());
        }
        assert_eq!(messages, [json!({"a": "ü"}), json!([1])]);
    }

    #[test]
    fn several_in_one_packet() {
        let bytes = [framed("1"), framed("2"), framed("3")].concat();
        assert_eq!(decode(&bytes).unwrap(), [json!(1), json!(2), json!(3)]);
    }

    #[test]
    fn other_headers_and_lower_case() {
        for header in [
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n",
            "Content-Length: 2\r\nContent-Type: text; charset=utf-8\r\n\r\n",
            "content-length:2\r\n\r\n",
            "CONTENT-LENGTH :\t2 \r\n\r\n",
            "Content-Length: 2\n\n",
            "Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
        ] {
            assert_eq!(
                decode(format!("{header}{{}}").as_bytes()).unwrap(),
                [json!({})],
                "{header:?}"
            );
        }
    }

    #[test]
    fn bad_frames() {
        use FramingError::*;
        let cases: [(&[u8], FramingError); 15] = [
            (b"Content-Length: x\r\n\r\n", BadLength),
            (b"Content-Length: -1\r\n\r\n", BadLength),
            (b"Content-Length: +1\r\n\r\n", BadLength),
            (b"Content-Length:\r\n\r\n", BadLength),
            (b"Content-Length: 1\r\nContent-Length: 2\r\n", BadLength),
            (b"Content-Length: 4194305\r\n", BodyTooLong),
            (b"Content-Length: 9999999999999\r\n", BodyTooLong),
            (
                b"Content-Length: 99999999999999999999999999\r\n",
                BodyTooLong,
            ),
            (b"\r\n", MissingLength),
            (b"A: b\r\n\r\n", MissingLength),
            (b"no colon\r\n", BadHeader),
            (b"\x16\x03\x01", BadHeader),
            (b"Content-L\xc3\xa4nge: 1\r\n", BadHeader),
            (b"Content-Length: 3\r\n\r\n\"\xff\"", NotUtf8),
            (b"GET / HTTP/1.1\r\n", Http),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(bytes), Err(error), "{}", bytes.escape_ascii());
        }
        assert!(matches!(decode(&framed("{")), Err(NotJson(_))));
        assert!(matches!(decode(&framed("")), Err(NotJson(_))));
        let deep = "[".repeat(100_000);
        assert!(matches!(decode(&framed(&deep)), Err(NotJson(_))));
    }

    #[test]
    fn an_error_is_final() {
        let mut decoder = Decoder::default();
        decoder.push(b"\r\n");
        assert_eq!(decoder.next_message(), Err(FramingError::MissingLength));
        decoder.push(&framed("1"));
        assert_eq!(decoder.next_message(), Err(FramingError::MissingLength));
        assert_eq!(decoder.buffer.capacity(), 0);
    }

    #[test]
    fn http_is_told_early() {
        for bytes in ["GET ", "POST /x", "OPTIONS *", "BREW /pot HTTP/1."] {
            assert_eq!(decode(bytes.as_bytes()), Err(FramingError::Http), "{bytes}");
        }
        // After a message as well, where a request was smuggled behind a frame.
        let bytes = [framed("1"), b"POST / HTTP/1.1\r\n".to_vec()].concat();
        assert_eq!(decode(&bytes), Err(FramingError::Http));
        // Not in a later line: no browser gets that far.
        assert_eq!(
            decode(b"A: b\r\nX: see HTTP/1.1\r\nContent-Length: 1\r\n\r\n7"),
            Ok(vec![json!(7)])
        );
    }

    #[test]
    fn a_header_without_end() {
        let mut decoder = Decoder::default();
        for pushed in 1..=MAX_HEADER + 1 {
            decoder.push(b"a");
            let result = decoder.next_message();
            if pushed <= MAX_HEADER {
                assert_eq!(result, Ok(None));
            } else {
                assert_eq!(result, Err(FramingError::HeaderTooLong));
            }
        }
        let many = "a: b\r\n".repeat(MAX_HEADER);
        assert_eq!(decode(many.as_bytes()), Err(FramingError::HeaderTooLong));
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = Decoder::default();
        decoder.push(format!("Content-Length: {MAX_BODY}\r\n\r\n").as_bytes());
        assert_eq!(decoder.next_message(), Ok(None));
        assert!(decoder.buffer.capacity() < 1024);
    }

    proptest! {
        #[test]
        fn split_anywhere(bodies in prop::collection::vec(".{0,40}", 1..5), cuts in prop::collection::vec(1..30_usize, 1..20)) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| framed(&json!(body).to_string())).collect();
            let mut decoder = Decoder::default();
            let (mut messages, mut rest, mut cut) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                decoder.push(chunk);
                messages.extend(drain(&mut decoder).unwrap());
                rest = after;
            }
            prop_assert_eq!(messages, bodies.iter().map(|body| json!(body)).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10)) {
            let mut decoder = Decoder::default();
            for chunk in chunks {
                decoder.push(&chunk);
                let _ = drain(&mut decoder);
            }
        }

        #[test]
        fn any_text(text in "(Content-Length|[a-z]{1,3}|:|[0-9]{1,3}|\r\n|\r\n\r\n|\n| |\\{|\\}){0,30}") {
            let _ = decode(text.as_bytes());
        }
    }
}
