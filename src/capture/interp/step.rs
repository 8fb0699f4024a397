//! What each operation does.

use super::choose::{Range, sensible};
use super::load::number;
use super::slots::Span;
use super::{Ended, Machine, Run, Then, Turns};
use crate::capture::expr::Special;
use crate::capture::program::{Op, pseudo};
use crate::capture::record::Code;

impl<M: Machine> Run<'_, M> {
    pub(super) fn step(&mut self, op: &Op, next: u16) -> Then {
        match *op {
            Op::Condition { end } => {
                self.deciding = true;
                self.end = end;
            }
            Op::Count => self.hits = self.machine.count(),
            Op::Keep { slot } => match self.slot(slot) {
                Some(1) => {}
                Some(_) => {
                    self.ended = Some(Ended::Passed);
                    return Then::Over;
                }
                None => return self.require(slot),
            },
            Op::Special { to, special } => {
                let value = match special {
                    Special::Hits => self.hits,
                    Special::Thread => self.machine.thread(),
                    Special::Time => self.machine.time(),
                };
                self.put(to, Some(value));
            }
            Op::Calculate { to, steps } => return self.calculate(to, steps),
            Op::Fits { to, steps } => return self.fits(to, steps),
            Op::Fold {
                to,
                base,
                count,
                kind,
                fold,
                wanted,
            } => return self.fold(to, (base, count), kind, (fold, wanted)),
            Op::Find { search } => return self.find(search),
            Op::Compare {
                to,
                comparison,
                left,
                right,
            } => return self.compare(to, comparison, left, right),
            Op::Expression { index, end } => {
                self.deciding = false;
                let remaining = self.program.expressions().saturating_sub(index);
                self.writer.share(remaining);
                self.reserve = match self.fuel.checked_div(u32::from(remaining)) {
                    Some(share) if self.program.shares_fuel() => self.fuel.saturating_sub(share),
                    _ => 0,
                };
                self.expression = index;
                self.end = end;
                self.depth = 0;
            }
            Op::Constant { to, value } => self.put(to, Some(value)),
            Op::Formula { to, terms } => {
                let value = self.formula(terms);
                self.put(to, value);
            }
            Op::Register {
                to,
                register,
                skip,
                size,
            } => {
                let value = self
                    .machine
                    .register(register)
                    .and_then(|bytes| number(bytes.get(usize::from(skip)..)?, size));
                self.fault = None;
                self.put(to, value);
            }
            Op::Memory {
                to,
                base,
                offset,
                size,
            } => {
                let value = match self.slot(base) {
                    Some(base) => self.load(base.wrapping_add_signed(offset), size),
                    None => None,
                };
                self.put(to, value);
            }
            Op::View {
                to,
                from,
                offset,
                size,
            } => {
                let value = self.load_captured(from, offset, size);
                self.put(to, value);
            }
            Op::Scale {
                to,
                base,
                index,
                stride,
            } => {
                let distance = self.slot(index).and_then(|index| index.checked_mul(stride));
                let value = self
                    .slot(base)
                    .zip(distance)
                    .and_then(|(base, distance)| base.checked_add(distance));
                self.put(to, value);
            }
            Op::Require { slot } => return self.require(slot),
            Op::Bounds {
                index,
                length,
                signed,
                stride,
                optional,
            } => return self.bounds(index, length, signed, stride, optional),
            Op::Choose {
                slot,
                ranges,
                negated,
                refusal,
                optional,
            } => {
                let Some(chosen) = self.is_within(slot, ranges, negated) else {
                    return Then::Cut;
                };
                if self.slot(slot).is_none() {
                    return self.require(slot);
                }
                if !chosen {
                    let code = if optional {
                        Code::Nothing
                    } else {
                        Code::Refused
                    };
                    self.writer
                        .set(self.expression, code, u64::from(refusal), 0);
                    return Then::Over;
                }
            }
            Op::Slice {
                to,
                count,
                base,
                length,
                start,
                end,
                signed,
                inclusive,
                stride,
            } => {
                let range = Range {
                    start,
                    end,
                    signed,
                    inclusive,
                };
                return self.slice((to, count), (base, length), range, stride);
            }
            Op::PlaceCounted { base, count } => {
                let Some(address) = self.slot(base) else {
                    return self.require(base);
                };
                let Some(count) = self.slot(count) else {
                    return self.require(count);
                };
                self.writer.set(self.expression, Code::Ok, address, count);
            }
            Op::Place { base, offset } => {
                let Some(base) = self.slot(base) else {
                    return self.require(base);
                };
                self.writer.set(
                    self.expression,
                    Code::Ok,
                    base.wrapping_add_signed(offset),
                    0,
                );
            }
            Op::PlacePseudo { offset } => {
                let address = pseudo(self.expression).wrapping_add(u64::from(offset));
                self.writer.set(self.expression, Code::Ok, address, 0);
            }
            Op::Capture {
                to,
                base,
                offset,
                size,
            } => {
                let address = self.slot(base).map(|base| base.wrapping_add_signed(offset));
                return self.capture(Some(to), address, address, size);
            }
            Op::CaptureCounted {
                to,
                base,
                count,
                stride,
                limit,
            } => {
                let count = self
                    .slot(count)
                    .filter(|count| sensible(*count, u64::from(stride)));
                let taken = count.map_or(0, |count| {
                    u32::try_from(count).unwrap_or(u32::MAX).min(limit)
                });
                let address = self.slot(base);
                return self.capture(Some(to), address, address, taken.saturating_mul(stride));
            }
            Op::PieceMemory {
                at,
                base,
                offset,
                size,
            } => {
                let address = self.slot(base).map(|base| base.wrapping_add_signed(offset));
                return self.capture(None, Some(self.pseudo(at)), address, size);
            }
            Op::PieceRegister {
                at,
                register,
                skip,
                size,
            } => {
                let Some(bytes) = self.machine.register(register) else {
                    return Then::Next;
                };
                return self.piece(at, &bytes, skip, size);
            }
            Op::PieceNumber {
                at,
                slot,
                skip,
                size,
            } => {
                let Some(value) = self.slot(slot) else {
                    return Then::Next;
                };
                return self.piece(at, &value.to_le_bytes(), skip, size);
            }
            Op::PieceBytes { at, bytes } => {
                let bytes = self.program.bytes(bytes);
                return self.block(self.pseudo(at), bytes);
            }
            Op::Match {
                slot,
                ranges,
                negated,
                otherwise,
            } => {
                let Some(chosen) = self.is_within(slot, ranges, negated) else {
                    return Then::Cut;
                };
                if !chosen {
                    return Then::Jump(otherwise);
                }
            }
            Op::Jump { to } => return Then::Jump(to),
            Op::Loop {
                index,
                count,
                limit,
                end,
            } => {
                let left = u32::try_from(self.slot(count).unwrap_or(0))
                    .unwrap_or(u32::MAX)
                    .min(limit);
                let Some(turns) = self.loops.get_mut(self.depth) else {
                    return Then::Jump(end);
                };
                if left == 0 || end <= next {
                    return Then::Jump(end);
                }
                *turns = Turns {
                    start: next,
                    end,
                    index: index.0,
                    left,
                };
                self.depth += 1;
                self.put(index, Some(0));
            }
            Op::Element {
                to,
                from,
                offset,
                index,
                stride,
            } => {
                let span = self.element(from, offset, index, stride);
                self.put_view(to, span);
            }
            Op::CaptureOnce {
                to,
                base,
                offset,
                size,
            } => {
                let address = self.slot(base).map(|base| base.wrapping_add_signed(offset));
                if let Some(start) = address.and_then(|address| self.recorded(address, size)) {
                    self.put_view(to, Span { start, size });
                    return Then::Next;
                }
                return self.capture(Some(to), address, address, size);
            }
            Op::CaptureBefore {
                to,
                end,
                count,
                stride,
                limit,
            } => return self.capture_before(to, end, count, stride, limit),
            Op::ElementBefore {
                to,
                from,
                index,
                stride,
            } => {
                let span = self.element_before(from, index, stride);
                self.put_view(to, span);
            }
            Op::Split {
                first,
                second,
                head,
                length,
                capacity,
            } => {
                let parts = self.split(head, length, capacity);
                self.put(first, parts.map(|(first, _)| first));
                self.put(second, parts.map(|(_, second)| second));
            }
            Op::NextNode {
                node,
                height,
                layout,
            } => {
                let next = self.next_node(node, height, layout);
                self.put(node, next.map(|(node, _)| node));
                self.put(height, next.map(|(_, height)| height));
            }
        }
        Then::Next
    }
}
