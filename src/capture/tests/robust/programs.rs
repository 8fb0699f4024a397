//! Random capture programs.

use crate::capture::expr::Special;
use crate::capture::number::{self, Kind, Mode, Number};
use crate::capture::program::{
    Calc, Node, Op, Part, Parts, Prefetch, Program, Slot, View, WINDOW, Words,
};
use crate::capture::typed::Comparison;
use crate::symbols::place::{Binary, Register, Term, Unary};
use proptest::prelude::*;

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![99 => 0u8..4, 1 => any::<u8>()].prop_map(Slot)
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![9 => 0u8..4, 1 => any::<u8>()].prop_map(View)
}

fn part() -> impl Strategy<Value = Part> {
    (0u16..12, 0u16..6).prop_map(|(first, count)| Part { first, count })
}

fn register() -> impl Strategy<Value = Register> {
    prop_oneof![
        (0u8..18).prop_map(Register::General),
        (0u8..17).prop_map(Register::Vector)
    ]
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0u32..64, 1 => any::<u32>()]
}

fn small() -> impl Strategy<Value = u8> {
    prop_oneof![9 => 1u8..9, 1 => any::<u8>()]
}

fn words() -> impl Strategy<Value = Words> {
    prop_oneof![
        (slot(), slot()).prop_map(|(base, length)| Words::Memory { base, length }),
        part().prop_map(Words::Constant)
    ]
}

pub fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Order(number::Binary::Eq),
        Comparison::Order(number::Binary::Lt),
        Comparison::StartsWith,
        Comparison::EndsWith,
        Comparison::Contains,
    ])
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::unsigned(8),
        Kind::I32,
        Kind::USIZE,
        Kind::unsigned(128),
        Kind::Integer {
            signed: true,
            bits: 128,
        },
        Kind::F32,
        Kind::F64,
        Kind::Bool,
        Kind::Char,
    ])
}

fn step() -> impl Strategy<Value = Calc> {
    use number::Binary::*;
    let binary = prop::sample::select(vec![
        Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Pow, Min, Max, Eq, Ne, Lt, Le, Gt, Ge,
    ]);
    let mode = || prop::sample::select(vec![Mode::Checked, Mode::Wrapping, Mode::Saturating]);
    let unary = prop::sample::select(vec![
        number::Unary::Neg,
        number::Unary::Not,
        number::Unary::Abs,
    ]);
    prop_oneof![
        4 => (slot(), kind()).prop_map(|(slot, kind)| Calc::Slot(slot, kind)),
        1 => (slot(), slot(), kind()).prop_map(|(low, high, kind)| Calc::Wide(low, high, kind)),
        2 => (kind(), any::<u128>()).prop_map(|(kind, bits)| Calc::Constant(Number::new(kind, bits))),
        1 => (unary, mode()).prop_map(|(op, mode)| Calc::Unary(op, mode)),
        4 => (binary, mode()).prop_map(|(op, mode)| Calc::Binary(op, mode)),
        1 => kind().prop_map(Calc::Cast),
    ]
}

