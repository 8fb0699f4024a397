//! Which types are used as trait objects of a trait: rustc describes each table of methods as a variable
//! `<Type as path::Trait>::{vtable}` whose type's `DW_AT_containing_type` is the concrete type.
//!
//! The names are searched in the section of strings and their offsets in the entries, by plain comparison of bytes: to
//! read all entries of a large program would take seconds.

use std::collections::{BTreeMap, HashSet};

use gimli::{AttributeValue, Dwarf, Unit, UnitOffset, constants as dw};
use memchr::memmem;

use super::functions::{self, Entry};
use super::module::{Module, Slice};
use super::types::{Implementor, TypeRef};

/// Types that are looked for.
const MAX_NAMES: usize = 2048;
/// Bytes of entries that are searched; above, no implementor is found.
const MAX_SEARCHED: usize = 512 << 20;
/// Bytes of units that are read entry by entry, where names are indices and cannot be searched for.
const MAX_READ: u64 = 32 << 20;

/// The types of a module whose values are used as objects of a trait. A table that several types share is left out,
/// since it does not tell which of them an object is.
pub fn implementors(module: &Module, index: u32, trait_path: &str) -> Vec<Implementor> {
    let dwarf = module.dwarf();
    let search = Search {
        module,
        index,
        dwarf: &dwarf,
        names: names(&module.section(".debug_str"), trait_path),
    };
    if search.names.is_empty() {
        return Vec::new();
    }
    let mut tables: BTreeMap<u64, Vec<(String, TypeRef)>> = BTreeMap::new();
    for table in search.by_offset().into_iter().chain(search.by_index()) {
        let found = tables.entry(table.address).or_default();
        if !found.iter().any(|(name, _)| *name == table.name) {
            found.push((table.name, table.ty));
        }
    }
    tables
        .into_iter()
        .filter_map(|(address, types)| match types.as_slice() {
            [(_, ty)] => Some(Implementor {
                vtable: module.to_runtime(address),
                ty: *ty,
            }),
            _ => None,
        })
        .collect()
}

struct Search<'m, 'd> {
    module: &'m Module,
    index: u32,
    dwarf: &'d Dwarf<Slice<'m>>,
    /// Offsets of the names of tables.
    names: HashSet<u32>,
}

struct Table {
    /// An address of the file.
    address: u64,
    /// The variable's name, which has the type's.
    name: String,
    ty: TypeRef,
}

/// Offsets in the section of strings of the names of a trait's tables.
fn names(strings: &Slice<'_>, trait_path: &str) -> HashSet<u32> {
    let end = format!(" as {trait_path}>::{{vtable}}\0");
    let bytes = strings.slice();
    memmem::find_iter(bytes, &end)
        .take(MAX_NAMES)
        .filter_map(|at| {
            let before = bytes.get(..at)?;
            let start = memchr::memrchr(0, before).map_or(0, |zero| zero + 1);
            (before.get(start) == Some(&b'<')).then(|| u32::try_from(start).ok())?
        })
        .collect()
}

