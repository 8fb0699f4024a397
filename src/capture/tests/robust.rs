//! Whatever a program, memory, a record or debug information hold: no panic, no hang, no more than the bounds.

use super::world::{World, memory, pieces, used};
use crate::capture::compile::{Limits, Logpoint, compile};
use crate::capture::expr::Special;
use crate::capture::interp::{Machine, run};
use crate::capture::number::{self, Kind, Mode, Number};
use crate::capture::program::{
    Calc, FUEL, Node, Op, Part, Parts, Prefetch, Program, READ_COST, Slot, View, WINDOW, Words,
};
use crate::capture::record::Record;
use crate::capture::template::Template;
use crate::capture::typed::Comparison;
use crate::symbols::place::{Binary, Formula, Location, Missing, Register, Source, Term, Unary};
use crate::symbols::types::{DiscriminantRange, Member, TypeKind, TypeRef, Variant};
use proptest::prelude::*;

/// Memory in which every address can be read, until one cannot; its content is a hash of address and seed.
struct Noise {
    seed: u64,
    reads: u32,
    bytes: usize,
}

impl Machine for Noise {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        match register {
            Register::General(number) if number % 5 != 4 => {
                Some(u128::from(self.hash(number.into()) >> 40).to_le_bytes())
            }
            Register::Vector(number) => Some(u128::from(self.hash(number.into())).to_le_bytes()),
            Register::General(_) => None,
        }
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        self.reads += 1;
        self.bytes += out.len();
        let readable = match self.hash(address) % 4 {
            0 => out.len() / 2,
            // A machine that lies must do no harm either.
            1 => usize::MAX,
            _ => out.len(),
        };
        for (at, byte) in out.iter_mut().enumerate() {
            let hash = self.hash(address.wrapping_add(at as u64));
            *byte = if hash & 0x100 == 0 {
                hash as u8 & 3
            } else {
                hash as u8
            };
        }
        readable
    }

    fn count(&mut self) -> u64 {
        self.seed
    }

    fn thread(&self) -> u64 {
        self.seed
    }

    fn time(&self) -> u64 {
        self.seed
    }
}

impl Noise {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            reads: 0,
            bytes: 0,
        }
    }

    fn hash(&self, value: u64) -> u64 {
        let mixed = (value ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 32)
    }
}

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

