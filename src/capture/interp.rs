//! The interpreter of capture programs.

mod compute;
mod words;

use super::arithmetic::{Stack, binary, unary};
use super::expr::Special;
use super::program::{
    CLIMB, FUEL, LOOPS, Node, Op, Part, Prefetch, Program, READ_COST, SLOTS, Slot, VIEWS, View,
    WINDOW, pseudo,
};
use super::record::{Code, Writer};
use crate::symbols::place::{Register, Term};

/// What a capture program can see of a stopped thread.
///
/// The interpreter runs in the tracer, and must be able to run in a signal handler: implementations allocate nothing,
/// lock nothing, panic never.
pub trait Machine {
    /// The bytes of a register, the unused upper ones zero; `None` where it cannot be read.
    fn register(&mut self, register: Register) -> Option<[u8; 16]>;

    /// Copies memory of the process from `address` into `out`, and returns how many bytes could be read before the
    /// first unreadable one.
    fn read(&mut self, address: u64, out: &mut [u8]) -> usize;

    /// Counts a hit of the logpoint, and returns its number, from 1. Called at most once in a run.
    fn count(&mut self) -> u64;

    /// The kernel's number of the thread.
    fn thread(&self) -> u64;

    /// What time it is, in nanoseconds since 1970.
    fn time(&self) -> u64;
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// Its record takes so many bytes: at most the length of `out` and the program's own limit; 0 where not even the head
    /// of a record fits.
    Recorded(usize),
    /// The hit does not count: there is no record.
    Passed,
    /// Whether the hit counts cannot be decided; the record, of so many bytes, says why.
    Undecided(usize),
}

/// Runs a program, which leaves its record in `out`.
///
/// Allocates nothing, locks nothing, does not recurse and cannot panic, whatever the program, the memory and `out`
/// hold; does at most [`FUEL`] and needs less than 4 KiB of stack.
pub fn run(program: &Program, machine: &mut impl Machine, out: &mut [u8]) -> Ran {
    let size = out.len().min(program.record_limit());
    let Some(writer) = out
        .get_mut(..size)
        .and_then(|out| Writer::new(out, program.expressions()))
    else {
        return Ran::Recorded(0);
    };
    let mut run = Run {
        program,
        machine,
        writer,
        slots: [0; SLOTS],
        valid: 0,
        views: [Span::default(); VIEWS],
        loops: [Turns::default(); LOOPS],
        depth: 0,
        window: [0; WINDOW],
        window_at: 0,
        window_size: 0,
        expression: 0,
        end: 0,
        fuel: FUEL,
        reserve: 0,
        fault: None,
        hits: 0,
        deciding: false,
        ended: None,
    };
    run.prefetch();
    run.all();
    let used = run.writer.used();
    match run.ended {
        None => Ran::Recorded(used),
        Some(Ended::Passed) => Ran::Passed,
        Some(Ended::Undecided) => Ran::Undecided(used),
    }
}

/// How the condition ended the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Passed,
    Undecided,
}

/// A view's bytes within the record.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    size: u32,
}

/// A loop that is under way.
#[derive(Clone, Copy, Default)]
struct Turns {
    start: u16,
    end: u16,
    index: u8,
    left: u32,
}

/// What follows an operation.
enum Then {
    Next,
    Jump(u16),
    /// The expression is over, for lack of room or fuel.
    Cut,
    /// The expression is over: its entry says why.
    Over,
}

struct Run<'a, M> {
    program: &'a Program,
    machine: &'a mut M,
    writer: Writer<'a>,
    slots: [u64; SLOTS],
    /// One bit per slot.
    valid: u64,
    views: [Span; VIEWS],
    loops: [Turns; LOOPS],
    depth: usize,
    window: [u8; WINDOW],
    window_at: u64,
    window_size: usize,
    expression: u8,
    /// Where the expression ends.
    end: u16,
    fuel: u32,
    /// Fuel that is kept for later expressions.
    reserve: u32,
    /// The last address that a number could not be loaded from.
    fault: Option<u64>,
    /// The number of the hit, once it is counted.
    hits: u64,
    /// Whether the condition is under way.
    deciding: bool,
    ended: Option<Ended>,
}

