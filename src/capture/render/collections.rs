//! Sequences, maps and sets.

use super::super::program::is_pseudo;
use super::super::record::Why;
use super::super::views::{Entry, List, NODE_CAPACITY, Ring, Small, Spot, Table, Tree};
use super::{Level, Renderer};
use crate::symbols::types::TypeRef;

/// Levels of a tree above which its nodes are not believed: it would have more entries than memory has bytes.
const MAX_HEIGHT: u64 = 24;

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

    fn size(&self, ty: TypeRef) -> u64 {
        self.compiled.types.get(ty).map_or(0, |ty| ty.size)
    }

    pub(super) fn elements(&mut self, address: u64, count: u64, element: TypeRef, level: Level) {
        let stride = self.size(element);
        self.listed(count, element, level, |_, index| {
            Some(address.wrapping_add(index.wrapping_mul(stride)))
        });
    }

    /// Elements in brackets; `find` gives the address of each, in order.
    fn listed(
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

    fn goes_on(&self, shown: u64, count: u64) -> bool {
        shown < count && shown < self.limit && !self.full()
    }

    /// Whether the first byte of an element is there.
    fn there(&self, address: u64, element: TypeRef) -> Result<(), Why> {
        match self.size(element) {
            0 => Ok(()),
            _ => self.record.read(address, &mut [0]),
        }
    }

    fn more(&mut self, shown: u64, count: u64) {
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

    pub(super) fn table(&mut self, table: Table, address: u64, level: Level) {
        let mut number = |at: u64| self.number(address.wrapping_add(at));
        let (Some(items), Some(mask)) = (number(table.items), number(table.mask)) else {
            return;
        };
        if items == 0 {
            return self.put("{}");
        }
        let buckets = mask.checked_add(1).filter(|count| count.is_power_of_two());
        let Some(buckets) = buckets.filter(|buckets| items <= *buckets) else {
            return self.put(format_args!("<invalid table of {items} entries>"));
        };
        let Some(control) = self.pointer(address.wrapping_add(table.control)) else {
            return;
        };
        let mut next = 0;
        self.entries(items, table.entry, level, |renderer| {
            while next < buckets {
                let mut byte = [0];
                let at = control.checked_add(next)?;
                renderer.record.read(at, &mut byte).ok()?;
                next += 1;
                if byte[0] < 0x80 {
                    let bucket = control.checked_sub(next.checked_mul(table.stride)?)?;
                    let value = table.entry.value.map_or(0, |(offset, _)| offset);
                    return Some((
                        bucket.wrapping_add(table.entry.key.0),
                        bucket.wrapping_add(value),
                    ));
                }
            }
            None
        });
    }

    /// Entries in braces; `find` gives the addresses of each one's key and value, in order.
    fn entries(
        &mut self,
        count: u64,
        entry: Entry,
        level: Level,
        mut find: impl FnMut(&mut Self) -> Option<(u64, u64)>,
    ) {
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put("{..}");
        };
        self.put('{');
        let mut shown = 0;
        while self.goes_on(shown, count) {
            let Some((key, value)) = find(self) else {
                break;
            };
            if self.there(key, entry.key.1) == Err(Why::NotCaptured) {
                break;
            }
            if shown > 0 {
                self.put(", ");
            }
            self.value(entry.key.1, key, level.within(depth));
            if let Some((_, ty)) = entry.value {
                self.put(": ");
                self.value(ty, value, level.within(depth));
            }
            shown += 1;
        }
        self.more(shown, count);
        self.put('}');
    }

    pub(super) fn tree(&mut self, tree: Tree, address: u64, level: Level) {
        let Some(length) = self.number(address.wrapping_add(tree.length)) else {
            return;
        };
        if length == 0 {
            return self.put("{}");
        }
        let Some(height) = self.number(address.wrapping_add(tree.height)) else {
            return;
        };
        let Some(root) = self.pointer(address.wrapping_add(tree.root)) else {
            return;
        };
        if height > MAX_HEIGHT {
            return self.put(format_args!("<invalid tree of height {height}>"));
        }
        let (key, value) = (tree.entry.key, tree.entry.value.unwrap_or(tree.entry.key));
        let (key_size, value_size) = (self.size(key.1), self.size(value.1));
        // Nodes from the root down, each with the number of its next entry.
        let mut path: Vec<(u64, u64)> = Vec::new();
        let mut down = Some(root);
        self.entries(length, tree.entry, level, |renderer| {
            while let Some(node) = down.take() {
                path.push((node, 0));
                if path.len() as u64 <= height {
                    down = Some(renderer.quiet_pointer(node.wrapping_add(tree.node.edges.into()))?);
                }
            }
            loop {
                let (node, index) = path.last_mut()?;
                let count = renderer.short(node.wrapping_add(tree.node.length.into()))?;
                if *index >= count || count > NODE_CAPACITY {
                    path.pop();
                    continue;
                }
                let found = (
                    node.wrapping_add(key.0)
                        .wrapping_add(index.wrapping_mul(key_size)),
                    node.wrapping_add(value.0)
                        .wrapping_add(index.wrapping_mul(value_size)),
                );
                *index += 1;
                let edge = u64::from(tree.node.edges).wrapping_add(index.wrapping_mul(8));
                let child = node.wrapping_add(edge);
                if path.len() as u64 <= height {
                    // Where it was not captured, the entry itself is shown all the same.
                    match renderer.quiet_pointer(child) {
                        Some(child) => down = Some(child),
                        None => path.clear(),
                    }
                }
                return Some(found);
            }
        });
    }

    /// A pointer that was captured and leads somewhere.
    fn quiet_pointer(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.record.read(address, &mut bytes).ok()?;
        let pointer = u64::from_le_bytes(bytes);
        (!is_pseudo(pointer)).then_some(pointer)
    }

    fn short(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 2];
        self.record.read(address, &mut bytes).ok()?;
        Some(u16::from_le_bytes(bytes).into())
    }
}
