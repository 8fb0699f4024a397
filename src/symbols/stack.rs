//! Which bytes of memory hold, at one address, the values that the debug information places there.
//!
//! LLVM describes a variable whose address is taken as a place on the stack for its whole scope, and then moves and
//! removes stores to that place like all others: an accumulator lives in a register throughout its loop and is stored
//! behind it, a value that only a message of an error shows is stored on the way to the error. In between the place
//! holds something else. The same happens to the state of a coroutine, where rustc puts the locals that live across an
//! `await`. What can be relied on is what the optimizer itself relies on:
//!
//! 1. The function is decoded, and each instruction that uses the memory becomes an event: see [`trace`](super::trace).
//! 2. *Written*: on every path from the entry to the address, the bytes were written, or a call had their address. This
//!    is asked of the stack only; a coroutine's state was there before.
//! 3. *Needed*: on some path from the address, the bytes are read, or a call has their address, before they are
//!    written. A store that was moved from before the address to behind it comes first on each such path; of a store
//!    that was removed nothing is read. Only what is needed must be there already.
//! 4. A coroutine that returns with a state in which a variable is saved needs it too. What it stores as its state decides
//!    about all that comes after: see [`Coroutine`].
//! 5. Bytes that are both are shown. Losing a value that nobody reads any more is the price.
//!
//! This is for variables with one place in their whole scope. A list of places comes from LLVM's record of the value
//! itself, which stays right when stores move.
//!
//! Places are shared: where the scope of a variable ends, another variable's begins. So step 3 ends with the scope.
//! A call may read what it was not passed, if the address was stored somewhere before; as LLVM does, this only counts
//! an address that was stored, not one that an earlier call was passed (most parameters are known to be not kept).
//! A function that returns its result in memory is passed where that goes as its first argument: it writes there.

use std::collections::BTreeSet;
use std::ops::Range;

use super::flow::Flow;
use super::trace::{Base, Event, Kind, Point, Trace, Value};

/// Bytes that belong together, with the addresses where they do.
pub struct Object<'s> {
    /// What the first byte's address is counted from.
    pub base: Base,
    /// The first byte.
    pub start: i64,
    /// How many, at least one.
    pub size: u64,
    /// The code of the scope.
    pub scope: &'s [Range<u64>],
    /// Whose saved local it is.
    pub coroutine: Option<Coroutine<'s>>,
}

/// The coroutine that an object is a part of.
#[derive(Clone, Copy)]
pub struct Coroutine<'s> {
    /// Where its state is kept, from the object's base.
    pub state: i64,
    /// The states in which the object is saved.
    pub saved: &'s BTreeSet<u64>,
    /// Whether the bytes are another object's at times: then what reads them may mean that.
    pub shared: bool,
}

/// Whether a function returns its result in memory, by its address; `None` where that is not known.
pub type ReturnsInMemory<'a> = &'a dyn Fn(u64) -> Option<bool>;

/// One bit for each byte of an object, or for each few of a large one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes(u128);

/// What is known at one point of every path to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Past {
    written: Bytes,
    kept: bool,
}

/// What comes on some path from one point.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Future {
    /// Read before they are written.
    needed: Bytes,
    /// Not written before the function returns, with a state that was stored before.
    returned: Bytes,
    /// As `returned`, where the state that is stored is what a register holds at the start of a block.
    suspended: Option<(usize, u8, Bytes)>,
}

/// The runs of bytes of an object that hold its value at a point, as offsets in it.
pub fn valid(
    trace: &Trace,
    at: Point,
    object: &Object<'_>,
    in_memory: ReturnsInMemory<'_>,
) -> Vec<Range<u64>> {
    let view = View::new(trace, object, in_memory);
    let past = view.past();
    let (Some(Some(before)), Some(block)) = (past.get(at.block), view.blocks.get(at.block)) else {
        return Vec::new();
    };
    let after = view.after(at.block, &view.futures(&past));
    let needed = view.future(block, *before, after, at.address).needed;
    let written = if object.is_on_stack() {
        block.pass(object, *before, at.address, |_, _| {}).written
    } else {
        object.all()
    };
    object.runs(Bytes(written.0 & needed.0))
}

