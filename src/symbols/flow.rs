//! Which addresses of a line stand for one pass through it.
//!
//! Optimized code spreads a line over several places. To stop at all of them logs a line several times each time that
//! it runs; to stop at the lowest one misses the passes that come by another way (the other arm of a `match`, a loop
//! that was turned around, a branch that was moved out of line). So the control flow of the function decides.
//!
//! 1. Candidates are the first instructions of the line's statement rows in one instance, and of the ranges of calls
//!    that were inlined at that line into it. The first row of a run of rows is a primary candidate; a further row of
//!    the same run is a secondary one.
//! 2. The function is decoded once into basic blocks. Direct branches and the relative jump tables that compilers emit
//!    for `match` are followed; calls fall through.
//! 3. Candidates that cannot be reached from the function's entry are landing pads of a panic. They are left out,
//!    unless there is nothing else.
//! 4. Then, from the highest address to the lowest, a candidate is dropped if every way to it passes another one that
//!    is still there: every way from the function's entry, and for a primary one every way from itself around a loop.
//! 5. Where the function cannot be decoded, or an indirect jump has no known target, all primary candidates stay:
//!    a second event is better than a pass that is not seen.
//!
//! Which of them shows more variables is not asked. Over three crates at `opt-level = 3` a further row of the same line and
//! instance, behind straight code, has a place for 14 of 15,832 variables more than the first one has, and what the line
//! itself has changed by then would be shown as it was not.
//!
//! What is left logs exactly once in straight code and in branches, once for each time that a loop's head is evaluated,
//! and never misses a pass. Dropping in step 4 keeps this true, because every way to a dropped candidate led through
//! one that was there, and every way to that one, if it was dropped later, through the others.

use std::collections::BTreeMap;
use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use super::module::Module;

/// Entries of a jump table that are looked at.
const MAX_TABLE: usize = 4096;

/// An address of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// In the file's address space.
    pub address: u64,
    /// Whether it starts a run of rows, or an inlined call.
    pub primary: bool,
}

/// The basic blocks of a function, cut at some addresses of interest too.
pub struct Flow {
    /// First instructions, sorted.
    starts: Vec<u64>,
    /// The addresses after the last instructions.
    ends: Vec<u64>,
    /// For each block the indices of those that may follow.
    successors: Vec<Vec<usize>>,
    entry: usize,
}

/// Chooses where to stop among a line's candidates in one instance. `function` are the ranges of the whole function,
/// its entry first.
pub fn choose(
    module: &Module,
    function: &[Range<u64>],
    mut candidates: Vec<Candidate>,
) -> Vec<u64> {
    // Of two at one address the primary one stays.
    candidates.sort_unstable_by_key(|candidate| (candidate.address, !candidate.primary));
    candidates.dedup_by_key(|candidate| candidate.address);
    if candidates.len() > 1
        && let Some(flow) = Flow::read(module, function, &addresses(&candidates))
    {
        return flow.choose(candidates);
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.primary)
        .map(|candidate| candidate.address)
        .collect()
}

fn addresses(candidates: &[Candidate]) -> Vec<u64> {
    candidates
        .iter()
        .map(|candidate| candidate.address)
        .collect()
}

/// Whether nothing but straight code leads from one address to a later one.
pub fn is_straight(module: &Module, from: u64, to: u64) -> bool {
    let Some(bytes) = to
        .checked_sub(from)
        .and_then(|length| code(module, from..from.checked_add(length)?))
    else {
        return false;
    };
    let mut decoder = Decoder::with_ip(64, bytes, from, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() || instruction.flow_control() != FlowControl::Next {
            return false;
        }
    }
    true
}

