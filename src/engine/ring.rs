//! The bounded ring of records between the tracer and detrix's own thread.
//!
//! One producer, one consumer, no locks: the producer may be killed at any instruction, and what it had not yet
//! committed was never there. A full ring refuses the record; the producer counts that and goes on.

use std::io;
use std::sync::atomic::Ordering;

use super::mapping::Mapping;
use super::sync::{AtomicU32, AtomicU64, Witness, fence};

/// What precedes the bytes of each record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of header and bytes, rounded up to [`ALIGN`].
    total: u32,
    /// Length of the bytes; [`PADDING`] for none up to the end of the buffer.
    len: u32,
    /// Which probe recorded it.
    pub probe: u32,
    /// The thread that was hit.
    pub tid: i32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
}

const ALIGN: usize = 8;
const HEADER: usize = size_of::<Header>();
const PADDING: u32 = u32::MAX;

/// See the module's documentation.
pub struct Ring {
    buffer: Mapping,
    witness: Witness,
    /// Bytes ever produced. Only the producer writes it.
    head: AtomicU64,
    /// Bytes ever consumed. Only the consumer writes it.
    tail: AtomicU64,
    /// 1 while the consumer sleeps and wants to be woken.
    parked: AtomicU32,
}

impl Ring {
    /// A ring of `capacity` bytes, a power of two with room for a header; memory is used as records fill it.
    pub fn new(capacity: usize) -> io::Result<Self> {
        assert!(
            capacity.is_power_of_two() && capacity >= HEADER,
            "a constant of the caller's"
        );
        Ok(Self {
            buffer: Mapping::anonymous(capacity)?,
            witness: Witness::new(capacity / ALIGN),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            parked: AtomicU32::new(0),
        })
    }

    fn capacity(&self) -> usize {
        self.buffer.len()
    }

    fn at(&self, position: u64) -> *mut u8 {
        let offset = (position as usize) & (self.capacity() - 1);
        // SAFETY: the offset is below the mapping's length.
        unsafe { self.buffer.as_ptr().add(offset) }
    }

    /// Tells of an access to `len` bytes from `position` on, which do not wrap.
    fn touch(&self, position: u64, len: usize, how: fn(&Witness, usize, usize)) {
        let first = (position as usize) & (self.capacity() - 1);
        how(&self.witness, first / ALIGN, len.div_ceil(ALIGN));
    }

    /// Room for a record of up to `max` bytes, or `None` when the ring is full.
    ///
    /// # Safety
    ///
    /// Only the one producer may call this, and it must drop the reservation before the next one.
    pub unsafe fn reserve(&self, max: usize) -> Option<Reservation<'_>> {
        let total = (HEADER + max).next_multiple_of(ALIGN);
        let mut head = self.head.load(Ordering::Relaxed);
        let free = self.capacity() as u64 - (head - self.tail.load(Ordering::Acquire));
        let to_end = self.capacity() - ((head as usize) & (self.capacity() - 1));
        let padding = if to_end < total { to_end } else { 0 };
        if (total + padding) as u64 > free {
            return None;
        }
        if padding >= HEADER {
            let header = Header {
                total: padding as u32,
                len: PADDING,
                probe: 0,
                tid: 0,
                time: 0,
            };
            self.touch(head, HEADER, Witness::writes);
            // SAFETY: `padding` bytes up to the end of the buffer are free, and positions are multiples of 8.
            unsafe { self.at(head).cast::<Header>().write(header) };
        }
        head += padding as u64;
        Some(Reservation {
            ring: self,
            head,
            max,
        })
    }

    /// The oldest record; it leaves the ring when the returned value is dropped.
    ///
    /// # Safety
    ///
    /// Only the one consumer may call this, and it must drop the record before the next one.
    pub unsafe fn next(&self) -> Option<Record<'_>> {
        loop {
            let tail = self.tail.load(Ordering::Relaxed);
            if tail == self.head.load(Ordering::Acquire) {
                return None;
            }
            let to_end = self.capacity() - ((tail as usize) & (self.capacity() - 1));
            if to_end < HEADER {
                self.tail.store(tail + to_end as u64, Ordering::Release);
                continue;
            }
            self.touch(tail, HEADER, Witness::reads);
            // SAFETY: the producer committed a header here.
            let header = unsafe { self.at(tail).cast::<Header>().read() };
            if header.len == PADDING {
                self.tail
                    .store(tail + u64::from(header.total), Ordering::Release);
                continue;
            }
            // SAFETY: the producer committed this many bytes behind the header, without a wrap, and leaves them alone
            // until `tail` moves.
            let bytes = unsafe {
                std::slice::from_raw_parts(self.at(tail).add(HEADER), header.len as usize)
            };
            return Some(Record {
                ring: self,
                header,
                bytes,
                next: tail + u64::from(header.total),
            });
        }
    }

    /// Bytes ever produced.
    pub fn produced(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Bytes ever consumed.
    pub fn consumed(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// Whether nothing waits to be consumed.
    pub fn is_empty(&self) -> bool {
        self.consumed() == self.produced()
    }

    /// The consumer says that it is about to sleep. When this returns true it may; otherwise there is work.
    pub fn park(&self) -> bool {
        self.parked.store(1, Ordering::Relaxed);
        // Pairs with the fence of `consumer_sleeps`: one of the two sees what the other one wrote.
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        self.parked.store(0, Ordering::Relaxed);
        false
    }

    /// Whether the consumer sleeps; asked by the producer after it committed, and true for one asker only.
    pub fn consumer_sleeps(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) == 1 && self.parked.swap(0, Ordering::Relaxed) == 1
    }
}