impl<M: Machine> Run<'_, M> {
    fn prefetch(&mut self) {
        let Some(Prefetch {
            register,
            offset,
            size,
        }) = self.program.prefetch()
        else {
            return;
        };
        let Some(base) = self.general(register) else {
            return;
        };
        self.window_at = base.wrapping_add_signed(offset);
        if let Some(window) = self.window.get_mut(..usize::from(size)) {
            self.window_size = self.machine.read(self.window_at, window).min(window.len());
        }
    }

    fn all(&mut self) {
        let program = self.program;
        let ops = program.ops();
        let mut at: u16 = 0;
        while let Some(op) = ops.get(usize::from(at)) {
            let next = at.saturating_add(1);
            let then = if self.spend(1) {
                self.step(op, next)
            } else {
                Then::Cut
            };
            at = match then {
                Then::Next => next,
                // A program that goes backwards would not pass the check; it must not hang this loop either.
                Then::Jump(to) => to.max(next),
                Then::Cut => {
                    self.writer.cut(self.expression);
                    self.leave().max(next)
                }
                Then::Over => self.leave().max(next),
            };
            if self.ended.is_some() {
                return;
            }
            at = self.turn(at);
        }
    }

    fn leave(&mut self) -> u16 {
        self.depth = 0;
        // An expression that ends early leaves the others; a condition does not.
        if self.deciding && self.ended.is_none() {
            self.ended = Some(Ended::Undecided);
        }
        self.end
    }

    /// Goes back to the start of a loop whose end is reached.
    fn turn(&mut self, at: u16) -> u16 {
        while let Some(inner) = self.depth.checked_sub(1) {
            let Some(turns) = self.loops.get_mut(inner) else {
                return at;
            };
            if at < turns.end {
                return at;
            }
            turns.left = turns.left.saturating_sub(1);
            if turns.left > 0 {
                let (start, index) = (turns.start, Slot(turns.index));
                let value = self.slot(index).map(|index| index.wrapping_add(1));
                self.put(index, value);
                return start;
            }
            self.depth = inner;
        }
        at
    }

    fn step(&mut self, op: &Op, next: u16) -> Then {
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
                stride,
            } => return self.slice((to, count), base, length, (start, end), stride),
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

    fn spend(&mut self, cost: u32) -> bool {
        match self.fuel.checked_sub(cost) {
            Some(left) if left >= self.reserve => {
                self.fuel = left;
                true
            }
            // Whatever it was that could not be paid for, the expression ends at its next operation.
            _ => {
                self.fuel = self.fuel.min(self.reserve);
                false
            }
        }
    }

    fn slot(&self, Slot(slot): Slot) -> Option<u64> {
        let bit = 1u64.checked_shl(u32::from(slot))?;
        if self.valid & bit == 0 {
            return None;
        }
        self.slots.get(usize::from(slot)).copied()
    }

    fn put(&mut self, Slot(slot): Slot, value: Option<u64>) {
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

    fn put_view(&mut self, View(view): View, span: Span) {
        if let Some(place) = self.views.get_mut(usize::from(view)) {
            *place = span;
        }
    }

    fn span(&self, View(view): View) -> Span {
        self.views
            .get(usize::from(view))
            .copied()
            .unwrap_or_default()
    }

    fn pseudo(&self, at: u32) -> u64 {
        pseudo(self.expression).wrapping_add(u64::from(at))
    }

    fn general(&mut self, register: u8) -> Option<u64> {
        let bytes = self.machine.register(Register::General(register))?;
        bytes.first_chunk().map(|low| u64::from_le_bytes(*low))
    }

    fn require(&mut self, slot: Slot) -> Then {
        if self.slot(slot).is_some() {
            return Then::Next;
        }
        match self.fault {
            Some(address) => self
                .writer
                .set(self.expression, Code::Unreadable, address, 0),
            None => self.writer.set(self.expression, Code::Incomputable, 0, 0),
        }
        Then::Over
    }

    /// Whether a number is in the ranges, or, `negated`, in none of them; `None` where the fuel is used up. An invalid
    /// number selects nothing, not even what is left over.
    fn is_within(&mut self, slot: Slot, ranges: Part, negated: bool) -> Option<bool> {
        let ranges = self.program.ranges(ranges);
        if !self.spend(u32::try_from(ranges.len()).unwrap_or(u32::MAX)) {
            return None;
        }
        let within = |value: u64| {
            let mut ranges = ranges.iter();
            ranges.any(|(first, last)| (*first..=*last).contains(&value)) != negated
        };
        Some(self.slot(slot).is_some_and(within))
    }

    fn slice(
        &mut self,
        (to, count): (Slot, Slot),
        base: Slot,
        length: Slot,
        (start, end): (Slot, Slot),
        stride: u64,
    ) -> Then {
        let (Some(first), Some(last)) = (self.slot(start), self.slot(end)) else {
            return self.require(start);
        };
        let Some(available) = self.slot(length) else {
            return self.require(length);
        };
        let code = if !sensible(available, stride) {
            Code::InvalidLength
        } else if last > available || first > last {
            Code::OutOfBounds
        } else {
            let distance = first.checked_mul(stride);
            let address = self
                .slot(base)
                .zip(distance)
                .and_then(|(base, distance)| base.checked_add(distance));
            self.put(to, address);
            self.put(count, last.checked_sub(first));
            return self.require(to);
        };
        let wrong = if last > available { last } else { first };
        self.writer.set(self.expression, code, wrong, available);
        Then::Over
    }

    fn bounds(
        &mut self,
        index: Slot,
        length: Slot,
        signed: bool,
        stride: u64,
        optional: bool,
    ) -> Then {
        let Some(at) = self.slot(index) else {
            return self.require(index);
        };
        let Some(count) = self.slot(length) else {
            return self.require(length);
        };
        let code = if !sensible(count, stride) {
            Code::InvalidLength
        } else if at >= count && optional {
            Code::Nothing
        } else if signed && at.cast_signed() < 0 {
            Code::Negative
        } else if at >= count {
            Code::OutOfBounds
        } else {
            return Then::Next;
        };
        self.writer.set(self.expression, code, at, count);
        Then::Over
    }

    fn load(&mut self, address: u64, size: u8) -> Option<u64> {
        let mut bytes = [0; 8];
        let wanted = bytes.get_mut(..usize::from(size))?;
        let length = wanted.len();
        self.fault = None;
        if !self.spend(READ_COST) {
            return None;
        }
        let window = Window {
            bytes: self.window.get(..self.window_size)?,
            at: self.window_at,
        };
        if read(&window, self.machine, address, wanted) < length {
            self.fault = Some(address);
            return None;
        }
        Some(u64::from_le_bytes(bytes))
    }

    fn load_captured(&self, from: View, offset: u32, size: u8) -> Option<u64> {
        let span = self.span(from);
        let end = offset.checked_add(u32::from(size))?;
        if end > span.size {
            return None;
        }
        number(
            self.writer
                .bytes(span.start.checked_add(offset)?, usize::from(size))?,
            size,
        )
    }

    fn element(&self, from: View, offset: u32, index: Slot, stride: u32) -> Span {
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

    fn capture_before(
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

    fn element_before(&self, from: View, index: Slot, stride: u32) -> Span {
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

    fn split(&self, head: Slot, length: Slot, capacity: Slot) -> Option<(u64, u64)> {
        let (head, length, capacity) = (self.slot(head)?, self.slot(length)?, self.slot(capacity)?);
        if length > capacity {
            return None;
        }
        let first = capacity.checked_sub(head)?.min(length);
        Some((first, length.checked_sub(first)?))
    }

    fn next_node(&mut self, node: Slot, height: Slot, layout: Node) -> Option<(u64, u64)> {
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

    /// A number of 1 to 8 bytes that was captured.
    fn captured_number(&mut self, base: u64, offset: u32, size: u8) -> Option<u64> {
        let address = base.checked_add(u64::from(offset))?;
        let start = self.recorded(address, u32::from(size))?;
        number(self.writer.bytes(start, usize::from(size))?, size)
    }

    /// Where in the record memory is that was captured before, all of it in one block.
    fn recorded(&mut self, address: u64, size: u32) -> Option<u32> {
        if !self.spend(READ_COST) {
            return None;
        }
        self.writer.find(address, size)
    }

    /// Captures memory from `source` as a block at `address`. Where there is no address there is nothing to capture.
    fn capture(
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

    fn piece(&mut self, at: u32, bytes: &[u8], skip: u8, size: u8) -> Then {
        let start = usize::from(skip);
        match bytes.get(start..start.saturating_add(usize::from(size))) {
            Some(bytes) => self.block(self.pseudo(at), bytes),
            None => Then::Next,
        }
    }

    fn block(&mut self, address: u64, bytes: &[u8]) -> Then {
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

    fn formula(&mut self, terms: Part) -> Option<u64> {
        let terms = self.program.terms(terms);
        self.fault = None;
        if !self.spend(u32::try_from(terms.len()).unwrap_or(u32::MAX)) {
            return None;
        }
        let mut stack = Stack::default();
        for term in terms {
            match *term {
                Term::Constant(value) => stack.push(value)?,
                Term::Register(register, offset) => {
                    let value = self.general(register)?;
                    stack.push(value.wrapping_add_signed(offset))?;
                }
                Term::Load(size) => {
                    let address = stack.pop()?;
                    let value = self.load(address, size)?;
                    stack.push(value)?;
                }
                Term::Unary(operator) => {
                    let value = stack.pop()?;
                    stack.push(unary(operator, value))?;
                }
                Term::Binary(operator) => {
                    let right = stack.pop()?;
                    let left = stack.pop()?;
                    stack.push(binary(operator, left, right)?)?;
                }
                Term::Pick(below) => {
                    let value = stack.pick(usize::from(below))?;
                    stack.push(value)?;
                }
                Term::Drop => {
                    stack.pop()?;
                }
                Term::Swap => {
                    let top = stack.pop()?;
                    let next = stack.pop()?;
                    stack.push(top)?;
                    stack.push(next)?;
                }
            }
        }
        stack.pop()
    }
}

/// Whether `count` elements of `stride` bytes can exist: Rust allows no object above `isize::MAX` bytes.
fn sensible(count: u64, stride: u64) -> bool {
    count
        .checked_mul(stride)
        .is_some_and(|bytes| bytes <= i64::MAX.cast_unsigned())
}

/// Memory that was read beforehand.
struct Window<'a> {
    bytes: &'a [u8],
    at: u64,
}

/// Reads memory, from the window where it covers everything.
fn read(window: &Window<'_>, machine: &mut impl Machine, address: u64, out: &mut [u8]) -> usize {
    let offset = address
        .checked_sub(window.at)
        .and_then(|offset| usize::try_from(offset).ok());
    let found = offset.and_then(|start| window.bytes.get(start..start.checked_add(out.len())?));
    match found {
        Some(bytes) => {
            copy(bytes, out);
            out.len()
        }
        None => machine.read(address, out).min(out.len()),
    }
}

/// As `copy_from_slice`, without its panic.
fn copy(from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// The first `size` bytes as a number; `None` where there are fewer, or more than 8.
fn number(bytes: &[u8], size: u8) -> Option<u64> {
    let mut value = [0; 8];
    let wanted = value.get_mut(..usize::from(size))?;
    copy(bytes.get(..wanted.len())?, wanted);
    Some(u64::from_le_bytes(value))
}
