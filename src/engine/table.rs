//! A table that grows and never forgets, which any thread may search without a lock.
//!
//! The tracer and the SIGTRAP handler look sites up in threads that may be stopped or killed at any instruction. So what is
//! in the table stays where it is until the whole table goes, and so do its old buckets when it grows.

use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::sync::{AtomicPtr, Mutex, Witness};

/// What has an address of its own.
pub trait Located {
    /// By which it is found; never another one.
    fn address(&self) -> u64;
}

/// Entries of a new table, a power of two. A model has to see it grow.
const ENTRIES: usize = if cfg!(detrix_loom) { 2 } else { 256 };

/// Values by address.
pub struct Table<T> {
    buckets: AtomicPtr<Buckets<T>>,
    /// What readers may still look at, and the lock of writers.
    grown: Mutex<Grown<T>>,
}

struct Buckets<T> {
    /// A power of two; an empty entry ends a search.
    entries: Box<[AtomicPtr<T>]>,
    /// Of the slice itself.
    witness: Witness,
}

struct Grown<T> {
    count: usize,
    /// Boxed: readers have their addresses.
    #[expect(clippy::vec_box)]
    retired: Vec<Box<Buckets<T>>>,
}

impl<T: Located> Table<T> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(Box::into_raw(Buckets::new(ENTRIES))),
            grown: Mutex::new(Grown {
                count: 0,
                retired: Vec::new(),
            }),
        }
    }

    /// The value at an address. For any thread, at any time.
    pub fn find(&self, address: u64) -> Option<&T> {
        self.buckets().find(address)
    }

    /// All values. For any thread, at any time.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets()
            .entries()
            .iter()
            // SAFETY: values are published whole and live as long as the table.
            .filter_map(|entry| unsafe { entry.load(Ordering::Acquire).as_ref() })
    }

    /// Publishes a value whose address the table does not have yet; else the one that it has stays.
    pub fn insert(&self, value: T) -> &T {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.find(value.address()) {
            return known;
        }
        if (grown.count + 1) * 2 > self.buckets().entries().len() {
            let larger = Buckets::new(self.buckets().entries().len() * 2);
            for entry in self.buckets().entries() {
                larger.insert(entry.load(Ordering::Acquire));
            }
            let old = self.buckets.swap(Box::into_raw(larger), Ordering::AcqRel);
            // SAFETY: made by `Box::into_raw`, and just taken out; kept until the table goes.
            grown.retired.push(unsafe { Box::from_raw(old) });
        }
        grown.count += 1;
        let value = Box::into_raw(Box::new(value));
        self.buckets().insert(value);
        // SAFETY: made just now, and freed with the table only.
        unsafe { &*value }
    }

    fn buckets(&self) -> &Buckets<T> {
        // SAFETY: never null; buckets are published whole and live as long as the table.
        unsafe { &*self.buckets.load(Ordering::Acquire) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`; nobody looks any more, for the table is borrowed mutably.
        let buckets = unsafe { Box::from_raw(self.buckets.load(Ordering::Acquire)) };
        for entry in &buckets.entries {
            let value = entry.load(Ordering::Acquire);
            if !value.is_null() {
                // SAFETY: made by `Box::into_raw` in `insert`; each value is once in the newest buckets.
                drop(unsafe { Box::from_raw(value) });
            }
        }
    }
}

impl<T: Located> Buckets<T> {
    fn new(len: usize) -> Box<Self> {
        let witness = Witness::new(1);
        witness.writes(0, 1);
        let empty = || AtomicPtr::new(ptr::null_mut());
        Box::new(Self {
            entries: (0..len).map(|_| empty()).collect(),
            witness,
        })
    }

    fn entries(&self) -> &[AtomicPtr<T>] {
        self.witness.reads(0, 1);
        &self.entries
    }

    fn find(&self, address: u64) -> Option<&T> {
        for entry in self.probe(address) {
            // SAFETY: values are published whole and live as long as the table.
            let value = unsafe { entry.load(Ordering::Acquire).as_ref() }?;
            if value.address() == address {
                return Some(value);
            }
        }
        None
    }

    fn insert(&self, value: *mut T) {
        // SAFETY: the caller's value lives; null only where there is none.
        let Some(address) = (unsafe { value.as_ref() }).map(Located::address) else {
            return;
        };
        if let Some(free) = self
            .probe(address)
            .find(|entry| entry.load(Ordering::Acquire).is_null())
        {
            free.store(value, Ordering::Release);
        }
    }

    /// The entries in which a value at `address` may be, in order.
    fn probe(&self, address: u64) -> impl Iterator<Item = &AtomicPtr<T>> {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
        let hash = (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        let entries = self.entries();
        let mask = entries.len().wrapping_sub(1);
        (0..entries.len()).filter_map(move |step| entries.get(hash.wrapping_add(step) & mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Located for u64 {
        fn address(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn what_is_in_it_stays_where_it_is_while_it_grows() {
        let table = Table::new();
        let places: Vec<*const u64> = (0..2000u64)
            .map(|number| ptr::from_ref(table.insert(number << 12)))
            .collect();
        for (number, place) in (0u64..).zip(places) {
            assert_eq!(table.find(number << 12).map(ptr::from_ref), Some(place));
            assert_eq!(ptr::from_ref(table.insert(number << 12)), place, "once");
        }
        assert_eq!(table.iter().count(), 2000);
        assert!(table.find(1).is_none());
    }
}

#[cfg(all(test, detrix_loom))]
mod models;
