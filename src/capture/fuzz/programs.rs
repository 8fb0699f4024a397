//! Any bytes as a capture program.

use super::RECORD;
use crate::capture::expr::Special;
use crate::capture::floats::Function;
use crate::capture::fold::Fold;
use crate::capture::number::{Binary, Kind, Mode, Number, Unary};
use crate::capture::program::{
    Calc, Keys, LOOPS, Node, OPS, Op, Part, Parts, Prefetch, Search, Slot, View, Wanted, Words,
};
use crate::capture::typed::Comparison;
use crate::symbols::place::{self, Register, Term};

/// What is left of the input; zeroes follow its end.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn small(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.small() & 1 == 1
    }

    /// Less than `limit`, nearly always.
    fn below(&mut self, limit: u8) -> u8 {
        match self.small() {
            255 => self.small(),
            byte => byte % limit.max(1),
        }
    }

    pub fn long(&mut self) -> u64 {
        let size = self.small();
        let mut value = [0; 8];
        let used = usize::from(size % 9);
        value
            .iter_mut()
            .take(used)
            .for_each(|byte| *byte = self.small());
        let value = u64::from_le_bytes(value);
        // Numbers near the ends matter as much as those near zero.
        if size & 0x80 == 0 { value } else { !value }
    }

    fn slot(&mut self) -> Slot {
        Slot(self.below(6))
    }

    fn view(&mut self) -> View {
        View(self.below(4))
    }

    fn part(&mut self) -> Part {
        Part {
            first: u16::from(self.below(12)),
            count: u16::from(self.below(5)),
        }
    }

    fn size(&mut self) -> u32 {
        u32::from(self.small()) + 1
    }

    fn register(&mut self) -> Register {
        match self.flag() {
            true => Register::General(self.below(17)),
            false => Register::Vector(self.below(16)),
        }
    }

    fn kind(&mut self) -> Kind {
        match self.below(7) {
            0 => Kind::F32,
            1 => Kind::F64,
            2 => Kind::Bool,
            3 => Kind::Char,
            bits => Kind::Integer {
                signed: self.flag(),
                bits: 8u8 << (bits.wrapping_add(self.small()) % 5),
            },
        }
    }

    fn mode(&mut self) -> Mode {
        *self.one_of(&[Mode::Checked, Mode::Wrapping, Mode::Saturating])
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = usize::from(self.small()) % choices.len();
        &choices[at]
    }

    fn words(&mut self) -> Words {
        match self.flag() {
            true => Words::Constant(self.part()),
            false => Words::Memory {
                base: self.slot(),
                length: self.slot(),
            },
        }
    }

    fn search(&mut self) -> Search {
        Search {
            to: self.slot(),
            found: self.slot(),
            root: self.slot(),
            extent: self.slot(),
            items: self.slot(),
            wanted: match self.flag() {
                true => Wanted::Number {
                    slot: self.slot(),
                    size: self.below(8).saturating_add(1),
                    signed: self.flag(),
                },
                false => Wanted::Text {
                    words: self.words(),
                    data: self.size(),
                    header: self.size(),
                    length: self.size(),
                },
            },
            key: self.size(),
            keys: match self.flag() {
                true => Keys::Table {
                    stride: self.size(),
                    hasher: self.flag().then(|| (self.slot(), self.slot())),
                },
                false => Keys::Tree {
                    node: Node {
                        parent: self.size(),
                        position: self.size(),
                        length: self.size(),
                        edges: self.size(),
                    },
                    key_stride: self.size(),
                    stride: self.size(),
                },
            },
        }
    }

    fn calc(&mut self) -> Calc {
        use Binary::*;
        match self.below(9) {
            0..3 => Calc::Slot(self.slot(), self.kind()),
            3 => Calc::Wide(self.slot(), self.slot(), self.kind()),
            4 => {
                let bits = u128::from(self.long()) << 64 | u128::from(self.long());
                Calc::Constant(Number::new(self.kind(), bits))
            }
            5 => Calc::Unary(
                *self.one_of(&[Unary::Neg, Unary::Not, Unary::Abs]),
                self.mode(),
            ),
            6 => Calc::Cast(self.kind()),
            7 => Calc::Function(*self.one_of(&[
                Function::Sqrt,
                Function::Floor,
                Function::Ceil,
                Function::Round,
                Function::IsNan,
            ])),
            _ => Calc::Binary(
                *self.one_of(&[
                    Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Pow, Min, Max, Eq, Ne, Lt, Le,
                    Gt, Ge,
                ]),
                self.mode(),
            ),
        }
    }

    fn term(&mut self) -> Term {
        use place::Binary::*;
        use place::Unary::{Abs, Neg, Not, SignExtend, ZeroExtend};
        match self.below(8) {
            0..2 => Term::Constant(self.long()),
            2 => Term::Register(self.below(17), self.long().cast_signed()),
            3 => Term::Load(self.below(8).saturating_add(1)),
            4 => {
                let size = self.below(8).saturating_add(1);
                Term::Unary(*self.one_of(&[Abs, Neg, Not, ZeroExtend(size), SignExtend(size)]))
            }
            5 => *self.one_of(&[Term::Pick(0), Term::Pick(1), Term::Drop, Term::Swap]),
            _ => Term::Binary(*self.one_of(&[
                Add, Sub, Mul, Div, Mod, And, Or, Xor, Shl, Shr, Sar, Eq, Ne, Lt, Le, Gt, Ge,
            ])),
        }
    }
}

