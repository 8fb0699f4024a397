//! The daemon's end of a connection to a debug port.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the daemon waits for the answer to a request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often somebody who waits looks whether the wait has lost its purpose.
const LOOK: Duration = Duration::from_millis(10);

/// The longest message that is read.
const MAX_BODY: usize = 16 << 20;

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The debug port closed it.
    ByPeer,
    /// The daemon closed it: by a `DELETE`, a newer link, or its own end.
    ByDaemon,
    /// The debug port said `terminated` or `exited`.
    Terminated,
    /// A message could not be parsed.
    Unparsable(String),
    /// The task that handles events panicked.
    Crashed(String),
}

/// What happened on a link so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The requests that were sent.
    pub requests: Vec<Value>,
    /// How many `output` events came.
    pub outputs: u64,
    /// How many of them were metric events.
    pub metric_events: u64,
    /// How many of them had a category that the daemon does not know.
    pub dropped: u64,
    /// How many of them found its buffer full.
    pub overflowed: u64,
    /// How many of them were taken for errors of the program.
    pub errors: u64,
    /// The rest: neither metrics nor errors, or of a metric that there is not.
    pub noise: Vec<String>,
    /// The bodies of the `breakpoint` events.
    pub breakpoint_events: Vec<Value>,
    /// Why it ended, if it did.
    pub ended: Option<Ended>,
}

/// What handles the events of a link.
pub(crate) trait Handler: Send {
    /// Handles the body of an `output` event; an error is the end of the link.
    fn output(&mut self, body: &Value, report: &mut Report) -> Result<(), Ended>;
}

/// Why a request has no good answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The debug port refused it.
    Refused(String),
    /// The link ended, the answer took too long, or nobody waits for it any more.
    Lost(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) | Self::Lost(why) => formatter.write_str(why),
        }
    }
}

/// A link.
pub(crate) struct Link {
    stream: TcpStream,
    /// The number of the last request. Held while a request is written, so that they go out in order.
    seq: Mutex<i64>,
    /// Who waits for an answer. Empty for ever once the link has ended.
    waiting: Mutex<HashMap<i64, Sender<Value>>>,
    report: Mutex<Report>,
    /// Held while a file's breakpoints are set: the newest list must be the last.
    pub setting: Mutex<()>,
}