/// A function's blocks as one object sees them.
struct View<'a> {
    trace: &'a Trace,
    flow: &'a Flow,
    object: &'a Object<'a>,
    in_memory: ReturnsInMemory<'a>,
    blocks: Vec<Block>,
    /// Bases that may point into the object.
    mixed: BTreeSet<Base>,
}

#[derive(Default)]
struct Block {
    /// Those that concern the object.
    events: Vec<Event>,
    range: Range<u64>,
    /// The part in the object's scope.
    inside: Range<u64>,
}

impl<'a> View<'a> {
    fn new(trace: &'a Trace, object: &'a Object<'a>, in_memory: ReturnsInMemory<'a>) -> Self {
        let flow = trace.flow();
        let mut kinds = (0..flow.len()).flat_map(|block| trace.events(block));
        let is_kept =
            kinds.any(|event| matches!(event.kind, Kind::Keep(at) if object.contains(at)));
        let mixed = if object.is_on_stack() {
            BTreeSet::new()
        } else {
            trace.mixed(object.base)
        };
        let concerns = |event: &&Event| match event.kind {
            Kind::Write { to, .. } if mixed.contains(&to.base) => true,
            Kind::Write { to, .. } if object.is_state(to) => true,
            Kind::Read(at, size) | Kind::Write { to: at, size, .. } => {
                object.touched(at, size).0 != 0
            }
            Kind::ReadIn(at) | Kind::Keep(at) | Kind::Pass { value: at, .. } => object.contains(at),
            Kind::Call => is_kept,
            Kind::Return => !object.is_on_stack(),
        };
        let block = |index| {
            let range = flow.range(index).unwrap_or_default();
            Block {
                events: trace
                    .events(index)
                    .iter()
                    .filter(concerns)
                    .copied()
                    .collect(),
                inside: object.inside(&range),
                range,
            }
        };
        let blocks = (0..flow.len()).map(block).collect();
        Self {
            trace,
            flow,
            object,
            in_memory,
            blocks,
            mixed,
        }
    }

    /// What every path to the start of each block has done; `None` where none leads.
    fn past(&self) -> Vec<Option<Past>> {
        let mut past: Vec<Option<Past>> = vec![None; self.blocks.len()];
        let nothing = Past {
            written: Bytes(0),
            kept: false,
        };
        let mut queue = vec![(self.flow.entry(), nothing)];
        while let Some((index, from)) = queue.pop() {
            let (Some(known), Some(block)) = (past.get_mut(index), self.blocks.get(index)) else {
                continue;
            };
            let now = match *known {
                Some(before) => Past {
                    written: Bytes(before.written.0 & from.written.0),
                    kept: before.kept && from.kept,
                },
                None => from,
            };
            if *known == Some(now) {
                continue;
            }
            *known = Some(now);
            let end = block.pass(self.object, now, u64::MAX, |_, _| {});
            queue.extend(self.flow.successors(index).map(|next| (next, end)));
        }
        past
    }

    /// What comes on some path from the start of each block.
    fn futures(&self, past: &[Option<Past>]) -> Vec<Future> {
        let mut futures = vec![Future::default(); self.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (index, block) in self.blocks.iter().enumerate().rev() {
                let Some(past) = past.get(index).copied().flatten() else {
                    continue;
                };
                let now = self.future(block, past, self.after(index, &futures), block.range.start);
                if let Some(before) = futures.get_mut(index)
                    && *before != now
                {
                    *before = now;
                    changed = true;
                }
            }
        }
        futures
    }

    /// What comes on some path from the end of a block.
    fn after(&self, index: usize, futures: &[Future]) -> Future {
        let mut all = Future::default();
        for next in self.flow.successors(index) {
            let Some(future) = futures.get(next) else {
                continue;
            };
            all.needed.0 |= future.needed.0;
            all.returned.0 |= future.returned.0;
            let Some((block, register, bytes)) = future.suspended else {
                continue;
            };
            if block != next {
                all.suspended = all.suspended.or(future.suspended);
                continue;
            }
            match self.trace.at_end(index, register) {
                Some(Value {
                    base: Base::Zero,
                    offset,
                }) => {
                    let saved = self.object.is_saved(offset);
                    all.needed.0 |= if saved { bytes.0 } else { 0 };
                }
                Some(Value {
                    base: Base::Joined(block, register),
                    offset: 0,
                }) => {
                    all.suspended = all.suspended.or(Some((block, register, bytes)));
                }
                _ => {}
            }
        }
        all
    }

