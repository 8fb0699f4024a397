//! Random types and places.

use super::programs::term;
use crate::capture::tests::world::{World, memory, pieces};
use crate::symbols::place::{Formula, Location, Missing, Register, Source, Term, Unary};
use crate::symbols::types::{DiscriminantRange, Member, TypeKind, TypeRef, Variant};
use proptest::prelude::*;

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

pub fn location() -> impl Strategy<Value = Location> {
    prop_oneof![
        sound_formula().prop_map(memory),
        prop::collection::vec((0u64..40, 0u64..20, source()), 0..4).prop_map(|mut list| {
            list.sort_by_key(|(offset, _, _)| *offset);
            pieces(list)
        }),
    ]
}

/// Types that mention each other in any way, as damaged debug information might.
pub fn tangle(world: &mut World, shapes: &[(u8, u64, u8, u8, u64)]) {
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