impl<'m> Search<'m, '_> {
    /// Tables whose name is an offset in the section of strings, as it is up to DWARF 4.
    fn by_offset(&self) -> Vec<Table> {
        let bytes = self.module.section(".debug_info").slice();
        if bytes.len() > MAX_SEARCHED {
            return Vec::new();
        }
        let mut maybe = vec![false; 1 << 16];
        for name in &self.names {
            if let Some(slot) = maybe.get_mut(usize::from(*name as u16)) {
                *slot = true;
            }
        }
        let mut tables = Vec::new();
        for (at, window) in bytes.windows(4).enumerate() {
            let [a, b, c, d] = *window else { continue };
            let low = usize::from(u16::from_le_bytes([a, b]));
            if maybe.get(low) != Some(&true) {
                continue;
            }
            if self.names.contains(&u32::from_le_bytes([a, b, c, d])) {
                tables.extend(self.table_around(at));
            }
        }
        tables
    }

    /// The table whose entry has its name at an offset of the entries. The name comes first, after a number of 1 to 3
    /// bytes that says what kind of entry it is.
    fn table_around(&self, at: usize) -> Option<Table> {
        (1..=3).find_map(|distance| {
            let entry = u64::try_from(at.checked_sub(distance)?).ok()?;
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, entry).ok()?;
            if offset.0 < unit.header.root_offset().0 {
                return None;
            }
            self.table(&unit, offset)
        })
    }

    /// Tables of units that have their names by index, as it is from DWARF 5 on.
    fn by_index(&self) -> Vec<Table> {
        let mut left = MAX_READ;
        let mut tables = Vec::new();
        for start in self.module.units() {
            let Ok(unit) = self.module.unit(self.dwarf, *start) else {
                continue;
            };
            if unit.header.version() < 5 || !self.may_name(&unit) {
                continue;
            }
            match left.checked_sub(unit.header.unit_length() as u64) {
                Some(rest) => left = rest,
                None => break,
            }
            // What is damaged ends the unit.
            let _ = self.read(&unit, &mut tables);
        }
        tables
    }

    /// Whether one of the names is among those that a unit has.
    fn may_name(&self, unit: &Unit<Slice<'m>>) -> bool {
        let all = self.module.section(".debug_str_offsets").slice();
        let base = unit.str_offsets_base.0;
        // Before the offsets there is a header of 8 bytes, which begins with the length of what follows (section 7.26).
        let length = base
            .checked_sub(8)
            .and_then(|start| all.get(start..)?.first_chunk())
            .map(|length| u32::from_le_bytes(*length));
        let Some(length) = length.and_then(|length| (length as usize).checked_sub(4)) else {
            return false;
        };
        let own = all.get(base..).unwrap_or_default();
        let own = own.get(..length).unwrap_or(own);
        let (offsets, _) = own.as_chunks::<4>();
        offsets
            .iter()
            .any(|offset| self.names.contains(&u32::from_le_bytes(*offset)))
    }

    fn read(&self, unit: &Unit<Slice<'m>>, tables: &mut Vec<Table>) -> gimli::Result<()> {
        let mut raw = unit.entries_raw(None)?;
        let mut entry = Entry::null();
        while !raw.is_empty() {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            if !raw.read_entry(&mut entry)? {
                continue;
            }
            if depth == 1 {
                if entry.tag() == dw::DW_TAG_variable {
                    tables.extend(self.table(unit, offset));
                }
                functions::skip_children(&mut raw, depth)?;
            }
        }
        Ok(())
    }

    /// The table that an entry describes, if it is one of those that are looked for.
    fn table(&self, unit: &Unit<Slice<'m>>, offset: UnitOffset) -> Option<Table> {
        let entry = unit.entry(offset).ok()?;
        if entry.tag() != dw::DW_TAG_variable {
            return None;
        }
        let name = entry.attr_value(dw::DW_AT_name)?;
        let start = self.dwarf.attr_string(unit, name).ok()?;
        let strings = self.module.section(".debug_str");
        let at = u32::try_from(start.offset_from(strings)).ok()?;
        if !self.names.contains(&at) {
            return None;
        }
        let AttributeValue::Exprloc(location) = entry.attr_value(dw::DW_AT_location)? else {
            return None;
        };
        let mut operations = location.operations(unit.encoding());
        let address = match operations.next().ok()?? {
            gimli::Operation::Address { address } => address,
            gimli::Operation::AddressIndex { index } => self.dwarf.address(unit, index).ok()?,
            _ => return None,
        };
        // The linker leaves descriptions of tables that it dropped, at address 0 or at a tombstone.
        if operations.next().ok()?.is_some() || address == 0 || address >= u64::MAX - 1 {
            return None;
        }
        let kind = functions::section_offset(unit, entry.attr_value(dw::DW_AT_type)?)?;
        let (unit, offset) = self.module.unit_and_entry(self.dwarf, kind).ok()?;
        let kind = unit.entry(offset).ok()?;
        let concrete = kind.attr_value(dw::DW_AT_containing_type)?;
        Some(Table {
            address,
            name: start.to_string_lossy().into_owned(),
            ty: TypeRef {
                module: self.index,
                entry: functions::section_offset(&unit, concrete)?,
            },
        })
    }
}
