//! Line tables: which of them mention a file, and the rows that they have for it.
//!
//! Nothing is indexed. The names in the headers are searched as bytes, only headers with a hit are parsed, only
//! programs of files that match are run: 700 MB of debug information have some 30 MB of line tables, which are
//! searched in milliseconds.

use std::ops::Range;

use gimli::{AttributeValue, DebugLineOffset, Dwarf, LineProgramHeader};
use memchr::memmem::Finder;

use super::module::{Module, Slice};
use super::path;

/// A line table that mentions a file of the name that was looked for.
pub struct Mention {
    /// The table.
    pub program: DebugLineOffset,
    /// The unit that it belongs to.
    pub unit: u64,
    /// Shortest spelling of the absolute path.
    pub path: String,
    /// The file's index in the table.
    pub file: u64,
}

/// A statement's instructions: `start` up to `end`, in the file's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its first instruction.
    pub start: u64,
    /// The next row's first instruction.
    pub end: u64,
    /// The line, from 1.
    pub line: u64,
    /// Whether the compiler recommends a breakpoint here.
    pub statement: bool,
}

/// What a line table says about one file.
#[derive(Debug, Default)]
pub struct Rows {
    /// By rising address within each sequence.
    pub rows: Vec<Row>,
    /// Addresses after functions' prologues (`prologue_end`), of all files, sorted.
    pub prologue_ends: Vec<u64>,
}

/// Finds all files of a name in a module's line tables.
pub fn mentions<'a>(
    module: &'a Module,
    dwarf: &Dwarf<Slice<'a>>,
    name: &str,
    mut found: impl FnMut(Mention),
) {
    let finder = Finder::new(name.as_bytes());
    let strings = strings_ending_in(module.section(".debug_line_str").slice(), &finder);
    for (index, table) in Tables(module.section(".debug_line").slice(), 0).enumerate() {
        let inline = finder
            .find_iter(table.names)
            .any(|at| is_name(table.names, at, name.len()));
        let in_strings = table.version >= 5 && refers_to(table.names, &strings);
        if !inline && !in_strings {
            continue;
        }
        let offset = DebugLineOffset(table.offset);
        let Ok(program) = dwarf.debug_line.program(offset, 8, None, None) else {
            continue;
        };
        let header = program.header();
        let mut unit = None;
        for file in file_indices(header) {
            let Some(relative) = relative_path(dwarf, header, file) else {
                continue;
            };
            if relative.rsplit('/').next() != Some(name) {
                continue;
            }
            let unit = unit.get_or_insert_with(|| unit_of(module, dwarf, offset, index));
            let Some((unit, comp_dir)) = unit else {
                continue;
            };
            let path = path::normal(&path::join(comp_dir, &relative));
            found(Mention {
                program: offset,
                unit: *unit,
                path,
                file,
            });
        }
    }
}

/// Runs a line table and keeps the rows of some of its files.
///
/// Sequences that do not start in executable code belong to functions that the linker dropped; line 0 means that the
/// compiler knows no line; a row that is followed by another of the same address has no instruction.
///
/// # Errors
///
/// Where the header is damaged. A damaged program ends where the damage is.
pub fn rows(
    module: &Module,
    dwarf: &Dwarf<Slice<'_>>,
    table: DebugLineOffset,
    files: &[u64],
) -> gimli::Result<Rows> {
    let mut out = Rows::default();
    let mut program = dwarf.debug_line.program(table, 8, None, None)?.rows();
    let mut pending: Option<Row> = None;
    let mut alive = None;
    while let Ok(Some((_, row))) = program.next_row() {
        let alive_here = *alive.get_or_insert_with(|| module.is_code(row.address()));
        if alive_here {
            if let Some(previous) = pending.take()
                && previous.start < row.address()
            {
                out.rows.push(Row {
                    end: row.address(),
                    ..previous
                });
            }
            if row.prologue_end() {
                out.prologue_ends.push(row.address());
            }
            if let Some(line) = row.line()
                && files.contains(&row.file_index())
                && !row.end_sequence()
            {
                let start = row.address();
                pending = Some(Row {
                    start,
                    end: start,
                    line: line.get(),
                    statement: row.is_stmt(),
                });
            }
        }
        if row.end_sequence() {
            (pending, alive) = (None, None);
        }
    }
    out.prologue_ends.sort_unstable();
    Ok(out)
}

/// Where a row of a line table starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Of the module's file.
    pub address: u64,
    /// The number of the source file in the table.
    pub file: u32,
    /// 0 for none.
    pub line: u32,
}

/// Most rows that are kept of one table: 8 MiB.
const MAX_STARTS: usize = 512 << 10;

