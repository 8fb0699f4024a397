//! Variables whose values may be gone where the optimizer has moved a line behind the end of their scope.
//!
//! A last expression that reads `names.len()` may be computed when `names` has been dropped: its length is in a register
//! still, as are its pointer and its capacity, by which the debug information describes it. The pointer leads to memory
//! that was freed.
//!
//! A is the address that is asked about, and L its line. D is a drop: code that was inlined into the same function at a line
//! after L, as the end of a scope is. A way is *straight* if it passes no block with code of a line before L from which a drop
//! is reached again: there begins a loop's next turn. A is behind D if
//!
//! 1. D can be reached from the function's entry without passing A, and
//! 2. a straight way leads from D to A, and
//! 3. no straight way leads from A to D, as one does from the head of a loop, which is often behind the loop's body.
//!
//! Where A is behind any D, whatever has a pointer in it is not shown, of the function and of the calls that are inlined into
//! it there. That is more than what D has dropped, which is not always to be seen: glue is inlined into glue, and a reference
//! may lead to what another variable owned. Drops that are not inlined, or are a part of other calls than `drop`, are not
//! seen.

use std::ops::Range;

use super::{Block, Reader};
use crate::symbols::code::Code;
use crate::symbols::declaration::Declaration;
use crate::symbols::flow;
use crate::symbols::lookup::DROP_GLUE;
use crate::symbols::place::{Location, Missing};
use crate::symbols::pointee::LineOf;
use crate::symbols::scope::Variable;
use crate::symbols::shapes;
use crate::symbols::types::{TypeKind, TypeRef};

/// How many types are looked at to find a pointer in one; more are taken to have some.
const MAX_TYPES: u32 = 256;

impl Reader<'_, '_> {
    /// Takes away the variables whose values may have been dropped, of a function and of the calls that are inlined into it.
    /// `block` is the function, or itself an inlined call.
    pub fn hide_dropped(&self, block: &Block, variables: &mut [Variable]) {
        if variables.iter().all(Variable::is_missing) || !self.is_behind_drop(block) {
            return;
        }
        for variable in variables
            .iter_mut()
            .filter(|variable| !variable.is_missing())
        {
            if self.has_pointer(variable.ty, &mut { MAX_TYPES }) {
                variable.location = Location::missing(Missing::OptimizedOut);
                variable.elsewhere = self.at_runtime(&block.ranges);
            }
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
        let is = |entry, name: &str| {
            let function = Declaration::read(self.module, self.dwarf, self.unit, entry);
            function.is_ok_and(|function| function.path.starts_with(name))
        };
        let drops: Vec<Range<u64>> = body
            .calls_below(line)
            .filter(|(call, by)| {
                is(call.entry, DROP_GLUE) && by.is_none_or(|by| is(by.entry, "core::mem::drop<"))
            })
            .flat_map(|(call, _)| call.ranges.iter().cloned())
            .collect();
        if drops.is_empty() {
            return false;
        }
        let earlier = |range: &Range<u64>| body.lines_in(range).any(|at| at != 0 && at < line);
        self.code()
            .is_some_and(|code| leads_here(code, &drops, earlier))
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

/// Rules 1 to 3 of the module's description. `earlier` is whether code has instructions of a line before L.
fn leads_here(code: &Code, drops: &[Range<u64>], earlier: impl Fn(&Range<u64>) -> bool) -> bool {
    let flow = &code.flow;
    let is = |set: &[bool], block: usize| set.get(block) == Some(&true);
    let drops: Vec<usize> = (0..flow.len())
        .filter(|&block| {
            let range = flow.range(block).unwrap_or_default();
            let meets = |drop: &Range<u64>| drop.start < range.end && range.start < drop.end;
            block != code.here && drops.iter().any(meets)
        })
        .collect();
    let before = flow::predecessors(flow);
    let before = |block: usize| before.get(block).cloned().unwrap_or_default();
    let next = |block: usize| flow.successors(block).collect();
    let leads_to_drop = flow::spread(flow.len(), drops.clone(), before, |_| true);
    let within = |block: usize| {
        !(is(&leads_to_drop, block) && earlier(&flow.range(block).unwrap_or_default()))
    };
    let not_here = |block| block != code.here;
    let first = flow::spread(flow.len(), vec![flow.entry()], next, not_here);
    let later = flow::spread(flow.len(), next(code.here), next, within);
    let behind = drops
        .into_iter()
        .filter(|&drop| is(&first, drop) && !is(&later, drop))
        .flat_map(next)
        .collect();
    is(&flow::spread(flow.len(), behind, next, within), code.here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::flow::Flow;

    /// Whether one of the blocks of 16 bytes is behind the drop that is another, where those of some have earlier lines.
    fn behind(successors: &[&[usize]], here: usize, drop: usize, earlier: &[usize]) -> bool {
        let range = |block: usize| block as u64 * 16..block as u64 * 16 + 16;
        let blocks: Vec<_> = successors
            .iter()
            .enumerate()
            .map(|(block, next)| (range(block), *next))
            .collect();
        let events = vec![Vec::new(); blocks.len()];
        let code = Code::of(Flow::of(&blocks), events, here);
        let is_earlier = |of: &Range<u64>| earlier.iter().any(|block| range(*block) == *of);
        leads_here(&code, &[range(drop)], is_earlier)
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
        // The head of the loop is behind its body; an inner loop's, behind another body.
        assert!(!behind(&[&[1], &[2], &[3], &[1, 4], &[]], 3, 2, &[0]));
        // Moved behind the drop of each turn, at the end of which is the loop's head.
        assert!(behind(
            &[&[1], &[2], &[3], &[4], &[1, 5], &[]],
            3,
            2,
            &[0, 4]
        ));
    }

    #[test]
    fn several_lines_may_have_been_moved() {
        assert!(behind(&[&[1], &[2], &[3], &[]], 3, 1, &[0, 2]));
    }
}
