//! From a source line to the addresses where a logpoint on it goes.
//!
//! 1. The file is found by the longest tail of whole path components; a tie between different files is an error.
//! 2. The line tables that mention it are run; statement rows of the line are the first candidates.
//! 3. Calls that were inlined at the line are candidates too: often nothing else is left of a line.
//! 4. Candidates are grouped by instance, and [`flow`] chooses among those of each.
//! 5. At the entry of a function that is not inlined the site moves behind the prologue, as far as the code is straight.
//! 6. A line without any candidate slides down to the next one with code in the same function: the innermost whose
//!    `fn` is not below the line and whose last code is not above it.

mod around;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use gimli::{Dwarf, Unit, UnitOffset};

use super::error::LineError;
use super::flow::{self, Candidate};
use super::functions::{self, Declaration, Instance, UnitFunctions};
use super::lines::{self, Mention, Row, Rows};
use super::module::{Module, Slice};
use super::path::{self, Fit};
pub use around::Around;

/// How many addresses a line may have. Lines of std have tens of thousands in big binaries; no user means those.
pub const MAX_ADDRESSES: usize = 1024;

/// How many bytes of `.debug_info` are read of units that have rows of the line. Only lines of std are in more.
const MAX_READ: u64 = 64 << 20;

/// Up to how many bytes units are read that mention the file, and have no rows of the line: for inlined calls at it, and
/// for the function that it is in. A megabyte takes some 15 ms. Units that mention a user's file are fewer than this;
/// those that mention, say, `option.rs` are all there are.
const MAX_SEARCHED: u64 = 4 << 20;

/// How the names of functions start that the compiler makes to drop values.
pub const DROP_GLUE: &str = "core::ptr::drop_in_place<";

/// Where a line is in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMatch {
    /// The file's absolute path, as in the debug information.
    pub path: String,
    /// The line that has the code: the one that was asked for, or one further down.
    pub line: u64,
    /// By rising address, at least one.
    pub addresses: Vec<LineAddress>,
}

/// One place of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAddress {
    /// Of the running process.
    pub address: u64,
    /// The function that the line belongs to at this place: `orders::Book::insert<u8>`; empty where none is described.
    pub function: String,
    /// The line of that function's `fn` or `|..|`. A closure on the line has places of its own, and a greater one.
    pub function_line: Option<u64>,
    /// Whether this is a copy of the function inlined into another.
    pub inlined: bool,
    /// What stands for the line here.
    pub kind: LineKind,
    /// The [`Variable::depth`](super::scope::Variable::depth) of the line's function in the scope at the address: not 0
    /// where the address is in a callee that was inlined. Variables of lower depths are not the line's.
    pub depth: u32,
    /// The copy of the function; `None` where no function is described.
    pub instance: Option<InstanceId>,
}

/// A function's code at one place: the function itself, or a copy inlined into another. Of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceId {
    /// The offset in `.debug_info` of the function that has the code.
    function: u64,
    /// And of the function itself, or of the inlined call.
    entry: u64,
}

/// What stands for a line at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineKind {
    /// A row of the line table.
    Row,
    /// A call at the line that was inlined: the address belongs to the callee's lines.
    Call,
    /// The end of the prologue of the function whose entry is the line's: the address belongs to the next line.
    Entry,
}

/// A source file of the program, to look lines up in. See the module's description.
pub struct SourceFile<'a> {
    path: String,
    tables: Vec<Table<'a>>,
    /// As the units see them that are read for a line without rows: for all such lines the same.
    extents: OnceCell<Extents>,
}

impl<'a> SourceFile<'a> {
    /// Finds the file that a client means by `asked`.
    ///
    /// # Errors
    ///
    /// [`LineError::NoSuchFile`], [`LineError::AmbiguousPath`], [`LineError::DebugInfo`]; the executable is expected to
    /// be the first module.
    pub fn find(modules: &'a [Option<Module>], asked: &str) -> Result<Self, LineError> {
        let (path, mentions) = find_file(modules, asked)?;
        let mut tables = Vec::new();
        for (index, group) in mentions {
            let Some(Some(module)) = modules.get(index) else {
                continue;
            };
            tables.extend(Table::read_all(module, &group)?);
        }
        Ok(Self {
            path,
            tables,
            extents: OnceCell::new(),
        })
    }

