//! Which bytes of a function's stack hold, at one address, the values that the debug information places there.
//!
//! LLVM describes a variable whose address is taken as a place on the stack for its whole scope, and then moves and
//! removes stores to that place like all others: an accumulator lives in a register throughout its loop and is stored
//! behind it, a value that only a message of an error shows is stored on the way to the error. In between the place
//! holds something else. What can be relied on is what the optimizer itself relies on:
//!
//! 1. The function is decoded, and each instruction that uses its frame becomes an event: a read or write of bytes, a
//!    call that is passed an address, an address that is stored somewhere. Addresses count from the canonical frame
//!    address; registers that hold one are followed from the function's entry on.
//! 2. *Written*: on every path from the entry to the address, the bytes were written, or a call had their address.
//! 3. *Needed*: on some path from the address, the bytes are read, or a call has their address, before they are
//!    written. A store that was moved from before the address to behind it comes first on each such path; of a store
//!    that was removed nothing is read. Only what is needed must be there already.
//! 4. Bytes that are both are shown. Losing a value that nobody reads any more is the price.
//!
//! This is for variables with one place in their whole scope. A list of places comes from LLVM's record of the value
//! itself, which stays right when stores move.
//!
//! Places are shared: where the scope of a variable ends, another variable's begins. So step 3 ends with the scope.
//! A call may read what it was not passed, if the address was stored somewhere before; as LLVM does, this only counts
//! an address that was stored, not one that an earlier call was passed (most parameters are known to be not kept).

use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register, UsedMemory,
};

use super::flow::Flow;
use super::module::Module;

/// Bytes of code of the largest function that is decoded; in larger ones nothing on the stack is shown. A megabyte
/// takes some 50 ms.
const MAX_CODE: u64 = 256 << 10;

/// Number of rbp in DWARF.
const RBP: u8 = 6;
/// Number of rsp in DWARF.
const RSP: u8 = 7;

/// Those that a call may change (System V x86-64 psABI, figure 3.4): rax, rdx, rcx, rsi, rdi, r8 to r11.
const CALLER_SAVED: [usize; 9] = [0, 1, 2, 4, 5, 8, 9, 10, 11];
/// Those that pass arguments: rdi, rsi, rdx, rcx, r8, r9.
const ARGUMENTS: [usize; 6] = [5, 4, 1, 2, 8, 9];

/// For each register, by its number in DWARF, the address that it is known to hold, relative to the canonical frame
/// address.
type Registers = [Option<i64>; 16];

/// The use of a function's stack, seen from one address.
pub struct Stack {
    flow: Flow,
    /// By block, in order.
    events: Vec<Vec<Event>>,
    /// The block that the address starts.
    here: usize,
    registers: Registers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    address: u64,
    kind: Kind,
}

/// What an instruction does; addresses are relative to the canonical frame address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read(i64, u64),
    Write(i64, u64),
    /// Reads somewhere in what begins at or before the address.
    ReadIn(i64),
    /// Stores the address.
    Keep(i64),
    /// Calls a function with the address.
    Pass(i64),
    /// Calls a function, after all that it is passed.
    Call,
}

/// Bytes on the stack that belong together, with the addresses where they do.
pub struct Object<'s> {
    /// First byte, relative to the canonical frame address.
    pub start: i64,
    /// How many, at least one.
    pub size: u64,
    /// The code of the scope.
    pub scope: &'s [Range<u64>],
}

/// One bit for each byte of an object, or for each few of a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes(u128);

/// What is known at one point of every path to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Past {
    written: Bytes,
    kept: bool,
}

