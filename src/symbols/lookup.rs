//! From a source line to the addresses where a logpoint on it goes.
//!
//! 1. The file is found by the longest tail of whole path components; a tie between different files is an error.
//! 2. The line tables that mention it are run; statement rows of the line are the first candidates.
//! 3. Calls that were inlined at the line are candidates too: often nothing else is left of a line.
//! 4. Candidates are grouped by instance, and [`flow`](super::flow) chooses among those of each.
//! 5. At the entry of a function that is not inlined the site moves behind the prologue, as far as the code is straight.
//! 6. A line without any candidate slides down to the next one with code in the same function: the innermost whose
//!    `fn` is not below the line and whose last code is not above it.

mod around;
mod file;
mod places;
mod slide;
mod table;

use std::cell::OnceCell;

pub use self::around::Around;
use self::file::find_file;
use self::places::addresses;
use self::slide::{Extents, extents, slide};
use self::table::Table;
use super::error::LineError;
use super::module::Module;

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
            addresses = places::addresses(&selected, below)?;
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
