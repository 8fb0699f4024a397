//! Capture programs: what is done at a hit, as flat data.
//!
//! A program is a list of [`Op`]s that the [interpreter](super::interp) runs from first to last. Numbers live in
//! *slots*, each with a validity: what is computed from an invalid number is invalid, and what would be captured from
//! an invalid address is not captured. Bytes that were captured live in the record; a *view* names some of them.
//! Jumps go forward only; the one way back is [`Op::Loop`], whose turns are counted.

use super::check::{self, CheckError};
use super::expr::Special;
use super::floats::Function;
use super::fold::Fold;
use super::number::{Binary, Kind, Mode, Number, Unary};
use super::typed::Comparison;
use crate::symbols::place::{Register, Term};

/// Numbers that a program can hold.
pub const SLOTS: usize = 64;
/// Views that a program can hold.
pub const VIEWS: usize = 64;
/// Loops within loops.
pub const LOOPS: usize = 4;
/// Numbers on the stack of a formula.
pub const STACK: usize = 16;
/// Numbers on the stack of a computation.
pub const NUMBERS: usize = 16;
/// Operations of a program.
pub const OPS: usize = 4096;
/// Expressions of a program: the operands of all expressions of a message, and its condition.
pub const EXPRESSIONS: usize = 96;
/// Bytes in which any program can begin a record, and decide whether the hit counts.
pub const HEAD: usize = super::record::head(EXPRESSIONS as u8);
/// Bytes of the stack frame that are read at once.
pub const WINDOW: usize = 512;
/// What a run may spend: an operation costs 1, a read of memory [`READ_COST`]. About 0.2 ms in all.
pub const FUEL: u32 = 12_000;
/// Cost of a read of memory, in operations.
pub const READ_COST: u32 = 32;

/// How many levels a step through a tree goes up at the most.
pub const CLIMB: usize = 4;

/// Where values that lie in registers are put in a record. No such address is canonical on x86-64, with four or five
/// levels of page tables, so memory never lies there.
pub const PSEUDO: u64 = 0x8000_0000_0000_0000;

/// The pseudo-address of an expression's value.
pub fn pseudo(expression: u8) -> u64 {
    PSEUDO + (u64::from(expression) << 32)
}

/// Whether an address is one of [`pseudo`]'s.
pub fn is_pseudo(address: u64) -> bool {
    address >> 40 == PSEUDO >> 40
}

/// A number's place, below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u8);

/// A view's place, below [`VIEWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(pub u8);

/// A part of one of the tables of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Index of the first entry.
    pub first: u16,
    /// Number of entries.
    pub count: u16,
}