impl Stack {
    /// Decodes a function, its entry's range first. `None` where that is not possible, the function is too large, or
    /// the address cannot be reached.
    pub fn read(module: &Module, function: &[Range<u64>], address: u64) -> Option<Self> {
        let size: u64 = function
            .iter()
            .map(|range| range.end.saturating_sub(range.start))
            .sum();
        if size > MAX_CODE {
            return None;
        }
        let flow = Flow::read(module, function, &[address])?;
        let here = flow.block(address)?;
        let blocks: Vec<Vec<Instruction>> = (0..flow.len())
            .map(|block| decode(module, flow.range(block)?))
            .collect::<Option<_>>()?;
        let mut factory = InstructionInfoFactory::new();
        let entries = registers_at_entries(&flow, &blocks, &mut factory);
        let mut events = vec![Vec::new(); blocks.len()];
        for ((block, registers), events) in blocks.iter().zip(&entries).zip(&mut events) {
            let Some(mut registers) = *registers else {
                continue;
            };
            for instruction in block {
                note(instruction, &registers, &mut factory, events);
                step(instruction, &mut registers, &mut factory);
            }
        }
        Some(Self {
            registers: (*entries.get(here)?)?,
            flow,
            events,
            here,
        })
    }

    /// Where a register plus an offset points to at the address, relative to the canonical frame address.
    pub fn resolve(&self, register: u8, offset: i64) -> Option<i64> {
        self.registers
            .get(usize::from(register))
            .copied()
            .flatten()?
            .checked_add(offset)
    }

    /// The runs of bytes of an object that hold its value, as offsets in it.
    pub fn valid(&self, object: &Object<'_>) -> Vec<Range<u64>> {
        let view = View::new(self, object);
        let past = view.past();
        let Some(written) = past.get(self.here).and_then(|past| *past) else {
            return Vec::new();
        };
        let needed = view.needed(&past);
        let needed = needed.get(self.here).map_or(0, |needed| needed.0);
        object.runs(Bytes(written.written.0 & needed))
    }
}

/// A function's blocks as one object sees them.
struct View<'a> {
    flow: &'a Flow,
    object: &'a Object<'a>,
    blocks: Vec<Block>,
}

#[derive(Default)]
struct Block {
    /// Those that concern the object.
    events: Vec<Event>,
    range: Range<u64>,
    /// The part in the object's scope.
    inside: Range<u64>,
}

impl<'a> View<'a> {
    fn new(stack: &'a Stack, object: &'a Object<'a>) -> Self {
        let all = stack.events.iter().flatten();
        let mut kinds = all.map(|event| event.kind);
        let is_kept = kinds.any(|kind| matches!(kind, Kind::Keep(at) if object.contains(at)));
        let concerns = |event: &&Event| match event.kind {
            Kind::Read(at, size) | Kind::Write(at, size) => object.touched(at, size).0 != 0,
            Kind::ReadIn(at) | Kind::Keep(at) | Kind::Pass(at) => object.contains(at),
            Kind::Call => is_kept,
        };
        let block = |(index, events): (usize, &Vec<Event>)| {
            let range = stack.flow.range(index).unwrap_or_default();
            Block {
                events: events.iter().filter(concerns).copied().collect(),
                inside: object.inside(&range),
                range,
            }
        };
        Self {
            flow: &stack.flow,
            object,
            blocks: stack.events.iter().enumerate().map(block).collect(),
        }
    }

    /// What every path to the start of each block has done; `None` where none leads.
    fn past(&self) -> Vec<Option<Past>> {
        let mut past: Vec<Option<Past>> = vec![None; self.blocks.len()];
        let nothing = Past {
            written: Bytes(0),
            kept: false,
        };
        let mut queue = vec![(self.flow.entry(), nothing)];
        while let Some((index, from)) = queue.pop() {
            let (Some(known), Some(block)) = (past.get_mut(index), self.blocks.get(index)) else {
                continue;
            };
            let now = match *known {
                Some(before) => Past {
                    written: Bytes(before.written.0 & from.written.0),
                    kept: before.kept && from.kept,
                },
                None => from,
            };
            if *known == Some(now) {
                continue;
            }
            *known = Some(now);
            let end = block.pass(self.object, now, |_, _| {});
            queue.extend(self.flow.successors(index).map(|next| (next, end)));
        }
        past
    }