impl Flow {
    /// Decodes a function; `None` where that is not possible, or its jumps are not known.
    /// `cuts` start blocks too.
    pub fn read(module: &Module, function: &[Range<u64>], cuts: &[u64]) -> Option<Self> {
        let mut jumps = Jumps::default();
        for range in function {
            jumps.decode(code(module, range.clone())?, range)?;
        }
        jumps.boundaries.sort_unstable();
        let within = |address: &u64| jumps.boundaries.binary_search(address).is_ok();
        if !cuts.iter().all(within) {
            return None;
        }
        let mut tables: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        if jumps.ends.iter().any(|(_, end)| *end == End::Indirect) {
            // Without any table, jumps to what a register holds are tail calls.
            if jumps.absolute {
                return None;
            }
            jumps.tables.sort_unstable();
            jumps.tables.dedup();
            let ends = jumps.tables.iter().skip(1).copied().chain([u64::MAX]);
            for (&table, end) in jumps.tables.iter().zip(ends) {
                let targets = table_targets(module, table..end).take_while(&within);
                tables.insert(table, targets.collect());
            }
        }
        let targets = jumps.ends.iter().filter_map(|(_, end)| end.target());
        let mut joins: Vec<u64> = targets
            .filter(&within)
            .chain(tables.values().flatten().copied())
            .collect();
        joins.sort_unstable();
        let mut starts = joins.clone();
        starts.extend(jumps.ends.iter().map(|(end, _)| *end).filter(&within));
        starts.extend(function.iter().map(|range| range.start));
        starts.extend(cuts);
        starts.sort_unstable();
        starts.dedup();

        let block = |address: u64| starts.binary_search(&address).ok();
        let indirect = |end: u64| {
            let known = jumps.dispatches.get(&end).filter(|dispatch| {
                // Who comes in between may bring another table.
                let after = joins.partition_point(|join| *join <= dispatch.loaded);
                joins.get(after).is_none_or(|join| *join >= end)
            });
            let one = known.and_then(|dispatch| tables.get(&dispatch.table));
            match one {
                Some(targets) => targets.clone(),
                None => tables.values().flatten().copied().collect(),
            }
        };
        jumps.ends.sort_unstable_by_key(|(end, _)| *end);
        let mut successors = Vec::with_capacity(starts.len());
        let mut ends = Vec::with_capacity(starts.len());
        for (index, &start) in starts.iter().enumerate() {
            let end_of_range = function.iter().find(|range| range.contains(&start))?.end;
            let end = starts
                .get(index + 1)
                .copied()
                .unwrap_or(u64::MAX)
                .min(end_of_range);
            ends.push(end);
            let how = match jumps.ends.binary_search_by_key(&end, |(end, _)| *end) {
                Ok(at) => jumps.ends.get(at).map_or(End::Next, |(_, how)| *how),
                Err(_) => End::Next,
            };
            successors.push(match how {
                End::Next => block(end).into_iter().collect(),
                End::Jump(target) => block(target).into_iter().collect(),
                End::Branch(target) => block(target).into_iter().chain(block(end)).collect(),
                End::Indirect => indirect(end).into_iter().filter_map(block).collect(),
                End::Nowhere => Vec::new(),
            });
        }
        let entry = block(function.first()?.start)?;
        Some(Self {
            starts,
            ends,
            successors,
            entry,
        })
    }

    /// Blocks with their successors, the first one the function's entry.
    #[cfg(test)]
    pub fn of(blocks: &[(Range<u64>, &[usize])]) -> Self {
        let ranges = || blocks.iter().map(|(range, _)| range);
        Self {
            starts: ranges().map(|range| range.start).collect(),
            ends: ranges().map(|range| range.end).collect(),
            successors: blocks.iter().map(|(_, next)| next.to_vec()).collect(),
            entry: 0,
        }
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The block that an address starts.
    pub fn block(&self, address: u64) -> Option<usize> {
        self.starts.binary_search(&address).ok()
    }

    /// The addresses of a block.
    pub fn range(&self, block: usize) -> Option<Range<u64>> {
        Some(*self.starts.get(block)?..*self.ends.get(block)?)
    }

    /// The blocks that may follow one.
    pub fn successors(&self, block: usize) -> impl Iterator<Item = usize> {
        self.successors.get(block).into_iter().flatten().copied()
    }

    /// The block that the function starts with.
    pub fn entry(&self) -> usize {
        self.entry
    }

    fn choose(&self, candidates: Vec<Candidate>) -> Vec<u64> {
        let block = |candidate: &Candidate| self.block(candidate.address);
        let reachable = self.reach(&[self.entry], &[], None);
        let mut kept: Vec<(usize, Candidate)> = candidates
            .iter()
            .filter_map(|candidate| Some((block(candidate)?, *candidate)))
            .collect();
        kept.retain(|(block, _)| reachable.get(*block) == Some(&true));
        if kept.is_empty() {
            return candidates
                .iter()
                .filter(|candidate| candidate.primary)
                .map(|candidate| candidate.address)
                .collect();
        }
        for index in (0..kept.len()).rev() {
            let Some(&(here, candidate)) = kept.get(index) else {
                continue;
            };
            let others: Vec<usize> = kept
                .iter()
                .map(|(block, _)| *block)
                .filter(|block| *block != here)
                .collect();
            let mut from = vec![self.entry];
            if candidate.primary {
                from.extend(self.successors.get(here).into_iter().flatten());
            }
            if self.reach(&from, &others, Some(here)).get(here) != Some(&true) {
                kept.remove(index);
            }
        }
        kept.into_iter()
            .map(|(_, candidate)| candidate.address)
            .collect()
    }

    /// The blocks that can be reached from some without passing others, up to the one that is looked for.
    fn reach(&self, from: &[usize], blocked: &[usize], wanted: Option<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.starts.len()];
        let mut queue: Vec<usize> = from.to_vec();
        while let Some(block) = queue.pop() {
            let Some(seen) = reached.get_mut(block) else {
                continue;
            };
            if *seen || blocked.contains(&block) {
                continue;
            }
            *seen = true;
            if wanted == Some(block) {
                break;
            }
            queue.extend(self.successors.get(block).into_iter().flatten());
        }
        reached
    }
}

