//! Displaced instructions: the first instruction of a site, made to run somewhere else.
//!
//! A site's first byte is an `int3`, and stays one while threads run, so a thread that hit it is sent through a *slot*:
//! a few bytes in executable memory that do what the original instruction does and go on after it. Sending a thread on
//! takes one change, its program counter set to [`Displaced::slot`]; nothing is single-stepped, and neither registers
//! nor memory of the thread are read or written for it, so the same slot serves the tracer and a signal handler.
//!
//! What a slot holds, by the class of the instruction (the rules are those of the kernel's
//! `arch/x86/kernel/uprobes.c` and of GDB's `amd64-tdep.c`, but for calls, see there):
//!
//! 1. Most instructions: the same bytes, then a jump to the next one. A RIP-relative displacement is rebased, so that it
//!    names the same memory. `lock`, `rep` and segment prefixes are part of the bytes. `ud2` too: its signal is the
//!    program's.
//! 2. `ret`, indirect `jmp`: the same bytes; they never come back.
//! 3. Direct `jmp`: an absolute jump.
//! 4. `jcc`, `loop`, `jrcxz`: the same test over a short distance, then an absolute jump on either side.
//! 5. `call`: the *original* return address is pushed, then follows a `jmp` to where the call goes. No return address
//!    ever points into a slot, so backtraces, unwinding and the removal of the site are undisturbed. A target in memory
//!    is itself pushed first, and then overwritten: so the call faults before anything has changed, if it does.
//!
//! All of these fault as the original does, natively, so a null function pointer or an overflown stack needs no care
//! before. Addresses inside the slot must not be shown to the program (a signal frame), nor to a profiler or unwinder:
//! [`Displaced::original`] turns each into the state that an undisturbed thread would have.
//!
//! What differs from running in place, and is accepted: a call to a non-canonical address has already stored its return
//! address below the stack pointer when it faults; `fnstenv` and the `xsave` family show a slot as the address of the
//! last x87 instruction; a restartable sequence (rseq) is not restarted when its thread is moved off the CPU within a
//! slot; with user shadow stacks switched on a displaced call lacks its shadow entry, so the caller of this module must
//! not arm sites in such a process.

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderError, DecoderOptions, FlowControl, Instruction, OpKind,
    Register,
};
use thiserror::Error;

/// The bytes that a slot takes. The longest form, a call through memory with instructions of 15 bytes, takes 45.
pub const SLOT_SIZE: usize = 64;

/// The longest instruction that a processor takes (Intel SDM volume 2, 2.3.11).
const LONGEST: usize = 15;

/// `endbr64`, the landing pad of indirect branches.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// `jmp [rip+0]`, which takes its target from the 8 bytes that follow it: no register, no flag, no limit of distance.
const JMP_ABSOLUTE: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0];
/// The length of [`JMP_ABSOLUTE`] with its target.
const JMP_ABSOLUTE_LENGTH: u8 = 14;

/// `push imm32`, sign-extended to 64 bits.
const PUSH_IMMEDIATE: u8 = 0x68;
/// `mov dword [rsp], imm32`
const MOV_LOWER_HALF: [u8; 3] = [0xc7, 0x04, 0x24];
/// `mov dword [rsp+4], imm32`
const MOV_UPPER_HALF: [u8; 4] = [0xc7, 0x44, 0x24, 0x04];

/// The operations of opcode FF that are used here, as the `reg` field of ModRM.
const JMP: u8 = 4 << 3;
const PUSH: u8 = 6 << 3;
/// The fields of ModRM.
const MOD: u8 = 0o300;
const REG: u8 = 0o070;

/// The operand-size prefix.
const OPERAND_SIZE: u8 = 0x66;
/// The first and last REX prefix that make the operand 64 bits wide, whatever [`OPERAND_SIZE`] says. They count only
/// right before the opcode.
const REX_W: u8 = 0x48;
const REX_WRXB: u8 = 0x4f;

