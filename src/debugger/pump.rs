//! Moves what hits recorded to the clients.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::Debugger;
use crate::capture::render::Names;
use crate::engine::Event;
use crate::server::backend::Notice;
use crate::symbols::Symbols;

/// How many records are rendered before the sessions get their turn.
const BATCH: usize = 512;

/// How long to gather records once they flow: waking this thread for each would cost the program more than the hit.
const GATHER: Duration = Duration::from_millis(2);

/// How often to look for libraries that came or went, while any breakpoint is set.
const LOOK_FOR_MODULES: Duration = Duration::from_secs(1);

/// How often a client is told at the most that a logpoint costs too much.
const TELL_SUSPENSION: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub async fn pump(debugger: Rc<RefCell<Debugger>>) {
    let event = debugger
        .borrow()
        .engine
        .event_fd()
        .as_fd()
        .try_clone_to_owned();
    let Ok(event) = event.and_then(|event| {
        // SAFETY: an eventfd of its own, which stays open and registered until it is dropped with the `AsyncFd`.
        unsafe { Ok(AsyncFd::register(File::from(event))?) }
    }) else {
        tracing::error!("cannot wait for hits: no file descriptor is left; logpoints stay silent");
        return;
    };
    let changed = debugger.borrow().changed.clone();
    let mut pump = Pump {
        debugger,
        changed,
        event,
        next_look: Instant::now() + LOOK_FOR_MODULES,
    };
    loop {
        pump.step().await;
    }
}

struct Pump {
    debugger: Rc<RefCell<Debugger>>,
    changed: Rc<Notify>,
    event: AsyncFd<File>,
    next_look: Instant,
}

impl Pump {
    async fn step(&mut self) {
        let delivered = {
            let mut debugger = self.debugger.borrow_mut();
            debugger.events();
            if Instant::now() >= self.next_look {
                self.next_look = Instant::now() + LOOK_FOR_MODULES;
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
        [debugger.engine.next_tick(), look]
            .into_iter()
            .flatten()
            .min()
    }

    async fn wait(&self, until: Option<Instant>) {
        let readable = async {
            // An error can only be the runtime's end.
            if let Ok(mut ready) = self.event.readable().await {
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
            session.outlet.send(Notice::Output {
                text: owner.compiled.render(record, symbols),
                path: Some(owner.path.to_string()),
                line: Some(owner.line),
            });
        })
    }

    /// Has the engine do what is due, and tells the clients what happened.
    fn events(&mut self) {
        for event in self.engine.tick() {
            match event {
                Event::Suspended { probes } => self.tell_suspended(&probes),
                Event::Lost { reason, probes } => self.tell_lost(&reason, &probes),
            }
        }
    }

    fn tell_suspended(&mut self, probes: &[u32]) {
        let now = Instant::now();
        for probe in probes {
            let counts = self.engine.counts(*probe);
            let Some(owner) = self.probes.owner_mut(*probe) else {
                continue;
            };
            if owner
                .told_suspension
                .is_some_and(|told| now < told + TELL_SUSPENSION)
            {
                continue;
            }
            owner.told_suspension = Some(now);
            let text = format!(
                "detrix: the logpoint at {}:{} is over its budget and pauses until the current 100 ms are over; {} hits \
                 so far, {} pauses\n",
                owner.path, owner.line, counts.hits, counts.suspensions
            );
            if let Some(session) = self.sessions.get(&owner.session) {
                session.outlet.send(Notice::Output {
                    text,
                    path: None,
                    line: None,
                });
            }
        }
    }

    fn tell_lost(&mut self, reason: &str, probes: &[u32]) {
        tracing::error!(
            reason,
            "all logpoints are gone; the program's code is as it was"
        );
        for probe in probes {
            self.probes.remove(*probe);
        }
        let why = format!("{reason}; set it again");
        for session in self.sessions.values_mut() {
            for (path, file) in &mut session.files {
                for breakpoint in file
                    .breakpoints
                    .iter_mut()
                    .filter(|breakpoint| breakpoint.placed.verified)
                {
                    breakpoint.lose(&why);
                    session
                        .outlet
                        .send(Notice::BreakpointChanged(breakpoint.placed_at(path)));
                }
            }
            let text = format!("detrix: all logpoints are gone: {reason}; set them again\n");
            session.outlet.send(Notice::Output {
                text,
                path: None,
                line: None,
            });
        }
    }
}
