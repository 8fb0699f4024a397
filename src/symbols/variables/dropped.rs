//! Variables whose values may be gone where the optimizer has moved a line behind the end of their scope.
//!
//! A last expression that reads `names.len()` may be computed when `names` has been dropped: its length is in a register
//! still, as are its pointer and its capacity, by which the debug information describes it. The pointer leads to memory
//! that was freed. So at an address of a line
//!
//! 1. to which the code leads from a drop of the same function at a later line, as the end of a scope is,
//! 2. without passing an earlier line, as a loop's next turn does,
//! 3. where the drop is reached without passing the address first; in a coroutine, which goes on in the middle of its loops,
//!    where it is not reached from the address either,
//!
//! whatever has a pointer in it is not shown. That is more than what the drop has dropped, which is not always to be seen:
//! glue is inlined into glue, and a reference may lead to what another variable owned.

use std::ops::Range;

use gimli::UnitOffset;

use super::{Block, Reader, optimized_out};
use crate::symbols::code::Code;
use crate::symbols::flow;
use crate::symbols::functions;
use crate::symbols::lookup::DROP_GLUE;
use crate::symbols::pointee::LineOf;
use crate::symbols::scope::Variable;
use crate::symbols::shapes;
use crate::symbols::types::{TypeKind, TypeRef};

/// How many types are looked at to find a pointer in one; more are taken to have some.
const MAX_TYPES: u32 = 256;

impl Reader<'_, '_> {
    /// Takes away the variables of a function whose values may have been dropped. `block` is the function, or the inlined call.
    pub fn hide_dropped<'v>(
        &self,
        block: &Block,
        variables: impl Iterator<Item = &'v mut Variable>,
    ) {
        let has_pointer = |ty| self.has_pointer(ty, &mut { MAX_TYPES });
        let there: Vec<_> = variables
            .filter(|variable| !variable.is_missing() && has_pointer(variable.ty))
            .collect();
        if there.is_empty() || !self.is_behind_drop(block) {
            return;
        }
        for variable in there {
            variable.location = optimized_out();
            variable.elsewhere = self.at_runtime(&block.ranges);
        }
    }

    fn is_behind_drop(&self, block: &Block) -> bool {
        if !self.module.is_optimized(self.unit) {
            return false;
        }
        let Some(body) = self.body(block.entry) else {
            return false;
        };
        let Some(line) = body.line_of(self.address).filter(|line| *line != 0) else {
            return false;
        };
        let calls = body
            .calls_below(line)
            .filter(|call| self.is_drop_glue(call.entry));
        let drops: Vec<Range<u64>> = calls.flat_map(|call| call.ranges.iter().cloned()).collect();
        if drops.is_empty() {
            return false;
        }
        let earlier = |range: &Range<u64>| body.lines_in(range).any(|at| at != 0 && at < line);
        let resumes = !matches!(self.environment(block.entry), Ok(None));
        self.code()
            .is_some_and(|code| leads_here(code, &drops, earlier, resumes))
    }

    fn is_drop_glue(&self, function: UnitOffset) -> bool {
        functions::declaration(self.module, self.dwarf, self.unit, function)
            .is_ok_and(|function| function.path.starts_with(DROP_GLUE))
    }

    fn has_pointer(&self, ty: TypeRef, left: &mut u32) -> bool {
        let Some(fewer) = left.checked_sub(1) else {
            return true;
        };
        *left = fewer;
        let Ok(ty) = shapes::load(self.modules, ty) else {
            return true;
        };
        if ty.size < size_of::<u64>() as u64 {
            return false;
        }
        let mut has = |ty| self.has_pointer(ty, left);
        match ty.kind {
            TypeKind::Pointer { .. } | TypeKind::Function | TypeKind::Unknown(_) => true,
            TypeKind::Struct { members, .. } | TypeKind::Union { members } => {
                members.iter().any(|member| has(member.ty))
            }
            TypeKind::Enum {
                variants, members, ..
            } => {
                let data = variants.iter().map(|variant| &variant.data);
                data.chain(&members).any(|member| has(member.ty))
            }
            TypeKind::Array { element, count } => count > 0 && has(element),
            _ => false,
        }
    }
}

