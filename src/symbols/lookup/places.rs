//! The places of a line: its candidates in each function, and those of them that are chosen.

use std::collections::{BTreeMap, BTreeSet};

use gimli::UnitOffset;

use super::table::Table;
use super::{DROP_GLUE, LineAddress, LineKind};
use crate::symbols::flow::{self, Candidate};
use crate::symbols::functions::{self, Instance, UnitFunctions};
use crate::symbols::lines::Row;

/// The chosen addresses of a line in all units.
pub(super) fn addresses(tables: &[&Table<'_>], line: u64) -> gimli::Result<Vec<LineAddress>> {
    let mut all = Vec::new();
    for table in tables {
        let functions = table.functions()?;
        let rows = by_function(
            &functions,
            table.rows.rows.iter().filter(|row| row.line == line),
        );
        let entries: BTreeSet<UnitOffset> = rows
            .keys()
            .copied()
            .chain(functions.with_calls_at(&table.files, line))
            .collect();
        for entry in entries {
            let instances = functions::instances(&table.dwarf, &table.unit, entry)?;
            let rows = rows.get(&entry).map(Vec::as_slice).unwrap_or_default();
            all.extend(in_function(table, rows, &instances, line)?);
        }
        // Rows outside of every function that is described: assembly, or units whose functions are in a split file.
        for row in table
            .rows_at(line)
            .filter(|row| !functions.contains(row.start))
        {
            all.push(LineAddress {
                address: table.module.to_runtime(row.start),
                function: String::new(),
                function_line: None,
                inlined: false,
                kind: LineKind::Row,
                depth: 0,
                instance: None,
            });
        }
    }
    // What drops a coroutine that waits at the line is no pass through it.
    if all.iter().any(|place| !is_drop_glue(place)) {
        all.retain(|place| !is_drop_glue(place));
    }
    // The linker may have folded identical functions into one.
    Ok(distinct(all))
}

/// By rising address, each once, for the innermost of the functions that the line belongs to there.
pub(super) fn distinct(mut all: Vec<LineAddress>) -> Vec<LineAddress> {
    all.sort_by_key(|place| (place.address, place.depth));
    all.dedup_by_key(|place| place.address);
    all
}

/// The chosen addresses of a line in one function. `rows` are the function's for this line.
pub(super) fn in_function(
    table: &Table<'_>,
    rows: &[Row],
    instances: &[Instance],
    line: u64,
) -> gimli::Result<Vec<LineAddress>> {
    let mut all = Vec::new();
    let Some(function) = instances.first() else {
        return Ok(all);
    };
    for (instance, candidates) in candidates(table, rows, instances, line) {
        let Some(instance) = instances.get(instance) else {
            continue;
        };
        let declaration = table.declaration(instance.entry)?;
        let kinds: BTreeMap<u64, LineKind> = candidates
            .iter()
            .rev()
            .map(|(candidate, kind)| (candidate.address, *kind))
            .collect();
        let candidates = candidates.iter().map(|(candidate, _)| *candidate).collect();
        for address in flow::choose(table.module, &function.ranges, candidates) {
            let kind = kinds.get(&address).copied().unwrap_or(LineKind::Row);
            let (address, kind) = match after_prologue(table, function, address) {
                Some(end) if instance.parent.is_none() && kind == LineKind::Row => {
                    (end, LineKind::Entry)
                }
                _ => (address, kind),
            };
            let here =
                functions::innermost(instances, address).and_then(|index| instances.get(index));
            let depth = here.map_or(0, |here| here.depth.saturating_sub(instance.depth));
            all.push(LineAddress {
                depth: u32::try_from(depth).unwrap_or(u32::MAX),
                address: table.module.to_runtime(address),
                function: declaration.path.clone(),
                function_line: declaration.line,
                inlined: instance.parent.is_some(),
                kind,
                instance: Some(table.instance(function, instance)),
            });
        }
    }
    Ok(all)
}

/// Whether the function is one that the compiler makes to drop a type's values.
pub(super) fn is_drop_glue(place: &LineAddress) -> bool {
    place.function.starts_with(DROP_GLUE)
}

pub(super) fn by_function<'a>(
    functions: &UnitFunctions,
    rows: impl Iterator<Item = &'a Row>,
) -> BTreeMap<UnitOffset, Vec<Row>> {
    let mut all: BTreeMap<UnitOffset, Vec<Row>> = BTreeMap::new();
    for row in rows {
        if let Some((function, _)) = functions.at(row.start) {
            all.entry(function).or_default().push(*row);
        }
    }
    all
}

type Candidates = Vec<(Candidate, LineKind)>;

/// The candidates of a line in one function, by instance. `rows` are the function's for this line.
fn candidates(
    table: &Table<'_>,
    rows: &[Row],
    instances: &[Instance],
    line: u64,
) -> BTreeMap<usize, Candidates> {
    let mut by_instance: BTreeMap<usize, Candidates> = BTreeMap::new();
    let mut run_end = None;
    for row in rows {
        let continues = run_end == Some(row.start);
        run_end = Some(row.end);
        if !row.statement {
            continue;
        }
        if let Some(instance) = functions::innermost(instances, row.start) {
            let all = by_instance.entry(instance).or_default();
            // A run that goes on from another instance's row starts anew.
            let primary = !continues || all.is_empty();
            all.push((
                Candidate {
                    address: row.start,
                    primary,
                },
                LineKind::Row,
            ));
        }
    }
    for call in instances
        .iter()
        .filter(|instance| table.is_call_at(instance, |at| at == line))
    {
        let Some(parent) = call.parent else { continue };
        let starts = call
            .ranges
            .iter()
            .map(|range| range.start)
            .filter(|start| table.module.is_code(*start));
        let all = by_instance.entry(parent).or_default();
        all.extend(starts.map(|address| {
            (
                Candidate {
                    address,
                    primary: true,
                },
                LineKind::Call,
            )
        }));
    }
    by_instance
}

/// Where the prologue of a function ends whose entry is given: there the arguments have their places. `None` where the
/// code up to there is not straight.
fn after_prologue(table: &Table<'_>, function: &Instance, address: u64) -> Option<u64> {
    let range = function
        .ranges
        .first()
        .filter(|range| range.start == address)?;
    let ends = &table.rows.prologue_ends;
    let marked = ends
        .get(ends.partition_point(|&end| end <= address))
        .copied();
    let second = || {
        table
            .rows
            .rows
            .iter()
            .find(|row| row.start == address)
            .map(|row| row.end)
    };
    let target = marked.filter(|end| range.contains(end)).or_else(second);
    target.filter(|&end| range.contains(&end) && flow::is_straight(table.module, address, end))
}
