//! Expressions with types: what is read of the program, and what is computed from it.
//!
//! An expression is a [`Node`] over *operands*. Each operand is a [`Path`] from a variable to something in memory or
//! registers, which one part of the capture program reads. What is computed from it is computed later, when the record
//! is shown; in conditions and indices, which decide what is read, at the hit.

use super::expr::Special;
use super::floats::Function;
use super::fold::Fold;
use super::number::{Binary, Kind, Mode, Number, Unary};
use super::views::{Entry, Pointed, Ring, Small, Table, Tree};
use crate::symbols::types::TypeRef;

/// An expression that makes sense in a scope.
#[derive(Clone, Debug)]
pub struct Typed {
    /// What is computed.
    pub node: Node,
    /// What it is computed from.
    pub operands: Vec<Operand>,
    /// Each is true where that is to be said behind the value: of a lock on the way, that it is held.
    pub marks: Vec<(Node, &'static str)>,
}

impl Typed {
    /// An expression that reads no operands but those that it uses.
    pub fn new(node: Node, mut operands: Vec<Operand>, marks: Vec<(Node, &'static str)>) -> Self {
        let mut used = vec![false; operands.len()];
        let conditions = marks.iter().map(|(node, _)| node);
        for node in conditions.chain([&node]) {
            node.walk(&mut |node| {
                if let Some(used) = node.operand().and_then(|operand| used.get_mut(operand)) {
                    *used = true;
                }
            });
        }
        for (operand, used) in operands.iter_mut().zip(used) {
            if !used {
                operand.want = Want::Nothing;
            }
        }
        Self {
            node,
            operands,
            marks,
        }
    }
}

/// A computation. Numbers name operands.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// An operand as it is.
    Value(usize),
    /// An operand that is a number.
    Load(usize, Kind),
    /// An operand that is text.
    Text(usize),
    /// A constant.
    Number(Number),
    /// A constant text.
    Words(String),
    /// What belongs to the hit.
    Special(Special),
    /// Of a number.
    Unary(Unary, Mode, Box<Node>),
    /// Of two numbers.
    Binary(Binary, Mode, Box<Node>, Box<Node>),
    /// `as`.
    Cast(Box<Node>, Kind),
    /// The right side counts only where the left one is true.
    And(Box<Node>, Box<Node>),
    /// The right side counts only where the left one is false.
    Or(Box<Node>, Box<Node>),
    /// Whether a number's bits are in one of the ranges, both ends included; `true` turns it round.
    Within(Box<Node>, Vec<(u128, u128)>, bool),
    /// A comparison of two texts.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// Whether an operand that may be nothing is something.
    Present(usize),
    /// `Some` of the node where the operand is something, else `None`.
    Optional(usize, Box<Node>),
    /// The first node where the operand is something, else the second.
    Either(usize, Box<Node>, Box<Node>),
    /// The first number, which is of that type, where it fits, else the second.
    Fallback(Kind, Box<Node>, Box<Node>),
    /// `Some` of a number, or `None` where it does not fit.
    Checked(Box<Node>),
    /// Whether a number fits.
    Fits(Box<Node>),
    /// A function of a float.
    Function(Function, Box<Node>),
    /// All elements of an operand, which are of that type, brought down to one number; what is searched for.
    Fold(Fold, usize, Kind, Option<Box<Node>>),
    /// How many elements an operand has.
    Count(usize),
    /// Text put together.
    Format(Vec<Part>),
}

impl Node {
    /// Calls `visit` with this node and all within it.
    pub fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Value(_)
            | Self::Load(..)
            | Self::Text(_)
            | Self::Number(_)
            | Self::Words(_)
            | Self::Special(_)
            | Self::Present(_)
            | Self::Count(_)
            | Self::Fold(_, _, _, None) => {}
            Self::Unary(_, _, inner)
            | Self::Cast(inner, _)
            | Self::Within(inner, ..)
            | Self::Optional(_, inner)
            | Self::Checked(inner)
            | Self::Fits(inner)
            | Self::Fold(_, _, _, Some(inner))
            | Self::Function(_, inner) => inner.walk(visit),
            Self::Binary(_, _, left, right)
            | Self::And(left, right)
            | Self::Or(left, right)
            | Self::Compare(_, left, right)
            | Self::Either(_, left, right)
            | Self::Fallback(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::Format(parts) => {
                for part in parts {
                    if let Part::Value(node, _) = part {
                        node.walk(visit);
                    }
                }
            }
        }
    }

    /// The operand that this node itself names.
    fn operand(&self) -> Option<usize> {
        match self {
            Self::Value(operand)
            | Self::Load(operand, _)
            | Self::Text(operand)
            | Self::Present(operand)
            | Self::Count(operand)
            | Self::Optional(operand, _)
            | Self::Either(operand, ..)
            | Self::Fold(_, operand, ..) => Some(*operand),
            _ => None,
        }
    }
}

/// A comparison of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// By an operator that compares.
    Order(Binary),
    /// Whether the left one starts with the right one.
    StartsWith,
    /// Whether it ends with it.
    EndsWith,
    /// Whether it has it within.
    Contains,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Words(String),
    /// A value in a format.
    Value(Node, super::format::Format),
}

/// What is read of the program.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Where it is.
    pub path: Path,
    /// What of it.
    pub want: Want,
}

/// What is read at the end of a path.
#[derive(Clone, Debug)]
pub enum Want {
    /// Nothing: it was only looked at in passing.
    Nothing,
    /// A value of the path's type, with what it leads to.
    Value,
    /// Whether it is there.
    Presence,
    /// A number.
    Number(Kind),
    /// Elements.
    Run(Run),
    /// How many elements there are.
    Count(Run),
    /// Elements, brought down to one number at the hit.
    Folded(Run, Folding),
    /// All keys or values of a map or set.
    Entries(Entries),
}