pub fn parts(bytes: &mut Bytes<'_>) -> Parts {
    let mut parts = Parts {
        bytes: (0..16).map(|_| bytes.small()).collect(),
        ranges: (0..16).map(|_| (bytes.long(), bytes.long())).collect(),
        record: RECORD,
        ..Parts::default()
    };
    parts.prefetch = bytes.flag().then(|| Prefetch {
        register: bytes.below(17),
        offset: bytes.long().cast_signed(),
        size: u16::from(bytes.small()) * 2,
    });
    if bytes.flag() {
        parts.expressions = 1;
        block(bytes, &mut parts, Op::Condition { end: 0 }, true);
    }
    while !bytes.0.is_empty() && parts.expressions < 4 && parts.ops.len() < OPS {
        let index = parts.expressions;
        parts.expressions += 1;
        block(bytes, &mut parts, Op::Expression { index, end: 0 }, false);
    }
    parts
}

/// Terms that leave one number, nearly always.
fn formula(bytes: &mut Bytes<'_>, table: &mut Vec<Term>) -> Part {
    let first = table.len() as u16;
    let mut depth = 0usize;
    for _ in 0..bytes.below(8) {
        let term = bytes.term();
        let (pops, pushes) = match term {
            Term::Constant(_) | Term::Register(..) => (0, 1),
            Term::Load(_) | Term::Unary(_) => (1, 1),
            Term::Binary(_) => (2, 1),
            Term::Pick(below) => (usize::from(below) + 1, usize::from(below) + 2),
            Term::Drop => (1, 0),
            Term::Swap => (2, 2),
        };
        if depth >= pops || bytes.small() == 255 {
            depth = (depth + pushes).saturating_sub(pops);
            table.push(term);
        }
    }
    while depth > 1 {
        table.push(Term::Binary(place::Binary::Xor));
        depth -= 1;
    }
    if depth == 0 {
        table.push(Term::Constant(bytes.long()));
    }
    Part {
        first,
        count: table.len() as u16 - first,
    }
}

