//! Statics and thread-locals by their path.
//!
//! There is no index of them: the units of the crate that a path begins with are read, namespace by namespace. A unit's
//! name says its crate, as `src/main.rs/@/orders.8f3a-cgu.0` does (rustc's `compile_unit_metadata`), so that the others
//! cost no more than their first entry. Those of an incremental build are named by a hash alone, and are all read.

use gimli::{AttributeValue, Dwarf, EntriesTreeNode, Operation, Unit, constants as dw};

use super::functions;
use super::module::{Module, Slice};
use super::place::{Formula, Location, Piece, Source, Term};
use super::scope::Variable;
use super::thread_locals::{self, ThreadLocal};
use super::types::TypeRef;

/// How deep `thread_local!` hides what it declares.
const MADE_WITHIN: usize = 2;

/// The static or thread-local of a path, crate first, in a module; `None` where there is none, or the linker left it out.
pub fn find(index: u32, module: &Module, path: &[String]) -> Option<Variable> {
    let (krate, rest) = path.split_first()?;
    // What is named by one word only is no static.
    rest.first()?;
    let dwarf = module.dwarf();
    let mut placeless = None;
    for offset in module.units() {
        let Ok(unit) = module.unit(&dwarf, *offset) else {
            continue;
        };
        let name = unit.name.map(|name| name.to_string_lossy().into_owned());
        if !name.is_some_and(|name| may_be_of(&name, krate)) {
            continue;
        }
        let reader = Reader {
            index,
            module,
            dwarf: &dwarf,
            unit: &unit,
        };
        match reader.find(path) {
            // Another unit may have more of a thread-local.
            Ok(Some(found)) if thread_locals::is_placeless(&found) => {
                placeless.get_or_insert(found);
            }
            Ok(Some(found)) => return Some(found),
            _ => {}
        }
    }
    placeless
}

/// Whether a unit of this name can be one of the crate.
fn may_be_of(unit: &str, krate: &str) -> bool {
    let known = unit
        .split_once("/@/")
        .and_then(|(_, part)| part.split_once('.'));
    known.is_none_or(|(owner, _)| owner == krate)
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
        let mut children = space.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            let tag = entry.tag();
            if !matches!(tag, dw::DW_TAG_variable | dw::DW_TAG_namespace)
                || !self.is_named(entry, first)?
            {
                continue;
            }
            let found = match (rest, tag) {
                ([], dw::DW_TAG_variable) => self.variable(entry, first)?,
                ([], _) => {
                    let mut variables = Vec::new();
                    self.made_within(child, &mut variables, MADE_WITHIN)?;
                    thread_locals::one_of(self.index, self.module, first, &variables)
                }
                (rest, dw::DW_TAG_namespace) => self.within(child, rest)?,
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Collects the thread-locals in namespaces that the compiler made, as `{constant#0}` and `{closure#0}` are.
    fn made_within(
        &self,
        space: EntriesTreeNode<'_, '_, Slice<'a>>,
        to: &mut Vec<ThreadLocal>,
        depth: usize,
    ) -> gimli::Result<()> {
        let mut children = space.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            match entry.tag() {
                dw::DW_TAG_variable => to.extend(self.thread_local(entry)?),
                dw::DW_TAG_namespace if depth > 0 && self.is_made(entry)? => {
                    self.made_within(child, to, depth - 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_made(&self, entry: &functions::Entry<'a>) -> gimli::Result<bool> {
        let Some(value) = entry.attr_value(dw::DW_AT_name) else {
            return Ok(false);
        };
        let found = self.dwarf.attr_string(self.unit, value)?;
        Ok(found.slice().starts_with(b"{"))
    }

    fn thread_local(&self, entry: &functions::Entry<'a>) -> gimli::Result<Option<ThreadLocal>> {
        let ty = entry.attr_value(dw::DW_AT_type);
        let ty = ty.and_then(|value| functions::section_offset(self.unit, value));
        let symbol = entry.attr_value(dw::DW_AT_linkage_name);
        let (Some(ty), Some(symbol)) = (ty, symbol) else {
            return Ok(None);
        };
        let symbol = self.dwarf.attr_string(self.unit, symbol)?;
        let offset = match entry.attr_value(dw::DW_AT_location) {
            Some(AttributeValue::Exprloc(expression)) => {
                let mut operations = expression.operations(self.unit.encoding());
                // More would be a part of it.
                match (operations.next()?, operations.next()?, operations.next()?) {
                    (Some(Operation::UnsignedConstant { value }), Some(Operation::TLS), None) => {
                        Some(value)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        Ok(Some(ThreadLocal {
            ty,
            symbol: symbol.slice().into(),
            offset,
        }))
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
        // More is no fixed address. Of a static that the linker dropped, 0 or a tombstone (-1, -2) is left.
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
            entry: 0,
            location: Location {
                pieces: vec![Piece {
                    offset: 0,
                    size: None,
                    source: Source::Memory(Formula(vec![Term::Constant(runtime)])),
                }],
            },
            elsewhere: Vec::new(),
            line: 0,
            argument: false,
            depth: u32::MAX,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_its_crate_unless_it_is_of_an_incremental_build() {
        assert!(may_be_of("src/main.rs/@/orders.8f3a-cgu.0", "orders"));
        assert!(!may_be_of("src/lib.rs/@/orders_core.8f3a-cgu.0", "orders"));
        assert!(may_be_of("src/main.rs/@/1y0uqzyk1vggg6f5", "orders"));
        assert!(may_be_of("startup.c", "orders"));
    }
}
