//! A program whose variables are of many types, each with a value that is known.

use super::{STACK, World, pieces, words};
use crate::symbols::place::{Missing, Register, Source};
use crate::symbols::types::{TypeKind, TypeRef};

impl World {
    /// See the file.
    pub fn of_many_types() -> Self {
        let mut world = Self::new();
        let number = |world: &mut World, name: &str, ty: &str, value: i128| {
            let found = world.types.base(ty);
            let size = world.types.get(found).size as usize;
            world.variable(name, found, &value.to_le_bytes()[..size]);
        };
        for (name, ty, value) in [
            ("small", "u8", 250),
            ("i", "i32", -7),
            ("n", "u32", 41),
            ("at", "usize", 1),
            ("wide", "i128", i128::MIN + 1),
            ("zero", "u64", 0),
            ("yes", "bool", 1),
            ("letter", "char", 'x' as i128),
        ] {
            number(&mut world, name, ty, value);
        }
        let float = world.types.base("f64");
        world.variable("f", float, &2.75f64.to_le_bytes());
        let negative = world.types.base("f32");
        world.variable("g", negative, &(-0.5f32).to_le_bytes());
        let nan = world.types.base("f64");
        world.variable("nan", nan, &f64::NAN.to_le_bytes());

        let text = world.types.text();
        let bytes = world.fat("päron".as_bytes(), 6);
        world.variable("s", text, &bytes);
        let string = world.types.string();
        let bytes = world.vector(b"BTC-USD", 7);
        world.variable("symbol", string, &bytes);

        let element = world.types.base("u16");
        let vector = world.types.vec(element);
        let bytes = world.vector(&[3, 0, 1, 0, 2, 0, 9, 0], 4);
        world.variable("v", vector, &bytes);
        world.variable("empty", vector, &words(&[0, 8, 0]));
        let array = world.types.array(element, 3);
        world.variable("array", array, &[7, 0, 8, 0, 9, 0]);

        let option = option(&mut world, element);
        world.variable("some", option, &[1, 0, 5, 0]);
        world.variable("none", option, &[0, 0, 5, 0]);
        let boxed = world.types.boxed(element);
        let niche = world.types.niche_option(boxed);
        let target = world.heap(&[77, 0]);
        world.variable("niche", niche, &words(&[target]));
        let result = result(&mut world);
        world.variable("ok", result, &[0, 0, 0, 0, 9, 0, 0, 0]);
        world.variable("err", result, &[1, 0, 0, 0, 255, 255, 255, 255]);

        let side = world.types.add(
            "orders::Side",
            1,
            TypeKind::Enumeration {
                signed: false,
                enumerators: vec![("Buy".into(), 0), ("Sell".into(), 5)],
            },
        );
        world.variable("side", side, &[5]);
        world.variable("other", side, &[0]);
        let word = world.types.base("u32");
        let shape = world.types.base("u8");
        let event = world.types.enumeration(
            "orders::Event",
            8,
            Some((0, shape)),
            &[
                ("Idle", &[(0, 0)], &[]),
                ("Move", &[(1, 1)], &[("x", 4, word), ("y", 2, element)]),
                ("Pair", &[(2, 2)], &[("__0", 2, element), ("__1", 4, word)]),
            ],
        );
        world.variable("event", event, &[1, 0, 6, 0, 8, 0, 0, 0]);
        world.variable("idle", event, &[0; 8]);
        let order = world
            .types
            .structure("Order", 32, &[("id", 24, word), ("name", 0, string)]);
        let bytes = [world.vector(b"first", 5), vec![12, 0, 0, 0, 0, 0, 0, 0]].concat();
        world.variable("order", order, &bytes);
        let reference = world.types.reference(order);
        let at = STACK + 0x1000 * (world.scope.variables.len() as u64 - 1);
        world.variable("r", reference, &words(&[at]));
        let orders = world.types.vec(order);
        let bytes = world.vector(&bytes, 1);
        world.variable("orders", orders, &bytes);
        let sizes = world.types.slice(element);
        let bytes = world.fat(&[4, 0, 5, 0], 2);
        world.variable("sizes", sizes, &bytes);
        let link = world.types.declare();
        let boxed = world.types.boxed(link);
        let next = world.types.niche_option(boxed);
        let whole = world
            .types
            .structure("Link", 16, &[("next", 0, next), ("id", 8, word)]);
        world.types.define(link, whole);
        let last = world.heap(&words(&[0, 2]));
        world.variable("chain", link, &words(&[last, 1]));
        world.located(
            "gone",
            word,
            pieces(vec![(0, 4, Source::Missing(Missing::OptimizedOut))]),
        );
        world.located(
            "register",
            word,
            pieces(vec![(
                0,
                4,
                Source::Register {
                    register: Register::General(3),
                    skip: 0,
                },
            )]),
        );
        world.memory.set(Register::General(3), 1000);
        world
    }
}

fn option(world: &mut World, payload: TypeRef) -> TypeRef {
    let tag = world.types.base("u16");
    world.types.enumeration(
        "core::option::Option<u16>",
        4,
        Some((0, tag)),
        &[
            ("None", &[(0, 0)], &[]),
            ("Some", &[(1, 1)], &[("__0", 2, payload)]),
        ],
    )
}

fn result(world: &mut World) -> TypeRef {
    let tag = world.types.base("u32");
    let good = world.types.base("u32");
    let bad = world.types.base("i32");
    world.types.enumeration(
        "core::result::Result<u32, i32>",
        8,
        Some((0, tag)),
        &[
            ("Ok", &[(0, 0)], &[("__0", 4, good)]),
            ("Err", &[(1, 1)], &[("__0", 4, bad)]),
        ],
    )
}
