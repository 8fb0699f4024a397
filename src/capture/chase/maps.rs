//! Captures the entries of maps and sets.

use super::super::compile::Compiler;
use super::super::place::Place;
use super::super::program::{LOOPS, Op, Slot, View as Bytes};
use super::super::views::{Entry, NODE_CAPACITY, Table, Tree};
use super::Reach;
use super::collections::viewed;

impl<'s> Compiler<'s> {
    /// Buckets are looked at in the order of their numbers, which is the order in which hashbrown iterates.
    pub(super) fn table(&mut self, table: Table, place: &Place<'s>, reach: Reach) -> Option<()> {
        let mut number = |at| place.at(at).load(&mut self.builder, 8).ok();
        let numbers = (
            number(table.control),
            number(table.mask),
            number(table.items),
        );
        let (Some(control), Some(mask), Some(items)) = numbers else {
            self.entry_types(table.entry, reach);
            return None;
        };
        let stride = u32::try_from(table.stride).ok()?;
        // Twice the elements: a table is half full in the mean. The record has to hold what they lead to as well.
        let room = u64::from(self.most()).checked_div(table.stride.max(1))? / 2;
        let limit = u32::try_from(room.min(2 * self.limits.elements as u64)).ok()?;
        if limit == 0 || self.loops == LOOPS {
            self.entry_types(table.entry, reach);
            return None;
        }
        let occupied = self.builder.ranges([(1, u64::MAX)])?;
        let (one, buckets) = (self.builder.constant(1)?, self.builder.slot()?);
        let (controls, entries) = (self.builder.view()?, self.builder.view()?);
        let empty = self.builder.push(Op::Match {
            slot: items,
            ranges: occupied,
            negated: false,
            otherwise: 0,
        });
        self.builder.push(Op::Scale {
            to: buckets,
            base: one,
            index: mask,
            stride: 1,
        });
        self.builder.push(Op::CaptureCounted {
            to: controls,
            base: control,
            count: buckets,
            stride: 1,
            limit,
        });
        let all = if stride == 0 {
            self.entry_types(table.entry, reach);
            Some(())
        } else {
            self.builder.push(Op::CaptureBefore {
                to: entries,
                end: control,
                count: buckets,
                stride,
                limit,
            });
            let buckets = Buckets {
                count: buckets,
                limit,
                controls,
                entries,
                stride,
            };
            self.buckets(table.entry, buckets, reach)
        };
        self.builder.patch(empty);
        all
    }

    /// Nodes are captured parents first, from the left: those that hold the first entries, and their parents.
    pub(super) fn tree(&mut self, tree: Tree, place: &Place<'s>, reach: Reach) -> Option<()> {
        let leaf = u32::try_from(self.load(tree.leaf).ok()?.size).ok()?;
        let internal = u32::try_from(self.load(tree.internal).ok()?.size).ok()?;
        let mut number = |at| place.at(at).load(&mut self.builder, 8).ok();
        let numbers = (number(tree.root), number(tree.height), number(tree.length));
        let fits = internal <= self.most() && self.loops + 1 < LOOPS;
        let (Some(node), Some(height), Some(length), true) =
            (numbers.0, numbers.1, numbers.2, fits)
        else {
            self.entry_types(tree.entry, reach);
            return None;
        };
        let (turn, to) = (self.builder.slot()?, self.builder.view()?);
        let lowest = self.builder.ranges([(0, 0)])?;
        // A node has 5 entries at least, but for the root.
        let limit = u32::try_from(self.limits.elements / 6 + 3).ok()?;
        let nodes = self.builder.push(Op::Loop {
            index: turn,
            count: length,
            limit,
            end: 0,
        });
        let choose = self.builder.push(Op::Match {
            slot: height,
            ranges: lowest,
            negated: false,
            otherwise: 0,
        });
        let capture = |size| Op::CaptureOnce {
            to,
            base: node,
            offset: 0,
            size,
        };
        self.builder.push(capture(leaf));
        let end = self.builder.push(Op::Jump { to: 0 });
        self.builder.patch(choose);
        self.builder.push(capture(internal));
        self.builder.patch(end);
        let all = self.node_entries(tree, to, reach);
        self.builder.push(Op::NextNode {
            node,
            height,
            layout: tree.node,
        });
        self.builder.patch(nodes);
        all
    }

