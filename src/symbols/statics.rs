//! Statics and thread-locals by their path.
//!
//! Only the units of the crate that a path begins with are read, once while they are asked for often. A unit's name says its
//! crate, as `src/main.rs/@/orders.8f3a-cgu.0` does (rustc's `compile_unit_metadata`), so that the others
//! cost no more than their first entry. Those of an incremental build are named by a hash alone, and are all read.

mod spaces;

use gimli::{AttributeValue, Dwarf, Operation, Unit, constants as dw};

pub use self::spaces::Spaces;

use super::functions;
use super::module::{Module, Slice};
use super::place::{Formula, Location, Source, Term};
use super::scope::Variable;
use super::thread_locals::{self, ThreadLocal};
use super::types::TypeRef;

/// How deep `thread_local!` hides what it declares.
const MADE_WITHIN: usize = 2;

/// What stands in a path for any block of methods.
pub const IMPL: &str = "{impl}";

/// The statics or thread-locals of a path, crate first, in a module, each once; none where the linker left it out.
///
/// `krate` is the [crate](crate_of) to look in.
pub fn find(index: u32, module: &Module, path: &[String], krate: Option<&str>) -> Vec<Variable> {
    // What is named by one word only is no static.
    let [name, _, ..] = path else {
        return Vec::new();
    };
    let dwarf = module.dwarf();
    let mut found = Vec::new();
    for offset in module.units() {
        let Ok(unit) = module.unit(&dwarf, *offset) else {
            continue;
        };
        let is_meant = match krate {
            Some(krate) => crate_of(&unit, name).is_some_and(|known| known == krate),
            None => unit_name(&unit).is_some_and(|unit| may_be_of(&unit, name)),
        };
        if !is_meant {
            continue;
        }
        // What is damaged has none.
        let Ok(spaces) = module.spaces(&unit) else {
            continue;
        };
        let reader = Reader {
            index,
            module,
            dwarf: &dwarf,
            unit: &unit,
            spaces: &spaces,
        };
        let _ = reader.within(None, path, &mut found);
    }
    // One unit may have more of a thread-local than another.
    if found
        .iter()
        .any(|found| !thread_locals::is_placeless(found))
    {
        found.retain(|found| !thread_locals::is_placeless(found));
    }
    let mut each: Vec<Variable> = Vec::new();
    for variable in found {
        if each.iter().all(|known| known.location != variable.location) {
            each.push(variable);
        }
    }
    each
}

/// What tells the crate of a unit from others of its name; `None` where it has another name.
///
/// It is where it was compiled, its root, and the hash of its name and version, which units of an incremental build lack.
pub fn crate_of(unit: &Unit<Slice<'_>>, name: &str) -> Option<String> {
    let directory = unit.comp_dir.map(|it| it.to_string_lossy().into_owned());
    distinct(&unit_name(unit)?, &directory.unwrap_or_default(), name)
}

fn distinct(unit: &str, directory: &str, krate: &str) -> Option<String> {
    if !may_be_of(unit, krate) {
        return None;
    }
    let (root, part) = unit.split_once("/@/")?;
    let hashed = part.split_once("-cgu.").map_or("", |(hashed, _)| hashed);
    Some(format!("{directory}\0{root}\0{hashed}"))
}

fn unit_name(unit: &Unit<Slice<'_>>) -> Option<String> {
    unit.name.map(|name| name.to_string_lossy().into_owned())
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
    spaces: &'u Spaces,
}

impl<'a> Reader<'_, 'a> {
    /// Collects the statics within a namespace. Recurses once for each segment of the path.
    fn within(
        &self,
        space: Option<usize>,
        path: &[String],
        to: &mut Vec<Variable>,
    ) -> gimli::Result<()> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(());
        };
        for (at, held) in self.spaces.within(space) {
            if held.is_variable && !rest.is_empty() {
                continue;
            }
            let entry = self.unit.entry(held.entry)?;
            if !self.is_named(&entry, first)? {
                continue;
            }
            match rest {
                [] if held.is_variable => to.extend(self.variable(&entry, first)?),
                [] => {
                    let mut variables = Vec::new();
                    self.made_within(at, &mut variables, MADE_WITHIN)?;
                    let found = thread_locals::one_of(self.index, self.module, first, &variables);
                    to.extend(found);
                }
                rest => self.within(Some(at), rest, to)?,
            }
        }
        Ok(())
    }

    /// Collects the thread-locals in namespaces that the compiler made, as `{constant#0}` and `{closure#0}` are.
    fn made_within(
        &self,
        space: usize,
        to: &mut Vec<ThreadLocal>,
        depth: usize,
    ) -> gimli::Result<()> {
        for (at, held) in self.spaces.within(Some(space)) {
            let entry = self.unit.entry(held.entry)?;
            if held.is_variable {
                to.extend(self.thread_local(&entry)?);
            } else if depth > 0 && self.is_made(&entry)? {
                self.made_within(at, to, depth - 1)?;
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
        let found = found.slice();
        Ok(found == name.as_bytes() || (name == IMPL && found.starts_with(b"{impl#")))
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
            location: Location::whole(Source::Memory(Formula(vec![Term::Constant(runtime)]))),
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

    #[test]
    fn crates_of_one_name_are_told_apart() {
        let of = |unit: &str| distinct(unit, "/work", "orders");
        let binary = of("src/main.rs/@/orders.8f3a-cgu.0");
        assert!(binary.is_some());
        assert_eq!(binary, of("src/main.rs/@/orders.8f3a-cgu.12"));
        assert_ne!(binary, of("src/lib.rs/@/orders.11b0-cgu.0"));
        assert_ne!(binary, of("src/main.rs/@/orders.11b0-cgu.0"));
        assert_eq!(of("src/lib.rs/@/core.8f3a-cgu.0"), None);
        let incremental = of("src/main.rs/@/1y0uqzyk1vggg6f5");
        assert_eq!(incremental, of("src/main.rs/@/0abc"));
        assert_ne!(incremental, of("src/lib.rs/@/1y0uqzyk1vggg6f5"));
        assert_ne!(
            incremental,
            distinct("src/main.rs/@/1y0uqzyk1vggg6f5", "/other", "orders")
        );
    }
}
