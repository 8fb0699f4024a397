//! What the tracer knows of each thread that it traces.
//!
//! A fixed open-addressing table in memory of its own: the tracer cannot allocate, and detrix's thread reads along to
//! see which threads are not traced yet.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use super::mapping::Mapping;

/// Room for so many entries; only the pages of thread numbers in use take memory. A table that is full loses what it
/// should remember (a repeated hit may be logged twice), nothing else.
const CAPACITY: usize = 1 << 16;
const MASK: usize = CAPACITY - 1;

/// A thread that is traced.
#[repr(C)]
#[derive(Default)]
pub struct Thread {
    tid: AtomicI32,
    _pad: AtomicI32,
    /// The next hit here is the same as the last one, if the stack pointer is also the same; 0 for none.
    repeat_at: AtomicU64,
    repeat_stack: AtomicU64,
}

impl Thread {
    /// Remembers that the thread was sent back to the site at `address` and will hit it again.
    pub fn expect_repeat(&self, address: u64, stack: u64) {
        self.repeat_stack.store(stack, Ordering::Relaxed);
        self.repeat_at.store(address, Ordering::Relaxed);
    }

    /// Whether this hit is the expected repetition; it is expected once.
    pub fn take_repeat(&self, address: u64, stack: u64) -> bool {
        self.repeat_at.load(Ordering::Relaxed) == address
            && self.repeat_at.swap(0, Ordering::Relaxed) == address
            && self.repeat_stack.load(Ordering::Relaxed) == stack
    }
}

/// See the module's documentation.
pub struct ThreadTable {
    entries: Mapping,
    count: AtomicUsize,
}

impl ThreadTable {
    /// An empty table.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            entries: Mapping::anonymous(CAPACITY * size_of::<Thread>())?,
            count: AtomicUsize::new(0),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn entry(&self, index: usize) -> &Thread {
        // SAFETY: the index is below the capacity, the mapping is zeroed and aligned, and all zeroes is a Thread.
        unsafe { &*self.entries.as_ptr().cast::<Thread>().add(index & MASK) }
    }

    /// The entry of a traced thread. For any thread, at any time.
    pub fn find(&self, tid: i32) -> Option<&Thread> {
        self.index(tid).map(|index| self.entry(index))
    }

    /// Adds a thread; true when it was not there. The tracer's only.
    pub fn insert(&self, tid: i32) -> bool {
        for step in 0..CAPACITY {
            let entry = self.entry((tid as usize).wrapping_add(step));
            match entry.tid.load(Ordering::Relaxed) {
                0 => {
                    entry.repeat_at.store(0, Ordering::Relaxed);
                    entry.tid.store(tid, Ordering::Release);
                    self.count.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                found if found == tid => return false,
                _ => {}
            }
        }
        true
    }

    /// Forgets a thread; those behind it move up, so that no search ends early. The tracer's only.
    pub fn remove(&self, tid: i32) {
        let Some(start) = self.index(tid) else { return };
        let mut hole = start;
        for step in 1..CAPACITY {
            let index = start.wrapping_add(step);
            let mover = self.entry(index);
            let moved = mover.tid.load(Ordering::Relaxed);
            if moved == 0 {
                break;
            }
            // It may fill the hole unless its own place lies between the hole and here.
            let from_home = index.wrapping_sub(moved as usize) & MASK;
            if from_home >= index.wrapping_sub(hole) & MASK {
                let target = self.entry(hole);
                target
                    .repeat_at
                    .store(mover.repeat_at.load(Ordering::Relaxed), Ordering::Relaxed);
                target.repeat_stack.store(
                    mover.repeat_stack.load(Ordering::Relaxed),
                    Ordering::Relaxed,
                );
                target.tid.store(moved, Ordering::Release);
                hole = index;
            }
        }
        self.entry(hole).tid.store(0, Ordering::Release);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn index(&self, tid: i32) -> Option<usize> {
        let start = tid as usize;
        (start..start.wrapping_add(CAPACITY))
            .map(|index| (index, self.entry(index).tid.load(Ordering::Acquire)))
            .take_while(|(_, found)| *found != 0)
            .find(|(_, found)| *found == tid)
            .map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_come_and_go() {
        let table = ThreadTable::new().unwrap();
        // Numbers that share a place, numbers that follow them, and numbers around the end of the table.
        let tids: Vec<i32> = (0..6)
            .flat_map(|n| [77 + n * 65536, 78 + n, 65535 + n * 65536, 65533 + n])
            .collect();
        let mut expected = std::collections::HashSet::new();
        let mut seed = 12345u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tid = tids[(seed >> 16) as usize % tids.len()];
            if seed & 1024 == 0 {
                assert_eq!(table.insert(tid), expected.insert(tid));
            } else {
                table.remove(tid);
                expected.remove(&tid);
            }
            for tid in &tids {
                assert_eq!(table.find(*tid).is_some(), expected.contains(tid), "{tid}");
            }
        }
    }

    #[test]
    fn a_repeated_hit_is_expected_once() {
        let table = ThreadTable::new().unwrap();
        table.insert(5);
        let thread = table.find(5).unwrap();
        assert!(!thread.take_repeat(100, 1));
        thread.expect_repeat(100, 1);
        assert!(!thread.take_repeat(101, 1));
        assert!(thread.take_repeat(100, 1));
        assert!(!thread.take_repeat(100, 1));
        thread.expect_repeat(100, 1);
        assert!(
            !thread.take_repeat(100, 2),
            "another activation of the same code"
        );
    }
}
