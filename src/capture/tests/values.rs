//! Kinds of types, encodings of enums, limits, and expressions over them.

use super::world::{World, words};
use crate::capture::logpoint::Limits;
use crate::symbols::types::{TypeKind, TypeRef};

fn show(declare: impl FnOnce(&mut World) -> (TypeRef, Vec<u8>)) -> String {
    let mut world = World::new();
    let (ty, bytes) = declare(&mut world);
    world.variable("x", ty, &bytes);
    world.show("{x}")
}

fn base(name: &str, bytes: &[u8]) -> String {
    show(|world| (world.types.base(name), bytes.to_vec()))
}

#[test]
fn integers_of_all_widths() {
    assert_eq!(base("u8", &[255]), "255");
    assert_eq!(base("i8", &[255]), "-1");
    assert_eq!(base("u16", &u16::MAX.to_le_bytes()), "65535");
    assert_eq!(base("i16", &i16::MIN.to_le_bytes()), "-32768");
    assert_eq!(base("u32", &u32::MAX.to_le_bytes()), "4294967295");
    assert_eq!(base("i32", &(-7i32).to_le_bytes()), "-7");
    assert_eq!(base("u64", &u64::MAX.to_le_bytes()), u64::MAX.to_string());
    assert_eq!(base("i64", &i64::MIN.to_le_bytes()), i64::MIN.to_string());
    assert_eq!(
        base("u128", &u128::MAX.to_le_bytes()),
        u128::MAX.to_string()
    );
    assert_eq!(
        base("i128", &i128::MIN.to_le_bytes()),
        i128::MIN.to_string()
    );
}

#[test]
fn floats_as_debug_prints_them() {
    for value in [
        5.0,
        -0.0,
        653.8599999999999,
        1e300,
        1e-7,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        assert_eq!(base("f64", &value.to_le_bytes()), format!("{value:?}"));
        assert_eq!(
            base("f32", &(value as f32).to_le_bytes()),
            format!("{:?}", value as f32)
        );
    }
}

#[test]
fn bool_char_unit() {
    assert_eq!(base("bool", &[0]), "false");
    assert_eq!(base("bool", &[1]), "true");
    assert_eq!(base("bool", &[3]), "<invalid bool 3>");
    assert_eq!(base("char", &0x1f600u32.to_le_bytes()), "'😀'");
    assert_eq!(base("char", &0x0au32.to_le_bytes()), "'\\n'");
    assert_eq!(
        base("char", &0xd800u32.to_le_bytes()),
        "<invalid char 0xd800>"
    );
    assert_eq!(base("()", &[]), "()");
}

#[test]
fn text_is_json_at_the_top_and_debug_within() {
    let mut world = World::new();
    let text = world.types.text();
    let pair = world
        .types
        .structure("(&str, &str)", 32, &[("__0", 0, text), ("__1", 16, text)]);
    let content = "a\"b\n\u{7f}é";
    let mut bytes = world.fat(content.as_bytes(), content.len() as u64);
    world.variable("s", text, &bytes);
    bytes.extend(world.fat(b"", 0));
    world.variable("t", pair, &bytes);
    let two = world.types.reference(text);
    let at = super::world::STACK;
    world.variable("r", two, &words(&[at]));
    assert_eq!(world.show("{s}"), serde_json::to_string(content).unwrap());
    assert_eq!(world.show("{r}"), serde_json::to_string(content).unwrap());
    assert_eq!(world.show("{*r}{*s}").matches("é").count(), 2);
    assert_eq!(world.show("{t}"), format!("({content:?}, \"\")"));
    assert_eq!(
        world.show("DETRICS:m={s}\u{1f}{t.1}"),
        format!(
            "DETRICS:m={}\u{1f}\"\"",
            serde_json::to_string(content).unwrap()
        )
    );
}

