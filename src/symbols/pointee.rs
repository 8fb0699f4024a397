//! Whether memory behind a pointer that a function was passed holds, at one address, what the source says.
//!
//! The optimizer moves and removes stores; what it may not change is what the function's caller finds in the end.
//! With the writes of the bytes that the code shows, and the lines that the line table gives them:
//!
//! 1. No write that can follow within the variable's scope is of the same line or an earlier one, or of none: it may
//!    have been moved from before the address to behind it.
//! 2. No write that can have come before is of a later line, or of none: it may be ahead of its time.
//! 3. In a loop, no write behind it has a line of the loop: the value is kept in a register until then.
//! 4. Some way on leads to a read before any write: else a store that nobody needs was removed, or the value is gone,
//!    and others use its bytes. That the caller may find it does not count: it does not ask for a value that is gone.
//!
//! Losing a value that changes in the loop around the address, or is next read when the caller calls again, is the price.

use super::code::{Code, Event, Kind, Object};
use super::flow::Flow;

/// The line of an instruction in the variable's function, calls that were inlined into it by the line of the call;
/// `None` outside of the function, 0 where the line is not known.
pub trait LineOf {
    /// See the trait.
    fn line_of(&self, address: u64) -> Option<u64>;
}

/// Whether all bytes of an object hold its value at the code's address.
pub fn holds(code: &Code, object: &Object<'_>, lines: &impl LineOf) -> bool {
    let here = code.flow.range(code.here).map_or(0, |range| range.start);
    let Some(line) = lines.line_of(here).filter(|line| *line != 0) else {
        return false;
    };
    let view = View {
        code,
        object,
        lines,
        line,
        predecessors: predecessors(&code.flow),
    };
    view.none_follows_late()
        && view.none_came_early()
        && view.none_leaves_loop()
        && view.is_needed()
}

/// One object, as seen from the code's address.
struct View<'a, L> {
    code: &'a Code,
    object: &'a Object<'a>,
    lines: &'a L,
    /// The address's.
    line: u64,
    predecessors: Vec<Vec<usize>>,
}

impl<L: LineOf> View<'_, L> {
    /// Rule 1.
    fn none_follows_late(&self) -> bool {
        let follows = self.following(|block| self.in_scope(block));
        // The address starts its block, so all of that follows.
        let mut blocks = self
            .blocks()
            .filter(|&block| is(&follows, block) || block == self.code.here);
        let late = |at: Option<u64>| at.is_none_or(|at| at <= self.line);
        !blocks.any(|block| self.writes(block).any(late))
    }

    /// Rule 2. What the function's caller wrote, or another call, is no matter of this one's lines.
    fn none_came_early(&self) -> bool {
        let precedes = self.preceding(|block| self.in_scope(block));
        let mut blocks = self.blocks().filter(|&block| is(&precedes, block));
        let early = |at: Option<u64>| at.is_some_and(|at| at > self.line || at == 0);
        !blocks.any(|block| self.writes(block).any(early))
    }

    /// Rule 3.
    fn none_leaves_loop(&self) -> bool {
        let forward = self.following(|_| true);
        let backward = self.preceding(|_| true);
        let looped = |block: &usize| is(&forward, *block) && is(&backward, *block);
        let ranges = self
            .blocks()
            .filter(looped)
            .filter_map(|block| self.code.flow.range(block));
        let lines = ranges.filter_map(|range| self.lines.line_of(range.start));
        let span = lines
            .filter(|line| *line != 0)
            .fold(None, |span: Option<(u64, u64)>, line| {
                let (low, high) = span.unwrap_or((line, line));
                Some((low.min(line), high.max(line)))
            });
        let Some((low, high)) = span else {
            return true;
        };
        let mut behind = self
            .blocks()
            .filter(|block| is(&forward, *block) && !looped(block));
        let of_loop = |at: Option<u64>| at.is_some_and(|at| (low..=high).contains(&at));
        !behind.any(|block| self.writes(block).any(of_loop))
    }

    /// Rule 4.
    fn is_needed(&self) -> bool {
        let mut seen = vec![false; self.code.flow.len()];
        let mut queue = vec![self.code.here];
        while let Some(block) = queue.pop() {
            let Some(known) = seen.get_mut(block).filter(|seen| !**seen) else {
                continue;
            };
            *known = true;
            let mut events = self.code.events.get(block).into_iter().flatten();
            let first = events.find_map(|event| match event.kind {
                Kind::Read(at, size) if self.object.touched(at, size).0 != 0 => Some(true),
                Kind::ReadIn(at) | Kind::Pass(at) if self.object.contains(at) => Some(true),
                _ if self.is_write(event) => Some(false),
                _ => None,
            });
            match first {
                Some(true) => return true,
                Some(false) => {}
                None => queue.extend(self.code.flow.successors(block)),
            }
        }
        false
    }

    fn blocks(&self) -> std::ops::Range<usize> {
        0..self.code.flow.len()
    }

    /// The blocks that follow the address, up to those that `within` denies.
    fn following(&self, within: impl Fn(usize) -> bool) -> Vec<bool> {
        reach(
            self.code,
            |block| self.code.flow.successors(block).collect(),
            within,
        )
    }

    /// The blocks that come before the address, back to those that `within` denies.
    fn preceding(&self, within: impl Fn(usize) -> bool) -> Vec<bool> {
        reach(
            self.code,
            |block| self.predecessors.get(block).cloned().unwrap_or_default(),
            within,
        )
    }

    fn in_scope(&self, block: usize) -> bool {
        let range = self.code.flow.range(block).unwrap_or_default();
        !self.object.inside(&range).is_empty()
    }

    /// The lines of a block's writes of the object.
    fn writes(&self, block: usize) -> impl Iterator<Item = Option<u64>> {
        let events = self.code.events.get(block).into_iter().flatten();
        let writes = events.filter(|event| self.is_write(event));
        writes.map(|event| self.lines.line_of(event.address))
    }

    fn is_write(&self, event: &Event) -> bool {
        match event.kind {
            Kind::Write(at, size) => self.object.touched(at, size).0 != 0,
            // From there on nobody knows how far.
            Kind::WriteIn(at) => self.object.touched(at, u64::MAX).0 != 0,
            _ => false,
        }
    }
}

/// The blocks that can be reached from the address, without those that are reached through one that `within` denies;
/// such a one itself is among them.
fn reach(
    code: &Code,
    next: impl Fn(usize) -> Vec<usize>,
    within: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let mut reached = vec![false; code.flow.len()];
    let mut queue = next(code.here);
    while let Some(block) = queue.pop() {
        let Some(seen) = reached.get_mut(block).filter(|seen| !**seen) else {
            continue;
        };
        *seen = true;
        if within(block) {
            queue.extend(next(block));
        }
    }
    reached
}

fn predecessors(flow: &Flow) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); flow.len()];
    for block in 0..flow.len() {
        for next in flow.successors(block) {
            if let Some(from) = all.get_mut(next) {
                from.push(block);
            }
        }
    }
    all
}

fn is(set: &[bool], block: usize) -> bool {
    set.get(block) == Some(&true)
}
