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
    /// 1 for one whose system calls are watched.
    watched: AtomicI32,
    /// The next hit here is the same as the last one, if the stack pointer is also the same; 0 for none.
    repeat_at: AtomicU64,
    repeat_stack: AtomicU64,
    /// The number of the system call that is to be restarted, plus 1; 0 for none.
    restarting: AtomicU64,
    /// Where a call was restarted last, and how often in a row.
    restarted_at: AtomicU64,
    restarts: AtomicU64,
    /// Its mask with [`HIT_WITHOUT`], if it is known to block SIGTRAP; [`HIT_WITHOUT`] alone, if it has hit a site without; 0 if
    /// nothing is known.
    blocked: AtomicU64,
    /// The number of resets at which that was last seen.
    resets: AtomicU64,
    let_go: AtomicU64,
    /// 1 for one that is left in a stop of the whole program.
    group_stopped: AtomicU64,
}

/// A bit that no mask has: SIGKILL's.
const HIT_WITHOUT: u64 = 1 << (libc::SIGKILL - 1);

impl Thread {
    /// Remembers when it was let go after a hit, in ticks of the processor's clock.
    pub fn set_let_go(&self, ticks: u64) {
        self.let_go.store(ticks, Ordering::Relaxed);
    }

    /// When it was let go last; 0 for never.
    pub fn let_go(&self) -> u64 {
        self.let_go.load(Ordering::Relaxed)
    }

    /// Remembers that the thread was sent back to the site at `address` and will hit it again.
    pub fn expect_repeat(&self, address: u64, stack: u64) {
        self.repeat_stack.store(stack, Ordering::Relaxed);
        self.repeat_at.store(address, Ordering::Relaxed);
    }

    /// Whether this hit is the expected repetition; it is expected once. A handler that runs through the same code before it
    /// is no repetition, nor the last word.
    pub fn take_repeat(&self, address: u64, stack: u64) -> bool {
        self.repeat_at.load(Ordering::Relaxed) == address
            && self.repeat_stack.load(Ordering::Relaxed) == stack
            && self.repeat_at.swap(0, Ordering::Relaxed) == address
    }

    /// Counts restarts in a row of calls made with one stack pointer.
    pub fn count_restart(&self, stack: u64) -> u64 {
        let before = if self.restarted_at.swap(stack, Ordering::Relaxed) == stack {
            self.restarts.load(Ordering::Relaxed)
        } else {
            0
        };
        let count = before.wrapping_add(1);
        self.restarts.store(count, Ordering::Relaxed);
        count
    }

    /// Remembers that the thread is about to restart a system call.
    pub fn set_restarting(&self, number: u64) {
        self.restarting
            .store(number.wrapping_add(1), Ordering::Relaxed);
    }

    /// The system call that it was about to restart, once.
    pub fn take_restarting(&self) -> Option<u64> {
        self.restarting.swap(0, Ordering::Relaxed).checked_sub(1)
    }

    /// The mask that it is known to have with SIGTRAP blocked; 0 where it is not known to block that.
    pub fn blocked(&self) -> u64 {
        self.blocked.load(Ordering::Relaxed) & !HIT_WITHOUT
    }

    /// The number of resets that [`Thread::set_blocked`] was told.
    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::Relaxed)
    }

    /// Told by the tracer after a hit.
    pub fn set_blocked(&self, mask: u64, resets: u64) {
        self.blocked.store(mask | HIT_WITHOUT, Ordering::Relaxed);
        self.resets.store(resets, Ordering::Relaxed);
    }

    /// Whether it has hit a site without blocking SIGTRAP.
    pub fn has_hit_without(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) == HIT_WITHOUT
    }

    /// Told by the tracer of one that is not known to block SIGTRAP.
    pub fn hits_without(&self) {
        self.blocked.store(HIT_WITHOUT, Ordering::Relaxed);
    }

    /// Told by detrix's thread, of one that blocks SIGTRAP and has hit nothing yet; what the tracer says goes before it.
    pub fn look_up(&self, mask: u64) {
        let _ = self.blocked.compare_exchange(
            0,
            mask | HIT_WITHOUT,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Has its system calls watched, see [`Thread::is_watched`].
    pub fn watch(&self) {
        self.watched.store(1, Ordering::Relaxed);
    }

    /// Whether it has to be let go before it becomes another program.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed) == 1
    }

    /// Remembers that it is left in a stop of the whole program.
    pub fn set_group_stopped(&self) {
        self.group_stopped.store(1, Ordering::Relaxed);
    }

    /// Whether it was left in one, once.
    pub fn take_group_stopped(&self) -> bool {
        self.group_stopped.swap(0, Ordering::Relaxed) == 1
    }

    /// Everything that is remembered of a thread, in order.
    fn memory(&self) -> [&AtomicU64; 9] {
        [
            &self.repeat_at,
            &self.repeat_stack,
            &self.restarting,
            &self.restarted_at,
            &self.restarts,
            &self.blocked,
            &self.resets,
            &self.let_go,
            &self.group_stopped,
        ]
    }
}

