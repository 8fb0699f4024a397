//! What a function is called, and where it is declared: what its entries say, and those that they refer to.

use gimli::{AttributeValue, Dwarf, Unit, UnitOffset, UnitSectionOffset, constants as dw};

use super::functions;
use super::module::{Module, Slice};

/// How long a chain of references (`DW_AT_abstract_origin`, `DW_AT_specification`) may be; rustc's have up to 3.
pub const MAX_REFERENCES: usize = 8;

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

impl Declaration {
    /// Follows the references of a function's or an instance's entry to its declaration.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn read<'a>(
        module: &'a Module,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
        entry: UnitOffset,
    ) -> gimli::Result<Self> {
        let mut found = Self::default();
        let mut next = functions::entry_offset(unit, entry);
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
                && let Some(AttributeValue::FileIndex(index)) =
                    entry.attr_value(dw::DW_AT_decl_file)
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
            match reference.and_then(|value| functions::section_offset(unit, value)) {
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
}
