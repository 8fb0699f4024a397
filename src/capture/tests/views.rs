//! Views: the user's own, layouts that are not known, and what is redacted.

use super::world::{World, members, used, words};
use crate::capture::redact::Redaction;
use crate::symbols::types::{TypeKind, TypeRef};
use crate::type_view::{Shape, TypeView};
use std::sync::Arc;

fn with_views(world: &mut World, views: Vec<TypeView>) {
    world.knowledge.views = views.into();
}

fn redacting(world: &mut World, strict: bool) {
    world.knowledge.redaction = Arc::new(Redaction::new(["password", "secret"], strict));
}

/// `shop::Money { units: 12, cents: 50 }`
fn money(world: &mut World) {
    let word = world.types.base("u32");
    let ty = world
        .types
        .structure("shop::Money", 8, &[("units", 0, word), ("cents", 4, word)]);
    world.variable("x", ty, &[12, 0, 0, 0, 50, 0, 0, 0]);
}

#[test]
fn a_format_shows_fields_in_text() {
    let mut world = World::new();
    money(&mut world);
    let format = |text: &str| vec![TypeView::new("shop::M*", Shape::Format(text.into()))];
    with_views(&mut world, format("{units}.{cents} EUR"));
    assert_eq!(world.show("{x}"), "12.50 EUR");
    with_views(&mut world, format("{cents}"));
    assert_eq!(world.show("{x}"), "50");
}

#[test]
fn a_view_that_does_not_fit_is_no_view() {
    let plain = "Money { units: 12, cents: 50 }";
    for shape in [
        Shape::Format("{units}.{pennies}".into()),
        Shape::Format("{units".into()),
        Shape::Text {
            data: "units".into(),
            length: "cents".into(),
        },
        Shape::Sequence {
            data: "units".into(),
            length: "cents".into(),
        },
    ] {
        let mut world = World::new();
        money(&mut world);
        with_views(
            &mut world,
            vec![TypeView::new("shop::Money", shape.clone())],
        );
        assert_eq!(world.show("{x}"), plain, "{shape:?}");
    }
}

#[test]
fn text_and_sequences_of_ones_own() {
    let mut world = World::new();
    let (byte, count) = (world.types.base("u8"), world.types.base("usize"));
    let start = world.types.pointer("*const u8", byte);
    let name = world
        .types
        .structure("shop::Name", 16, &[("start", 0, start), ("size", 8, count)]);
    let bytes = world.fat(b"text", 4);
    world.variable("x", name, &bytes);
    let (data, length) = ("start".to_owned(), "size".to_owned());
    let text = Shape::Text {
        data: data.clone(),
        length: length.clone(),
    };
    with_views(&mut world, vec![TypeView::new("shop::Name", text)]);
    assert_eq!(world.show("{x}"), "\"text\"");
    let sequence = Shape::Sequence { data, length };
    with_views(&mut world, vec![TypeView::new("shop::Name", sequence)]);
    assert_eq!(world.show("{x}"), "[116, 101, 120, 116]");
}

/// A struct of std's name whose fields are others than those that are known.
fn stranger(name: &str) -> String {
    let mut world = World::new();
    let word = world.types.base("u32");
    let ty = world
        .types
        .structure(name, 8, &[("ptr", 0, word), ("len", 4, word)]);
    world.variable("x", ty, &[1, 0, 0, 0, 2, 0, 0, 0]);
    world.show("{x}")
}

#[test]
fn an_unknown_layout_is_shown_by_its_plain_structure() {
    for (name, short) in [
        ("alloc::string::String", "String"),
        ("alloc::vec::Vec<u32, alloc::alloc::Global>", "Vec"),
        ("alloc::rc::Rc<u32, alloc::alloc::Global>", "Rc"),
        ("core::cell::RefCell<u32>", "RefCell"),
        ("std::sync::poison::mutex::Mutex<u32>", "Mutex"),
        ("hashbrown::map::HashMap<u32, u32, S, A>", "HashMap"),
        (
            "alloc::collections::btree::map::BTreeMap<u32, u32, A>",
            "BTreeMap",
        ),
        ("core::time::Duration", "Duration"),
        ("smallvec::SmallVec<[u32; 4]>", "SmallVec"),
        ("time::date::Date", "Date"),
    ] {
        assert_eq!(stranger(name), format!("{short} {{ ptr: 1, len: 2 }}"));
    }
}

