//! Compiles a logpoint for one address.
//!
//! 1. What decides whether a hit counts (its condition, its number) comes first: [`decide`].
//! 2. Each expression of the message is parsed, and gets types: [`typing`].
//! 3. Each of its operands is found by [`paths`]; pointers on the way are loaded at the hit.
//! 4. The bytes of that value are captured, and what rendering needs beyond them (targets of references, text, elements)
//!    by [`chase`](super::chase).
//! 5. The program is checked.

mod compiled;
mod decide;
mod entries;
mod lower;
mod paths;

pub use self::compiled::Compiled;
pub(super) use self::compiled::{Outcome, Reading, Shown};
use super::builder::Builder;
use super::chase::Reach;
use super::error::CompileError;
use super::expr::{Expr, Special};
use super::format::Format;
use super::logpoint::{Knowledge, Limits, Logpoint};
use super::place::{Place, Stop, capture_pieces};
use super::program::{EXPRESSIONS, Op, Program};
use super::redact::Redaction;
use super::typed::{Node, Operand, Want};
use super::types::Loader;
use super::typing;
use super::views::View;
use crate::symbols::scope::Scope;
use crate::symbols::types::{Type, TypeError, TypeRef, TypeSource};
use std::collections::HashSet;
use std::sync::Arc;

/// Types within types and pointers to pointers that are followed, whatever the depth: damaged debug information can
/// lead in circles.
pub(super) const MAX_HOPS: usize = 48;

/// Bounds the time that a wide type takes.
const MAX_VISITS: usize = 8192;

/// Operations that all expressions may take together before what they point to is left out.
const SOFT_OPS: usize = 2048;

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
            Want::Count(run) => {
                self.count_run(&place, run)?;
                self.load(run.element)?;
                Ok(Reading::Run {
                    index,
                    element: run.element,
                    stride: run.stride,
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
