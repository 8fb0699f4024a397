//! The tracer shares its program's memory but not its threads: it must not panic, unwind, allocate, lock, or call libc.
//! Here its machine code is read, all that can be reached from where it begins.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::{BTreeMap, BTreeSet};

use detrix_test_support::{Profile, fixture};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

/// What the compiler itself calls for copies, comparisons, and arithmetic of 128 bits; without a lock, and without thread-local
/// storage.
const PLAIN: [&str; 15] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "__udivti3",
    "__umodti3",
    "__divti3",
    "__modti3",
    "__fixdfti",
    "__fixunsdfti",
    "__floattidf",
    "__floattisf",
    "__floatuntidf",
    "__floatuntisf",
];

/// What the compiler puts where a panic would leave an `extern "C"` function. Nothing leads there but a panic, and there
/// is none when all else that is found is plain.
const GUARD: &str = "9panicking19panic_cannot_unwind";

#[test]
fn the_tracers_code_has_no_way_to_panic_or_allocate() {
    let program = std::fs::read(fixture("orders", Profile::Release)).expect("just built");
    let code = Code::read(&program);
    let start = *code
        .functions
        .iter()
        .find(|(_, function)| function.name.contains("6engine6tracer4main"))
        .expect("the tracer's entry has a symbol")
        .0;
    let mut faults = BTreeSet::new();
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    let mut instructions = 0;
    while let Some(at) = open.pop() {
        let Some(function) = code.functions.get(&at) else {
            faults.insert(format!("{at:#x}: no function starts here"));
            continue;
        };
        for found in code.leaves(at, function, &mut instructions) {
            match found {
                Leaves::To(target) => {
                    match code.functions.get(&target).map(|to| to.name.as_str()) {
                        Some(name) if is_ours(name) => {
                            if seen.insert(target) {
                                open.push(target);
                            }
                        }
                        Some(name) if PLAIN.contains(&name) || name.contains(GUARD) => {}
                        other => drop(faults.insert(format!("{} calls {other:?}", function.name))),
                    }
                }
                Leaves::Outside(name) if PLAIN.contains(&name.as_str()) => {}
                Leaves::Outside(name) => {
                    faults.insert(format!("{} calls {name}", function.name));
                }
                Leaves::Unknown(what) => {
                    faults.insert(format!("{}: {what}", function.name));
                }
            }
        }
    }
    let names: Vec<&str> = seen
        .iter()
        .filter_map(|at| Some(code.functions.get(at)?.name.as_str()))
        .collect();
    println!(
        "{instructions} instructions in {} functions: {names:#?}",
        names.len()
    );
    // The walk must have found the parts that are known to be there.
    assert!(names.len() > 5 && instructions > 2_000, "{names:?}");
    assert!(
        names.iter().any(|name| name.contains("7capture6interp")),
        "{names:?}"
    );
    assert_eq!(faults, BTreeSet::new());
}

/// Whether a function is of this crate, by its symbol: its path, or an implementation of a trait for a type of ours.
fn is_ours(name: &str) -> bool {
    name.starts_with("_ZN6detrix") || (name.starts_with("_ZN") && name.contains("$LT$detrix.."))
}

struct Function {
    name: String,
    code: Vec<u8>,
}

/// A way out of a function.
enum Leaves {
    To(u64),
    Outside(String),
    Unknown(String),
}

struct Code {
    functions: BTreeMap<u64, Function>,
    /// What each entry of the global offset table is filled with.
    table: BTreeMap<u64, Leaves>,
}

impl Code {
    fn read(program: &[u8]) -> Self {
        let file = object::File::parse(program).expect("an ELF file");
        let mut functions = BTreeMap::new();
        for symbol in file.symbols() {
            if symbol.kind() != object::SymbolKind::Text || symbol.size() == 0 {
                continue;
            }
            let section = symbol
                .section_index()
                .and_then(|at| file.section_by_index(at).ok());
            let code = section.and_then(|section| {
                section
                    .data_range(symbol.address(), symbol.size())
                    .ok()
                    .flatten()
            });
            if let (Some(code), Ok(name)) = (code, symbol.name()) {
                functions
                    .entry(symbol.address())
                    .or_insert_with(|| Function {
                        name: name.to_owned(),
                        code: code.to_vec(),
                    });
            }
        }
        let names: Vec<_> = file.dynamic_symbols().collect();
        let mut table = BTreeMap::new();
        for (at, relocation) in file.dynamic_relocations().into_iter().flatten() {
            let filled = match relocation.target() {
                RelocationTarget::Symbol(index) => names
                    .iter()
                    .find(|symbol| symbol.index() == index)
                    .map(|symbol| {
                        if symbol.is_undefined() {
                            Leaves::Outside(symbol.name().unwrap_or("?").to_owned())
                        } else {
                            Leaves::To(symbol.address())
                        }
                    }),
                _ => Some(Leaves::To(relocation.addend().cast_unsigned())),
            };
            if let Some(filled) = filled {
                table.insert(at, filled);
            }
        }
        Self { functions, table }
    }

