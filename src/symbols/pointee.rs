//! Whether memory behind a pointer that a function was passed holds, at one address, what the source says.
//!
//! The optimizer moves and removes stores; what it may not change is what the function's caller finds in the end.
//!
//! A is the address that is asked about, and L its line. W is a write of the value's bytes that the code shows, with the line
//! that the line table gives it. The value is trusted if
//!
//! 1. no W that can follow A within the variable's scope is of L or of a line before it, or of no line: it may have been moved
//!    from before A to behind it, and
//! 2. no W that can come before A within the scope is of a line after L, or of an unknown one: it may be ahead of its time, and
//! 3. no W behind a loop that A is in has a line of the loop: the value is kept in a register until then, and
//! 4. some way on from A leads to a read before any W, or back to the caller in a state in which the value is alive: else a
//!    store that nobody needs was removed, or the value is gone, and others use its bytes. That the caller may find it in any
//!    other state does not count: it does not ask for a value that is gone.
//!
//! Losing a value that changes in the loop around A, or is next read when the caller calls again, is the price.

use super::code::{Code, Event, Kind, Object, Pointer};
use super::flow;

/// The line of an instruction in the variable's function, calls that were inlined into it by the line of the call;
/// `None` outside of the function, 0 where the line is not known.
pub trait LineOf {
    /// See the trait.
    fn line_of(&self, address: u64) -> Option<u64>;
}

/// The states of a coroutine in which it waits, and needs an object.
pub struct Waits {
    /// Where the number of the state is.
    pub at: Pointer,
    /// The numbers.
    pub states: Vec<u64>,
}

/// Whether all bytes of an object hold its value at the code's address.
pub fn holds(code: &Code, object: &Object<'_>, waits: &Waits, lines: &impl LineOf) -> bool {
    let here = code.flow.range(code.here).map_or(0, |range| range.start);
    let Some(line) = lines.line_of(here).filter(|line| *line != 0) else {
        return false;
    };
    let view = View {
        code,
        object,
        waits,
        lines,
        line,
        predecessors: flow::predecessors(&code.flow),
    };
    view.none_follows_late()
        && view.none_came_early()
        && view.none_leaves_loop()
        && view.is_needed()
}

/// What comes first.
enum Use {
    /// Its value is asked for.
    Needed,
    /// It gets another one.
    Written,
    /// Neither.
    None { waits: bool },
}