/// Why an instruction cannot run displaced. One line, for the person who asked for the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text ends within the instruction.
    #[error("the code ends in the middle of an instruction")]
    Truncated,
    /// No instruction that is known; data in the text, or an extension newer than the decoder.
    #[error("no valid instruction at this address")]
    Invalid,
    /// `syscall`, `sysenter`, `int n`, `vmcall`: the kernel or hypervisor records where it was entered from.
    #[error(
        "the instruction enters the kernel (`syscall`, `int`), which must happen at its own address"
    )]
    KernelEntry,
    /// `int3`, `int1`: the program's own, or another debugger's.
    #[error("there is a breakpoint instruction already, the program's own or another debugger's")]
    Breakpoint,
    /// Allowed to the kernel only (`hlt`, `in`, `cli`): a thread would fault here anyway.
    #[error("the instruction is privileged")]
    Privileged,
    /// `xbegin`, `xend`, `xabort`: a trap aborts the transaction, which then never succeeds.
    #[error("the instruction belongs to a hardware transaction, which a breakpoint aborts")]
    Transaction,
    /// A far call, jump or return, or a return from an interrupt.
    #[error("the instruction changes the code segment (far call, jump or return)")]
    FarTransfer,
    /// An instruction that manages a shadow stack.
    #[error("the instruction handles a shadow stack")]
    ShadowStack,
    /// `enclu`: an enclave is resumed at the address of the instruction that entered it.
    #[error("the instruction enters an SGX enclave")]
    Enclave,
    /// A branch with an operand-size prefix: 16 bits wide on AMD processors, 64 on Intel's.
    #[error("the branch has an operand-size prefix, whose meaning depends on the processor")]
    OperandSize,
    /// A call whose target is in the stack pointer, or in the word that its own return address overwrites.
    #[error("the call takes its target from the place of its own return address")]
    StackTarget,
    /// The slot is too far away for a displacement of 32 bits.
    #[error("the memory that the instruction names is out of reach of its displaced copy")]
    OutOfReach,
}

/// What an undisturbed thread would have in its registers, for a program counter inside a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// The program counter.
    pub pc: u64,
    /// What is to be added to the stack pointer: 8 within a displaced call that has pushed already, else 0.
    pub stack: u64,
    /// Whether the instruction is done. If not, a thread that is sent to `pc` runs into the site once more.
    pub passed: bool,
}

/// An address in a slot that a thread can stop at, and what it stands for.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u8,
    original: Original,
}

/// An instruction that is ready to run in a slot.
#[derive(Debug, Clone, Copy)]
pub struct Displaced {
    slot: u64,
    length: u8,
    code: Assembly,
    /// No class has more than four; those with fewer repeat the first.
    places: [Place; 4],
}

/// Where to put the site of a function that begins at `at`: behind an `endbr64`, which indirect branches must find
/// intact, else at `at` itself. `text` is the original code at `at`.
pub fn site_address(text: &[u8], at: u64) -> u64 {
    if text.starts_with(&ENDBR64) {
        at.wrapping_add(ENDBR64.len() as u64)
    } else {
        at
    }
}

