//! The functions of a unit: where their code is, what is inlined where, and what they are called.

use std::ops::Range;

use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, EntriesRaw, Unit, UnitOffset,
    UnitSectionOffset, constants as dw,
};

use super::module::{Module, Slice};

/// An entry of `.debug_info`.
pub type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// How long a chain of references (`DW_AT_abstract_origin`, `DW_AT_specification`) may be; rustc's have up to 3.
pub const MAX_REFERENCES: usize = 8;

/// What is remembered of a unit after one walk through it.
pub struct UnitFunctions {
    /// Functions with code, once per range, by rising address.
    subprograms: Vec<SubprogramRange>,
    /// Entries with names that others are declared in, by rising offset.
    containers: Vec<Container>,
    /// Functions that exist inlined only (`DW_AT_inline`).
    abstracts: Vec<UnitOffset>,
    /// Calls that were inlined, by line.
    calls: Vec<Call>,
}

/// A call that was inlined; small, because there are many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    line: u32,
    file: u32,
    /// The function with the code, as an offset in the unit.
    function: u32,
}

struct SubprogramRange {
    range: Range<u64>,
    entry: UnitOffset,
}

/// The extent of a namespace or type in `.debug_info`, relative to the unit.
struct Container {
    entries: Range<usize>,
    depth: isize,
    used: bool,
}

/// A function's code at one place: the function itself, or a copy inlined into another.
#[derive(Debug)]
pub struct Instance {
    /// Its entry.
    pub entry: UnitOffset,
    /// The instance that it is inlined into, as an index of the same list; `None` for the function itself.
    pub parent: Option<usize>,
    /// 0 for the function itself.
    pub depth: usize,
    /// Its addresses in the file.
    pub ranges: Vec<Range<u64>>,
    /// File index and line of the call that was inlined.
    pub call: Option<(u64, u64)>,
}

impl UnitFunctions {
    /// Walks through a unit.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn read<'a>(
        module: &Module,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
    ) -> gimli::Result<Self> {
        let mut subprograms = Vec::new();
        let mut abstracts = Vec::new();
        let mut calls = Vec::new();
        let mut function = UnitOffset(0);
        let mut done: Vec<Container> = Vec::new();
        let mut open: Vec<Container> = Vec::new();
        let mut raw = unit.entries_raw(None)?;
        let mut entry = Entry::null();
        while !raw.is_empty() {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            let mut ahead = raw.clone();
            let Some(abbreviation) = ahead.read_abbreviation()? else {
                raw = ahead;
                continue;
            };
            while let Some(last) = open.pop_if(|last| last.depth >= depth) {
                close(last, offset, &mut done);
            }
            match abbreviation.tag() {
                dw::DW_TAG_subprogram => {
                    raw.read_entry(&mut entry)?;
                    open.iter_mut().for_each(|container| container.used = true);
                    if entry.attr(dw::DW_AT_inline).is_some() {
                        abstracts.push(offset);
                        continue;
                    }
                    function = offset;
                    for range in ranges(dwarf, unit, &entry)? {
                        if module.is_code(range.start) {
                            subprograms.push(SubprogramRange {
                                range,
                                entry: offset,
                            });
                        }
                    }
                }
                dw::DW_TAG_inlined_subroutine => {
                    raw.read_entry(&mut entry)?;
                    let narrow = |(file, line): (u64, u64)| {
                        Some(Call {
                            line: line.try_into().ok()?,
                            file: file.try_into().ok()?,
                            function: function.0.try_into().ok()?,
                        })
                    };
                    calls.extend(call(&entry).and_then(narrow));
                }
                dw::DW_TAG_namespace
                | dw::DW_TAG_structure_type
                | dw::DW_TAG_union_type
                | dw::DW_TAG_enumeration_type => {
                    ahead.skip_attributes(abbreviation.attributes())?;
                    open.iter_mut().for_each(|container| container.used = true);
                    if abbreviation.has_children() {
                        open.push(Container {
                            entries: offset.0..usize::MAX,
                            depth,
                            used: false,
                        });
                    }
                    raw = ahead;
                }
                _ => {
                    ahead.skip_attributes(abbreviation.attributes())?;
                    raw = ahead;
                }
            }
        }
        while let Some(last) = open.pop() {
            close(last, UnitOffset(usize::MAX), &mut done);
        }
        subprograms.sort_by_key(|subprogram| subprogram.range.start);
        done.sort_by_key(|container| container.entries.start);
        calls.sort_unstable();
        calls.dedup();
        calls.shrink_to_fit();
        subprograms.shrink_to_fit();
        done.shrink_to_fit();
        Ok(Self {
            subprograms,
            containers: done,
            abstracts,
            calls,
        })
    }

    /// The function that has code at an address of the file, and the range that contains it.
    pub fn at(&self, address: u64) -> Option<(UnitOffset, Range<u64>)> {
        let after = self
            .subprograms
            .partition_point(|subprogram| subprogram.range.start <= address);
        let hit = self.subprograms.get(after.checked_sub(1)?)?;
        hit.range
            .contains(&address)
            .then(|| (hit.entry, hit.range.clone()))
    }

    /// Whether a function of this unit has code at an address of the file.
    pub fn contains(&self, address: u64) -> bool {
        self.at(address).is_some()
    }

    /// Functions with code; those with several ranges several times.
    pub fn concrete(&self) -> impl Iterator<Item = UnitOffset> {
        self.subprograms.iter().map(|subprogram| subprogram.entry)
    }

    /// Functions with code that calls at a line of some files were inlined into.
    pub fn with_calls_at(&self, files: &[u64], line: u64) -> impl Iterator<Item = UnitOffset> {
        let at = |call: &Call| u64::from(call.line);
        let first = self.calls.partition_point(|call| at(call) < line);
        let here = self
            .calls
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |call| at(call) == line);
        here.filter(|call| files.contains(&call.file.into()))
            .map(|call| UnitOffset(call.function as usize))
    }

    /// Functions that were inlined.
    pub fn abstracts(&self) -> &[UnitOffset] {
        &self.abstracts
    }

    /// The path of what contains an entry, ending in `::`, or empty.
    pub fn prefix<'a>(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
        entry: UnitOffset,
    ) -> String {
        let before = self
            .containers
            .partition_point(|container| container.entries.start < entry.0);
        let mut path = String::new();
        for container in self
            .containers
            .iter()
            .take(before)
            .filter(|c| c.entries.contains(&entry.0))
        {
            let name = unit.entry(UnitOffset(container.entries.start)).ok();
            let name =
                name.and_then(|e| dwarf.attr_string(unit, e.attr_value(dw::DW_AT_name)?).ok());
            if let Some(name) = name {
                path.push_str(&name.to_string_lossy());
                path.push_str("::");
            }
        }
        path
    }
}