/// All rows of a table by rising address; none where there are more than can be kept.
///
/// # Errors
///
/// As [`rows`].
pub fn starts(dwarf: &Dwarf<Slice<'_>>, table: DebugLineOffset) -> gimli::Result<Vec<Start>> {
    let mut program = dwarf.debug_line.program(table, 8, None, None)?.rows();
    let mut all = Vec::new();
    while let Some((_, row)) = program.next_row()? {
        if row.end_sequence() {
            continue;
        }
        if all.len() == MAX_STARTS {
            return Ok(Vec::new());
        }
        let line = row.line().map_or(0, std::num::NonZero::get);
        all.push(Start {
            address: row.address(),
            file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
            line: u32::try_from(line).unwrap_or(0),
        });
    }
    // Of several at one address the last counts.
    all.sort_by_key(|start| start.address);
    Ok(all)
}

fn unit_of(
    module: &Module,
    dwarf: &Dwarf<Slice<'_>>,
    program: DebugLineOffset,
    index: usize,
) -> Option<(u64, String)> {
    let offset = module.unit_of_program(dwarf, program, index)?;
    let unit = module.unit(dwarf, offset).ok()?;
    let comp_dir = unit.comp_dir.map(|dir| dir.to_string_lossy().into_owned());
    Some((offset, comp_dir.unwrap_or_default()))
}

/// DWARF 5 counts files from 0, earlier versions from 1.
pub fn file_indices(header: &LineProgramHeader<Slice<'_>>) -> Range<u64> {
    let first = u64::from(header.version() <= 4);
    first..first.saturating_add(header.file_names().len() as u64)
}

/// The path of a file, relative to the unit's directory.
pub fn relative_path(
    dwarf: &Dwarf<Slice<'_>>,
    header: &LineProgramHeader<Slice<'_>>,
    file: u64,
) -> Option<String> {
    let string = |value: AttributeValue<Slice<'_>>| {
        dwarf
            .attr_line_string(value)
            .ok()
            .map(|text| text.to_string_lossy().into_owned())
    };
    let entry = header.file(file)?;
    let name = string(entry.path_name())?;
    // Directory 0 is the unit's own, which version 4 does not list.
    let directory = match entry.directory_index() {
        0 if header.version() <= 4 => None,
        _ => entry.directory(header).and_then(string),
    };
    Some(match directory {
        Some(directory) => path::join(&directory, &name),
        None => name,
    })
}

/// The line tables of a section, by their lengths alone.
struct Tables<'a>(&'a [u8], usize);

struct Table<'a> {
    offset: usize,
    version: u16,
    /// Directories and files, as bytes.
    names: &'a [u8],
}

impl<'a> Iterator for Tables<'a> {
    type Item = Table<'a>;

    fn next(&mut self) -> Option<Table<'a>> {
        let Self(section, offset) = *self;
        let bytes = section.get(offset..)?;
        let (word, mut at, length) = match number(bytes, 0, 4)? {
            0xffff_ffff => (8, 12, number(bytes, 4, 8)?),
            length => (4, 4, length),
        };
        let end = usize::try_from(length).ok()?.checked_add(at)?;
        let table = bytes.get(..end)?;
        self.1 = offset.checked_add(end)?;
        let version = u16::try_from(number(table, at, 2)?).ok()?;
        at += if version >= 5 { 4 } else { 2 };
        let header = usize::try_from(number(table, at, word)?).ok()?;
        let names = table.get(at + word..)?;
        Some(Table {
            offset,
            version,
            names: names.get(..header).unwrap_or(names),
        })
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let mut number = [0; 8];
    number.get_mut(..size)?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(number))
}

/// Whether the bytes at `at` are a whole path component that ends its string.
fn is_name(bytes: &[u8], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    matches!(before, None | Some(0 | b'/')) && bytes.get(at + length) == Some(&0)
}

/// Ranges of `.debug_line_str` offsets where strings begin that end in a path component. A reference may point into a
/// string, where the linker merged tails.
fn strings_ending_in(section: &[u8], finder: &Finder<'_>) -> Vec<Range<u64>> {
    let length = finder.needle().len();
    let names = finder
        .find_iter(section)
        .filter(|&at| is_name(section, at, length));
    let start = |at: usize| {
        section
            .get(..at)
            .and_then(|s| memchr::memrchr(0, s))
            .map_or(0, |zero| zero + 1)
    };
    names.map(|at| start(at) as u64..at as u64 + 1).collect()
}

/// Whether any four bytes are an offset in one of the ranges, which are sorted. Chance hits only cost time.
fn refers_to(names: &[u8], ranges: &[Range<u64>]) -> bool {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return false;
    };
    names.windows(4).any(|window| {
        let Ok(bytes) = window.try_into() else {
            return false;
        };
        let offset = u64::from(u32::from_le_bytes(bytes));
        first.start <= offset && offset < last.end && {
            let after = ranges.partition_point(|range| range.start <= offset);
            after
                .checked_sub(1)
                .and_then(|index| ranges.get(index))
                .is_some_and(|range| range.contains(&offset))
        }
    })
}
