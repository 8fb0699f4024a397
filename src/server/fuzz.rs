//! Any bytes of a client, taken in as a connection would, with a debugger that is made up.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use dap::{Decoder, SourceMap, frame};
use serde_json::Value;

use super::audit::Peer;
use super::backend::{
    Backend, Hit, NamedFile, Notice, Part, Placed, SessionId, Wanted, WrongExpressions,
};
use super::clients::Clients;
use super::outlet::Outlet;
use super::session::{Next, Session};

/// What a client led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Requests that were answered with what they asked for.
    pub granted: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Events.
    pub events: usize,
}

/// Gives the bytes to a session. Where they begin with a brace, each line is the body of a message and gets its header
/// here, so that a mutation of a body needs no luck to be read.
///
/// # Panics
///
/// Where the session breaks its word: a request without its answer, an event before `initialize`, numbers with a gap, a
/// message that depends on how the bytes were cut into pieces, something left at the backend when it is closed.
pub fn dap(data: &[u8]) -> Said {
    let framed = framed(data);
    let piece = framed.iter().fold(1, |sum, byte| sum ^ byte).max(1);
    let mut conversation = Conversation::new();
    let mut pieces = Vec::new();
    conversation.take(&framed, usize::from(piece), &mut pieces);
    let said = conversation.end();
    let mut decoder = Decoder::default();
    decoder.push(&framed);
    for piece in pieces {
        assert_eq!(decoder.next_message().ok().flatten(), Some(piece));
    }
    said
}

fn framed(data: &[u8]) -> Vec<u8> {
    if !data.starts_with(b"{") {
        return data.to_vec();
    }
    let mut framed = Vec::new();
    for body in data.split(|byte| *byte == b'\n') {
        frame(&[body], &mut framed);
    }
    framed
}

/// A session, and what is expected of it.
struct Conversation {
    session: Session<Made>,
    backend: Rc<RefCell<Made>>,
    clients: Clients,
    /// The numbers of requests that have no answer yet.
    asked: VecDeque<Value>,
    answers: Decoder,
    seq: i64,
    open: bool,
    said: Said,
}

impl Conversation {
    fn new() -> Self {
        let backend = Rc::<RefCell<Made>>::default();
        let clients = Clients::new();
        let peer = Peer {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)),
            user: Some(1000),
        };
        Self {
            session: Session::new(1, peer, clients.clone(), Rc::clone(&backend)),
            backend,
            clients,
            asked: VecDeque::new(),
            answers: Decoder::default(),
            seq: 0,
            open: false,
            said: Said::default(),
        }
    }

    /// Takes the bytes in pieces of a size until the connection would end; the messages go into `taken` as well.
    fn take(&mut self, bytes: &[u8], piece: usize, taken: &mut Vec<Value>) {
        let mut decoder = Decoder::default();
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            loop {
                let message = match decoder.next_message() {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(_) => return,
                };
                taken.push(message.clone());
                let seq = match message.get("type").and_then(Value::as_str) {
                    Some("response" | "event") => None,
                    _ => message.get("seq").cloned(),
                };
                let Ok(next) = self.session.receive(message) else {
                    return;
                };
                self.asked.extend(seq);
                self.read();
                assert_eq!(self.asked.len(), 0, "unanswered");
                if next == Next::End {
                    return;
                }
            }
        }
    }

    /// Reads what the client was sent.
    fn read(&mut self) {
        let mut bytes = Vec::new();
        while self.session.outlet().take_batch(&mut bytes) {}
        self.answers.push(&bytes);
        while let Some(message) = self.answers.next_message().expect("it frames its messages") {
            self.seq += 1;
            assert_eq!(message["seq"], self.seq);
            match message["type"].as_str() {
                Some("response") => {
                    let asked = self.asked.pop_front().expect("somebody asked");
                    assert_eq!(message["request_seq"], asked);
                    match message["success"] == true {
                        true => self.said.granted += 1,
                        false => self.said.refused += 1,
                    }
                    self.open |= message["command"] == "initialize" && message["success"] == true;
                }
                Some("event") => {
                    assert!(self.open, "too early: {message}");
                    self.said.events += 1;
                }
                _ => panic!("neither an answer nor an event: {message}"),
            }
        }
    }

    fn end(mut self) -> Said {
        self.session.close();
        self.read();
        assert!(self.backend.borrow().outlets.is_empty(), "left open");
        assert_eq!(self.clients.count(), 0);
        self.said
    }
}

/// A debugger that sets every logpoint, each of which is hit at once.
#[derive(Default)]
struct Made {
    outlets: BTreeMap<SessionId, Outlet>,
    placed: i64,
}

impl Backend for Made {
    fn open(&mut self, session: SessionId, _: WrongExpressions, outlet: Outlet) {
        let before = self.outlets.insert(session, outlet);
        assert!(before.is_none(), "opened twice");
    }

    fn set_breakpoints(
        &mut self,
        session: SessionId,
        file: &NamedFile,
        source_map: &SourceMap,
        wanted: &[Wanted],
    ) -> Vec<Placed> {
        let outlet = self.outlets.get(&session).expect("it is open");
        let path = source_map.to_program(&file.path);
        let mut all = Vec::new();
        for wanted in wanted {
            assert!(wanted.line > 0 && wanted.column != Some(0));
            self.placed += 1;
            let message = wanted.log_message.as_deref();
            let placed = Placed {
                id: self.placed,
                verified: message.is_some(),
                message: wanted.condition.clone(),
                line: Some(wanted.line),
                path: path.clone(),
                instruction: wanted.column,
            };
            if let Some(message) = message {
                assert!(!message.is_empty());
                outlet.log(&Hit {
                    breakpoint: placed.id,
                    thread: 1,
                    path: &file.path,
                    line: wanted.line,
                    parts: &[Part::Text(message), Part::Value(format!("{message:?}"))],
                });
                outlet.send(Notice::Remark {
                    about: placed.clone(),
                    text: message.to_owned(),
                });
            }
            all.push(placed);
        }
        all
    }

    fn threads(&mut self) -> Vec<(i64, String)> {
        vec![(1, "main".to_owned())]
    }

    fn close(&mut self, session: SessionId) {
        let outlet = self.outlets.remove(&session).expect("it is open");
        outlet.send(Notice::Console("the end".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer begins with, and what it found.
    #[test]
    fn recorded_clients_are_served() {
        let mut all = Said::default();
        for (name, data) in crate::seeds::of("dap") {
            let said = dap(&data);
            println!("{name}: {said:?}");
            all.granted += said.granted;
            all.refused += said.refused;
            all.events += said.events;
        }
        assert!(
            all.granted > 20 && all.refused > 10 && all.events > 20,
            "{all:?}"
        );
    }

    /// Each cut of the bytes, and each byte that is wrong.
    #[test]
    fn cut_and_changed_bytes_do_no_harm() {
        for (_, data) in crate::seeds::of("dap") {
            for at in (0..data.len()).step_by(1 + data.len() / 200) {
                dap(&data[..at]);
                let mut changed = data.clone();
                changed[at] ^= 1 << (at % 8);
                dap(&changed);
            }
        }
    }
}
