//! Where else in its function a variable may have a place that has none at the address.

use std::ops::Range;

use gimli::{AttributeValue, constants as dw};

use super::{Block, Reader};
use crate::symbols::functions::Entry;

impl<'a> Reader<'_, 'a> {
    /// The addresses of the file, outside of which a variable of a block certainly has no place by its own description.
    pub fn elsewhere(&self, entry: &Entry<'a>, block: &Block) -> Vec<Range<u64>> {
        let Some(AttributeValue::Exprloc(_)) = entry.attr_value(dw::DW_AT_location) else {
            return self.listed(entry);
        };
        block.ranges.clone()
    }

    /// The addresses of the file that a variable's list of places has entries for.
    pub fn listed(&self, entry: &Entry<'a>) -> Vec<Range<u64>> {
        let mut all = Vec::new();
        let value = entry.attr_value(dw::DW_AT_location);
        let list = value.and_then(|value| self.dwarf.attr_locations(self.unit, value).ok()?);
        if let Some(mut list) = list {
            while let Ok(Some(place)) = list.next() {
                if !place.data.0.is_empty() {
                    all.push(place.range.begin..place.range.end);
                }
            }
        }
        all
    }

    /// As addresses of the process.
    pub fn at_runtime(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let runtime = |range: &Range<u64>| {
            self.module.to_runtime(range.start)..self.module.to_runtime(range.end)
        };
        ranges.iter().map(runtime).collect()
    }
}
