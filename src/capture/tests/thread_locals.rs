//! Thread-locals that have a state, in the layouts that std has had.

use super::world::{World, members};
use crate::symbols::types::{TypeKind, TypeRef};

const NONE: &str = "<no value in this thread: not made yet, or destroyed>";

/// A `Storage` of a `u32`.
fn storage(world: &mut World, name: &str, fields: &[(&str, u64, TypeRef)]) -> TypeRef {
    let word = world.types.base("u32");
    let kind = TypeKind::Struct {
        members: members(fields),
        parameters: vec![("T".into(), word)],
    };
    let name = format!("std::sys::thread_local::native::{name}");
    world.types.add(&name, 8, kind)
}

/// Something in a cell, as `core` nests it.
fn cell(world: &mut World, inner: TypeRef) -> TypeRef {
    let size = world.types.get(inner).size;
    let cell = [("value", 0, inner)];
    let unsafe_cell = world
        .types
        .structure("core::cell::UnsafeCell<_>", size, &cell);
    let cell = [("value", 0, unsafe_cell)];
    world.types.structure("core::cell::Cell<_>", size, &cell)
}

#[test]
fn a_lazy_one_has_its_value_while_it_is_alive() {
    let mut world = World::new();
    let (tag, word) = (world.types.base("u8"), world.types.base("u32"));
    let names = [("Uninitialized", 0), ("Alive", 1), ("Destroyed", 2)];
    let variants = names.map(|(name, value)| (name, [(value, value)]));
    let variants: Vec<_> = variants
        .iter()
        .map(|(name, it)| (*name, &it[..], &[][..]))
        .collect();
    let state = world
        .types
        .enumeration("State<()>", 1, Some((0, tag)), &variants);
    let state = cell(&mut world, state);
    let fields = [("value", 0, word), ("state", 4, state)];
    let ty = storage(&mut world, "lazy::Storage<u32, ()>", &fields);
    for (name, state) in [("UNMADE", 0), ("THERE", 1), ("GONE", 2)] {
        world.variable(name, ty, &[9, 0, 0, 0, state, 0, 0, 0]);
    }
    assert_eq!(
        world.show("{UNMADE}; {THERE + 1}; {GONE}"),
        format!("{NONE}; 10; {NONE}")
    );
}

#[test]
fn its_state_may_hold_the_value() {
    let mut world = World::new();
    let (tag, word) = (world.types.base("u32"), world.types.base("u32"));
    let state = world.types.enumeration(
        "State<u32, ()>",
        8,
        Some((0, tag)),
        &[
            ("Initial", &[(0, 0)], &[]),
            ("Alive", &[(1, 1)], &[("__0", 4, word)]),
            ("Destroyed", &[(2, 2)], &[]),
        ],
    );
    let unsafe_cell = world
        .types
        .structure("core::cell::UnsafeCell<_>", 8, &[("value", 0, state)]);
    let kind = TypeKind::Struct {
        members: members(&[("state", 0, unsafe_cell)]),
        parameters: vec![("T".into(), word)],
    };
    let name = "std::sys::thread_local::native::lazy::Storage<u32, ()>";
    let ty = world.types.add(name, 8, kind);
    for (name, state) in [("UNMADE", 0), ("THERE", 1), ("GONE", 2)] {
        world.variable(name, ty, &[state, 0, 0, 0, 9, 0, 0, 0]);
    }
    assert_eq!(
        world.show("{UNMADE}; {THERE + 1}; {GONE}"),
        format!("{NONE}; 10; {NONE}")
    );
}

#[test]
fn an_eager_one_has_its_value_until_it_is_destroyed() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let enumerators = [("Initial", 0), ("Alive", 1), ("Destroyed", 2)];
    let kind = TypeKind::Enumeration {
        signed: false,
        enumerators: enumerators.map(|(name, value)| (name.into(), value)).into(),
    };
    let state = world.types.add("State", 1, kind);
    let state = cell(&mut world, state);
    let fields = [("val", 0, word), ("state", 4, state)];
    let ty = storage(&mut world, "eager::Storage<u32>", &fields);
    for (name, state) in [("FRESH", 0), ("THERE", 1), ("GONE", 2)] {
        world.variable(name, ty, &[9, 0, 0, 0, state, 0, 0, 0]);
    }
    assert_eq!(
        world.show("{FRESH}; {THERE + 1}; {GONE}"),
        format!("9; 10; {NONE}")
    );
}

#[test]
fn another_layout_is_not_known() {
    let mut world = World::new();
    let word = world.types.base("u32");
    let fields = [("value", 0, word), ("stage", 4, word)];
    let ty = storage(&mut world, "lazy::Storage<u32, ()>", &fields);
    world.variable("COUNT", ty, &[9, 0, 0, 0, 1, 0, 0, 0]);
    let shown = world.show("{COUNT}");
    assert!(
        shown.contains("keeps its value in a way that is not known"),
        "{shown}"
    );
}
