//! Moves what hits recorded to the clients.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::Debugger;
use crate::capture::render::{self, Names};
use crate::caught::{attempted, caught};
use crate::server::backend::{Hit, Part};
use crate::symbols::Symbols;

/// How many records are rendered before the sessions get their turn.
pub(super) const BATCH: usize = 512;

/// How long to gather records once they flow: waking this thread for each would cost the program more than the hit.
const GATHER: Duration = Duration::from_millis(2);

/// How often to look for libraries that came or went, while any breakpoint is set.
const LOOK_FOR_MODULES: Duration = Duration::from_secs(1);

/// How long to wait where hits cannot wake this thread, for want of a descriptor.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait after a panic, which may come again and again.
const RECOVER: Duration = Duration::from_secs(1);

/// Runs until it is dropped. A panic costs what it was about to deliver, and is told.
pub async fn pump(debugger: Rc<RefCell<Debugger>>) {
    while let Err(why) = caught(pump_until_panic(debugger.clone())).await {
        debugger.borrow_mut().tell_panic(&why);
        sleep(RECOVER).await;
    }
}

async fn pump_until_panic(debugger: Rc<RefCell<Debugger>>) {
    let changed = debugger.borrow().changed.clone();
    let mut pump = Pump {
        debugger,
        changed,
        event: None,
        deaf: None,
        next_look: Instant::now() + LOOK_FOR_MODULES,
    };
    loop {
        pump.step().await;
    }
}

struct Pump {
    debugger: Rc<RefCell<Debugger>>,
    changed: Rc<Notify>,
    /// What tells of hits; `None` while it cannot be had.
    event: Option<AsyncFd<File>>,
    /// What was said of that.
    deaf: Option<String>,
    next_look: Instant,
}

impl Pump {
    async fn step(&mut self) {
        let delivered = {
            let mut debugger = self.debugger.borrow_mut();
            debugger.events();
            if Instant::now() >= self.next_look {
                self.next_look = Instant::now() + LOOK_FOR_MODULES;
                debugger.tell_counts();
                if debugger.symbols.refresh() {
                    debugger.modules_changed();
                }
            }
            debugger.deliver(BATCH)
        };
        if delivered == BATCH {
            return tokio::task::yield_now().await;
        }
        if delivered > 0 {
            return sleep(GATHER).await;
        }
        let (parked, next) = {
            let debugger = self.debugger.borrow();
            (debugger.engine.park(), self.next_wake(&debugger))
        };
        if parked {
            self.wait(next).await;
        }
    }

    fn next_wake(&self, debugger: &Debugger) -> Option<Instant> {
        let look = debugger
            .sessions
            .values()
            .any(|session| !session.files.is_empty())
            .then_some(self.next_look);
        [debugger.engine.next_tick(), debugger.next_expiry(), look]
            .into_iter()
            .flatten()
            .min()
    }

    /// Has hits wake this task; where that is not possible now, the time when to look again.
    fn listen(&mut self) -> Option<Instant> {
        if self.event.is_some() {
            return None;
        }
        let debugger = self.debugger.borrow();
        let event = debugger.engine.event_fd().try_clone_to_owned();
        let event = event.and_then(|event| {
            // SAFETY: an eventfd of its own, which stays open and registered until it is dropped with the `AsyncFd`.
            unsafe { Ok(AsyncFd::register(File::from(event))?) }
        });
        // Another thread can only have been reading it.
        let mut trouble = debugger
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) => {
                self.event = Some(event);
                if self.deaf.is_some() && *trouble == self.deaf.take() {
                    *trouble = None;
                }
                None
            }
            Err(error) => {
                let text = format!(
                    "detrix cannot be woken by hits ({error}) and looks for them each second, when many may be lost; give \
                     the process more open files, or let it close some"
                );
                trouble.get_or_insert_with(|| text.clone());
                self.deaf.get_or_insert(text);
                Some(Instant::now() + LISTEN_AGAIN)
            }
        }
    }

    async fn wait(&mut self, until: Option<Instant>) {
        let again = self.listen();
        let until = until.into_iter().chain(again).min();
        let readable = async {
            let Some(event) = &self.event else {
                return std::future::pending().await;
            };
            // An error can only be the runtime's end.
            if let Ok(mut ready) = event.readable().await {
                let mut count = [0; 8];
                let _ = ready.get_inner().read(&mut count);
                ready.clear_ready();
            }
        };
        let due = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readable => {}
            () = due => {}
            () = self.changed.notified() => {}
        }
    }
}

/// Of a pointer that leads into the middle of a function, no name is given.
impl Names for Symbols {
    fn function(&self, address: u64) -> Option<String> {
        let function = self.function_at(address)?;
        (function.range.start == address).then_some(function.name)
    }
}

impl Debugger {
    /// Delivers what is there, up to `limit` records, before something else is done: those be forgotten who get it, or a
    /// client be answered. A panic costs some of it, and is told.
    pub(super) fn deliver_before(&mut self, limit: usize) {
        if let Err(why) = attempted(|| self.deliver(limit)) {
            self.tell_panic(&why);
        }
    }

    /// Renders up to `limit` records and sends them to their clients; returns how many there were.
    pub(super) fn deliver(&mut self, limit: usize) -> usize {
        let Self {
            engine,
            probes,
            sessions,
            symbols,
            ..
        } = self;
        let symbols = &*symbols;
        engine.read(limit, |header, record| {
            let Some(owner) = probes.owner(header.probe) else {
                return;
            };
            let Some(session) = sessions.get(&owner.session) else {
                return;
            };
            let mut parts = Vec::new();
            owner.compiled.render_parts(record, symbols, |part| {
                parts.push(match part {
                    render::Part::Text(text) => Part::Text(text),
                    render::Part::Value(value) => Part::Value(value),
                });
            });
            session.outlet.log(&Hit {
                breakpoint: owner.breakpoint,
                thread: header.tid.into(),
                path: &owner.path,
                line: owner.line,
                parts: &parts,
            });
        })
    }
}