    /// What comes on some path from an address in a block, where `past` holds at its start, `after` at its end.
    fn future(&self, block: &Block, past: Past, after: Future, from: u64) -> Future {
        let object = self.object;
        let mut kept = Vec::new();
        block.pass(object, past, u64::MAX, |_, past| kept.push(past.kept));
        let mut now = if block.inside.end == block.range.end {
            after
        } else {
            Future::default()
        };
        let inside = |event: &Event| event.address >= from && block.inside.contains(&event.address);
        for (event, kept) in block
            .events
            .iter()
            .zip(kept)
            .rev()
            .filter(|(event, _)| inside(event))
        {
            match event.kind {
                Kind::Write { to, stored, .. } if object.is_state(to) => now.stored(object, stored),
                Kind::Write { to, .. } if self.mixed.contains(&to.base) => now = Future::default(),
                Kind::Write { to, size, .. } => now.without(object.touched(to, size)),
                Kind::Pass {
                    first: true,
                    callee,
                    ..
                } => match callee.and_then(|callee| (self.in_memory)(callee)) {
                    Some(false) => now.read(object, object.all()),
                    None if object.is_on_stack() => now.read(object, object.all()),
                    Some(true) | None => now = Future::default(),
                },
                Kind::Read(at, size) => now.read(object, object.touched(at, size)),
                Kind::ReadIn(_) | Kind::Pass { .. } => now.read(object, object.all()),
                Kind::Call if kept => now.needed = object.all(),
                // Of a frame nothing is left then.
                Kind::Return if object.is_on_stack() => {}
                Kind::Return if object.coroutine.is_some() => now.returned = object.all(),
                Kind::Return => now.needed = object.all(),
                Kind::Call | Kind::Keep(_) => {}
            }
        }
        if block.inside.start <= from {
            now
        } else {
            Future::default()
        }
    }
}

impl Future {
    /// What comes before a read of some bytes.
    fn read(&mut self, object: &Object<'_>, bytes: Bytes) {
        if !object.coroutine.is_some_and(|coroutine| coroutine.shared) {
            self.needed.0 |= bytes.0;
        }
    }

    /// What comes before a write of some bytes.
    fn without(&mut self, bytes: Bytes) {
        self.needed.0 &= !bytes.0;
        self.returned.0 &= !bytes.0;
        if let Some((_, _, suspended)) = &mut self.suspended {
            suspended.0 &= !bytes.0;
        }
    }

    /// What comes before the coroutine's state is stored.
    fn stored(&mut self, object: &Object<'_>, state: Option<Value>) {
        let now = *self;
        *self = Self::default();
        match state {
            Some(Value {
                base: Base::Zero,
                offset,
            }) if object.is_saved(offset) => {
                self.needed.0 = now.needed.0 | now.returned.0;
            }
            Some(Value {
                base: Base::Joined(block, register),
                offset: 0,
            }) => {
                self.suspended = Some((block, register, now.returned));
            }
            _ => {}
        }
    }
}

impl Block {
    /// Goes through the block up to an address. `each` sees what holds before each event.
    fn pass(
        &self,
        object: &Object<'_>,
        mut past: Past,
        to: u64,
        mut each: impl FnMut(&Event, Past),
    ) -> Past {
        past.kept &= self.inside.start == self.range.start;
        for event in self.events.iter().filter(|event| event.address < to) {
            past.kept &= event.address < self.inside.end;
            each(event, past);
            match event.kind {
                Kind::Write { to, size, .. } => past.written.0 |= object.covered(to, size).0,
                Kind::Pass { .. } => past.written = object.all(),
                Kind::Call if past.kept => past.written = object.all(),
                Kind::Keep(_) => past.kept = self.inside.contains(&event.address),
                Kind::Call | Kind::Read(..) | Kind::ReadIn(_) | Kind::Return => {}
            }
        }
        past.kept &= self.inside.end == self.range.end;
        past
    }
}

