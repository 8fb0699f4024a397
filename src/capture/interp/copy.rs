//! Blocks of the record.

use super::choose::sensible;
use super::load::{Window, copy, read};
use super::slots::Span;
use super::{Machine, Run, Then};
use crate::capture::program::{READ_COST, Slot, View};

impl<M: Machine> Run<'_, M> {
    /// Captures memory from `source` as a block at `address`. Where there is no address there is nothing to capture.
    pub(super) fn capture(
        &mut self,
        to: Option<View>,
        address: Option<u64>,
        source: Option<u64>,
        size: u32,
    ) -> Then {
        let mut span = Span::default();
        let room = u32::try_from(self.writer.room()).unwrap_or(u32::MAX);
        let taken = size.min(room);
        if let (Some(address), Some(source), 1..) = (address, source, taken) {
            if !self.spend(READ_COST) {
                return Then::Cut;
            }
            let Some(bytes) = self.window.get(..self.window_size) else {
                return Then::Cut;
            };
            let window = Window {
                bytes,
                at: self.window_at,
            };
            let captured = read(
                &window,
                self.machine,
                source,
                self.writer.next(taken as usize),
            );
            let captured = u32::try_from(captured).unwrap_or(taken).min(taken);
            span = Span {
                start: self.writer.commit(address, taken, captured),
                size: captured,
            };
        }
        if let Some(to) = to {
            self.put_view(to, span);
        }
        let cut = taken < size && address.is_some() && source.is_some();
        if cut { Then::Cut } else { Then::Next }
    }

    pub(super) fn capture_before(
        &mut self,
        to: View,
        end: Slot,
        count: Slot,
        stride: u32,
        limit: u32,
    ) -> Then {
        let taken = self
            .slot(count)
            .filter(|count| sensible(*count, u64::from(stride)))
            .map_or(0, |count| {
                u32::try_from(count).unwrap_or(u32::MAX).min(limit)
            });
        let size = taken.saturating_mul(stride);
        let address = self
            .slot(end)
            .and_then(|end| end.checked_sub(u64::from(size)));
        let then = self.capture(Some(to), address, address, size);
        // Elements are counted from the end: without it, nothing is where it seems.
        if self.span(to).size != size {
            self.put_view(to, Span::default());
        }
        then
    }

    pub(super) fn piece(&mut self, at: u32, bytes: &[u8], skip: u8, size: u8) -> Then {
        let start = usize::from(skip);
        match bytes.get(start..start.saturating_add(usize::from(size))) {
            Some(bytes) => self.block(self.pseudo(at), bytes),
            None => Then::Next,
        }
    }

    pub(super) fn block(&mut self, address: u64, bytes: &[u8]) -> Then {
        let Ok(size) = u32::try_from(bytes.len()) else {
            return Then::Cut;
        };
        let place = self.writer.next(bytes.len());
        if place.len() < bytes.len() {
            return Then::Cut;
        }
        copy(bytes, place);
        self.writer.commit(address, size, size);
        Then::Next
    }
}
