//! The sites: addresses whose first byte is, or was, an `int3` of ours.
//!
//! A site, once published in the [table](super::table), stays where it is until the whole table goes. One that was removed
//! stays as a tombstone: a thread may have run into it just before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::account::Account;
use super::displace::Displaced;
use super::origin::{Mappings, Origin};
use super::published::Published;
use super::table::{Located, Table};
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
    probes: Published<Probes>,
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
            probes: Published::default(),
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
        // SAFETY: the caller's promise; `replace_probes` hands the old list out to be kept for that long.
        unsafe { self.probes.get() }.map_or(&[], Vec::as_slice)
    }

    /// Publishes other probes. The old list must live until the tracer has answered the bell, or is gone.
    pub fn replace_probes(&self, probes: Probes) -> Option<Box<Probes>> {
        self.probes
            .replace((!probes.is_empty()).then(|| Box::new(probes)))
    }
}

impl Located for Site {
    fn address(&self) -> u64 {
        self.address
    }
}

/// All sites.
pub type SiteTable = Table<Site>;