/// Which of so many blocks are among some or come `next` after them, without those that are reached only through one that
/// `within` denies; such a one itself is among them.
pub fn spread(
    count: usize,
    from: Vec<usize>,
    next: impl Fn(usize) -> Vec<usize>,
    within: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let mut reached = vec![false; count];
    let mut queue = from;
    while let Some(block) = queue.pop() {
        let Some(seen) = reached.get_mut(block).filter(|seen| !**seen) else {
            continue;
        };
        *seen = true;
        if within(block) {
            queue.extend(next(block));
        }
    }
    reached
}

/// For each block those that may come before it.
pub fn predecessors(flow: &Flow) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); flow.len()];
    for block in 0..flow.len() {
        for next in flow.successors(block) {
            if let Some(from) = all.get_mut(next) {
                from.push(block);
            }
        }
    }
    all
}

/// How control leaves a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Next,
    Jump(u64),
    Branch(u64),
    Indirect,
    Nowhere,
}

impl End {
    fn target(self) -> Option<u64> {
        match self {
            Self::Jump(target) | Self::Branch(target) => Some(target),
            Self::Next | Self::Indirect | Self::Nowhere => None,
        }
    }
}

/// Where an indirect jump has its target from.
struct Dispatch {
    table: u64,
    /// The instruction that loads the table's address.
    loaded: u64,
}

impl Dispatch {
    /// Reads `lea table, [rip+..]`, `movsxd target, [table+index*4]`, `add target, table`, `jmp target`, as LLVM emits it, off
    /// the instructions before the jump, with others in between.
    fn read(jump: &Instruction, before: &[Instruction]) -> Option<Self> {
        let mut factory = InstructionInfoFactory::new();
        let mut last_write = |register: Register, before: &[Instruction]| {
            before.iter().rposition(|instruction| {
                let used = factory.info(instruction).used_registers();
                let mut written = used.iter().filter(|used| is_written(used.access()));
                written.any(|used| used.register().full_register() == register)
            })
        };
        let target = jump.op0_register().full_register();
        let at = last_write(target, before)?;
        let (before, add) = (before.get(..at)?, before.get(at)?);
        let table = add.op1_register();
        if add.mnemonic() != Mnemonic::Add || add.op1_kind() != OpKind::Register {
            return None;
        }
        let at = last_write(target, before)?;
        let (earlier, entry) = (before.get(..at)?, before.get(at)?);
        if entry.code() != Code::Movsxd_r64_rm32
            || entry.memory_base() != table
            || entry.memory_index_scale() != 4
            || entry.memory_displacement64() != 0
        {
            return None;
        }
        let at = last_write(table, before)?;
        let load = earlier.get(at)?;
        let is_table = load.code() == Code::Lea_r64_m && load.is_ip_rel_memory_operand();
        is_table.then(|| Self {
            table: load.ip_rel_memory_address(),
            loaded: load.ip(),
        })
    }
}

