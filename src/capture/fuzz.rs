//! Any bytes as a capture program, and the memory and registers that it runs against.
//!
//! The targets in `fuzz/` run this over and over, steered by what code the bytes reach.

pub mod expressions;
mod programs;

use self::programs::{Bytes, parts};
use super::compile::Compiled;
use super::interp::{Machine, Ran, run};
use super::program::{FUEL, Program, READ_COST, WINDOW};
use super::record::Record;
use crate::symbols::place::Register;

/// Bytes of a record.
const RECORD: usize = 2048;
/// Bytes that one operation reads at most beyond what the record has room for.
const READ: usize = 64;
/// Bytes that one hit says at most.
const SHOWN: usize = 2 << 20;

/// Makes a program of the bytes and runs it where it passes the check.
///
/// # Panics
///
/// Where the interpreter breaks its word: it wrote more than there is room for, or read more than its fuel pays for.
pub fn interpreter(data: &[u8]) {
    let mut bytes = Bytes(data);
    let room = usize::from(bytes.small()) * 16;
    let Ok(program) = Program::new(parts(&mut bytes)) else {
        return;
    };
    let mut memory = Memory {
        seed: bytes.long(),
        bytes: bytes.0,
        reads: 0,
        read: 0,
        counted: 0,
    };
    let mut out = vec![0; room];
    let used = match run(&program, &mut memory, &mut out) {
        Ran::Recorded(used) | Ran::Undecided(used) => used,
        Ran::Passed => 0,
    };
    assert!(used <= room.min(program.record_limit()), "{used} of {room}");
    assert!(memory.reads <= FUEL / READ_COST + 1, "{}", memory.reads);
    assert!(memory.read <= WINDOW + memory.reads as usize * (READ + RECORD));
    assert!(memory.counted <= 1 || program.ops().len() > 1);
    let record = Record::parse(out.get(..used).unwrap_or_default());
    for expression in 0..usize::from(program.expressions()) {
        let entry = record.entry(expression);
        let _ = record.read_up_to(entry.numbers.0, READ);
    }
}

/// Runs a compiled logpoint against memory made of the bytes, and returns the length of what it says.
///
/// # Panics
///
/// Where a bound is broken.
pub fn show(compiled: &Compiled, bytes: &[u8]) -> usize {
    let mut memory = Memory {
        seed: 0,
        bytes,
        reads: 0,
        read: 0,
        counted: 0,
    };
    let mut out = vec![0; compiled.program.record_limit()];
    let used = match run(&compiled.program, &mut memory, &mut out) {
        Ran::Recorded(used) | Ran::Undecided(used) => used,
        Ran::Passed => 0,
    };
    assert!(memory.reads <= FUEL / READ_COST + 1, "{}", memory.reads);
    let text = compiled.render(out.get(..used).unwrap_or_default());
    assert!(text.len() <= SHOWN, "{} bytes of text", text.len());
    text.len()
}

/// Memory that has the rest of the input everywhere, and ends anywhere.
struct Memory<'a> {
    seed: u64,
    bytes: &'a [u8],
    reads: u32,
    read: usize,
    counted: u64,
}

impl Memory<'_> {
    fn byte(&self, at: u64) -> u8 {
        let at = usize::try_from(at ^ self.seed).unwrap_or(0);
        match self.bytes.len() {
            0 => at as u8,
            length => self.bytes.get(at % length).copied().unwrap_or(0),
        }
    }
}

impl Machine for Memory<'_> {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        let number = match register {
            Register::General(number) | Register::Vector(number) => u64::from(number),
        };
        let mut bytes = [0; 16];
        (number..)
            .zip(&mut bytes)
            .for_each(|(at, byte)| *byte = self.byte(at));
        (bytes[0] != 7).then_some(bytes)
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        self.reads += 1;
        self.read += out.len();
        for (done, byte) in out.iter_mut().enumerate() {
            *byte = self.byte(address.wrapping_add(done as u64));
            // A machine that lies must do no harm either.
            if *byte == 13 {
                return if address & 1 == 0 { done } else { usize::MAX };
            }
        }
        out.len()
    }

    fn count(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    fn thread(&self) -> u64 {
        self.seed
    }

    fn time(&self) -> u64 {
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_bytes_run(data in prop::collection::vec(any::<u8>(), 0..900)) {
            interpreter(&data);
        }
    }

    fn inputs(count: usize) -> impl Iterator<Item = Vec<u8>> {
        let mut state = 1u64;
        let mut byte = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
            (state >> 56) as u8
        };
        (0..count).map(move |_| (0..700).map(|_| byte()).collect())
    }

    #[test]
    fn the_interpreter_keeps_its_word() {
        inputs(4000).for_each(|data| interpreter(&data));
    }

    /// What the fuzzer begins with, and what it found.
    #[test]
    fn known_programs_run() {
        let seeds = crate::seeds::of("interpreter");
        assert!(!seeds.is_empty());
        for (name, data) in seeds {
            println!("{name}");
            interpreter(&data);
        }
    }

    /// The fuzzer would see nothing where all programs are refused.
    #[test]
    fn enough_programs_pass_the_check() {
        let mut passed = 0;
        for data in inputs(500) {
            let mut bytes = Bytes(&data);
            passed += u32::from(Program::new(parts(&mut bytes)).is_ok());
        }
        assert!(passed > 20, "{passed} of 500");
    }
}
