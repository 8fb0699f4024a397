//! Variables in registers, pieces and frames: what is there is shown, what is not is never made up.

use super::world::{STACK, World, memory, pieces, words};
use crate::capture::program::Op;
use crate::symbols::place::{Binary, Formula, Location, Missing, Register, Source, Term};
use crate::symbols::types::TypeRef;

const RAX: Register = Register::General(0);
const RDX: Register = Register::General(1);
const RSP: u8 = 7;

fn register(register: Register) -> Source {
    Source::Register { register, skip: 0 }
}

fn missing() -> Source {
    Source::Missing(Missing::OptimizedOut)
}

fn value(terms: Vec<Term>) -> Source {
    Source::Value(Formula(terms))
}

/// `Option<u64>`: the tag in the first word, the number in the second.
fn option(world: &mut World) -> TypeRef {
    let word = world.types.base("u64");
    world.types.enumeration(
        "Option<u64>",
        16,
        Some((0, word)),
        &[
            ("None", &[(0, 0)], &[]),
            ("Some", &[(1, 1)], &[("__0", 8, word)]),
        ],
    )
}

#[test]
fn an_option_in_pieces_is_never_zero_filled() {
    let mut world = World::new();
    let option = option(&mut world);
    world.memory.set(RAX, 1);
    world.memory.set(RDX, 42);
    for (name, tag, number, expected) in [
        ("both", register(RAX), register(RDX), "Some(42)"),
        (
            "no_payload",
            register(RAX),
            missing(),
            "Some(<optimized out>)",
        ),
        ("no_tag", missing(), register(RDX), "<optimized out>"),
        (
            "constant_tag",
            value(vec![Term::Constant(0)]),
            missing(),
            "None",
        ),
        (
            "bad_tag",
            value(vec![Term::Constant(5)]),
            register(RDX),
            "<invalid discriminant 5>",
        ),
        (
            "unknown_register",
            register(Register::General(3)),
            register(RDX),
            "<optimized out>",
        ),
        (
            "bytes",
            Source::Bytes(Box::new([1, 0, 0, 0, 0, 0, 0, 0])),
            register(RDX),
            "Some(42)",
        ),
        (
            "short_bytes",
            Source::Bytes(Box::new([1])),
            register(RDX),
            "<optimized out>",
        ),
    ] {
        world.located(name, option, pieces(vec![(0, 8, tag), (8, 8, number)]));
        assert_eq!(world.show(&format!("{{{name}}}")), expected, "{name}");
    }
    // A hole that no piece describes.
    world.located("hole", option, pieces(vec![(8, 8, register(RDX))]));
    assert_eq!(world.show("{hole}"), "<optimized out>");
}

#[test]
fn a_struct_shows_the_members_that_it_has() {
    let mut world = World::new();
    let word = world.types.base("u64");
    let half = world.types.base("u32");
    let ty = world.types.structure(
        "Order",
        24,
        &[
            ("id", 0, word),
            ("low", 8, half),
            ("high", 12, half),
            ("total", 16, word),
        ],
    );
    world.memory.set(RAX, 0x0000_0002_0000_0001);
    world.memory.put(STACK, &words(&[99]));
    let on_stack = Source::Memory(Formula(vec![Term::Constant(STACK)]));
    world.located(
        "order",
        ty,
        pieces(vec![
            (0, 8, missing()),
            (8, 8, register(RAX)),
            (16, 8, on_stack),
        ]),
    );
    assert_eq!(
        world.show("{order}"),
        "Order { id: <optimized out>, low: 1, high: 2, total: 99 }"
    );
    assert_eq!(
        world.show("{order.high} {order.total} {order.id}"),
        "2 99 <optimized out>"
    );
    let compiled = world.compile("{order.high} {order.total} {order.id}");
    assert_eq!(
        compiled.unavailable().collect::<Vec<_>>(),
        [(2, Missing::OptimizedOut)]
    );
    let unreadable = Source::Memory(Formula(vec![Term::Constant(0x10)]));
    world.located(
        "gone",
        ty,
        pieces(vec![
            (0, 8, register(RAX)),
            (8, 8, unreadable),
            (16, 8, missing()),
        ]),
    );
    assert_eq!(
        world.show("{gone}"),
        "Order { id: 8589934593, low: <unreadable>, high: <unreadable>, total: <optimized out> }"
    );
}

