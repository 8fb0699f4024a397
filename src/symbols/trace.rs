//! What the instructions of a function do to memory, told by where addresses come from.
//!
//! 1. The function is decoded into blocks. Registers, and slots of the frame that registers are spilled to, are followed
//!    from the entry on as a base, whose number nobody knows, plus an offset.
//! 2. A base is the canonical frame address, a register at the entry, or what an instruction left in a register; where
//!    ways meet that brought different values, the register becomes a base of its own.
//! 3. A base is a value of one moment. When its instruction runs again, in a loop, what was kept of its last value is
//!    not followed any more.
//! 4. Each instruction that uses memory by a base that is known becomes an event: a read or write of bytes, a call that is
//!    passed an address, an address that is stored.
//!
//! Values that were made from several bases, or with an index, are somewhere in what those point to: see
//! [`Trace::mixed`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

use super::flow::Flow;
use super::module::Module;

/// Bytes of code of the largest function that is decoded. A megabyte takes some 100 ms.
const MAX_CODE: u64 = 256 << 10;
/// How often the blocks are gone through; values of real functions settle in a few rounds.
const MAX_ROUNDS: usize = 64;

/// Number of rbp in DWARF.
const RBP: u8 = 6;
/// Number of rsp in DWARF.
const RSP: u8 = 7;
/// Number of rdi in DWARF, which passes the first argument, or where the result goes if that is memory.
const RDI: u8 = 5;

/// Those that a call may change (System V x86-64 psABI, figure 3.4): rax, rdx, rcx, rsi, rdi, r8 to r11.
const CALLER_SAVED: [u8; 9] = [0, 1, 2, 4, RDI, 8, 9, 10, 11];
/// Those that pass arguments: rdi, rsi, rdx, rcx, r8, r9.
const ARGUMENTS: [u8; 6] = [RDI, 4, 1, 2, 8, 9];

/// A number that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// The canonical frame address.
    Frame,
    /// Zero: what is added to it is the number itself.
    Zero,
    /// What a register held at the function's entry.
    Entry(u8),
    /// What the instruction at an address left in a register.
    Result(u64, u8),
    /// What a register holds at the start of a block.
    Joined(usize, u8),
}

/// A base and what is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// What is not known.
    pub base: Base,
    /// What is added.
    pub offset: i64,
}

impl Value {
    fn of(base: Base) -> Self {
        Self { base, offset: 0 }
    }

    /// The sum with a number; `None` where that overflows.
    pub fn plus(self, by: i64) -> Option<Self> {
        Some(Self {
            base: self.base,
            offset: self.offset.checked_add(by)?,
        })
    }
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The instruction's address in the file.
    pub address: u64,
    /// What it does.
    pub kind: Kind,
}

/// What an instruction does, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads so many bytes.
    Read(Value, u64),
    /// Writes so many bytes.
    Write {
        /// Where.
        to: Value,
        /// How many.
        size: u64,
        /// What, if that is followed.
        stored: Option<Value>,
    },
    /// Reads somewhere in what begins at or before the address.
    ReadIn(Value),
    /// Stores the address.
    Keep(Value),
    /// Calls a function with the address.
    Pass {
        /// The address.
        value: Value,
        /// Whether it is the first argument, and so may be where the result goes.
        first: bool,
        /// The function, where the call names it.
        callee: Option<u64>,
    },
    /// Calls a function, after all that it is passed.
    Call,
    /// Returns to the caller.
    Return,
}

/// For each register, by its number in DWARF, what it is known to hold.
type Registers = [Option<Value>; 16];

/// Blocks and the registers that are bases of theirs.
type Joined = BTreeSet<(usize, u8)>;

/// What is known at one point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    registers: Registers,
    /// What the frame holds, by offset from the canonical frame address.
    slots: BTreeMap<i64, Value>,
}