    /// Captures what the entries in full buckets lead to.
    fn buckets(&mut self, entry: Entry, buckets: Buckets, reach: Reach) -> Option<()> {
        let mark = self.builder.mark();
        let (index, byte) = (self.builder.slot()?, self.builder.slot()?);
        let (bucket, at) = (self.builder.view()?, self.builder.view()?);
        let full = self.builder.ranges([(0, 127)])?;
        let start = self.builder.push(Op::Loop {
            index,
            count: buckets.count,
            limit: buckets.limit,
            end: 0,
        });
        self.builder.push(Op::Element {
            to: at,
            from: buckets.controls,
            offset: 0,
            index,
            stride: 1,
        });
        self.builder.push(Op::View {
            to: byte,
            from: at,
            offset: 0,
            size: 1,
        });
        let skip = self.builder.push(Op::Match {
            slot: byte,
            ranges: full,
            negated: false,
            otherwise: 0,
        });
        self.builder.push(Op::ElementBefore {
            to: bucket,
            from: buckets.entries,
            index,
            stride: buckets.stride,
        });
        let body = self.builder.len();
        self.loops += 1;
        let place = viewed(bucket, u64::from(buckets.stride));
        for (offset, ty) in [Some(entry.key), entry.value].into_iter().flatten() {
            self.chase(ty, &place.at(offset), reach);
        }
        self.loops -= 1;
        if self.builder.len() == body {
            self.builder.rewind(mark);
        } else {
            self.builder.patch(skip);
            self.builder.patch(start);
        }
        Some(())
    }

    /// Captures what the entries of a captured node lead to.
    fn node_entries(&mut self, tree: Tree, from: Bytes, reach: Reach) -> Option<()> {
        let mark = self.builder.mark();
        let (count, index) = (self.builder.slot()?, self.builder.slot()?);
        self.builder.push(Op::View {
            to: count,
            from,
            offset: tree.node.length,
            size: 2,
        });
        let entries = self.builder.push(Op::Loop {
            index,
            count,
            limit: u32::try_from(NODE_CAPACITY).ok()?,
            end: 0,
        });
        let before = self.builder.len();
        self.loops += 2;
        for (offset, ty) in [Some(tree.entry.key), tree.entry.value]
            .into_iter()
            .flatten()
        {
            let start = self.builder.mark();
            let stride = self.load(ty).map_or(0, |ty| ty.size);
            let (Some(to), Ok(stride), Ok(offset)) = (
                self.builder.view(),
                u32::try_from(stride),
                u32::try_from(offset),
            ) else {
                break;
            };
            self.builder.push(Op::Element {
                to,
                from,
                offset,
                index,
                stride,
            });
            let body = self.builder.len();
            self.chase(ty, &viewed(to, u64::from(stride)), reach);
            if self.builder.len() == body {
                self.builder.rewind(start);
            }
        }
        self.loops -= 2;
        if self.builder.len() == before {
            self.builder.rewind(mark);
        } else {
            self.builder.patch(entries);
        }
        Some(())
    }

    fn entry_types(&mut self, entry: Entry, reach: Reach) {
        self.types_only(entry.key.1, reach);
        if let Some((_, value)) = entry.value {
            self.types_only(value, reach);
        }
    }
}

/// The captured buckets of a hash table.
#[derive(Clone, Copy)]
struct Buckets {
    count: Slot,
    limit: u32,
    controls: Bytes,
    entries: Bytes,
    stride: u32,
}
