//! What detrix's thread, the tracer, the keeper and the SIGTRAP handler share while the process is awake.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::backlog::Backlog;
use super::budget::Total;
use super::ring::Ring;
use super::sites::SiteTable;
use super::slots::Slots;
use super::sys::{self, SignalAction};

/// Capacity of the ring in bytes; memory is taken as records fill it.
const RING: usize = 4 << 20;

/// Lives from wake until the last thread has left what belongs to it.
pub struct Shared {
    /// The application's process number.
    pub app: i32,
    /// All sites.
    pub sites: SiteTable,
    /// Their displaced instructions.
    pub slots: Slots,
    /// What hits recorded.
    pub ring: Ring,
    /// Wakes detrix's thread: an eventfd.
    pub event: EventFd,
    /// What all logpoints together may cost, and have cost.
    pub total: Arc<Total>,
    /// For how long detrix's thread has not come round.
    pub backlog: Arc<Backlog>,
    /// Counts up when something happened that is not a record: a logpoint was suspended or has expired, the tracer is gone.
    pub attention: AtomicU32,
    /// Changes value at each question whether a new process shares our memory.
    pub nonce: AtomicU64,
    /// The SIGTRAP action that was last seen in place.
    pub trap_action: ActionCell,
    /// Threads that ran into a site while nobody traced them.
    pub untraced: TidQueue,
    own_threads: [AtomicI32; 8],
}

impl Shared {
    /// Without sites.
    pub fn new(total: Total) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self {
            app: sys::process_id(),
            sites: SiteTable::new(),
            slots: Slots::default(),
            ring: Ring::new(RING)?,
            event,
            total: Arc::new(total),
            backlog: Arc::default(),
            attention: AtomicU32::new(0),
            nonce: AtomicU64::new(0),
            trap_action: ActionCell::default(),
            untraced: TidQueue::default(),
            own_threads: Default::default(),
        })
    }

    /// Has the calling thread's hits never reported, until the value is dropped.
    pub fn own_thread(self: &Arc<Self>) -> OwnThread {
        let tid = sys::thread_id();
        for (index, entry) in self.own_threads.iter().enumerate() {
            if entry
                .compare_exchange(0, tid, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return OwnThread {
                    shared: self.clone(),
                    index: Some(index),
                };
            }
        }
        OwnThread {
            shared: self.clone(),
            index: None,
        }
    }

    /// Whether it is one of detrix's threads.
    pub fn is_own(&self, tid: i32) -> bool {
        self.own_threads
            .iter()
            .any(|own| own.load(Ordering::Relaxed) == tid)
    }

    /// Wakes detrix's thread for something that is not a record. For threads of the application only.
    pub fn call_attention(&self) {
        self.attention.fetch_add(1, Ordering::Release);
        sys::notify(self.event.as_raw_fd());
    }
}

/// See [`Shared::own_thread`].
pub struct OwnThread {
    shared: Arc<Shared>,
    index: Option<usize>,
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        if let Some(entry) = self
            .index
            .and_then(|index| self.shared.own_threads.get(index))
        {
            entry.store(0, Ordering::Release);
        }
    }
}

/// A signal action, readable without a lock by a handler. A reader may see parts of two; they are written once at wake,
/// and then by the tracer alone.
#[derive(Default)]
pub struct ActionCell {
    handler: AtomicUsize,
    flags: AtomicU64,
    restorer: AtomicUsize,
    mask: AtomicU64,
}

impl ActionCell {
    /// The action.
    pub fn load(&self) -> SignalAction {
        SignalAction {
            handler: self.handler.load(Ordering::Acquire),
            flags: self.flags.load(Ordering::Relaxed),
            restorer: self.restorer.load(Ordering::Relaxed),
            mask: self.mask.load(Ordering::Relaxed),
        }
    }

    /// Replaces it.
    pub fn store(&self, action: &SignalAction) {
        self.flags.store(action.flags, Ordering::Relaxed);
        self.restorer.store(action.restorer, Ordering::Relaxed);
        self.mask.store(action.mask, Ordering::Relaxed);
        self.handler.store(action.handler, Ordering::Release);
    }
}

/// A few thread numbers from a signal handler to detrix's thread; when it is full the next look at the list of threads
/// finds them all the same.
#[derive(Default)]
pub struct TidQueue {
    entries: [AtomicI32; 16],
    /// Threads that cannot be traced, until the next look at all threads: nobody has to be told of their hits.
    refused: [AtomicI32; 16],
}

impl TidQueue {
    /// Adds the thread that asks; false where nothing can be done for it now.
    pub fn push(&self, tid: i32) -> bool {
        let has = |entry: &AtomicI32| entry.load(Ordering::Relaxed) == tid;
        if self.refused.iter().any(has) {
            return false;
        }
        let _ = self
            .entries
            .iter()
            .any(|entry| has(entry) || fill(entry, tid));
        true
    }

    /// Remembers a thread that could not be traced.
    pub fn refuse(&self, tid: i32) {
        let _ = self.refused.iter().any(|entry| fill(entry, tid));
    }

    /// All may be asked again.
    pub fn forget_refused(&self) {
        for entry in &self.refused {
            entry.store(0, Ordering::Relaxed);
        }
    }

    /// Takes all out.
    pub fn take(&self) -> impl Iterator<Item = i32> {
        self.entries
            .iter()
            .map(|entry| entry.swap(0, Ordering::AcqRel))
            .filter(|tid| *tid != 0)
    }
}

fn fill(entry: &AtomicI32, tid: i32) -> bool {
    entry
        .compare_exchange(0, tid, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}