impl Link {
    /// Connects to a port of this machine, whatever host was registered.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            seq: Mutex::new(0),
            waiting: Mutex::default(),
            report: Mutex::default(),
            setting: Mutex::new(()),
        })
    }

    /// What happened so far.
    pub fn report(&self) -> Report {
        lock(&self.report).clone()
    }

    /// How many requests were sent.
    pub fn sent(&self) -> usize {
        lock(&self.report).requests.len()
    }

    /// Whether it still works.
    pub fn is_open(&self) -> bool {
        lock(&self.report).ended.is_none()
    }

    /// Closes it without a word, as the daemon does.
    pub fn close(&self, why: Ended) {
        lock(&self.report).ended.get_or_insert(why);
        // Fails where the peer was faster; closed it is all the same.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends a request whose answer nobody waits for.
    pub fn send(&self, command: &str, arguments: Option<Value>) -> io::Result<()> {
        self.post(command, arguments, None)
    }

    fn post(
        &self,
        command: &str,
        arguments: Option<Value>,
        waits: Option<Sender<Value>>,
    ) -> io::Result<()> {
        let mut seq = lock(&self.seq);
        *seq += 1;
        if let Some(sender) = waits {
            // Before it is sent: the answer may be faster than the rest of this function.
            lock(&self.waiting).insert(*seq, sender);
        }
        let mut request = json!({"type": "request", "seq": *seq, "command": command});
        if let Some(arguments) = arguments {
            request["arguments"] = arguments;
        }
        let body = request.to_string();
        lock(&self.report).requests.push(request);
        let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        (&self.stream).write_all(frame.as_bytes())
    }

    /// Sends a request and waits for its success, until `given_up` says that nobody wants it any more.
    pub fn call(
        &self,
        command: &str,
        arguments: Option<Value>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Value, Failure> {
        let lost = |why: &str| Failure::Lost(format!("`{command}`: {why}"));
        let (sender, answer) = channel();
        self.post(command, arguments, Some(sender))
            .map_err(|error| lost(&error.to_string()))?;
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        let mut response = loop {
            match answer.recv_timeout(LOOK) {
                Ok(response) => break response,
                Err(RecvTimeoutError::Disconnected) => return Err(lost("the link ended")),
                Err(RecvTimeoutError::Timeout) if !self.is_open() => {
                    return Err(lost("the link ended"));
                }
                Err(RecvTimeoutError::Timeout) if given_up() => {
                    return Err(lost("nobody waits for it any more"));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    return Err(lost("no answer in 30 s"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        if response["success"] == true {
            return Ok(response["body"].take());
        }
        let message = response["message"].as_str().unwrap_or("no reason");
        Err(Failure::Refused(format!("`{command}`: {message}")))
    }

    /// Reads until the link ends, and gives the reason.
    pub fn run(&self, mut handler: impl Handler) -> Ended {
        let mut reader = BufReader::new(&self.stream);
        let why = loop {
            let message = match read_message(&mut reader) {
                Ok(Some(message)) => message,
                Ok(None) => break Ended::ByPeer,
                Err(why) => break Ended::Unparsable(why),
            };
            match message["type"].as_str() {
                Some("response") => self.answered(message),
                Some("event") => {
                    if let Err(why) = self.event(&message, &mut handler) {
                        break why;
                    }
                }
                // Requests of the debug port are not served.
                _ => {}
            }
        };
        self.close(why);
        lock(&self.waiting).clear();
        lock(&self.report).ended.clone().unwrap_or(Ended::ByPeer)
    }

    fn answered(&self, response: Value) {
        let seq = response["request_seq"].as_i64().unwrap_or(0);
        if let Some(waiting) = lock(&self.waiting).remove(&seq) {
            // Who waited may have given up.
            let _ = waiting.send(response);
        }
    }

    fn event(&self, event: &Value, handler: &mut impl Handler) -> Result<(), Ended> {
        match event["event"].as_str() {
            Some("terminated" | "exited") => Err(Ended::Terminated),
            Some("output") => {
                let mut report = lock(&self.report);
                report.outputs += 1;
                handler.output(&event["body"], &mut report)
            }
            Some("breakpoint") => {
                let mut report = lock(&self.report);
                report.breakpoint_events.push(event["body"].clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Reads a frame, as strictly as the daemon: `None` at the end, an error where it cannot be parsed.
fn read_message(reader: &mut impl BufRead) -> Result<Option<Value>, String> {
    let mut length = None;
    let mut started = false;
    loop {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            // A reset is an end like any other.
            Ok(0) | Err(_) if !started => return Ok(None),
            Ok(0) | Err(_) => return Err("the link ended inside of a header".to_owned()),
            Ok(_) => started = true,
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        // The case of the letters counts; other headers do not.
        if let Some(value) = line.strip_prefix("Content-Length:") {
            let value = value.trim();
            length = Some(
                value
                    .parse()
                    .map_err(|_| format!("a length of {value:?}"))?,
            );
        }
    }
    let length: usize = length.ok_or("a header without Content-Length")?;
    if length > MAX_BODY {
        return Err(format!("a message of {length} bytes"));
    }
    let mut body = vec![0; length];
    reader
        .read_exact(&mut body)
        .map_err(|_| "the link ended inside of a message")?;
    let message: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    match complaint(&message) {
        None => Ok(Some(message)),
        Some(what) => Err(format!("{what}: {message}")),
    }
}

/// What a message lacks that the daemon's types ask for.
fn complaint(message: &Value) -> Option<&'static str> {
    if !message["seq"].is_i64() {
        return Some("no integer `seq`");
    }
    match message["type"].as_str() {
        Some("request") if message["command"].is_string() => None,
        Some("request") => Some("a request without `command`"),
        Some("response") if !message["request_seq"].is_i64() => Some("no integer `request_seq`"),
        Some("response") if !message["command"].is_string() => Some("a response without `command`"),
        Some("response") if !message["success"].is_boolean() => Some("no boolean `success`"),
        Some("response")
            if message
                .get("message")
                .is_some_and(|message| !message.is_string()) =>
        {
            Some("a `message` that is no string")
        }
        Some("response") => None,
        Some("event") if message["event"].is_string() => None,
        Some("event") => Some("an event without `event`"),
        _ => Some("no `type` that exists"),
    }
}

/// A lock that a panicked thread held is as good as any: each holder leaves the data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