    /// What some path from the start of each block reads before it writes it.
    fn needed(&self, past: &[Option<Past>]) -> Vec<Bytes> {
        let mut needed = vec![Bytes(0); self.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (index, block) in self.blocks.iter().enumerate().rev() {
                let Some(past) = past.get(index).copied().flatten() else {
                    continue;
                };
                let after = self.flow.successors(index);
                let after = after.filter_map(|next| needed.get(next));
                let after = after.fold(0, |all, next| all | next.0);
                let now = block.needed(self.object, past, Bytes(after));
                if let Some(before) = needed.get_mut(index)
                    && *before != now
                {
                    *before = now;
                    changed = true;
                }
            }
        }
        needed
    }
}

impl Block {
    /// Goes through the block. `each` sees what holds before each event.
    fn pass(
        &self,
        object: &Object<'_>,
        mut past: Past,
        mut each: impl FnMut(&Event, Past),
    ) -> Past {
        past.kept &= self.inside.start == self.range.start;
        for event in &self.events {
            past.kept &= event.address < self.inside.end;
            each(event, past);
            match event.kind {
                Kind::Write(at, size) => past.written.0 |= object.covered(at, size).0,
                Kind::Pass(_) => past.written = object.all(),
                Kind::Call if past.kept => past.written = object.all(),
                Kind::Keep(_) => past.kept = self.inside.contains(&event.address),
                Kind::Call | Kind::Read(..) | Kind::ReadIn(_) => {}
            }
        }
        past.kept &= self.inside.end == self.range.end;
        past
    }

    /// What is needed at the block's start, where `after` is at its end.
    fn needed(&self, object: &Object<'_>, past: Past, after: Bytes) -> Bytes {
        let mut kept = Vec::new();
        self.pass(object, past, |_, past| kept.push(past.kept));
        let mut now = if self.inside.end == self.range.end {
            after.0
        } else {
            0
        };
        let events = self.events.iter().zip(kept).rev();
        for (event, kept) in events.filter(|(event, _)| self.inside.contains(&event.address)) {
            match event.kind {
                Kind::Write(at, size) => now &= !object.touched(at, size).0,
                Kind::Read(at, size) => now |= object.touched(at, size).0,
                Kind::ReadIn(_) | Kind::Pass(_) => now = object.all().0,
                Kind::Call if kept => now = object.all().0,
                Kind::Call | Kind::Keep(_) => {}
            }
        }
        if self.inside.start == self.range.start {
            Bytes(now)
        } else {
            Bytes(0)
        }
    }
}

impl Object<'_> {
    /// The part of a block that is in the scope, from its first to its last instruction there; empty, at 0, if none is.
    fn inside(&self, block: &Range<u64>) -> Range<u64> {
        let parts = self.scope.iter().map(|range| {
            let start = range.start.max(block.start);
            start..range.end.min(block.end)
        });
        parts
            .filter(|part| part.start < part.end)
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
            .unwrap_or_default()
    }

    fn contains(&self, at: i64) -> bool {
        at.checked_sub(self.start)
            .and_then(|offset| u64::try_from(offset).ok())
            .is_some_and(|offset| offset < self.size)
    }

    /// How many bytes a bit stands for.
    fn unit(&self) -> u64 {
        self.size.div_ceil(u128::BITS.into()).max(1)
    }

    fn all(&self) -> Bytes {
        bits(0, self.size.div_ceil(self.unit()))
    }

    /// The part of some bytes that is in the object, as offsets.
    fn part(&self, at: i64, size: u64) -> Range<u64> {
        let clamp = |offset: i128| offset.clamp(0, self.size.into()) as u64;
        let start = i128::from(at) - i128::from(self.start);
        clamp(start)..clamp(start + i128::from(size))
    }

    /// The bits whose bytes are all among some.
    fn covered(&self, at: i64, size: u64) -> Bytes {
        let part = self.part(at, size);
        let last = if part.end == self.size {
            part.end.div_ceil(self.unit())
        } else {
            part.end / self.unit()
        };
        bits(part.start.div_ceil(self.unit()), last)
    }

    /// The bits that have any of some bytes.
    fn touched(&self, at: i64, size: u64) -> Bytes {
        let part = self.part(at, size);
        if part.is_empty() {
            return Bytes(0);
        }
        bits(part.start / self.unit(), part.end.div_ceil(self.unit()))
    }

    fn runs(&self, bytes: Bytes) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let units = self.size.div_ceil(self.unit());
        for unit in (0..units).filter(|&unit| bytes.0 >> unit & 1 == 1) {
            let (start, end) = (unit * self.unit(), (unit + 1) * self.unit());
            let end = end.min(self.size);
            match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            }
        }
        runs
    }
}