#[test]
fn strings_and_vectors() {
    let mut world = World::new();
    let string = world.types.string();
    let bytes = world.vector(b"hello", 5);
    world.variable("s", string, &bytes);
    let strings = world.types.vec(string);
    let elements = [
        world.vector(b"one", 3),
        world.vector(b"", 0),
        world.vector(b"three", 5),
    ]
    .concat();
    let bytes = world.vector(&elements, 3);
    world.variable("v", strings, &bytes);
    let nested = world.types.vec(strings);
    let inner = [bytes.clone(), words(&[0, 8, 0]), bytes].concat();
    let bytes = world.vector(&inner, 3);
    world.variable("w", nested, &bytes);
    let number = world.types.base("u16");
    let slice = world.types.slice(number);
    let bytes = world.fat(&[1, 0, 2, 0, 255, 255], 3);
    world.variable("n", slice, &bytes);
    let nothing = world.types.base("()");
    let units = world.types.vec(nothing);
    world.variable("u", units, &words(&[0, 1, 3]));
    world.variable("i", number, &[2, 0]);
    assert_eq!(
        world.show("{s} {v} {n} {u}"),
        r#""hello" ["one", "", "three"] [1, 2, 65535] [(), (), ()]"#
    );
    assert_eq!(
        world.show("{w}"),
        r#"[["one", "", "three"], [], ["one", "", "three"]]"#
    );
    assert_eq!(
        world.show("{v[0]} {v[i]} {w[2][0]} {n[i]} {&n[1]} {(*n)[0]}"),
        r#""one" "three" "one" 65535 2 1"#
    );
    assert_eq!(
        world.show("{v[3]} {v[-1]} {n[7]}"),
        "<index 3 out of bounds, len 3> <index -1 out of bounds, len 3> <index 7 out of bounds, len 3>"
    );
}