/// Rules 1 to 3 of the module's description. `earlier` is whether code has instructions of an earlier line, `resumes` whether
/// it is a coroutine's.
fn leads_here(
    code: &Code,
    drops: &[Range<u64>],
    earlier: impl Fn(&Range<u64>) -> bool,
    resumes: bool,
) -> bool {
    let flow = &code.flow;
    let is_drop = |block: usize| {
        let range = flow.range(block).unwrap_or_default();
        let meets = |drop: &Range<u64>| drop.start < range.end && range.start < drop.end;
        drops.iter().any(meets)
    };
    let spread = |from: Vec<usize>, within: &dyn Fn(usize) -> bool| {
        let next = |block| flow.successors(block).collect();
        flow::spread(flow.len(), from, next, within)
    };
    let before = spread(vec![flow.entry()], &|block| block != code.here);
    let after = match resumes {
        true => spread(vec![code.here], &|_| true),
        false => vec![false; flow.len()],
    };
    let comes_first = |block: usize| {
        let is = |set: &[bool]| set.get(block) == Some(&true);
        block != code.here && is(&before) && !is(&after)
    };
    let behind = (0..flow.len())
        .filter(|&block| is_drop(block) && comes_first(block))
        .flat_map(|block| flow.successors(block))
        .collect();
    let within = |block: usize| !earlier(&flow.range(block).unwrap_or_default());
    spread(behind, &within).get(code.here) == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::flow::Flow;

    /// Whether one of the blocks of 16 bytes is behind the drop that is another, where those of some have earlier lines.
    fn behind(successors: &[&[usize]], here: usize, drop: usize, earlier: &[usize]) -> bool {
        behind_in(successors, here, drop, earlier, false)
    }

    fn behind_in(
        successors: &[&[usize]],
        here: usize,
        drop: usize,
        earlier: &[usize],
        resumes: bool,
    ) -> bool {
        let range = |block: usize| block as u64 * 16..block as u64 * 16 + 16;
        let blocks: Vec<_> = successors
            .iter()
            .enumerate()
            .map(|(block, next)| (range(block), *next))
            .collect();
        let events = vec![Vec::new(); blocks.len()];
        let code = Code::of(Flow::of(&blocks), events, here);
        let is_earlier = |of: &Range<u64>| earlier.iter().any(|block| range(*block) == *of);
        leads_here(&code, &[range(drop)], is_earlier, resumes)
    }

    #[test]
    fn a_drop_on_the_way_comes_before() {
        assert!(behind(&[&[1], &[2], &[]], 2, 1, &[0]));
        assert!(!behind(&[&[1], &[2], &[]], 1, 2, &[0]));
        // One of two ways is enough.
        assert!(behind(&[&[1, 2], &[3], &[3], &[]], 3, 2, &[0]));
    }

    #[test]
    fn a_drop_of_the_last_turn_does_not() {
        // The address, and the drop behind it.
        assert!(!behind(&[&[1], &[2], &[1, 3], &[]], 1, 2, &[0]));
        // The drop is on another way through the loop, whose head is an earlier line.
        let branches: [&[usize]; 5] = [&[1], &[2, 3], &[1], &[1, 4], &[]];
        assert!(!behind(&branches, 3, 2, &[0, 1]));
        assert!(behind(&branches, 3, 2, &[0]));
    }
    #[test]
    fn a_coroutine_may_go_on_behind_the_address() {
        // A loop of the address and the drop, which is entered at either.
        let resumed: [&[usize]; 4] = [&[1, 2], &[2], &[1, 3], &[]];
        assert!(behind(&resumed, 1, 2, &[0]));
        assert!(!behind_in(&resumed, 1, 2, &[0], true));
        assert!(behind_in(&[&[1, 2], &[2], &[]], 2, 1, &[0], true));
    }
}