/// A decoded function.
pub struct Trace {
    flow: Flow,
    code: Vec<Vec<Instruction>>,
    /// What holds at the start of each block; `None` where no way leads.
    entries: Vec<Option<State>>,
    /// And at its end.
    exits: Vec<Option<Registers>>,
    /// By block, in order.
    events: Vec<Vec<Event>>,
    /// For bases, the others that they may point into.
    sources: BTreeMap<Base, BTreeSet<Base>>,
}

/// An address of a traced function.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The block.
    pub block: usize,
    /// Of the file.
    pub address: u64,
}

impl Trace {
    /// Decodes a function, its entry's range first. `None` where that is not possible, or the function is too large.
    pub fn read(module: &Module, function: &[Range<u64>]) -> Option<Self> {
        let size: u64 = function
            .iter()
            .map(|range| range.end.saturating_sub(range.start))
            .sum();
        if size > MAX_CODE {
            return None;
        }
        let flow = Flow::read(module, function, &[])?;
        let code: Vec<Vec<Instruction>> = (0..flow.len())
            .map(|block| decode(module, flow.range(block)?))
            .collect::<Option<_>>()?;
        let blocks = flow.len();
        let mut trace = Self {
            flow,
            code,
            entries: vec![None; blocks],
            exits: vec![None; blocks],
            events: vec![Vec::new(); blocks],
            sources: BTreeMap::new(),
        };
        trace.follow()?;
        trace.note_all();
        Some(trace)
    }

    /// The control flow.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The events of a block, in order.
    pub fn events(&self, block: usize) -> &[Event] {
        self.events.get(block).map_or(&[], Vec::as_slice)
    }

    /// An instruction's address; `None` where none starts, or none that can be reached.
    pub fn point(&self, address: u64) -> Option<Point> {
        let block = self.flow.block_of(address)?;
        self.entries.get(block)?.as_ref()?;
        let code = self.code.get(block)?;
        code.binary_search_by_key(&address, Instruction::ip).ok()?;
        Some(Point { block, address })
    }

    /// What a register holds at a point, by its number in DWARF.
    pub fn register(&self, at: Point, register: u8) -> Option<Value> {
        self.state(at)?
            .registers
            .get(usize::from(register))
            .copied()?
    }

    /// What a slot of the frame holds at a point, by its offset from the canonical frame address.
    pub fn slot(&self, at: Point, offset: i64) -> Option<Value> {
        self.state(at)?.slots.get(&offset).copied()
    }

    /// Whether the function reads some bytes anywhere.
    pub fn reads(&self, from: Value, size: u64) -> bool {
        let end = from.offset.saturating_add_unsigned(size);
        self.events.iter().flatten().any(|event| match event.kind {
            Kind::Read(at, size) => {
                at.base == from.base
                    && at.offset <= from.offset
                    && end <= at.offset.saturating_add_unsigned(size)
            }
            _ => false,
        })
    }

    fn state(&self, at: Point) -> Option<State> {
        let mut state = self.entries.get(at.block)?.clone()?;
        let mut factory = InstructionInfoFactory::new();
        let mut sources = BTreeMap::new();
        for instruction in self.code.get(at.block)? {
            if instruction.ip() >= at.address {
                break;
            }
            step(instruction, &mut state, &mut factory, &mut sources);
        }
        Some(state)
    }

    /// What a register holds at the end of a block.
    pub fn at_end(&self, block: usize, register: u8) -> Option<Value> {
        let registers = self.exits.get(block)?.as_ref()?;
        registers.get(usize::from(register)).copied()?
    }

    /// The bases that may point into what a base does, at no known offset.
    pub fn mixed(&self, base: Base) -> BTreeSet<Base> {
        let mut all = BTreeSet::new();
        let mut before = None;
        while before != Some(all.len()) {
            before = Some(all.len());
            for (mixed, sources) in &self.sources {
                if sources.contains(&base) || !sources.is_disjoint(&all) {
                    all.insert(*mixed);
                }
            }
        }
        all.remove(&base);
        all
    }