fn close(mut container: Container, end: UnitOffset, done: &mut Vec<Container>) {
    if container.used {
        container.entries.end = end.0;
        done.push(container);
    }
}

/// All instances in the code of a function, itself first, each before those that are inlined into it.
///
/// # Errors
///
/// Where DWARF is damaged.
pub fn instances<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    function: UnitOffset,
) -> gimli::Result<Vec<Instance>> {
    let mut raw = unit.entries_raw(Some(function))?;
    let top = raw.next_depth();
    let mut all: Vec<Instance> = Vec::new();
    // Depth of the entry and index of each instance that is still open.
    let mut open: Vec<(isize, usize)> = Vec::new();
    let mut entry = Entry::null();
    while !raw.is_empty() {
        let (offset, depth) = (raw.next_offset(), raw.next_depth());
        if depth <= top && !all.is_empty() {
            break;
        }
        let mut ahead = raw.clone();
        let Some(abbreviation) = ahead.read_abbreviation()? else {
            raw = ahead;
            continue;
        };
        while open
            .pop_if(|(open_depth, _)| *open_depth >= depth)
            .is_some()
        {}
        let inlined = abbreviation.tag() == dw::DW_TAG_inlined_subroutine;
        if !inlined && !all.is_empty() {
            ahead.skip_attributes(abbreviation.attributes())?;
            raw = ahead;
            if abbreviation.tag() == dw::DW_TAG_subprogram {
                skip_children(&mut raw, depth)?;
            }
            continue;
        }
        raw.read_entry(&mut entry)?;
        let parent = open.last().map(|(_, index)| *index);
        open.push((depth, all.len()));
        all.push(Instance {
            entry: offset,
            parent,
            depth: open.len() - 1,
            ranges: ranges(dwarf, unit, &entry)?,
            call: call(&entry),
        });
    }
    Ok(all)
}

/// File index and line of the call that was inlined.
fn call(entry: &Entry<'_>) -> Option<(u64, u64)> {
    let file = match entry.attr(dw::DW_AT_call_file)?.value() {
        AttributeValue::FileIndex(index) => index,
        _ => entry.attr(dw::DW_AT_call_file)?.udata_value()?,
    };
    Some((file, entry.attr(dw::DW_AT_call_line)?.udata_value()?))
}

