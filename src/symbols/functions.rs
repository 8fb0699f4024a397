//! The functions of a unit: where their code is, what is inlined where, and what they are declared in.

use std::ops::Range;

use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, EntriesRaw, Unit, UnitOffset, constants as dw,
};

use super::module::{Module, Slice};

/// An entry of `.debug_info`.
pub type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

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

/// The offset in `.debug_info` of an entry of a unit.
pub fn entry_offset(unit: &Unit<Slice<'_>>, entry: UnitOffset) -> u64 {
    unit.header.offset().0.saturating_add(entry.0) as u64
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