#[test]
fn what_is_nowhere_needs_no_operation() {
    let mut world = World::new();
    let word = world.types.base("u64");
    let empty = world.types.structure("Empty", 0, &[]);
    for (name, why, expected) in [
        ("a", Missing::OptimizedOut, "<optimized out>"),
        (
            "b",
            Missing::EntryValue,
            "<optimized out: only the caller had it>",
        ),
        (
            "c",
            Missing::Unsupported,
            "<unavailable: its place is described in a way that is not understood>",
        ),
    ] {
        world.located(name, word, pieces(vec![(0, 8, Source::Missing(why))]));
        let compiled = world.compile(&format!("{{{name}}}"));
        assert_eq!(compiled.program.ops(), []);
        assert_eq!(compiled.unavailable().collect::<Vec<_>>(), [(0, why)]);
        assert_eq!(compiled.render(&[]), expected);
    }
    world.located("none", word, Location { pieces: vec![] });
    world.located("empty", empty, Location { pieces: vec![] });
    assert_eq!(world.show("{none} {empty}"), "<optimized out> Empty");
}

#[test]
fn references_in_registers_are_followed() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let text = world.types.text();
    let order = world
        .types
        .structure("Order", 24, &[("symbol", 0, text), ("quantity", 16, word)]);
    let reference = world.types.reference(order);
    let symbol = world.heap(b"ETHUSD");
    let at = world.heap(&[words(&[symbol, 6]), 34u32.to_le_bytes().to_vec()].concat());
    world.memory.set(RAX, u128::from(at));
    world.memory.set(RDX, 6);
    world.located(
        "self",
        reference,
        Location {
            pieces: pieces(vec![(0, 8, register(RAX))]).pieces,
        },
    );
    assert_eq!(
        world.show("{self.symbol} {self.quantity}"),
        r#""ETHUSD" 34"#
    );
    // The struct's last four bytes are not mapped.
    assert_eq!(
        world.show("{self}"),
        r#"Order { symbol: "ETHUSD", quantity: 34 }"#
    );
    let length = value(vec![Term::Constant(3)]);
    let data = value(vec![Term::Constant(symbol)]);
    world.located(
        "cut",
        text,
        pieces(vec![(0, 8, data.clone()), (8, 8, length)]),
    );
    world.located(
        "whole",
        text,
        pieces(vec![(0, 8, data), (8, 8, register(RDX))]),
    );
    world.located(
        "lost",
        text,
        pieces(vec![(0, 8, missing()), (8, 8, register(RDX))]),
    );
    assert_eq!(
        world.show("{cut} {whole} {lost}"),
        r#""ETH" "ETHUSD" <optimized out>"#
    );
}

#[test]
fn indices_come_from_any_place() {
    let mut world = World::new();
    let half = world.types.base("i32");
    let pair = world
        .types
        .structure("(i32, i32)", 8, &[("__0", 0, half), ("__1", 4, half)]);
    let byte = world.types.base("u8");
    let slice = world.types.slice(byte);
    let array = world.types.array(byte, 3);
    let bytes = world.fat(&[10, 11, 12], 3);
    world.variable("v", slice, &bytes);
    world.variable("a", array, &[20, 21, 22]);
    let both = (1u64 << 32) | 0xffff_ffff;
    world.memory.set(RAX, u128::from(both));
    world.memory.put(STACK + 0x8000, &both.to_le_bytes());
    for source in [
        value(vec![Term::Constant(both)]),
        register(RAX),
        Source::Bytes(Box::new(both.to_le_bytes())),
        Source::Memory(Formula(vec![Term::Constant(STACK + 0x8000)])),
    ] {
        world
            .scope
            .variables
            .retain(|variable| *variable.name != *"i");
        world.located("i", pair, pieces(vec![(0, 8, source)]));
        assert_eq!(
            world.show("{v[i.1]} {a[i.1]} {v[i.0]}"),
            "11 21 <index -1 out of bounds, len 3>"
        );
    }
}

#[test]
fn vector_registers_and_skipped_bytes() {
    let mut world = World::new();
    let double = world.types.base("f64");
    let single = world.types.base("f32");
    let xmm = Register::Vector(3);
    world.memory.set(
        xmm,
        (u128::from(2.5f64.to_bits()) << 64) | u128::from(1.5f32.to_bits()),
    );
    world.located("low", single, pieces(vec![(0, 4, register(xmm))]));
    world.located(
        "high",
        double,
        pieces(vec![(
            0,
            8,
            Source::Register {
                register: xmm,
                skip: 8,
            },
        )]),
    );
    world.located(
        "beyond",
        double,
        pieces(vec![(
            0,
            8,
            Source::Register {
                register: xmm,
                skip: 16,
            },
        )]),
    );
    let high_byte = world.types.base("u8");
    world.memory.set(RAX, 0x1234);
    world.located(
        "ah",
        high_byte,
        pieces(vec![(
            0,
            1,
            Source::Register {
                register: RAX,
                skip: 1,
            },
        )]),
    );
    assert_eq!(
        world.show("{low} {high} {beyond} {ah}"),
        "1.5 2.5 <optimized out> 18"
    );
}

