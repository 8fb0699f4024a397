//! Statics by their path.
//!
//! There is no index of them: the units of the crate that a path begins with are read, namespace by namespace. A unit's
//! name says its crate, as `src/main.rs/@/orders.8f3a-cgu.0` does (rustc's `compile_unit_metadata`), so that the others
//! cost no more than their first entry.

use gimli::{AttributeValue, Dwarf, EntriesTreeNode, Operation, Unit, constants as dw};

use super::functions;
use super::module::{Module, Slice};
use super::place::{Formula, Location, Piece, Source, Term};
use super::scope::Variable;
use super::types::TypeRef;

/// The static of a path, crate first, in a module; `None` where there is none, or the linker left it out.
pub fn find(index: u32, module: &Module, path: &[String]) -> Option<Variable> {
    let (krate, rest) = path.split_first()?;
    // What is named by one word only is no static.
    rest.first()?;
    let dwarf = module.dwarf();
    let mark = format!("/@/{krate}.");
    for offset in module.units() {
        let Ok(unit) = module.unit(&dwarf, *offset) else {
            continue;
        };
        let name = unit.name.map(|name| name.to_string_lossy().into_owned());
        if name.is_none_or(|name| name.contains("/@/") && !name.contains(&mark)) {
            continue;
        }
        let reader = Reader {
            index,
            module,
            dwarf: &dwarf,
            unit: &unit,
        };
        if let Ok(Some(found)) = reader.find(path) {
            return Some(found);
        }
    }
    None
}

struct Reader<'u, 'a> {
    index: u32,
    module: &'u Module,
    dwarf: &'u Dwarf<Slice<'a>>,
    unit: &'u Unit<Slice<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn find(&self, path: &[String]) -> gimli::Result<Option<Variable>> {
        let mut tree = self.unit.entries_tree(None)?;
        self.within(tree.root()?, path)
    }

    /// A static within a namespace. Recurses once for each segment of the path.
    fn within(
        &self,
        space: EntriesTreeNode<'_, '_, Slice<'a>>,
        path: &[String],
    ) -> gimli::Result<Option<Variable>> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(None);
        };
        let wanted = if rest.is_empty() {
            dw::DW_TAG_variable
        } else {
            dw::DW_TAG_namespace
        };
        let mut children = space.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            if entry.tag() != wanted || !self.is_named(entry, first)? {
                continue;
            }
            let found = match rest {
                [] => self.variable(entry, first)?,
                rest => self.within(child, rest)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn is_named(&self, entry: &functions::Entry<'a>, name: &str) -> gimli::Result<bool> {
        let Some(value) = entry.attr_value(dw::DW_AT_name) else {
            return Ok(false);
        };
        let found = self.dwarf.attr_string(self.unit, value)?;
        Ok(found.slice() == name.as_bytes())
    }

    /// A variable at a fixed address of the module.
    fn variable(
        &self,
        entry: &functions::Entry<'a>,
        name: &str,
    ) -> gimli::Result<Option<Variable>> {
        let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(dw::DW_AT_location) else {
            return Ok(None);
        };
        let mut operations = expression.operations(self.unit.encoding());
        let address = match operations.next()? {
            Some(Operation::Address { address }) => address,
            Some(Operation::AddressIndex { index }) => self.dwarf.address(self.unit, index)?,
            _ => return Ok(None),
        };
        // More is the place of a thread-local. Of a static that the linker dropped, 0 or a tombstone (-1, -2) is left.
        let dropped = address == 0 || address >= u64::MAX - 1;
        if operations.next()?.is_some() || dropped {
            return Ok(None);
        }
        let runtime = self.module.to_runtime(address);
        let ty = entry.attr_value(dw::DW_AT_type);
        let ty = ty.and_then(|value| functions::section_offset(self.unit, value));
        Ok(ty.map(|entry| Variable {
            name: name.into(),
            ty: TypeRef {
                module: self.index,
                entry,
            },
            location: Location {
                pieces: vec![Piece {
                    offset: 0,
                    size: None,
                    source: Source::Memory(Formula(vec![Term::Constant(runtime)])),
                }],
            },
            argument: false,
            depth: u32::MAX,
        }))
    }
}
