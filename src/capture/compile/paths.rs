//! From paths to places: the operations that lead there at a hit.

use super::{Compiler, MAX_HOPS, MAX_VISITS};
use crate::capture::builder;
use crate::capture::chase::Reach;
use crate::capture::error::CompileError;
use crate::capture::number::{Binary, Kind, Mode, Number};
use crate::capture::place::{Place, Stop};
use crate::capture::program::{Calc, Op, Slot};
use crate::capture::typed::{Folding, Layout, Node, Path, Refusal, Run, Step, Typed};
use crate::capture::views::{Pointed, Ring, Small};
use crate::symbols::place::{Missing, Source};
use crate::symbols::scope::Variable;

/// The pointer, the number of elements, and the number of bytes of each.
pub(super) struct Elements {
    pub(super) base: Slot,
    pub(super) length: Slot,
}

impl<'s> Compiler<'s> {
    pub(super) fn place(&mut self, path: &Path) -> Result<Place<'s>, Stop> {
        self.place_after(path, path.steps.len())
    }

    /// The place that the first `count` steps lead to.
    pub(super) fn place_after(&mut self, path: &Path, count: usize) -> Result<Place<'s>, Stop> {
        let scope = self.scope;
        let variable = scope
            .variables
            .get(path.variable)
            .ok_or(CompileError::TooComplex)?;
        let size = self.load(variable.ty)?.size;
        let mut place = self.variable_place(variable, size)?;
        for step in path.steps.iter().take(count) {
            place = self.step(&place, step)?;
        }
        Ok(place)
    }

    fn variable_place(&mut self, variable: &'s Variable, size: u64) -> Result<Place<'s>, Stop> {
        let pieces = &variable.location.pieces;
        if let [piece] = pieces.as_slice()
            && piece.offset == 0
            && piece.size.is_none_or(|length| length >= size)
            && let Source::Memory(formula) = &piece.source
        {
            let base = self
                .builder
                .formula(formula, &[])
                .ok_or(CompileError::TooComplex)?;
            self.builder.push(Op::Require { slot: base });
            return Ok(Place::Memory {
                base,
                offset: 0,
                frame: builder::frame(formula),
            });
        }
        Ok(Place::Pieces { pieces, offset: 0 })
    }

    fn step(&mut self, place: &Place<'s>, step: &Step) -> Result<Place<'s>, Stop> {
        match step {
            Step::At(distance) => Ok(place.at(*distance)),
            Step::Follow => Ok(Place::pointed(self.required(place, 8)?)),
            Step::Element {
                run,
                index,
                optional,
            } => self.element(place, run, index.as_deref(), *optional),
            Step::Entry {
                map,
                key,
                part,
                refusal,
                optional,
            } => {
                let (found, at) = self.found(place, map, key, *part)?;
                self.chosen(found, (&[(1, 1)], false), *refusal, *optional)?;
                Ok(at)
            }
            Step::Variant {
                discriminant,
                ranges,
                negated,
                refusal,
                optional,
            } => {
                let slot = self.discriminant_slot(place, *discriminant)?;
                self.chosen(slot, (ranges, *negated), *refusal, *optional)?;
                Ok(place.clone())
            }
        }
    }

    pub(super) fn discriminant_slot(
        &mut self,
        place: &Place<'s>,
        discriminant: Option<(u64, u8)>,
    ) -> Result<Slot, Stop> {
        match discriminant {
            Some((offset, size)) => self.required(&place.at(offset), size),
            None => Ok(self.builder.constant(0).ok_or(CompileError::TooComplex)?),
        }
    }

    /// Ends the expression unless a number is in the ranges.
    fn chosen(
        &mut self,
        slot: Slot,
        (ranges, negated): (&[(u64, u64)], bool),
        refusal: Refusal,
        optional: bool,
    ) -> Result<(), Stop> {
        let ranges = self
            .builder
            .ranges(ranges.iter().copied())
            .ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Choose {
            slot,
            ranges,
            negated,
            refusal: refusal as u8,
            optional,
        });
        Ok(())
    }

    pub(super) fn required(&mut self, place: &Place<'s>, size: u8) -> Result<Slot, Stop> {
        let slot = place.load(&mut self.builder, size)?;
        self.builder.push(Op::Require { slot });
        Ok(slot)
    }

    fn element(
        &mut self,
        place: &Place<'s>,
        run: &Run,
        index: Option<&Typed>,
        optional: bool,
    ) -> Result<Place<'s>, Stop> {
        let Run { layout, stride, .. } = *run;
        // A known element of an array needs no computation, and may be in a register.
        if let (Layout::Array(count), Some(Node::Number(number))) =
            (layout, index.map(|it| &it.node))
            && run.is_whole()
            && let Some(at) = u64::try_from(number.signed()).ok().filter(|at| *at < count)
        {
            let distance = at.checked_mul(stride).ok_or(CompileError::TooComplex)?;
            return Ok(place.at(distance));
        }
        // As Rust does, a part is taken before the index of it is computed.
        let part = match run.is_whole() {
            true => None,
            false => Some(self.sliced(place, run)?),
        };
        let index = index.map(|index| self.index(index)).transpose()?;
        let Elements { base, length } = match (part, layout) {
            (Some((base, length)), _) => Elements { base, length },
            (None, Layout::Ring(ring)) => Elements {
                length: self.length_at(place, run)?,
                base: self.required(&place.at(ring.data), 8)?,
            },
            (None, _) => self.elements_at(place, layout)?,
        };
        let (mut index, signed) = match index {
            Some(index) => index,
            None => (self.last(length)?, false),
        };
        self.builder.push(Op::Bounds {
            index,
            length,
            signed,
            stride,
            optional,
        });
        if let Layout::Ring(ring) = layout {
            index = self.turned(place, ring, (index, stride))?;
        }
        let to = self.builder.slot().ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Scale {
            to,
            base,
            index,
            stride,
        });
        self.builder.push(Op::Require { slot: to });
        Ok(Place::pointed(to))
    }

    /// The index of the last of so many elements; of none, one that none has.
    pub(super) fn last(&mut self, length: Slot) -> Result<Slot, Stop> {
        self.calculated(&[
            Calc::Slot(length, Kind::USIZE),
            Calc::Constant(Number::new(Kind::USIZE, 1)),
            Calc::Binary(Binary::Sub, Mode::Wrapping),
        ])
    }

    /// Where in the buffer of a ring an element is.
    fn turned(
        &mut self,
        place: &Place<'s>,
        ring: Ring,
        (index, stride): (Slot, u64),
    ) -> Result<Slot, Stop> {
        let head = self.required(&place.at(ring.head), 8)?;
        let capacity = self.required(&place.at(ring.capacity), 8)?;
        let from_start = self.calculated(&[
            Calc::Slot(head, Kind::USIZE),
            Calc::Slot(index, Kind::USIZE),
            Calc::Binary(Binary::Add, Mode::Wrapping),
        ])?;
        let turned = self.calculated(&[
            Calc::Slot(from_start, Kind::USIZE),
            Calc::Slot(from_start, Kind::USIZE),
            Calc::Slot(capacity, Kind::USIZE),
            Calc::Binary(Binary::Ge, Mode::Wrapping),
            Calc::Cast(Kind::USIZE),
            Calc::Slot(capacity, Kind::USIZE),
            Calc::Binary(Binary::Mul, Mode::Wrapping),
            Calc::Binary(Binary::Sub, Mode::Wrapping),
        ])?;
        // Elements without a size have no buffer.
        if stride > 0 {
            let is_inside = self.calculated(&[
                Calc::Slot(turned, Kind::USIZE),
                Calc::Slot(capacity, Kind::USIZE),
                Calc::Binary(Binary::Lt, Mode::Wrapping),
            ])?;
            self.chosen(is_inside, (&[(1, 1)], false), Refusal::Damaged, false)?;
        }
        Ok(turned)
    }

    /// How many elements there are.
    pub(super) fn length_at(&mut self, place: &Place<'s>, run: &Run) -> Result<Slot, Stop> {
        match run.layout {
            _ if !run.is_whole() => Ok(self.sliced(place, run)?.1),
            Layout::Ring(ring) => self.required(&place.at(ring.length), 8),
            layout => Ok(self.elements_at(place, layout)?.length),
        }
    }

    /// Where a sequence's elements begin, and how many there are.
    pub(super) fn elements_at(
        &mut self,
        place: &Place<'s>,
        layout: Layout,
    ) -> Result<Elements, Stop> {
        match layout {
            Layout::Pointed(pointed) => self.pointed(place, pointed),
            Layout::Array(count) => {
                // An array whose elements are chosen while the program runs is in memory, never in registers.
                let Place::Memory { base, offset, .. } = *place else {
                    return Err(Stop::Unavailable(Missing::Unsupported));
                };
                let length = self
                    .builder
                    .constant(count)
                    .ok_or(CompileError::TooComplex)?;
                if offset == 0 {
                    return Ok(Elements { base, length });
                }
                let offset = Number::new(Kind::USIZE, u128::from(offset.cast_unsigned()));
                let steps = [
                    Calc::Slot(base, Kind::USIZE),
                    Calc::Constant(offset),
                    Calc::Binary(Binary::Add, Mode::Wrapping),
                ];
                Ok(Elements {
                    base: self.calculated(&steps)?,
                    length,
                })
            }
            Layout::Small(small) => self.small_elements(place, small),
            Layout::Ring(_) => Err(CompileError::TooComplex.into()),
        }
    }

    /// As [`Self::elements_at`], of what is behind a pointer; also of text.
    pub(super) fn pointed(
        &mut self,
        place: &Place<'s>,
        pointed: Pointed,
    ) -> Result<Elements, Stop> {
        let length = self.required(&place.at(pointed.length), 8)?;
        let target = self.required(&place.at(pointed.data), 8)?;
        let base = match pointed.header {
            0 => target,
            header => self.calculated(&[
                Calc::Slot(target, Kind::USIZE),
                Calc::Constant(Number::new(Kind::USIZE, header.into())),
                Calc::Binary(Binary::Add, Mode::Wrapping),
            ])?,
        };
        Ok(Elements { base, length })
    }

    /// As [`Self::elements_at`], of what has its elements inside as long as there is room.
    fn small_elements(&mut self, place: &Place<'s>, small: Small) -> Result<Elements, Stop> {
        let Place::Memory { base, offset, .. } = place.at(small.inside) else {
            return Err(Stop::Unavailable(Missing::Unsupported));
        };
        let count = self.required(&place.at(small.capacity), 8)?;
        let is_outside = self.calculated(&[
            Calc::Slot(count, Kind::USIZE),
            Calc::Constant(Number::new(Kind::USIZE, small.room.into())),
            Calc::Binary(Binary::Gt, Mode::Wrapping),
            Calc::Cast(Kind::USIZE),
        ])?;
        let inside = self.calculated(&[
            Calc::Slot(base, Kind::USIZE),
            Calc::Constant(Number::new(Kind::USIZE, u128::from(offset.cast_unsigned()))),
            Calc::Binary(Binary::Add, Mode::Wrapping),
        ])?;
        let data = self.required(&place.at(small.data), 8)?;
        let length = self.required(&place.at(small.length), 8)?;
        let mut either = |inside: Slot, outside: Slot| {
            self.calculated(&[
                Calc::Slot(inside, Kind::USIZE),
                Calc::Slot(outside, Kind::USIZE),
                Calc::Slot(inside, Kind::USIZE),
                Calc::Binary(Binary::Sub, Mode::Wrapping),
                Calc::Slot(is_outside, Kind::USIZE),
                Calc::Binary(Binary::Mul, Mode::Wrapping),
                Calc::Binary(Binary::Add, Mode::Wrapping),
            ])
        };
        Ok(Elements {
            base: either(inside, data)?,
            length: either(count, length)?,
        })
    }

    /// A slot with the value of an index, and whether it is signed.
    fn index(&mut self, index: &Typed) -> Result<(Slot, bool), Stop> {
        let signed = match &index.node {
            Node::Number(number) => number.signed() < 0,
            node => {
                kind(node).is_none_or(|kind| matches!(kind, Kind::Integer { signed: true, .. }))
            }
        };
        let wide = Kind::Integer { signed, bits: 64 };
        let slot = self.lowered(index, &Node::Cast(Box::new(index.node.clone()), wide))?;
        Ok((slot, signed))
    }

    /// Where elements begin, and how many there are.
    pub(super) fn sliced(&mut self, place: &Place<'s>, run: &Run) -> Result<(Slot, Slot), Stop> {
        let elements = self.elements_at(place, run.layout)?;
        let (start, is_start_signed) = match &run.start {
            Some(start) => self.index(start)?,
            None => {
                let zero = self.builder.constant(0);
                (zero.ok_or(CompileError::TooComplex)?, false)
            }
        };
        let (end, is_end_signed) = match &run.end {
            Some(end) => self.index(end)?,
            None => (elements.length, false),
        };
        let to = self.builder.slot().ok_or(CompileError::TooComplex)?;
        let count = self.builder.slot().ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Slice {
            to,
            count,
            base: elements.base,
            length: elements.length,
            start,
            end,
            signed: (is_start_signed, is_end_signed),
            inclusive: run.inclusive,
            stride: run.stride,
        });
        Ok((to, count))
    }

    /// Captures the number that elements are brought down to.
    pub(super) fn capture_folded(
        &mut self,
        place: &Place<'s>,
        run: &Run,
        folding: Folding,
    ) -> Result<(), Stop> {
        let (base, count) = self.sliced(place, run)?;
        let wanted = match folding.wanted {
            // Of at most 64 bits, as the elements are.
            Some(wanted) => self.builder.constant(wanted.bits() as u64),
            None => Some(base),
        };
        let (Some(wanted), Some(to)) = (wanted, self.builder.slot()) else {
            return Err(CompileError::TooComplex.into());
        };
        self.builder.push(Op::Fold {
            to,
            base,
            count,
            kind: folding.kind,
            fold: folding.fold,
            wanted,
        });
        self.builder.push(Op::PlacePseudo { offset: 0 });
        self.builder.push(Op::PieceNumber {
            at: 0,
            slot: to,
            skip: 0,
            size: 8,
        });
        Ok(())
    }

    /// Captures where elements are and how many, in the entry.
    pub(super) fn count_run(&mut self, place: &Place<'s>, run: &Run) -> Result<(), Stop> {
        let (base, count) = self.sliced(place, run)?;
        self.builder.push(Op::PlaceCounted { base, count });
        Ok(())
    }

    /// Captures elements, and where they are and how many in the entry.
    pub(super) fn capture_run(&mut self, place: &Place<'s>, run: &Run) -> Result<(), Stop> {
        let (to, count) = self.sliced(place, run)?;
        self.builder.push(Op::PlaceCounted { base: to, count });
        if run.numbers {
            let stride = u32::try_from(run.stride).map_err(|_| CompileError::TooComplex)?;
            let limit = self.most().checked_div(stride).unwrap_or(0);
            let view = self.builder.view().ok_or(CompileError::TooComplex)?;
            // Room for them is there, but for all expressions together.
            if limit > 0 {
                self.builder.push(Op::CaptureCounted {
                    to: view,
                    base: to,
                    count,
                    stride,
                    limit,
                });
            }
            // The type is needed to show it.
            self.load(run.element)?;
            return Ok(());
        }
        self.visits = MAX_VISITS;
        let reach = Reach {
            depth: self.limits.depth.saturating_sub(1),
            hops: MAX_HOPS,
        };
        if self.counted(to, count, run.element, reach).is_none() {
            self.lost += 1;
        }
        Ok(())
    }
}

/// The type of an integer that a node gives.
fn kind(node: &Node) -> Option<Kind> {
    match node {
        Node::Load(_, kind)
        | Node::Cast(_, kind)
        | Node::Fold(_, _, kind, _)
        | Node::Fallback(kind, ..) => Some(*kind),
        Node::Number(number) => Some(number.kind),
        Node::Count(_) => Some(Kind::USIZE),
        Node::Special(_) => Some(Kind::unsigned(64)),
        Node::Unary(_, _, inner) | Node::Binary(_, _, inner, _) | Node::Either(_, inner, _) => {
            kind(inner)
        }
        _ => None,
    }
}
