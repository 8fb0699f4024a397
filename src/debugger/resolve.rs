//! From file, line and message to addresses and programs.

mod nearest;
mod remark;
mod statics;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::capture::compile::{Compiled, compile};
use crate::capture::error::CompileError;
use crate::capture::hits::HitRule;
use crate::capture::logpoint::{Knowledge, Limits, Logpoint};
use crate::capture::template::{Segment, Template};
use crate::server::backend::{Wanted, WrongExpressions};
use crate::symbols::Symbols;
use crate::symbols::lookup::{LineAddress, SourceFile};
use crate::symbols::place::Missing;
use crate::symbols::scope::Scope;
use nearest::Nearest;
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

/// Finds the addresses of a logpoint in the file, or tells why that was not found, and compiles its message for each.
///
/// # Errors
///
/// One line for the client: why it cannot be set, and what to change.
pub fn resolve(
    symbols: &Symbols,
    knowledge: &Knowledge,
    file: Result<&SourceFile<'_>, String>,
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
    let file = file?;
    let found = file.line(wanted.line).map_err(|error| error.to_string())?;
    let mut compiler = Compiler {
        symbols,
        knowledge,
        logpoint,
        statics: Statics::new(symbols, &logpoint),
        nearest: Nearest::new(symbols, knowledge, file, found.line),
    };
    let mut places = Vec::new();
    let mut refusals = BTreeSet::new();
    for address in &found.addresses {
        match compiler.place(address) {
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
    let compiled = places.iter().map(|(_, compiled)| &**compiled);
    let remarks = [
        why_wrong,
        left_out,
        remark::unavailable(&template, compiled),
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    Ok(Resolved {
        line: found.line,
        remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
        places,
    })
}

/// Compiles one logpoint for its places.
struct Compiler<'r, 'f> {
    symbols: &'r Symbols,
    knowledge: &'r Knowledge,
    logpoint: Logpoint<'r>,
    statics: Statics<'r>,
    nearest: Nearest<'r, 'f>,
}

impl Compiler<'_, '_> {
    fn place(&mut self, at: &LineAddress) -> Result<(Place, Arc<Compiled>), String> {
        let (text, scope) = visible(self.symbols, &mut self.statics, at)?;
        let limits = Limits::default();
        let compiled = compile(
            &self.logpoint,
            &scope,
            self.symbols,
            &limits,
            self.knowledge,
        );
        let mut compiled = compiled.map_err(|error| self.refusal(&error, at, &scope))?;
        self.name_lines(at, &scope, &mut compiled);
        let address = at.address;
        Ok((Place { address, text }, Arc::new(compiled)))
    }

    /// Why it cannot be set at a place, and where it can.
    fn refusal(&mut self, error: &CompileError, at: &LineAddress, scope: &Scope) -> String {
        let CompileError::Undecidable { .. } = error else {
            return error.to_string();
        };
        let silent = Template {
            segments: [].into(),
        };
        let condition = Logpoint {
            message: &silent,
            ..self.logpoint
        };
        let lines = self
            .nearest
            .lines(at, scope, &mut self.statics, &[condition]);
        match lines.first() {
            Some(Some(line)) => format!("{error}; it can at line {line}"),
            _ => error.to_string(),
        }
    }

    /// Has expressions without a value name the nearest line where they have one.
    fn name_lines(&mut self, at: &LineAddress, scope: &Scope, compiled: &mut Compiled) {
        let missing: Vec<usize> = compiled
            .unavailable()
            .filter(|(_, why)| *why != Missing::ThreadLocal)
            .map(|(index, _)| index)
            .collect();
        let alone: Vec<Template> = missing
            .iter()
            .filter_map(|index| {
                let source = self.logpoint.message.expressions().nth(*index)?;
                Some(Template {
                    segments: [Segment::Expression(source.to_owned())].into(),
                })
            })
            .collect();
        let alone: Vec<Logpoint<'_>> = alone.iter().map(Logpoint::new).collect();
        let lines = self.nearest.lines(at, scope, &mut self.statics, &alone);
        for (index, line) in missing.into_iter().zip(lines) {
            if let Some(line) = line {
                compiled.name_line(index, line);
            }
        }
    }
}

/// What is visible at a place of a line, and the code of its module.
fn visible(
    symbols: &Symbols,
    statics: &mut Statics<'_>,
    at: &LineAddress,
) -> Result<(Range<u64>, Scope), String> {
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
    let mut scope = statics
        .scope_at(address)
        .map_err(|error| error.to_string())?;
    // The line's function, not those that are inlined into it just there.
    scope
        .variables
        .retain(|variable| variable.depth >= at.depth);
    scope.depth = at.depth;
    statics.add(at, &text, &mut scope);
    Ok((text, scope))
}

/// Whether the tracer or the SIGTRAP handler may run the function, as its own code or as an instance that was made for
/// it: a site there would trap them.
fn is_own(function: &str) -> bool {
    // At the start of a path: a service may have a module `detrix`, or be `my_detrix`.
    let mut mentions = function.match_indices("detrix::");
    mentions.any(|(at, _)| {
        !function[..at].ends_with(|c: char| c == ':' || c == '_' || c.is_alphanumeric())
    }) || function.starts_with("compiler_builtins::")
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

#[cfg(test)]
mod tests;
