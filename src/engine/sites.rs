//! The sites: addresses whose first byte is, or was, an `int3` of ours.
//!
//! The tracer and the SIGTRAP handler look sites up without a lock, in threads that may be stopped or killed at any
//! instruction; so a site, once published, stays where it is until the whole table goes. A site that was removed stays
//! as a tombstone: a thread may have run into it just before.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::account::Account;
use super::displace::Displaced;
use super::origin::{Mappings, Origin};
use crate::capture::program::Program;

/// What one logpoint does at one address.
pub struct Probe {
    /// The number that its records carry.
    pub id: u32,
    /// Where.
    pub address: u64,
    /// What to record.
    pub program: Program,
    /// Of the whole logpoint, at all of its addresses.
    pub account: Arc<Account>,
    undecided: AtomicU64,
}

impl Probe {
    /// A probe without hits.
    pub fn new(id: u32, address: u64, program: Program, account: Arc<Account>) -> Self {
        Self {
            id,
            address,
            program,
            account,
            undecided: AtomicU64::new(0),
        }
    }

    /// Counts a hit whose condition could not be decided; whether that is to be told again. The first one is, and then
    /// ever fewer: the reason is mostly the same.
    pub fn tells_undecided(&self) -> bool {
        let before = self.undecided.fetch_add(1, Ordering::Relaxed);
        before.wrapping_add(1).is_power_of_two()
    }
}

/// The probes of one site, replaced as a whole.
pub type Probes = Vec<Arc<Probe>>;

/// Whether a site's `int3` is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Removed, or not set yet: the text has its own byte.
    Absent = 0,
    /// The text has the `int3`.
    Armed = 1,
    /// Taken out while no logpoint there is active: the text has its own byte.
    Suspended = 2,
    /// What it was in is not mapped any more: whatever is there now is not ours, a trap neither.
    Gone = 3,
}

/// The longest instruction that a processor takes (Intel SDM volume 2, 2.3.11), and as much as a site remembers.
pub const LONGEST_INSTRUCTION: usize = 15;

/// An address that is, or was, patched.
pub struct Site {
    /// Where.
    pub address: u64,
    /// The text's own byte there.
    pub original: u8,
    /// The instruction that `displaced` was made from.
    pub code: Vec<u8>,
    /// The instruction there, made to run elsewhere.
    pub displaced: Displaced,
    state: AtomicU8,
    /// The file and the place in it that the address is mapped from; the first word tells whether that is known.
    origin: [AtomicU64; 5],
    probes: AtomicPtr<Probes>,
}

impl Site {
    /// A site that is not in the text yet.
    pub fn new(address: u64, code: Vec<u8>, displaced: Displaced) -> Self {
        Self {
            address,
            original: code.first().copied().unwrap_or_default(),
            code,
            displaced,
            state: AtomicU8::new(State::Absent as u8),
            origin: Default::default(),
            probes: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether its `int3` is in the text.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            1 => State::Armed,
            2 => State::Suspended,
            3 => State::Gone,
            _ => State::Absent,
        }
    }

