//! Which addresses the registers of a function hold, followed from its entry on.

use std::collections::BTreeMap;

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
    UsedMemory,
};

/// Number of rbp in DWARF.
const RBP: u8 = 6;
/// Number of rsp in DWARF.
const RSP: u8 = 7;

/// Those that a call may change (System V x86-64 psABI, figure 3.4): rax, rdx, rcx, rsi, rdi, r8 to r11.
const CALLER_SAVED: [usize; 9] = [0, 1, 2, 4, 5, 8, 9, 10, 11];
/// Those that pass arguments: rdi, rsi, rdx, rcx, r8, r9.
pub const ARGUMENTS: [u8; 6] = [5, 4, 1, 2, 8, 9];

/// An address, told by what the function's caller passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// What it is relative to.
    pub base: Base,
    /// How many bytes it is behind that.
    pub offset: i64,
}

/// What a [`Pointer`] is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The canonical frame address.
    Frame,
    /// What the register of this number, one that passes arguments, held at the function's entry.
    Argument(u8),
}

/// What is known to be in registers, and in places of the frame that they were saved to, on every way to one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// By their numbers in DWARF.
    general: [Option<Pointer>; 16],
    /// Pointers of arguments by where they were saved, relative to the canonical frame address.
    saved: BTreeMap<i64, Pointer>,
}

impl Pointer {
    /// The address so many bytes behind it.
    pub fn checked_add(self, by: i64) -> Option<Self> {
        let offset = self.offset.checked_add(by)?;
        Some(Self { offset, ..self })
    }

    /// An address in the frame, relative to the canonical frame address.
    pub fn frame(offset: i64) -> Self {
        Self {
            base: Base::Frame,
            offset,
        }
    }
}

impl Registers {
    /// At a function's entry.
    pub fn at_entry() -> Self {
        let mut general = [None; 16];
        for number in ARGUMENTS {
            if let Some(register) = general.get_mut(usize::from(number)) {
                *register = Some(Pointer {
                    base: Base::Argument(number),
                    offset: 0,
                });
            }
        }
        // Below the canonical frame address is the return address.
        if let Some(rsp) = general.get_mut(usize::from(RSP)) {
            *rsp = Some(Pointer::frame(-8));
        }
        Self {
            general,
            saved: BTreeMap::new(),
        }
    }

    /// What a register holds, by its number in DWARF.
    pub fn get(&self, number: u8) -> Option<Pointer> {
        self.general.get(usize::from(number)).copied().flatten()
    }

    /// The pointer of an argument that was saved at an address.
    pub fn saved(&self, at: Pointer) -> Option<Pointer> {
        let at = (at.base == Base::Frame).then_some(at.offset)?;
        self.saved.get(&at).copied()
    }

    /// Where a pointer of an argument is: in a register, or saved in the frame.
    pub fn find(&self, base: Base) -> Option<(Place, Pointer)> {
        let registers = (0u8..).zip(&self.general);
        let mut registers = registers.filter_map(|(number, held)| Some((number, (*held)?)));
        let found = registers.find(|(_, held)| held.base == base);
        let saved = || self.saved.iter().find(|(_, held)| held.base == base);
        found
            .map(|(number, held)| (Place::Register(number), held))
            .or_else(|| saved().map(|(at, held)| (Place::Frame(*at), *held)))
    }

    /// Keeps what `other` has as well.
    pub fn meet(&mut self, other: &Self) {
        for (now, other) in self.general.iter_mut().zip(&other.general) {
            if now != other {
                *now = None;
            }
        }
        self.saved
            .retain(|at, held| other.saved.get(at) == Some(held));
    }

