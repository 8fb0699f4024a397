//! How fast events go to a client that cannot say when it has too many.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Events that may go at once after a pause.
const BURST: u32 = 500;

/// Events that may go in each [`STEP`] beyond them.
const PER_STEP: u32 = 50;

/// Not shorter: each step that is waited for wakes this process.
const STEP: Duration = Duration::from_millis(50);

/// How often the client is told of what was dropped, at the most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A token bucket: a thousand events a second, and at most a thousand in any half second, so that a client that buffers
/// so many may do something else for that long.
#[derive(Debug)]
pub struct Pace {
    tokens: u32,
    filled: Instant,
}

impl Pace {
    /// A full bucket.
    pub fn new(now: Instant) -> Self {
        Self {
            tokens: BURST,
            filled: now,
        }
    }

    /// Whether an event may go now; it is counted then.
    pub fn take(&mut self, now: Instant) -> bool {
        let steps = now.saturating_duration_since(self.filled).as_millis() / STEP.as_millis();
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.tokens = steps
            .saturating_mul(PER_STEP)
            .saturating_add(self.tokens)
            .min(BURST);
        self.filled += STEP.saturating_mul(steps);
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// When the next event may go; this may be past.
    pub fn next(&self) -> Instant {
        match self.tokens {
            0 => self.filled + STEP,
            _ => self.filled,
        }
    }
}

/// Where a logpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its id.
    pub breakpoint: i64,
    /// Its file.
    pub path: String,
    /// Its line.
    pub line: u64,
}

/// What a [`Waiting`] gives out.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<T> {
    /// An event, in the order in which they were put in.
    Event(T),
    /// So many events of a logpoint were dropped since this was told last.
    Dropped(Origin, u64),
}

/// Events that wait for their turn; beyond a number of bytes they are dropped and counted.
#[derive(Debug)]
pub struct Waiting<T> {
    pace: Pace,
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    max_bytes: usize,
    /// By the logpoint's id.
    dropped: BTreeMap<i64, (Origin, u64)>,
    /// When it may be told of them.
    tell: Instant,
}

impl<T> Waiting<T> {
    /// Keeps up to `max_bytes`.
    pub fn new(max_bytes: usize, now: Instant) -> Self {
        Self {
            pace: Pace::new(now),
            queue: VecDeque::new(),
            bytes: 0,
            max_bytes,
            dropped: BTreeMap::new(),
            tell: now,
        }
    }

    /// Keeps up to so many bytes from now on.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Puts an event of so many bytes in, or counts it as dropped.
    pub fn push(&mut self, event: T, bytes: usize, origin: impl FnOnce() -> Origin) {
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > self.max_bytes {
            let origin = origin();
            let id = origin.breakpoint;
            self.dropped.entry(id).or_insert((origin, 0)).1 += 1;
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.queue.push_back((event, bytes));
    }

    /// What may go now, if anything may.
    pub fn pop(&mut self, now: Instant) -> Option<Due<T>> {
        if now >= self.tell
            && let Some((_, (origin, count))) = self.dropped.pop_first()
        {
            if self.dropped.is_empty() {
                self.tell = now + TELL_EVERY;
            }
            return Some(Due::Dropped(origin, count));
        }
        if self.queue.is_empty() || !self.pace.take(now) {
            return None;
        }
        let (event, bytes) = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(Due::Event(event))
    }

    /// When [`pop`](Self::pop) gives something, if nothing is put in before; this may be past.
    pub fn next(&self) -> Option<Instant> {
        let event = (!self.queue.is_empty()).then(|| self.pace.next());
        let told = (!self.dropped.is_empty()).then_some(self.tell);
        event.into_iter().chain(told).min()
    }

    /// How many events wait or were dropped and not told.
    pub fn count(&self) -> u64 {
        let dropped: u64 = self.dropped.values().map(|(_, count)| count).sum();
        dropped.saturating_add(self.queue.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn origin(breakpoint: i64) -> Origin {
        Origin {
            breakpoint,
            path: "/a.rs".to_owned(),
            line: 7,
        }
    }

    fn events(waiting: &mut Waiting<u32>, now: Instant) -> Vec<u32> {
        let due = std::iter::from_fn(|| waiting.pop(now));
        due.filter_map(|due| match due {
            Due::Event(event) => Some(event),
            Due::Dropped(..) => None,
        })
        .collect()
    }

    #[test]
    fn a_burst_goes_at_once_and_what_is_beyond_it_is_spread_in_order() {
        let start = Instant::now();
        let mut waiting = Waiting::new(1 << 20, start);
        for event in 0..2000 {
            waiting.push(event, 100, || origin(1));
        }
        let mut all = events(&mut waiting, start);
        assert_eq!(all.len(), 500);
        let mut now = start;
        while let Some(next) = waiting.next() {
            assert!(next > now, "nothing is left that may go");
            assert!(events(&mut waiting, next - ms(1)).is_empty());
            now = next;
            let some = events(&mut waiting, now);
            assert_eq!(some.len(), 50);
            all.extend(some);
        }
        assert_eq!(now, start + ms(30 * 50));
        assert!(all.iter().copied().eq(0..2000));
    }

    #[test]
    fn what_does_not_fit_is_counted_by_logpoint_and_told_once_a_second() {
        let start = Instant::now();
        let mut waiting = Waiting::new(1000, start);
        for event in 0..30 {
            waiting.push(event, 100, || origin(i64::from(event % 2)));
        }
        assert_eq!(waiting.count(), 30);
        assert_eq!(waiting.pop(start), Some(Due::Dropped(origin(0), 10)));
        assert_eq!(waiting.pop(start), Some(Due::Dropped(origin(1), 10)));
        assert_eq!(events(&mut waiting, start).len(), 10);
        for _ in 0..11 {
            waiting.push(0, 100, || origin(1));
        }
        assert_eq!(events(&mut waiting, start).len(), 10);
        assert_eq!(waiting.pop(start), None, "told a moment ago");
        assert_eq!(
            (waiting.next(), waiting.count()),
            (Some(start + TELL_EVERY), 1)
        );
        let later = start + TELL_EVERY;
        assert_eq!(waiting.pop(later), Some(Due::Dropped(origin(1), 1)));
        assert_eq!((waiting.next(), waiting.count()), (None, 0));
    }

    #[test]
    fn one_event_always_fits_and_more_where_there_is_room() {
        let start = Instant::now();
        let mut waiting = Waiting::new(1, start);
        waiting.push(5, 1000, || origin(1));
        waiting.set_max_bytes(2000);
        waiting.push(6, 1000, || origin(1));
        waiting.push(7, 1000, || origin(1));
        assert_eq!(waiting.count(), 3);
        assert_eq!(waiting.pop(start), Some(Due::Dropped(origin(1), 1)));
        assert_eq!(events(&mut waiting, start), [5, 6]);
    }

    proptest! {
        #[test]
        fn never_more_than_a_thousand_in_half_a_second(
            waits in proptest::collection::vec((0..400_u64, 0..900_usize), 1..40)
        ) {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let mut now = start;
            let mut sent = Vec::new();
            for (wait, tries) in waits {
                now += ms(wait);
                sent.extend((0..tries).filter(|_| pace.take(now)).map(|_| now));
                prop_assert!(pace.next() <= now + STEP);
            }
            for pair in sent.windows(1001) {
                prop_assert!(pair[1000] - pair[0] >= ms(500));
            }
        }
    }
}
