//! What was done.

use std::collections::BTreeMap;
use std::fmt;

/// Counts, by what was counted.
#[derive(Default)]
pub struct Figures(BTreeMap<&'static str, u64>);

impl Figures {
    /// Counts one more.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts so many more.
    pub fn add(&mut self, what: &'static str, number: u64) {
        *self.0.entry(what).or_default() += number;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, number)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{what} {number}")?;
        }
        Ok(())
    }
}