/// Steps that leave one number, nearly always.
fn calculation(bytes: &mut Bytes<'_>, table: &mut Vec<Calc>) -> Part {
    let first = table.len() as u16;
    let mut depth = 0usize;
    for _ in 0..bytes.below(8) {
        let step = bytes.calc();
        let (pops, pushes) = match step {
            Calc::Slot(..) | Calc::Wide(..) | Calc::Constant(_) => (0, 1),
            Calc::Unary(..) | Calc::Cast(_) | Calc::Function(_) => (1, 1),
            Calc::Binary(..) => (2, 1),
        };
        let fits = !matches!(step, Calc::Slot(_, kind) if kind.size() > 8);
        if (depth >= pops && fits) || bytes.small() == 255 {
            depth = (depth + pushes).saturating_sub(pops);
            table.push(step);
        }
    }
    while depth > 1 {
        table.push(Calc::Binary(Binary::Eq, Mode::Checked));
        depth -= 1;
    }
    if depth == 0 {
        table.push(Calc::Constant(Number::new(bytes.kind(), 1)));
    }
    Part {
        first,
        count: table.len() as u16 - first,
    }
}

/// An expression or a condition, with some operations; where one ends is known afterwards.
fn block(bytes: &mut Bytes<'_>, parts: &mut Parts, begin: Op, decides: bool) {
    let start = parts.ops.len();
    parts.ops.push(begin);
    let count = usize::from(bytes.below(40));
    let last = start + count + 1;
    let mut ends = vec![last];
    for at in start + 1..last {
        while ends.len() > 1 && ends.last().is_some_and(|end| *end <= at) {
            ends.pop();
        }
        let end = ends.last().copied().unwrap_or(last);
        let forward = (at + 1 + usize::from(bytes.below(8))).min(end) as u16;
        let op = match op(bytes, parts, forward, decides) {
            // A loop too deep, or that a jump before may lead into, would only be refused.
            Op::Loop { index, .. } if ends.len() > LOOPS => Op::Constant {
                to: index,
                value: 1,
            },
            other => other,
        };
        if let Op::Loop { end, .. } = op {
            ends.push(usize::from(end));
        }
        parts.ops.push(op);
    }
    if let Some(Op::Condition { end } | Op::Expression { end, .. }) = parts.ops.get_mut(start) {
        *end = last as u16;
    }
}

