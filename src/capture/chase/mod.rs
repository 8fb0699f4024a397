//! Captures what a value leads to: targets of references, text, elements.
//!
//! The walk over the types here and the one of [`render`](super::render) agree on what a depth is. They need not agree
//! on more: what was not captured is shown as left out.

use super::compile::Compiler;
use super::place::Place;
use super::program::{LOOPS, Op, Slot};
use super::views::View;
use crate::symbols::types::{Member, Type, TypeKind, TypeRef, Variant};
use std::sync::Arc;

/// Values up to this size are captured as a whole, bigger ones without what the limits leave out.
const WHOLE: u64 = 256;
/// Blocks that one value is captured in.
const MAX_EXTENTS: usize = 8;
/// Types that are looked at for them: of a huge struct, or one that contains itself, the first part is captured.
const MAX_EXTENT_VISITS: usize = 256;
/// Elements of an array in registers that are looked at.
const MAX_UNROLLED: u64 = 8;

impl<'s> Compiler<'s> {
    /// Captures what a value at a captured place leads to, within the limits.
    pub(super) fn chase(&mut self, ty: TypeRef, place: &Place<'s>, depth: usize, hops: usize) {
        if self.barren.contains(&(ty, depth)) {
            return;
        }
        if hops == 0 || self.visits == 0 || self.builder.len() > self.soft {
            self.lost += 1;
            return;
        }
        self.visits -= 1;
        let Ok(found) = self.load(ty) else {
            self.lost += 1;
            return;
        };
        let (mark, length, lost) = (self.builder.mark(), self.builder.len(), self.lost);
        if self.chase_into(&found, place, depth, hops - 1).is_none() {
            self.lost += 1;
        }
        self.builder.release(mark);
        if self.builder.len() == length && self.lost == lost {
            self.barren.insert((ty, depth));
        }
    }

    /// `None` where something had to be left out.
    fn chase_into(
        &mut self,
        ty: &Type,
        place: &Place<'s>,
        depth: usize,
        hops: usize,
    ) -> Option<()> {
        match self.view(ty) {
            View::Reference { target } => {
                if self.load(target).ok()?.size == 0 {
                    // Nothing to capture, but its type is needed.
                    self.chase(
                        target,
                        &Place::Pieces {
                            pieces: &[],
                            offset: 0,
                        },
                        depth,
                        hops,
                    );
                    return Some(());
                }
                let base = place.load(&mut self.builder, 8).ok()?;
                let place = self.capture_value(&Place::pointed(base), target);
                self.chase(target, &place, depth, hops);
            }
            View::Text { data, length } => {
                let base = place.at(data).load(&mut self.builder, 8).ok()?;
                let count = place.at(length).load(&mut self.builder, 8).ok()?;
                let to = self.builder.view()?;
                let limit = u32::try_from(self.limits.bytes)
                    .unwrap_or(u32::MAX)
                    .min(self.most());
                self.builder.push(Op::CaptureCounted {
                    to,
                    base,
                    count,
                    stride: 1,
                    limit,
                });
            }
            View::Sequence {
                data,
                length,
                element,
            } => {
                self.sequence(
                    &place.at(data),
                    &place.at(length),
                    element,
                    depth.checked_sub(1)?,
                    hops,
                )?;
            }
            View::Inner { offset, ty } => self.chase(ty, &place.at(offset), depth, hops),
            View::Address { .. } | View::Dynamic { .. } => {}
            View::Plain => self.plain(ty, place, depth, hops)?,
        }
        Some(())
    }