fn comparison() -> impl Strategy<Value = Comparison> {
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
        1 => (slot(), slot(), slot(), slot(), slot(), slot(), any::<u64>()).prop_map(
            |(to, count, base, length, start, end, stride)| Op::Slice {
                to,
                count,
                base,
                length,
                start,
                end,
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

fn term() -> impl Strategy<Value = Term> {
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

fn parts() -> impl Strategy<Value = Parts> {
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
fn mend(mut parts: Parts) -> Parts {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_program_that_passes_the_check_stays_in_bounds(parts in parts(), seed: u64, room in 0usize..800) {
        for parts in [mend(parts.clone()), parts] {
            let Ok(program) = Program::new(parts) else { continue };
            let mut machine = Noise::new(seed);
            let mut out = vec![0; room];
            let length = used(run(&program, &mut machine, &mut out));
            prop_assert!(length <= room.min(program.record_limit()));
            prop_assert!(machine.reads <= FUEL / READ_COST + 1);
            // Each number read is at most 8 bytes, each block at most what the record then has room for.
            prop_assert!(machine.bytes <= WINDOW + 8 * machine.reads as usize + 600 * machine.reads as usize);
            let _ = Record::parse(&out[..length]);
        }
    }
}

/// Formulas that come out even, one term at a time.
fn sound_formula() -> impl Strategy<Value = Formula> {
    prop::collection::vec(term(), 0..10).prop_map(|terms| {
        let mut depth = 0;
        let mut kept = Vec::new();
        for term in terms {
            let (needs, change) = match term {
                Term::Constant(_) => (0, 1),
                Term::Register(register, _) => (if register <= 16 { 0 } else { 99 }, 1),
                Term::Load(size)
                | Term::Unary(Unary::ZeroExtend(size) | Unary::SignExtend(size)) => {
                    (if (1..=8).contains(&size) { 1 } else { 99 }, 0)
                }
                Term::Unary(_) => (1, 0),
                Term::Binary(_) => (2, -1),
                Term::Pick(below) => (i32::from(below) + 1, 1),
                Term::Drop => (1, -1),
                Term::Swap => (2, 0),
            };
            if depth >= needs {
                depth += change;
                kept.push(term);
            }
        }
        kept.extend(std::iter::repeat_n(Term::Drop, depth.max(1) as usize - 1));
        if depth <= 0 {
            kept.push(Term::Constant(3));
        }
        Formula(kept)
    })
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        sound_formula().prop_map(Source::Memory),
        sound_formula().prop_map(Source::Value),
        (0u8..17, any::<u8>()).prop_map(|(number, skip)| Source::Register {
            register: Register::General(number),
            skip
        }),
        (0u8..16, 0u8..20).prop_map(|(number, skip)| Source::Register {
            register: Register::Vector(number),
            skip
        }),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Source::Bytes(bytes.into())),
        Just(Source::Missing(Missing::OptimizedOut)),
    ]
}

fn location() -> impl Strategy<Value = Location> {
    prop_oneof![
        sound_formula().prop_map(memory),
        prop::collection::vec((0u64..40, 0u64..20, source()), 0..4).prop_map(|mut list| {
            list.sort_by_key(|(offset, _, _)| *offset);
            pieces(list)
        }),
    ]
}

/// Types that mention each other in any way, as damaged debug information might.
fn tangle(world: &mut World, shapes: &[(u8, u64, u8, u8, u64)]) {
    let count = shapes.len() as u64 + 3;
    let entry = |number: u8| TypeRef {
        module: 0,
        entry: u64::from(number) % (count + 1),
    };
    let word = world.types.base("usize");
    let byte = world.types.base("u8");
    let pointer = world.types.pointer("*const u8", byte);
    for &(kind, size, first, second, number) in shapes {
        let (a, b) = (entry(first), entry(second));
        let member = |name: &str, offset, ty| Member {
            name: name.into(),
            offset,
            ty,
        };
        let members = vec![
            member("a", number % 64, a),
            member("__1", number.rotate_left(7), b),
            member("c", 8, a),
        ];
        let variant = |name: &str, value: Option<u128>, ty| Variant {
            name: name.into(),
            values: value
                .map(|first| DiscriminantRange {
                    first,
                    last: first + 1,
                })
                .into_iter()
                .collect(),
            data: member(name, 0, ty),
            line: None,
            file: None,
        };
        let (name, kind) = match kind % 14 {
            0 => ("&a", TypeKind::Pointer { target: a }),
            1 => ("alloc::boxed::Box<a>", TypeKind::Pointer { target: b }),
            2 => (
                "x::S",
                TypeKind::Struct {
                    members,
                    parameters: vec![],
                },
            ),
            3 => (
                "(a, b)",
                TypeKind::Struct {
                    members,
                    parameters: vec![],
                },
            ),
            4 => ("x::U", TypeKind::Union { members }),
            5 => (
                "x::E",
                TypeKind::Enum {
                    discriminant: Some(member("", number % 16, byte)),
                    variants: vec![
                        variant("A", Some(1), a),
                        variant("B", Some(7), b),
                        variant("C", None, a),
                    ],
                    members: vec![],
                    parameters: vec![],
                },
            ),
            6 => (
                "[a; n]",
                TypeKind::Array {
                    element: a,
                    count: number,
                },
            ),
            7 => {
                let fat = vec![member("data_ptr", 0, pointer), member("length", 8, word)];
                (
                    "&str",
                    TypeKind::Struct {
                        members: fat,
                        parameters: vec![],
                    },
                )
            }
            8 => {
                let to = world.types.pointer("*const a", a);
                let fat = vec![member("data_ptr", 0, to), member("length", 8, word)];
                (
                    "&[a]",
                    TypeKind::Struct {
                        members: fat,
                        parameters: vec![],
                    },
                )
            }
            9 => ("char", TypeKind::Char),
            10 => ("f64", TypeKind::Float),
            11 => (
                "core::ptr::non_null::NonNull<a>",
                TypeKind::Struct {
                    members: vec![member("pointer", 0, a)],
                    parameters: vec![],
                },
            ),
            12 => (
                "x::L",
                TypeKind::Enumeration {
                    signed: true,
                    enumerators: vec![("A".into(), -1), ("B".into(), 2)],
                },
            ),
            _ => ("i128", TypeKind::Signed),
        };
        world.types.add(name, size, kind);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_types_places_and_memory(
        shapes in prop::collection::vec((any::<u8>(), prop_oneof![0u64..40, 0u64..2000, any::<u64>()], any::<u8>(), any::<u8>(), prop_oneof![0u64..9, any::<u64>()]), 1..14),
        locations in prop::collection::vec(location(), 3),
        roots in prop::collection::vec(any::<u8>(), 3),
        seed: u64,
        limits in (0usize..9, 0usize..70, 0usize..2000, 0usize..20_000),
        garbage in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut world = World::new();
        tangle(&mut world, &shapes);
        let all = world.types.len();
        for ((name, location), root) in ["x", "y", "i"].into_iter().zip(locations).zip(roots) {
            world.located(name, TypeRef { module: 0, entry: u64::from(root) % all }, location);
        }
        let (depth, elements, bytes, record) = limits;
        let limits = Limits { depth, elements, bytes, record };
        let template = Template::parse("{x} {y} {x.a} {*y} {y[i]} {x.a.c} {x[1]} {i.1} {x.len()} {x.unwrap()} {x[1..i]:x} {x.iter().sum()} {y.get(i).is_some() && i > 3} {x == i} {matches!(x, Some(1..=4) | None)} {x as u8 + 1:#?}").unwrap();
        let compiled = compile(&Logpoint::new(&template), &world.scope, &world.types, &limits, &world.knowledge);
        prop_assert!(compiled.is_ok(), "{:?}", compiled.err());
        let compiled = compiled.unwrap();
        let mut out = vec![0xff; 24_000];
        let mut machine = Noise::new(seed);
        let length = used(run(&compiled.program, &mut machine, &mut out));
        prop_assert!(length <= record.max(2 << 10));
        prop_assert!(machine.reads <= FUEL / READ_COST + 1);
        prop_assert!(compiled.render(&out[..length]).len() < 8 * (200 << 10));
        // A damaged record.
        compiled.render(&out[..length / 2]);
        for (at, byte) in garbage.iter().enumerate() {
            if let Some(place) = out.get_mut(usize::from(*byte) * (at + 1)) {
                *place ^= byte;
            }
        }
        compiled.render(&out[..length]);
        compiled.render(&garbage);
    }

    #[test]
    fn any_expression_compiles_or_fails(source in "([a-z0-9.\\[\\]()*& -]|as u8|len\\(\\)|[=!<>+/%|:?#$]|unwrap|matches!|Some|_|\"|'|format!){1,30}") {
        let mut world = World::new();
        let number = world.types.base("u8");
        let array = world.types.array(number, 3);
        world.variable("a", array, &[1, 2, 3]);
        if let Ok(template) = Template::parse(&format!("{{{source}}}")) {
            let compiled = compile(&Logpoint::new(&template), &world.scope, &world.types, &world.limits, &world.knowledge).unwrap();
            compiled.render(&[]);
        }
    }
}
