//! Displaced instructions behave as in place: shown by running both, on the processor, from one state.

mod catalog;
mod lab;

use std::collections::BTreeMap;

use iced_x86::Mnemonic;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use proptest::prelude::*;

use self::lab::{End, Lab, Layout, MEMORY, Start};
use super::*;

/// Marsaglia's xorshift64: the same instructions in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// CF, PF, AF, ZF, SF, DF and OF.
const FLAGS: u64 = 0xcd5;

/// The states that each instruction runs from: memory of noise and of addresses of text; various flags and counts; and
/// one where all memory is out of reach.
fn starts(lab: &Lab, random: &mut Random) -> Vec<Start> {
    let layout = lab.layout;
    let mut vectors = lab.vectors.clone();
    for range in lab::vector_registers(&lab.vectors) {
        let length = range.len();
        vectors[range].copy_from_slice(&random.bytes(length));
    }
    lab::use_vectors(&mut vectors);
    let addresses: Vec<u8> = layout
        .landing()
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(MEMORY)
        .collect();

    let mut start = |memory: Vec<u8>, base: u64, count: u64, flags: u64| {
        let mut registers = lab.registers();
        registers.eflags = 0x202 | flags & FLAGS;
        registers.rsp = layout.stack + 0x1000;
        for register in [
            &mut registers.rbx,
            &mut registers.rbp,
            &mut registers.rsi,
            &mut registers.rdi,
        ] {
            *register = base + (random.next() & 0x70);
        }
        (registers.r12, registers.r13) = (base + 0x100, base + 0x180);
        (registers.rcx, registers.r9, registers.r14) = (count, count.wrapping_add(1), 3);
        (registers.rax, registers.rdx) = (random.next() & 0xff, 1);
        (registers.r8, registers.r10, registers.r11) =
            (random.next(), random.next(), random.next());
        registers.r15 = layout.landing();
        Start {
            registers,
            vectors: vectors.clone(),
            memory,
        }
    };
    let noise = Random(7).bytes(MEMORY);
    let mut starts = vec![
        start(noise, layout.operand(), 1, 0),
        start(addresses.clone(), layout.operand(), 2, FLAGS),
        start(vec![0; MEMORY], layout.operand(), 0, 0x41),
        start(addresses.clone(), layout.text + 0x800, 0x1_0000_0000, 0x880),
        start(addresses.clone(), layout.hole(), 5, 0x400),
        start(addresses, 0x8000_0000_0000_0000, u64::MAX, 0),
    ];
    // The last one has no stack either.
    starts.last_mut().unwrap().registers.rsp = layout.stack;
    starts
}

/// Where ends differ, in words.
fn difference(layout: Layout, in_place: &End, other: &End, call: bool) -> Option<String> {
    if in_place == other {
        return None;
    }
    let signal = |end: &End| (end.signal, end.signal_code, end.signal_address);
    if signal(in_place) != signal(other) {
        return Some(format!(
            "signal {:x?}, should be {:x?}",
            signal(other),
            signal(in_place)
        ));
    }
    for (expected, actual) in in_place.registers.iter().zip(&other.registers) {
        if expected != actual {
            return Some(format!("{actual:x?}, should be {expected:x?}"));
        }
    }
    // The address of the last x87 instruction and operand: a documented exception.
    let x87_pointers = 8..24;
    let differs = |(index, (a, b)): (usize, (&u8, &u8))| (a != b).then_some(index);
    let vectors = in_place.vectors.iter().zip(&other.vectors).enumerate();
    if let Some(index) = vectors
        .filter(|(index, _)| !x87_pointers.contains(index))
        .find_map(differs)
    {
        return Some(format!("vector state at {index}"));
    }
    // Where a call to a non-canonical address has stored its return address: another one.
    let rsp = in_place
        .registers
        .iter()
        .find(|(name, _)| *name == "rsp")
        .map_or(0, |(_, value)| *value);
    let stored = rsp
        .wrapping_sub(layout.stack)
        .wrapping_sub(8)
        .wrapping_add(MEMORY as u64 / 2);
    let is_general_protection =
        in_place.signal == libc::SIGSEGV && in_place.signal_code == SI_KERNEL;
    let is_excepted =
        |index: usize| call && is_general_protection && (index as u64).wrapping_sub(stored) < 8;
    let memory = in_place.memory.iter().zip(&other.memory).enumerate();
    memory
        .filter(|(index, _)| !is_excepted(*index))
        .find_map(differs)
        .map(|index| format!("memory at {index:x}"))
}