    /// Told by whoever wrote the text.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// As [`Site::set_state`], where nobody else has told another one than `from` meanwhile.
    pub fn replace_state(&self, from: State, to: State) {
        let _ =
            self.state
                .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Where the memory that it is in comes from. Told by detrix's thread, and only while the text has no `int3` of it.
    pub fn set_origin(&self, origin: Option<Origin>) {
        let [known, words @ ..] = &self.origin;
        for (kept, word) in words.iter().zip(origin.unwrap_or_default().to_words()) {
            kept.store(word, Ordering::Relaxed);
        }
        known.store(origin.is_some().into(), Ordering::Release);
    }

    /// Whether the memory at its address is still what it was made in, as far as that can be known.
    pub fn is_in_place(&self, mappings: Option<&Mappings>) -> bool {
        let [known, words @ ..] = &self.origin;
        let Some(mappings) = mappings else {
            return true;
        };
        known.load(Ordering::Acquire) == 0
            || mappings.origin(self.address)
                == Some(Origin::from_words(
                    words.each_ref().map(|word| word.load(Ordering::Relaxed)),
                ))
    }

    /// Whether `found` is its instruction with `first` for the first byte.
    pub fn is_code(&self, found: &[u8], first: u8) -> bool {
        match (found.split_first(), self.code.split_first()) {
            (Some((byte, found)), Some((_, own))) => *byte == first && found == own,
            _ => false,
        }
    }

    /// The probes to run at a hit.
    ///
    /// # Safety
    ///
    /// The tracer's only: what it reads lives until it has answered the bell once more.
    pub unsafe fn probes(&self) -> &[Arc<Probe>] {
        // SAFETY: published by `replace_probes`, which hands the old list out to be kept for that long.
        unsafe { self.probes.load(Ordering::Acquire).as_ref() }.map_or(&[], Vec::as_slice)
    }

    /// Publishes other probes. The old list must live until the tracer has answered the bell, or is gone.
    pub fn replace_probes(&self, probes: Probes) -> Option<Box<Probes>> {
        let new = if probes.is_empty() {
            ptr::null_mut()
        } else {
            Box::into_raw(Box::new(probes))
        };
        let old = self.probes.swap(new, Ordering::AcqRel);
        // SAFETY: made by `Box::into_raw` above, and taken out just now.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.replace_probes(Vec::new()));
    }
}

/// All sites by address.
pub struct SiteTable {
    buckets: AtomicPtr<Buckets>,
    /// What readers may still look at, and the lock of writers.
    grown: Mutex<Grown>,
}

struct Buckets {
    /// A power of two; an empty entry ends a search.
    entries: Box<[AtomicPtr<Site>]>,
}

#[derive(Default)]
struct Grown {
    count: usize,
    /// Boxed: readers have their addresses.
    #[expect(clippy::vec_box)]
    retired: Vec<Box<Buckets>>,
}

impl SiteTable {
    /// A table without sites.
    pub fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(Box::into_raw(Buckets::new(256))),
            grown: Mutex::default(),
        }
    }

    /// The site at an address. For any thread, at any time.
    pub fn find(&self, address: u64) -> Option<&Site> {
        // SAFETY: buckets are published whole and live as long as the table.
        unsafe { self.buckets.load(Ordering::Acquire).as_ref() }?.find(address)
    }

    /// All sites, tombstones included. For any thread, at any time.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        // SAFETY: as in `find`.
        let buckets = unsafe { self.buckets.load(Ordering::Acquire).as_ref() };
        let entries = buckets.map_or(&[][..], |buckets| &buckets.entries);
        // SAFETY: sites are published whole and live as long as the table.
        entries
            .iter()
            .filter_map(|entry| unsafe { entry.load(Ordering::Acquire).as_ref() })
    }

    /// Publishes a site that the table does not have yet.
    pub fn insert(&self, site: Site) -> &Site {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.find(site.address) {
            return known;
        }
        // SAFETY: as in `find`.
        let mut buckets = unsafe { &*self.buckets.load(Ordering::Acquire) };
        if (grown.count + 1) * 2 > buckets.entries.len() {
            let larger = Buckets::new(buckets.entries.len() * 2);
            for entry in &buckets.entries {
                larger.insert(entry.load(Ordering::Acquire));
            }
            let old = self.buckets.swap(Box::into_raw(larger), Ordering::AcqRel);
            // SAFETY: made by `Box::into_raw`, and just taken out; kept until the table goes.
            grown.retired.push(unsafe { Box::from_raw(old) });
            // SAFETY: as in `find`.
            buckets = unsafe { &*self.buckets.load(Ordering::Acquire) };
        }
        grown.count += 1;
        let site = Box::into_raw(Box::new(site));
        buckets.insert(site);
        // SAFETY: made just now, and freed with the table only.
        unsafe { &*site }
    }
}

impl Drop for SiteTable {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`; nobody looks any more, for the table is borrowed mutably.
        let buckets = unsafe { Box::from_raw(*self.buckets.get_mut()) };
        for entry in buckets.entries {
            let site = entry.into_inner();
            if !site.is_null() {
                // SAFETY: made by `Box::into_raw` in `insert`; each site is once in the newest buckets.
                drop(unsafe { Box::from_raw(site) });
            }
        }
    }
}

impl Buckets {
    fn new(len: usize) -> Box<Self> {
        Box::new(Self {
            entries: (0..len).map(|_| AtomicPtr::default()).collect(),
        })
    }

    fn find(&self, address: u64) -> Option<&Site> {
        for entry in self.probe(address) {
            // SAFETY: sites are published whole and live as long as the table.
            match unsafe { entry.load(Ordering::Acquire).as_ref() } {
                Some(site) if site.address == address => return Some(site),
                Some(_) => {}
                None => return None,
            }
        }
        None
    }

    fn insert(&self, site: *mut Site) {
        // SAFETY: the caller's site lives; null only where there is none.
        let Some(address) = (unsafe { site.as_ref() }).map(|site| site.address) else {
            return;
        };
        if let Some(free) = self
            .probe(address)
            .find(|entry| entry.load(Ordering::Acquire).is_null())
        {
            free.store(site, Ordering::Release);
        }
    }

    /// The entries in which a site at `address` may be, in order.
    fn probe(&self, address: u64) -> impl Iterator<Item = &AtomicPtr<Site>> {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let hash = (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        let mask = self.entries.len().wrapping_sub(1);
        (0..self.entries.len())
            .filter_map(move |step| self.entries.get(hash.wrapping_add(step) & mask))
    }
}
