//! The atomics, and one lock, of what threads share: the standard library's, or, built with `--cfg detrix_loom`, those of
//! [loom](https://docs.rs/loom), which runs a test with every order in which the threads' steps may be seen.

#[cfg(not(all(test, detrix_loom)))]
pub use std::sync::Mutex;
#[cfg(not(all(test, detrix_loom)))]
pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, fence};

#[cfg(all(test, detrix_loom))]
pub use loom::sync::Mutex;
#[cfg(all(test, detrix_loom))]
pub use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, fence};

/// Says of plain memory, in units of 8 bytes, who touches it, so that a model fails where nothing orders two accesses of
/// which one writes. No more than its name in every other build.
#[cfg(not(all(test, detrix_loom)))]
pub struct Witness;

#[cfg(not(all(test, detrix_loom)))]
impl Witness {
    /// For `units` units.
    #[inline(always)]
    pub fn new(_units: usize) -> Self {
        Self
    }

    /// `count` units from `first` on are being read.
    #[inline(always)]
    pub fn reads(&self, _first: usize, _count: usize) {}

    /// `count` units from `first` on are being written.
    #[inline(always)]
    pub fn writes(&self, _first: usize, _count: usize) {}
}

/// See the other one.
#[cfg(all(test, detrix_loom))]
pub struct Witness(Box<[loom::cell::UnsafeCell<()>]>);

// SAFETY: there is nothing in the cells, and to tell of accesses that race is what they are for.
#[cfg(all(test, detrix_loom))]
unsafe impl Sync for Witness {}

#[cfg(all(test, detrix_loom))]
impl Witness {
    /// For `units` units.
    pub fn new(units: usize) -> Self {
        Self(
            (0..units)
                .map(|_| loom::cell::UnsafeCell::new(()))
                .collect(),
        )
    }

    /// `count` units from `first` on are being read.
    pub fn reads(&self, first: usize, count: usize) {
        let units = self.0.iter().skip(first).take(count);
        units.for_each(|unit| unit.with(|_| ()));
    }

    /// `count` units from `first` on are being written.
    pub fn writes(&self, first: usize, count: usize) {
        let units = self.0.iter().skip(first).take(count);
        units.for_each(|unit| unit.with_mut(|_| ()));
    }
}