/// `Config { user: 7, password: "hunter2" }`
fn config(world: &mut World) -> TypeRef {
    let (word, text) = (world.types.base("u32"), world.types.text());
    let ty = world.types.structure(
        "shop::Config",
        24,
        &[("user", 0, word), ("password", 8, text)],
    );
    let mut bytes = words(&[7]);
    bytes.extend(world.fat(b"hunter2", 7));
    world.variable("config", ty, &bytes);
    ty
}

#[test]
fn what_names_a_secret_is_redacted() {
    let mut world = World::new();
    config(&mut world);
    redacting(&mut world, false);
    let hidden = "Config { user: 7, password: <redacted> }";
    assert_eq!(world.show("{config}"), hidden);
    assert_eq!(world.show("{config.password}"), "\"hunter2\"");
    redacting(&mut world, true);
    assert_eq!(world.show("{config}"), hidden);
    assert_eq!(world.show("{config.password}"), "<redacted>");
    assert_eq!(world.show("{config.user}"), "7");
}

#[test]
fn a_view_names_a_secret_on_purpose() {
    let mut world = World::new();
    config(&mut world);
    let view = Shape::Format("token of {user}: {password}".into());
    with_views(&mut world, vec![TypeView::new("shop::Config", view)]);
    redacting(&mut world, false);
    assert_eq!(world.show("{config}"), "token of 7: \"hunter2\"");
    redacting(&mut world, true);
    let hidden = "Config { user: 7, password: <redacted> }";
    assert_eq!(world.show("{config}"), hidden);
}

#[test]
fn what_a_variant_named_like_a_secret_holds_is_redacted() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let ty = world.types.enumeration(
        "shop::Login",
        8,
        Some((0, word)),
        &[
            ("Secret", &[(0, 0)], &[("__0", 4, word)]),
            ("Open", &[(1, 1)], &[("__0", 4, word)]),
        ],
    );
    world.variable("login", ty, &[0, 0, 0, 0, 9, 0, 0, 0]);
    world.variable("other", ty, &[1, 0, 0, 0, 9, 0, 0, 0]);
    for strict in [false, true] {
        redacting(&mut world, strict);
        assert_eq!(world.show("{login} {other}"), "Secret(<redacted>) Open(9)");
    }
}

#[test]
fn a_secret_is_not_even_captured() {
    let mut world = World::new();
    config(&mut world);
    redacting(&mut world, false);
    let compiled = world.compile("{config}");
    let mut record = vec![0; world.limits.record];
    let ran = crate::capture::interp::run(&compiled.program, &mut world.memory, &mut record);
    let captured = &record[..used(ran)];
    assert!(!captured.windows(7).any(|bytes| bytes == b"hunter2"));
}

#[test]
fn types_of_secrets_are_redacted_wherever_they_stand() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let secret = world
        .types
        .structure("shop::Secret", 4, &[("__0", 0, word)]);
    let kind = TypeKind::Struct {
        members: members(&[("key", 0, secret), ("id", 4, word)]),
        parameters: Vec::new(),
    };
    let outer = world.types.add("shop::Login", 8, kind);
    world.variable("login", outer, &[1, 0, 0, 0, 2, 0, 0, 0]);
    world.variable("key", secret, &[3, 0, 0, 0]);
    redacting(&mut world, false);
    assert_eq!(world.show("{login}"), "Login { key: <redacted>, id: 2 }");
    assert_eq!(world.show("{key}"), "Secret(3)");
    assert_eq!(world.show("{login.key}"), "Secret(1)");
    redacting(&mut world, true);
    assert_eq!(
        world.show("{key} {key.0} {login.key}"),
        "<redacted> <redacted> <redacted>"
    );
}

