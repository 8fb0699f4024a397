//! A debug adapter without a debugger: it answers what it is told to, and says what the test wants said.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use dap::{Decoder, frame};
use detrix_test_support::until;
use serde_json::{Value, json};

/// What it does with a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    Succeeds,
    /// As `Succeeds`, with breakpoints that are not verified.
    VerifiesNothing,
    Refuses,
    Silent,
}

/// A listening adapter. Its threads end with their connections.
pub struct Adapter {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Every connection, the newest one last.
    connections: Vec<TcpStream>,
    /// Every request, with the number of its connection.
    requests: Vec<(usize, Value)>,
    /// Requests that are not simply answered.
    manners: Vec<(&'static str, Manner)>,
    seq: i64,
}

impl Adapter {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State::default()));
        thread::spawn({
            let state = state.clone();
            move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    let state = state.clone();
                    thread::spawn(move || serve(stream, &state));
                }
            }
        });
        Self { port, state }
    }

    /// From now on, this is done with requests of this name.
    pub fn set_manner(&self, command: &'static str, manner: Manner) {
        self.state().manners.push((command, manner));
    }

    /// The requests of the newest connection.
    pub fn requests(&self) -> Vec<Value> {
        let state = self.state();
        let newest = state.connections.len();
        let requests = state.requests.iter();
        let of_it = requests.filter(|(connection, _)| *connection == newest);
        of_it.map(|(_, request)| request.clone()).collect()
    }

    /// Its requests of one name.
    pub fn requests_of(&self, command: &str) -> Vec<Value> {
        let mut requests = self.requests();
        requests.retain(|request| request["command"] == command);
        requests
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state().connections.len()
    }

    /// Waits for a request of this name on the newest connection.
    pub fn wait_for(&self, command: &str) -> Value {
        let mut found = None;
        until(command, || {
            found = self.requests_of(command).pop();
            found.is_some()
        });
        found.expect("waited for")
    }

    /// Answers a request that was left without an answer.
    pub fn answer(&self, request: &Value) {
        let mut state = self.state();
        let answer = response(&mut state, request, Manner::Succeeds);
        state.send(&answer);
    }

    /// Sends an output event of a logpoint.
    pub fn output(&self, text: &str) {
        self.event("output", json!({"category": "console", "output": text}));
    }

    /// Sends an event.
    pub fn event(&self, name: &str, body: Value) {
        let mut state = self.state();
        state.seq += 1;
        let event = json!({"seq": state.seq, "type": "event", "event": name, "body": body});
        state.send(&event);
    }

    /// Sends a frame with this body, whatever it is.
    pub fn raw(&self, body: &str) {
        let mut bytes = Vec::new();
        frame(&[body.as_bytes()], &mut bytes);
        self.bytes(&bytes);
    }

    /// Sends these bytes.
    pub fn bytes(&self, bytes: &[u8]) {
        self.state().write(bytes);
    }

    /// Closes the newest connection.
    pub fn close(&self) {
        let state = self.state();
        let newest = state.connections.last().expect("there was a connection");
        newest.shutdown(Shutdown::Both).expect("it is open");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&self, message: &Value) {
        let mut bytes = Vec::new();
        frame(&[message.to_string().as_bytes()], &mut bytes);
        self.write(&bytes);
    }

    /// Errors are left alone: a test may go on sending to a link that has died of what it got.
    fn write(&self, bytes: &[u8]) {
        if let Some(mut newest) = self.connections.last() {
            let _ = newest.write_all(bytes);
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let number = {
        let mut state = lock();
        let clone = stream.try_clone().expect("a descriptor");
        state.connections.push(clone);
        state.connections.len()
    };
    let mut decoder = Decoder::default();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        decoder.push(&chunk[..length]);
        while let Some(request) = decoder.next_message().expect("the stand-in's frames") {
            let mut state = lock();
            let manners = state.manners.iter().rev();
            let manner = manners
                .into_iter()
                .find(|(command, _)| request["command"] == *command)
                .map_or(Manner::Succeeds, |(_, manner)| *manner);
            if manner != Manner::Silent {
                let answer = response(&mut state, &request, manner);
                let mut bytes = Vec::new();
                frame(&[answer.to_string().as_bytes()], &mut bytes);
                let _ = stream.write_all(&bytes);
            }
            state.requests.push((number, request));
        }
    }
    // As a process that ends: what is still open of it is closed.
    let _ = stream.shutdown(Shutdown::Both);
}

fn response(state: &mut State, request: &Value, manner: Manner) -> Value {
    state.seq += 1;
    let mut response = json!({
        "seq": state.seq,
        "type": "response",
        "request_seq": request["seq"],
        "command": request["command"],
        "success": manner != Manner::Refuses,
    });
    if manner == Manner::Refuses {
        response["message"] = json!("not today");
    }
    if let Some(breakpoints) = request["arguments"]["breakpoints"].as_array() {
        let verified = breakpoints.iter().map(|asked| match manner {
            Manner::VerifiesNothing => json!({"verified": false, "message": "no code there"}),
            _ => json!({"verified": true, "line": asked["line"]}),
        });
        response["body"] = json!({"breakpoints": verified.collect::<Vec<_>>()});
    }
    response
}