/// The bits from one to before another.
fn bits(start: u64, end: u64) -> Bytes {
    let below = |bit: u64| match u32::try_from(bit) {
        Ok(bit) if bit < u128::BITS => (1u128 << bit) - 1,
        _ => u128::MAX,
    };
    Bytes(below(end) & !below(start))
}

fn decode(module: &Module, range: Range<u64>) -> Option<Vec<Instruction>> {
    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let bytes = module.bytes_at(range.start)?.get(..length)?;
    let decoder = Decoder::with_ip(64, bytes, range.start, DecoderOptions::NONE);
    Some(decoder.into_iter().collect())
}

/// What the registers hold at the start of each block, as far as all paths to it agree; `None` where none leads.
fn registers_at_entries(
    flow: &Flow,
    blocks: &[Vec<Instruction>],
    factory: &mut InstructionInfoFactory,
) -> Vec<Option<Registers>> {
    let mut entries: Vec<Option<Registers>> = vec![None; blocks.len()];
    let mut first: Registers = [None; 16];
    // Below the canonical frame address is the return address.
    if let Some(rsp) = first.get_mut(usize::from(RSP)) {
        *rsp = Some(-8);
    }
    let mut queue = vec![(flow.entry(), first)];
    while let Some((block, from)) = queue.pop() {
        let (Some(known), Some(instructions)) = (entries.get_mut(block), blocks.get(block)) else {
            continue;
        };
        let mut now = from;
        if let Some(before) = known {
            for (now, before) in now.iter_mut().zip(before) {
                if now != before {
                    *now = None;
                }
            }
        }
        if *known == Some(now) {
            continue;
        }
        *known = Some(now);
        for instruction in instructions {
            step(instruction, &mut now, factory);
        }
        queue.extend(flow.successors(block).map(|next| (next, now)));
    }
    entries
}