#[test]
fn structs_tuples_arrays_unions() {
    let mut world = World::new();
    let number = world.types.base("i32");
    let boolean = world.types.base("bool");
    let point = world.types.structure(
        "geo::shapes::Point<i32>",
        8,
        &[("x", 0, number), ("y", 4, number)],
    );
    let meters = world
        .types
        .structure("geo::Meters", 4, &[("__0", 0, number)]);
    let empty = world.types.structure("geo::Empty", 0, &[]);
    let pair = world
        .types
        .structure("(i32, bool)", 8, &[("__0", 0, number), ("__1", 4, boolean)]);
    let single = world.types.structure("(i32,)", 4, &[("__0", 0, number)]);
    let points = world.types.array(point, 2);
    let union = world.types.add(
        "geo::Either",
        4,
        TypeKind::Union {
            members: super::world::members(&[("number", 0, number), ("flag", 0, boolean)]),
        },
    );
    let ints = |values: &[i32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    world.variable("p", point, &ints(&[1, -2]));
    world.variable("m", meters, &ints(&[3]));
    world.variable("e", empty, &[]);
    world.variable("t", pair, &ints(&[4, 1]));
    world.variable("s", single, &ints(&[5]));
    world.variable("a", points, &ints(&[1, 2, 3, 4]));
    world.variable("o", union, &ints(&[1]));
    world.variable("i", number, &ints(&[1]));
    assert_eq!(
        world.show("{p} {m} {e} {t} {s}"),
        "Point { x: 1, y: -2 } Meters(3) Empty (4, true) (5,)"
    );
    assert_eq!(
        world.show("{a}"),
        "[Point { x: 1, y: 2 }, Point { x: 3, y: 4 }]"
    );
    assert_eq!(
        world.show("{o} {o.flag}"),
        "union Either { number: 1, flag: true } true"
    );
    assert_eq!(
        world.show("{p.y} {m.0} {t.1} {a[1].x} {a[i].y} {a[0]}"),
        "-2 3 true 3 4 Point { x: 1, y: 2 }"
    );
    assert_eq!(
        world.show(r#"{5} {-1} {2.50} {true} {'x'} {"a\nb"}"#),
        r#"5 -1 2.5 true 'x' "a\nb""#
    );
}

#[test]
fn enums_with_a_tag() {
    let mut world = World::new();
    let tag = world.types.base("u32");
    let number = world.types.base("u32");
    let text = world.types.text();
    let shape = world.types.enumeration(
        "geo::Shape",
        24,
        Some((0, tag)),
        &[
            ("Point", &[(0, 0)], &[]),
            ("Circle", &[(1, 1)], &[("__0", 4, number)]),
            (
                "Named",
                &[(2, 3), (5, 5)],
                &[("id", 4, number), ("name", 8, text)],
            ),
        ],
    );
    let fat = world.fat(b"abc", 3);
    let value =
        |tag: u32, number: u32| [&tag.to_le_bytes()[..], &number.to_le_bytes(), &fat].concat();
    for (tag, expected) in [
        (0, "Point"),
        (1, "Circle(7)"),
        (2, r#"Named { id: 7, name: "abc" }"#),
        (3, r#"Named { id: 7, name: "abc" }"#),
        (4, "<invalid discriminant 4>"),
        (5, r#"Named { id: 7, name: "abc" }"#),
    ] {
        world.scope.variables.clear();
        world.variable("x", shape, &value(tag, 7));
        assert_eq!(world.show("{x}"), expected);
        // The text is chased only in the variant that has one.
        world.memory.reads = 0;
        world.show("{x}");
        assert_eq!(
            world.memory.reads,
            1 + usize::from(matches!(tag, 2 | 3 | 5)),
            "{tag}"
        );
    }
}

#[test]
fn enums_in_niches() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let reference = world.types.reference(number);
    let option = world.types.niche_option(reference);
    let target = world.heap(&7u32.to_le_bytes());
    world.variable("some", option, &words(&[target]));
    world.variable("none", option, &words(&[0]));
    assert_eq!(world.show("{some} {none}"), "Some(7) None");

    // Option<Option<bool>>: 0 and 1 are data, 2 is Some(None), 3 is None.
    let boolean = world.types.base("bool");
    let byte = world.types.base("u8");
    let inner = world.types.enumeration(
        "Option<bool>",
        1,
        Some((0, byte)),
        &[
            ("None", &[(2, 2)], &[]),
            ("Some", &[], &[("__0", 0, boolean)]),
        ],
    );
    let outer = world.types.enumeration(
        "Option<Option<bool>>",
        1,
        Some((0, byte)),
        &[
            ("None", &[(3, 3)], &[]),
            ("Some", &[], &[("__0", 0, inner)]),
        ],
    );
    for (bits, expected) in [
        (0, "Some(Some(false))"),
        (1, "Some(Some(true))"),
        (2, "Some(None)"),
        (3, "None"),
        (9, "Some(Some(<invalid bool 9>))"),
    ] {
        world.scope.variables.clear();
        world.variable("x", outer, &[bits]);
        assert_eq!(world.show("{x}"), expected);
    }

    // Option<Vec<u8>>: None is a capacity that cannot be.
    let vec = world.types.vec(byte);
    let word = world.types.base("u64");
    let option = world.types.enumeration(
        "Option<Vec<u8>>",
        24,
        Some((0, word)),
        &[
            ("None", &[(1 << 63, 1 << 63)], &[]),
            ("Some", &[], &[("__0", 0, vec)]),
        ],
    );
    let some = world.vector(&[1, 2], 2);
    world.variable("some", option, &some);
    world.variable("none", option, &words(&[1 << 63, 1, 1 << 40]));
    assert_eq!(world.show("{some} {none}"), "Some([1, 2]) None");
}

#[test]
fn enums_with_little_to_choose() {
    let mut world = World::new();
    let byte = world.types.base("u8");
    let single = world
        .types
        .enumeration("Only", 1, None, &[("One", &[], &[("__0", 0, byte)])]);
    let never = world.types.enumeration("Never", 0, None, &[]);
    let unclear = world.types.enumeration(
        "Unclear",
        1,
        Some((0, byte)),
        &[("A", &[], &[]), ("B", &[], &[])],
    );
    let kind = |signed| TypeKind::Enumeration {
        signed,
        enumerators: vec![("Low".into(), -1), ("High".into(), 254)],
    };
    let signed = world.types.add("Level", 1, kind(true));
    let unsigned = world.types.add("Level", 1, kind(false));
    world.variable("single", single, &[3]);
    world.variable("never", never, &[]);
    world.variable("unclear", unclear, &[3]);
    world.variable("signed", signed, &[255]);
    world.variable("unsigned", unsigned, &[254]);
    world.variable("invalid", unsigned, &[255]);
    assert_eq!(
        world.show("{single} {never} {unclear}"),
        "One(3) <value of a type without values> <unknown variant>"
    );
    assert_eq!(
        world.show("{signed} {unsigned} {invalid}"),
        "Low High <invalid discriminant 255>"
    );
}

#[test]
fn results_and_recursion() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let string = world.types.string();
    let result = world.types.enumeration(
        "Result",
        32,
        Some((0, number)),
        &[
            ("Ok", &[(0, 0)], &[("__0", 4, number)]),
            ("Err", &[(1, 1)], &[("__0", 8, string)]),
        ],
    );
    let ok = [&0u32.to_le_bytes()[..], &7u32.to_le_bytes(), &[0; 24]].concat();
    let failed = [words(&[1]), world.vector(b"no", 2)].concat();
    world.variable("ok", result, &ok);
    world.variable("err", result, &failed);
    assert_eq!(world.show("{ok} {err}"), r#"Ok(7) Err("no")"#);

    let node = world.types.declare();
    let boxed = world
        .types
        .pointer("alloc::boxed::Box<list::Node, alloc::alloc::Global>", node);
    let next = world.types.niche_option(boxed);
    let defined =
        world
            .types
            .structure("list::Node", 16, &[("value", 8, number), ("next", 0, next)]);
    world.types.define(node, defined);
    let mut at = 0;
    for value in [3u64, 2, 1] {
        at = world.heap(&words(&[at, value]));
    }
    world.variable("list", next, &words(&[at]));
    assert_eq!(
        world.show("{list}"),
        "Some(Node { value: 1, next: Some(Node { value: 2, next: Some(Node { value: 3, next: None }) }) })"
    );
    world.limits.depth = 3;
    assert_eq!(
        world.show("{list}"),
        "Some(Node { value: 1, next: Some(Node { .. }) })"
    );
    // A circle ends at the depth.
    let circle = world.heap(&[0; 16]);
    world.memory.put(circle, &words(&[circle, 9]));
    world.variable("circle", next, &words(&[circle]));
    assert_eq!(
        world.show("{circle}"),
        "Some(Node { value: 9, next: Some(Node { .. }) })"
    );
}

#[test]
fn pointers() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let raw = world.types.pointer("*const u32", number);
    let code = world.types.add("fn()", 0, TypeKind::Function);
    let function = world.types.pointer("fn()", code);
    let reference = world.types.reference(number);
    let double = world.types.reference(reference);
    let boxed = world.types.boxed(double);
    let unknown = world
        .types
        .add("odd", 4, TypeKind::Unknown("a bit field".into()));
    let target = world.heap(&7u32.to_le_bytes());
    let second = world.heap(&words(&[target]));
    let third = world.heap(&words(&[second]));
    world.variable("raw", raw, &words(&[target]));
    let several = world.types.array(raw, 2);
    world.variable("several", several, &words(&[target, 1]));
    let inner = world.types.structure(
        "core::cell::UnsafeCell<*const u32>",
        8,
        &[("value", 0, raw)],
    );
    let cell = world
        .types
        .structure("core::cell::Cell<*const u32>", 8, &[("value", 0, inner)]);
    world.variable("cell", cell, &words(&[target]));
    world.variable("function", function, &words(&[0x1234]));
    world.variable("boxed", boxed, &words(&[third]));
    world.variable("wild", reference, &words(&[0x10]));
    world.variable(
        "register",
        reference,
        &words(&[crate::capture::program::pseudo(0)]),
    );
    world.variable("unknown", unknown, &[0; 4]);
    assert_eq!(
        world.show("{raw} {*raw} {function}"),
        format!("{target:#x} 7 0x1234")
    );
    // `first` gives a reference.
    assert_eq!(
        world.show(
            "{*several.first().unwrap()} {**several.first().unwrap()} {*several.last().unwrap()}"
        ),
        format!("{target:#x} 7 0x1")
    );
    assert_eq!(
        world.show(
            "{*several.iter().nth(0).unwrap()} {*several.first().copied().unwrap()} {*cell.get()}"
        ),
        format!("{target:#x} 7 7")
    );
    assert_eq!(
        world.show("{boxed} {*boxed} {***boxed} {&&boxed} {*&boxed}"),
        "7 7 7 7 7"
    );
    assert_eq!(
        world.show("{wild} {*wild} {register}"),
        "<unreadable 0x10> <unreadable 0x10> <unreadable 0x8000000000000000>"
    );
    assert_eq!(world.show("{unknown}"), "<unknown type: a bit field>");
}

#[test]
fn trait_objects_are_named_not_followed() {
    let mut world = World::new();
    let nothing = world.types.base("()");
    let raw = world.types.pointer("*const ()", nothing);
    let object = world.types.structure(
        "&dyn core::fmt::Debug",
        16,
        &[("pointer", 0, raw), ("vtable", 8, raw)],
    );
    let boxed = world.types.structure(
        "alloc::boxed::Box<dyn core::fmt::Debug, alloc::alloc::Global>",
        16,
        &[("pointer", 0, raw), ("vtable", 8, raw)],
    );
    world.variable("a", object, &words(&[0x10, 0x20]));
    world.variable("b", boxed, &words(&[0x10, 0x20]));
    assert_eq!(
        world.show("{a} {b}"),
        "<&dyn core::fmt::Debug at 0x10> <alloc::boxed::Box<dyn core::fmt::Debug> at 0x10>"
    );
}

#[test]
fn limits_are_marked() {
    let mut world = World::new();
    world.limits = Limits {
        depth: 2,
        elements: 3,
        bytes: 4,
        record: 4096,
    };
    let text = world.types.text();
    let bytes = world.fat("aééé".as_bytes(), 7);
    world.variable("s", text, &bytes);
    let byte = world.types.base("u8");
    let vec = world.types.vec(byte);
    let bytes = world.vector(&[1, 2, 3, 4, 5], 5);
    world.variable("v", vec, &bytes);
    let array = world.types.array(byte, 1000);
    world.variable("a", array, &[7; 1000]);
    let deep = world.types.vec(vec);
    let deeper = world.types.vec(deep);
    let bytes = world.vector(&bytes, 1);
    let bytes = world.vector(&bytes, 1);
    world.variable("w", deeper, &bytes);
    assert_eq!(world.show("{s}"), r#""aé" .. 4 more bytes"#);
    assert_eq!(
        world.show("{v} {a}"),
        "[1, 2, 3, .. 2 more] [7, 7, 7, .. 997 more]"
    );
    assert_eq!(world.show("{w}"), "[[[..]]]");
}

#[test]
fn the_record_is_shared_fairly() {
    let mut world = World::new();
    world.limits = Limits {
        depth: 4,
        elements: 4096,
        bytes: 1 << 20,
        record: 2048,
    };
    let text = world.types.text();
    let long = world.fat(&[b'x'; 5000], 5000);
    let short = world.fat(b"short", 5);
    world.variable("long", text, &long);
    world.variable("short", text, &short);
    let shown = world.show("{long} {short}");
    assert!(shown.ends_with(r#" more bytes "short""#), "{shown}");
    assert!(shown.starts_with("\"xxx"), "{shown}");
}

#[test]
fn senseless_lengths_read_nothing() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let vec = world.types.vec(number);
    let text = world.types.text();
    let target = world.heap(&[1; 64]);
    world.variable("v", vec, &words(&[1, target, 1 << 62]));
    world.variable("s", text, &words(&[target, 1 << 63]));
    world.variable("t", text, &words(&[0, 4]));
    world.variable("n", vec, &words(&[0, 0x10, 4]));
    assert_eq!(
        world.show("{v} {v[0]} {s}"),
        "<invalid length 4611686018427387904> <invalid length 4611686018427387904> <invalid length 9223372036854775808>"
    );
    assert_eq!(
        world.show("{t} {n}"),
        "<unreadable 0x0> [<unreadable 0x10>, .. 3 more]"
    );
}

#[test]
fn text_that_is_not_utf8() {
    let mut world = World::new();
    let text = world.types.text();
    let bytes = world.fat(b"a\xffb", 3);
    world.variable("s", text, &bytes);
    assert_eq!(world.show("{s}"), "\"a\u{fffd}b\" <not UTF-8>");
}

#[test]
fn one_bad_expression_leaves_the_others_alone() {
    let mut world = World::new();
    let number = world.types.base("u32");
    let point = world
        .types
        .structure("Point", 8, &[("x", 0, number), ("y", 4, number)]);
    let pair = world.types.structure("(u32,)", 4, &[("__0", 0, number)]);
    let missing = TypeRef {
        module: 9,
        entry: 999,
    };
    let array = world.types.array(number, 2);
    let raw = world.types.pointer("*const Point", point);
    world.variable("point", point, &[1, 0, 0, 0, 2, 0, 0, 0]);
    world.variable("pair", pair, &[3, 0, 0, 0]);
    world.variable("broken", missing, &[]);
    world.variable("array", array, &[0; 8]);
    world.variable("raw", raw, &[0; 8]);
    for (expression, error) in [
        (
            "pont",
            "no variable `pont` is visible here; did you mean `point`?",
        ),
        (
            "zzzzz",
            "no variable `zzzzz` is visible here; there are `point`, `pair`, `broken`, `array`, `raw`",
        ),
        ("point.z", "no field `z` in `Point`; did you mean `x`, `y`?"),
        ("pair.1", "no field `1` in `(u32,)`; did you mean `0`?"),
        ("pair.0.0", "no field `0` in `u32`"),
        (
            "raw.x",
            "no field `x` in `*const Point`; write `(*pointer).x` for a field of its target",
        ),
        ("point[0]", "`Point` cannot be indexed"),
        (
            "array[2]",
            "index 2 is out of bounds: `[u32; 2]` has 2 elements",
        ),
        (
            "array[point]",
            "`Point` is not an integer of at most 64 bits, so it cannot be an index",
        ),
        ("*point", "`Point` cannot be dereferenced"),
        (
            "*5",
            "`*` on a literal is not supported: only values of the program have fields, elements and targets",
        ),
        ("broken", "its type cannot be read: no such type"),
        (
            "point +",
            "`point +` is not a Rust expression: unexpected end of input, expected an expression",
        ),
    ] {
        let compiled = world.compile(&format!("{{point.x}}{{{expression}}}{{pair}}"));
        let errors: Vec<(usize, String)> = compiled
            .errors
            .iter()
            .map(|(at, error)| (*at, error.to_string()))
            .collect();
        assert_eq!(errors, [(1, error.to_string())]);
        assert_eq!(
            world.show(&format!("{{point.x}}|{{{expression}}}|{{pair}}")),
            format!("1|<error: {error}>|(3,)")
        );
    }
}

/// Only damaged debug information has such types.
#[test]
fn types_that_contain_themselves_end() {
    let mut world = World::new();
    let itself = world.types.declare();
    let members = [("a", 0, itself), ("b", 300, itself), ("c", 600, itself)];
    let defined = world.types.structure("x::Endless", 1000, &members);
    world.types.define(itself, defined);
    let reference = world.types.declare();
    let defined = world.types.reference(reference);
    world.types.define(reference, defined);
    world.variable("x", itself, &[0; 1000]);
    world.variable("r", reference, &words(&[super::world::STACK + 0x1000]));
    world.limits.depth = 2;
    let inner = "Endless { .. }";
    let middle = format!("Endless {{ a: {inner}, b: {inner}, c: {inner} }}");
    let outer = format!("Endless {{ a: {middle}, b: {middle}, c: {middle} }}");
    assert_eq!(world.show("{x} {r}"), format!("{outer} .."));
}

#[test]
fn short_names() {
    use crate::capture::views::short_name;
    for (path, name) in [
        ("u32", "u32"),
        (
            "alloc::vec::Vec<core::option::Option<u8>, alloc::alloc::Global>",
            "Vec",
        ),
        ("a::b::{closure_env#0}<fn(a::X) -> b::Y>", "{closure_env#0}"),
        ("a::{impl#3}::f::Local", "Local"),
        ("a::Gen<fn() -> a::B>::Inner", "Inner"),
        ("", ""),
        ("a::", ""),
    ] {
        assert_eq!(short_name(path), name);
    }
}
