//! Sequences.

use super::super::program::is_pseudo;
use super::super::record::Why;
use super::super::views::{List, Ring, Small, Spot};
use super::{Level, Renderer};
use crate::symbols::types::TypeRef;

impl Renderer<'_> {
    pub(super) fn sequence(
        &mut self,
        address: u64,
        data: Spot,
        length: u64,
        element: TypeRef,
        level: Level,
    ) {
        let Some(length) = self.length(address.wrapping_add(length), element) else {
            return;
        };
        if length == 0 {
            return self.put("[]");
        }
        if let Some(pointer) = self.at(address, data) {
            self.elements(pointer, length, element, level);
        }
    }

    /// A number of elements, if so many can exist.
    fn length(&mut self, address: u64, element: TypeRef) -> Option<u64> {
        let length = self.number(address)?;
        let sensible = length
            .checked_mul(self.size(element))
            .is_some_and(|bytes| bytes <= i64::MAX.cast_unsigned());
        if !sensible {
            self.put(format_args!("<invalid length {length}>"));
            return None;
        }
        Some(length)
    }

    pub(super) fn size(&self, ty: TypeRef) -> u64 {
        self.compiled.types.get(ty).map_or(0, |ty| ty.size)
    }

    pub(super) fn elements(&mut self, address: u64, count: u64, element: TypeRef, level: Level) {
        let stride = self.size(element);
        self.listed(count, element, level, |_, index| {
            Some(address.wrapping_add(index.wrapping_mul(stride)))
        });
    }

    /// Elements in brackets; `find` gives the address of each, in order.
    pub(super) fn listed(
        &mut self,
        count: u64,
        element: TypeRef,
        level: Level,
        mut find: impl FnMut(&mut Self, u64) -> Option<u64>,
    ) {
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put(if count == 0 { "[]" } else { "[..]" });
        };
        self.put('[');
        let mut shown = 0;
        while self.goes_on(shown, count) {
            let Some(at) = find(self, shown) else { break };
            let there = self.there(at, element);
            if there == Err(Why::NotCaptured) {
                break;
            }
            if shown > 0 {
                self.put(", ");
            }
            self.value(element, at, level.within(depth));
            shown += 1;
            if there == Err(Why::Unreadable) {
                break;
            }
        }
        self.more(shown, count);
        self.put(']');
    }

    pub(super) fn goes_on(&self, shown: u64, count: u64) -> bool {
        shown < count && shown < self.limit && !self.full()
    }

    /// Whether the first byte of an element is there.
    pub(super) fn there(&self, address: u64, element: TypeRef) -> Result<(), Why> {
        match self.size(element) {
            0 => Ok(()),
            _ => self.record.read(address, &mut [0]),
        }
    }

    pub(super) fn more(&mut self, shown: u64, count: u64) {
        if shown < count {
            let separator = if shown > 0 { ", " } else { "" };
            self.put(format_args!("{separator}.. {} more", count - shown));
        }
    }

    pub(super) fn ring(&mut self, ring: Ring, address: u64, level: Level) {
        let Some(length) = self.length(address.wrapping_add(ring.length), ring.element) else {
            return;
        };
        let stride = self.size(ring.element);
        if length == 0 {
            return self.put("[]");
        }
        if stride == 0 {
            return self.elements(address, length, ring.element, level);
        }
        let mut number = |at: u64| self.number(address.wrapping_add(at));
        let (Some(head), Some(capacity)) = (number(ring.head), number(ring.capacity)) else {
            return;
        };
        if head >= capacity || length > capacity {
            return self.put(format_args!("<invalid length {length}>"));
        }
        let Some(data) = self.pointer(address.wrapping_add(ring.data)) else {
            return;
        };
        self.listed(length, ring.element, level, |_, index| {
            let index = head.checked_add(index)?;
            let index = index.checked_sub(capacity).unwrap_or(index);
            data.checked_add(index.checked_mul(stride)?)
        });
    }

    pub(super) fn list(&mut self, list: List, address: u64, level: Level) {
        let Some(length) = self.number(address.wrapping_add(list.length)) else {
            return;
        };
        if length == 0 {
            return self.put("[]");
        }
        let Some(mut node) = self.pointer(address.wrapping_add(list.head)) else {
            return;
        };
        self.listed(length, list.element, level, |renderer, index| {
            if index > 0 {
                node = renderer.quiet_pointer(node.wrapping_add(list.next))?;
            }
            Some(node.wrapping_add(list.offset))
        });
    }

    pub(super) fn small(&mut self, small: Small, address: u64, level: Level) {
        let Some(capacity) = self.number(address.wrapping_add(small.capacity)) else {
            return;
        };
        if capacity <= small.room {
            let inside = address.wrapping_add(small.inside);
            return self.elements(inside, capacity, small.element, level);
        }
        let data = Spot {
            pointer: Some(small.data),
            offset: 0,
        };
        self.sequence(address, data, small.length, small.element, level);
    }

    /// A pointer that was captured and leads somewhere.
    pub(super) fn quiet_pointer(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.record.read(address, &mut bytes).ok()?;
        let pointer = u64::from_le_bytes(bytes);
        (!is_pseudo(pointer)).then_some(pointer)
    }
}