#[test]
fn what_is_paired_with_the_name_of_a_secret_is_redacted() {
    let mut world = World::new();
    let (word, text) = (world.types.base("usize"), world.types.text());
    let pair = world
        .types
        .structure("(&str, usize)", 24, &[("__0", 0, text), ("__1", 16, word)]);
    for (variable, name) in [("open", "accept"), ("shut", "X-Pass-Word")] {
        let mut bytes = world.fat(name.as_bytes(), name.len() as u64);
        bytes.extend(words(&[4711]));
        world.variable(variable, pair, &bytes);
    }
    redacting(&mut world, false);
    assert_eq!(world.show("{open}"), "(\"accept\", 4711)");
    assert_eq!(world.show("{shut}"), "(\"X-Pass-Word\", <redacted>)");
    assert_eq!(world.show("{shut.1}"), "4711");
    redacting(&mut world, true);
    assert_eq!(world.show("{shut.1}"), "<redacted>");
    assert_eq!(world.show("{matches!(shut, (_, 4711))}"), "<redacted>");
}

#[test]
fn what_has_the_name_of_a_secret_beside_it_is_redacted() {
    let mut world = World::new();
    let (word, text) = (world.types.base("usize"), world.types.text());
    let members = [("hash", 0, word), ("key", 8, text), ("value", 24, word)];
    let bucket = world.types.structure("http::Bucket", 32, &members);
    for (variable, name) in [("open", "accept"), ("shut", "x-password")] {
        let mut bytes = words(&[1]);
        bytes.extend(world.fat(name.as_bytes(), name.len() as u64));
        bytes.extend(words(&[4711]));
        world.variable(variable, bucket, &bytes);
    }
    redacting(&mut world, false);
    assert_eq!(
        world.show("{open} {shut}"),
        "Bucket { hash: 1, key: \"accept\", value: 4711 } Bucket { hash: 1, key: \"x-password\", value: <redacted> }"
    );
    redacting(&mut world, true);
    assert_eq!(world.show("{shut.value}"), "<redacted>");
    let members = [("name", 0, word), ("key", 8, text), ("val", 24, word)];
    let setting = world.types.structure("shop::Setting", 32, &members);
    let mut bytes = words(&[1]);
    bytes.extend(world.fat(b"password", 8));
    bytes.extend(words(&[4711]));
    world.variable("setting", setting, &bytes);
    assert_eq!(
        world.show("{setting} {setting.val}"),
        "Setting { name: 1, key: \"password\", val: <redacted> } <redacted>"
    );
}

#[test]
fn a_type_with_a_view_of_the_users_is_not_compared() {
    let mut world = World::new();
    let text = world.types.text();
    let name = world
        .types
        .structure("shop::CaseInsensitive", 16, &[("inner", 0, text)]);
    let bytes = world.fat(b"abc", 3);
    world.variable("name", name, &bytes);
    with_views(
        &mut world,
        vec![TypeView::new(
            "shop::Case*",
            Shape::Format("{inner}".into()),
        )],
    );
    assert_eq!(world.show("{name}"), "\"abc\"");
    assert_eq!(world.show("{name.inner == \"abc\"}"), "true");
    for refused in ["name == \"abc\"", "name.as_str()", "name.into()"] {
        let shown = world.show(&format!("{{{refused}}}"));
        assert!(shown.starts_with("<error: "), "{refused}: {shown}");
    }
}

#[test]
fn what_is_paired_with_a_name_that_cannot_be_read_whole_is_redacted() {
    let mut world = World::new();
    redacting(&mut world, false);
    let (word, text) = (world.types.base("usize"), world.types.text());
    let string = world.types.string();
    let header = world
        .types
        .structure("shop::Header", 16, &[("__0", 0, text)]);
    let nowhere = 0x10_0000_0000_u64;
    for (key, mut bytes) in [
        (string, words(&[8, nowhere, 8])),
        (header, words(&[nowhere, 8])),
    ] {
        let size = bytes.len() as u64;
        let members = [("__0", 0, key), ("__1", size, word)];
        let pair = world.types.structure("(K, usize)", size + 8, &members);
        bytes.extend(words(&[4711]));
        world.scope.variables.clear();
        world.variable("pair", pair, &bytes);
        let shown = world.show("{pair}");
        assert!(shown.ends_with(", <redacted>)"), "{shown}");
        assert!(shown.contains("<unreadable"), "{shown}");
    }
    let long = "a name of which the end cannot be seen".repeat(200);
    let pair = world
        .types
        .structure("(&str, usize)", 24, &[("__0", 0, text), ("__1", 16, word)]);
    let mut bytes = world.fat(long.as_bytes(), long.len() as u64);
    bytes.extend(words(&[4711]));
    world.scope.variables.clear();
    world.variable("pair", pair, &bytes);
    let shown = world.show("{pair}");
    assert!(
        shown.ends_with(" more bytes, <redacted>)"),
        "{}",
        &shown[shown.len() - 60..]
    );
}