    /// The places of a line.
    ///
    /// # Errors
    ///
    /// [`LineError::NoCode`], [`LineError::TooMany`], [`LineError::DebugInfo`].
    pub fn line(&self, line: u64) -> Result<LineMatch, LineError> {
        let Self { path, tables, .. } = self;
        let rough: usize = tables.iter().map(|table| table.rows_at(line).count()).sum();
        let too_many = |count| LineError::TooMany {
            path: path.clone(),
            line,
            count,
            cap: MAX_ADDRESSES,
        };
        if rough > MAX_ADDRESSES * 16 {
            return Err(too_many(rough));
        }
        let selected = select(tables, line).ok_or_else(|| too_many(rough))?;
        let mut found = line;
        let mut addresses = addresses(&selected, line)?;
        if addresses.is_empty()
            && let Some(below) = self.below(&selected, line, rough == 0)?
        {
            found = below;
            let selected = select(tables, below).ok_or_else(|| too_many(rough))?;
            addresses = self::addresses(&selected, below)?;
        }
        let path = path.clone();
        match addresses.len() {
            0 => Err(LineError::NoCode { path, line }),
            count if count > MAX_ADDRESSES => Err(too_many(count)),
            _ => Ok(LineMatch {
                path,
                line: found,
                addresses,
            }),
        }
    }

    /// The next line with code in the function that a line is in.
    fn below(
        &self,
        selected: &[&Table<'_>],
        line: u64,
        is_bare: bool,
    ) -> gimli::Result<Option<u64>> {
        if !is_bare {
            return Ok(slide(&extents(selected)?, line));
        }
        if self.extents.get().is_none() {
            let _ = self.extents.set(extents(selected)?);
        }
        Ok(self.extents.get().and_then(|extents| slide(extents, line)))
    }
}

/// The units to read for a line: all that have rows of it, then those that say most about the file. `None` where that is
/// too much.
fn select<'t, 'a>(tables: &'t [Table<'a>], line: u64) -> Option<Vec<&'t Table<'a>>> {
    let here = |table: &Table<'_>| table.rows_at(line).next().is_some();
    let mut sorted: Vec<(bool, &Table<'a>)> =
        tables.iter().map(|table| (here(table), table)).collect();
    sorted.sort_by_key(|(here, table)| std::cmp::Reverse((*here, table.rows.rows.len())));
    let mut selected = Vec::new();
    let mut read = 0u64;
    for (here, table) in sorted {
        read = read.saturating_add(table.unit.header.length_including_self() as u64);
        if selected.is_empty() || read <= if here { MAX_READ } else { MAX_SEARCHED } {
            selected.push(table);
        } else if here {
            return None;
        } else {
            break;
        }
    }
    Some(selected)
}

/// The mentions of the file that fits best, by module.
fn find_file(
    modules: &[Option<Module>],
    asked: &str,
) -> Result<(String, BTreeMap<usize, Vec<Mention>>), LineError> {
    let parts = path::components(asked);
    let name = parts.last().copied().unwrap_or_default();
    let mut best: Option<Fit> = None;
    // By identity: the first spelling, and where it is mentioned.
    let mut files: BTreeMap<String, (String, BTreeMap<usize, Vec<Mention>>)> = BTreeMap::new();
    if !name.is_empty() {
        for (index, module) in modules.iter().enumerate() {
            let Some(module) = module.as_ref().filter(|module| module.missing().is_none()) else {
                continue;
            };
            lines::mentions(module, &module.dwarf(), name, |mention| {
                let fit = path::fit(&parts, &path::components(&mention.path));
                if fit > best {
                    best = fit;
                    files.clear();
                }
                if fit == best {
                    let identity = path::identity(&mention.path).to_owned();
                    let (_, by_module) = files
                        .entry(identity)
                        .or_insert_with(|| (mention.path.clone(), BTreeMap::new()));
                    by_module.entry(index).or_default().push(mention);
                }
            });
        }
    }
    let is_found = matches!(best, Some(Fit::Tail(_)));
    if is_found && files.values().any(|(path, _)| !is_own(path)) {
        files.retain(|_, (path, _)| !is_own(path));
    }
    let spellings =
        |files: BTreeMap<String, (String, _)>| files.into_values().map(|(path, _)| path).collect();
    match best {
        Some(Fit::Tail(_)) if files.len() > 1 => Err(LineError::AmbiguousPath {
            path: asked.to_owned(),
            files: spellings(files),
        }),
        Some(Fit::Tail(_)) => Ok(files.pop_first().map(|(_, file)| file).unwrap_or_default()),
        Some(Fit::NameOnly) | None => Err(LineError::NoSuchFile {
            path: asked.to_owned(),
            similar: spellings(files),
            missing: modules
                .first()
                .and_then(|m| m.as_ref())
                .and_then(Module::missing_in_units),
        }),
    }
}

/// Whether it is one of detrix's own files: nobody means these, where there is another one of that name.
fn is_own(path: &str) -> bool {
    path.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/"))
}

/// One unit that mentions the file.
struct Table<'a> {
    module: &'a Module,
    dwarf: Dwarf<Slice<'a>>,
    unit: Unit<Slice<'a>>,
    files: Vec<u64>,
    rows: Rows,
}

