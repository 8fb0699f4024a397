//! The variables at an address, scope by scope.
//!
//! 1. The function with code at the address is found, and in it the lexical blocks and inlined calls that contain the
//!    address: a chain of scopes, each in the one before.
//! 2. Each scope's variables are listed; what an inlined copy does not say is read at its origin.
//! 3. What a scope's origin has and the copy has not was optimized out, and is listed as that. Blocks of the origin
//!    that have no copy at all are listed last of their function: without code nobody knows whether they are here.
//! 4. Places on the stack that optimized code does not keep up to date are taken out: see [`kept`]. So is what may be gone
//!    at the address: see [`dropped`].
//! 5. The innermost scope comes first; within a scope what was declared last, because it shadows the others.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

use gimli::{AttributeValue, Dwarf, Unit, UnitOffset, constants as dw};

use super::code::Code;
use super::declaration::{Declaration, MAX_REFERENCES};
use super::error::SymbolError;
use super::functions::{self, Entry};
use super::location::Expressions;
use super::module::{Module, Slice};
use super::place::{Location, Missing};
use super::scope::{Scope, Variable};
use super::types::TypeRef;
use super::unwind;

mod declared;
mod dropped;
mod elsewhere;
mod kept;
mod spilled;
mod state;

use self::state::Lines;

/// How deep scopes may be nested; more is damage.
const MAX_DEPTH: usize = 512;

/// Everything that is visible at an address of the process; the names of its functions only where they are `named`, since in
/// code that many functions were inlined into they take most of the time.
///
/// # Errors
///
/// [`SymbolError::NoFunction`] where no function is described, [`SymbolError::Damaged`].
pub fn scope_at(
    modules: &[Option<Module>],
    index: u32,
    module: &Module,
    address: u64,
    named: bool,
) -> Result<Scope, SymbolError> {
    let dwarf = module.dwarf();
    let file_address = module.to_file(address);
    let unit = module
        .unit_of_address(&dwarf, file_address)
        .ok_or(SymbolError::NoFunction(address))?;
    let unit = module.unit(&dwarf, unit)?;
    let functions = module.functions(&dwarf, &unit)?;
    let (function, _) = functions
        .at(file_address)
        .ok_or(SymbolError::NoFunction(address))?;
    let frame = unwind::frame_at(module, file_address);
    let entry = unit.entry(function)?;
    let expressions = Expressions::new(&dwarf, &unit, module.bias, frame, &entry, file_address);
    let reader = Reader {
        modules,
        index,
        module,
        dwarf: &dwarf,
        unit: &unit,
        expressions,
        address: file_address,
        function: functions::ranges(&dwarf, &unit, &entry)?,
        code: OnceCell::new(),
        lines: OnceCell::new(),
    };

    let blocks = reader.blocks(function)?;
    let states = state::of_calls(&reader, &blocks)?;
    let calls = blocks.iter().filter(|block| block.call).count();
    let mut scope = Scope::default();
    for block in blocks.iter().rev().filter(|block| named && block.call) {
        let declared = Declaration::read(module, &dwarf, &unit, block.entry)?;
        scope.functions.push(declared.path);
        scope.declared.push(reader.declared(block)?);
    }
    let mut level = calls;
    let mut lost = Vec::new();
    let mut states = states.into_iter().rev();
    let mut state = states.next().flatten();
    // From the innermost on; a function's leftovers come after its outermost block.
    for block in blocks.iter().rev() {
        let depth = u32::try_from(calls.saturating_sub(level)).unwrap_or(u32::MAX);
        let mut variables = Vec::new();
        let outside = lost.len();
        reader.variables(block, depth, &mut variables, &mut lost)?;
        let inside = lost.get(outside..).unwrap_or_default();
        // rustc describes some blocks twice: what an outer block has lost is no other variable on the same line.
        reader.hide(block, variables.iter_mut(), inside, |line, other| {
            line == other
        });
        if let Some(state) = &state {
            state.fill(&reader, block, &mut variables);
        }
        if block.call {
            if let Some(state) = &state {
                scope
                    .variables
                    .extend(state.recover(&reader, block, &mut lost));
            }
            scope.variables.append(&mut variables);
            let own = scope.variables.iter_mut();
            let own = own.filter(|variable| variable.depth == depth);
            reader.hide(block, own, &lost, |line, other| line < other);
            reader.hide_dropped(block, &mut scope.variables);
            scope.variables.append(&mut lost);
            level = level.saturating_sub(1);
            state = states.next().flatten();
        }
        scope.variables.append(&mut variables);
    }
    Ok(scope)
}