    /// Finds what holds at the start of each block. Registers that are found to be joined at a block change what was
    /// followed from there before, which slots would not survive; so this starts over with all that are known, until
    /// there are no more.
    fn follow(&mut self) -> Option<()> {
        let blocks = self.flow.len();
        let mut predecessors = vec![Vec::new(); blocks];
        for block in 0..blocks {
            for next in self.flow.successors(block) {
                predecessors.get_mut(next)?.push(block);
            }
        }
        let mut joined = BTreeSet::new();
        for _ in 0..MAX_ROUNDS {
            let before = joined.len();
            self.round(&predecessors, &mut joined)?;
            if joined.len() == before {
                return Some(());
            }
        }
        None
    }

    fn round(&mut self, predecessors: &[Vec<usize>], joined: &mut Joined) -> Option<()> {
        let blocks = self.flow.len();
        let mut exits: Vec<Option<State>> = vec![None; blocks];
        let mut factory = InstructionInfoFactory::new();
        let order = self.flow.order();
        self.entries = vec![None; blocks];
        self.sources.clear();
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for &block in &order {
                let before = predecessors.get(block)?;
                let mut from: Vec<&State> = before
                    .iter()
                    .filter_map(|&before| exits.get(before)?.as_ref())
                    .collect();
                let first;
                if block == self.flow.entry() {
                    first = at_entry();
                    from.push(&first);
                }
                let known = self.entries.get(block)?.as_ref();
                let entry = join(block, known, &from, joined, &mut self.sources)?;
                if known == Some(&entry) && exits.get(block)?.is_some() {
                    continue;
                }
                changed = true;
                let mut state = entry.clone();
                for instruction in self.code.get(block)? {
                    step(instruction, &mut state, &mut factory, &mut self.sources);
                }
                *self.entries.get_mut(block)? = Some(entry);
                *exits.get_mut(block)? = Some(state);
            }
            if !changed {
                self.exits = exits
                    .into_iter()
                    .map(|state| Some(state?.registers))
                    .collect();
                return Some(());
            }
        }
        None
    }

    fn note_all(&mut self) {
        let mut factory = InstructionInfoFactory::new();
        let mut sources = BTreeMap::new();
        for ((code, entry), events) in self.code.iter().zip(&self.entries).zip(&mut self.events) {
            let Some(mut state) = entry.clone() else {
                continue;
            };
            for instruction in code {
                note(instruction, &state, &mut factory, events);
                step(instruction, &mut state, &mut factory, &mut sources);
            }
        }
    }
}

/// What holds at the entry of a function.
fn at_entry() -> State {
    let mut state = State::default();
    for (number, register) in (0..).zip(&mut state.registers) {
        *register = Some(Value::of(Base::Entry(number)));
    }
    // Below the canonical frame address is the return address.
    set(
        &mut state,
        RSP,
        Value {
            base: Base::Frame,
            offset: -8,
        },
    );
    state
}

/// What holds at the start of a block, of what holds where the ways to it come from. `None` where none is known yet.
fn join(
    block: usize,
    known: Option<&State>,
    from: &[&State],
    joined: &mut Joined,
    sources: &mut BTreeMap<Base, BTreeSet<Base>>,
) -> Option<State> {
    let (first, others) = from.split_first()?;
    let mut entry = State::default();
    for (number, register) in (0..).zip(&mut entry.registers) {
        let index = usize::from(number);
        let own = Base::Joined(block, number);
        let values = || {
            from.iter()
                .map(|state| state.registers.get(index).copied().flatten())
        };
        let first = values().next().flatten();
        // What was a base of this block when it was entered before is another number now.
        let stale = matches!(first, Some(Value { base: Base::Joined(of, _), .. }) if of == block);
        if stale || values().any(|value| value != first) {
            joined.insert((block, number));
        }
        *register = if joined.contains(&(block, number)) {
            let bases = values()
                .flatten()
                .map(|value| value.base)
                .filter(|base| *base != own);
            sources.entry(own).or_default().extend(bases);
            Some(Value::of(own))
        } else {
            first
        };
    }
    let stays = |at: &i64, value: &Value| {
        known.is_none_or(|known| known.slots.get(at) == Some(value))
            && !matches!(value.base, Base::Joined(of, _) if of == block)
            && others
                .iter()
                .all(|state| state.slots.get(at) == Some(value))
    };
    entry.slots = first.slots.clone();
    entry.slots.retain(|at, value| stays(at, value));
    Some(entry)
}