/// Prepares the instruction at `at` to run at `slot`.
///
/// `text` is the original code at `at`, without anybody's breakpoints; 15 bytes suffice, fewer do where the code ends.
/// `slot` is the address of [`SLOT_SIZE`] bytes of readable and executable memory, within 2 GB of what the instruction
/// names RIP-relatively.
///
/// # Errors
///
/// When the instruction cannot run elsewhere, with the reason.
pub fn displace(text: &[u8], at: u64, slot: u64) -> Result<Displaced, Refusal> {
    let original = Decoded::new(text, at)?;
    let next = original.instruction.next_ip();
    let mut code = Assembly::default();

    let place = |offset, pc, stack, passed| Place {
        offset,
        original: Original { pc, stack, passed },
    };
    let start = place(0, at, 0, false);
    let passed = |offset, pc| place(offset, pc, 0, true);
    // A displaced call can be undone until its jump: it is repeated as a whole.
    let pushed = |offset| place(offset, at, 8, false);
    let others = match original.class()? {
        Class::Plain => {
            original.copy(&mut code, slot)?;
            let end = code.length;
            code.jump(next);
            [passed(end, next), start, start]
        }
        Class::Leaving => {
            original.copy(&mut code, slot)?;
            [start, start, start]
        }
        Class::Jump => {
            code.jump(original.instruction.near_branch_target());
            [start, start, start]
        }
        Class::Conditional => {
            original.branch_over_jump(&mut code);
            let end = code.length;
            let taken = original.instruction.near_branch_target();
            code.jump(next);
            code.jump(taken);
            [
                passed(end, next),
                passed(end + JMP_ABSOLUTE_LENGTH, taken),
                start,
            ]
        }
        Class::Call => {
            let [low, done] = code.push(next);
            code.jump(original.instruction.near_branch_target());
            [pushed(low), pushed(done), start]
        }
        Class::IndirectCall if original.instruction.op0_kind() == OpKind::Register => {
            let [low, done] = code.push(next);
            original.jump_to_register(&mut code)?;
            [pushed(low), pushed(done), start]
        }
        Class::IndirectCall => {
            original.with_memory_target(&mut code, slot, PUSH, 0)?;
            let target = code.length;
            let [low, done] = code.replace_pushed(next);
            original.with_memory_target(&mut code, slot, JMP, 8)?;
            [pushed(target), pushed(low), pushed(done)]
        }
    };
    let [second, third, fourth] = others;
    Ok(Displaced {
        slot,
        length: original.bytes.len() as u8,
        code,
        places: [start, second, third, fourth],
    })
}

impl Displaced {
    /// The length of the original instruction, in bytes.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// What to write at [`Displaced::slot`], at most [`SLOT_SIZE`] bytes.
    pub fn code(&self) -> &[u8] {
        self.code.bytes()
    }

    /// The address that a thread that hit the site goes on at.
    pub fn slot(&self) -> u64 {
        self.slot
    }

    /// What a signal handler, profiler or unwinder should see in place of a thread's state whose program counter is
    /// `pc`; `None` where `pc` is no instruction of this slot. A thread may be sent on in that state: it runs on as it
    /// would have, but hits the site again where the instruction is not [passed](Original::passed).
    ///
    /// Takes bounded time, does not allocate, lock or panic: for the tracer and signal handlers.
    pub fn original(&self, pc: u64) -> Option<Original> {
        let offset = pc.wrapping_sub(self.slot);
        self.places
            .iter()
            .find(|place| u64::from(place.offset) == offset)
            .map(|place| place.original)
    }
}

/// How an instruction is displaced; see the module's documentation.
enum Class {
    /// Goes on at the next instruction.
    Plain,
    /// Goes on at an address from a register or from memory, and stores none: `ret`, indirect `jmp`.
    Leaving,
    /// A direct `jmp`.
    Jump,
    /// `jcc`, `loop`, `jrcxz`.
    Conditional,
    /// A direct `call`.
    Call,
    /// A `call` to an address from a register or from memory.
    IndirectCall,
}

/// The original instruction.
struct Decoded<'text> {
    instruction: Instruction,
    bytes: &'text [u8],
    /// Where in `bytes` the displacement of a memory operand begins.
    displacement: usize,
}