/// See the module's documentation.
pub struct ThreadTable {
    entries: Mapping,
    /// A bit for each entry in use: a walk over the entries themselves would be long.
    used: Box<[AtomicU64]>,
    count: AtomicUsize,
}

impl ThreadTable {
    /// An empty table.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            entries: Mapping::anonymous(CAPACITY * size_of::<Thread>())?,
            used: (0..CAPACITY / 64).map(|_| AtomicU64::new(0)).collect(),
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

    /// The thread in the first entry in use behind the one at `cursor`, around the end, and moves `cursor` there.
    pub fn next(&self, cursor: &mut usize) -> Option<i32> {
        let start = cursor.wrapping_add(1) & MASK;
        let first = start / 64;
        for step in 0..=self.used.len() {
            let word = first.wrapping_add(step) & (MASK / 64);
            let mut bits = self.used.get(word)?.load(Ordering::Relaxed);
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            }
            if bits != 0 {
                *cursor = word
                    .wrapping_mul(64)
                    .wrapping_add(bits.trailing_zeros() as usize);
                return Some(self.entry(*cursor).tid.load(Ordering::Relaxed))
                    .filter(|tid| *tid != 0);
            }
        }
        None
    }

    /// Visits all threads. The tracer's only.
    pub fn each(&self, mut visit: impl FnMut(i32, &Thread)) {
        for (word, used) in self.used.iter().enumerate() {
            let mut bits = used.load(Ordering::Relaxed);
            while bits != 0 {
                let index = word
                    .wrapping_mul(64)
                    .wrapping_add(bits.trailing_zeros() as usize);
                bits &= bits.wrapping_sub(1);
                let thread = self.entry(index);
                visit(thread.tid.load(Ordering::Relaxed), thread);
            }
        }
    }

    fn set_used(&self, index: usize, used: bool) {
        let bit = 1 << (index % 64);
        if let Some(word) = self.used.get((index & MASK) / 64) {
            if used {
                word.fetch_or(bit, Ordering::Relaxed);
            } else {
                word.fetch_and(!bit, Ordering::Relaxed);
            }
        }
    }

    /// Adds a thread; true when it was not there. The tracer's only.
    pub fn insert(&self, tid: i32) -> bool {
        for step in 0..CAPACITY {
            let index = (tid as usize).wrapping_add(step);
            let entry = self.entry(index);
            match entry.tid.load(Ordering::Relaxed) {
                0 => {
                    for word in entry.memory() {
                        word.store(0, Ordering::Relaxed);
                    }
                    entry.watched.store(0, Ordering::Relaxed);
                    entry.tid.store(tid, Ordering::Release);
                    self.set_used(index, true);
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
                for (to, from) in target.memory().into_iter().zip(mover.memory()) {
                    to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                let watched = mover.watched.load(Ordering::Relaxed);
                target.watched.store(watched, Ordering::Relaxed);
                target.tid.store(moved, Ordering::Release);
                hole = index;
            }
        }
        self.entry(hole).tid.store(0, Ordering::Release);
        self.set_used(hole, false);
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
            let mut cursor = 0;
            let walked: Vec<_> = (0..expected.len())
                .filter_map(|_| table.next(&mut cursor))
                .collect();
            assert_eq!(walked.len(), expected.len());
            assert_eq!(
                walked.into_iter().collect::<std::collections::HashSet<_>>(),
                expected
            );
            let mut visited = std::collections::HashSet::new();
            table.each(|tid, _| assert!(visited.insert(tid)));
            assert_eq!(visited, expected);
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
        assert!(
            thread.take_repeat(100, 1),
            "a handler's, before that which it interrupted"
        );
    }
}
