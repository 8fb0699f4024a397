//! The interpreter of capture programs.

mod choose;
mod compute;
mod copy;
mod elements;
mod find;
mod fold;
mod hashed;
mod load;
mod slots;
mod step;
mod words;

use self::slots::Span;
use super::program::{FUEL, LOOPS, Prefetch, Program, SLOTS, Slot, VIEWS, WINDOW};
use super::record::Writer;
use crate::symbols::place::Register;

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
}
