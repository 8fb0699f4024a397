//! What compiling makes of a logpoint: a program, and what rendering needs to show its records.

use std::sync::Arc;

use crate::capture::error::CompileError;
use crate::capture::expr::Special;
use crate::capture::format::Format;
use crate::capture::logpoint::Limits;
use crate::capture::program::Program;
use crate::capture::redact::Redaction;
use crate::capture::template::Segment;
use crate::capture::typed::{Node, Side};
use crate::capture::types::Types;
use crate::symbols::place::Missing;
use crate::symbols::types::TypeRef;

/// A compiled logpoint at one address: what to do at a hit, and what is needed to show its record. It keeps nothing of
/// the debug information but the types that occur in it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What to do at a hit.
    pub program: Program,
    /// The expressions that have no value here, by index, and why. Each renders as `<error: …>`.
    pub errors: Vec<(usize, CompileError)>,
    pub(in super::super) segments: Arc<[Segment]>,
    pub(in super::super) outcomes: Vec<Outcome>,
    /// The source of the condition; its entry is the first one of a record.
    pub(in super::super) condition: Option<String>,
    pub(in super::super) types: Types,
    pub(in super::super) limits: Limits,
    pub(in super::super) redaction: Arc<Redaction>,
}

impl Compiled {
    /// The expressions that use what the compiler did not keep at this address, by index, and why.
    pub fn unavailable(&self) -> impl Iterator<Item = (usize, Missing)> {
        let outcomes = self.outcomes.iter().enumerate();
        outcomes.filter_map(|(index, outcome)| match outcome {
            Outcome::Value(shown) => {
                let missing = shown.readings.iter().find_map(|reading| match reading {
                    Reading::Unavailable(why) => Some(*why),
                    _ => None,
                });
                missing.map(|why| (index, why))
            }
            Outcome::Redacted | Outcome::Error(_) => None,
        })
    }

    /// Has what is shown in place of an expression that is unavailable name the nearest line where it is not.
    pub fn name_line(&mut self, index: usize, line: u64) {
        if let Some(Outcome::Value(shown)) = self.outcomes.get_mut(index) {
            shown.readable = Some(line);
        }
    }

    /// The line that is named in place of an expression.
    pub fn named_line(&self, index: usize) -> Option<u64> {
        match self.outcomes.get(index)? {
            Outcome::Value(shown) => shown.readable,
            Outcome::Redacted | Outcome::Error(_) => None,
        }
    }
}

/// What became of an expression.
#[derive(Clone, Debug)]
pub(in super::super) enum Outcome {
    /// It has a value.
    Value(Shown),
    /// It is not to be shown, even though it is named on purpose.
    Redacted,
    /// See [`Compiled::errors`].
    Error(CompileError),
}

/// An expression's value, in terms of a record.
#[derive(Clone, Debug)]
pub(in super::super) struct Shown {
    /// What is computed.
    pub node: Node,
    /// See [`Typed::marks`](crate::capture::typed::Typed::marks).
    pub marks: Vec<(Node, &'static str)>,
    /// Its operands.
    pub readings: Vec<Reading>,
    /// The entries of what belongs to the hit.
    pub specials: Vec<(Special, u8)>,
    /// How it is shown.
    pub format: Format,
    /// Elements of a sequence that are shown.
    pub elements: usize,
    /// The nearest line where its operands are all there, if that was looked for.
    pub readable: Option<u64>,
}

/// Where an operand is.
#[derive(Clone, Debug)]
pub(in super::super) enum Reading {
    /// In the record's entry of that index: a value of the type.
    Entry { index: u8, ty: TypeRef },
    /// In the record's entry of that index: elements, whose number the entry has as well.
    Run {
        index: u8,
        element: TypeRef,
        stride: u64,
    },
    /// In the record's entry of that index: a map or set of the type, of which one side is meant.
    Entries { index: u8, ty: TypeRef, side: Side },
    /// Nowhere at this address.
    Unavailable(Missing),
    /// Not needed.
    Unused,
}