/// The code of a signal for which the processor tells no address (asm-generic/siginfo.h).
const SI_KERNEL: i32 = 0x80;

/// Runs `code` in place and displaced, and displaced but interrupted after each of its steps.
fn compare(
    lab: &Lab,
    name: &str,
    code: &[u8],
    displaced: &Displaced,
    start: &Start,
) -> Result<(), String> {
    let in_place = lab.in_place(code, start);
    let is_call = matches!(
        Decoded::new(code, lab.layout.at()).unwrap().class(),
        Ok(Class::Call | Class::IndirectCall)
    );
    let told = |how: String, what: String| {
        format!(
            "{name} {code:02x?} as {:02x?}, {how}: {what}",
            displaced.code()
        )
    };
    if let Some(what) = difference(
        lab.layout,
        &in_place,
        &lab.displaced(code, displaced, start),
        is_call,
    ) {
        return Err(told("displaced".into(), what));
    }
    // A step is seen in the flags that these store or load.
    if name.starts_with("pushf") || name.starts_with("popf") {
        return Ok(());
    }
    for steps in 1..=4 {
        let Some(end) = lab.interrupted(code, displaced, start, steps) else {
            break;
        };
        if let Some(what) = difference(lab.layout, &in_place, &end, is_call) {
            return Err(told(format!("interrupted after {steps} steps"), what));
        }
    }
    Ok(())
}

fn slot(layout: Layout) -> u64 {
    layout.slot + 0x340
}

#[test]
fn every_class_of_instruction_behaves_displaced_as_in_place() {
    let lab = Lab::new(0x2000_0000);
    let starts = starts(&lab, &mut Random(0x1234_5678_9abc_def1));
    let mut failures = Vec::new();
    let mut signals = BTreeMap::new();
    let cases = catalog::cases(lab.layout);
    for case in &cases {
        let displaced = match displace(&case.code, lab.layout.at(), slot(lab.layout)) {
            Ok(displaced) => displaced,
            Err(Refusal::StackTarget) if case.name.contains("Register(4)") => continue,
            Err(refusal) => {
                failures.push(format!("{} {:02x?}: {refusal}", case.name, case.code));
                continue;
            }
        };
        assert_eq!(
            usize::from(displaced.length()),
            case.code.len(),
            "{}",
            case.name
        );
        for start in &starts {
            failures.extend(compare(&lab, &case.name, &case.code, &displaced, start).err());
        }
        *signals
            .entry(lab.displaced(&case.code, &displaced, &starts[1]).signal)
            .or_insert(0) += 1;
    }
    println!(
        "{} cases, each from {} states; signals in one of them: {signals:?}",
        cases.len(),
        starts.len()
    );
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
}

