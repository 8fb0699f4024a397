//! What the client should know of a logpoint although it works.

use std::collections::BTreeSet;

use super::Compiled;
use crate::capture::template::Template;
use crate::symbols::place::Missing;

/// Expressions that are named.
const MOST_NAMED: usize = 5;

/// Says which expressions have no value at some of the places, or all of them, so that nobody waits for it, and where
/// they have one.
pub fn unavailable<'c>(
    template: &Template,
    places: impl ExactSizeIterator<Item = &'c Compiled> + Clone,
) -> Option<String> {
    let mut named = BTreeSet::new();
    let mut sentences = Vec::new();
    for (index, expression) in template.expressions().enumerate() {
        if named.insert(expression) {
            sentences.extend(sentence(index, expression, places.clone()));
        }
    }
    let more = sentences.len().saturating_sub(MOST_NAMED);
    sentences.truncate(MOST_NAMED);
    if more > 0 {
        sentences.push(format!("and {more} more are not there"));
    }
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

fn sentence<'c>(
    index: usize,
    expression: &str,
    places: impl ExactSizeIterator<Item = &'c Compiled>,
) -> Option<String> {
    let total = places.len();
    let missing: Vec<(Missing, Option<u64>)> = places
        .filter_map(|compiled| {
            let (_, why) = compiled.unavailable().find(|(other, _)| *other == index)?;
            Some((why, compiled.named_line(index)))
        })
        .collect();
    let what = match missing.first()?.0 {
        Missing::OptimizedOut | Missing::EntryValue => "is optimized out",
        Missing::ThreadLocal | Missing::Unsupported => "cannot be read",
    };
    let place = if missing.len() == total {
        "here".to_owned()
    } else {
        format!("at {} of {total} places", missing.len())
    };
    let lines: BTreeSet<u64> = missing.iter().filter_map(|(_, line)| *line).collect();
    let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
    let readable = match lines.as_slice() {
        [] => String::new(),
        [line] if missing.iter().all(|(_, line)| line.is_some()) => {
            format!("; readable at line {line}")
        }
        lines => format!("; from some places readable at line {}", lines.join(", ")),
    };
    Some(format!("`{expression}` {what} {place}{readable}"))
}
