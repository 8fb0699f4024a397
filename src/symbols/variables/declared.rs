//! What a function declares anywhere in it.

use std::collections::BTreeSet;

use gimli::{Unit, UnitOffset, constants as dw};

use super::{Block, MAX_DEPTH, Reader, is_variable};
use crate::symbols::module::Slice;

impl<'a> Reader<'_, 'a> {
    /// The names of a function's variables, in whatever block.
    pub fn declared(&self, call: &Block) -> gimli::Result<BTreeSet<Box<str>>> {
        let mut names = BTreeSet::new();
        let entry = self.unit.entry(call.entry)?;
        match self.origin(self.unit, &entry) {
            Some(origin) => {
                let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
                self.names(&unit, offset, &mut names, 0)?;
            }
            None => self.names(self.unit, call.entry, &mut names, 0)?,
        }
        Ok(names)
    }

    fn names(
        &self,
        unit: &Unit<Slice<'a>>,
        block: UnitOffset,
        to: &mut BTreeSet<Box<str>>,
        nesting: usize,
    ) -> gimli::Result<()> {
        let mut blocks = Vec::new();
        self.children(unit, block, |offset, entry| {
            if entry.tag() == dw::DW_TAG_lexical_block {
                blocks.push(offset);
            } else if is_variable(entry)
                && let Some(name) = entry.attr_value(dw::DW_AT_name)
            {
                let name = self.dwarf.attr_string(unit, name)?;
                to.insert(name.to_string_lossy().into());
            }
            Ok(())
        })?;
        for block in blocks.into_iter().filter(|_| nesting < MAX_DEPTH) {
            self.names(unit, block, to, nesting + 1)?;
        }
        Ok(())
    }
}
