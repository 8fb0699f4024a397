//! Captures the elements of sequences and lists.

use super::super::compile::Compiler;
use super::super::place::Place;
use super::super::program::{LOOPS, Op, Slot, View as Bytes};
use super::super::views::{List, Ring, Small, Spot};
use super::Reach;
use crate::symbols::types::TypeRef;
use std::sync::Arc;

/// Elements of an array in registers that are looked at.
const MAX_UNROLLED: u64 = 8;

impl<'s> Compiler<'s> {
    /// Captures text.
    pub(super) fn bytes(&mut self, place: &Place<'s>, data: Spot, length: u64) -> Option<()> {
        let base = self.base(place, data)?;
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
        Some(())
    }

    /// The address that a spot behind a pointer has.
    fn base(&mut self, place: &Place<'s>, at: Spot) -> Option<Slot> {
        let pointer = place.at(at.pointer?).load(&mut self.builder, 8).ok()?;
        if at.offset == 0 {
            return Some(pointer);
        }
        let one = self.builder.constant(1)?;
        let to = self.builder.slot()?;
        self.builder.push(Op::Scale {
            to,
            base: pointer,
            index: one,
            stride: at.offset,
        });
        Some(to)
    }

    pub(super) fn sequence(
        &mut self,
        place: &Place<'s>,
        data: Spot,
        length: u64,
        element: TypeRef,
        reach: Reach,
    ) -> Option<()> {
        if self.load(element).ok()?.size == 0 {
            self.types_only(element, reach);
            return Some(());
        }
        let base = self.base(place, data);
        let count = place.at(length).load(&mut self.builder, 8).ok();
        let Some((base, count)) = base.zip(count) else {
            self.types_only(element, reach);
            return None;
        };
        self.counted(base, count, element, reach)
    }

    /// Captures `count` elements at an address, and what they lead to.
    pub(in super::super) fn counted(
        &mut self,
        base: Slot,
        count: Slot,
        element: TypeRef,
        reach: Reach,
    ) -> Option<()> {
        let stride = self.load(element).ok()?.size;
        let limit = self.elements(stride);
        let stride = u32::try_from(stride).ok()?;
        if stride == 0 {
            self.types_only(element, reach);
            return Some(());
        }
        stride
            .checked_mul(limit)
            .filter(|bytes| *bytes <= self.most())?;
        let to = self.builder.view()?;
        self.builder.push(Op::CaptureCounted {
            to,
            base,
            count,
            stride,
            limit,
        });
        let whole = u64::from(stride).checked_mul(u64::from(limit))?;
        self.each(element, stride, limit, count, &viewed(to, whole), reach)
    }

    pub(super) fn array(
        &mut self,
        element: TypeRef,
        count: u64,
        place: &Place<'s>,
        reach: Reach,
    ) -> Option<()> {
        let stride = self.load(element).ok()?.size;
        let limit = self
            .elements(stride)
            .min(u32::try_from(count).unwrap_or(u32::MAX));
        if let Place::Pieces { .. } = place {
            for index in 0..count.min(MAX_UNROLLED) {
                self.chase(element, &place.at(index.checked_mul(stride)?), reach);
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
            reach,
        );
        if self.builder.len() == before {
            self.builder.rewind(mark);
        }
        result
    }

    /// Chases each element of a captured sequence.
    fn each(
        &mut self,
        element: TypeRef,
        stride: u32,
        limit: u32,
        count: Slot,
        elements: &Place<'s>,
        reach: Reach,
    ) -> Option<()> {
        let whole = u64::from(stride).checked_mul(u64::from(limit))?;
        let Some((from, offset)) = elements.captured(whole) else {
            self.types_only(element, reach);
            return None;
        };
        if self.loops == LOOPS {
            self.types_only(element, reach);
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
        self.chase(element, &viewed(to, u64::from(stride)), reach);
        self.loops -= 1;
        if self.builder.len() == body {
            self.builder.rewind(mark);
        } else {
            self.builder.patch(start);
        }
        Some(())
    }

    pub(super) fn ring(&mut self, ring: Ring, place: &Place<'s>, reach: Reach) -> Option<()> {
        let stride = self.load(ring.element).ok()?.size;
        if stride == 0 {
            self.types_only(ring.element, reach);
            return Some(());
        }
        let mut number = |at| place.at(at).load(&mut self.builder, 8).ok();
        let numbers = (
            number(ring.data),
            number(ring.head),
            number(ring.length),
            number(ring.capacity),
        );
        let (Some(data), Some(head), Some(length), Some(capacity)) = numbers else {
            self.types_only(ring.element, reach);
            return None;
        };
        let (first, second) = (self.builder.slot()?, self.builder.slot()?);
        self.builder.push(Op::Split {
            first,
            second,
            head,
            length,
            capacity,
        });
        let start = self.builder.slot()?;
        self.builder.push(Op::Scale {
            to: start,
            base: data,
            index: head,
            stride,
        });
        self.counted(start, first, ring.element, reach)?;
        self.counted(data, second, ring.element, reach)
    }

    pub(super) fn list(&mut self, list: List, place: &Place<'s>, reach: Reach) -> Option<()> {
        let size = self.load(list.node).ok()?.size;
        let node = place.at(list.head).load(&mut self.builder, 8).ok();
        let count = place.at(list.length).load(&mut self.builder, 8).ok();
        let fits = u32::try_from(size).ok().filter(|size| *size <= self.most());
        let (Some(node), Some(count), Some(size), true) = (node, count, fits, self.loops < LOOPS)
        else {
            self.types_only(list.element, reach);
            return None;
        };
        let next = u32::try_from(list.next).ok()?;
        let (index, to) = (self.builder.slot()?, self.builder.view()?);
        let start = self.builder.push(Op::Loop {
            index,
            count,
            limit: self.elements(u64::from(size)),
            end: 0,
        });
        self.builder.push(Op::Capture {
            to,
            base: node,
            offset: 0,
            size,
        });
        self.loops += 1;
        let element = viewed(to, u64::from(size)).at(list.offset);
        self.chase(list.element, &element, reach);
        self.loops -= 1;
        self.builder.push(Op::View {
            to: node,
            from: to,
            offset: next,
            size: 8,
        });
        self.builder.patch(start);
        Some(())
    }

    pub(super) fn small(&mut self, small: Small, place: &Place<'s>, reach: Reach) -> Option<()> {
        let stride = self.load(small.element).ok()?.size;
        let Ok(capacity) = place.at(small.capacity).load(&mut self.builder, 8) else {
            self.types_only(small.element, reach);
            return None;
        };
        let ranges = self.builder.ranges([(0, small.room)])?;
        let choose = self.builder.push(Op::Match {
            slot: capacity,
            ranges,
            negated: false,
            otherwise: 0,
        });
        let limit = self
            .elements(stride)
            .min(u32::try_from(small.room).unwrap_or(u32::MAX));
        let inside = place.at(small.inside);
        let stride = u32::try_from(stride).ok()?;
        let within = self.each(small.element, stride, limit, capacity, &inside, reach);
        let end = self.builder.push(Op::Jump { to: 0 });
        self.builder.patch(choose);
        let data = Spot {
            pointer: Some(small.data),
            offset: 0,
        };
        let outside = self.sequence(place, data, small.length, small.element, reach);
        self.builder.patch(end);
        within.and(outside)
    }
}

/// The place of a whole view.
pub(super) fn viewed<'s>(view: Bytes, size: u64) -> Place<'s> {
    Place::Captured {
        spans: Arc::new([(0, size, view)]),
        offset: 0,
    }
}