#[test]
fn what_is_paired_with_a_wrapped_name_of_a_secret_is_redacted() {
    let mut world = World::new();
    redacting(&mut world, false);
    let (word, text) = (world.types.base("usize"), world.types.text());
    let name = world
        .types
        .structure("shop::Header", 16, &[("__0", 0, text)]);
    let variant = world.types.enumeration(
        "shop::Key",
        24,
        Some((16, word)),
        &[
            ("Named", &[(0, 0)], &[("__0", 0, text)]),
            ("None", &[(1, 1)], &[]),
        ],
    );
    for (key, size, shown) in [(name, 16, "Header"), (variant, 24, "Named")] {
        let pair = world.types.structure(
            "(K, usize)",
            size + 8,
            &[("__0", 0, key), ("__1", size, word)],
        );
        for (name, value) in [("accept", "4711"), ("X-Pass-Word", "<redacted>")] {
            let mut bytes = world.fat(name.as_bytes(), name.len() as u64);
            bytes.resize(size as usize, 0);
            bytes.extend(words(&[4711]));
            world.scope.variables.clear();
            world.variable("pair", pair, &bytes);
            assert_eq!(
                world.show("{pair}"),
                format!("({shown}(\"{name}\"), {value})")
            );
        }
    }
}

/// `BTreeMap<u32, u32>`, as rustc 1.95 lays it out.
fn tree_type(world: &mut World) -> TypeRef {
    let types = &mut world.types;
    let (short, number, word) = (types.base("u16"), types.base("u32"), types.base("usize"));
    let numbers = types.array(number, 11);
    let index = types.structure("MaybeUninit<u16>", 2, &[("value", 0, short)]);
    let internal = types.declare();
    let parent = types.pointer("*const InternalNode", internal);
    let parent = types.niche_option(parent);
    let leaf = types.structure(
        "LeafNode",
        112,
        &[
            ("parent", 0, parent),
            ("keys", 8, numbers),
            ("vals", 52, numbers),
            ("parent_idx", 96, index),
            ("len", 98, short),
        ],
    );
    let leaf_pointer = types.pointer("*const LeafNode", leaf);
    let edges = types.array(leaf_pointer, 12);
    let whole = types.structure(
        "InternalNode",
        208,
        &[("data", 0, leaf), ("edges", 112, edges)],
    );
    types.define(internal, whole);
    let node = types.structure(
        "NodeRef",
        16,
        &[("node", 0, leaf_pointer), ("height", 8, word)],
    );
    let root = types.niche_option(node);
    let kind = TypeKind::Struct {
        members: members(&[("root", 0, root), ("length", 16, word)]),
        parameters: vec![("K".into(), number), ("V".into(), number)],
    };
    types.add(
        "alloc::collections::btree::map::BTreeMap<u32, u32, A>",
        24,
        kind,
    )
}

#[test]
fn a_damaged_tree_ends() {
    let mut world = World::new();
    let ty = tree_type(&mut world);
    let at = 0x6000_0000_0000_u64;
    let mut node = vec![0; 208];
    node[8..96].copy_from_slice(&[1, 0, 0, 0].repeat(22));
    node[98] = 11;
    // All that it leads to is itself.
    node[112..].copy_from_slice(&words(&[at; 12]));
    world.memory.put(at, &node);
    world.variable("x", ty, &words(&[at, 20, u64::MAX >> 1]));
    world.variable("leaf", ty, &words(&[at, 0, 11]));
    assert_eq!(world.show("{leaf.values().sum()}"), "11");
    let shown = world.show("{x.values().sum()}");
    assert!(shown.starts_with("<not captured: "), "{shown}");
}

