//! Numbers that repeat with their seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// The 64-bit generator of Knuth's MMIX. Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Gives the same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        // The first number of small seeds is a small one.
        random.below(1);
        random
    }

    /// A seed that nobody has chosen, to be printed so that it can be.
    #[must_use]
    pub fn any_seed() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |time| time.subsec_nanos().into())
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// One of `all`, which must not be empty.
    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64);
        &all[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_with_the_seed_and_reach_all() {
        let all = |seed| -> Vec<u64> {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.below(4)).collect()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        assert!((0..4).all(|number| all(1).contains(&number)));
    }
}
