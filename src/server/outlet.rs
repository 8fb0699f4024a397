//! The way to one client: what is to be sent waits here, in the client's own conventions, until the connection has
//! written it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use dap::{Breakpoint, BreakpointChange, Conventions, Event, Outbox, Output, Response};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::backend::{Hit, Notice, Part, Placed};
use super::detrix;
use super::pace::{Due, Origin, Waiting};

/// How many bytes of `output` events may wait for a client that does not read: some thousand lines.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// And how many when the session ends: what was recorded until then comes at once.
const MAX_LAST_EVENT_BYTES: usize = 8 << 20;

/// How many bytes go into one write, unless a single message is longer.
const BATCH_BYTES: usize = 64 << 10;

/// About what an `output` event takes besides its text and path.
const EVENT_BYTES: usize = 200;

/// Sends to one client. Cheap to clone; sending never waits, and does nothing once the client is gone.
#[derive(Clone)]
pub struct Outlet(Rc<Shared>);

struct Shared {
    outbox: RefCell<Outbox>,
    conventions: Cell<Conventions>,
    /// The hits that wait for their turn, where the client is the Detrix daemon.
    daemon: RefCell<Option<Waiting<Output>>>,
    /// Told when there is something to write.
    filled: Notify,
    closed: Cell<bool>,
}

impl Outlet {
    pub(super) fn new() -> Self {
        Self(Rc::new(Shared {
            outbox: RefCell::new(Outbox::new(MAX_EVENT_BYTES)),
            conventions: Cell::default(),
            daemon: RefCell::new(None),
            filled: Notify::new(),
            closed: Cell::new(false),
        }))
    }

    /// Tells the client of a hit, as an `output` event. These are dropped, counted and the count told, while the client
    /// does not read what it was sent before, or gets more than it can take.
    pub fn log(&self, hit: &Hit<'_>) {
        if self.0.closed.get() {
            return;
        }
        let conventions = self.conventions();
        let output = |text| Output {
            source: Some(conventions.source_to_client(hit.path)),
            line: Some(conventions.line_to_client(hit.line)),
            ..Output::console(text)
        };
        let Some(waiting) = &mut *self.0.daemon.borrow_mut() else {
            return self.push_event(&Event::Output(output(plain_text(hit.parts))));
        };
        let output = output(detrix::log_text(hit));
        let bytes = output.output.len() + hit.path.len() + EVENT_BYTES;
        waiting.push(output, bytes, || Origin {
            breakpoint: hit.breakpoint,
            path: hit.path.to_owned(),
            line: hit.line,
        });
        self.0.filled.notify_one();
    }

    /// Sends a notice, as an event, which is dropped as hits are where the client does not read.
    pub fn send(&self, notice: Notice) {
        if self.0.closed.get() {
            return;
        }
        let is_daemon = self.is_daemon();
        self.push_event(&match notice {
            Notice::BreakpointChanged(placed) => self.changed(placed),
            Notice::Remark { about, text } if is_daemon => self.changed(Placed {
                message: Some(text),
                ..about
            }),
            // It would take it for what the program said.
            Notice::Console(_) if is_daemon => return,
            Notice::Remark { text, .. } | Notice::Console(text) => {
                Event::Output(Output::console(text))
            }
        });
    }

    fn changed(&self, placed: Placed) -> Event {
        Event::Breakpoint(BreakpointChange {
            reason: "changed".to_owned(),
            breakpoint: self.breakpoint(placed, None),
        })
    }

    /// Makes room for what comes at the end.
    pub(super) fn expect_the_rest(&self) {
        let mut outbox = self.0.outbox.borrow_mut();
        outbox.set_max_event_bytes(MAX_LAST_EVENT_BYTES);
        if let Some(waiting) = &mut *self.0.daemon.borrow_mut() {
            waiting.set_max_bytes(MAX_LAST_EVENT_BYTES);
        }
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

    /// Whether the client is the Detrix daemon.
    pub(super) fn is_daemon(&self) -> bool {
        self.0.daemon.borrow().is_some()
    }

    /// From now on the client is the Detrix daemon.
    pub(super) fn set_daemon(&self) {
        let waiting = Waiting::new(MAX_EVENT_BYTES, Instant::now());
        *self.0.daemon.borrow_mut() = Some(waiting);
        self.0.outbox.borrow_mut().set_drop_report(detrix::dropped);
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

    /// Appends the bytes of the messages that may go now; `false` if there are none.
    pub(super) fn take_batch(&self, out: &mut Vec<u8>) -> bool {
        let mut outbox = self.0.outbox.borrow_mut();
        let mut any = outbox.take_batch(BATCH_BYTES, out);
        // One after the other, so that what waits does so in one place.
        while outbox.is_empty()
            && out.len() < BATCH_BYTES
            && let Some(event) = self.next_of_daemon()
        {
            outbox.push_event(&event);
            any |= outbox.take_batch(BATCH_BYTES, out);
        }
        any
    }

    fn next_of_daemon(&self) -> Option<Event> {
        let due = self.0.daemon.borrow_mut().as_mut()?.pop(Instant::now())?;
        Some(match due {
            Due::Event(output) => Event::Output(output),
            Due::Dropped(origin, count) => self.changed(Placed {
                id: origin.breakpoint,
                verified: true,
                message: Some(detrix::dropped_text(count)),
                line: Some(origin.line),
                path: Some(origin.path),
                instruction: None,
            }),
        })
    }

    /// How many hits wait to be sent, or were dropped without the client's having been told.
    pub(super) fn unsent(&self) -> u64 {
        let outbox = self.0.outbox.borrow();
        let waiting = self.0.daemon.borrow().as_ref().map_or(0, Waiting::count);
        outbox.unsent() + waiting
    }

    /// Drops the hits that wait for their turn; returns how many hits are lost with them.
    pub(super) fn give_up_waiting(&self) -> u64 {
        let waiting = self.0.daemon.borrow_mut().take();
        waiting.map_or(0, |waiting| waiting.count())
    }

    /// How many bytes of responses wait.
    pub(super) fn response_bytes(&self) -> usize {
        self.0.outbox.borrow().response_bytes()
    }

    /// Waits until something was put in since the last call, or something that waited for its turn has it.
    pub(super) async fn filled(&self) {
        let next = self.0.daemon.borrow().as_ref().and_then(Waiting::next);
        let turn = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.0.filled.notified() => {}
            () = turn => {}
        }
    }
}

fn plain_text(parts: &[Part<'_>]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Value(value) => text.push_str(value),
        }
    }
    text
}
