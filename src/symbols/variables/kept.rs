//! Takes out places on the stack that may not hold a variable's value; what the code says of them is told by [`stack`].

use std::ops::Range;

use super::Reader;
use crate::symbols::code::{Base, Object};
use crate::symbols::place::{Formula, Location, Missing, Piece, Source, Term};
use crate::symbols::types::TypeRef;
use crate::symbols::{shapes, stack, unwind};

impl Reader<'_, '_> {
    /// Takes back the place of an argument that the caller may have passed as a pointer on the stack.
    ///
    /// Rust passes what does not fit into two registers as a pointer. Where that pointer itself comes on the stack,
    /// rustc 1.95 describes its slot as if it were the value: one dereference is lost, and what follows the pointer
    /// (the next argument) looks like the value's second word. Nothing tells such a slot from one that holds a value
    /// by the C calling convention, so neither is shown.
    pub fn without_indirect(&self, location: Location, ty: TypeRef) -> Location {
        let incoming = match location.pieces.as_slice() {
            [
                Piece {
                    size: None,
                    source: Source::Memory(formula),
                    ..
                },
            ] => self.is_incoming(formula),
            _ => false,
        };
        let small = || shapes::load(self.modules, ty).is_ok_and(|ty| ty.size <= 8);
        if incoming && !small() {
            return Location::missing(Missing::Unsupported);
        }
        location
    }

    /// Takes away what is on the stack and may not hold the value at the address. `scope` is the variable's.
    pub fn kept(&self, location: Location, ty: TypeRef, scope: &[Range<u64>]) -> Location {
        let on_stack = |formula: &Formula| {
            let mut terms = formula.0.iter();
            terms
                .any(|term| matches!(term, Term::Register(register, _) if self.is_frame(*register)))
        };
        let concerned = location.pieces.iter().any(|piece| {
            matches!(&piece.source, Source::Memory(formula) | Source::Value(formula) if on_stack(formula))
        });
        if !concerned || !self.module.is_optimized(self.unit) {
            return location;
        }
        let size = shapes::load(self.modules, ty).map_or(0, |ty| ty.size);
        let mut pieces = Vec::new();
        for piece in location.pieces {
            match &piece.source {
                Source::Memory(formula) | Source::Value(formula)
                    if !self.loads_are_kept(formula, scope) =>
                {
                    pieces.push(Piece {
                        source: Source::Missing(Missing::OptimizedOut),
                        ..piece
                    });
                }
                Source::Memory(formula) => {
                    let size = piece.size.unwrap_or(size.saturating_sub(piece.offset));
                    match formula.0.as_slice() {
                        &[Term::Register(register, offset)] if self.is_frame(register) => {
                            self.keep_bytes(&piece, size, (register, offset), scope, &mut pieces);
                        }
                        _ => pieces.push(piece),
                    }
                }
                _ => pieces.push(piece),
            }
        }
        Location { pieces }
    }

    /// Splits a piece on the stack into those that hold their bytes and those that do not.
    fn keep_bytes(
        &self,
        piece: &Piece,
        size: u64,
        (register, offset): (u8, i64),
        scope: &[Range<u64>],
        out: &mut Vec<Piece>,
    ) {
        let kept = self.kept_bytes(register, offset, size, scope);
        if kept.first() == Some(&(0..size)) || size == 0 {
            out.push(piece.clone());
            return;
        }
        let mut at = 0;
        let mut push = |range: Range<u64>, source| {
            if !range.is_empty() {
                out.push(Piece {
                    offset: piece.offset.saturating_add(range.start),
                    size: Some(range.end - range.start),
                    source,
                });
            }
        };
        for range in kept {
            push(at..range.start, Source::Missing(Missing::OptimizedOut));
            at = range.end;
            let start = offset.saturating_add_unsigned(range.start);
            push(
                range,
                Source::Memory(Formula(vec![Term::Register(register, start)])),
            );
        }
        push(at..size, Source::Missing(Missing::OptimizedOut));
    }

    /// Whether the numbers that a formula reads from the stack are there.
    fn loads_are_kept(&self, formula: &Formula, scope: &[Range<u64>]) -> bool {
        formula.0.windows(2).all(|terms| match *terms {
            [Term::Register(register, offset), Term::Load(size)] if self.is_frame(register) => {
                let size = u64::from(size);
                self.kept_bytes(register, offset, size, scope).first() == Some(&(0..size))
            }
            _ => true,
        })
    }

    fn kept_bytes(
        &self,
        register: u8,
        offset: i64,
        size: u64,
        scope: &[Range<u64>],
    ) -> Vec<Range<u64>> {
        let Some(code) = self.code() else {
            return Vec::new();
        };
        let held = code.registers.get(register);
        let Some(start) = held.and_then(|held| held.checked_add(offset)) else {
            return Vec::new();
        };
        if start.base != Base::Frame {
            return Vec::new();
        }
        // The caller passed it.
        if start.offset >= 0 {
            return std::iter::once(0..size).collect();
        }
        stack::valid(code, &Object { start, size, scope })
    }

    /// Whether places on the stack are relative to a register: rsp always, rbp where the function keeps it so.
    fn is_frame(&self, register: u8) -> bool {
        u16::from(register) == unwind::RSP
            || self.expressions.frame().cfa.as_ref().is_some_and(
                |cfa| matches!(cfa.0.as_slice(), [Term::Register(base, _)] if *base == register),
            )
    }

    /// Whether an address is in the caller's frame, where arguments are passed.
    fn is_incoming(&self, formula: &Formula) -> bool {
        let Some(Formula(cfa)) = &self.expressions.frame().cfa else {
            return false;
        };
        match (formula.0.as_slice(), cfa.as_slice()) {
            (&[Term::Register(register, offset)], &[Term::Register(cfa_register, cfa)]) => {
                register == cfa_register && offset >= cfa
            }
            _ => false,
        }
    }
}
