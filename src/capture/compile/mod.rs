//! Compiles a logpoint for one address.
//!
//! 1. What decides whether a hit counts (its condition, its number) comes first: [`decide`].
//! 2. Each expression of the message is parsed, and gets types: [`typing`].
//! 3. Each of its operands is found by [`paths`]; pointers on the way are loaded at the hit.
//! 4. The bytes of that value are captured, and what rendering needs beyond them (targets of references, text, elements)
//!    by [`chase`](super::chase).
//! 5. The program is checked.

mod decide;
mod entries;
mod lower;
mod paths;

use super::builder::Builder;
use super::chase::Reach;
use super::error::CompileError;
use super::expr::{Expr, Special};
use super::format::Format;
use super::hits::HitRule;
use super::number::Kind;
use super::place::{Place, Stop, capture_pieces};
use super::program::{EXPRESSIONS, Op, Program};
use super::redact::Redaction;
use super::template::{Segment, Template};
use super::typed::{Node, Operand, Side, Want};
use super::types::{Loader, Types};
use super::typing;
use super::views::View;
use crate::symbols::place::Missing;
use crate::symbols::scope::Scope;
use crate::symbols::types::{Type, TypeError, TypeRef, TypeSource};
use crate::type_view::TypeView;
use std::collections::HashSet;
use std::sync::Arc;

/// What a logpoint may take of a hit and show of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Structs, tuples, variants and sequences within each other that are shown.
    pub depth: usize,
    /// Elements of a sequence that are shown.
    pub elements: usize,
    /// Bytes of a text that are shown.
    pub bytes: usize,
    /// Bytes of a record, shared by all expressions.
    pub record: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 6,
            elements: 64,
            bytes: 1024,
            record: 8 << 10,
        }
    }
}

impl Limits {
    /// The limits, held within what a program can express.
    fn clamped(self) -> Self {
        Self {
            depth: self.depth.clamp(1, 16),
            elements: self.elements.clamp(1, 4096),
            bytes: self.bytes.clamp(1, 1 << 20),
            record: self.record.clamp(2 << 10, 4 << 20),
        }
    }
}

/// What the user of the library says about types and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// How values of some types are shown; come before what is known of library types.
    pub views: Arc<[TypeView]>,
    /// What is not shown.
    pub redaction: Arc<Redaction>,
}

impl Knowledge {
    /// The views that show nothing which must not be shown.
    fn usable_views(&self) -> Arc<[TypeView]> {
        let hidden = |view: &TypeView| self.redaction.hides_view(view);
        if !self.views.iter().any(hidden) {
            return Arc::clone(&self.views);
        }
        let usable = self.views.iter().filter(|view| !hidden(view));
        usable.cloned().collect()
    }
}

/// What a logpoint is to do.
#[derive(Clone, Copy, Debug)]
pub struct Logpoint<'a> {
    /// What it says.
    pub message: &'a Template,
    /// Only where this is true.
    pub condition: Option<&'a str>,
    /// Only at these hits, of those whose condition is true.
    pub hits: Option<HitRule>,
}

impl<'a> Logpoint<'a> {
    /// To say it at each hit.
    pub fn new(message: &'a Template) -> Self {
        Self {
            message,
            condition: None,
            hits: None,
        }
    }

    /// The paths in it that may be those of statics, which are named in capitals. What cannot be parsed has none.
    pub fn statics(&self) -> Vec<Vec<String>> {
        let mut found = self.paths();
        found.retain(|path| {
            let of_number = path
                .first()
                .is_some_and(|first| Kind::named(first).is_some());
            !of_number && path.last().is_some_and(|last| is_in_capitals(last))
        });
        found
    }

    /// The names in it that may be those of variables.
    pub fn names(&self) -> Vec<String> {
        let names = self.paths().into_iter().filter(|path| path.len() == 1);
        names.flatten().collect()
    }

    /// The names and paths in it, each once. What cannot be parsed has none.
    fn paths(&self) -> Vec<Vec<String>> {
        let sources = self
            .message
            .expressions()
            .map(|source| Format::split(source).map_or(source, |(expression, _)| expression));
        let mut found: Vec<Vec<String>> = Vec::new();
        for source in sources.chain(self.condition) {
            let Ok(expr) = Expr::parse(source) else {
                continue;
            };
            expr.walk(&mut |expr| {
                let path = match expr {
                    Expr::Name(name) => vec![name.clone()],
                    Expr::Path(path) => path.clone(),
                    _ => return,
                };
                if !found.contains(&path) {
                    found.push(path);
                }
            });
        }
        found
    }
}