impl<'a> Table<'a> {
    fn read_all(module: &'a Module, mentions: &[Mention]) -> gimli::Result<Vec<Self>> {
        let mut tables = Vec::new();
        for group in mentions.chunk_by(|a, b| a.program == b.program) {
            let Some(first) = group.first() else { continue };
            let dwarf = module.dwarf();
            let files: Vec<u64> = group.iter().map(|mention| mention.file).collect();
            let rows = lines::rows(module, &dwarf, first.program, &files)?;
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
    fn rows_at(&self, line: u64) -> impl Iterator<Item = &Row> {
        self.rows
            .rows
            .iter()
            .filter(move |row| row.line == line && row.statement)
    }

    fn functions(&self) -> gimli::Result<Arc<UnitFunctions>> {
        self.module.functions(&self.dwarf, &self.unit)
    }

    /// The functions with code, each once, and their instances.
    fn all_instances(&self) -> gimli::Result<BTreeMap<UnitOffset, Vec<Instance>>> {
        let functions = self.functions()?;
        let entries: BTreeSet<UnitOffset> = functions.concrete().collect();
        let read = |entry| Ok((entry, functions::instances(&self.dwarf, &self.unit, entry)?));
        entries.into_iter().map(read).collect()
    }

    fn declaration(&self, entry: UnitOffset) -> gimli::Result<Declaration> {
        functions::declaration(self.module, &self.dwarf, &self.unit, entry)
    }

    fn instance(&self, function: &Instance, instance: &Instance) -> InstanceId {
        let unit = self.unit.header.offset().0;
        let offset = |entry: UnitOffset| unit.saturating_add(entry.0) as u64;
        InstanceId {
            function: offset(function.entry),
            entry: offset(instance.entry),
        }
    }

    fn is_call_at(&self, instance: &Instance, test: impl Fn(u64) -> bool) -> bool {
        instance
            .call
            .is_some_and(|(file, line)| test(line) && self.files.contains(&file))
    }

    /// Whether a function is declared in the file.
    fn declares(&self, declaration: &Declaration) -> bool {
        // A declaration of another unit has that unit's file numbers; its own table has it too.
        declaration.file.is_some_and(|(unit, file)| {
            unit == self.unit.header.offset().0 as u64 && self.files.contains(&file)
        })
    }
}

/// The chosen addresses of a line in all units.
fn addresses(tables: &[&Table<'_>], line: u64) -> gimli::Result<Vec<LineAddress>> {
    let mut all = Vec::new();
    for table in tables {
        let functions = table.functions()?;
        let rows = by_function(
            &functions,
            table.rows.rows.iter().filter(|row| row.line == line),
        );
        let entries: BTreeSet<UnitOffset> = rows
            .keys()
            .copied()
            .chain(functions.with_calls_at(&table.files, line))
            .collect();
        for entry in entries {
            let instances = functions::instances(&table.dwarf, &table.unit, entry)?;
            let rows = rows.get(&entry).map(Vec::as_slice).unwrap_or_default();
            all.extend(in_function(table, rows, &instances, line)?);
        }
        // Rows outside of every function that is described: assembly, or units whose functions are in a split file.
        for row in table
            .rows_at(line)
            .filter(|row| !functions.contains(row.start))
        {
            all.push(LineAddress {
                address: table.module.to_runtime(row.start),
                function: String::new(),
                function_line: None,
                inlined: false,
                kind: LineKind::Row,
                depth: 0,
                instance: None,
            });
        }
    }
    // What drops a coroutine that waits at the line is no pass through it.
    if all.iter().any(|place| !is_drop_glue(place)) {
        all.retain(|place| !is_drop_glue(place));
    }
    // The linker may have folded identical functions into one.
    Ok(distinct(all))
}

/// By rising address, each once, for the innermost of the functions that the line belongs to there.
fn distinct(mut all: Vec<LineAddress>) -> Vec<LineAddress> {
    all.sort_by_key(|place| (place.address, place.depth));
    all.dedup_by_key(|place| place.address);
    all
}

/// The chosen addresses of a line in one function. `rows` are the function's for this line.
fn in_function(
    table: &Table<'_>,
    rows: &[Row],
    instances: &[Instance],
    line: u64,
) -> gimli::Result<Vec<LineAddress>> {
    let mut all = Vec::new();
    let Some(function) = instances.first() else {
        return Ok(all);
    };
    for (instance, candidates) in candidates(table, rows, instances, line) {
        let Some(instance) = instances.get(instance) else {
            continue;
        };
        let declaration = table.declaration(instance.entry)?;
        let kinds: BTreeMap<u64, LineKind> = candidates
            .iter()
            .rev()
            .map(|(candidate, kind)| (candidate.address, *kind))
            .collect();
        let candidates = candidates.iter().map(|(candidate, _)| *candidate).collect();
        for address in flow::choose(table.module, &function.ranges, candidates) {
            let kind = kinds.get(&address).copied().unwrap_or(LineKind::Row);
            let (address, kind) = match after_prologue(table, function, address) {
                Some(end) if instance.parent.is_none() && kind == LineKind::Row => {
                    (end, LineKind::Entry)
                }
                _ => (address, kind),
            };
            let here =
                functions::innermost(instances, address).and_then(|index| instances.get(index));
            let depth = here.map_or(0, |here| here.depth.saturating_sub(instance.depth));
            all.push(LineAddress {
                depth: u32::try_from(depth).unwrap_or(u32::MAX),
                address: table.module.to_runtime(address),
                function: declaration.path.clone(),
                function_line: declaration.line,
                inlined: instance.parent.is_some(),
                kind,
                instance: Some(table.instance(function, instance)),
            });
        }
    }
    Ok(all)
}

/// Whether the function is one that the compiler makes to drop a type's values.
fn is_drop_glue(place: &LineAddress) -> bool {
    place.function.starts_with(DROP_GLUE)
}

type Candidates = Vec<(Candidate, LineKind)>;

fn by_function<'a>(
    functions: &UnitFunctions,
    rows: impl Iterator<Item = &'a Row>,
) -> BTreeMap<UnitOffset, Vec<Row>> {
    let mut all: BTreeMap<UnitOffset, Vec<Row>> = BTreeMap::new();
    for row in rows {
        if let Some((function, _)) = functions.at(row.start) {
            all.entry(function).or_default().push(*row);
        }
    }
    all
}

/// The candidates of a line in one function, by instance. `rows` are the function's for this line.
fn candidates(
    table: &Table<'_>,
    rows: &[Row],
    instances: &[Instance],
    line: u64,
) -> BTreeMap<usize, Candidates> {
    let mut by_instance: BTreeMap<usize, Candidates> = BTreeMap::new();
    let mut run_end = None;
    for row in rows {
        let continues = run_end == Some(row.start);
        run_end = Some(row.end);
        if !row.statement {
            continue;
        }
        if let Some(instance) = functions::innermost(instances, row.start) {
            let all = by_instance.entry(instance).or_default();
            // A run that goes on from another instance's row starts anew.
            let primary = !continues || all.is_empty();
            all.push((
                Candidate {
                    address: row.start,
                    primary,
                },
                LineKind::Row,
            ));
        }
    }
    for call in instances
        .iter()
        .filter(|instance| table.is_call_at(instance, |at| at == line))
    {
        let Some(parent) = call.parent else { continue };
        let starts = call
            .ranges
            .iter()
            .map(|range| range.start)
            .filter(|start| table.module.is_code(*start));
        let all = by_instance.entry(parent).or_default();
        all.extend(starts.map(|address| {
            (
                Candidate {
                    address,
                    primary: true,
                },
                LineKind::Call,
            )
        }));
    }
    by_instance
}

/// Where the prologue of a function ends whose entry is given: there the arguments have their places. `None` where the
/// code up to there is not straight.
fn after_prologue(table: &Table<'_>, function: &Instance, address: u64) -> Option<u64> {
    let range = function
        .ranges
        .first()
        .filter(|range| range.start == address)?;
    let ends = &table.rows.prologue_ends;
    let marked = ends
        .get(ends.partition_point(|&end| end <= address))
        .copied();
    let second = || {
        table
            .rows
            .rows
            .iter()
            .find(|row| row.start == address)
            .map(|row| row.end)
    };
    let target = marked.filter(|end| range.contains(end)).or_else(second);
    target.filter(|&end| range.contains(&end) && flow::is_straight(table.module, address, end))
}

/// What is known of a function of the file from all units together.
#[derive(Default)]
struct Extent {
    path: String,
    /// Lines with code, rising.
    lines: BTreeSet<u64>,
}

/// The functions of a file, by their line and name.
type Extents = BTreeMap<(u64, String), Extent>;

fn extents(tables: &[&Table<'_>]) -> gimli::Result<Extents> {
    let mut extents = Extents::new();
    for table in tables {
        let functions = table.functions()?;
        let mut declarations: BTreeMap<UnitOffset, Declaration> = BTreeMap::new();
        let mut note = |entry: UnitOffset, code: Option<u64>| -> gimli::Result<()> {
            let declaration = match declarations.entry(entry) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(new) => new.insert(table.declaration(entry)?),
            };
            if let Some(start) = declaration.line.filter(|_| table.declares(declaration)) {
                let key = (start, without_arguments(&declaration.name).to_owned());
                let extent = extents.entry(key).or_default();
                if extent.path.is_empty() {
                    extent.path.clone_from(&declaration.path);
                }
                extent.lines.extend(code);
            }
            Ok(())
        };
        for &entry in functions.abstracts() {
            note(entry, None)?;
        }
        let rows = by_function(
            &functions,
            table.rows.rows.iter().filter(|row| row.statement),
        );
        for (entry, instances) in table.all_instances()? {
            note(entry, None)?;
            for row in rows.get(&entry).into_iter().flatten() {
                if let Some(instance) =
                    functions::innermost(&instances, row.start).and_then(|i| instances.get(i))
                {
                    note(instance.entry, Some(row.line))?;
                }
            }
            for call in instances
                .iter()
                .filter(|instance| table.is_call_at(instance, |_| true))
            {
                if let Some(parent) = call.parent.and_then(|parent| instances.get(parent)) {
                    note(parent.entry, call.call.map(|(_, line)| line))?;
                }
            }
        }
    }
    Ok(extents)
}

/// The next line with code in the function that a line is in.
fn slide(extents: &Extents, line: u64) -> Option<u64> {
    let mut inside: Option<(u64, u64)> = None;
    for ((start, name), extent) in extents.range(..=(line, "\u{10ffff}".to_owned())) {
        // Code below the next function that is not inside of this one comes from a macro that is defined there.
        let below = extents.range((start + 1, String::new())..);
        let next = below
            .filter(|(_, other)| !is_inside(&other.path, name))
            .map(|((start, _), _)| *start)
            .next();
        let code = extent
            .lines
            .range(line..)
            .next()
            .filter(|&&code| next.is_none_or(|next| code < next));
        if let Some(&code) = code
            && inside.is_none_or(|(innermost, _)| innermost <= *start)
        {
            inside = Some((*start, code));
        }
    }
    inside.map(|(_, code)| code)
}

/// Whether a function's path leads through another function of a name, as those of closures and nested functions do.
fn is_inside(path: &str, name: &str) -> bool {
    path.rsplit("::")
        .skip(1)
        .any(|component| without_arguments(component) == name)
}

fn without_arguments(name: &str) -> &str {
    name.split_once('<').map_or(name, |(name, _)| name)
}