/// Room in the ring that nobody sees until it is committed.
pub struct Reservation<'a> {
    ring: &'a Ring,
    head: u64,
    max: usize,
}

impl Reservation<'_> {
    /// The bytes to fill.
    pub fn bytes(&mut self) -> &mut [u8] {
        let start = self.head + HEADER as u64;
        self.ring.touch(start, self.max, Witness::writes);
        // SAFETY: reserved for the one producer, contiguous, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ring.at(self.head).add(HEADER), self.max) }
    }

    /// Publishes the first `len` bytes.
    pub fn commit(self, len: usize, probe: u32, tid: i32, time: u64) {
        let len = if len < self.max { len } else { self.max };
        let total = (HEADER + len).next_multiple_of(ALIGN);
        let header = Header {
            total: total as u32,
            len: len as u32,
            probe,
            tid,
            time,
        };
        self.ring.touch(self.head, HEADER, Witness::writes);
        // SAFETY: reserved; positions are multiples of 8.
        unsafe { self.ring.at(self.head).cast::<Header>().write(header) };
        self.ring
            .head
            .store(self.head + total as u64, Ordering::Release);
    }
}

/// A record in the ring.
pub struct Record<'a> {
    ring: &'a Ring,
    /// Who, where and when.
    pub header: Header,
    /// What the capture program wrote.
    pub bytes: &'a [u8],
    next: u64,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        // Whoever had the record has read it by now.
        let len = self.bytes.len().next_multiple_of(ALIGN);
        self.ring.touch(self.next - len as u64, len, Witness::reads);
        self.ring.tail.store(self.next, Ordering::Release);
    }
}

#[cfg(all(test, detrix_loom))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &Ring, len: usize, byte: u8) -> bool {
        // SAFETY: the test is the one producer.
        let Some(mut room) = (unsafe { ring.reserve(len) }) else {
            return false;
        };
        room.bytes().fill(byte);
        room.commit(len, u32::from(byte), 1, 2);
        true
    }

    #[test]
    fn records_come_out_in_order_over_many_wraps() {
        let ring = Ring::new(4096).unwrap();
        for round in 0..1000usize {
            let len = round * 7 % 600;
            assert!(push(&ring, len, round as u8));
            assert!(push(&ring, 3, !(round as u8)));
            // SAFETY: the test is the one consumer.
            let record = unsafe { ring.next() }.unwrap();
            assert_eq!(
                (record.bytes.len(), record.header.probe),
                (len, u32::from(round as u8))
            );
            assert!(record.bytes.iter().all(|byte| *byte == round as u8));
            drop(record);
            // SAFETY: as above.
            let record = unsafe { ring.next() }.unwrap();
            assert_eq!(record.bytes, [!(round as u8); 3]);
        }
        assert!(ring.is_empty());
    }

    #[test]
    fn a_full_ring_refuses_and_loses_nothing() {
        let ring = Ring::new(4096).unwrap();
        let mut pushed = 0;
        while push(&ring, 100, pushed) {
            pushed += 1;
        }
        assert_eq!(pushed, 32);
        assert!(!push(&ring, 4096, 0));
        for byte in 0..pushed {
            // SAFETY: the test is the one consumer.
            assert_eq!(unsafe { ring.next() }.unwrap().bytes, [byte; 100]);
        }
        assert!(push(&ring, 100, 0));
    }

    #[test]
    fn what_is_not_committed_was_never_there() {
        let ring = Ring::new(4096).unwrap();
        // SAFETY: the test is the one producer and consumer.
        unsafe {
            ring.reserve(10).unwrap().bytes().fill(9);
            assert!(ring.next().is_none());
        }
        assert!(push(&ring, 2, 1));
        // SAFETY: as above.
        assert_eq!(unsafe { ring.next() }.unwrap().bytes, [1, 1]);
    }

    #[test]
    fn a_sleeping_consumer_is_seen_once() {
        let ring = Ring::new(4096).unwrap();
        assert!(ring.park());
        assert!(push(&ring, 1, 1));
        assert!(ring.consumer_sleeps());
        assert!(!ring.consumer_sleeps());
        assert!(!ring.park(), "there is work");
        assert!(!ring.consumer_sleeps());
    }

    #[test]
    fn two_threads_lose_nothing() {
        let ring = std::sync::Arc::new(Ring::new(4096).unwrap());
        let producer = {
            let ring = ring.clone();
            std::thread::spawn(move || {
                for number in 0..20_000u32 {
                    while !push(&ring, (number % 50) as usize, number as u8) {
                        std::thread::yield_now();
                    }
                }
            })
        };
        let mut expected = 0u32;
        while expected < 20_000 {
            // SAFETY: this thread is the one consumer.
            match unsafe { ring.next() } {
                Some(record) => {
                    assert_eq!(record.header.probe, u32::from(expected as u8));
                    assert_eq!(record.bytes.len(), (expected % 50) as usize);
                    expected += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        producer.join().unwrap();
    }
}
