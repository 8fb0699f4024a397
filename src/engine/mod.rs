//! Sites, patched text and the tracer: everything that touches running threads.
//!
//! [`Engine`] is the side of detrix's own thread. It keeps the [`book`] of probes and sites, has a [tracer] in its
//! [`service`] to which it gives orders by the [bell](channel::Bell), reads the [`ring`], and does what needs a clock:
//! looking for threads that are not traced yet, putting suspended sites back, comparing privileges. The tracer only reacts.

mod account;
mod backlog;
mod blocked;
mod book;
mod budget;
mod channel;
mod cpu;
pub mod displace;
mod enforce;
mod error;
mod hit;
mod interrupted;
mod keeper;
mod limits;
mod mapping;
mod moment;
mod origin;
mod privileges;
mod proc;
mod published;
mod quiet;
mod ring;
mod service;
mod shared;
mod sites;
mod slots;
mod stopped;
mod sync;
mod sys;
mod table;
mod text;
mod threads;
mod tracer;
mod trap;
mod trial;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use account::{Account, Counts, Limits, Standing};
pub use backlog::Backlog;
pub use book::{Placement, locate};
pub use budget::{Meter, Total};
pub use error::{EngineError, PlaceError};
pub use limits::check_memory;
pub use ring::Header;
pub use trial::try_tracing;

use nix::sys::signal::{SigSet, Signal};

use book::{Book, Patcher};
use channel::{Command, Progress};
use quiet::Leaving;
use service::Service;
use shared::{OwnThread, Shared};
use trap::TrapHandler;

/// What the engine may cost the application.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The share of one CPU's time that all logpoints together may stop threads for, 0 to 1; 1 is no limit. What one may,
    /// its [`Account`] says.
    pub total_share: f64,
}

/// What happened on its own account.
#[derive(Debug)]
pub enum Event {
    /// Logpoints were suspended, or have expired: their accounts say which.
    Limited,
    /// Code could not be written that was to be: some probes, which [`Engine::is_silent`] tells, do not log any more. They
    /// are to be placed again, which says why where it fails.
    Silenced,
    /// There is no tracer any more, and no probe; the text is as it was.
    Lost {
        /// Why, for people.
        reason: String,
        /// The probes that are gone.
        probes: Vec<u32>,
    },
}

/// See the module's documentation. Belongs to the thread that started it.
pub struct Engine {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    trap: Option<TrapHandler>,
    _own: OwnThread,
    book: Book,
    service: Service,
    /// Events to tell at the next [`Engine::tick`].
    untold: Vec<Event>,
    attention: u32,
    /// How often logpoints were suspended or expired, as far as it was told.
    limited: u64,
}

impl Engine {
    /// Installs the SIGTRAP handler and tries whether this process lets itself be traced. Nothing is traced yet.
    ///
    /// # Errors
    ///
    /// When tracing is refused, with what to change; nothing is left behind then.
    pub fn start(budget: Budget) -> Result<Self, EngineError> {
        privileges::check_shadow_stack()?;
        error::check_not_traced()?;
        warn_of_old_kernel();
        let total = Total::new(budget.total_share);
        let shared = Arc::new(Shared::new(total).map_err(EngineError::Resources)?);
        unblock_trap();
        let own = shared.own_thread();
        let trap = TrapHandler::install(shared.clone()).map_err(EngineError::Resources)?;
        let engine = Self {
            book: Book::new(shared.clone()),
            service: Service::new(shared.clone()),
            shared,
            trap: Some(trap),
            _own: own,
            untold: Vec::new(),
            attention: 0,
            limited: 0,
        };
        trial::run(&engine.shared)?;
        Ok(engine)
    }

    /// An eventfd that becomes readable when [`Engine::read`] or [`Engine::tick`] has something to do.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    /// Whether it is one of detrix's own threads, whose hits are never reported.
    pub fn is_own_thread(&self, tid: i32) -> bool {
        self.shared.is_own(tid)
    }

    /// Where a probe is.
    pub fn address(&self, probe: u32) -> Option<u64> {
        self.book.address(probe)
    }

    /// Removes probes and places others, at once. The text is patched when this returns; each placement's result has its
    /// place in the answer.
    pub fn change(&mut self, remove: &[u32], place: Vec<Placement>) -> Vec<Result<(), PlaceError>> {
        let changed = self.book.change(&mut self.service, remove, place);
        let before = self.untold.len();
        if let Some((reason, probes)) = changed.lost {
            self.untold.push(Event::Lost { reason, probes });
        }
        if changed.dropped {
            self.untold.push(Event::Silenced);
        }
        if self.untold.len() > before {
            self.shared.call_attention();
        }
        changed.placed
    }

    /// To be called after libraries came or went: see [`Book::modules_changed`].
    pub fn modules_changed(&self) {
        self.book.modules_changed();
    }

    /// Whether a probe does not log any more: see [`Book::is_silent`].
    pub fn is_silent(&self, probe: u32) -> bool {
        self.book.is_silent(probe)
    }

    /// Hands up to `limit` of the records that wait to `visit`, oldest first, and returns how many there were. Those that
    /// come meanwhile are left for the next time: they may come faster than they are read.
    pub fn read(&mut self, limit: usize, mut visit: impl FnMut(&Header, &[u8])) -> usize {
        let end = self.shared.ring.produced();
        let mut count = 0;
        while count < limit && self.shared.ring.consumed() < end {
            // SAFETY: this thread is the ring's one consumer.
            let Some(record) = (unsafe { self.shared.ring.next() }) else {
                break;
            };
            visit(&record.header, record.bytes);
            count += 1;
        }
        count
    }

