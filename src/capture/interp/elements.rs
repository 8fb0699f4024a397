//! The elements of containers within what is captured.

use super::slots::Span;
use super::{Machine, Run};
use crate::capture::program::{CLIMB, Node, Slot, View};

impl<M: Machine> Run<'_, M> {
    pub(super) fn element(&self, from: View, offset: u32, index: Slot, stride: u32) -> Span {
        let span = self.span(from);
        let index = self.slot(index).and_then(|index| u32::try_from(index).ok());
        let start = index
            .and_then(|index| index.checked_mul(stride))
            .and_then(|at| at.checked_add(offset));
        match start.and_then(|start| {
            Some((
                span.start.checked_add(start)?,
                span.size.checked_sub(start)?,
            ))
        }) {
            Some((start, left)) => Span {
                start,
                size: left.min(stride),
            },
            None => Span::default(),
        }
    }

    pub(super) fn element_before(&self, from: View, index: Slot, stride: u32) -> Span {
        let span = self.span(from);
        let start = self
            .slot(index)
            .and_then(|index| u32::try_from(index).ok()?.checked_add(1))
            .and_then(|elements| elements.checked_mul(stride))
            .and_then(|distance| span.size.checked_sub(distance));
        match start.and_then(|start| span.start.checked_add(start)) {
            Some(start) => Span {
                start,
                size: stride,
            },
            None => Span::default(),
        }
    }

    pub(super) fn split(&self, head: Slot, length: Slot, capacity: Slot) -> Option<(u64, u64)> {
        let (head, length, capacity) = (self.slot(head)?, self.slot(length)?, self.slot(capacity)?);
        if length > capacity {
            return None;
        }
        let first = capacity.checked_sub(head)?.min(length);
        Some((first, length.checked_sub(first)?))
    }

    pub(super) fn next_node(
        &mut self,
        node: Slot,
        height: Slot,
        layout: Node,
    ) -> Option<(u64, u64)> {
        let (mut at, mut level) = (self.slot(node)?, self.slot(height)?);
        if level > 0 {
            let child = self.captured_number(at, layout.edges, 8)?;
            return Some((child, level.checked_sub(1)?));
        }
        for _ in 0..CLIMB {
            let parent = self.captured_number(at, layout.parent, 8)?;
            let position = self.captured_number(at, layout.position, 2)?;
            if position < self.captured_number(parent, layout.length, 2)? {
                let edge = u32::try_from(position)
                    .ok()?
                    .checked_add(1)?
                    .checked_mul(8)?;
                let sibling = self.captured_number(parent, layout.edges.checked_add(edge)?, 8)?;
                return Some((sibling, level));
            }
            level = level.checked_add(1)?;
            at = parent;
        }
        None
    }
}
