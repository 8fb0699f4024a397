//! The conversation of a client and a server, which a failing test prints.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dap::{Client, Traffic};
use serde_json::Value;

use crate::schema;

/// How many messages are kept; a flood of output must not hide what led to the failure.
const KEPT: usize = 200;

/// How much of a message is printed, in characters.
const SHOWN: usize = 1_000;

/// What a client has received so far, in the order of the bytes.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<Mutex<Vec<Value>>>);

impl Received {
    /// All messages until now.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Has `client` check every message that it receives against the schema, and print the conversation if the test fails.
pub fn watch(client: &mut Client) {
    record(client, None);
}

/// As [`watch`], and keeps what is received.
pub fn watch_and_keep(client: &mut Client) -> Received {
    let received = Received::default();
    record(client, Some(received.clone()));
    received
}

fn record(client: &mut Client, received: Option<Received>) {
    let mut transcript = Transcript::default();
    client.observe(move |traffic| match traffic {
        Traffic::Sent(bytes) => transcript.add("->", &String::from_utf8_lossy(bytes)),
        Traffic::Received(message) => {
            transcript.add("<-", &message.to_string());
            if let Some(Received(messages)) = &received {
                let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
                messages.push(message.clone());
            }
            schema::assert_valid(message);
        }
    });
}

/// Printed when it is dropped by a panic; the test harness shows it with the test's output.
#[derive(Default)]
struct Transcript {
    lines: VecDeque<String>,
    left_out: usize,
}

impl Transcript {
    fn add(&mut self, way: &str, text: &str) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
            self.left_out += 1;
        }
        // The header of a frame says nothing that helps.
        let text = match text.split_once("\r\n\r\n") {
            Some((header, body)) if header.starts_with("Content-Length: ") => body,
            _ => text,
        };
        let (shown, more) = match text.char_indices().nth(SHOWN) {
            Some((end, _)) => (&text[..end], " ..."),
            None => (text, ""),
        };
        self.lines.push_back(format!("{way} {shown}{more}"));
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        println!("the conversation ({} messages left out):", self.left_out);
        for line in &self.lines {
            println!("  {line}");
        }
    }
}