    /// Says that the caller is about to sleep until [`Engine::event_fd`]; false when there is something to do first.
    pub fn park(&self) -> bool {
        // First: a call that comes behind it stays.
        self.shared.backlog.done();
        let idle = self.shared.attention.load(Ordering::Acquire) == self.attention
            && self.shared.ring.park();
        if !idle {
            self.shared.backlog.attended(sys::now());
        }
        idle
    }

    /// For how long the thread that calls [`Engine::tick`] has left its work undone.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.shared.backlog.clone()
    }

    /// What all logpoints together may cost, and have cost, those that are gone included.
    pub fn total(&self) -> Arc<Total> {
        self.shared.total.clone()
    }

    /// When [`Engine::tick`] has something to do, besides when the eventfd says so.
    pub fn next_tick(&self) -> Option<Instant> {
        let look = self.service.next_look()?;
        let resume = self
            .book
            .resume_at()
            .map(|at| Instant::now() + Duration::from_nanos(at.saturating_sub(sys::now())));
        Some(resume.map_or(look, |resume| resume.min(look)))
    }

    /// Does what is due: puts logpoints back whose window has ended, looks for untraced threads, notices a tracer that died
    /// or that has more privileges than the application.
    pub fn tick(&mut self) -> Vec<Event> {
        self.shared.backlog.attended(sys::now());
        let mut events = std::mem::take(&mut self.untold);
        let attention = self.shared.attention.load(Ordering::Acquire);
        let called = attention != self.attention;
        self.attention = attention;
        if called {
            let limited = self.shared.total.limited.load(Ordering::Relaxed);
            if std::mem::replace(&mut self.limited, limited) != limited {
                events.push(Event::Limited);
            }
        }
        if self.service.has_ended() {
            self.bury(&mut events);
        }
        let Some(next_look) = self.service.next_look() else {
            return events;
        };
        let due = Instant::now() >= next_look;
        if (due || called) && self.service.is_privileged() {
            self.replace_tracer(&mut events);
            return events;
        }
        let mut orders = Vec::new();
        let resumes = self.book.resume_at().is_some_and(|at| at <= sys::now());
        if resumes {
            orders.push(Command::Resume);
        }
        let untraced: Vec<i32> = self.shared.untraced.take().collect();
        orders.extend(untraced.iter().copied().map(Command::Seize));
        if due {
            self.service.look(&mut orders);
            self.shared.untraced.forget_refused();
        }
        let answered = orders.is_empty() || self.service.order_if_ready(&orders);
        for tid in untraced {
            if !self.service.traces(tid) {
                self.shared.untraced.refuse(tid);
            }
        }
        if !answered {
            self.bury(&mut events);
        } else if resumes && self.book.has_silent() {
            events.push(Event::Silenced);
        }
        events
    }

    /// Forgets a tracer that has ended. Where it did so on its own, all probes are gone.
    fn bury(&mut self, events: &mut Vec<Event>) {
        let Some(channel) = self.service.take() else {
            return;
        };
        if channel.progress() == Progress::Left && self.book.is_empty() {
            return;
        }
        let reason = error::describe_end(&channel);
        self.lose(format!("the tracer {reason}"), events);
    }

    fn lose(&mut self, reason: String, events: &mut Vec<Event>) {
        let probes = self.book.lose();
        events.push(Event::Lost { reason, probes });
    }

    /// The application gave privileges up: the tracer goes, and one that inherits what is left now takes its place.
    fn replace_tracer(&mut self, events: &mut Vec<Event>) {
        self.service.dismiss();
        let orders = self.book.wanted();
        if orders.is_empty() {
            self.service.note_privileges();
            return;
        }
        match self.service.order(&orders) {
            Ok(true) if self.book.has_silent() => events.push(Event::Silenced),
            Ok(true) => {}
            Ok(false) => self.bury(events),
            Err(error) => self.lose(error.to_string(), events),
        }
    }
}

/// Restores the text, lets all threads go, and removes the SIGTRAP handler. What records are still in the ring can be
/// read before, after a [`Engine::change`] that removes all probes.
impl Drop for Engine {
    fn drop(&mut self) {
        self.service.dismiss();
        let mut leaving = Leaving::new(self.shared.clone());
        let quiet = leaving.is_quiet();
        let handler = self.trap.take().map(TrapHandler::remove);
        // A thread may have found the handler's data just before.
        let quiet = quiet && leaving.is_quiet();
        quiet::retire(leaving, handler, quiet);
    }
}

/// Before Linux 5.16 a core dump of any process, the tracer included, ends all that share its memory.
fn warn_of_old_kernel() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    if version.0.is_some() && version < (Some(5), Some(16)) {
        tracing::warn!(
            kernel = release.trim_end(),
            "this kernel ends all processes that share memory with one that dumps core: should the debugger's tracer \
             crash, the program would end with it; Linux 5.16 does not do that"
        );
    }
}

/// The bell is an `int3` in this thread.
fn unblock_trap() {
    // Fails only for a set that is none.
    let _ = SigSet::from(Signal::SIGTRAP).thread_unblock();
}
