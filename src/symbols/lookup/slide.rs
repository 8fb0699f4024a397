//! From a line without code to the next one with code in its function.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use gimli::UnitOffset;

use super::places::by_function;
use super::table::Table;
use crate::symbols::declaration::Declaration;
use crate::symbols::functions;

/// The functions of a file, by their line and name.
pub(super) type Extents = BTreeMap<(u64, String), Extent>;

/// What is known of a function of the file from all units together.
#[derive(Default)]
pub(super) struct Extent {
    path: String,
    /// Lines with code, rising.
    lines: BTreeSet<u64>,
}

pub(super) fn extents(tables: &[&Table<'_>]) -> gimli::Result<Extents> {
    let mut extents = Extents::new();
    for table in tables {
        let functions = table.functions()?;
        let mut declarations: BTreeMap<UnitOffset, Declaration> = BTreeMap::new();
        let mut note = |entry: UnitOffset, code: Option<u64>| -> gimli::Result<()> {
            let declaration = match declarations.entry(entry) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(table.declaration(entry)?),
            };
            if let Some(start) = declaration.line.filter(|_| table.declares(declaration)) {
                let key = (start, without_arguments(&declaration.name).to_owned());
                let extent = extents.entry(key).or_default();
                if extent.path.is_empty() {
                    extent.path.clone_from(&declaration.path);
                }
                extent.lines.extend(code);
            }
            Ok(())
        };
        for &entry in functions.abstracts() {
            note(entry, None)?;
        }
        let rows = by_function(
            &functions,
            table.rows.rows.iter().filter(|row| row.statement),
        );
        for (entry, instances) in table.all_instances()? {
            note(entry, None)?;
            for row in rows.get(&entry).into_iter().flatten() {
                if let Some(instance) =
                    functions::innermost(&instances, row.start).and_then(|i| instances.get(i))
                {
                    note(instance.entry, Some(row.line))?;
                }
            }
            for call in instances
                .iter()
                .filter(|instance| table.is_call_at(instance, |_| true))
            {
                if let Some(parent) = call.parent.and_then(|parent| instances.get(parent)) {
                    note(parent.entry, call.call.map(|(_, line)| line))?;
                }
            }
        }
    }
    Ok(extents)
}

/// The next line with code in the function that a line is in.
pub(super) fn slide(extents: &Extents, line: u64) -> Option<u64> {
    let mut inside: Option<(u64, u64)> = None;
    for ((start, name), extent) in extents.range(..=(line, "\u{10ffff}".to_owned())) {
        // Code below the next function that is not inside of this one comes from a macro that is defined there.
        let below = extents.range((start + 1, String::new())..);
        let next = below
            .filter(|(_, other)| !is_inside(&other.path, name))
            .map(|((start, _), _)| *start)
            .next();
        let code = extent
            .lines
            .range(line..)
            .next()
            .filter(|&&code| next.is_none_or(|next| code < next));
        if let Some(&code) = code
            && inside.is_none_or(|(innermost, _)| innermost <= *start)
        {
            inside = Some((*start, code));
        }
    }
    inside.map(|(_, code)| code)
}

/// Whether a function's path leads through another function of a name, as those of closures and nested functions do.
fn is_inside(path: &str, name: &str) -> bool {
    path.rsplit("::")
        .skip(1)
        .any(|component| without_arguments(component) == name)
}

fn without_arguments(name: &str) -> &str {
    name.split_once('<').map_or(name, |(name, _)| name)
}