impl Object<'_> {
    /// The part of a block that is in the scope, from its first to its last instruction there; empty, at 0, if none is.
    fn inside(&self, block: &Range<u64>) -> Range<u64> {
        let parts = self.scope.iter().map(|range| {
            let start = range.start.max(block.start);
            start..range.end.min(block.end)
        });
        parts
            .filter(|part| part.start < part.end)
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
            .unwrap_or_default()
    }

    fn is_on_stack(&self) -> bool {
        self.base == Base::Frame
    }

    fn contains(&self, at: Value) -> bool {
        at.base == self.base
            && at
                .offset
                .checked_sub(self.start)
                .and_then(|offset| u64::try_from(offset).ok())
                .is_some_and(|offset| offset < self.size)
    }

    /// Whether the coroutine's state is at an address.
    fn is_state(&self, at: Value) -> bool {
        let here = |coroutine: Coroutine<'_>| at.base == self.base && at.offset == coroutine.state;
        self.coroutine.is_some_and(here)
    }

    /// Whether the object is saved in a state.
    fn is_saved(&self, state: i64) -> bool {
        let state = u64::try_from(state);
        self.coroutine
            .zip(state.ok())
            .is_some_and(|(coroutine, state)| coroutine.saved.contains(&state))
    }

    /// How many bytes a bit stands for.
    fn unit(&self) -> u64 {
        self.size.div_ceil(u128::BITS.into()).max(1)
    }

    fn all(&self) -> Bytes {
        bits(0, self.size.div_ceil(self.unit()))
    }

    /// The part of some bytes that is in the object, as offsets.
    fn part(&self, at: Value, size: u64) -> Range<u64> {
        if at.base != self.base {
            return 0..0;
        }
        let clamp = |offset: i128| offset.clamp(0, self.size.into()) as u64;
        let start = i128::from(at.offset) - i128::from(self.start);
        clamp(start)..clamp(start + i128::from(size))
    }

    /// The bits whose bytes are all among some.
    fn covered(&self, at: Value, size: u64) -> Bytes {
        let part = self.part(at, size);
        let last = if part.end == self.size {
            part.end.div_ceil(self.unit())
        } else {
            part.end / self.unit()
        };
        bits(part.start.div_ceil(self.unit()), last)
    }

    /// The bits that have any of some bytes.
    fn touched(&self, at: Value, size: u64) -> Bytes {
        let part = self.part(at, size);
        if part.is_empty() {
            return Bytes(0);
        }
        bits(part.start / self.unit(), part.end.div_ceil(self.unit()))
    }

    fn runs(&self, bytes: Bytes) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let units = self.size.div_ceil(self.unit());
        for unit in (0..units).filter(|&unit| bytes.0 >> unit & 1 == 1) {
            let (start, end) = (unit * self.unit(), (unit + 1) * self.unit());
            let end = end.min(self.size);
            match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            }
        }
        runs
    }
}

/// The bits from one to before another.
fn bits(start: u64, end: u64) -> Bytes {
    let below = |bit: u64| match u32::try_from(bit) {
        Ok(bit) if bit < u128::BITS => (1u128 << bit) - 1,
        _ => u128::MAX,
    };
    Bytes(below(end) & !below(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64) -> Object<'static> {
        Object {
            base: Base::Frame,
            start: -40,
            size,
            scope: &[],
            coroutine: None,
        }
    }

    fn frame(offset: i64) -> Value {
        Value {
            base: Base::Frame,
            offset,
        }
    }

    fn bounds(runs: Vec<Range<u64>>) -> Vec<(u64, u64)> {
        runs.into_iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn a_write_covers_whole_units_and_a_read_touches_parts() {
        let small = object(24);
        assert_eq!(bounds(small.runs(small.covered(frame(-40), 24))), [(0, 24)]);
        assert_eq!(
            bounds(small.runs(small.covered(frame(-32), 100))),
            [(8, 24)]
        );
        assert_eq!(bounds(small.runs(small.covered(frame(-64), 25))), [(0, 1)]);
        assert!(small.runs(small.covered(frame(-64), 24)).is_empty());
        assert!(small.runs(small.touched(frame(-16), 8)).is_empty());
        let large = object(1000);
        assert_eq!(large.unit(), 8);
        assert_eq!(bounds(large.runs(large.covered(frame(-39), 16))), [(8, 16)]);
        assert_eq!(bounds(large.runs(large.touched(frame(-39), 16))), [(0, 24)]);
        assert_eq!(bounds(large.runs(large.all())), [(0, 1000)]);
        assert_eq!(bounds(object(1001).runs(object(1001).all())), [(0, 1001)]);
    }
}
