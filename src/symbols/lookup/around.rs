//! The other lines of the function that a place is in.

use std::collections::BTreeSet;

use super::places::{distinct, in_function, is_drop_glue};
use super::table::Table;
use super::{InstanceId, LineAddress, SourceFile};
use crate::symbols::functions::{self, Instance};
use crate::symbols::lines::Row;
use gimli::UnitSectionOffset;

/// The function that a place of a line is in: the same copy of it.
pub struct Around<'f, 'a> {
    table: &'f Table<'a>,
    id: InstanceId,
    /// All in the function that has the code.
    instances: Vec<Instance>,
    /// The one that the place is in, as an index of these.
    here: usize,
    /// The file's rows in the function that has the code.
    rows: Vec<Row>,
}

impl<'a> SourceFile<'a> {
    /// What is around a place that was found in this file. `None` where no function is described, or it is one that the
    /// compiler made.
    pub fn around(&self, place: &LineAddress) -> Option<Around<'_, 'a>> {
        let id = place.instance.filter(|_| !is_drop_glue(place))?;
        let (table, function) = self.tables.iter().find_map(|table| {
            let offset = UnitSectionOffset(usize::try_from(id.function).ok()?);
            let function = offset.to_unit_offset(&table.unit.header)?;
            let here = table.module.contains(place.address);
            here.then_some((table, function))
        })?;
        let instances = functions::instances(&table.dwarf, &table.unit, function).ok()?;
        let first = instances.first()?;
        let here = instances
            .iter()
            .position(|instance| table.instance(first, instance) == id)?;
        let inside = |row: &&Row| {
            let mut ranges = first.ranges.iter();
            ranges.any(|range| range.contains(&row.start))
        };
        let rows = table.rows.rows.iter().filter(inside).copied().collect();
        Some(Around {
            table,
            id,
            instances,
            here,
            rows,
        })
    }
}

impl Around<'_, '_> {
    /// Goes to a place in another copy of a function; `false` where it has other code.
    pub fn moved_to(&mut self, place: &LineAddress) -> bool {
        let Some(id) = place.instance.filter(|_| !is_drop_glue(place)) else {
            return false;
        };
        let first = self.instances.first();
        let here = first.and_then(|first| {
            let mut instances = self.instances.iter();
            instances.position(|instance| self.table.instance(first, instance) == id)
        });
        let here = here.filter(|_| self.table.module.contains(place.address));
        if let Some(here) = here {
            (self.id, self.here) = (id, here);
        }
        here.is_some()
    }

    /// Bytes of the code that has to be read for each of the lines.
    pub fn size(&self) -> u64 {
        let ranges = self.instances.first().into_iter();
        ranges
            .flat_map(|function| &function.ranges)
            .fold(0, |sum, range| {
                sum.saturating_add(range.end.saturating_sub(range.start))
            })
    }

    /// The lines other than one that may have places of their own here, the nearest ones first.
    pub fn lines(&self, from: u64) -> Vec<u64> {
        let Some(here) = self.instances.get(self.here) else {
            return Vec::new();
        };
        let inside = |row: &&Row| {
            let mut ranges = here.ranges.iter();
            row.statement && ranges.any(|range| range.contains(&row.start))
        };
        let calls = self.instances.iter().filter(|call| {
            call.parent == Some(self.here) && self.table.is_call_at(call, |line| line != 0)
        });
        let lines: BTreeSet<u64> = self
            .rows
            .iter()
            .filter(inside)
            .map(|row| row.line)
            .chain(calls.filter_map(|call| call.call.map(|(_, line)| line)))
            .filter(|line| *line != from)
            .collect();
        let mut lines: Vec<u64> = lines.into_iter().collect();
        lines.sort_by_key(|line| (line.abs_diff(from), *line));
        lines
    }

    /// The places of a line in this copy of the function: those that [`SourceFile::line`] finds.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn places(&self, line: u64) -> gimli::Result<Vec<LineAddress>> {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .filter(|row| row.line == line)
            .copied()
            .collect();
        let mut places = distinct(in_function(self.table, &rows, &self.instances, line)?);
        places.retain(|place| place.instance == Some(self.id));
        Ok(places)
    }
}