/// What an instruction does to the registers.
fn step(
    instruction: &Instruction,
    registers: &mut Registers,
    factory: &mut InstructionInfoFactory,
) {
    let rsp = held(Register::RSP, registers);
    if is_call(instruction) {
        for register in CALLER_SAVED {
            if let Some(register) = registers.get_mut(register) {
                *register = None;
            }
        }
        return;
    }
    let target = computed(instruction, registers);
    for used in factory.info(instruction).used_registers() {
        let written = !matches!(
            used.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        if written
            && let Some(register) =
                number(used.register()).and_then(|number| registers.get_mut(number))
        {
            *register = None;
        }
    }
    if let Some((number, value)) = target
        && let Some(register) = registers.get_mut(number)
    {
        *register = value;
    }
    let increment = i64::from(instruction.stack_pointer_increment());
    if increment != 0
        && instruction.mnemonic() != Mnemonic::Leave
        && let Some(register) = registers.get_mut(usize::from(RSP))
    {
        *register = rsp.and_then(|rsp| rsp.checked_add(increment));
    }
}

/// The register that an instruction puts an address into, and the address.
fn computed(instruction: &Instruction, registers: &Registers) -> Option<(usize, Option<i64>)> {
    if instruction.mnemonic() == Mnemonic::Leave {
        let value = held(Register::RBP, registers).and_then(|rbp| rbp.checked_add(8));
        return Some((usize::from(RSP), value));
    }
    let target = instruction.op0_register();
    if instruction.op0_kind() != OpKind::Register || !target.is_gpr64() {
        return None;
    }
    let immediate = || instruction.try_immediate(1).ok().map(u64::cast_signed);
    let value = match (instruction.mnemonic(), instruction.op1_kind()) {
        (Mnemonic::Mov, OpKind::Register) => held(instruction.op1_register(), registers),
        (Mnemonic::Lea, _) if instruction.memory_index() == Register::None => {
            held(instruction.memory_base(), registers).and_then(|base| {
                base.checked_add(instruction.memory_displacement64().cast_signed())
            })
        }
        (Mnemonic::Add, _) => held(target, registers)
            .zip(immediate())
            .and_then(|(base, by)| base.checked_add(by)),
        (Mnemonic::Sub, _) => held(target, registers)
            .zip(immediate())
            .and_then(|(base, by)| base.checked_sub(by)),
        _ => return None,
    };
    Some((number(target)?, value))
}

/// The events of an instruction.
fn note(
    instruction: &Instruction,
    registers: &Registers,
    factory: &mut InstructionInfoFactory,
    events: &mut Vec<Event>,
) {
    let address = instruction.ip();
    let mut add = |kind| events.push(Event { address, kind });
    let info = factory.info(instruction);
    let reads = |access| {
        matches!(
            access,
            OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        )
    };
    for memory in info.used_memory().iter().filter(|m| reads(m.access())) {
        if let Some(at) = place(memory, registers) {
            add(match memory.index() {
                Register::None => Kind::Read(at, memory.memory_size().size() as u64),
                _ => Kind::ReadIn(at),
            });
        }
    }
    for memory in info.used_memory() {
        let written = matches!(memory.access(), OpAccess::Write | OpAccess::ReadWrite);
        if let Some(at) = place(memory, registers).filter(|_| written)
            && memory.index() == Register::None
        {
            add(Kind::Write(at, memory.memory_size().size() as u64));
        }
    }
    // Also by way of a vector register, which stores two addresses at once.
    let stores = match instruction.mnemonic() {
        Mnemonic::Mov => instruction.op0_kind() == OpKind::Memory,
        Mnemonic::Push
        | Mnemonic::Xchg
        | Mnemonic::Movq
        | Mnemonic::Vmovq
        | Mnemonic::Pinsrq
        | Mnemonic::Vpinsrq => true,
        _ => false,
    };
    if stores {
        for operand in 0..instruction.op_count() {
            if instruction.op_kind(operand) == OpKind::Register
                && let Some(at) = held(instruction.op_register(operand), registers)
            {
                add(Kind::Keep(at));
            }
        }
    }
    if is_call(instruction) {
        for at in ARGUMENTS
            .iter()
            .filter_map(|&register| *registers.get(register)?)
        {
            add(Kind::Pass(at));
        }
        add(Kind::Call);
    }
}

/// Where an instruction's memory operand is, without its index.
fn place(memory: &UsedMemory, registers: &Registers) -> Option<i64> {
    held(memory.base(), registers)?.checked_add(memory.displacement().cast_signed())
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    ) && instruction.mnemonic() == Mnemonic::Call
}

fn held(register: Register, registers: &Registers) -> Option<i64> {
    if !register.is_gpr64() {
        return None;
    }
    registers.get(number(register)?).copied().flatten()
}

