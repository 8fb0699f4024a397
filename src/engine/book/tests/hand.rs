//! A tracer that needs no other process, and the threads that it traces.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::super::channel::Command;
use super::super::super::error::EngineError;
use super::super::super::shared::Shared;
use super::super::super::text::Text;
use super::super::super::threads::ThreadTable;
use super::super::super::{enforce, keeper, sys};
use super::super::Patcher;
use super::THREADS;

/// How the tracer deals with the orders of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It carries them out.
    Obeys,
    /// It dies after so many of them; the next one carries them out, if it can write.
    Dies(usize, bool),
    /// It dies, and the next one too.
    Dead,
    /// There is none, and none can be made.
    Missing,
    /// No write succeeds.
    CannotWrite,
}

/// Carries orders out at once.
pub struct Hand {
    pub shared: Arc<Shared>,
    pub text: Text,
    pub alive: bool,
    pub fate: Fate,
    pub now: u64,
    /// All threads of the application.
    pub living: BTreeSet<i32>,
    /// Those that it traces.
    pub threads: ThreadTable,
    /// How many tracers there have been.
    pub made: u32,
}

impl Hand {
    /// None yet.
    pub fn new(shared: Arc<Shared>, now: u64) -> Self {
        Self {
            shared,
            text: Text::open(sys::thread_id()).unwrap(),
            alive: false,
            fate: Fate::Obeys,
            now,
            living: BTreeSet::from(THREADS),
            threads: ThreadTable::new().unwrap(),
            made: 0,
        }
    }

    /// Carries orders out, as one that is made for it where there is none.
    pub fn obey(&mut self, orders: &[Command]) {
        if !self.alive {
            self.threads = ThreadTable::new().unwrap();
            self.made += 1;
            for tid in &self.living {
                self.threads.insert(*tid);
            }
        }
        self.alive = true;
        self.text.look_again();
        for order in orders {
            // SAFETY: sites live as long as `shared`, and there is no other tracer.
            unsafe {
                match *order {
                    Command::Settle(site) => enforce::settle(&self.text, &*site),
                    Command::Disarm(site) => enforce::disarm(&self.text, &*site),
                    Command::Resume => enforce::resume(&self.shared, &self.text, self.now),
                    Command::Seize(tid) if self.living.contains(&tid) => {
                        self.threads.insert(tid);
                    }
                    Command::Seize(_) => {}
                    Command::Leave => self.alive = false,
                }
            }
        }
        if !self.alive {
            self.die();
        }
    }

    /// Dies; its keeper does its work.
    pub fn die(&mut self) {
        self.alive = false;
        keeper::repair_text(&self.shared.sites);
    }

    /// Has no write succeed, or each one.
    pub fn set_writable(&mut self, writable: bool) {
        let open = match writable {
            true => Text::open,
            false => Text::unwritable,
        };
        self.text = open(sys::thread_id()).unwrap();
    }

    /// Dies of the orders, or carries them out: false in the first case.
    fn survives(&mut self, orders: &[Command]) -> bool {
        match self.fate {
            Fate::Obeys | Fate::CannotWrite => {
                self.obey(orders);
                return true;
            }
            Fate::Dies(after, next_writes) => {
                self.obey(orders.get(..after).unwrap_or(orders));
                self.set_writable(next_writes);
                self.fate = Fate::Obeys;
            }
            Fate::Dead | Fate::Missing => {}
        }
        self.die();
        false
    }
}

impl Patcher for Hand {
    fn order(&mut self, orders: &[Command]) -> Result<bool, EngineError> {
        let missing = self.fate == Fate::Missing;
        match self.survives(orders) {
            false if missing => Err(EngineError::NoAnswer),
            survives => Ok(survives),
        }
    }

    fn order_if_any(&mut self, orders: &[Command]) -> bool {
        !self.alive || self.survives(orders)
    }

    fn forget(&mut self) {
        assert!(!self.alive, "it answered");
    }
}