struct Reader<'u, 'a> {
    modules: &'u [Option<Module>],
    index: u32,
    module: &'a Module,
    dwarf: &'u Dwarf<Slice<'a>>,
    unit: &'u Unit<Slice<'a>>,
    expressions: Expressions<'u, 'a>,
    address: u64,
    /// The code of the whole function, its entry first.
    function: Vec<Range<u64>>,
    /// What the function does to memory; read when the first variable is there.
    code: OnceCell<Option<Code>>,
    /// The lines of its instructions; read when they are first asked for.
    lines: OnceCell<Option<Lines>>,
}

/// A scope that contains the address.
struct Block {
    entry: UnitOffset,
    /// Whether it is a function, or a call that was inlined.
    call: bool,
    /// Its code.
    ranges: Vec<Range<u64>>,
}

impl<'a> Reader<'_, 'a> {
    /// The chain of scopes at the address, outermost first.
    fn blocks(&self, function: UnitOffset) -> gimli::Result<Vec<Block>> {
        let mut chain = vec![Block {
            entry: function,
            call: true,
            ranges: self.function.clone(),
        }];
        let mut raw = self.unit.entries_raw(Some(function))?;
        let mut entry = Entry::null();
        raw.read_entry(&mut entry)?;
        let top = entry.depth();
        let mut inside = top;
        while !raw.is_empty() && raw.next_depth() > top && chain.len() < MAX_DEPTH {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            if !raw.read_entry(&mut entry)? {
                continue;
            }
            let call = entry.tag() == dw::DW_TAG_inlined_subroutine;
            let scope = call || entry.tag() == dw::DW_TAG_lexical_block;
            // Only children of the deepest block so far can be deeper ones.
            let ranges = if scope && depth == inside + 1 {
                functions::ranges(self.dwarf, self.unit, &entry)?
            } else {
                Vec::new()
            };
            if ranges.iter().any(|range| range.contains(&self.address)) {
                chain.push(Block {
                    entry: offset,
                    call,
                    ranges,
                });
                inside = depth;
            } else if entry.has_children() {
                functions::skip_children(&mut raw, depth)?;
            }
        }
        Ok(chain)
    }

    /// The variables of one scope, and of blocks of its origin that it has no copy of.
    fn variables(
        &self,
        block: &Block,
        depth: u32,
        out: &mut Vec<Variable>,
        lost: &mut Vec<Variable>,
    ) -> gimli::Result<()> {
        let mut seen = BTreeSet::new();
        // Line of the declaration, and position.
        let mut found: Vec<(u64, Variable)> = Vec::new();
        self.children(self.unit, block.entry, |offset, entry| {
            if let Some(origin) = self.origin(self.unit, entry) {
                seen.insert(origin);
            }
            if is_variable(entry) {
                let at = functions::entry_offset(self.unit, offset);
                let location = self.expressions.variable(entry, self.address);
                // Lists of places follow the value itself, spilled or not, and end where it is gone.
                let fixed = matches!(
                    entry.attr_value(dw::DW_AT_location),
                    Some(AttributeValue::Exprloc(_))
                );
                let mut variable = self.variable(at, location, depth)?;
                if let Some((_, variable)) = variable.as_mut().filter(|_| fixed) {
                    let location = std::mem::replace(
                        &mut variable.location,
                        Location::missing(Missing::OptimizedOut),
                    );
                    variable.location = self.kept(location, variable.ty, &block.ranges);
                }
                if let Some((_, variable)) = &mut variable
                    && variable.is_missing()
                {
                    match self.spilled(entry).filter(|_| variable.argument) {
                        Some(location) => variable.location = location,
                        None => {
                            variable.elsewhere = self.at_runtime(&self.elsewhere(entry, block));
                        }
                    }
                }
                found.extend(variable);
            }
            Ok(())
        })?;
        let entry = self.unit.entry(block.entry)?;
        if let Some(origin) = self.origin(self.unit, &entry) {
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
            self.missing(&unit, offset, &seen, depth, &mut found, lost, 0)?;
        }
        let (arguments, mut locals): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(_, variable)| variable.argument);
        locals.reverse();
        locals.sort_by_key(|(line, _)| std::cmp::Reverse(*line));
        out.extend(
            locals
                .into_iter()
                .chain(arguments)
                .map(|(_, variable)| variable),
        );
        Ok(())
    }

    /// Takes away what one that was lost may shadow: not declared below the address, and on a line that is `later`.
    fn hide<'v>(
        &self,
        block: &Block,
        variables: impl Iterator<Item = &'v mut Variable>,
        lost: &[Variable],
        later: impl Fn(u64, u64) -> bool,
    ) {
        let line = OnceCell::new();
        for variable in variables.filter(|variable| !variable.is_missing()) {
            let shadows =
                |other: &&Variable| other.name == variable.name && later(variable.line, other.line);
            let here = || *line.get_or_init(|| self.line_in(block.entry));
            if lost
                .iter()
                .filter(shadows)
                .any(|other| here().is_none_or(|line| other.line < line))
            {
                variable.location = Location::missing(Missing::OptimizedOut);
            }
        }
    }

    /// Lists what an origin has and its copy has not: of the block itself into `found`, of blocks in it into `lost`.
    #[expect(clippy::too_many_arguments, reason = "a recursion's state")]
    fn missing(
        &self,
        unit: &Unit<Slice<'a>>,
        origin: UnitOffset,
        seen: &BTreeSet<u64>,
        depth: u32,
        found: &mut Vec<(u64, Variable)>,
        lost: &mut Vec<Variable>,
        nesting: usize,
    ) -> gimli::Result<()> {
        let mut blocks = Vec::new();
        self.children(unit, origin, |offset, entry| {
            let at = functions::entry_offset(unit, offset);
            if seen.contains(&at) {
                return Ok(());
            }
            if is_variable(entry) {
                found.extend(self.variable(at, Location::missing(Missing::OptimizedOut), depth)?);
            } else if entry.tag() == dw::DW_TAG_lexical_block {
                blocks.push(offset);
            }
            Ok(())
        })?;
        for block in blocks.into_iter().filter(|_| nesting < MAX_DEPTH) {
            let mut inner = Vec::new();
            self.missing(unit, block, seen, depth, &mut inner, lost, nesting + 1)?;
            lost.extend(inner.into_iter().map(|(_, variable)| variable));
        }
        Ok(())
    }

    fn children(
        &self,
        unit: &Unit<Slice<'a>>,
        parent: UnitOffset,
        mut each: impl FnMut(UnitOffset, &Entry<'a>) -> gimli::Result<()>,
    ) -> gimli::Result<()> {
        let mut raw = unit.entries_raw(Some(parent))?;
        let mut entry = Entry::null();
        raw.read_entry(&mut entry)?;
        let top = entry.depth();
        if !entry.has_children() {
            return Ok(());
        }
        while !raw.is_empty() && raw.next_depth() > top {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            if raw.read_entry(&mut entry)? {
                each(offset, &entry)?;
                functions::skip_children(&mut raw, depth)?;
            }
        }
        Ok(())
    }

    fn origin(&self, unit: &Unit<Slice<'a>>, entry: &Entry<'a>) -> Option<u64> {
        functions::section_offset(unit, entry.attr_value(dw::DW_AT_abstract_origin)?)
    }

    /// Name and type of a variable, from its entry or the origin of that; `None` for one without a name.
    fn variable(
        &self,
        entry: u64,
        location: Location,
        depth: u32,
    ) -> gimli::Result<Option<(u64, Variable)>> {
        let (mut name, mut ty, mut line, mut argument) = (None, None, 0, false);
        let (mut declaration, mut next) = (entry, Some(entry));
        for _ in 0..MAX_REFERENCES {
            let Some(offset) = next else { break };
            declaration = offset;
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, offset)?;
            let entry = unit.entry(offset)?;
            argument |= entry.tag() == dw::DW_TAG_formal_parameter;
            if let Some(value) = entry.attr_value(dw::DW_AT_name).filter(|_| name.is_none()) {
                name = Some(
                    self.dwarf
                        .attr_string(&unit, value)?
                        .to_string_lossy()
                        .into_owned()
                        .into_boxed_str(),
                );
            }
            if let Some(value) = entry.attr_value(dw::DW_AT_type).filter(|_| ty.is_none()) {
                ty = functions::section_offset(&unit, value).map(|entry| TypeRef {
                    module: self.index,
                    entry,
                });
            }
            if let Some(value) = entry.attr(dw::DW_AT_decl_line).filter(|_| line == 0) {
                line = value.udata_value().unwrap_or(0);
            }
            next = self.origin(&unit, &entry);
        }
        let Some((name, ty)) = name.zip(ty) else {
            return Ok(None);
        };
        let location = self.without_indirect(location, ty);
        Ok(Some((
            line,
            Variable {
                name,
                ty,
                entry: declaration,
                location,
                elsewhere: Vec::new(),
                line,
                argument,
                depth,
            },
        )))
    }

    /// The code of the function, as seen from the address.
    fn code(&self) -> Option<&Code> {
        let read = || Code::read(self.module, &self.function, self.address);
        self.code.get_or_init(read).as_ref()
    }
}

fn is_variable(entry: &Entry<'_>) -> bool {
    matches!(
        entry.tag(),
        dw::DW_TAG_variable | dw::DW_TAG_formal_parameter
    )
}