impl<'text> Decoded<'text> {
    fn new(text: &'text [u8], at: u64) -> Result<Self, Refusal> {
        let text = text.get(..LONGEST).unwrap_or(text);
        let mut decoder = Decoder::with_ip(64, text, at, DecoderOptions::NONE);
        let instruction = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => {}
            // With all the bytes that an instruction can have it is not the text that is short.
            DecoderError::NoMoreBytes if text.len() < LONGEST => return Err(Refusal::Truncated),
            _ => return Err(Refusal::Invalid),
        }
        let displacement = decoder
            .get_constant_offsets(&instruction)
            .displacement_offset();
        let bytes = text.get(..instruction.len()).ok_or(Refusal::Truncated)?;
        Ok(Self {
            instruction,
            bytes,
            displacement,
        })
    }

    fn class(&self) -> Result<Class, Refusal> {
        let instruction = &self.instruction;
        if instruction.is_privileged() {
            return Err(Refusal::Privileged);
        }
        let near = matches!(instruction.op0_kind(), OpKind::NearBranch64);
        let class = match instruction.flow_control() {
            FlowControl::Next if instruction.cpuid_features().contains(&CpuidFeature::CET_SS) => {
                return Err(Refusal::ShadowStack);
            }
            FlowControl::Next if instruction.code() == Code::Enclu => return Err(Refusal::Enclave),
            FlowControl::Next if matches!(instruction.code(), Code::Xabort_imm8 | Code::Xend) => {
                return Err(Refusal::Transaction);
            }
            FlowControl::Next | FlowControl::Exception => return Ok(Class::Plain),
            FlowControl::IndirectBranch if instruction.is_jmp_near_indirect() => {
                return Ok(Class::Leaving);
            }
            FlowControl::Return if is_near_return(instruction.code()) => return Ok(Class::Leaving),
            FlowControl::UnconditionalBranch if near => Class::Jump,
            FlowControl::ConditionalBranch if near => Class::Conditional,
            FlowControl::Call if near => Class::Call,
            FlowControl::IndirectCall if instruction.is_call_near_indirect() => Class::IndirectCall,
            FlowControl::Call if !instruction.is_call_far() => return Err(Refusal::KernelEntry),
            FlowControl::Interrupt => {
                return Err(match instruction.code() {
                    Code::Int3 | Code::Int1 => Refusal::Breakpoint,
                    _ => Refusal::KernelEntry,
                });
            }
            FlowControl::XbeginXabortXend => return Err(Refusal::Transaction),
            _ => return Err(Refusal::FarTransfer),
        };
        // What is taken apart below must mean the same on every processor; a copied instruction means what it means.
        let prefixes = self.prefixes();
        let is_wide = prefixes
            .last()
            .is_some_and(|&last| matches!(last, REX_W..=REX_WRXB));
        if prefixes.contains(&OPERAND_SIZE) && !is_wide {
            Err(Refusal::OperandSize)
        } else {
            Ok(class)
        }
    }

    /// Appends the instruction itself.
    fn copy(&self, code: &mut Assembly, slot: u64) -> Result<(), Refusal> {
        let start = code.length;
        code.append(self.bytes);
        self.rebase(code, start, slot)
    }

    /// Makes the RIP-relative operand, if any, of the copy that was appended at `start` name the original's memory.
    fn rebase(&self, code: &mut Assembly, start: u8, slot: u64) -> Result<(), Refusal> {
        if !self.instruction.is_ip_rel_memory_operand() {
            return Ok(());
        }
        let end = slot.wrapping_add(code.length.into());
        let distance = self.instruction.ip_rel_memory_address().wrapping_sub(end);
        let displacement = match self.instruction.memory_base() {
            // An address of 32 bits wraps around: everything is in reach.
            Register::EIP => distance as u32 as i32,
            _ => i32::try_from(distance.cast_signed()).map_err(|_| Refusal::OutOfReach)?,
        };
        code.patch(usize::from(start) + self.displacement, displacement);
        Ok(())
    }

    /// Appends the conditional branch, taken over the length of one absolute jump.
    fn branch_over_jump(&self, code: &mut Assembly) {
        match self.bytes {
            // 0F 80+cc rel32, to 70+cc rel8. Its prefixes are hints.
            [.., 0x0f, opcode @ 0x80..=0x8f, _, _, _, _] if self.instruction.is_jcc_near() => {
                code.append(&[opcode - 0x10, JMP_ABSOLUTE_LENGTH]);
            }
            // All others end in their rel8. The address-size prefix chooses between RCX and ECX.
            [head @ .., _] => {
                code.append(head);
                code.append(&[JMP_ABSOLUTE_LENGTH]);
            }
            [] => {}
        }
    }

    /// Appends a jump to where the call of a register would go.
    fn jump_to_register(&self, code: &mut Assembly) -> Result<(), Refusal> {
        let [head @ .., modrm] = self.bytes else {
            return Err(Refusal::Invalid);
        };
        if self.instruction.op0_register() == Register::RSP {
            return Err(Refusal::StackTarget);
        }
        code.append(head);
        code.append(&[modrm & !REG | JMP]);
        Ok(())
    }

    /// Appends another `operation` on the memory that holds the target of the call, for a stack pointer that is lower
    /// than the call's by `pushed`.
    fn with_memory_target(
        &self,
        code: &mut Assembly,
        slot: u64,
        operation: u8,
        pushed: i32,
    ) -> Result<(), Refusal> {
        let prefixes = self.prefixes();
        let [opcode, modrm, operand @ ..] = self.bytes.get(prefixes.len()..).unwrap_or_default()
        else {
            return Err(Refusal::Invalid);
        };
        let modrm = modrm & !REG | operation;
        let start = code.length;
        code.append(prefixes);
        code.append(&[*opcode]);
        if !matches!(
            self.instruction.memory_base(),
            Register::RSP | Register::ESP
        ) {
            code.append(&[modrm]);
            code.append(operand);
            return self.rebase(code, start, slot);
        }
        let displacement = self.instruction.memory_displacement32().cast_signed();
        if self.instruction.memory_index() == Register::None && (-15..0).contains(&displacement) {
            return Err(Refusal::StackTarget);
        }
        let (Some(displacement), Some(sib)) = (displacement.checked_add(pushed), operand.first())
        else {
            return Err(Refusal::OutOfReach);
        };
        // `mod` 2: a displacement of 32 bits, whichever there was.
        code.append(&[modrm & !MOD | 0o200, *sib]);
        code.append(&displacement.to_le_bytes());
        // With many prefixes the longer displacement may be too much.
        if usize::from(code.length - start) > LONGEST {
            Err(Refusal::OutOfReach)
        } else {
            Ok(())
        }
    }

    /// The legacy and REX prefixes of an instruction whose opcode is not itself one of these values, as no branch's is.
    fn prefixes(&self) -> &'text [u8] {
        let is_prefix = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
        let length = self.bytes.iter().take_while(|byte| is_prefix(byte)).count();
        self.bytes.get(..length).unwrap_or_default()
    }
}