/// The deepest instance at an address of the file.
pub fn innermost(instances: &[Instance], address: u64) -> Option<usize> {
    let here = instances
        .iter()
        .enumerate()
        .filter(|(_, i)| i.ranges.iter().any(|range| range.contains(&address)));
    here.max_by_key(|(_, instance)| instance.depth)
        .map(|(index, _)| index)
}

/// Skips all entries below `depth`.
pub fn skip_children(raw: &mut EntriesRaw<'_, Slice<'_>>, depth: isize) -> gimli::Result<()> {
    while !raw.is_empty() && raw.next_depth() > depth {
        if let Some(abbreviation) = raw.read_abbreviation()? {
            raw.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(())
}

/// The addresses of an entry, in the file; empty ranges left out.
///
/// # Errors
///
/// Where DWARF is damaged.
pub fn ranges<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &Entry<'a>,
) -> gimli::Result<Vec<Range<u64>>> {
    let mut all = Vec::new();
    if let Some(value) = entry.attr_value(dw::DW_AT_ranges) {
        if let Some(mut list) = dwarf.attr_ranges(unit, value)? {
            while let Some(range) = list.next()? {
                if range.begin < range.end {
                    all.push(range.begin..range.end);
                }
            }
        }
        return Ok(all);
    }
    // Not `Dwarf::die_ranges`: it adds without a check for overflow.
    let Some(low) = entry.attr_value(dw::DW_AT_low_pc) else {
        return Ok(all);
    };
    let Some(low) = dwarf.attr_address(unit, low)? else {
        return Ok(all);
    };
    let high = match entry.attr(dw::DW_AT_high_pc) {
        None => None,
        Some(high) => match dwarf.attr_address(unit, high.value())? {
            Some(address) => Some(address),
            None => high.udata_value().and_then(|size| low.checked_add(size)),
        },
    };
    if let Some(high) = high.filter(|high| low < *high) {
        all.push(low..high);
    }
    Ok(all)
}

/// What a function's declaration says.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// Offset in `.debug_info` of the entry that has the name; the same for all its instances in a unit.
    pub entry: u64,
    /// Without the path: `insert<u8>`.
    pub name: String,
    /// With the path: `orders::Book::insert<u8>`.
    pub path: String,
    /// Line of the `fn`.
    pub line: Option<u64>,
    /// Unit and file index of the source.
    pub file: Option<(u64, u64)>,
}

/// Follows the references of a function's or an instance's entry to its declaration.
///
/// # Errors
///
/// Where DWARF is damaged.
pub fn declaration<'a>(
    module: &'a Module,
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: UnitOffset,
) -> gimli::Result<Declaration> {
    let mut found = Declaration::default();
    let mut next = unit.header.offset().0.saturating_add(entry.0) as u64;
    let mut other: Option<Unit<Slice<'a>>> = None;
    for _ in 0..MAX_REFERENCES {
        let inside = UnitSectionOffset(next as usize).to_unit_offset(&unit.header);
        let (unit, offset) = match inside {
            Some(offset) => (unit, offset),
            None => {
                let (unit, offset) = module.unit_and_entry(dwarf, next)?;
                (&*other.insert(unit), offset)
            }
        };
        let entry = unit.entry(offset)?;
        if found.line.is_none() {
            found.line = entry
                .attr(dw::DW_AT_decl_line)
                .and_then(|attribute| attribute.udata_value());
        }
        if found.file.is_none()
            && let Some(AttributeValue::FileIndex(index)) = entry.attr_value(dw::DW_AT_decl_file)
        {
            found.file = Some((unit.header.offset().0 as u64, index));
        }
        if found.name.is_empty()
            && let Some(name) = entry.attr_value(dw::DW_AT_name)
        {
            found.name = dwarf
                .attr_string(unit, name)?
                .to_string_lossy()
                .into_owned();
        }
        found.entry = next;
        let reference = entry
            .attr_value(dw::DW_AT_abstract_origin)
            .or_else(|| entry.attr_value(dw::DW_AT_specification));
        match reference.and_then(|value| section_offset(unit, value)) {
            Some(reference) => next = reference,
            None => {
                found.path = module.path(next, || {
                    let prefix = module.functions(dwarf, unit)?.prefix(dwarf, unit, offset);
                    Ok(prefix + &found.name)
                })?;
                break;
            }
        }
    }
    Ok(found)
}

/// Variables from which on their kinds of places are compared; below, one that moves is enough to tell an optimizer.
const FEW_VARIABLES: usize = 10;
/// Variables that tell enough: a large unit is not read to its end.
const ENOUGH_VARIABLES: usize = 1000;