impl Want {
    /// The same, of which numbers are all that is wanted, and all of them.
    #[must_use]
    pub fn of_numbers(self) -> Self {
        match self {
            Self::Run(run) => Self::Run(Run {
                numbers: true,
                ..run
            }),
            Self::Entries(entries) => Self::Entries(Entries {
                numbers: true,
                ..entries
            }),
            other => other,
        }
    }
}

/// What becomes of elements at the hit.
#[derive(Clone, Copy, Debug)]
pub struct Folding {
    /// What is done with them.
    pub fold: Fold,
    /// Their type, of at most 64 bits.
    pub kind: Kind,
    /// What is searched for.
    pub wanted: Option<Number>,
}

/// Keys or values.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Which of both.
    pub side: Side,
    /// Their type.
    pub ty: TypeRef,
    /// Whether numbers are all that is wanted, and all of them.
    pub numbers: bool,
}

/// Which part of a map's entries is meant; those of a set are keys alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Keys,
    Values,
}

/// Elements in a row.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where the path's end has them.
    pub layout: Layout,
    /// Their type.
    pub element: TypeRef,
    /// Bytes from one to the next.
    pub stride: u64,
    /// Index of the first one.
    pub start: Option<Box<Typed>>,
    /// Index of the one after the last one, or of the last one.
    pub end: Option<Box<Typed>>,
    /// Whether that is the last one.
    pub inclusive: bool,
    /// Whether numbers are all that is wanted, and all of them.
    pub numbers: bool,
}

impl Run {
    /// All elements of a sequence.
    pub fn all((layout, element, stride): (Layout, TypeRef, u64)) -> Self {
        Self {
            layout,
            element,
            stride,
            start: None,
            end: None,
            inclusive: false,
            numbers: false,
        }
    }

    /// Whether these are all elements of their sequence.
    pub fn is_whole(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }
}

/// How a sequence holds its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Behind a pointer.
    Pointed(Pointed),
    /// Within, so many.
    Array(u64),
    /// Within, or behind a pointer when they are too many.
    Small(Small),
    /// Behind a pointer, from somewhere in a buffer on and then from its start: not in one piece, so that they are had one
    /// by one.
    Ring(Ring),
}

/// A way through the program's memory.
#[derive(Clone, Debug)]
pub struct Path {
    /// Index of the variable in its scope.
    pub variable: usize,
    /// From there on.
    pub steps: Vec<Step>,
    /// The type of what is at its end.
    pub ty: TypeRef,
}

/// A step of a [`Path`].
#[derive(Clone, Debug)]
pub enum Step {
    /// So many bytes further.
    At(u64),
    /// Where the pointer there points to.
    Follow,
    /// An element.
    Element {
        /// Of which elements.
        run: Box<Run>,
        /// Which one of them; `None` for the last one.
        index: Option<Box<Typed>>,
        /// Whether there may be none.
        optional: bool,
    },
    /// What belongs to a key of a map, or the key itself in a set.
    Entry {
        /// How entries are held.
        map: Map,
        /// The key that is looked for.
        key: Box<Key>,
        /// From the bucket, or from the node, to what is meant of (its first) entry, and its bytes.
        part: (u64, u64),
        /// What is said where there is none.
        refusal: Refusal,
        /// Whether there may be none.
        optional: bool,
    },
    /// The data of a variant.
    Variant {
        /// Offset and bytes of the discriminant; without one it counts as 0.
        discriminant: Option<(u64, u8)>,
        /// Its values that choose the variant, both ends included.
        ranges: Vec<(u64, u64)>,
        /// Whether it is those that do not.
        negated: bool,
        /// What is said where it is another variant.
        refusal: Refusal,
        /// Whether it may be another variant.
        optional: bool,
    },
}

/// How a map or a set holds its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// As a hash table, with the two keys of its hasher at these offsets, if it is std's own.
    Table(Table, Option<(u64, u64)>),
    /// As a tree.
    Tree(Tree),
}

impl Map {
    /// Where a bucket has its key and value, or a node the first ones.
    pub fn entry(&self) -> Entry {
        match self {
            Self::Table(table, _) => table.entry,
            Self::Tree(tree) => tree.entry,
        }
    }
}

/// A key that is looked for.
#[derive(Clone, Debug)]
pub enum Key {
    /// A number of the type that keys have.
    Number(Typed, Kind),
    /// A text; where keys have theirs.
    Text(Typed, Pointed),
}

/// What is asked for although it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Refusal {
    None,
    Err,
    Ok,
    Key,
    ThreadLocal,
    Unmade,
    Damaged,
}

impl Path {
    /// The path that goes on by `step`.
    #[must_use]
    pub fn then(mut self, step: Step, ty: TypeRef) -> Self {
        // Two distances are one.
        match (self.steps.last_mut(), &step) {
            (Some(Step::At(before)), Step::At(more)) => *before = before.wrapping_add(*more),
            _ => self.steps.push(step),
        }
        self.ty = ty;
        self
    }

    /// The path whose last step may lead to nothing, or must not.
    #[must_use]
    pub fn optional(mut self, whether: bool) -> Self {
        let last = self.steps.iter_mut().rev().find_map(|step| match step {
            Step::Element { optional, .. }
            | Step::Entry { optional, .. }
            | Step::Variant { optional, .. } => Some(optional),
            _ => None,
        });
        if let Some(optional) = last {
            *optional = whether;
        }
        self
    }
}