fn is_near_return(code: Code) -> bool {
    matches!(
        code,
        Code::Retnq | Code::Retnq_imm16 | Code::Retnw | Code::Retnw_imm16
    )
}

/// The bytes of a slot.
#[derive(Debug, Clone, Copy)]
struct Assembly {
    bytes: [u8; SLOT_SIZE],
    length: u8,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            bytes: [0; SLOT_SIZE],
            length: 0,
        }
    }
}

impl Assembly {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    /// Appends. An instruction has at most 15 bytes, so no form comes near the size of a slot (see [`SLOT_SIZE`]).
    fn append(&mut self, bytes: &[u8]) {
        let start = usize::from(self.length);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u8;
    }

    /// Overwrites the 4 bytes at `offset`, all of which were appended.
    fn patch(&mut self, offset: usize, value: i32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn jump(&mut self, target: u64) {
        self.append(&JMP_ABSOLUTE);
        self.append(&target.to_le_bytes());
    }

    /// Pushes `value` in two instructions, and returns the offset behind each.
    fn push(&mut self, value: u64) -> [u8; 2] {
        self.append(&[PUSH_IMMEDIATE]);
        self.finish_pushed(value)
    }

    /// Overwrites what was pushed last by `value` in two instructions, and returns the offset behind each.
    fn replace_pushed(&mut self, value: u64) -> [u8; 2] {
        self.append(&MOV_LOWER_HALF);
        self.finish_pushed(value)
    }

    /// Appends the immediate for the lower half, and the instruction that stores the upper one.
    fn finish_pushed(&mut self, value: u64) -> [u8; 2] {
        let [a, b, c, d, upper @ ..] = value.to_le_bytes();
        self.append(&[a, b, c, d]);
        let low = self.length;
        self.append(&MOV_UPPER_HALF);
        self.append(&upper);
        [low, self.length]
    }
}

#[cfg(test)]
mod tests;