/// Whether a unit's code is optimized. Code that is not has variables in memory at one place, for good. Some are not,
/// all the same: rustc itself inlines what is small, and keeps numbers and pieces of that; an argument that is passed as
/// an address is found through the register that has it. So a variable that is not in memory tells an optimizer where
/// nothing is inlined. Elsewhere many that move tell it: of the units of real programs, two thirds to all of the variables move with an
/// optimizer at work, and less than a third without.
///
/// # Errors
///
/// Where DWARF is damaged.
pub fn is_optimized<'a>(dwarf: &Dwarf<Slice<'a>>, unit: &Unit<Slice<'a>>) -> gimli::Result<bool> {
    let mut raw = unit.entries_raw(None)?;
    let mut entry = Entry::null();
    let (mut all, mut moving) = (0usize, 0usize);
    // How deep the outermost inlined function lies that this is in.
    let mut inlined: Option<isize> = None;
    while !raw.is_empty() && all < ENOUGH_VARIABLES {
        let depth = raw.next_depth();
        let Some(abbreviation) = raw.clone().read_abbreviation()? else {
            raw.read_entry(&mut entry)?;
            continue;
        };
        inlined = inlined.filter(|outer| depth > *outer);
        if abbreviation.tag() == dw::DW_TAG_inlined_subroutine {
            inlined = inlined.or(Some(depth));
        }
        let variable = matches!(
            abbreviation.tag(),
            dw::DW_TAG_variable | dw::DW_TAG_formal_parameter
        );
        if !variable {
            if let Some(abbreviation) = raw.read_abbreviation()? {
                raw.skip_attributes(abbreviation.attributes())?;
            }
            continue;
        }
        raw.read_entry(&mut entry)?;
        let (stays, outside_memory) = match entry.attr_value(dw::DW_AT_location) {
            None => continue,
            Some(AttributeValue::Exprloc(place)) => {
                let place = place.0.slice();
                (stays(place), is_no_memory(place))
            }
            Some(list) => match dwarf.attr_locations(unit, list)? {
                None => (false, false),
                Some(mut list) => {
                    let (mut stays, mut outside_memory) = (true, false);
                    while let Some(place) = list.next()? {
                        let place = place.data.0.slice();
                        stays &= is_through_a_register(place);
                        outside_memory |= is_no_memory(place);
                    }
                    (stays, outside_memory)
                }
            },
        };
        if outside_memory && inlined.is_none() {
            return Ok(true);
        }
        all += 1;
        moving += usize::from(!stays);
    }
    Ok(match all {
        0..FEW_VARIABLES => moving > 0,
        _ => moving * 3 >= all,
    })
}

/// Whether a place is in the stack frame, where a register points to, or in static memory, each thread's own included.
fn stays(expression: &[u8]) -> bool {
    let first = expression.first().copied().map(gimli::DwOp);
    let last = expression.last().copied().map(gimli::DwOp);
    matches!(first, Some(dw::DW_OP_fbreg | dw::DW_OP_addr))
        || matches!(
            last,
            Some(dw::DW_OP_form_tls_address | dw::DW_OP_GNU_push_tls_address)
        )
        || is_through_a_register(expression)
}

/// Whether a place is none in memory: a register, pieces, or a number that was computed.
fn is_no_memory(expression: &[u8]) -> bool {
    let first = expression.first().copied().map(gimli::DwOp);
    let last = expression.last().copied().map(gimli::DwOp);
    let register = first.is_some_and(|first| {
        (dw::DW_OP_reg0..=dw::DW_OP_reg31).contains(&first)
            || matches!(first, dw::DW_OP_regx | dw::DW_OP_piece)
    });
    register || (last == Some(dw::DW_OP_stack_value) && !is_through_a_register(expression))
}

/// Whether a place is an address that a register has, or had at the function's entry.
fn is_through_a_register(expression: &[u8]) -> bool {
    match expression {
        [register, 0] => (dw::DW_OP_breg0..=dw::DW_OP_breg31).contains(&gimli::DwOp(*register)),
        // An entry value that is read where it points to, and not a number by itself.
        [first, .., last] => {
            [dw::DW_OP_entry_value, dw::DW_OP_GNU_entry_value].contains(&gimli::DwOp(*first))
                && gimli::DwOp(*last) != dw::DW_OP_stack_value
        }
        _ => false,
    }
}

/// The offset in `.debug_info` that a reference attribute means.
pub fn section_offset<'a>(unit: &Unit<Slice<'a>>, value: AttributeValue<Slice<'a>>) -> Option<u64> {
    match value {
        AttributeValue::UnitRef(offset) => unit
            .header
            .offset()
            .0
            .checked_add(offset.0)
            .map(|offset| offset as u64),
        AttributeValue::DebugInfoRef(offset) => Some(offset.0 as u64),
        _ => None,
    }
}