/// The number of a general register, or of the one that it is a part of, in DWARF.
fn number(register: Register) -> Option<usize> {
    Some(match register.full_register() {
        Register::RAX => 0,
        Register::RDX => 1,
        Register::RCX => 2,
        Register::RBX => 3,
        Register::RSI => 4,
        Register::RDI => 5,
        Register::RBP => usize::from(RBP),
        Register::RSP => usize::from(RSP),
        Register::R8 => 8,
        Register::R9 => 9,
        Register::R10 => 10,
        Register::R11 => 11,
        Register::R12 => 12,
        Register::R13 => 13,
        Register::R14 => 14,
        Register::R15 => 15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64) -> Object<'static> {
        Object {
            start: -40,
            size,
            scope: &[],
        }
    }

    fn bounds(runs: Vec<Range<u64>>) -> Vec<(u64, u64)> {
        runs.into_iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn a_write_covers_whole_units_and_a_read_touches_parts() {
        let small = object(24);
        assert_eq!(bounds(small.runs(small.covered(-40, 24))), [(0, 24)]);
        assert_eq!(bounds(small.runs(small.covered(-32, 100))), [(8, 24)]);
        assert_eq!(bounds(small.runs(small.covered(-64, 25))), [(0, 1)]);
        assert!(small.runs(small.covered(-64, 24)).is_empty());
        assert!(small.runs(small.touched(-16, 8)).is_empty());
        let large = object(1000);
        assert_eq!(large.unit(), 8);
        assert_eq!(bounds(large.runs(large.covered(-39, 16))), [(8, 16)]);
        assert_eq!(bounds(large.runs(large.touched(-39, 16))), [(0, 24)]);
        assert_eq!(bounds(large.runs(large.all())), [(0, 1000)]);
        assert_eq!(bounds(object(1001).runs(object(1001).all())), [(0, 1001)]);
    }

    /// Decodes bytes at 0x1000 and follows the registers.
    fn registers_after(bytes: &[u8]) -> (Registers, Vec<Kind>) {
        let mut factory = InstructionInfoFactory::new();
        let mut registers: Registers = [None; 16];
        registers[usize::from(RSP)] = Some(-8);
        let mut events = Vec::new();
        for instruction in Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE) {
            note(&instruction, &registers, &mut factory, &mut events);
            step(&instruction, &mut registers, &mut factory);
        }
        (
            registers,
            events.into_iter().map(|event| event.kind).collect(),
        )
    }

    #[test]
    fn addresses_are_followed_through_registers() {
        // push rbp; mov rbp, rsp; push rbx; sub rsp, 0x28; lea rbx, [rsp+8]; mov rdi, rbx; mov eax, 1
        let prologue = [
            0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x28, 0x48, 0x8d, 0x5c, 0x24, 0x08,
            0x48, 0x89, 0xdf, 0xb8, 1, 0, 0, 0,
        ];
        let (registers, _) = registers_after(&prologue);
        assert_eq!(registers[usize::from(RSP)], Some(-64));
        assert_eq!(registers[usize::from(RBP)], Some(-16));
        assert_eq!((registers[3], registers[5]), (Some(-56), Some(-56)));
        assert_eq!(registers[0], None);
        // call +0: rbx survives, rdi does not.
        let call = [&prologue[..], &[0xe8, 0, 0, 0, 0]].concat();
        let (registers, events) = registers_after(&call);
        assert_eq!((registers[3], registers[5]), (Some(-56), None));
        assert_eq!(registers[usize::from(RSP)], Some(-64));
        assert!(
            events.ends_with(&[Kind::Pass(-56), Kind::Call]),
            "{events:?}"
        );
        // and rsp, -64: nobody knows.
        let (registers, _) = registers_after(&[0x48, 0x83, 0xe4, 0xc0]);
        assert_eq!(registers[usize::from(RSP)], None);
    }

    #[test]
    fn reads_writes_and_stored_addresses_are_seen() {
        // sub rsp, 0x18; mov [rsp+8], rdi; add qword [rsp], 1; lea rax, [rsp+8]; mov [rsp+0x10], rax;
        // mov eax, [rsp+rcx*4+8]
        let (_, events) = registers_after(&[
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x83, 0x04, 0x24, 0x01,
            0x48, 0x8d, 0x44, 0x24, 0x08, 0x48, 0x89, 0x44, 0x24, 0x10, 0x8b, 0x44, 0x8c, 0x08,
        ]);
        assert_eq!(
            events,
            [
                Kind::Write(-24, 8),
                Kind::Read(-32, 8),
                Kind::Write(-32, 8),
                Kind::Write(-16, 8),
                Kind::Keep(-24),
                Kind::ReadIn(-24),
            ]
        );
    }
}
