//! Real values in this process, read through hand-written descriptions of their types, against their own `{:?}`.

use super::world::{Types, VariantSketch, World, memory, used};
use crate::capture::compile::{Compiled, compile};
use crate::capture::interp::{self, Machine};
use crate::capture::logpoint::{Limits, Logpoint};
use crate::capture::template::Template;
use crate::symbols::place::{Formula, Register, Term};
use crate::symbols::types::TypeRef;
use proptest::prelude::*;
use std::fmt::Debug;
use std::mem::offset_of;

/// Our own memory, read as the tracer reads it.
struct Own;

impl Machine for Own {
    fn register(&mut self, _: Register) -> Option<[u8; 16]> {
        None
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        let local = libc::iovec {
            iov_base: out.as_mut_ptr().cast(),
            iov_len: out.len(),
        };
        let remote = libc::iovec {
            iov_base: address as *mut libc::c_void,
            iov_len: out.len(),
        };
        // SAFETY: the local buffer is ours; what the remote one names is checked by the kernel.
        let read = unsafe {
            libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        usize::try_from(read).unwrap_or(0)
    }

    fn count(&mut self) -> u64 {
        0
    }

    fn thread(&self) -> u64 {
        0
    }

    fn time(&self) -> u64 {
        0
    }
}

fn compiled<T>(value: &T, message: &str, describe: impl FnOnce(&mut Types) -> TypeRef) -> Compiled {
    let mut world = World::new();
    let ty = describe(&mut world.types);
    assert_eq!(world.types.get(ty).size, size_of::<T>() as u64);
    let address = std::ptr::from_ref(value).addr() as u64;
    world.located("x", ty, memory(Formula(vec![Term::Constant(address)])));
    let limits = Limits {
        record: 64 << 10,
        ..Limits::default()
    };
    let message = Template::parse(message).unwrap();
    compile(
        &Logpoint::new(&message),
        &world.scope,
        &world.types,
        &limits,
        &world.knowledge,
    )
    .unwrap()
}

fn show<T>(value: &T, message: &str, describe: impl FnOnce(&mut Types) -> TypeRef) -> String {
    let compiled = compiled(value, message, describe);
    let mut record = vec![0; 64 << 10];
    let length = used(interp::run(&compiled.program, &mut Own, &mut record));
    compiled.render(&record[..length])
}

fn agree<T: Debug>(value: &T, describe: impl FnOnce(&mut Types) -> TypeRef) {
    assert_eq!(show(value, "{x}", describe), format!("{value:?}"));
}

#[derive(Debug)]
#[allow(
    dead_code,
    reason = "read through its Debug implementation and by address"
)]
struct Order {
    symbol: &'static str,
    tags: Vec<String>,
    price: f64,
    next: Option<Box<Order>>,
    sides: (bool, char),
    levels: [i16; 3],
}

fn order(types: &mut Types) -> TypeRef {
    let text = types.text();
    let string = types.string();
    let strings = types.vec(string);
    let float = types.base("f64");
    let boolean = types.base("bool");
    let character = types.base("char");
    let small = types.base("i16");
    let sides = types.structure(
        "(bool, char)",
        8,
        &[
            ("__0", offset_of!((bool, char), 0) as u64, boolean),
            ("__1", offset_of!((bool, char), 1) as u64, character),
        ],
    );
    let levels = types.array(small, 3);
    let order = types.declare();
    let boxed = types.pointer("alloc::boxed::Box<own::Order, alloc::alloc::Global>", order);
    let next = types.niche_option(boxed);
    let defined = types.structure(
        "own::Order",
        size_of::<Order>() as u64,
        &[
            ("symbol", offset_of!(Order, symbol) as u64, text),
            ("tags", offset_of!(Order, tags) as u64, strings),
            ("price", offset_of!(Order, price) as u64, float),
            ("next", offset_of!(Order, next) as u64, next),
            ("sides", offset_of!(Order, sides) as u64, sides),
            ("levels", offset_of!(Order, levels) as u64, levels),
        ],
    );
    types.define(order, defined);
    order
}

fn an_order(depth: usize) -> Order {
    Order {
        symbol: "ETH\"USD",
        tags: (0..3)
            .map(|n| format!("tag {n} {}", "é".repeat(n)))
            .collect(),
        price: 653.8599999999999,
        next: depth.checked_sub(1).map(|depth| Box::new(an_order(depth))),
        sides: (true, '\''),
        levels: [1, -2, 3],
    }
}

#[test]
fn a_real_struct() {
    agree(&an_order(1), order);
    let value = an_order(2);
    assert_eq!(
        show(
            &value,
            "{x.tags[2]} {x.symbol} {x.sides.1} {x.levels[1]}",
            order
        ),
        r#""tag 2 éé" "ETH\"USD" '\'' -2"#
    );
    assert_eq!(
        show(&value.next, "{x}", |types| {
            let order = order(types);
            let boxed = types.boxed(order);
            types.niche_option(boxed)
        }),
        format!("{:?}", value.next)
    );
}

#[test]
fn real_references() {
    let value = [vec![1u32, 2], vec![], vec![3]];
    let slices: Vec<&[u32]> = value.iter().map(Vec::as_slice).collect();
    let number = |types: &mut Types| types.base("u32");
    agree(&&slices, |types| {
        let number = number(types);
        let slice = types.slice(number);
        let vec = types.vec(slice);
        types.reference(vec)
    });
    agree(&Some(&value[0][1]), |types| {
        let number = number(types);
        let reference = types.reference(number);
        types.niche_option(reference)
    });
    agree(&None::<&u32>, |types| {
        let number = number(types);
        let reference = types.reference(number);
        types.niche_option(reference)
    });
}

proptest! {
    #[test]
    fn random_strings(value in prop::collection::vec("\\PC{0,12}", 0..12)) {
        agree(&value, |types| {
            let string = types.string();
            types.vec(string)
        });
    }

    #[test]
    fn random_numbers(value: (i128, f64, f32, u8)) {
        agree(&value, |types| {
            let members = [
                ("__0", offset_of!((i128, f64, f32, u8), 0), types.base("i128")),
                ("__1", offset_of!((i128, f64, f32, u8), 1), types.base("f64")),
                ("__2", offset_of!((i128, f64, f32, u8), 2), types.base("f32")),
                ("__3", offset_of!((i128, f64, f32, u8), 3), types.base("u8")),
            ];
            let members = members.map(|(name, offset, ty)| (name, offset as u64, ty));
            types.structure("(i128, f64, f32, u8)", size_of::<(i128, f64, f32, u8)>() as u64, &members)
        });
    }

    #[test]
    fn random_options(value: Option<bool>, nested in prop::collection::vec(any::<Option<Option<bool>>>(), 0..9)) {
        let option = |types: &mut Types, name: &str, payload, none: u128| {
            let byte = types.base("u8");
            let some: VariantSketch<'_> = ("Some", &[], &[("__0", 0, payload)]);
            types.enumeration(name, 1, Some((0, byte)), &[("None", &[(none, none)], &[]), some])
        };
        agree(&value, |types| {
            let boolean = types.base("bool");
            option(types, "Option<bool>", boolean, 2)
        });
        agree(&nested, |types| {
            let boolean = types.base("bool");
            let inner = option(types, "Option<bool>", boolean, 2);
            let outer = option(types, "Option<Option<bool>>", inner, 3);
            types.vec(outer)
        });
    }
}
