//! Which bytes of a value are captured.

use super::super::compile::Compiler;
use super::super::place::Place;
use super::super::program::Op;
use crate::symbols::types::{Member, TypeKind, TypeRef};

/// Values up to this size are captured as a whole, bigger ones without what the limits leave out.
const WHOLE: u64 = 256;
/// Blocks that one value is captured in.
const MAX_EXTENTS: usize = 8;
/// Types that are looked at for them: of a huge struct, or one that contains itself, the first part is captured.
const MAX_EXTENT_VISITS: usize = 256;

impl<'s> Compiler<'s> {
    /// Captures a value in memory: as a whole, or what the limits leave of it.
    pub(in super::super) fn capture_value(&mut self, place: &Place<'s>, ty: TypeRef) -> Place<'s> {
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
    pub(super) fn elements(&self, stride: u64) -> u32 {
        let quarter = (self.limits.record as u64 / 4)
            .checked_div(stride)
            .unwrap_or(u64::MAX)
            .max(1);
        u32::try_from((self.limits.elements as u64).min(quarter)).unwrap_or(u32::MAX)
    }
}
