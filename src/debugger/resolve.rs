//! From file, line and message to addresses and programs.

mod statics;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::capture::compile::{Compiled, Knowledge, Limits, Logpoint, compile};
use crate::capture::hits::HitRule;
use crate::capture::template::Template;
use crate::server::backend::{Wanted, WrongExpressions};
use crate::symbols::Symbols;
use crate::symbols::lookup::{LineAddress, LineMatch};
use statics::Statics;

/// Where a breakpoint goes.
pub struct Resolved {
    /// The line that has the code.
    pub line: u64,
    /// Its addresses, each with the message compiled for it; at least one.
    pub places: Vec<(Place, Arc<Compiled>)>,
    /// What the client should know although it works.
    pub remark: Option<String>,
}

/// An address of the program.
pub struct Place {
    /// Of the running process.
    pub address: u64,
    /// The code of its module.
    pub text: Range<u64>,
}

/// Finds the addresses of a logpoint, by `find` for its line, and compiles its message for each.
///
/// # Errors
///
/// One line for the client: why it cannot be set, and what to change.
pub fn resolve(
    symbols: &Symbols,
    knowledge: &Knowledge,
    find: impl FnOnce(u64) -> Result<LineMatch, String>,
    wanted: &Wanted,
    wrong: WrongExpressions,
) -> Result<Resolved, String> {
    let Some(message) = &wanted.log_message else {
        return Err(
            "breakpoints that stop are not supported yet; give it a log message".to_owned(),
        );
    };
    let template = Template::parse(message).map_err(|error| error.to_string())?;
    let logpoint = Logpoint {
        condition: wanted.condition.as_deref(),
        hits: wanted
            .hit_condition
            .as_deref()
            .map(HitRule::parse)
            .transpose()
            .map_err(|error| error.to_string())?,
        ..Logpoint::new(&template)
    };
    let found = find(wanted.line)?;
    let mut statics = Statics::new(symbols, &logpoint);
    let mut places = Vec::new();
    let mut refusals = BTreeSet::new();
    for address in &found.addresses {
        match place(symbols, knowledge, &logpoint, &mut statics, address) {
            Ok(place) => places.push(place),
            Err(why) => drop(refusals.insert(why)),
        }
    }
    let refusal = refusals.pop_first();
    if places.is_empty() {
        return Err(refusal.unwrap_or_else(|| "the line has no code".to_owned()));
    }
    let why_wrong = wrong_everywhere(&places);
    if let (Some(why), WrongExpressions::Refuse) = (&why_wrong, wrong) {
        return Err(why.clone());
    }
    let total = found.addresses.len();
    let left_out = refusal.map(|why| {
        format!(
            "{} of {total} places are left out: {why}",
            total - places.len()
        )
    });
    let remark = why_wrong
        .or(left_out)
        .or_else(|| unavailable_everywhere(&template, &places));
    Ok(Resolved {
        line: found.line,
        places,
        remark,
    })
}

fn place(
    symbols: &Symbols,
    knowledge: &Knowledge,
    logpoint: &Logpoint<'_>,
    statics: &mut Statics<'_>,
    at: &LineAddress,
) -> Result<(Place, Arc<Compiled>), String> {
    let address = at.address;
    let text = symbols
        .text_at(address)
        .ok_or_else(|| format!("{address:#x} is in no loaded module"))?;
    if let Some(function) = symbols.function_at(address)
        && is_own(&function.name)
    {
        return Err(format!(
            "`{}` belongs to the debugger itself, or to what its tracer runs",
            function.name
        ));
    }
    let mut scope = symbols
        .scope_at(address)
        .map_err(|error| error.to_string())?;
    // The line's function, not those that are inlined into it just there.
    scope
        .variables
        .retain(|variable| variable.depth >= at.depth);
    statics.add(address, &text, &mut scope);
    let compiled = compile(logpoint, &scope, symbols, &Limits::default(), knowledge)
        .map_err(|error| error.to_string())?;
    Ok((Place { address, text }, Arc::new(compiled)))
}

/// Whether the tracer or the SIGTRAP handler may run the function, as its own code or as an instance that was made for
/// it: a site there would trap them.
fn is_own(function: &str) -> bool {
    function.contains("detrix::")
        || function.starts_with("compiler_builtins::")
        || function.starts_with("core::sync::atomic::")
}

/// The error of an expression that has no meaning at any of the places; where it has at one, the others show the error
/// as its value.
fn wrong_everywhere(places: &[(Place, Arc<Compiled>)]) -> Option<String> {
    let (_, first) = places.first()?;
    let wrong_in_all = |index: usize| {
        places
            .iter()
            .all(|(_, compiled)| compiled.errors.iter().any(|(other, _)| *other == index))
    };
    first
        .errors
        .iter()
        .find(|(index, _)| wrong_in_all(*index))
        .map(|(_, error)| error.to_string())
}

/// Says which expression has a value at none of the places, so that nobody waits for it.
fn unavailable_everywhere(
    template: &Template,
    places: &[(Place, Arc<Compiled>)],
) -> Option<String> {
    let missing_in_all = |index: usize| {
        places
            .iter()
            .all(|(_, compiled)| compiled.unavailable().any(|(other, _)| other == index))
    };
    let (_, expression) = template
        .expressions()
        .enumerate()
        .find(|(index, _)| missing_in_all(*index))?;
    Some(format!("`{expression}` is optimized out at this line"))
}
