//! A small blocking client, for tests and for programs that want to read their own logpoints.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::framing::{Decoder, FramingError, frame};
use crate::types::{Breakpoint, Output};

/// How long a response may take before [`ClientError::Timeout`].
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a debug adapter.
///
/// ```no_run
/// # fn main() -> Result<(), dap::ClientError> {
/// let mut client = dap::Client::connect("127.0.0.1:4711")?;
/// client.initialize()?;
/// client.attach(serde_json::json!({}))?;
/// client.set_logpoints("/srv/app/src/main.rs", &[(108, "total={total}")])?;
/// let output = client.next_output(std::time::Duration::from_secs(5))?;
/// println!("{}", output.output);
/// # Ok(())
/// # }
/// ```
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    last_seq: i64,
    /// Messages that came while another one was waited for.
    queue: VecDeque<Value>,
    observer: Option<Observer>,
}

type Observer = Box<dyn FnMut(Traffic<'_>) + Send>;

/// What passes between a client and an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Traffic<'a> {
    /// Bytes that were sent: one framed request, unless [`Client::send_bytes`] sent them.
    Sent(&'a [u8]),
    /// A message that was received.
    Received(&'a Value),
}

/// What can go wrong between a client and an adapter.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("the connection to the debug adapter failed: {0}")]
    Io(#[from] io::Error),
    /// The adapter closed the connection.
    #[error("the debug adapter closed the connection")]
    Closed,
    /// What was waited for did not come.
    #[error("no {0} from the debug adapter in time")]
    Timeout(String),
    /// The adapter does not speak the protocol.
    #[error("the debug adapter breaks the protocol: {0}")]
    Protocol(String),
    /// The adapter answered with an error.
    #[error("the debug adapter refused `{command}`: {message}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its reason.
        message: String,
    },
}

impl From<FramingError> for ClientError {
    fn from(error: FramingError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// The answer to a request, refusals included.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Whether the request was served.
    pub success: bool,
    /// The reason, in short, where it was not.
    pub message: Option<String>,
    /// Null where there is none.
    pub body: Value,
}

impl Client {
    /// Connects to an adapter.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::default(),
            last_seq: 0,
            queue: VecDeque::new(),
            observer: None,
        })
    }

    /// Shows to `observer` what is sent, and every message when it is received, in the order of the bytes.
    pub fn observe(&mut self, observer: impl FnMut(Traffic<'_>) + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn local_address(&self) -> Result<SocketAddr, ClientError> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends `initialize` and waits for the capabilities.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn initialize(&mut self) -> Result<Value, ClientError> {
        let arguments = json!({
            "clientID": "detrix-dap",
            "adapterID": "rust",
            "linesStartAt1": true,
            "columnsStartAt1": true,
            "pathFormat": "path",
        });
        self.call("initialize", arguments)
    }

    /// Sends `attach` and waits for its success.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn attach(&mut self, arguments: Value) -> Result<(), ClientError> {
        self.call("attach", arguments).map(drop)
    }

    /// Replaces all breakpoints of a file by logpoints, each a line and a message, and gives what became of them.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn set_logpoints(
        &mut self,
        path: &str,
        logpoints: &[(u64, &str)],
    ) -> Result<Vec<Breakpoint>, ClientError> {
        let breakpoints: Vec<Value> = logpoints
            .iter()
            .map(|(line, message)| json!({"line": line, "logMessage": message}))
            .collect();
        let arguments = json!({"source": {"path": path}, "breakpoints": breakpoints});
        let mut body = self.call("setBreakpoints", arguments)?;
        let breakpoints = body.get_mut("breakpoints").map(Value::take);
        serde_json::from_value(breakpoints.unwrap_or_default())
            .map_err(|error| ClientError::Protocol(error.to_string()))
    }

    /// Sends a request, waits for its success, and gives the body.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] where the adapter answers with an error, [`ClientError::Timeout`] after 30 seconds, and
    /// what breaks a connection.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value, ClientError> {
        let reply = self.request(command, arguments)?;
        match reply.success {
            true => Ok(reply.body),
            false => Err(ClientError::Refused {
                command: command.to_owned(),
                message: reply.message.unwrap_or_default(),
            }),
        }
    }

    /// Sends a request and waits for its answer, whatever it is.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`] after 30 seconds, and what breaks a connection.
    pub fn request(&mut self, command: &str, arguments: Value) -> Result<Reply, ClientError> {
        let seq = self.send(command, arguments)?;
        self.wait_reply(seq, RESPONSE_TIMEOUT)
    }

    /// Sends a request without waiting, and gives its number. Arguments that are null are left out.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn send(&mut self, command: &str, arguments: Value) -> Result<i64, ClientError> {
        self.last_seq += 1;
        let mut request = json!({"seq": self.last_seq, "type": "request", "command": command});
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let mut bytes = Vec::new();
        frame(&[request.to_string().as_bytes()], &mut bytes);
        self.send_bytes(&bytes)?;
        Ok(self.last_seq)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if let Some(observer) = &mut self.observer {
            observer(Traffic::Sent(bytes));
        }
        Ok(self.stream.write_all(bytes)?)
    }

    /// Tells the adapter that nothing more will be sent, as a client does that ends without `disconnect`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Io`].
    pub fn finish(&mut self) -> Result<(), ClientError> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Waits for the answer to the request with this number.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`], and what breaks a connection.
    pub fn wait_reply(&mut self, seq: i64, timeout: Duration) -> Result<Reply, ClientError> {
        let mut response =
            self.wait(&format!("response to request {seq}"), timeout, |message| {
                message["type"] == "response" && message["request_seq"] == seq
            })?;
        Ok(Reply {
            success: response["success"] == true,
            message: response["message"].as_str().map(str::to_owned),
            body: response["body"].take(),
        })
    }

    /// Waits for the first event of this name that was not given yet, and gives its body.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`], and what breaks a connection.
    pub fn wait_event(&mut self, name: &str, timeout: Duration) -> Result<Value, ClientError> {
        let mut event = self.wait(&format!("event `{name}`"), timeout, |message| {
            message["type"] == "event" && message["event"] == name
        })?;
        Ok(event["body"].take())
    }

    /// Waits for the next `output` event.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`], and what breaks a connection.
    pub fn next_output(&mut self, timeout: Duration) -> Result<Output, ClientError> {
        serde_json::from_value(self.wait_event("output", timeout)?)
            .map_err(|error| ClientError::Protocol(error.to_string()))
    }

    /// Waits for the next message of any kind that was not given yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`], and what breaks a connection; [`ClientError::Closed`] at its end.
    pub fn next_message(&mut self, timeout: Duration) -> Result<Value, ClientError> {
        self.wait("message", timeout, |_| true)
    }

    /// Takes the first message that `wanted` picks; others stay for later.
    fn wait(
        &mut self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut seen = 0;
        loop {
            let found = self.queue.iter().skip(seen).position(&wanted);
            if let Some(message) = found.and_then(|index| self.queue.remove(seen + index)) {
                return Ok(message);
            }
            seen = self.queue.len();
            if !self.receive(deadline)? {
                return Err(ClientError::Timeout(what.to_owned()));
            }
        }
    }

    /// Reads once, and queues what became complete; `false` when the time is up.
    fn receive(&mut self, deadline: Instant) -> Result<bool, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 << 10];
        let length = match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ClientError::Closed),
            Ok(length) => length,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(false),
                io::ErrorKind::Interrupted => return Ok(true),
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                    return Err(ClientError::Closed);
                }
                _ => return Err(error.into()),
            },
        };
        self.decoder.push(&chunk[..length]);
        while let Some(message) = self.decoder.next_message()? {
            if let Some(observer) = &mut self.observer {
                observer(Traffic::Received(&message));
            }
            self.queue.push_back(message);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    /// A client, and the other end of its connection.
    fn pair() -> (Client, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn send(server: &mut TcpStream, message: Value) {
        let mut bytes = Vec::new();
        frame(&[message.to_string().as_bytes()], &mut bytes);
        server.write_all(&bytes).unwrap();
    }

    #[test]
    fn what_does_not_come_is_an_error() {
        let (mut client, _server) = pair();
        let error = client.wait_event("initialized", SHORT).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no event `initialized` from the debug adapter in time"
        );
        assert!(matches!(
            client.wait_reply(1, Duration::ZERO),
            Err(ClientError::Timeout(_))
        ));
    }

    #[test]
    fn the_end_of_the_connection_is_an_error() {
        let (mut client, server) = pair();
        drop(server);
        assert!(matches!(client.next_output(LONG), Err(ClientError::Closed)));
    }

    #[test]
    fn garbage_is_an_error() {
        let (mut client, mut server) = pair();
        server.write_all(b"Content-Length: x\r\n\r\n").unwrap();
        assert!(matches!(
            client.next_message(LONG),
            Err(ClientError::Protocol(_))
        ));
    }

    #[test]
    fn an_answer_of_another_kind_is_an_error() {
        let (mut client, mut server) = pair();
        let answer = json!({"seq": 1, "type": "response", "request_seq": 1, "command": "setBreakpoints", "success": true, "body": []});
        send(&mut server, answer);
        assert!(matches!(
            client.set_logpoints("/a.rs", &[(1, "x")]),
            Err(ClientError::Protocol(_))
        ));
    }

    #[test]
    fn messages_wait_for_whom_they_concern() {
        let (mut client, mut server) = pair();
        let (seen, order) = mpsc::channel();
        client.observe(move |traffic| {
            if let Traffic::Received(message) = traffic {
                seen.send(message["seq"].clone()).unwrap();
            }
        });
        let first = client.send("threads", Value::Null).unwrap();
        let second = client.send("attach", json!({"pid": 1})).unwrap();
        let event = |seq, text| json!({"seq": seq, "type": "event", "event": "output", "body": {"output": text}});
        send(&mut server, event(1, "a"));
        send(
            &mut server,
            json!({"seq": 2, "type": "response", "request_seq": second, "command": "attach", "success": false, "message": "no"}),
        );
        send(&mut server, event(3, "b"));
        send(
            &mut server,
            json!({"seq": 4, "type": "response", "request_seq": first, "command": "threads", "success": true, "body": {"threads": []}}),
        );
        let threads = client.wait_reply(first, LONG).unwrap();
        assert_eq!(
            (threads.success, threads.body),
            (true, json!({"threads": []}))
        );
        let attach = client.wait_reply(second, LONG).unwrap();
        assert_eq!(
            (attach.success, attach.message.as_deref()),
            (false, Some("no"))
        );
        assert_eq!(client.next_output(LONG).unwrap().output, "a");
        assert_eq!(client.next_output(LONG).unwrap().output, "b");
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