/// An operation. Positions are indices of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Begins what decides whether the hit counts, and ends before `end`. Its entry is the first one; what ends it early
    /// ends the run.
    Condition { end: u16 },
    /// Counts the hit.
    Count,
    /// Ends the run, without a record, unless the number is 1.
    Keep { slot: Slot },
    /// Begins an expression, which gets its share of the record and of the fuel, and ends before `end`.
    Expression { index: u8, end: u16 },
    /// Computes a formula, given by its terms.
    Formula { to: Slot, terms: Part },
    /// Takes `size` (1 to 8) bytes of a register, zero-extended.
    Register {
        to: Slot,
        register: Register,
        skip: u8,
        size: u8,
    },
    /// Loads `size` (1 to 8) bytes of memory, zero-extended.
    Memory {
        to: Slot,
        base: Slot,
        offset: i64,
        size: u8,
    },
    /// Loads `size` (1 to 8) captured bytes, zero-extended; invalid where they were not captured.
    View {
        to: Slot,
        from: View,
        offset: u32,
        size: u8,
    },
    /// Takes what belongs to the hit.
    Special { to: Slot, special: Special },
    /// Computes as Rust does. Ends the expression where that has no result.
    Calculate { to: Slot, steps: Part },
    /// Sets 1 where a computation has a result, 0 where it has none: it does not fit, or divides by zero.
    Fits { to: Slot, steps: Part },
    /// Brings `count` numbers in a row down to one. Ends the expression as nothing where there is none to begin with.
    Fold {
        to: Slot,
        base: Slot,
        count: Slot,
        kind: Kind,
        fold: Fold,
        /// What is searched for.
        wanted: Slot,
    },
    /// Looks for a key in a map or set, by the index of its [`Search`]. Ends the expression where not all keys that it
    /// might have been among could be read.
    Find { search: u16 },
    /// Compares two texts; 1 where it holds, else 0.
    Compare {
        to: Slot,
        comparison: Comparison,
        left: Words,
        right: Words,
    },
    /// Adds `index * stride` to `base`; invalid on overflow.
    Scale {
        to: Slot,
        base: Slot,
        index: Slot,
        stride: u64,
    },
    /// Ends the expression as unreadable unless the number is valid.
    Require { slot: Slot },
    /// Ends the expression as out of bounds unless `index < length` (as nothing, where it is `optional`), and as invalid
    /// where `length` elements of `stride` bytes cannot exist.
    Bounds {
        index: Slot,
        length: Slot,
        signed: bool,
        stride: u64,
        optional: bool,
    },
    /// Ends the expression unless the number is in one of the ranges (`negated`: in none): as nothing, where it is
    /// `optional`, else with what the `refusal` stands for.
    Choose {
        slot: Slot,
        ranges: Part,
        negated: bool,
        refusal: u8,
        optional: bool,
    },
    /// Takes the elements from `start` to before `end` (`inclusive`: to `end`) of `length` ones of `stride` bytes. Ends the
    /// expression as out of bounds, or as backwards, where there are no such; `signed` are ends that may be negative.
    Slice {
        to: Slot,
        count: Slot,
        base: Slot,
        length: Slot,
        start: Slot,
        end: Slot,
        signed: (bool, bool),
        inclusive: bool,
        stride: u64,
    },
    /// The expression's value is at `base + offset`.
    Place { base: Slot, offset: i64 },
    /// The expression's value is `count` elements at `base`.
    PlaceCounted { base: Slot, count: Slot },
    /// The expression's value is at its pseudo-address plus `offset`.
    PlacePseudo { offset: u32 },
    /// Captures memory.
    Capture {
        to: View,
        base: Slot,
        offset: i64,
        size: u32,
    },
    /// Captures `count` elements of `stride` bytes, but at most `limit` elements; nothing where so many cannot exist.
    CaptureCounted {
        to: View,
        base: Slot,
        count: Slot,
        stride: u32,
        limit: u32,
    },
    /// Captures memory, to be found at the expression's pseudo-address plus `at`.
    PieceMemory {
        at: u32,
        base: Slot,
        offset: i64,
        size: u32,
    },
    /// Captures a part of a register, to be found at the expression's pseudo-address plus `at`.
    PieceRegister {
        at: u32,
        register: Register,
        skip: u8,
        size: u8,
    },
    /// Captures the bytes of a number from `skip` on, to be found at the expression's pseudo-address plus `at`.
    PieceNumber {
        at: u32,
        slot: Slot,
        skip: u8,
        size: u8,
    },
    /// Captures constant bytes, to be found at the expression's pseudo-address plus `at`.
    PieceBytes { at: u32, bytes: Part },
    /// Goes on where the number is valid and in one of the ranges (`negated`: in none), else jumps.
    Match {
        slot: Slot,
        ranges: Part,
        negated: bool,
        otherwise: u16,
    },
    /// Jumps forward.
    Jump { to: u16 },
    /// Repeats the operations up to `end` for each index below `count`, but at most `limit` times.
    Loop {
        index: Slot,
        count: Slot,
        limit: u32,
        end: u16,
    },
    /// Narrows a view to what begins at `offset + index * stride` and has `stride` bytes.
    Element {
        to: View,
        from: View,
        offset: u32,
        index: Slot,
        stride: u32,
    },
    /// Sets a number.
    Constant { to: Slot, value: u64 },
    /// Captures memory, unless the record has it already.
    CaptureOnce {
        to: View,
        base: Slot,
        offset: i64,
        size: u32,
    },
    /// Captures the `count` elements of `stride` bytes that end at `end`, but at most `limit` elements; nothing where so
    /// many cannot exist or not all of them can be read.
    CaptureBefore {
        to: View,
        end: Slot,
        count: Slot,
        stride: u32,
        limit: u32,
    },
    /// Narrows a view to the `stride` bytes that end `index * stride` before its own end.
    ElementBefore {
        to: View,
        from: View,
        index: Slot,
        stride: u32,
    },
    /// Splits `length` elements that begin at index `head` of a buffer, and go on at its start, in two numbers; both are
    /// invalid where the buffer has no such elements.
    Split {
        first: Slot,
        second: Slot,
        head: Slot,
        length: Slot,
        capacity: Slot,
    },
    /// Goes from a captured node of a tree to the one that follows when parents come before their children. `height` is
    /// how many levels are below the node. The node becomes invalid after the last one, or where one on the way was not
    /// captured.
    NextNode {
        node: Slot,
        height: Slot,
        layout: Node,
    },
}

/// Offsets within the nodes of a tree: 8 bytes for an address, 2 for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Address of the parent.
    pub parent: u32,
    /// Which of the parent's children this one is.
    pub position: u32,
    /// Number of entries; there is one child more.
    pub length: u32,
    /// Addresses of the children.
    pub edges: u32,
}