#[test]
fn formulas() {
    let word = |world: &mut World| world.types.base("u64");
    let binary = |a: u64, b: u64, op| vec![Term::Constant(a), Term::Constant(b), Term::Binary(op)];
    let minus = |value: u64| value.wrapping_neg();
    for (terms, expected) in [
        (binary(5, 3, Binary::Sub), "2"),
        (binary(7, minus(2), Binary::Div), "18446744073709551613"),
        (
            binary(1 << 63, minus(1), Binary::Div),
            "9223372036854775808",
        ),
        (binary(1, 0, Binary::Div), "<optimized out>"),
        (binary(1, 0, Binary::Mod), "<optimized out>"),
        (binary(1, 64, Binary::Shl), "0"),
        (binary(minus(8), 70, Binary::Sar), "18446744073709551615"),
        (binary(minus(1), 1, Binary::Lt), "1"),
        (vec![Term::Register(0, -1)], "41"),
        (vec![Term::Constant(STACK), Term::Load(2)], "513"),
        (vec![Term::Constant(16), Term::Load(8)], "<optimized out>"),
        (
            vec![
                Term::Constant(1),
                Term::Constant(2),
                Term::Pick(1),
                Term::Swap,
                Term::Drop,
                Term::Swap,
                Term::Drop,
            ],
            "1",
        ),
    ] {
        let mut world = World::new();
        let ty = word(&mut world);
        world.memory.set(RAX, 42);
        world.memory.put(STACK, &[1, 2, 3]);
        world.located("x", ty, pieces(vec![(0, 8, value(terms.clone()))]));
        assert_eq!(world.show("{x}"), expected, "{terms:?}");
    }
}

#[test]
fn a_formula_that_fails_says_why() {
    let mut world = World::new();
    let word = world.types.base("u64");
    world.located(
        "fault",
        word,
        memory(Formula(vec![Term::Constant(0x20), Term::Load(8)])),
    );
    world.located(
        "register",
        word,
        memory(Formula(vec![Term::Register(3, 8)])),
    );
    assert_eq!(
        world.show("{fault} {register}"),
        "<unreadable 0x20> <unavailable: its place could not be computed>"
    );
}

#[test]
fn a_formula_that_is_not_sound_fails_the_check() {
    let mut world = World::new();
    let word = world.types.base("u64");
    world.located("x", word, memory(Formula(vec![Term::Drop])));
    let template = crate::capture::template::Template::parse("{x}").unwrap();
    let error = crate::capture::compile::compile(
        &crate::capture::logpoint::Logpoint::new(&template),
        &world.scope,
        &world.types,
        &world.limits,
        &world.knowledge,
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the capture program is not sound: operation 1"),
        "{error}"
    );
}

#[test]
fn neighbours_in_the_frame_are_read_at_once() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let text = world.types.text();
    let symbol = world.heap(b"BTC");
    let frame = [words(&[symbol, 3]), 9u32.to_le_bytes().to_vec()].concat();
    world.memory.put(STACK, &frame);
    world
        .memory
        .set(Register::General(RSP), u128::from(STACK - 32));
    let at = |offset| memory(Formula(vec![Term::Register(RSP, offset)]));
    world.located("symbol", text, at(32));
    world.located("quantity", number, at(48));
    assert_eq!(world.show("{symbol} {quantity}"), r#""BTC" 9"#);
    assert_eq!(world.memory.reads, 2);
    let compiled = world.compile("{symbol} {quantity}");
    assert!(
        compiled
            .program
            .ops()
            .iter()
            .any(|op| matches!(op, Op::CaptureCounted { .. }))
    );
    // A window that ends in unmapped memory serves what it has.
    world.memory.put(STACK, &frame[..16]);
    assert_eq!(
        world.show("{symbol} {quantity}"),
        format!("\"BTC\" <unreadable {:#x}>", STACK + 16)
    );
}

#[test]
fn inner_names_hide_outer_ones() {
    let mut world = World::new();
    let number = world.types.base("u8");
    world.variable("x", number, &[1]);
    world.variable("x", number, &[2]);
    assert_eq!(world.show("{x}"), "1");
}