    /// All ways out of a function: calls, and jumps that leave it.
    fn leaves(&self, start: u64, function: &Function, count: &mut usize) -> Vec<Leaves> {
        let end = start + function.code.len() as u64;
        let mut found = Vec::new();
        let all: Vec<Instruction> =
            Decoder::with_ip(64, &function.code, start, DecoderOptions::NONE)
                .into_iter()
                .collect();
        *count += all.len();
        for (at, instruction) in all.iter().enumerate() {
            let direct = matches!(
                instruction.op0_kind(),
                OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
            );
            match instruction.flow_control() {
                FlowControl::Next | FlowControl::Return => {}
                _ if matches!(instruction.mnemonic(), Mnemonic::Syscall) => {}
                FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch
                | FlowControl::Call
                    if direct =>
                {
                    let target = instruction.near_branch_target();
                    if !(start..end).contains(&target) {
                        found.push(Leaves::To(target));
                    }
                }
                FlowControl::IndirectCall | FlowControl::IndirectBranch
                    if instruction.is_ip_rel_memory_operand() =>
                {
                    found.push(self.entry(instruction.ip_rel_memory_address(), instruction));
                }
                // The address was loaded into a register from the same table before.
                FlowControl::IndirectCall | FlowControl::IndirectBranch
                    if loaded(&all, at).is_some() =>
                {
                    let entries = loaded(&all, at).unwrap_or_default();
                    found.extend(entries.into_iter().map(|it| self.entry(it, instruction)));
                }
                // A `match` compiled to a table of distances: the jump's register was added to the table's address just
                // before, and all its targets are in the same function.
                FlowControl::IndirectBranch if is_table_jump(&all[..at], instruction) => {}
                FlowControl::Exception | FlowControl::Interrupt => {
                    found.push(Leaves::Unknown(format!(
                        "{:#x} is {:?}, which ends a path that panics",
                        instruction.ip(),
                        instruction.mnemonic()
                    )))
                }
                flow => found.push(Leaves::Unknown(format!(
                    "{:#x} is {:?}, {flow:?}",
                    instruction.ip(),
                    instruction.mnemonic()
                ))),
            }
        }
        found
    }

    /// Where a call or jump through an entry of the table goes.
    fn entry(&self, address: u64, instruction: &Instruction) -> Leaves {
        match self.table.get(&address) {
            Some(Leaves::To(target)) => Leaves::To(*target),
            Some(Leaves::Outside(name)) => Leaves::Outside(name.clone()),
            _ => Leaves::Unknown(format!(
                "{:#x} goes through unknown memory",
                instruction.ip()
            )),
        }
    }
}

/// The places in the program that the register of an indirect call or jump was loaded from, on all ways to it; `None` where it
/// may be anything else.
fn loaded(all: &[Instruction], at: usize) -> Option<BTreeSet<u64>> {
    let register = all[at].op0_register();
    let full = register.full_register();
    if register == Register::None {
        return None;
    }
    let mut found = BTreeSet::new();
    let (mut seen, mut open) = (BTreeSet::from([at]), vec![at]);
    while let Some(at) = open.pop() {
        let here = all[at].ip();
        let falls_through = |before: &Instruction| {
            !matches!(
                before.flow_control(),
                FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
                    | FlowControl::Return
            )
        };
        let before = at
            .checked_sub(1)
            .filter(|before| falls_through(&all[*before]));
        let jumps = (0..all.len()).filter(|jump| all[*jump].near_branch_target() == here);
        let ways: Vec<usize> = before.into_iter().chain(jumps).collect();
        // It comes with the register from outside, or through a table of jumps.
        if ways.is_empty() {
            return None;
        }
        for way in ways {
            let instruction = &all[way];
            let writes = instruction.op0_register().full_register() == full
                && !matches!(
                    instruction.mnemonic(),
                    Mnemonic::Cmp
                        | Mnemonic::Test
                        | Mnemonic::Push
                        | Mnemonic::Call
                        | Mnemonic::Jmp
                );
            let loads = writes
                && instruction.mnemonic() == Mnemonic::Mov
                && instruction.is_ip_rel_memory_operand();
            if loads {
                found.insert(instruction.ip_rel_memory_address());
            } else if writes || instruction.mnemonic() == Mnemonic::Call && !is_kept(full) {
                return None;
            } else if seen.insert(way) {
                open.push(way);
            }
        }
    }
    Some(found)
}

/// Whether a call leaves a register as it was (System V x86-64 psABI, figure 3.4).
fn is_kept(register: Register) -> bool {
    use Register::{R12, R13, R14, R15, RBP, RBX};
    [RBX, RBP, R12, R13, R14, R15].contains(&register)
}

/// Whether `jump` is the last of `movslq (table, index, 4), r; add table, r; jmp *r`.
fn is_table_jump(before: &[Instruction], jump: &Instruction) -> bool {
    let register = jump.op0_register();
    let mut recent = before.iter().rev().take(8);
    register != Register::None
        && recent.any(|i| i.mnemonic() == Mnemonic::Add && i.op0_register() == register)
        && recent.any(|i| i.mnemonic() == Mnemonic::Movsxd && i.op0_register() == register)
}