    /// Goes behind an instruction.
    pub fn step(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        let rsp = self.held(Register::RSP);
        if is_call(instruction) {
            for register in CALLER_SAVED {
                if let Some(register) = self.general.get_mut(register) {
                    *register = None;
                }
            }
            return;
        }
        let target = self.computed(instruction);
        let info = factory.info(instruction);
        self.store(instruction, info.used_memory());
        for used in info.used_registers() {
            let written = !matches!(
                used.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            );
            if written
                && let Some(register) =
                    number(used.register()).and_then(|number| self.general.get_mut(number))
            {
                *register = None;
            }
        }
        if let Some((number, value)) = target
            && let Some(register) = self.general.get_mut(number)
        {
            *register = value;
        }
        let increment = i64::from(instruction.stack_pointer_increment());
        if increment != 0
            && instruction.mnemonic() != Mnemonic::Leave
            && let Some(register) = self.general.get_mut(usize::from(RSP))
        {
            *register = rsp.and_then(|rsp| rsp.checked_add(increment));
        }
    }

    /// What an instruction writes to the frame: it ends what was saved there, and may save a pointer itself.
    fn store(&mut self, instruction: &Instruction, memory: &[UsedMemory]) {
        for used in memory {
            let written = !matches!(
                used.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            );
            let Some(Pointer {
                base: Base::Frame,
                offset,
            }) = self.place(used).filter(|_| written)
            else {
                continue;
            };
            let size = i64::try_from(used.memory_size().size()).unwrap_or(i64::MAX);
            let end = offset.saturating_add(size);
            self.saved
                .retain(|at, _| at.saturating_add(8) <= offset || end <= *at);
            if instruction.mnemonic() == Mnemonic::Mov
                && used.index() == Register::None
                && let Some(held) = self.held(instruction.op1_register())
                && held.base != Base::Frame
            {
                self.saved.insert(offset, held);
            }
        }
    }

    /// The register that an instruction puts an address into, and the address.
    fn computed(&self, instruction: &Instruction) -> Option<(usize, Option<Pointer>)> {
        if instruction.mnemonic() == Mnemonic::Leave {
            let value = self.held(Register::RBP).and_then(|rbp| rbp.checked_add(8));
            return Some((usize::from(RSP), value));
        }
        let target = instruction.op0_register();
        if instruction.op0_kind() != OpKind::Register || !target.is_gpr64() {
            return None;
        }
        let immediate = || instruction.try_immediate(1).ok().map(u64::cast_signed);
        let displacement = instruction.memory_displacement64().cast_signed();
        let memory = || {
            self.held(instruction.memory_base())
                .filter(|_| instruction.memory_index() == Register::None)
                .and_then(|base| base.checked_add(displacement))
        };
        let value = match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Mov, OpKind::Register) => self.held(instruction.op1_register()),
            (Mnemonic::Mov, OpKind::Memory) => memory()
                .filter(|at| at.base == Base::Frame)
                .and_then(|at| self.saved.get(&at.offset).copied()),
            (Mnemonic::Lea, _) => memory(),
            (Mnemonic::Add, _) => self
                .held(target)
                .zip(immediate())
                .and_then(|(base, by)| base.checked_add(by)),
            (Mnemonic::Sub, _) => self
                .held(target)
                .zip(immediate())
                .and_then(|(base, by)| base.checked_add(by.checked_neg()?)),
            _ => return None,
        };
        Some((number(target)?, value))
    }

    /// Where an instruction's memory operand is, without its index.
    pub fn place(&self, memory: &UsedMemory) -> Option<Pointer> {
        self.held(memory.base())?
            .checked_add(memory.displacement().cast_signed())
    }

    /// What a whole general register holds.
    pub fn held(&self, register: Register) -> Option<Pointer> {
        if !register.is_gpr64() {
            return None;
        }
        self.general.get(number(register)?).copied().flatten()
    }
}

/// Where a pointer can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the register of this number in DWARF.
    Register(u8),
    /// In the frame, relative to the canonical frame address.
    Frame(i64),
}

/// Whether an instruction calls a function.
pub fn is_call(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    ) && instruction.mnemonic() == Mnemonic::Call
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