    fn plain(&mut self, ty: &Type, place: &Place<'s>, depth: usize, hops: usize) -> Option<()> {
        match &ty.kind {
            TypeKind::Struct { members, .. } => {
                let depth = depth.checked_sub(1)?;
                for member in members {
                    self.chase(member.ty, &place.at(member.offset), depth, hops);
                }
            }
            TypeKind::Enum {
                discriminant,
                variants,
                ..
            } => {
                self.variants(discriminant.as_ref(), variants, place, depth, hops)?;
            }
            TypeKind::Array { element, count } => {
                self.array(*element, *count, place, depth.checked_sub(1)?, hops)?
            }
            // Which member of a union is meant is not known, so no pointer in it is followed; but the types are needed.
            TypeKind::Union { members } => {
                let nowhere = Place::Pieces {
                    pieces: &[],
                    offset: 0,
                };
                let depth = depth.checked_sub(1)?;
                for member in members {
                    self.chase(member.ty, &nowhere, depth, hops);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn sequence(
        &mut self,
        data: &Place<'s>,
        length: &Place<'s>,
        element: TypeRef,
        depth: usize,
        hops: usize,
    ) -> Option<()> {
        let stride = self.load(element).ok()?.size;
        let limit = self.elements(stride);
        let stride = u32::try_from(stride).ok()?;
        if stride == 0 {
            self.chase(
                element,
                &Place::Pieces {
                    pieces: &[],
                    offset: 0,
                },
                depth,
                hops,
            );
            return Some(());
        }
        stride
            .checked_mul(limit)
            .filter(|bytes| *bytes <= self.most())?;
        let base = data.load(&mut self.builder, 8).ok()?;
        let count = length.load(&mut self.builder, 8).ok()?;
        let to = self.builder.view()?;
        self.builder.push(Op::CaptureCounted {
            to,
            base,
            count,
            stride,
            limit,
        });
        let whole = u64::from(stride).checked_mul(u64::from(limit))?;
        let elements = Place::Captured {
            spans: Arc::new([(0, whole, to)]),
            offset: 0,
        };
        self.each(element, stride, limit, count, &elements, depth, hops)
    }

    fn array(
        &mut self,
        element: TypeRef,
        count: u64,
        place: &Place<'s>,
        depth: usize,
        hops: usize,
    ) -> Option<()> {
        let stride = self.load(element).ok()?.size;
        let limit = self
            .elements(stride)
            .min(u32::try_from(count).unwrap_or(u32::MAX));
        if let Place::Pieces { .. } = place {
            for index in 0..count.min(MAX_UNROLLED) {
                self.chase(element, &place.at(index.checked_mul(stride)?), depth, hops);
            }
            return Some(());
        }
        let mark = self.builder.mark();
        let length = self.builder.constant(count)?;
        let before = self.builder.len();
        let result = self.each(
            element,
            u32::try_from(stride).ok()?,
            limit,
            length,
            place,
            depth,
            hops,
        );
        if self.builder.len() == before {
            self.builder.rewind(mark);
        }
        result
    }

    /// Chases each element of a captured sequence.
    #[expect(
        clippy::too_many_arguments,
        reason = "a loop over captured elements is made of just these"
    )]
    fn each(
        &mut self,
        element: TypeRef,
        stride: u32,
        limit: u32,
        count: Slot,
        elements: &Place<'s>,
        depth: usize,
        hops: usize,
    ) -> Option<()> {
        let (from, offset) = elements.captured(u64::from(stride).checked_mul(u64::from(limit))?)?;
        if self.loops == LOOPS {
            return None;
        }
        let mark = self.builder.mark();
        let index = self.builder.slot()?;
        let to = self.builder.view()?;
        let start = self.builder.push(Op::Loop {
            index,
            count,
            limit,
            end: 0,
        });
        self.builder.push(Op::Element {
            to,
            from,
            offset,
            index,
            stride,
        });
        let body = self.builder.len();
        self.loops += 1;
        let place = Place::Captured {
            spans: Arc::new([(0, u64::from(stride), to)]),
            offset: 0,
        };
        self.chase(element, &place, depth, hops);
        self.loops -= 1;
        if self.builder.len() == body {
            self.builder.rewind(mark);
        } else {
            self.builder.patch(start);
        }
        Some(())
    }

    fn variants(
        &mut self,
        discriminant: Option<&Member>,
        variants: &[Variant],
        place: &Place<'s>,
        depth: usize,
        hops: usize,
    ) -> Option<()> {
        let body = |compiler: &mut Self, variant: &Variant| {
            let before = compiler.builder.len();
            compiler.chase(variant.data.ty, &place.at(variant.data.offset), depth, hops);
            compiler.builder.len() > before
        };
        let (Some(discriminant), [_, _, ..]) = (discriminant, variants) else {
            // With one variant there is nothing to decide; with several and no discriminant nothing can be decided.
            if let [only] = variants {
                body(self, only);
            }
            return Some(());
        };
        let size = u8::try_from(self.load(discriminant.ty).ok()?.size)
            .ok()
            .filter(|size| (1..=8).contains(size))?;
        let mark = self.builder.mark();
        let Ok(slot) = place.at(discriminant.offset).load(&mut self.builder, size) else {
            // The types of the variants are needed all the same.
            let nowhere = Place::Pieces {
                pieces: &[],
                offset: 0,
            };
            for variant in variants {
                self.chase(variant.data.ty, &nowhere, depth, hops);
            }
            return None;
        };
        let mut ends = Vec::new();
        for variant in variants {
            let before = self.builder.mark();
            let negated = variant.values.is_empty();
            let ranges: Vec<(u64, u64)> = if negated {
                variants.iter().flat_map(narrow).collect()
            } else {
                narrow(variant).collect()
            };
            let Some(ranges) = self.builder.ranges(ranges) else {
                self.lost += 1;
                break;
            };
            let choose = self.builder.push(Op::Match {
                slot,
                ranges,
                negated,
                otherwise: 0,
            });
            if body(self, variant) {
                ends.push(self.builder.push(Op::Jump { to: 0 }));
                self.builder.patch(choose);
            } else {
                self.builder.rewind(before);
            }
        }
        if ends.is_empty() {
            self.builder.rewind(mark);
        }
        for end in ends {
            self.builder.patch(end);
        }
        Some(())
    }

    /// Captures a value in memory: as a whole, or what the limits leave of it.
    pub(super) fn capture_value(&mut self, place: &Place<'s>, ty: TypeRef) -> Place<'s> {
        let mut spans = Vec::new();
        if let Place::Memory {
            base,
            offset,
            frame,
        } = *place
        {
            for (start, end) in self.extents(ty) {
                let size = u32::try_from(end - start)
                    .unwrap_or(u32::MAX)
                    .min(self.most());
                let (Some(to), Ok(distance)) = (self.builder.view(), i64::try_from(start)) else {
                    self.lost += 1;
                    break;
                };
                let offset = offset.wrapping_add(distance);
                self.builder.reads(frame, offset, u64::from(size));
                self.builder.push(Op::Capture {
                    to,
                    base,
                    offset,
                    size,
                });
                spans.push((start, start + u64::from(size), to));
            }
        }
        Place::Captured {
            spans: spans.into(),
            offset: 0,
        }
    }

    /// The stretches of a value that the limits leave, by rising offset.
    fn extents(&mut self, ty: TypeRef) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        let mut visits = MAX_EXTENT_VISITS;
        self.collect_extents(ty, 0, &mut visits, &mut all);
        all.sort_unstable();
        let mut gap = 32;
        loop {
            let mut merged: Vec<(u64, u64)> = Vec::new();
            for (start, end) in &all {
                match merged.last_mut() {
                    Some((_, last)) if *start <= last.saturating_add(gap) => {
                        *last = (*last).max(*end)
                    }
                    _ => merged.push((*start, *end)),
                }
            }
            if merged.len() <= MAX_EXTENTS {
                return merged;
            }
            gap *= 4;
        }
    }

    fn collect_extents(
        &mut self,
        ty: TypeRef,
        at: u64,
        visits: &mut usize,
        all: &mut Vec<(u64, u64)>,
    ) {
        let Some(left) = visits.checked_sub(1) else {
            self.lost += 1;
            return;
        };
        *visits = left;
        let Ok(found) = self.load(ty) else { return };
        if found.size == 0 {
            return;
        }
        let mut members = |compiler: &mut Self, members: &[Member]| {
            for member in members {
                compiler.collect_extents(member.ty, at.saturating_add(member.offset), visits, all);
            }
        };
        match &found.kind {
            _ if found.size <= WHOLE => all.push((at, at.saturating_add(found.size))),
            TypeKind::Struct { members: list, .. } => members(self, list),
            TypeKind::Enum {
                discriminant,
                variants,
                ..
            } => {
                members(self, discriminant.as_slice());
                for variant in variants {
                    members(self, std::slice::from_ref(&variant.data));
                }
            }
            TypeKind::Array { element, count } => {
                let stride = self.load(*element).map_or(0, |element| element.size);
                let shown = u64::from(self.elements(stride)).min(*count);
                let size = shown.saturating_mul(stride).min(found.size);
                if size > 0 {
                    all.push((at, at.saturating_add(size)));
                }
            }
            _ => all.push((
                at,
                at.saturating_add(found.size.min(u64::from(self.most()))),
            )),
        }
    }

    /// Elements of a sequence that are captured: a long sequence of big elements must leave room for what they point to.
    fn elements(&self, stride: u64) -> u32 {
        let quarter = (self.limits.record as u64 / 4)
            .checked_div(stride)
            .unwrap_or(u64::MAX)
            .max(1);
        u32::try_from((self.limits.elements as u64).min(quarter)).unwrap_or(u32::MAX)
    }
}

/// A variant's discriminants, as far as 64 bits hold them.
fn narrow(variant: &Variant) -> impl Iterator<Item = (u64, u64)> {
    variant.values.iter().filter_map(|range| {
        let first = u64::try_from(range.first).ok()?;
        Some((first, u64::try_from(range.last).unwrap_or(u64::MAX)))
    })
}