/// Operations on hash tables, rings and trees.
fn collection_op() -> impl Strategy<Value = Op> {
    let offset = || 0u32..64;
    let node =
        (offset(), offset(), offset(), offset()).prop_map(|(parent, position, length, edges)| {
            Node {
                parent,
                position,
                length,
                edges,
            }
        });
    prop_oneof![
        (view(), slot(), any::<i64>(), size()).prop_map(|(to, base, offset, size)| {
            Op::CaptureOnce {
                to,
                base,
                offset,
                size,
            }
        }),
        (view(), slot(), slot(), size(), size()).prop_map(|(to, end, count, stride, limit)| {
            Op::CaptureBefore {
                to,
                end,
                count,
                stride,
                limit,
            }
        }),
        (view(), view(), slot(), size()).prop_map(|(to, from, index, stride)| {
            Op::ElementBefore {
                to,
                from,
                index,
                stride,
            }
        }),
        (slot(), slot(), slot(), slot(), slot()).prop_map(
            |(first, second, head, length, capacity)| Op::Split {
                first,
                second,
                head,
                length,
                capacity,
            }
        ),
        (slot(), slot(), node).prop_map(|(node, height, layout)| Op::NextNode {
            node,
            height,
            layout,
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let target = 0u16..40;
    prop_oneof![
        5 => collection_op(),
        1 => (0u8..4, target.clone()).prop_map(|(index, end)| Op::Expression { index, end }),
        1 => (slot(), part()).prop_map(|(to, terms)| Op::Formula { to, terms }),
        1 => (slot(), register(), 0u8..9, small()).prop_map(|(to, register, skip, size)| Op::Register {
            to,
            register,
            skip,
            size
        }),
        1 => (slot(), slot(), any::<i64>(), small()).prop_map(|(to, base, offset, size)| Op::Memory {
            to,
            base,
            offset,
            size
        }),
        1 => (slot(), view(), size(), small()).prop_map(|(to, from, offset, size)| Op::View {
            to,
            from,
            offset,
            size
        }),
        1 => (slot(), part()).prop_map(|(to, steps)| Op::Calculate { to, steps }),
        1 => (slot(), comparison(), words(), words()).prop_map(|(to, comparison, left, right)| {
            Op::Compare {
                to,
                comparison,
                left,
                right,
            }
        }),
        1 => slot().prop_map(|to| Op::Special {
            to,
            special: Special::Thread
        }),
        1 => (slot(), part(), any::<bool>(), any::<u8>(), any::<bool>()).prop_map(
            |(slot, ranges, negated, refusal, optional)| Op::Choose {
                slot,
                ranges,
                negated,
                refusal,
                optional
            }
        ),
        1 => (slot(), slot(), slot(), slot(), slot(), slot(), any::<(bool, bool, bool)>(), any::<u64>()).prop_map(
            |(to, count, base, length, start, end, signed, stride)| Op::Slice {
                to,
                count,
                base,
                length,
                start,
                end,
                signed: (signed.0, signed.1),
                inclusive: signed.2,
                stride
            }
        ),
        1 => (slot(), slot()).prop_map(|(base, count)| Op::PlaceCounted { base, count }),
        1 => (slot(), slot(), slot(), any::<u64>()).prop_map(|(to, base, index, stride)| Op::Scale {
            to,
            base,
            index,
            stride
        }),
        1 => slot().prop_map(|slot| Op::Require { slot }),
        1 => (slot(), slot(), any::<bool>(), any::<u64>(), any::<bool>()).prop_map(
            |(index, length, signed, stride, optional)| Op::Bounds {
                index,
                length,
                signed,
                stride,
                optional
            }
        ),
        1 => (slot(), any::<i64>()).prop_map(|(base, offset)| Op::Place { base, offset }),
        1 => any::<u32>().prop_map(|offset| Op::PlacePseudo { offset }),
        1 => (view(), slot(), any::<i64>(), size()).prop_map(|(to, base, offset, size)| Op::Capture {
            to,
            base,
            offset,
            size
        }),
        1 => (view(), slot(), slot(), size(), size()).prop_map(|(to, base, count, stride, limit)| {
            Op::CaptureCounted {
                to,
                base,
                count,
                stride,
                limit,
            }
        }),
        1 => (any::<u32>(), slot(), any::<i64>(), size()).prop_map(|(at, base, offset, size)| {
            Op::PieceMemory {
                at,
                base,
                offset,
                size,
            }
        }),
        1 => (any::<u32>(), register(), 0u8..9, small()).prop_map(|(at, register, skip, size)| {
            Op::PieceRegister {
                at,
                register,
                skip,
                size,
            }
        }),
        1 => (any::<u32>(), slot(), 0u8..9, small()).prop_map(|(at, slot, skip, size)| {
            Op::PieceNumber {
                at,
                slot,
                skip,
                size,
            }
        }),
        1 => (any::<u32>(), part()).prop_map(|(at, bytes)| Op::PieceBytes { at, bytes }),
        1 => (slot(), part(), any::<bool>(), target.clone()).prop_map(
            |(slot, ranges, negated, otherwise)| Op::Match {
                slot,
                ranges,
                negated,
                otherwise
            }
        ),
        1 => target.clone().prop_map(|to| Op::Jump { to }),
        1 => (slot(), slot(), any::<u32>(), target).prop_map(|(index, count, limit, end)| Op::Loop {
            index,
            count,
            limit,
            end
        }),
        1 => (view(), view(), size(), slot(), size()).prop_map(|(to, from, offset, index, stride)| {
            Op::Element {
                to,
                from,
                offset,
                index,
                stride,
            }
        }),
        1 => (slot(), any::<u64>()).prop_map(|(to, value)| Op::Constant { to, value }),
    ]
}

pub fn term() -> impl Strategy<Value = Term> {
    let binary = prop::sample::select(vec![
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Mod,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::Shl,
        Binary::Shr,
        Binary::Sar,
        Binary::Eq,
        Binary::Ne,
        Binary::Lt,
        Binary::Le,
        Binary::Gt,
        Binary::Ge,
    ]);
    let number = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(1 << 63),
        Just(0),
        0u64..70
    ];
    prop_oneof![
        4 => number.prop_map(Term::Constant),
        1 => (0u8..18, any::<i64>()).prop_map(|(register, offset)| Term::Register(register, offset)),
        1 => small().prop_map(Term::Load),
        4 => binary.prop_map(Term::Binary),
        1 => Just(Term::Unary(Unary::Abs)),
        1 => Just(Term::Unary(Unary::Neg)),
        1 => Just(Term::Unary(Unary::Not)),
        1 => small().prop_map(|size| Term::Unary(Unary::ZeroExtend(size))),
        1 => small().prop_map(|size| Term::Unary(Unary::SignExtend(size))),
        1 => (0u8..4).prop_map(Term::Pick),
        1 => Just(Term::Drop),
        1 => Just(Term::Swap),
    ]
}

pub fn parts() -> impl Strategy<Value = Parts> {
    (
        prop::collection::vec(op(), 0..30),
        prop::collection::vec(term(), 0..12),
        prop::collection::vec(step(), 0..12),
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec((any::<u64>(), any::<u64>()), 0..12),
        prop::option::of((0u8..18, any::<i64>(), 0u16..600)),
    )
        .prop_map(|(ops, terms, steps, bytes, ranges, prefetch)| Parts {
            ops,
            terms,
            steps,
            bytes,
            ranges,
            searches: Vec::new(),
            expressions: 4,
            prefetch: prefetch.map(|(register, offset, size)| Prefetch {
                register,
                offset,
                size,
            }),
            record: 600,
        })
}

/// Puts right most of what the check refuses, so that random programs reach the interpreter.
pub fn mend(mut parts: Parts) -> Parts {
    parts.prefetch = parts
        .prefetch
        .filter(|it| it.register <= 16 && usize::from(it.size) <= WINDOW);
    let mut ops = std::mem::take(&mut parts.ops);
    ops.retain(|op| {
        let mut op = *op;
        if let Op::Jump { to } | Op::Match { otherwise: to, .. } | Op::Loop { end: to, .. } =
            &mut op
        {
            *to = 2;
        }
        let ops = vec![Op::Expression { index: 1, end: 2 }, op];
        !matches!(op, Op::Expression { .. })
            && Program::new(Parts {
                ops,
                ..parts.clone()
            })
            .is_ok()
    });
    let count = ops.len() as u16 + 1;
    ops.insert(
        0,
        Op::Expression {
            index: 1,
            end: count,
        },
    );
    let mut ends = vec![count];
    for (at, op) in ops.iter_mut().enumerate() {
        let at = at as u16;
        while ends.len() > 1 && ends.last().is_some_and(|end| *end <= at) {
            ends.pop();
        }
        let block = *ends.last().unwrap();
        let forward = |to: u16| (at + 1 + to % 8).min(block);
        match op {
            Op::Jump { to } | Op::Match { otherwise: to, .. } => *to = forward(*to),
            Op::Loop { end, .. } => {
                *end = forward(*end);
                ends.push(*end);
            }
            _ => {}
        }
    }
    Parts { ops, ..parts }
}
