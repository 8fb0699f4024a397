//! The way to one client: what is to be sent waits here, in the client's own conventions, until the connection has
//! written it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use dap::{Breakpoint, BreakpointChange, Conventions, Event, Outbox, Output, Response};
use tokio::sync::Notify;

use super::backend::{Notice, Placed};

/// How many bytes of `output` events may wait for a client that does not read: some thousand lines.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// How many bytes go into one write, unless a single message is longer.
const BATCH_BYTES: usize = 64 << 10;

/// Sends to one client. Cheap to clone; sending never waits, and does nothing once the client is gone.
#[derive(Clone)]
pub struct Outlet(Rc<Shared>);

struct Shared {
    outbox: RefCell<Outbox>,
    conventions: Cell<Conventions>,
    /// Told when there is something to write.
    filled: Notify,
    closed: Cell<bool>,
}

impl Outlet {
    pub(super) fn new() -> Self {
        Self(Rc::new(Shared {
            outbox: RefCell::new(Outbox::new(MAX_EVENT_BYTES)),
            conventions: Cell::default(),
            filled: Notify::new(),
            closed: Cell::new(false),
        }))
    }

    /// Sends a notice, as an event. `output` events are dropped, counted and the count told, while the client does not
    /// read what it was sent before.
    pub fn send(&self, notice: Notice) {
        if self.0.closed.get() {
            return;
        }
        self.push_event(&match notice {
            Notice::Output { text, path, line } => {
                let conventions = self.conventions();
                Event::Output(Output {
                    source: path.map(|path| conventions.source_to_client(&path)),
                    line: line.map(|line| conventions.line_to_client(line)),
                    ..Output::console(text)
                })
            }
            Notice::BreakpointChanged(placed) => Event::Breakpoint(BreakpointChange {
                reason: "changed".to_owned(),
                breakpoint: self.breakpoint(placed, None),
            }),
        });
    }

    /// Takes no more notices: the session is closed. What is there already can still be written.
    pub(super) fn close(&self) {
        self.0.closed.set(true);
    }

    pub(super) fn conventions(&self) -> Conventions {
        self.0.conventions.get()
    }

    pub(super) fn set_conventions(&self, conventions: Conventions) {
        self.0.conventions.set(conventions);
    }

    pub(super) fn push_response(&self, response: &Response) {
        self.0.outbox.borrow_mut().push_response(response);
        self.0.filled.notify_one();
    }

    pub(super) fn push_event(&self, event: &Event) {
        self.0.outbox.borrow_mut().push_event(event);
        self.0.filled.notify_one();
    }

    /// What became of a breakpoint, for this client; `path` is the file that its request named.
    pub(super) fn breakpoint(&self, placed: Placed, path: Option<&str>) -> Breakpoint {
        let conventions = self.conventions();
        let path = placed.path.as_deref().or(path);
        Breakpoint {
            id: Some(placed.id),
            verified: placed.verified,
            message: placed.message,
            source: path.map(|path| conventions.source_to_client(path)),
            line: placed.line.map(|line| conventions.line_to_client(line)),
            instruction_reference: placed.instruction.map(|address| format!("{address:#x}")),
        }
    }

    /// Appends the bytes of the next messages; `false` if there are none.
    pub(super) fn take_batch(&self, out: &mut Vec<u8>) -> bool {
        self.0.outbox.borrow_mut().take_batch(BATCH_BYTES, out)
    }

    /// How many bytes of responses wait.
    pub(super) fn response_bytes(&self) -> usize {
        self.0.outbox.borrow().response_bytes()
    }

    /// Waits until something was put in since the last call.
    pub(super) async fn filled(&self) {
        self.0.filled.notified().await;
    }
}