/// A step of a computation, in postfix order; it leaves exactly one number on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calc {
    /// Pushes a number of at most 64 bits.
    Slot(Slot, Kind),
    /// Pushes a number of 128 bits, its low half first.
    Wide(Slot, Slot, Kind),
    /// Pushes a constant.
    Constant(Number),
    /// Replaces the top.
    Unary(Unary, Mode),
    /// Replaces the two topmost.
    Binary(Binary, Mode),
    /// Casts the top.
    Cast(Kind),
    /// Replaces the top, a float.
    Function(Function),
}

/// A text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// So many bytes of memory.
    Memory {
        /// Where.
        base: Slot,
        /// How many.
        length: Slot,
    },
    /// Constant bytes.
    Constant(Part),
}

/// How a key is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Gets the address of what holds the key: its bucket, or its node, plus as many strides as entries come before it.
    pub to: Slot,
    /// Gets 1 or 0.
    pub found: Slot,
    /// Address of the control bytes, or of the root.
    pub root: Slot,
    /// Number of buckets less one, or of levels below the root.
    pub extent: Slot,
    /// Number of entries.
    pub items: Slot,
    /// What is looked for.
    pub wanted: Wanted,
    /// From the bucket, or the node, to its (first) key.
    pub key: u32,
    /// How keys are held.
    pub keys: Keys,
}

/// A key that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A number of `size` bytes, at most 8.
    Number { slot: Slot, size: u8, signed: bool },
    /// A text; keys have theirs `header` bytes behind the start of what the pointer at `data` points to, and its length at
    /// `length`.
    Text {
        words: Words,
        data: u32,
        header: u32,
        length: u32,
    },
}

/// How a map or a set holds its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In buckets of a hash table that end, the first of them, where its control bytes begin.
    Table {
        /// Bytes of a bucket.
        stride: u32,
        /// The keys of its hasher, if it is std's own.
        hasher: Option<(Slot, Slot)>,
    },
    /// In the nodes of a tree, in order.
    Tree {
        node: Node,
        /// Bytes from one key to the next.
        key_stride: u32,
        /// Bytes that [`Search::to`] goes on by for each entry before.
        stride: u32,
    },
}

/// The part of a thread's stack frame that several operations need: read at once, before the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// Number of the general register that it is relative to.
    pub register: u8,
    /// First byte.
    pub offset: i64,
    /// How many bytes, at most [`WINDOW`].
    pub size: u16,
}

/// What a [`Program`] is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What is done.
    pub ops: Vec<Op>,
    /// Terms of all formulas.
    pub terms: Vec<Term>,
    /// Steps of all computations.
    pub steps: Vec<Calc>,
    /// Constant bytes.
    pub bytes: Vec<u8>,
    /// Ranges of numbers, both ends included.
    pub ranges: Vec<(u64, u64)>,
    /// How keys are looked for.
    pub searches: Vec<Search>,
    /// Number of expressions in the record.
    pub expressions: u8,
    /// What to read first.
    pub prefetch: Option<Prefetch>,
    /// Bytes of the longest record.
    pub record: usize,
}

/// A capture program that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    parts: Parts,
    worst_case: u64,
}

impl Program {
    /// Checks that a program is sound.
    ///
    /// # Errors
    ///
    /// What is wrong with it, see [`CheckError`].
    pub fn new(parts: Parts) -> Result<Self, CheckError> {
        let worst_case = check::check(&parts)?;
        Ok(Self { parts, worst_case })
    }

    /// The operations.
    pub fn ops(&self) -> &[Op] {
        &self.parts.ops
    }

    /// The terms of a formula.
    pub fn terms(&self, part: Part) -> &[Term] {
        slice(&self.parts.terms, part)
    }

    /// The steps of a computation.
    pub fn steps(&self, part: Part) -> &[Calc] {
        slice(&self.parts.steps, part)
    }

    /// Constant bytes.
    pub fn bytes(&self, part: Part) -> &[u8] {
        slice(&self.parts.bytes, part)
    }

    /// Ranges of numbers.
    pub fn ranges(&self, part: Part) -> &[(u64, u64)] {
        slice(&self.parts.ranges, part)
    }

    /// How a key is looked for.
    pub fn search(&self, index: u16) -> Option<&Search> {
        self.parts.searches.get(usize::from(index))
    }

    /// Number of expressions in the record.
    pub fn expressions(&self) -> u8 {
        self.parts.expressions
    }

    /// What to read first.
    pub fn prefetch(&self) -> Option<Prefetch> {
        self.parts.prefetch
    }

    /// Whether a run could spend more than [`FUEL`], so that its expressions have to share it.
    pub fn shares_fuel(&self) -> bool {
        self.worst_case > u64::from(FUEL)
    }

    /// Bytes of the longest record that a run writes.
    pub fn record_limit(&self) -> usize {
        self.parts.record
    }
}

fn slice<T>(table: &[T], part: Part) -> &[T] {
    let first = usize::from(part.first);
    table
        .get(first..first.saturating_add(usize::from(part.count)))
        .unwrap_or(&[])
}
