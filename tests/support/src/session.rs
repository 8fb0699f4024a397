//! A DAP client that reads like the conversation that a test is about.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use dap::ClientError;
use serde_json::{Value, json};

use crate::{PATIENCE, watch};

/// What a logpoint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The text, without its newline.
    pub text: String,
    /// The source file.
    pub path: String,
    /// The line.
    pub line: u32,
}

/// The server's answer about one breakpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The identity that later events use.
    pub id: Option<u64>,
    /// Whether it is armed.
    pub verified: bool,
    /// Where it is armed.
    pub line: Option<u32>,
    /// Why it is not, or what is to be known.
    pub message: String,
}

/// An attached client. Dropping it closes the connection.
pub struct Session {
    client: dap::Client,
}

impl Session {
    /// Connects to `port` and initializes, without attaching.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        let mut client = dap::Client::connect((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("connect to {port}: {error}"));
        watch(&mut client);
        client
            .initialize()
            .unwrap_or_else(|error| panic!("initialize: {error}"));
        Self { client }
    }

    /// Connects, initializes, attaches and finishes the configuration.
    #[must_use]
    pub fn attach(port: u16) -> Self {
        Self::attach_with(port, json!({}))
    }

    /// As [`Session::attach`], with arguments for `attach`.
    #[must_use]
    pub fn attach_with(port: u16, arguments: Value) -> Self {
        let mut session = Self::connect(port);
        session.request("attach", arguments);
        session.expect_event("initialized");
        session.request("configurationDone", json!({}));
        session
    }

    /// Sends a request and returns the body of the answer.
    ///
    /// # Panics
    ///
    /// When the answer is an error or does not come.
    pub fn request(&mut self, command: &str, arguments: Value) -> Value {
        self.try_request(command, arguments)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// The text of an error response.
    pub fn try_request(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        match self.client.call(command, arguments) {
            Err(ClientError::Refused { message, .. }) => Err(message),
            other => Ok(other.unwrap_or_else(|error| panic!("{command}: {error}"))),
        }
    }

    /// Replaces the logpoints of a file. None clears it.
    pub fn logpoints(&mut self, path: &Path, lines: &[(u32, &str)]) -> Vec<Placed> {
        let breakpoints: Vec<Value> = lines
            .iter()
            .map(|(line, message)| json!({ "line": line, "logMessage": message }))
            .collect();
        let placed = self.breakpoints(path, &json!(breakpoints));
        assert_eq!(placed.len(), lines.len(), "as many answers as lines");
        placed
    }

    /// Sends `setBreakpoints` with any breakpoints.
    pub fn breakpoints(&mut self, path: &Path, breakpoints: &Value) -> Vec<Placed> {
        let path = path.to_str().expect("test paths are UTF-8");
        let body = self.request(
            "setBreakpoints",
            json!({ "source": { "path": path }, "breakpoints": breakpoints }),
        );
        body["breakpoints"]
            .as_array()
            .expect("the answer has breakpoints")
            .iter()
            .map(placed)
            .collect()
    }

    /// Sets one logpoint, which must be verified.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn logpoint(&mut self, path: &Path, line: u32, message: &str) -> Placed {
        let placed = self.logpoints(path, &[(line, message)]).remove(0);
        assert!(
            placed.verified,
            "{}:{line} {message:?}: {placed:?}",
            path.display()
        );
        placed
    }

    /// What the next logpoint to fire says.
    ///
    /// # Panics
    ///
    /// When none does.
    pub fn output(&mut self) -> Output {
        self.try_output(PATIENCE)
            .unwrap_or_else(|| panic!("no output for {PATIENCE:?}"))
    }

    /// What the next logpoint to fire says, or `None` after `timeout`. Output that is not a logpoint's, such as a warning of
    /// the server, has no source and is skipped.
    pub fn try_output(&mut self, timeout: Duration) -> Option<Output> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let body = self.try_event("output", left)?;
            if body["source"].is_object() {
                return Some(output(&body));
            }
        }
    }

    /// The next `count` outputs.
    pub fn outputs(&mut self, count: usize) -> Vec<Output> {
        (0..count).map(|_| self.output()).collect()
    }

    /// What the next `count` outputs say.
    pub fn texts(&mut self, count: usize) -> Vec<String> {
        let outputs = self.outputs(count);
        outputs.into_iter().map(|output| output.text).collect()
    }

    /// All outputs of what the program has done until now, some hundred at most: the server sends them before it answers
    /// `threads`.
    pub fn drain(&mut self) -> Vec<Output> {
        self.request("threads", json!({}));
        let mut outputs = Vec::new();
        while let Some(output) = self.try_output(Duration::ZERO) {
            outputs.push(output);
        }
        outputs
    }

    /// Waits for an event of this name and returns its body. Other events stay for later.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn expect_event(&mut self, name: &str) -> Value {
        self.try_event(name, PATIENCE)
            .unwrap_or_else(|| panic!("no `{name}` event for {PATIENCE:?}"))
    }

    /// As [`Session::expect_event`], or `None` after `timeout`.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    pub fn try_event(&mut self, name: &str, timeout: Duration) -> Option<Value> {
        match self.client.wait_event(name, timeout) {
            Err(ClientError::Timeout(_)) => None,
            other => Some(other.unwrap_or_else(|error| panic!("waiting for `{name}`: {error}"))),
        }
    }

    /// Whether the server closes the connection within [`PATIENCE`]; messages before its end are dropped.
    pub fn closes(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.client.next_message(PATIENCE) {
                Ok(_) => {}
                Err(ClientError::Closed) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// Disconnects and waits for the answer.
    pub fn disconnect(mut self) {
        self.request("disconnect", json!({}));
    }
}

fn placed(answer: &Value) -> Placed {
    Placed {
        id: answer["id"].as_u64(),
        verified: answer["verified"]
            .as_bool()
            .expect("`verified` is required"),
        line: answer["line"]
            .as_u64()
            .and_then(|line| line.try_into().ok()),
        message: answer["message"].as_str().unwrap_or_default().to_owned(),
    }
}

fn output(body: &Value) -> Output {
    let text = body["output"].as_str().expect("`output` is required");
    Output {
        text: text
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("no newline: {text:?}"))
            .to_owned(),
        path: body["source"]["path"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        line: body["line"]
            .as_u64()
            .and_then(|line| line.try_into().ok())
            .unwrap_or(0),
    }
}
