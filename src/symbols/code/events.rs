//! What the instructions of a function do to the memory that its caller's pointers and its own frame lead to.

use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::registers::{ARGUMENTS, Pointer, Registers, is_call};
use crate::symbols::flow::Flow;
use crate::symbols::module::Module;

/// Bytes of code of the largest function that is decoded; of larger ones nothing is known. A megabyte takes some 50 ms.
const MAX_CODE: u64 = 256 << 10;

/// A function's instructions as what they do, seen from one address.
pub struct Code {
    /// Its blocks.
    pub flow: Flow,
    /// By block, in order.
    pub events: Vec<Vec<Event>>,
    /// The block that the address starts.
    pub here: usize,
    /// What is known there.
    pub registers: Registers,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The instruction's.
    pub address: u64,
    /// What it does.
    pub kind: Kind,
}

/// What an instruction does to bytes whose address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads so many bytes.
    Read(Pointer, u64),
    /// Writes so many bytes.
    Write(Pointer, u64),
    /// Reads somewhere in what begins at or before the address.
    ReadIn(Pointer),
    /// Writes somewhere in what begins at or before the address.
    WriteIn(Pointer),
    /// Writes this number; comes behind the write of its bytes.
    Set(Pointer, u64),
    /// Stores the address.
    Keep(Pointer),
    /// Calls a function with the address.
    Pass(Pointer),
    /// Calls a function, after all that it is passed.
    Call,
    /// Goes back to the function's caller.
    Return,
}

impl Code {
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
        let mut entries = registers_at_entries(&flow, &blocks, &mut factory);
        let registers = entries.get(here)?.clone()?;
        let mut events = vec![Vec::new(); blocks.len()];
        for ((block, registers), events) in blocks.iter().zip(&mut entries).zip(&mut events) {
            let Some(registers) = registers else {
                continue;
            };
            for instruction in block {
                note(instruction, registers, &mut factory, events);
                registers.step(instruction, &mut factory);
            }
        }
        Some(Self {
            flow,
            events,
            here,
            registers,
        })
    }
}

