//! One tracer after another: made when the first site is wanted, given orders, replaced, seen off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::blocked;
use super::book::Patcher;
use super::channel::{Channel, Command, Progress, Purpose};
use super::error::{self, EngineError};
use super::keeper::Tracer;
use super::privileges::{self, Privileges};
use super::proc;
use super::shared::Shared;
use super::sites::State;
use super::sys;
use super::trial;

/// When to look for untraced threads after seizing: a thread may have been born meanwhile by one that was not traced.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(9),
    Duration::from_millis(90),
    Duration::from_millis(900),
];

/// And from then on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many orders are given at one time: threads that hit meanwhile wait until all of them are carried out, and the first
/// byte that is written into a page takes some 60 us.
const ORDERS: usize = 32;

/// How many threads' masks are looked up at one time: each takes some 20 us.
const LOOK_UP: usize = 64;

/// The present tracer, if there is one, and what it has to be asked when. Belongs to detrix's thread.
pub struct Service {
    shared: Arc<Shared>,
    pub(super) tracer: Option<Tracer>,
    /// What the application had when the tracer was made, which inherited it.
    privileges: Option<Privileges>,
    looks: usize,
    next_look: Instant,
}

impl Service {
    /// Without a tracer.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tracer: None,
            privileges: Privileges::current(),
            looks: 0,
            next_look: Instant::now(),
        }
    }

    /// When to look for threads the next time; `None` without a tracer.
    pub fn next_look(&self) -> Option<Instant> {
        self.tracer.as_ref().map(|_| self.next_look)
    }

    /// Whether there was a tracer, and its keeper has seen its end.
    pub fn has_ended(&self) -> bool {
        self.tracer.as_ref().is_some_and(Tracer::is_gone)
    }

    /// Whether the application has other privileges than the tracer, which inherited them, as far as can be seen.
    pub fn is_privileged(&self) -> bool {
        let now = Privileges::current();
        now.is_some() && now != self.privileges
    }

    /// There is no tracer that could have kept privileges.
    pub fn note_privileges(&mut self) {
        self.privileges = Privileges::current();
    }

    /// Whether the present tracer has a thread.
    pub fn traces(&self, tid: i32) -> bool {
        let tracer = self.tracer.as_ref();
        tracer.is_some_and(|tracer| tracer.channel.threads.find(tid).is_some())
    }

    /// Waits for the end of the tracer and forgets it; what it shared tells how it ended.
    pub fn take(&mut self) -> Option<Arc<Channel>> {
        self.tracer.take().map(Tracer::join)
    }

    /// Gives orders to a tracer that is ready; false when it did not answer.
    pub fn order_if_ready(&self, orders: &[Command]) -> bool {
        match &self.tracer {
            Some(tracer) if tracer.channel.progress() == Progress::Ready => ring(tracer, orders),
            _ => true,
        }
    }

    /// Compares the list of threads with those that are traced, and adds orders for the others.
    pub fn look(&mut self, orders: &mut Vec<Command>) {
        let Some(tracer) = &self.tracer else { return };
        let mut traced = Vec::new();
        // Where the list cannot be read the next look may.
        let _ = proc::each_thread(self.shared.app, |tid| {
            match tracer.channel.threads.find(tid) {
                None => orders.push(Command::Seize(tid)),
                Some(_) => traced.push(tid),
            }
        });
        // Some at each look, in turn.
        let first = self.looks.wrapping_mul(LOOK_UP) % traced.len().max(1);
        for tid in traced
            .iter()
            .cycle()
            .skip(first)
            .take(LOOK_UP.min(traced.len()))
        {
            if let Some(mask) = privileges::blocked_signals(*tid)
                && mask & blocked::TRAP != 0
                && let Some(thread) = tracer.channel.threads.find(*tid)
            {
                thread.look_up(mask);
            }
        }
        self.looks += 1;
        self.next_look = Instant::now() + LOOKS.get(self.looks).copied().unwrap_or(LOOK_EVERY);
    }

    /// Restores the text and waits until the tracer is gone.
    pub fn dismiss(&mut self) {
        let Some(tracer) = self.tracer.take() else {
            return;
        };
        let mut orders: Vec<Command> = self
            .shared
            .sites
            .iter()
            .filter(|site| matches!(site.state(), State::Armed | State::Suspended))
            .map(|site| Command::Disarm(site))
            .collect();
        orders.push(Command::Leave);
        ring(&tracer, &orders);
        tracer.join();
    }
}

/// Gives orders, some at a time; false when they were not answered, after which there is no tracer soon. Without any it waits
/// for what the tracer is doing.
fn ring(tracer: &Tracer, orders: &[Command]) -> bool {
    let bell = &tracer.channel.bell;
    let heard = match orders {
        [] => bell.ring(orders),
        _ => orders.chunks(ORDERS).all(|orders| bell.ring(orders)),
    };
    if !heard {
        tracer.channel.unheard.store(true, Ordering::Release);
        sys::futex_wake(&tracer.channel.alive);
    }
    heard
}

impl Patcher for Service {
    fn order(&mut self, orders: &[Command]) -> Result<bool, EngineError> {
        if let Some(tracer) = self
            .tracer
            .take_if(|tracer| tracer.channel.progress() != Progress::Ready)
        {
            tracer.join();
        }
        let tracer = match &self.tracer {
            Some(tracer) => tracer,
            None => {
                self.privileges = Privileges::current();
                let alone = trial::alone();
                let tracer =
                    Tracer::spawn(&self.shared, Purpose::Serve).map_err(EngineError::Resources)?;
                if tracer.channel.progress() != Progress::Ready {
                    return Err(error::refusal(&tracer.join()));
                }
                drop(alone);
                self.looks = 0;
                self.next_look = Instant::now() + LOOKS[0];
                self.tracer.insert(tracer)
            }
        };
        Ok(ring(tracer, orders))
    }

    fn order_if_any(&mut self, orders: &[Command]) -> bool {
        // Where it does not answer its keeper restores the text, and `Engine::tick` will tell.
        let tracer = self.tracer.as_ref();
        tracer.is_none_or(|tracer| ring(tracer, orders))
    }

    fn forget(&mut self) {
        drop(self.take());
    }
}