/// One object, as seen from the code's address.
struct View<'a, L> {
    code: &'a Code,
    object: &'a Object<'a>,
    waits: &'a Waits,
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
        let mut seen = vec![[false; 2]; self.code.flow.len()];
        let mut queue = vec![(self.code.here, false)];
        while let Some((block, waits)) = queue.pop() {
            let known = seen.get_mut(block);
            let known = known.and_then(|seen| seen.get_mut(usize::from(waits)));
            let Some(known) = known.filter(|known| !**known) else {
                continue;
            };
            *known = true;
            match self.next_use(block, waits) {
                Use::Needed => return true,
                Use::Written => {}
                Use::None { waits } => {
                    let next = self.code.flow.successors(block);
                    queue.extend(next.map(|next| (next, waits)));
                }
            }
        }
        false
    }

    /// What a block first does with the object. `waits` is whether the state was set to one of those that need it.
    fn next_use(&self, block: usize, mut waits: bool) -> Use {
        let state = Object {
            start: self.waits.at,
            size: 1,
            scope: &[],
        };
        for event in self.code.events.get(block).into_iter().flatten() {
            match event.kind {
                Kind::Read(at, size) if self.object.touched(at, size).0 != 0 => return Use::Needed,
                Kind::ReadIn(at) | Kind::Pass(at) if self.object.contains(at) => {
                    return Use::Needed;
                }
                _ if self.is_write(event) => return Use::Written,
                Kind::Set(at, number) if at == self.waits.at => {
                    waits = self.waits.states.contains(&number);
                }
                Kind::Write(at, size) if state.touched(at, size).0 != 0 => waits = false,
                Kind::Return if waits => return Use::Needed,
                _ => {}
            }
        }
        Use::None { waits }
    }

    fn blocks(&self) -> std::ops::Range<usize> {
        0..self.code.flow.len()
    }

    /// The blocks that follow the address, up to those that `within` denies.
    fn following(&self, within: impl Fn(usize) -> bool) -> Vec<bool> {
        let next = |block| self.code.flow.successors(block).collect();
        flow::spread(self.code.flow.len(), next(self.code.here), next, within)
    }

    /// The blocks that come before the address, back to those that `within` denies.
    fn preceding(&self, within: impl Fn(usize) -> bool) -> Vec<bool> {
        let next = |block: usize| self.predecessors.get(block).cloned().unwrap_or_default();
        flow::spread(self.code.flow.len(), next(self.code.here), next, within)
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

fn is(set: &[bool], block: usize) -> bool {
    set.get(block) == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::code::Base;
    use crate::symbols::flow::Flow;

    /// Blocks of 16 bytes, the second of which is asked about, and what they do to the object: a write or a read at a line. The
    /// state is set at some addresses, and the last block returns.
    struct Function<'f> {
        successors: &'f [&'f [usize]],
        /// By address: line, and whether it is a write.
        accesses: &'f [(u64, u64, bool)],
        /// The lines of the blocks.
        lines: &'f [u64],
        states: &'f [(u64, u64)],
    }

    const AT: Pointer = Pointer {
        base: Base::Argument(5),
        offset: 24,
    };
    const STATE: Pointer = Pointer {
        base: Base::Argument(5),
        offset: 40,
    };

    impl LineOf for Function<'_> {
        fn line_of(&self, address: u64) -> Option<u64> {
            let access = self.accesses.iter().find(|(at, ..)| *at == address);
            let block = self.lines.get(usize::try_from(address / 16).unwrap());
            access.map(|(_, line, _)| *line).or(block.copied())
        }
    }

    impl Function<'_> {
        fn holds(&self) -> bool {
            let blocks: Vec<_> = (0u64..)
                .zip(self.successors)
                .map(|(block, next)| (block * 16..block * 16 + 16, *next))
                .collect();
            let event = |&(address, _, write): &(u64, u64, bool)| Event {
                address,
                kind: if write {
                    Kind::Write(AT, 8)
                } else {
                    Kind::Read(AT, 8)
                },
            };
            let set = |&(address, number): &(u64, u64)| {
                [Kind::Write(STATE, 1), Kind::Set(STATE, number)]
                    .map(|kind| Event { address, kind })
            };
            let end = blocks.len() as u64 * 16 - 1;
            let mut all: Vec<Event> = self.accesses.iter().map(event).collect();
            all.extend(self.states.iter().flat_map(set));
            all.push(Event {
                address: end,
                kind: Kind::Return,
            });
            all.sort_by_key(|event| event.address);
            let events = blocks.iter().map(|(range, _)| {
                let here = all.iter().filter(|event| range.contains(&event.address));
                here.copied().collect()
            });
            let code = Code::of(Flow::of(&blocks), events.collect(), 1);
            let waits = Waits {
                at: STATE,
                states: vec![3, 5],
            };
            let scope = 0..blocks.len() as u64 * 16;
            let object = Object {
                start: AT,
                size: 8,
                scope: std::slice::from_ref(&scope),
            };
            holds(&code, &object, &waits, self)
        }
    }

    /// Three blocks in a row, at lines 1 to 3.
    fn straight(accesses: &[(u64, u64, bool)]) -> bool {
        let function = Function {
            successors: &[&[1], &[2], &[]],
            accesses,
            lines: &[1, 2, 3],
            states: &[],
        };
        function.holds()
    }

    #[test]
    fn what_was_written_above_and_is_read_below_is_there() {
        assert!(straight(&[(0, 1, true), (32, 3, false)]));
        assert!(straight(&[(0, 1, true), (32, 3, false), (40, 3, true)]));
    }

    #[test]
    fn a_write_that_follows_may_be_of_a_line_above() {
        let read = (16, 2, false);
        assert!(!straight(&[read, (32, 1, true)]));
        assert!(!straight(&[read, (32, 2, true)]));
        assert!(!straight(&[read, (20, 2, true)]));
        assert!(!straight(&[read, (32, 0, true)]));
        assert!(straight(&[read, (32, 3, true)]));
    }

    #[test]
    fn a_write_that_came_before_may_be_of_a_line_below() {
        let read = (32, 3, false);
        assert!(!straight(&[(0, 3, true), read]));
        assert!(!straight(&[(0, 0, true), read]));
        assert!(straight(&[(0, 2, true), read]));
    }

    #[test]
    fn a_write_behind_a_loop_may_be_of_the_loop() {
        let holds = |written: u64| {
            let function = Function {
                successors: &[&[1], &[2], &[1, 3], &[]],
                accesses: &[(0, 1, true), (48, 5, false), (52, written, true)],
                lines: &[1, 2, 4, 5],
                states: &[],
            };
            function.holds()
        };
        assert!(!holds(3));
        assert!(!holds(4));
        assert!(holds(5));
    }

    #[test]
    fn what_nobody_reads_before_it_is_written_may_not_be_there() {
        let written = (0, 1, true);
        assert!(!straight(&[written]));
        assert!(!straight(&[written, (32, 3, true), (40, 3, false)]));
        assert!(straight(&[written, (16, 2, false)]));
    }

    #[test]
    fn one_way_to_a_read_is_enough() {
        let function = Function {
            successors: &[&[1], &[2, 3], &[], &[]],
            accesses: &[(0, 1, true), (48, 4, false)],
            lines: &[1, 2, 3, 4],
            states: &[],
        };
        assert!(function.holds());
    }

    #[test]
    fn what_is_alive_where_the_coroutine_waits_is_there() {
        let holds = |accesses: &[(u64, u64, bool)], states: &[(u64, u64)]| {
            let function = Function {
                successors: &[&[1], &[2], &[]],
                accesses,
                lines: &[1, 2, 3],
                states,
            };
            function.holds()
        };
        let written = (0, 1, true);
        assert!(holds(&[written], &[(20, 3)]));
        assert!(holds(&[written], &[(20, 1), (36, 5)]));
        // Alive in another state; the state before; overwritten on the way.
        assert!(!holds(&[written], &[(20, 4)]));
        assert!(!holds(&[written], &[(20, 3), (36, 1)]));
        assert!(!holds(&[written], &[(4, 3)]));
        assert!(!holds(&[written, (40, 3, true)], &[(20, 3)]));
    }
}
