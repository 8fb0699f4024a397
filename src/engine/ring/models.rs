//! The ring under every order in which the steps of its two threads may be seen. See CONTRIBUTING.md for the command.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::*;

/// Room for two records of one word each, or for one of two words and padding.
const SMALL: usize = 64;

fn ring() -> Arc<Ring> {
    Arc::new(Ring::new(SMALL).unwrap())
}

/// Tries to record `number`, so many words of it.
fn push(ring: &Ring, number: u32, words: usize) -> bool {
    // SAFETY: one thread of each model pushes.
    let Some(mut room) = (unsafe { ring.reserve(words * ALIGN) }) else {
        return false;
    };
    room.bytes().fill(number as u8);
    room.commit(words * ALIGN, number, 1, 2);
    true
}

/// Takes one record out, which must be whole, and returns its number.
fn take(ring: &Ring) -> Option<u32> {
    // SAFETY: one thread of each model takes.
    let record = unsafe { ring.next() }?;
    let number = record.header.probe;
    assert!(!record.bytes.is_empty(), "{number} lost its bytes");
    assert!(record.bytes.iter().all(|byte| *byte == number as u8));
    Some(number)
}

/// No record is lost, torn or out of order, and those that found no room are exactly those that do not come out.
fn all_come_out(words: &'static [usize]) {
    loom::model(move || {
        let ring = ring();
        let producer = thread::spawn({
            let ring = ring.clone();
            move || {
                let pushed = (1u32..).zip(words);
                let all = pushed.filter(|(number, words)| push(&ring, *number, **words));
                all.map(|(number, _)| number).collect::<Vec<u32>>()
            }
        });
        let mut found = Vec::new();
        for _ in 0..words.len() {
            // Else no model begins with the producer.
            thread::yield_now();
            found.extend(take(&ring));
        }
        let pushed = producer.join().unwrap();
        found.extend(std::iter::from_fn(|| take(&ring)));
        assert_eq!(found, pushed);
        assert!(ring.is_empty());
    });
}

#[test]
fn loom_records_come_out_whole_and_in_order() {
    all_come_out(&[1, 1, 1, 1]);
}

#[test]
fn loom_records_come_out_whole_around_padding() {
    all_come_out(&[2, 2, 1]);
}

/// A consumer that goes to sleep is woken for whatever it has not seen, and once.
#[test]
fn loom_a_sleeper_is_woken() {
    loom::model(|| {
        let ring = ring();
        // The eventfd.
        let wakes = Arc::new(AtomicUsize::new(0));
        let producer = thread::spawn({
            let (ring, wakes) = (ring.clone(), wakes.clone());
            move || {
                for number in 1..=2 {
                    assert!(push(&ring, number, 1));
                    if ring.consumer_sleeps() {
                        wakes.fetch_add(1, Ordering::Release);
                    }
                }
            }
        });
        let sleeps = ring.park();
        producer.join().unwrap();
        let wakes = wakes.load(Ordering::Acquire);
        if sleeps {
            assert_eq!(wakes, 1, "asleep, with work");
        } else {
            assert!(wakes <= 1);
            assert!(!ring.is_empty(), "kept awake for nothing");
        }
    });
}