fn is_in_capitals(name: &str) -> bool {
    name.chars().any(char::is_alphabetic) && !name.chars().any(char::is_lowercase)
}

/// A compiled logpoint at one address: what to do at a hit, and what is needed to show its record. It keeps nothing of
/// the debug information but the types that occur in it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What to do at a hit.
    pub program: Program,
    /// The expressions that have no value here, by index, and why. Each renders as `<error: …>`.
    pub errors: Vec<(usize, CompileError)>,
    pub(super) segments: Arc<[Segment]>,
    pub(super) outcomes: Vec<Outcome>,
    /// The source of the condition; its entry is the first one of a record.
    pub(super) condition: Option<String>,
    pub(super) types: Types,
    pub(super) limits: Limits,
    pub(super) redaction: Arc<Redaction>,
}

/// What became of an expression.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It has a value.
    Value(Shown),
    /// It is not to be shown, even though it is named on purpose.
    Redacted,
    /// See [`Compiled::errors`].
    Error(CompileError),
}

/// An expression's value, in terms of a record.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// What is computed.
    pub(super) node: Node,
    /// See [`Typed::marks`](super::typed::Typed::marks).
    pub(super) marks: Vec<(Node, &'static str)>,
    /// Its operands.
    pub(super) readings: Vec<Reading>,
    /// The entries of what belongs to the hit.
    pub(super) specials: Vec<(Special, u8)>,
    /// How it is shown.
    pub(super) format: Format,
    /// Elements of a sequence that are shown.
    pub(super) elements: usize,
    /// The nearest line where its operands are all there, if that was looked for.
    pub(super) readable: Option<u64>,
}

/// Where an operand is.
#[derive(Clone, Debug)]
pub(super) enum Reading {
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

/// Compiles a logpoint for the address that `scope` describes.
///
/// An expression of the message that makes no sense does not keep the others from working: see [`Compiled::errors`].
///
/// # Errors
///
/// * Those of the condition, which has to have a value here.
/// * [`CompileError::Check`] where the program does not pass the static check, which is a mistake of this compiler.
pub fn compile(
    logpoint: &Logpoint<'_>,
    scope: &Scope,
    types: &dyn TypeSource,
    limits: &Limits,
    knowledge: &Knowledge,
) -> Result<Compiled, CompileError> {
    let limits = limits.clamped();
    let sources: Vec<&str> = logpoint.message.expressions().collect();
    let mut compiler = Compiler::new(scope, types, limits, knowledge);
    compiler.decide(logpoint)?;
    let mut errors = Vec::new();
    let mut outcomes = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        compiler.soft_limit(sources.len() - index);
        let outcome = compiler.expression(source);
        if let Outcome::Error(error) = &outcome {
            errors.push((index, error.clone()));
        }
        outcomes.push(outcome);
    }
    let parts = compiler.builder.finish(compiler.entries, limits.record);
    let program = Program::new(parts).map_err(CompileError::Check)?;
    let types = compiler.loader.into_types();
    Ok(Compiled {
        program,
        errors,
        segments: Arc::clone(&logpoint.message.segments),
        outcomes,
        condition: logpoint.condition.map(str::to_owned),
        types,
        limits,
        redaction: Arc::clone(&knowledge.redaction),
    })
}

/// Operations that all expressions may take together before what they point to is left out.
const SOFT_OPS: usize = 2048;

pub(super) struct Compiler<'s> {
    pub(super) builder: Builder,
    pub(super) loader: Loader<'s>,
    pub(super) limits: Limits,
    pub(super) redaction: Arc<Redaction>,
    scope: &'s Scope,
    /// Entries of the record so far.
    entries: u8,
    /// No more is chased beyond so many operations.
    pub(super) soft: usize,
    /// Types that lead to no pointer within a depth.
    pub(super) barren: HashSet<(TypeRef, usize)>,
    /// Counts what was left out.
    pub(super) lost: u32,
    /// Loops that the next operation stands in.
    pub(super) loops: usize,
    /// Types that the walk over an expression's value may still come by.
    pub(super) visits: usize,
}