fn set(state: &mut State, register: u8, value: Value) {
    if let Some(register) = state.registers.get_mut(usize::from(register)) {
        *register = Some(value);
    }
}

fn decode(module: &Module, range: Range<u64>) -> Option<Vec<Instruction>> {
    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let bytes = module.bytes_at(range.start)?.get(..length)?;
    let decoder = Decoder::with_ip(64, bytes, range.start, DecoderOptions::NONE);
    Some(decoder.into_iter().collect())
}

/// What an instruction does to what is known.
fn step(
    instruction: &Instruction,
    state: &mut State,
    factory: &mut InstructionInfoFactory,
    sources: &mut BTreeMap<Base, BTreeSet<Base>>,
) {
    let address = instruction.ip();
    if is_call(instruction) {
        for register in CALLER_SAVED {
            fresh(state, address, register);
        }
        return;
    }
    let rsp = held(Register::RSP, &state.registers);
    let target = computed(instruction, state);
    let made_of: Vec<Base> = if makes_addresses(instruction) {
        let operands = (0..instruction.op_count())
            .filter(|&operand| instruction.op_kind(operand) == OpKind::Register)
            .map(|operand| instruction.op_register(operand));
        let lea = instruction.mnemonic() == Mnemonic::Lea;
        let parts = [instruction.memory_base(), instruction.memory_index()];
        let values = operands
            .skip(usize::from(lea))
            .chain(parts.into_iter().filter(|_| lea))
            .filter_map(|register| held(register, &state.registers));
        values
            .map(|value| value.base)
            .filter(|base| *base != Base::Zero)
            .collect()
    } else {
        Vec::new()
    };
    store(instruction, state, factory);
    let info = factory.info(instruction);
    let changed: Vec<u8> = info
        .used_registers()
        .iter()
        .filter(|used| {
            !matches!(
                used.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
        })
        .filter_map(|used| number(used.register()))
        .collect();
    for &register in &changed {
        fresh(state, address, register);
        if !made_of.is_empty() {
            let of = made_of
                .iter()
                .filter(|base| **base != Base::Result(address, register));
            sources
                .entry(Base::Result(address, register))
                .or_default()
                .extend(of);
        }
    }
    if let Some((register, Some(value))) = target {
        set(state, register, value);
    }
    let increment = i64::from(instruction.stack_pointer_increment());
    if increment != 0
        && instruction.mnemonic() != Mnemonic::Leave
        && let Some(value) = rsp.and_then(|rsp| rsp.plus(increment))
    {
        set(state, RSP, value);
    }
}

/// Gives a register a value that nothing else has; what had the one of the last time that the instruction ran is
/// forgotten.
fn fresh(state: &mut State, address: u64, register: u8) {
    let base = Base::Result(address, register);
    for value in &mut state.registers {
        if value.is_some_and(|value| value.base == base) {
            *value = None;
        }
    }
    state.slots.retain(|_, value| value.base != base);
    set(state, register, Value::of(base));
}

/// What the frame holds after an instruction that writes to it.
fn store(instruction: &Instruction, state: &mut State, factory: &mut InstructionInfoFactory) {
    let stored = stored(instruction, &state.registers);
    for memory in factory.info(instruction).used_memory() {
        let written = !matches!(
            memory.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        let Some(Value {
            base: Base::Frame,
            offset: at,
        }) = place(memory, &state.registers).filter(|_| written)
        else {
            continue;
        };
        let size = memory.memory_size().size() as i64;
        state
            .slots
            .retain(|slot, _| *slot + 8 <= at || at.saturating_add(size) <= *slot);
        if size == 8
            && memory.index() == Register::None
            && let Some(value) = stored.filter(|value| value.base != Base::Zero)
        {
            state.slots.insert(at, value);
        }
    }
}

/// What an instruction that does nothing else stores.
fn stored(instruction: &Instruction, registers: &Registers) -> Option<Value> {
    let operand = match instruction.mnemonic() {
        Mnemonic::Mov if instruction.op0_kind() == OpKind::Memory => 1,
        Mnemonic::Push => 0,
        _ => return None,
    };
    match instruction.op_kind(operand) {
        // Parts of registers count where they hold a number that is known.
        OpKind::Register => {
            let register = instruction.op_register(operand);
            let value = registers
                .get(usize::from(number(register)?))
                .copied()
                .flatten()?;
            let low = register.is_gpr64()
                || register.is_gpr32()
                || register.is_gpr16()
                || is_low_byte(register);
            let whole = register.is_gpr64();
            (low && (whole || matches!(value.base, Base::Zero | Base::Joined(..)))).then_some(value)
        }
        OpKind::Memory => None,
        _ => {
            let offset = instruction.try_immediate(operand).ok()?.cast_signed();
            Some(Value {
                base: Base::Zero,
                offset,
            })
        }
    }
}

fn is_low_byte(register: Register) -> bool {
    register.is_gpr8()
        && !matches!(
            register,
            Register::AH | Register::BH | Register::CH | Register::DH
        )
}

/// The register that an instruction puts an address or a number into, and that.
fn computed(instruction: &Instruction, state: &State) -> Option<(u8, Option<Value>)> {
    let registers = &state.registers;
    if instruction.mnemonic() == Mnemonic::Leave {
        return Some((
            RSP,
            held(Register::RBP, registers).and_then(|rbp| rbp.plus(8)),
        ));
    }
    let target = instruction.op0_register();
    if instruction.op0_kind() != OpKind::Register
        || !(target.is_gpr64() || target.is_gpr32() || is_low_byte(target))
    {
        return None;
    }
    let immediate = || instruction.try_immediate(1).ok().map(u64::cast_signed);
    let constant = |offset| {
        Some(Value {
            base: Base::Zero,
            offset,
        })
    };
    let wide = target.is_gpr64();
    let value = match (instruction.mnemonic(), instruction.op1_kind()) {
        (Mnemonic::Mov, OpKind::Register) if wide => held(instruction.op1_register(), registers),
        (Mnemonic::Mov, OpKind::Memory) if wide && instruction.memory_index() == Register::None => {
            let from = held(instruction.memory_base(), registers)?;
            let at = from.plus(instruction.memory_displacement64().cast_signed())?;
            match at.base {
                Base::Frame => state.slots.get(&at.offset).copied(),
                _ => None,
            }
        }
        (Mnemonic::Mov, _) => immediate().and_then(constant),
        (Mnemonic::Xor, OpKind::Register) if instruction.op1_register() == target => constant(0),
        (Mnemonic::Lea, _) if wide && instruction.memory_index() == Register::None => {
            held(instruction.memory_base(), registers)
                .and_then(|base| base.plus(instruction.memory_displacement64().cast_signed()))
        }
        (Mnemonic::Add, _) if wide => held(target, registers)
            .zip(immediate())
            .and_then(|(base, by)| base.plus(by)),
        (Mnemonic::Sub, _) if wide => held(target, registers)
            .zip(immediate())
            .and_then(|(base, by)| base.plus(by.checked_neg()?)),
        (Mnemonic::Pop, _) if wide => match held(Register::RSP, registers)? {
            Value {
                base: Base::Frame,
                offset,
            } => state.slots.get(&offset).copied(),
            _ => None,
        },
        _ => return None,
    };
    Some((number(target)?, value))
}

/// Whether what an instruction leaves may be an address that was made from those in its registers.
fn makes_addresses(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && (instruction.condition_code() != ConditionCode::None
            || matches!(
                instruction.mnemonic(),
                Mnemonic::Lea
                    | Mnemonic::Add
                    | Mnemonic::Sub
                    | Mnemonic::And
                    | Mnemonic::Or
                    | Mnemonic::Xchg
            ))
}

/// The events of an instruction.
fn note(
    instruction: &Instruction,
    state: &State,
    factory: &mut InstructionInfoFactory,
    events: &mut Vec<Event>,
) {
    let registers = &state.registers;
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
        if let Some(to) = place(memory, registers).filter(|_| written)
            && memory.index() == Register::None
        {
            add(Kind::Write {
                to,
                size: memory.memory_size().size() as u64,
                stored: stored(instruction, registers),
            });
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
                && let Some(value) = held(instruction.op_register(operand), registers)
            {
                add(Kind::Keep(value));
            }
        }
    }
    if is_call(instruction) {
        let direct = matches!(instruction.op0_kind(), OpKind::NearBranch64);
        for register in ARGUMENTS {
            if let Some(value) = registers.get(usize::from(register)).copied().flatten() {
                add(Kind::Pass {
                    value,
                    first: register == RDI,
                    callee: direct.then(|| instruction.near_branch_target()),
                });
            }
        }
        add(Kind::Call);
    }
    if instruction.flow_control() == FlowControl::Return {
        add(Kind::Return);
    }
}

/// Where an instruction's memory operand is, without its index.
fn place(memory: &UsedMemory, registers: &Registers) -> Option<Value> {
    held(memory.base(), registers)?.plus(memory.displacement().cast_signed())
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    ) && instruction.mnemonic() == Mnemonic::Call
}

