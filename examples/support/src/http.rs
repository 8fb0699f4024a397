//! As much of HTTP/1.1 as the stand-in and its callers need: one request a connection, bodies of a known length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// The most bytes that the head, and that the body, of a message may have.
const MAX: u64 = 4 << 20;

/// How long a peer may take to send or accept anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one from a connection; `None` where the peer closed it without one.
    pub fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream).take(MAX);
        let Some(head) = Head::read(&mut reader)? else {
            return Ok(None);
        };
        let mut words = head.first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(invalid("the request line has no target"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let length = head.length()?.unwrap_or(0);
        Ok(Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            authorization: head.header("authorization").map(str::to_owned),
            body: read_exactly(&mut reader, length)?,
        }))
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What the stand-in answers.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: "",
            body: Vec::new(),
        }
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
        }
    }

    /// An answer in words.
    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.as_bytes().to_vec(),
        }
    }

    /// Sends it, and ends the connection.
    pub fn write(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if !self.content_type.is_empty() {
            bytes += &format!("Content-Type: {}\r\n", self.content_type);
        }
        // RFC 9110, section 8.6: a 204 has no length.
        if self.status != 204 {
            bytes += &format!("Content-Length: {}\r\n", self.body.len());
        }
        bytes += "Connection: close\r\n\r\n";
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(bytes.as_bytes())?;
        stream.write_all(&self.body)?;
        stream.shutdown(Shutdown::Write)
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Reply {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends a request to an `http` URL and gives the answer, whatever its status.
///
/// # Errors
///
/// When the URL is no `http` URL, the server cannot be reached, or what it sends is no HTTP.
pub fn call(
    method: &str,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> io::Result<Reply> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(invalid(&format!("{url} does not start with http://")));
    };
    let split = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(split);
    let path = if path.is_empty() { "/" } else { path };
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(token) = token {
        request += &format!("Authorization: Bearer {token}\r\n");
    }
    match body {
        Some(body) => {
            let body = body.to_string();
            let length = body.len();
            request += &format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
        None => request += "Content-Length: 0\r\n\r\n",
    }
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    read_reply(&stream)
}

fn read_reply(stream: &TcpStream) -> io::Result<Reply> {
    let mut reader = BufReader::new(stream).take(MAX);
    let head =
        Head::read(&mut reader)?.ok_or_else(|| invalid("the server closed without an answer"))?;
    let status = head
        .first
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| invalid("the answer has no status"))?;
    let body = match head.length()? {
        Some(length) => read_exactly(&mut reader, length)?,
        None => {
            let mut body = Vec::new();
            reader.read_to_end(&mut body)?;
            body
        }
    };
    Ok(Reply {
        status,
        body: String::from_utf8(body).map_err(|_| invalid("the answer is not UTF-8"))?,
    })
}

/// The first line and the headers of a message.
struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(invalid("the head of a message does not end"));
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let header = line.split_once(':');
            let (name, value) = header.ok_or_else(|| invalid("a header has no colon"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Self {
            first: first.trim_end().to_owned(),
            headers,
        }))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn length(&self) -> io::Result<Option<u64>> {
        if self.header("transfer-encoding").is_some() {
            return Err(invalid("a body in chunks is not supported here"));
        }
        let length = self.header("content-length").map(str::parse).transpose();
        length.map_err(|_| invalid("the length of a body is no number"))
    }
}

fn read_exactly(reader: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    match body.len() as u64 == length {
        true => Ok(body),
        false => Err(invalid("a body is shorter than its length")),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        422 => "Unprocessable Entity",
        _ => "Internal Server Error",
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