impl<'s> Compiler<'s> {
    fn new(
        scope: &'s Scope,
        types: &'s dyn TypeSource,
        limits: Limits,
        knowledge: &Knowledge,
    ) -> Self {
        Self {
            builder: Builder::default(),
            loader: Loader::new(types, knowledge.usable_views()),
            limits,
            redaction: Arc::clone(&knowledge.redaction),
            scope,
            entries: 0,
            soft: 0,
            barren: HashSet::new(),
            lost: 0,
            loops: 0,
            visits: 0,
        }
    }

    fn soft_limit(&mut self, remaining: usize) {
        let used = self.builder.len();
        self.soft = used + SOFT_OPS.saturating_sub(used) / remaining.max(1);
    }

    fn expression(&mut self, source: &str) -> Outcome {
        let (mark, entries, limits) = (self.builder.mark(), self.entries, self.limits);
        let shown = self.shown(source);
        self.limits = limits;
        match shown {
            Ok(shown) => Outcome::Value(shown),
            Err(error) => {
                self.builder.rewind(mark);
                self.entries = entries;
                match error {
                    CompileError::Redacted => Outcome::Redacted,
                    error => Outcome::Error(error),
                }
            }
        }
    }

    fn shown(&mut self, source: &str) -> Result<Shown, CompileError> {
        let (source, format) = Format::split(source)?;
        let expr = Expr::parse(source)?;
        let typed = typing::shown(
            &expr,
            &format,
            self.scope,
            &mut self.loader,
            &self.redaction,
        )?;
        if let Some(elements) = format.elements() {
            self.limits.elements = elements;
            self.limits = self.limits.clamped();
        }
        let readings: Result<Vec<_>, _> = typed
            .operands
            .iter()
            .map(|operand| self.reading(operand))
            .collect();
        let specials: Result<Vec<_>, _> = specials(&typed.node)
            .into_iter()
            .map(|special| Ok::<_, CompileError>((special, self.special(special)?)))
            .collect();
        Ok(Shown {
            node: typed.node,
            marks: typed.marks,
            readings: readings?,
            specials: specials?,
            format,
            elements: self.limits.elements,
            readable: None,
        })
    }

    /// Begins a part of the program that has an entry of the record.
    fn begin(&mut self) -> Result<(usize, u8), CompileError> {
        let index = self.entries;
        if usize::from(index) >= EXPRESSIONS {
            return Err(CompileError::TooComplex);
        }
        self.entries += 1;
        let start = self.builder.push(Op::Expression { index, end: 0 });
        Ok((start, index))
    }

    fn reading(&mut self, operand: &Operand) -> Result<Reading, CompileError> {
        if let Want::Nothing = operand.want {
            return Ok(Reading::Unused);
        }
        let mark = self.builder.mark();
        let (start, index) = self.begin()?;
        match self.read(operand, index) {
            Ok(reading) => {
                self.builder.patch(start);
                self.builder.release(mark);
                Ok(reading)
            }
            Err(stop) => {
                self.builder.rewind(mark);
                self.entries = index;
                match stop {
                    Stop::Unavailable(why) => Ok(Reading::Unavailable(why)),
                    Stop::Error(error) => Err(error),
                }
            }
        }
    }

    fn read(&mut self, operand: &Operand, index: u8) -> Result<Reading, Stop> {
        let place = self.place(&operand.path)?;
        let ty = operand.path.ty;
        match &operand.want {
            Want::Value => {
                self.capture_root(&place, ty)?;
                Ok(Reading::Entry { index, ty })
            }
            Want::Number(kind) => {
                self.capture_number(&place, kind.size())?;
                Ok(Reading::Entry { index, ty })
            }
            Want::Nothing => Ok(Reading::Unused),
            Want::Presence => {
                if let Place::Memory { base, offset, .. } = place {
                    self.builder.push(Op::Place { base, offset });
                    return Ok(Reading::Entry { index, ty });
                }
                self.capture_root(&place, ty)?;
                Ok(Reading::Entry { index, ty })
            }
            Want::Entries(entries) => {
                let limits = self.limits;
                if entries.numbers {
                    self.limits.elements = usize::MAX;
                    self.limits = self.limits.clamped();
                }
                let captured = self.capture_root(&place, ty);
                self.limits = limits;
                captured?;
                self.load(entries.ty)?;
                Ok(Reading::Entries {
                    index,
                    ty,
                    side: entries.side,
                })
            }
            Want::Folded(run, folding) => {
                self.capture_folded(&place, run, *folding)?;
                self.load(run.element)?;
                Ok(Reading::Entry {
                    index,
                    ty: run.element,
                })
            }
            Want::Run(run) => {
                self.capture_run(&place, run)?;
                Ok(Reading::Run {
                    index,
                    element: run.element,
                    stride: run.stride,
                })
            }
        }
    }