fn op(bytes: &mut Bytes<'_>, parts: &mut Parts, forward: u16, decides: bool) -> Op {
    match bytes.below(36) {
        0 => Op::Formula {
            to: bytes.slot(),
            terms: formula(bytes, &mut parts.terms),
        },
        1 => Op::Register {
            to: bytes.slot(),
            register: bytes.register(),
            skip: bytes.below(2),
            size: bytes.below(7).saturating_add(1),
        },
        2 => Op::Memory {
            to: bytes.slot(),
            base: bytes.slot(),
            offset: bytes.long().cast_signed(),
            size: bytes.below(8).saturating_add(1),
        },
        3 => Op::View {
            to: bytes.slot(),
            from: bytes.view(),
            offset: bytes.size(),
            size: bytes.below(8).saturating_add(1),
        },
        4 => Op::Scale {
            to: bytes.slot(),
            base: bytes.slot(),
            index: bytes.slot(),
            stride: bytes.long(),
        },
        5 => Op::Require { slot: bytes.slot() },
        6 => Op::Bounds {
            index: bytes.slot(),
            length: bytes.slot(),
            signed: bytes.flag(),
            stride: bytes.long(),
            optional: bytes.flag(),
        },
        7 => Op::Place {
            base: bytes.slot(),
            offset: bytes.long().cast_signed(),
        },
        8 => Op::PlacePseudo {
            offset: bytes.size(),
        },
        9 | 10 => Op::Capture {
            to: bytes.view(),
            base: bytes.slot(),
            offset: bytes.long().cast_signed(),
            size: bytes.size(),
        },
        11 => Op::CaptureCounted {
            to: bytes.view(),
            base: bytes.slot(),
            count: bytes.slot(),
            stride: bytes.size() % 64 + 1,
            limit: bytes.size() % 32 + 1,
        },
        12 => Op::PieceMemory {
            at: bytes.size(),
            base: bytes.slot(),
            offset: bytes.long().cast_signed(),
            size: bytes.size(),
        },
        13 => Op::PieceRegister {
            at: bytes.size(),
            register: bytes.register(),
            skip: bytes.below(2),
            size: bytes.below(7).saturating_add(1),
        },
        14 => Op::PieceNumber {
            at: bytes.size(),
            slot: bytes.slot(),
            skip: bytes.below(2),
            size: bytes.below(7).saturating_add(1),
        },
        15 => Op::PieceBytes {
            at: bytes.size(),
            bytes: bytes.part(),
        },
        16 => Op::Match {
            slot: bytes.slot(),
            ranges: bytes.part(),
            negated: bytes.flag(),
            otherwise: forward,
        },
        17 => Op::Jump { to: forward },
        18 => Op::Loop {
            index: bytes.slot(),
            count: bytes.slot(),
            limit: bytes.size(),
            end: forward,
        },
        19 => Op::Element {
            to: bytes.view(),
            from: bytes.view(),
            offset: bytes.size(),
            index: bytes.slot(),
            stride: bytes.size(),
        },
        20 => Op::Special {
            to: bytes.slot(),
            special: *bytes.one_of(&[Special::Hits, Special::Thread, Special::Time]),
        },
        21 | 22 => Op::Calculate {
            to: bytes.slot(),
            steps: calculation(bytes, &mut parts.steps),
        },
        23 => Op::Compare {
            to: bytes.slot(),
            comparison: *bytes.one_of(&[
                Comparison::Order(Binary::Eq),
                Comparison::Order(Binary::Ne),
                Comparison::Order(Binary::Lt),
                Comparison::StartsWith,
                Comparison::EndsWith,
                Comparison::Contains,
            ]),
            left: bytes.words(),
            right: bytes.words(),
        },
        24 => Op::Choose {
            slot: bytes.slot(),
            ranges: bytes.part(),
            negated: bytes.flag(),
            refusal: bytes.small(),
            optional: bytes.flag(),
        },
        25 => Op::Slice {
            to: bytes.slot(),
            count: bytes.slot(),
            base: bytes.slot(),
            length: bytes.slot(),
            start: bytes.slot(),
            end: bytes.slot(),
            signed: (bytes.flag(), bytes.flag()),
            inclusive: bytes.flag(),
            stride: bytes.long(),
        },
        26 if decides => Op::Keep { slot: bytes.slot() },
        26 => Op::PlaceCounted {
            base: bytes.slot(),
            count: bytes.slot(),
        },
        27 if decides => Op::Count,
        28 => Op::CaptureOnce {
            to: bytes.view(),
            base: bytes.slot(),
            offset: bytes.long().cast_signed(),
            size: bytes.size(),
        },
        29 => Op::CaptureBefore {
            to: bytes.view(),
            end: bytes.slot(),
            count: bytes.slot(),
            stride: bytes.size() % 64 + 1,
            limit: bytes.size() % 32 + 1,
        },
        30 => Op::ElementBefore {
            to: bytes.view(),
            from: bytes.view(),
            index: bytes.slot(),
            stride: bytes.size(),
        },
        31 => Op::Split {
            first: bytes.slot(),
            second: bytes.slot(),
            head: bytes.slot(),
            length: bytes.slot(),
            capacity: bytes.slot(),
        },
        32 => Op::NextNode {
            node: bytes.slot(),
            height: bytes.slot(),
            layout: Node {
                parent: bytes.size(),
                position: bytes.size(),
                length: bytes.size(),
                edges: bytes.size(),
            },
        },
        33 => Op::Fits {
            to: bytes.slot(),
            steps: calculation(bytes, &mut parts.steps),
        },
        34 => Op::Fold {
            to: bytes.slot(),
            base: bytes.slot(),
            count: bytes.slot(),
            kind: bytes.kind(),
            fold: *bytes.one_of(&[
                Fold::Sum,
                Fold::Product,
                Fold::Min,
                Fold::Max,
                Fold::Contains,
            ]),
            wanted: bytes.slot(),
        },
        35 => {
            let search = bytes.search();
            parts.searches.push(search);
            Op::Find {
                search: (parts.searches.len() - 1) as u16,
            }
        }
        _ => Op::Constant {
            to: bytes.slot(),
            value: bytes.long(),
        },
    }
}
