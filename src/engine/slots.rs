//! Executable memory for displaced instructions, near the code that they come from.

use std::fs;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::displace::SLOT_SIZE;
use super::mapping::Mapping;
use super::sites::Site;

/// One piece of slot memory: 1,024 slots.
const REGION: usize = 1024 * SLOT_SIZE;

/// How many regions there can be. 32 hold 32,768 sites.
const REGIONS: usize = 32;

/// A RIP-relative operand reaches 2 GB; some of it is left for the code's own size.
const REACH: u64 = 0x7000_0000;

struct Region {
    memory: Mapping,
    used: AtomicUsize,
    /// The site of each slot.
    sites: Box<[AtomicPtr<Site>]>,
}

/// All slots. Taken on detrix's thread; looked up by the tracer without a lock.
#[derive(Default)]
pub struct Slots {
    regions: [AtomicPtr<Region>; REGIONS],
    count: AtomicUsize,
}

impl Slots {
    /// A slot for the instruction at `near`; it stays taken until all slots go. `text` is the module's code range,
    /// whose end the slot must reach as well.
    ///
    /// # Errors
    ///
    /// When there is no free memory within reach, or too many slots are taken.
    pub fn take(&self, near: u64, text: &Range<u64>) -> io::Result<u64> {
        for region in self.regions() {
            if within_reach(region.memory.address(), near, text) {
                let index = region.used.fetch_add(1, Ordering::Relaxed);
                if index < region.sites.len() {
                    return Ok(region.memory.address() + (index * SLOT_SIZE) as u64);
                }
                region.used.store(region.sites.len(), Ordering::Relaxed);
            }
        }
        let count = self.count.load(Ordering::Acquire);
        let free = self
            .regions
            .get(count)
            .ok_or_else(|| io::Error::other("32,768 sites are set already"))?;
        let memory = map_near(near, text)?;
        let address = memory.address();
        let sites = (0..REGION / SLOT_SIZE)
            .map(|_| AtomicPtr::default())
            .collect();
        let region = Region {
            memory,
            used: AtomicUsize::new(1),
            sites,
        };
        free.store(Box::into_raw(Box::new(region)), Ordering::Release);
        self.count.store(count + 1, Ordering::Release);
        Ok(address)
    }

    /// Takes the slot back that was taken last, and was not used.
    pub fn give_back(&self, slot: u64) {
        let region = self
            .regions()
            .find(|region| slot.wrapping_sub(region.memory.address()) < REGION as u64);
        if let Some(region) = region {
            region.used.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether none was ever taken.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Remembers whose slot it is.
    pub fn assign(&self, slot: u64, site: &Site) {
        if let Some(entry) = self.entry(slot) {
            entry.store(site as *const Site as *mut Site, Ordering::Release);
        }
    }

    /// The site whose slot `address` lies in.
    pub fn site_at(&self, address: u64) -> Option<&Site> {
        // SAFETY: sites outlive the slots: both go together, after the last thread left them.
        unsafe { self.entry(address)?.load(Ordering::Acquire).as_ref() }
    }

    /// Whether `address` lies in slot memory.
    pub fn contains(&self, address: u64) -> bool {
        self.entry(address).is_some()
    }

    fn entry(&self, address: u64) -> Option<&AtomicPtr<Site>> {
        self.regions().find_map(|region| {
            let offset = address.checked_sub(region.memory.address())? as usize;
            region.sites.get(offset / SLOT_SIZE)
        })
    }

    fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions
            .iter()
            // SAFETY: published whole, and freed with the slots only.
            .map_while(|region| unsafe { region.load(Ordering::Acquire).as_ref() })
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for region in &mut self.regions {
            let region = *region.get_mut();
            if !region.is_null() {
                // SAFETY: made by `Box::into_raw` in `take`.
                drop(unsafe { Box::from_raw(region) });
            }
        }
    }
}

/// Whether code in a region at `start` reaches all of the module's text, and what lies around it.
fn within_reach(start: u64, near: u64, text: &Range<u64>) -> bool {
    let low = start.min(near).min(text.start);
    let high = (start + REGION as u64).max(near).max(text.end);
    high - low < REACH
}

/// Maps a region in a gap of the address space as near to `near` as there is.
fn map_near(near: u64, text: &Range<u64>) -> io::Result<Mapping> {
    let mut candidates = gaps(&fs::read_to_string("/proc/thread-self/maps")?);
    candidates.retain(|start| within_reach(*start, near, text));
    candidates.sort_by_key(|start| start.abs_diff(near));
    for start in candidates {
        match Mapping::executable_at(start, REGION) {
            // Somebody else took the gap in the meantime.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            result => return result,
        }
    }
    Err(io::Error::other(format!(
        "no free memory within 2 GB of the code at {near:#x}"
    )))
}

/// Addresses at which a region fits between the mappings that `/proc/self/maps` lists: the end and the start of each gap.
fn gaps(maps: &str) -> Vec<u64> {
    const LOWEST: u64 = 0x1_0000;
    const HIGHEST: u64 = 0x7fff_ffff_0000;
    /// Room that the heap, which grows upwards from where it starts, and stacks, which grow downwards, are left.
    const MARGIN: u64 = 0x100_0000;
    let mut starts = Vec::new();
    let mut free_from = LOWEST;
    let mapped = maps.lines().filter_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some((
            u64::from_str_radix(start, 16).ok()?,
            u64::from_str_radix(end, 16).ok()?,
        ))
    });
    for (start, end) in mapped.chain([(HIGHEST, HIGHEST)]) {
        if start.saturating_sub(free_from) >= REGION as u64 + 2 * MARGIN {
            starts.push(start - MARGIN - REGION as u64);
            starts.push(free_from + MARGIN);
        }
        free_from = free_from.max(end);
    }
    starts.iter().map(|start| start & !0xfff).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_near_and_its_own() {
        let slots = Slots::default();
        let near = a_slot_is_near_and_its_own as fn() as usize as u64;
        let text = near..near + 4096;
        let taken: std::collections::HashSet<u64> = (0..1500)
            .map(|_| slots.take(near, &text).unwrap())
            .collect();
        assert_eq!(taken.len(), 1500);
        for slot in taken {
            assert!(slot.abs_diff(near) < REACH);
            assert!(slots.contains(slot) && slots.contains(slot + SLOT_SIZE as u64 - 1));
            assert!(slots.site_at(slot).is_none());
        }
        assert!(!slots.contains(near));
    }

    #[test]
    fn a_slot_that_is_given_back_is_taken_again() {
        let slots = Slots::default();
        let near = a_slot_that_is_given_back_is_taken_again as fn() as usize as u64;
        let take = || slots.take(near, &(near..near + 4096)).unwrap();
        let (first, second) = (take(), take());
        slots.give_back(second);
        assert_eq!(take(), second);
        assert_ne!(take(), first);
    }

    #[test]
    fn gaps_leave_room_around_what_is_there() {
        let maps = "10000000-10001000 r-xp 0 0:0 0 /a\n20000000-20001000 rw-p 0 0:0 0 [heap]\n";
        for start in gaps(maps) {
            assert!(
                start + REGION as u64 <= 0x1000_0000 || start >= 0x1000_1000,
                "{start:#x}"
            );
            assert_eq!(start % 4096, 0);
        }
        assert!(gaps("no maps at all").len() == 2);
    }

    #[test]
    fn code_that_nothing_reaches_is_refused() {
        let slots = Slots::default();
        assert!(slots.take(1 << 60, &((1 << 60)..(1 << 60) + 10)).is_err());
    }
}