fn is_written(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

/// What decoding a function finds.
#[derive(Default)]
struct Jumps {
    /// Where instructions start.
    boundaries: Vec<u64>,
    /// Addresses after the instructions that do not simply go on, and what they do instead.
    ends: Vec<(u64, End)>,
    /// What may be a jump table: everything whose address is computed.
    tables: Vec<u64>,
    /// The tables of indirect jumps, by the address after the jump, where straight code says which one.
    dispatches: BTreeMap<u64, Dispatch>,
    /// Whether there are jumps through tables of absolute addresses, which are not looked at.
    absolute: bool,
}

impl Jumps {
    fn decode(&mut self, bytes: &[u8], range: &Range<u64>) -> Option<()> {
        let mut decoder = Decoder::with_ip(64, bytes, range.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        // Those that run one after the other up to this one.
        let mut straight: Vec<Instruction> = Vec::new();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return None;
            }
            self.boundaries.push(instruction.ip());
            if instruction.code() == Code::Lea_r64_m && instruction.is_ip_rel_memory_operand() {
                self.tables.push(instruction.ip_rel_memory_address());
            }
            let end = match instruction.flow_control() {
                FlowControl::UnconditionalBranch => End::Jump(instruction.near_branch_target()),
                FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => {
                    End::Branch(instruction.near_branch_target())
                }
                // Position-independent jump tables are added up in a register; without an index it is a tail call.
                FlowControl::IndirectBranch
                    if instruction.op0_kind() == OpKind::Memory
                        && instruction.memory_index() == Register::None =>
                {
                    End::Nowhere
                }
                FlowControl::IndirectBranch => {
                    self.absolute |= instruction.op0_kind() == OpKind::Memory;
                    if let Some(dispatch) = Dispatch::read(&instruction, &straight) {
                        self.dispatches.insert(instruction.next_ip(), dispatch);
                    }
                    End::Indirect
                }
                FlowControl::Return | FlowControl::Exception => End::Nowhere,
                FlowControl::Interrupt if instruction.code() == Code::Int3 => End::Nowhere,
                FlowControl::Next => {
                    straight.push(instruction);
                    continue;
                }
                // A call may change registers.
                _ => {
                    straight.clear();
                    continue;
                }
            };
            straight.clear();
            self.ends.push((instruction.next_ip(), end));
        }
        Some(())
    }
}

/// The targets of a table of 32-bit offsets relative to the table, as LLVM emits them for position-independent code.
/// It ends where the next one begins.
fn table_targets(module: &Module, table: Range<u64>) -> impl Iterator<Item = u64> {
    let entries = usize::try_from((table.end - table.start) / 4).unwrap_or(usize::MAX);
    let table = table.start;
    let entries = module
        .bytes_at(table)
        .unwrap_or_default()
        .chunks_exact(4)
        .take(entries.min(MAX_TABLE));
    entries.filter_map(move |entry| {
        let offset = i32::from_le_bytes(entry.try_into().ok()?);
        Some(table.wrapping_add_signed(offset.into()))
    })
}

fn code(module: &Module, range: Range<u64>) -> Option<&[u8]> {
    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    module.bytes_at(range.start)?.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table and the load of a jump that ends some bytes at 0x1000.
    fn dispatch(bytes: &[u8]) -> Option<(u64, u64)> {
        let mut all: Vec<Instruction> = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE)
            .into_iter()
            .collect();
        let jump = all.pop()?;
        let found = Dispatch::read(&jump, &all)?;
        Some((found.table, found.loaded))
    }

    #[test]
    fn the_table_of_a_jump_is_the_one_that_its_target_is_read_from() {
        // lea rcx, [rip+0x100]; movsxd rax, [rcx+rax*4]; add rax, rcx; jmp rax
        const LOAD: [u8; 7] = [0x48, 0x8d, 0x0d, 0, 1, 0, 0];
        const ENTRY: [u8; 4] = [0x48, 0x63, 0x04, 0x81];
        const ADD: [u8; 3] = [0x48, 0x01, 0xc8];
        const JUMP: [u8; 2] = [0xff, 0xe0];
        let plain = [&LOAD[..], &ENTRY, &ADD, &JUMP].concat();
        assert_eq!(dispatch(&plain), Some((0x1107, 0x1000)));
        // mov edx, 1 in between is no matter.
        let other = [&LOAD[..], &[0xba, 1, 0, 0, 0], &ENTRY, &ADD, &JUMP].concat();
        assert_eq!(dispatch(&other), Some((0x1107, 0x1000)));
        // mov rcx, rdx: another table; inc rax: another target.
        let moved = [&LOAD[..], &[0x48, 0x89, 0xd1], &ENTRY, &ADD, &JUMP].concat();
        assert_eq!(dispatch(&moved), None);
        let late = [&LOAD[..], &ENTRY, &[0x48, 0x89, 0xd1], &ADD, &JUMP].concat();
        assert_eq!(dispatch(&late), None);
        let changed = [&LOAD[..], &ENTRY, &ADD, &[0x48, 0xff, 0xc0], &JUMP].concat();
        assert_eq!(dispatch(&changed), None);
        assert_eq!(dispatch(&[&ENTRY[..], &ADD, &JUMP].concat()), None);
    }
}
