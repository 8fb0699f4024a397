//! Which bytes of a function's stack hold, at one address, the values that the debug information places there.
//!
//! LLVM describes a variable whose address is taken as a place on the stack for its whole scope, and then moves and
//! removes stores to that place like all others: an accumulator lives in a register throughout its loop and is stored
//! behind it, a value that only a message of an error shows is stored on the way to the error. In between the place
//! holds something else. What can be relied on is what the optimizer itself relies on:
//!
//! 1. The function is decoded, and each instruction that uses its frame becomes an event: a read or write of bytes, a
//!    call that is passed an address, an address that is stored somewhere. Addresses count from the canonical frame
//!    address; registers that hold one are followed from the function's entry on.
//! 2. *Written*: on every path from the entry to the address, the bytes were written, or a call had their address.
//! 3. *Needed*: on some path from the address, the bytes are read, or a call has their address, before they are
//!    written. A store that was moved from before the address to behind it comes first on each such path; of a store
//!    that was removed nothing is read. Only what is needed must be there already.
//! 4. Bytes that are both are shown. Losing a value that nobody reads any more is the price.
//!
//! This is for variables with one place in their whole scope. A list of places comes from LLVM's record of the value
//! itself, which stays right when stores move.
//!
//! Places are shared: where the scope of a variable ends, another variable's begins. So step 3 ends with the scope.
//! A call may read what it was not passed, if the address was stored somewhere before; as LLVM does, this only counts
//! an address that was stored, not one that an earlier call was passed (most parameters are known to be not kept).

use std::ops::Range;

use super::code::{Bytes, Code, Event, Kind, Object};
use super::flow::Flow;

/// What is known at one point of every path to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Past {
    written: Bytes,
    kept: bool,
}

/// The runs of bytes of an object in the frame that hold its value at the code's address, as offsets in it.
pub fn valid(code: &Code, object: &Object<'_>) -> Vec<Range<u64>> {
    let view = View::new(code, object);
    let past = view.past();
    let Some(written) = past.get(code.here).and_then(|past| *past) else {
        return Vec::new();
    };
    let needed = view.needed(&past);
    let needed = needed.get(code.here).map_or(0, |needed| needed.0);
    object.runs(Bytes(written.written.0 & needed))
}

/// A function's blocks as one object sees them.
struct View<'a> {
    flow: &'a Flow,
    object: &'a Object<'a>,
    blocks: Vec<Block>,
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
    fn new(code: &'a Code, object: &'a Object<'a>) -> Self {
        let all = code.events.iter().flatten();
        let mut kinds = all.map(|event| event.kind);
        let is_kept = kinds.any(|kind| matches!(kind, Kind::Keep(at) if object.contains(at)));
        let concerns = |event: &&Event| match event.kind {
            Kind::Read(at, size) | Kind::Write(at, size) => object.touched(at, size).0 != 0,
            Kind::ReadIn(at) | Kind::Keep(at) | Kind::Pass(at) => object.contains(at),
            Kind::WriteIn(_) | Kind::Set(..) | Kind::Return => false,
            Kind::Call => is_kept,
        };
        let block = |(index, events): (usize, &Vec<Event>)| {
            let range = code.flow.range(index).unwrap_or_default();
            Block {
                events: events.iter().filter(concerns).copied().collect(),
                inside: object.inside(&range),
                range,
            }
        };
        Self {
            flow: &code.flow,
            object,
            blocks: code.events.iter().enumerate().map(block).collect(),
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
            let end = block.pass(self.object, now, |_, _| {});
            queue.extend(self.flow.successors(index).map(|next| (next, end)));
        }
        past
    }

    /// What some path from the start of each block reads before it writes it.
    fn needed(&self, past: &[Option<Past>]) -> Vec<Bytes> {
        let mut needed = vec![Bytes(0); self.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (index, block) in self.blocks.iter().enumerate().rev() {
                let Some(past) = past.get(index).copied().flatten() else {
                    continue;
                };
                let after = self.flow.successors(index);
                let after = after.filter_map(|next| needed.get(next));
                let after = after.fold(0, |all, next| all | next.0);
                let now = block.needed(self.object, past, Bytes(after));
                if let Some(before) = needed.get_mut(index)
                    && *before != now
                {
                    *before = now;
                    changed = true;
                }
            }
        }
        needed
    }
}

impl Block {
    /// Goes through the block. `each` sees what holds before each event.
    fn pass(
        &self,
        object: &Object<'_>,
        mut past: Past,
        mut each: impl FnMut(&Event, Past),
    ) -> Past {
        past.kept &= self.inside.start == self.range.start;
        for event in &self.events {
            past.kept &= event.address < self.inside.end;
            each(event, past);
            match event.kind {
                Kind::Write(at, size) => past.written.0 |= object.covered(at, size).0,
                Kind::Pass(_) => past.written = object.all(),
                Kind::Call if past.kept => past.written = object.all(),
                Kind::Keep(_) => past.kept = self.inside.contains(&event.address),
                Kind::Call
                | Kind::Read(..)
                | Kind::ReadIn(_)
                | Kind::WriteIn(_)
                | Kind::Set(..)
                | Kind::Return => {}
            }
        }
        past.kept &= self.inside.end == self.range.end;
        past
    }

    /// What is needed at the block's start, where `after` is at its end.
    fn needed(&self, object: &Object<'_>, past: Past, after: Bytes) -> Bytes {
        let mut kept = Vec::new();
        self.pass(object, past, |_, past| kept.push(past.kept));
        let mut now = if self.inside.end == self.range.end {
            after.0
        } else {
            0
        };
        let events = self.events.iter().zip(kept).rev();
        for (event, kept) in events.filter(|(event, _)| self.inside.contains(&event.address)) {
            match event.kind {
                Kind::Write(at, size) => now &= !object.touched(at, size).0,
                Kind::Read(at, size) => now |= object.touched(at, size).0,
                Kind::ReadIn(_) | Kind::Pass(_) => now = object.all().0,
                Kind::Call if kept => now = object.all().0,
                Kind::Call | Kind::Keep(_) | Kind::WriteIn(_) | Kind::Set(..) | Kind::Return => {}
            }
        }
        if self.inside.start == self.range.start {
            Bytes(now)
        } else {
            Bytes(0)
        }
    }
}