#[cfg(test)]
impl Code {
    /// A function of blocks with these events, seen from the start of one of them.
    pub fn of(flow: Flow, events: Vec<Vec<Event>>, here: usize) -> Self {
        Self {
            flow,
            events,
            here,
            registers: Registers::at_entry(),
        }
    }
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
    let mut queue = vec![(flow.entry(), Registers::at_entry())];
    while let Some((block, from)) = queue.pop() {
        let (Some(known), Some(instructions)) = (entries.get_mut(block), blocks.get(block)) else {
            continue;
        };
        let mut now = from;
        if let Some(before) = known {
            now.meet(before);
        }
        if known.as_ref() == Some(&now) {
            continue;
        }
        *known = Some(now.clone());
        for instruction in instructions {
            now.step(instruction, factory);
        }
        queue.extend(flow.successors(block).map(|next| (next, now.clone())));
    }
    entries
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
        if let Some(at) = registers.place(memory) {
            add(match memory.index() {
                Register::None => Kind::Read(at, memory.memory_size().size() as u64),
                _ => Kind::ReadIn(at),
            });
        }
    }
    for memory in info.used_memory() {
        let written = matches!(
            memory.access(),
            OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
        );
        if let Some(at) = registers.place(memory).filter(|_| written) {
            let always = matches!(memory.access(), OpAccess::Write | OpAccess::ReadWrite);
            add(match memory.index() {
                Register::None if always => Kind::Write(at, memory.memory_size().size() as u64),
                _ => Kind::WriteIn(at),
            });
        }
    }
    if instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && let Ok(number) = instruction.try_immediate(1)
        && let [memory] = info.used_memory()
        && memory.index() == Register::None
        && let Some(at) = registers.place(memory)
    {
        add(Kind::Set(at, number));
    }
    if instruction.flow_control() == FlowControl::Return {
        add(Kind::Return);
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
                && let Some(at) = registers.held(instruction.op_register(operand))
            {
                add(Kind::Keep(at));
            }
        }
    }
    if is_call(instruction) {
        for at in ARGUMENTS
            .iter()
            .filter_map(|&register| registers.get(register))
        {
            add(Kind::Pass(at));
        }
        add(Kind::Call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::code::registers::Base;

    /// Decodes bytes at 0x1000 and follows the registers.
    fn registers_after(bytes: &[u8]) -> (Registers, Vec<Kind>) {
        let mut factory = InstructionInfoFactory::new();
        let mut registers = Registers::at_entry();
        let mut events = Vec::new();
        for instruction in Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE) {
            note(&instruction, &registers, &mut factory, &mut events);
            registers.step(&instruction, &mut factory);
        }
        // Pointers of the caller's are passed and kept as well.
        let in_frame = |kind: &Kind| match kind {
            Kind::Read(at, _) | Kind::Write(at, _) => at.base == Base::Frame,
            Kind::ReadIn(at)
            | Kind::WriteIn(at)
            | Kind::Set(at, _)
            | Kind::Keep(at)
            | Kind::Pass(at) => at.base == Base::Frame,
            Kind::Call | Kind::Return => true,
        };
        let kinds = events.into_iter().map(|event| event.kind);
        (registers, kinds.filter(in_frame).collect())
    }

    #[test]
    fn addresses_are_followed_through_registers() {
        // push rbp; mov rbp, rsp; push rbx; sub rsp, 0x28; lea rbx, [rsp+8]; mov rdi, rbx; mov eax, 1
        let prologue = [
            0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x28, 0x48, 0x8d, 0x5c, 0x24, 0x08,
            0x48, 0x89, 0xdf, 0xb8, 1, 0, 0, 0,
        ];
        let (registers, _) = registers_after(&prologue);
        assert_eq!(registers.get(7), Some(Pointer::frame(-64)));
        assert_eq!(registers.get(6), Some(Pointer::frame(-16)));
        assert_eq!(
            (registers.get(3), registers.get(5)),
            (Some(Pointer::frame(-56)), Some(Pointer::frame(-56)))
        );
        assert_eq!(registers.get(0), None);
        // call +0: rbx survives, rdi does not.
        let call = [&prologue[..], &[0xe8, 0, 0, 0, 0]].concat();
        let (registers, events) = registers_after(&call);
        assert_eq!(
            (registers.get(3), registers.get(5)),
            (Some(Pointer::frame(-56)), None)
        );
        assert_eq!(registers.get(7), Some(Pointer::frame(-64)));
        assert!(
            events.ends_with(&[Kind::Pass(Pointer::frame(-56)), Kind::Call]),
            "{events:?}"
        );
        // and rsp, -64: nobody knows.
        let (registers, _) = registers_after(&[0x48, 0x83, 0xe4, 0xc0]);
        assert_eq!(registers.get(7), None);
    }

    #[test]
    fn reads_writes_and_stored_addresses_are_seen() {
        // sub rsp, 0x18; mov [rsp+8], rdi; add qword [rsp], 1; lea rax, [rsp+8]; mov [rsp+0x10], rax;
        // mov eax, [rsp+rcx*4+8]; mov byte [rsp+4], 3; ret
        let (_, events) = registers_after(&[
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x83, 0x04, 0x24, 0x01,
            0x48, 0x8d, 0x44, 0x24, 0x08, 0x48, 0x89, 0x44, 0x24, 0x10, 0x8b, 0x44, 0x8c, 0x08,
            0xc6, 0x44, 0x24, 0x04, 0x03, 0xc3,
        ]);
        assert_eq!(
            events,
            [
                Kind::Write(Pointer::frame(-24), 8),
                Kind::Read(Pointer::frame(-32), 8),
                Kind::Write(Pointer::frame(-32), 8),
                Kind::Write(Pointer::frame(-16), 8),
                Kind::Keep(Pointer::frame(-24)),
                Kind::ReadIn(Pointer::frame(-24)),
                Kind::Write(Pointer::frame(-28), 1),
                Kind::Set(Pointer::frame(-28), 3),
                Kind::Read(Pointer::frame(-32), 8),
                Kind::Return,
            ]
        );
    }
}