/// An enum with a discriminant of 16 bytes, and a text in one of its variants.
fn wide(discriminant: u128) -> String {
    let mut world = World::new();
    let (tag, text) = (world.types.base("u128"), world.types.text());
    let ty = world.types.enumeration(
        "shop::Wide",
        32,
        Some((0, tag)),
        &[
            ("Nothing", &[(0, 0)], &[]),
            ("Text", &[(1, 1)], &[("__0", 16, text)]),
        ],
    );
    let mut bytes = discriminant.to_le_bytes().to_vec();
    bytes.extend(world.fat(b"wide", 4));
    world.variable("x", ty, &bytes);
    world.show("{x}")
}

#[test]
fn wide_pointers_are_shown_with_what_stands_beside_them() {
    let mut world = World::new();
    let (byte, word) = (world.types.base("u8"), world.types.base("usize"));
    let data = world.types.pointer("*const u8", byte);
    let table = world.types.array(word, 3);
    let table = world.types.reference(table);
    let slice = |world: &mut World, name| {
        let members = [("data_ptr", 0, data), ("length", 8, word)];
        world.types.structure(name, 16, &members)
    };
    let bytes = slice(&mut world, "*const [u8]");
    let path = slice(&mut world, "*mut std::path::Path");
    let members = [("pointer", 0, data), ("vtable", 8, table)];
    let object = world.types.structure("*const dyn app::Job", 16, &members);
    let name = "core::ptr::non_null::NonNull<[u8]>";
    let non_null = world.types.structure(name, 16, &[("pointer", 0, bytes)]);
    for (name, ty) in [
        ("bytes", bytes),
        ("path", path),
        ("object", object),
        ("inner", non_null),
    ] {
        world.variable(name, ty, &words(&[0x7ffe_5519_fb90, 0x2a]));
    }
    let slice = "Pointer { addr: 0x7ffe5519fb90, metadata: 42 }";
    assert_eq!(world.show("{bytes}"), slice);
    assert_eq!(world.show("{path}"), slice);
    assert_eq!(world.show("{inner}"), slice);
    assert_eq!(
        world.show("{object}"),
        "Pointer { addr: 0x7ffe5519fb90, metadata: DynMetadata(0x2a) }"
    );
    assert_eq!(
        world.show("{object:#?}"),
        "Pointer {\n    addr: 0x00007ffe5519fb90,\n    metadata: DynMetadata(\n        0x000000000000002a,\n    ),\n}"
    );
}

#[test]
fn elements_without_a_size_need_no_room() {
    let mut world = World::new();
    let (unit, word) = (world.types.base("()"), world.types.base("usize"));
    let array = world.types.array(unit, 4);
    let pointer = world.types.pointer("*const ()", unit);
    let heap = world.types.structure(
        "(NonNull<()>, usize)",
        16,
        &[("__0", 0, pointer), ("__1", 8, word)],
    );
    let kind = TypeKind::Union {
        members: members(&[("inline", 0, array), ("heap", 0, heap)]),
    };
    let data = world.types.add("smallvec::SmallVecData<[(); 4]>", 16, kind);
    let kind = TypeKind::Struct {
        members: members(&[("capacity", 16, word), ("data", 0, data)]),
        parameters: vec![("A".into(), array)],
    };
    let ty = world.types.add("smallvec::SmallVec<[(); 4]>", 24, kind);
    world.variable("small", ty, &words(&[8, 77, 5]));
    assert_eq!(world.show("{small}"), "[(), (), (), (), ()]");
    let vector = world.types.vec(unit);
    world.variable("v", vector, &words(&[0, 8, 3]));
    assert_eq!(
        world.show("{v.capacity()} {v.len()}"),
        "18446744073709551615 3"
    );
}

#[test]
fn a_discriminant_may_be_16_bytes_wide() {
    assert_eq!(wide(0), "Nothing");
    assert_eq!(wide(1), "Text(\"wide\")");
    let other = 1 | 1 << 64;
    assert_eq!(wide(other), format!("<invalid discriminant {other}>"));
}