    /// What belongs to the hit, as an entry of its own.
    fn special(&mut self, special: Special) -> Result<u8, CompileError> {
        let mark = self.builder.mark();
        let (start, index) = self.begin()?;
        let slot = self.builder.slot().ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Special { to: slot, special });
        self.builder.push(Op::PlacePseudo { offset: 0 });
        self.builder.push(Op::PieceNumber {
            at: 0,
            slot,
            skip: 0,
            size: 8,
        });
        self.builder.patch(start);
        self.builder.release(mark);
        Ok(index)
    }

    fn capture_root(&mut self, place: &Place<'s>, ty: TypeRef) -> Result<(), Stop> {
        let size = self.load(ty)?.size;
        let place = match *place {
            Place::Pieces { pieces, offset } => {
                self.capture_from_pieces(place, size)?;
                Place::Pieces { pieces, offset }
            }
            Place::Memory { base, offset, .. } => {
                self.builder.push(Op::Place { base, offset });
                self.capture_value(place, ty)
            }
            Place::Captured { .. } => place.clone(),
        };
        self.visits = MAX_VISITS;
        let reach = Reach {
            depth: self.limits.depth,
            hops: MAX_HOPS,
        };
        self.chase(ty, &place, reach);
        Ok(())
    }

    fn capture_from_pieces(&mut self, place: &Place<'s>, size: u64) -> Result<(), Stop> {
        if let Place::Pieces { pieces, offset } = *place {
            let at = u32::try_from(offset).map_err(|_| CompileError::TooComplex)?;
            self.builder.push(Op::PlacePseudo { offset: at });
            let most = self.most();
            capture_pieces(&mut self.builder, pieces, offset, size, most)?;
        }
        Ok(())
    }

    fn capture_number(&mut self, place: &Place<'s>, size: u8) -> Result<(), Stop> {
        let Place::Memory {
            base,
            offset,
            frame,
        } = *place
        else {
            return self.capture_from_pieces(place, u64::from(size));
        };
        let to = self.builder.view().ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Place { base, offset });
        self.builder.reads(frame, offset, u64::from(size));
        self.builder.push(Op::Capture {
            to,
            base,
            offset,
            size: u32::from(size),
        });
        Ok(())
    }

    pub(super) fn load(&mut self, ty: TypeRef) -> Result<Arc<Type>, TypeError> {
        self.loader.load(ty)
    }

    pub(super) fn view_of(&mut self, ty: TypeRef) -> Option<Arc<View>> {
        self.loader.view(ty).ok()
    }

    /// Bytes of the longest block: it must not take the whole record.
    pub(super) fn most(&self) -> u32 {
        u32::try_from(self.limits.record / 2).unwrap_or(u32::MAX)
    }
}

/// Types within types and pointers to pointers that are followed, whatever the depth: damaged debug information can
/// lead in circles.
pub(super) const MAX_HOPS: usize = 48;

/// Bounds the time that a wide type takes.
const MAX_VISITS: usize = 8192;

/// What of the hit a computation uses.
fn specials(node: &Node) -> Vec<Special> {
    let all = [Special::Hits, Special::Thread, Special::Time];
    let uses = |special| {
        let mut found = false;
        node.walk(&mut |node| found |= *node == Node::Special(special));
        found
    };
    all.into_iter().filter(|special| uses(*special)).collect()
}

impl From<TypeError> for CompileError {
    fn from(error: TypeError) -> Self {
        Self::Type(error)
    }
}
