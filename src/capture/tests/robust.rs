//! Whatever a program, memory, a record or debug information hold: no panic, no hang, no more than the bounds.

mod debug_info;
mod programs;

use self::debug_info::{location, tangle};
use self::programs::{mend, parts};
use super::world::{World, used};
use crate::capture::compile::compile;
use crate::capture::interp::{Machine, run};
use crate::capture::logpoint::{Limits, Logpoint};
use crate::capture::program::{FUEL, Program, READ_COST, WINDOW};
use crate::capture::record::Record;
use crate::capture::template::Template;
use crate::symbols::place::Register;
use crate::symbols::types::TypeRef;
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
