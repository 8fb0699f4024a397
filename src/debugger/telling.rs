//! How often a client is told of what happens to its logpoint again and again: at once, then ever more rarely.

use std::time::{Duration, Instant};

use crate::engine::Counts;

/// How long a client is not told of the same again after the first time; after each further time, twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// And at the most. When there was nothing to tell for so long, it begins anew.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a logpoint must not have been suspended, to be within its budget again.
const CALM: Duration = Duration::from_secs(1);

/// What a client was told of one logpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    suspensions: u64,
    suspended_at: Option<Instant>,
    told_suspended: bool,
    suspended: Pace,
    dropped: u64,
    lost: Pace,
}

impl Told {
    /// What there is to tell at `now`, as predicates of "the logpoint". To be asked each second, and when it was suspended.
    pub fn news(&mut self, now: Instant, counts: &Counts) -> Vec<String> {
        let mut news = Vec::new();
        if counts.suspensions != self.suspensions {
            self.suspensions = counts.suspensions;
            self.suspended_at = Some(now);
            if self.suspended.allows(now) {
                self.told_suspended = true;
                news.push(format!(
                    "is over its budget and suspended until the current 100 ms are over; {} hits so far, {} suspensions",
                    counts.hits, counts.suspensions
                ));
            }
        } else if self.told_suspended && self.suspended_at.is_none_or(|at| now >= at + CALM) {
            self.told_suspended = false;
            news.push("is within its budget again, and logs each hit".to_owned());
        }
        let lost = counts.dropped.saturating_sub(self.dropped);
        if lost > 0 && self.lost.allows(now) {
            self.dropped = counts.dropped;
            news.push(format!(
                "dropped {lost} hits, which came faster than they could be read"
            ));
        }
        news
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// When it was told last, and how long it is not told from then on.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Whether it may be told at `now`; if so, it was.
    fn allows(&mut self, now: Instant) -> bool {
        let pause = match self.last {
            Some((at, pause)) if now < at + pause => return false,
            Some((at, pause)) if now < at + pause + LONGEST => (pause * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((now, pause));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A logpoint that is suspended in each window of `seconds`: what is told.
    fn suspended_for(told: &mut Told, from: Instant, counts: &mut Counts, seconds: u64) -> usize {
        let windows =
            (0..seconds * 10).map(|window| from + Duration::from_millis(100) * window as u32);
        windows
            .map(|now| {
                counts.suspensions += 1;
                told.news(now, counts).len()
            })
            .sum()
    }

    #[test]
    fn an_hour_over_its_budget_is_told_some_seventy_times() {
        let (mut told, mut counts) = (Told::default(), Counts::default());
        let start = Instant::now();
        assert_eq!(suspended_for(&mut told, start, &mut counts, 3600), 65);
        // And its end once.
        let end = start + Duration::from_secs(3600);
        assert_eq!(told.news(end, &counts), Vec::<String>::new());
        let [text] = &told.news(end + CALM, &counts)[..] else {
            panic!("its end is told");
        };
        assert!(text.contains("within its budget again"), "{text}");
        assert!(told.news(end + 2 * CALM, &counts).is_empty());
        // Long after, it begins anew: at once.
        let later = end + 3 * LONGEST;
        assert_eq!(suspended_for(&mut told, later, &mut counts, 2), 2);
    }

    #[test]
    fn one_that_comes_and_goes_is_told_ever_more_rarely() {
        let (mut told, mut counts) = (Told::default(), Counts::default());
        let mut now = Instant::now();
        let mut lines = 0;
        for _ in 0..900 {
            counts.suspensions += 1;
            lines += told.news(now, &counts).len();
            now += 2 * CALM;
            lines += told.news(now, &counts).len();
            now += 2 * CALM;
        }
        assert!((100..150).contains(&lines), "{lines} in an hour");
    }

    #[test]
    fn lost_hits_add_up_until_they_are_told() {
        let mut told = Told::default();
        let start = Instant::now();
        let mut lost = |seconds, dropped| {
            let counts = Counts {
                dropped,
                ..Counts::default()
            };
            told.news(start + Duration::from_secs(seconds), &counts)
                .pop()
        };
        assert!(lost(0, 5).unwrap().contains("dropped 5 hits"));
        assert!(lost(1, 6).unwrap().contains("dropped 1 hits"));
        assert_eq!(lost(2, 10), None);
        assert!(lost(3, 12).unwrap().contains("dropped 6 hits"));
        assert_eq!(lost(4, 12), None);
    }
}
