//! How many of the variables that a program's source declares have a place at its lines: what `benches/readable` prints.
//!
//! Each line counts once in each instance, at the lowest of its statement rows there. The variables are those that the
//! instance's function declares above the line, by name and line of their declaration, whatever the optimizer has left
//! of the instance, and whatever the source has dropped or moved, or declares in a block that ends above the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gimli::{AttributeValue, DebugLineOffset, Dwarf, Unit, UnitOffset, constants as dw};

use super::Symbols;
use super::functions::{self, Entry, Instance};
use super::lines;
use super::lookup::DROP_GLUE;
use super::module::{Module, Slice};
use super::path;
use super::place::{Missing, Source};
use super::scope::Variable;

/// A variable at a line of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The line's file.
    pub file: String,
    /// The line.
    pub line: u64,
    /// The address that stands for it.
    pub address: u64,
    /// The function.
    pub function: String,
    /// Whether the compiler made the function, to drop what the function of the line has when it is dropped itself.
    pub in_drop: bool,
    /// The variable's name.
    pub name: String,
    /// The line of its declaration.
    pub declared: u64,
    /// Whether there is a place for it.
    pub state: State,
}

/// What can be read of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All of it.
    Whole,
    /// Some pieces of it.
    Partly,
    /// The compiler kept no place for it here.
    OptimizedOut,
    /// Only what the caller passed is known.
    EntryValue,
    /// Its description is not understood.
    Unsupported,
    /// Its block has code, and the address is not in it.
    OtherBlock,
}

/// Goes through the variables at all lines of the sources below a directory in a program that does not run.
///
/// # Panics
///
/// Where the file is no program, or its debug information is damaged.
pub fn each(program: &Path, directory: &str, mut each: impl FnMut(Seen)) {
    let symbols = Symbols::of_file(program).expect("an ELF file");
    let module = symbols.modules.first().and_then(Option::as_ref);
    let module = module.expect("debug information");
    let dwarf = module.dwarf();
    for &unit in module.units() {
        let unit = module.unit(&dwarf, unit).expect("a unit");
        let survey = Survey {
            symbols: &symbols,
            module,
            dwarf: &dwarf,
            unit: &unit,
        };
        survey.each(directory, &mut each).expect("sound DWARF");
    }
}

struct Survey<'s, 'a> {
    symbols: &'s Symbols,
    module: &'a Module,
    dwarf: &'s Dwarf<Slice<'a>>,
    unit: &'s Unit<Slice<'a>>,
}

