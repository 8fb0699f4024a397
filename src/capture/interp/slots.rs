//! The numbers and views that a program works with.

use super::{Machine, Run};
use crate::capture::program::{Slot, View, pseudo};

/// A view's bytes within the record.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) size: u32,
}

impl<M: Machine> Run<'_, M> {
    pub(super) fn slot(&self, Slot(slot): Slot) -> Option<u64> {
        let bit = 1u64.checked_shl(u32::from(slot))?;
        if self.valid & bit == 0 {
            return None;
        }
        self.slots.get(usize::from(slot)).copied()
    }

    pub(super) fn put(&mut self, Slot(slot): Slot, value: Option<u64>) {
        let Some(bit) = 1u64.checked_shl(u32::from(slot)) else {
            return;
        };
        let Some(place) = self.slots.get_mut(usize::from(slot)) else {
            return;
        };
        *place = value.unwrap_or(0);
        self.valid = if value.is_some() {
            self.valid | bit
        } else {
            self.valid & !bit
        };
    }

    pub(super) fn put_view(&mut self, View(view): View, span: Span) {
        if let Some(place) = self.views.get_mut(usize::from(view)) {
            *place = span;
        }
    }

    pub(super) fn span(&self, View(view): View) -> Span {
        self.views
            .get(usize::from(view))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn pseudo(&self, at: u32) -> u64 {
        pseudo(self.expression).wrapping_add(u64::from(at))
    }
}
