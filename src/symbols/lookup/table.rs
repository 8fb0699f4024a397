//! What one unit says about the file: the rows of its line table, and its functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gimli::{Dwarf, Unit, UnitOffset};

use super::InstanceId;
use crate::symbols::declaration::Declaration;
use crate::symbols::functions::{self, Instance, UnitFunctions};
use crate::symbols::lines::{Mention, Row, Rows};
use crate::symbols::module::{Module, Slice};

/// One unit that mentions the file.
pub(super) struct Table<'a> {
    pub(super) module: &'a Module,
    pub(super) dwarf: Dwarf<Slice<'a>>,
    pub(super) unit: Unit<Slice<'a>>,
    pub(super) files: Vec<u64>,
    pub(super) rows: Arc<Rows>,
}

impl<'a> Table<'a> {
    pub(super) fn read_all(module: &'a Module, mentions: &[Mention]) -> gimli::Result<Vec<Self>> {
        let mut tables = Vec::new();
        for group in mentions.chunk_by(|a, b| a.program == b.program) {
            let Some(first) = group.first() else { continue };
            let dwarf = module.dwarf();
            let files: Vec<u64> = group.iter().map(|mention| mention.file).collect();
            let rows = module.rows(&dwarf, first.program, &files)?;
            let unit = module.unit(&dwarf, first.unit)?;
            tables.push(Self {
                module,
                dwarf,
                unit,
                files,
                rows,
            });
        }
        Ok(tables)
    }

    /// Statement rows of a line.
    pub(super) fn rows_at(&self, line: u64) -> impl Iterator<Item = &Row> {
        self.rows
            .rows
            .iter()
            .filter(move |row| row.line == line && row.statement)
    }

    pub(super) fn functions(&self) -> gimli::Result<Arc<UnitFunctions>> {
        self.module.functions(&self.dwarf, &self.unit)
    }

    /// The functions with code, each once, and their instances.
    pub(super) fn all_instances(&self) -> gimli::Result<BTreeMap<UnitOffset, Vec<Instance>>> {
        let functions = self.functions()?;
        let entries: BTreeSet<UnitOffset> = functions.concrete().collect();
        let read = |entry| Ok((entry, functions::instances(&self.dwarf, &self.unit, entry)?));
        entries.into_iter().map(read).collect()
    }

    pub(super) fn declaration(&self, entry: UnitOffset) -> gimli::Result<Declaration> {
        Declaration::read(self.module, &self.dwarf, &self.unit, entry)
    }

    pub(super) fn instance(&self, function: &Instance, instance: &Instance) -> InstanceId {
        let offset = |entry| functions::entry_offset(&self.unit, entry);
        InstanceId {
            function: offset(function.entry),
            entry: offset(instance.entry),
        }
    }

    pub(super) fn is_call_at(&self, instance: &Instance, test: impl Fn(u64) -> bool) -> bool {
        instance
            .call
            .is_some_and(|(file, line)| test(line) && self.files.contains(&file))
    }

    /// Whether a function is declared in the file.
    pub(super) fn declares(&self, declaration: &Declaration) -> bool {
        // A declaration of another unit has that unit's file numbers; its own table has it too.
        declaration.file.is_some_and(|(unit, file)| {
            unit == self.unit.header.offset().0 as u64 && self.files.contains(&file)
        })
    }
}