#[test]
fn random_instructions_behave_displaced_as_in_place() {
    let lab = Lab::new(0x3000_0000);
    let starts = starts(&lab, &mut Random(0x0fed_cba9_8765_4321));
    let mut random = Random(0x5eed);
    let mut failures = Vec::new();
    let mut count = 0;
    while count < 4000 {
        let bytes = random.bytes(LONGEST);
        let Ok(displaced) = displace(&bytes, lab.layout.at(), slot(lab.layout)) else {
            continue;
        };
        let code = &bytes[..displaced.length().into()];
        let decoded = Decoded::new(code, lab.layout.at()).unwrap();
        let name = format!("{:?}", decoded.instruction.mnemonic()).to_lowercase();
        let target = decoded.instruction.near_branch_target();
        if !is_repeatable(decoded.instruction.mnemonic())
            || (lab.layout.at()..decoded.instruction.next_ip()).contains(&target)
        {
            continue;
        }
        count += 1;
        let start = &starts[count % starts.len()];
        failures.extend(compare(&lab, &name, code, &displaced, start).err());
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
}

/// Whether two runs of the instruction from one state end alike, and soon.
fn is_repeatable(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    !matches!(
        mnemonic,
        Rdtsc
            | Rdtscp
            | Rdpmc
            | Rdrand
            | Rdseed
            | Rdpid
            | Cpuid
            | Mwaitx
            | Umwait
            | Tpause
            | Xgetbv
            | Rdpru
    )
}

/// The instruction that `displaced` has at the start of its slot, as text.
fn first_of_slot(displaced: &Displaced) -> Instruction {
    Decoder::with_ip(64, displaced.code(), displaced.slot(), DecoderOptions::NONE).decode()
}

/// Every instruction of this executable, which has all of std and the tests' dependencies in it.
#[test]
fn real_code_is_displaced_but_for_what_cannot_be() {
    let file = std::fs::read("/proc/thread-self/exe").unwrap();
    let file = object::File::parse(&*file).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let (bytes, base) = (text.data().unwrap(), text.address());
    let slot = base + text.size() + 0x100_0000;
    let mut refused = BTreeMap::new();
    let mut count = 0;
    // Rust's functions: hand-written assembly has its constants among its code.
    let functions = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter(|symbol| {
            symbol
                .name()
                .is_ok_and(|name| name.starts_with("_ZN") || name.starts_with("_R"))
        })
        .filter_map(|symbol| {
            let start = symbol.address().checked_sub(base)? as usize;
            let code = bytes.get(start..start + symbol.size() as usize)?;
            Some(Decoder::with_ip(
                64,
                code,
                symbol.address(),
                DecoderOptions::NONE,
            ))
        });
    for instruction in functions.flatten().step_by(7) {
        let at = instruction.ip();
        let code = &bytes[(at - base) as usize..];
        count += 1;
        match displace(code, at, slot) {
            Ok(displaced) => {
                if matches!(
                    Decoded::new(code, at).unwrap().class(),
                    Ok(Class::Plain | Class::Leaving)
                ) {
                    // Equal but for the address: what RIP-relative operands name is compared as absolute addresses.
                    assert_eq!(first_of_slot(&displaced), instruction, "{at:x}");
                }
            }
            Err(refusal) => {
                *refused
                    .entry((refusal.to_string(), instruction.mnemonic()))
                    .or_insert(0) += 1
            }
        }
    }
    println!("{count} instructions, refused: {refused:#?}");
    assert!(count > 20_000);
    use Mnemonic::{Hlt, Int, Int3, Rdsspq, Syscall, Xabort, Xbegin, Xend};
    let refusable = [Syscall, Int, Int3, Hlt, Rdsspq, Xabort, Xbegin, Xend];
    assert!(
        refused
            .keys()
            .all(|(_, mnemonic)| refusable.contains(mnemonic)),
        "{refused:#?}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_displaced_or_refused(text in prop::collection::vec(any::<u8>(), 0..20), at: u64, slot: u64) {
        if let Ok(displaced) = displace(&text, at, slot) {
            prop_assert!(displaced.code().len() <= SLOT_SIZE);
            let start = Original { pc: at, stack: 0, passed: false };
            prop_assert_eq!(displaced.original(slot), Some(start));
            for offset in 0..SLOT_SIZE as u64 {
                displaced.original(slot.wrapping_add(offset));
            }
        }
    }
}

fn refusal(code: &[u8]) -> Option<Refusal> {
    displace(code, 0x1000, 0x2000).err()
}

#[test]
fn what_cannot_be_displaced_is_refused_with_the_reason() {
    let cases: &[(&[u8], Refusal)] = &[
        (&[], Refusal::Truncated),
        (&[0x48, 0x8b], Refusal::Truncated),
        (&[0xe8, 0, 0, 0], Refusal::Truncated),
        (&[0x06, 0, 0, 0], Refusal::Invalid),
        (&[0x66; 15], Refusal::Invalid),
        (&[0xf0, 0x90], Refusal::Invalid),
        (&[0x0f, 0x05], Refusal::KernelEntry),
        (&[0x0f, 0x34], Refusal::KernelEntry),
        (&[0xcd, 0x80], Refusal::KernelEntry),
        (&[0x0f, 0x01, 0xc1], Refusal::KernelEntry),
        (&[0x0f, 0x01, 0xd9], Refusal::KernelEntry),
        (&[0xcc], Refusal::Breakpoint),
        (&[0xf1], Refusal::Breakpoint),
        (&[0xf4], Refusal::Privileged),
        (&[0xec], Refusal::Privileged),
        (&[0x6c], Refusal::Privileged),
        (&[0xfa], Refusal::Privileged),
        (&[0x0f, 0x20, 0xc0], Refusal::Privileged),
        (&[0x0f, 0x07], Refusal::Privileged),
        (&[0xc7, 0xf8, 0, 0, 0, 0], Refusal::Transaction),
        (&[0xc6, 0xf8, 1], Refusal::Transaction),
        (&[0x0f, 0x01, 0xd5], Refusal::Transaction),
        (&[0xcb], Refusal::FarTransfer),
        (&[0x48, 0xca, 8, 0], Refusal::FarTransfer),
        (&[0x48, 0xcf], Refusal::FarTransfer),
        (&[0x48, 0xff, 0x18], Refusal::FarTransfer),
        (&[0x48, 0xff, 0x28], Refusal::FarTransfer),
        (&[0xf3, 0x48, 0x0f, 0x1e, 0xc8], Refusal::ShadowStack),
        (&[0xf3, 0x48, 0x0f, 0xae, 0xe8], Refusal::ShadowStack),
        (&[0xf3, 0x0f, 0x01, 0xea], Refusal::ShadowStack),
        (&[0x0f, 0x01, 0xd7], Refusal::Enclave),
        (&[0x66, 0xe8, 0, 0, 0, 0], Refusal::OperandSize),
        (&[0x66, 0xeb, 0], Refusal::OperandSize),
        (&[0x66, 0x75, 0], Refusal::OperandSize),
        (&[0x66, 0xff, 0xd0], Refusal::OperandSize),
        // The REX prefix counts only right before the opcode.
        (&[0x48, 0x66, 0xe8, 0, 0, 0, 0], Refusal::OperandSize),
        (&[0xff, 0xd4], Refusal::StackTarget),
        (&[0xff, 0x54, 0x24, 0xf8], Refusal::StackTarget),
        (&[0xff, 0x54, 0x24, 0xff], Refusal::StackTarget),
        (&[0x67, 0xff, 0x54, 0x24, 0xf1], Refusal::StackTarget),
        (
            &[0xff, 0x94, 0x24, 0xff, 0xff, 0xff, 0x7f],
            Refusal::OutOfReach,
        ),
    ];
    for &(code, reason) in cases {
        assert_eq!(refusal(code), Some(reason), "{code:02x?}");
    }
    // Next to those: r12 is not rsp, and neither word is the return address's.
    for code in [
        &[0x41, 0xff, 0xd4][..],
        &[0xff, 0x54, 0x24, 0xf0],
        &[0xff, 0x14, 0x24],
        &[0x41, 0xff, 0x54, 0x24, 0xf8],
    ] {
        assert_eq!(refusal(code), None, "{code:02x?}");
    }
}

#[test]
fn relative_operands_reach_two_gigabytes() {
    // mov rax, [rip+0x10]
    let code = [0x48, 0x8b, 0x05, 0x10, 0, 0, 0];
    let at = 0x7000_0000_0000;
    let refused = |slot| displace(&code, at, slot).err();
    assert_eq!(refused(at + 0x8000_0010), None);
    assert_eq!(refused(at + 0x8000_0011), Some(Refusal::OutOfReach));
    assert_eq!(refused(at - 0x7fff_ffef), None);
    assert_eq!(refused(at - 0x7fff_fff0), Some(Refusal::OutOfReach));
    // Nothing else depends on the distance.
    assert!(displace(&[0xe8, 0, 0, 0, 0], at, 0x1000).is_ok());
    assert!(displace(&[0x53], at, 0x1000).is_ok());
}

#[test]
fn a_site_leaves_the_landing_pad_alone() {
    assert_eq!(
        site_address(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55], 0x1000),
        0x1004
    );
    assert_eq!(
        site_address(&[0x55, 0xf3, 0x0f, 0x1e, 0xfa], 0x1000),
        0x1000
    );
    assert_eq!(site_address(&[0xf3, 0x0f, 0x1e], 0x1000), 0x1000);
}