impl<'a> Survey<'_, 'a> {
    fn each(&self, directory: &str, each: &mut impl FnMut(Seen)) -> gimli::Result<()> {
        let root = self.unit.entry(self.unit.header.root_offset())?;
        let Some(AttributeValue::DebugLineRef(table)) = root.attr_value(dw::DW_AT_stmt_list) else {
            return Ok(());
        };
        let functions = self.module.functions(self.dwarf, self.unit)?;
        let mut instances: BTreeMap<UnitOffset, Vec<Instance>> = BTreeMap::new();
        for (file, path) in self.files(table, directory)? {
            let mut rows = lines::rows(self.module, self.dwarf, table, &[file])?.rows;
            rows.retain(|row| row.statement);
            rows.sort_by_key(|row| row.start);
            let mut done = BTreeSet::new();
            for row in rows {
                let Some((function, _)) = functions.at(row.start) else {
                    continue;
                };
                let instances = match instances.entry(function) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => {
                        new.insert(functions::instances(self.dwarf, self.unit, function)?)
                    }
                };
                let innermost = functions::innermost(instances, row.start);
                let Some(instance) = innermost.and_then(|index| instances.get(index)) else {
                    continue;
                };
                if done.insert((row.line, instance.entry)) {
                    self.line(instance.entry, (&path, file, row.line), row.start, each)?;
                }
            }
        }
        Ok(())
    }

    /// The numbers and paths of the files of a table below a directory.
    fn files(&self, table: DebugLineOffset, directory: &str) -> gimli::Result<Vec<(u64, String)>> {
        let program = self.dwarf.debug_line.program(table, 8, None, None)?;
        let header = program.header();
        let root = self.unit.comp_dir.as_ref().map(|dir| dir.to_string_lossy());
        let path = |file| {
            let relative = lines::relative_path(self.dwarf, header, file)?;
            let path = path::join(root.as_deref().unwrap_or_default(), &relative);
            Some((file, path::normal(&path)))
        };
        let paths = lines::file_indices(header).filter_map(path);
        Ok(paths.filter(|(_, path)| path.contains(directory)).collect())
    }

    /// The variables of an instance at a line.
    fn line(
        &self,
        instance: UnitOffset,
        (path, file, line): (&str, u64, u64),
        address: u64,
        each: &mut impl FnMut(Seen),
    ) -> gimli::Result<()> {
        let declared = self.declared(instance, file)?;
        let runtime = self.module.to_runtime(address);
        let scope = self.symbols.named_scope_at(runtime);
        let scope = scope.expect("the row is in a function");
        let function = scope.functions.first().map_or("", String::as_str);
        let own: Vec<&Variable> = scope.variables.iter().filter(|v| v.depth == 0).collect();
        for (at, name) in declared.into_iter().filter(|(at, _)| *at < line) {
            let same = own.iter().filter(|v| v.line == at && *v.name == *name);
            each(Seen {
                file: path.to_owned(),
                line,
                address,
                function: function.to_owned(),
                in_drop: function.starts_with(DROP_GLUE),
                state: same
                    .map(|v| State::of(v))
                    .min()
                    .unwrap_or(State::OtherBlock),
                name,
                declared: at,
            });
        }
        Ok(())
    }

    /// The variables that the function of an instance declares in a file, by line and name.
    fn declared(&self, instance: UnitOffset, file: u64) -> gimli::Result<BTreeSet<(u64, String)>> {
        let entry = self.unit.entry(instance)?;
        let origin = entry
            .attr_value(dw::DW_AT_abstract_origin)
            .and_then(|value| functions::section_offset(self.unit, value));
        let other;
        let (unit, function) = match origin {
            Some(origin) => {
                let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
                other = unit;
                (&other, offset)
            }
            None => (self.unit, instance),
        };
        // Another unit has other numbers for its files.
        let is_own = unit.header.offset() == self.unit.header.offset();
        let mut all = BTreeSet::new();
        let mut raw = unit.entries_raw(Some(function))?;
        let mut entry = Entry::null();
        raw.read_entry(&mut entry)?;
        let top = entry.depth();
        if !entry.has_children() {
            return Ok(all);
        }
        while !raw.is_empty() && raw.next_depth() > top {
            let depth = raw.next_depth();
            if !raw.read_entry(&mut entry)? {
                continue;
            }
            match entry.tag() {
                dw::DW_TAG_variable | dw::DW_TAG_formal_parameter => {
                    let number = |name| entry.attr(name).and_then(|value| value.udata_value());
                    let name = entry.attr_value(dw::DW_AT_name);
                    if let (Some(name), Some(line)) = (name, number(dw::DW_AT_decl_line))
                        && (!is_own || number(dw::DW_AT_decl_file) == Some(file))
                    {
                        let name = self.dwarf.attr_string(unit, name)?;
                        all.insert((line, name.to_string_lossy().into_owned()));
                    }
                }
                dw::DW_TAG_lexical_block => {}
                _ => functions::skip_children(&mut raw, depth)?,
            }
        }
        Ok(all)
    }
}

impl State {
    fn of(variable: &Variable) -> Self {
        let missing = |source: &Source| match source {
            Source::Missing(why) => Some(*why),
            _ => None,
        };
        let pieces = variable.location.pieces.iter();
        let mut lost = pieces.filter_map(|piece| missing(&piece.source));
        match lost.next() {
            None => Self::Whole,
            Some(_) if !variable.is_missing() => Self::Partly,
            Some(Missing::OptimizedOut) => Self::OptimizedOut,
            Some(Missing::EntryValue) => Self::EntryValue,
            Some(Missing::Unsupported | Missing::ThreadLocal) => Self::Unsupported,
        }
    }
}