fn held(register: Register, registers: &Registers) -> Option<Value> {
    if !register.is_gpr64() {
        return None;
    }
    registers
        .get(usize::from(number(register)?))
        .copied()
        .flatten()
}

/// The number of a general register, or of the one that it is a part of, in DWARF.
fn number(register: Register) -> Option<u8> {
    Some(match register.full_register() {
        Register::RAX => 0,
        Register::RDX => 1,
        Register::RCX => 2,
        Register::RBX => 3,
        Register::RSI => 4,
        Register::RDI => RDI,
        Register::RBP => RBP,
        Register::RSP => RSP,
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

    const FRAME: fn(i64) -> Option<Value> = |offset| {
        Some(Value {
            base: Base::Frame,
            offset,
        })
    };

    /// Decodes bytes at 0x1000 and follows the registers.
    fn after(bytes: &[u8]) -> (State, Vec<Kind>) {
        let mut factory = InstructionInfoFactory::new();
        let mut state = at_entry();
        let mut events = Vec::new();
        for instruction in Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE) {
            note(&instruction, &state, &mut factory, &mut events);
            step(&instruction, &mut state, &mut factory, &mut BTreeMap::new());
        }
        (state, events.into_iter().map(|event| event.kind).collect())
    }

    #[test]
    fn addresses_are_followed_through_registers() {
        // push rbp; mov rbp, rsp; push rbx; sub rsp, 0x28; lea rbx, [rsp+8]; mov rdi, rbx; mov eax, 1
        let prologue = [
            0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x28, 0x48, 0x8d, 0x5c, 0x24, 0x08,
            0x48, 0x89, 0xdf, 0xb8, 1, 0, 0, 0,
        ];
        let (State { registers, .. }, _) = after(&prologue);
        assert_eq!(registers[usize::from(RSP)], FRAME(-64));
        assert_eq!(registers[usize::from(RBP)], FRAME(-16));
        assert_eq!((registers[3], registers[5]), (FRAME(-56), FRAME(-56)));
        assert_eq!(
            registers[0],
            Some(Value {
                base: Base::Zero,
                offset: 1
            })
        );
        // call +0: rbx survives, rdi does not.
        let call = [&prologue[..], &[0xe8, 0, 0, 0, 0]].concat();
        let (State { registers, .. }, events) = after(&call);
        assert_eq!(registers[3], FRAME(-56));
        assert_eq!(
            registers[5].map(|value| value.base),
            Some(Base::Result(0x1016, RDI))
        );
        assert_eq!(registers[usize::from(RSP)], FRAME(-64));
        let passed = Kind::Pass {
            value: FRAME(-56).unwrap(),
            first: true,
            callee: Some(0x101b),
        };
        assert!(events.contains(&passed), "{events:?}");
        assert_eq!(events.last(), Some(&Kind::Call));
        // and rsp, -64: nobody knows.
        let (State { registers, .. }, _) = after(&[0x48, 0x83, 0xe4, 0xc0]);
        assert_ne!(
            registers[usize::from(RSP)].map(|value| value.base),
            Some(Base::Frame)
        );
    }

    #[test]
    fn a_spilled_address_is_found_again() {
        // sub rsp, 0x18; mov [rsp+8], rdi; xor edi, edi; mov rbx, [rsp+8]; lea rax, [rbx+0x10]
        let spill = [
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x31, 0xff, 0x48, 0x8b, 0x5c,
            0x24, 0x08, 0x48, 0x8d, 0x43, 0x10,
        ];
        let (State { registers, .. }, _) = after(&spill);
        assert_eq!(
            registers[0],
            Some(Value {
                base: Base::Entry(RDI),
                offset: 0x10
            })
        );
        // mov dword [rsp+0xc], 1 between: what is there now is another number.
        let broken = [
            &spill[..11],
            &[0xc7, 0x44, 0x24, 0x0c, 1, 0, 0, 0],
            &spill[11..],
        ]
        .concat();
        let (State { registers, .. }, _) = after(&broken);
        assert_ne!(registers[0].map(|value| value.base), Some(Base::Entry(RDI)));
    }

    #[test]
    fn what_a_loop_computes_again_is_another_number() {
        // mov rax, [rdi]; mov rbx, rax; and the same load again.
        let mut factory = InstructionInfoFactory::new();
        let mut state = at_entry();
        let bytes = [0x48, 0x8b, 0x07, 0x48, 0x89, 0xc3];
        for _ in 0..2 {
            for instruction in Decoder::with_ip(64, &bytes[..3], 0x1000, DecoderOptions::NONE) {
                step(&instruction, &mut state, &mut factory, &mut BTreeMap::new());
            }
            let of = state.registers[0];
            assert_eq!(of, Some(Value::of(Base::Result(0x1000, 0))));
            assert_ne!(state.registers[3], of);
            for instruction in Decoder::with_ip(64, &bytes[3..], 0x1003, DecoderOptions::NONE) {
                step(&instruction, &mut state, &mut factory, &mut BTreeMap::new());
            }
            assert_eq!(state.registers[3], of);
        }
    }

    #[test]
    fn reads_writes_and_stored_addresses_are_seen() {
        // sub rsp, 0x18; mov [rsp+8], rdi; add qword [rsp], 1; lea rax, [rsp+8]; mov [rsp+0x10], rax;
        // mov eax, [rsp+rcx*4+8]
        let (_, events) = after(&[
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x83, 0x04, 0x24, 0x01,
            0x48, 0x8d, 0x44, 0x24, 0x08, 0x48, 0x89, 0x44, 0x24, 0x10, 0x8b, 0x44, 0x8c, 0x08,
        ]);
        let frame = |offset| Value {
            base: Base::Frame,
            offset,
        };
        let write = |offset, stored| Kind::Write {
            to: frame(offset),
            size: 8,
            stored,
        };
        let argument = Value::of(Base::Entry(RDI));
        assert_eq!(
            events,
            [
                write(-24, Some(argument)),
                Kind::Keep(argument),
                Kind::Read(frame(-32), 8),
                write(-32, None),
                write(-16, Some(frame(-24))),
                Kind::Keep(frame(-24)),
                Kind::ReadIn(frame(-24)),
            ]
        );
    }
}
