//! One loaded executable or library: its file, its sections, its units.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gimli::{
    Abbreviations, AttributeValue, DebugInfoOffset, DebugLineOffset, Dwarf, EndianSlice,
    LittleEndian, Section as _, SectionId, Unit, UnitOffset, UnitSectionOffset, UnitType,
    constants as dw,
};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};

use super::error::{MissingInfo, SymbolError};
use super::functions::{self, UnitFunctions};
use super::lines::{self, Rows, Start};
use super::loaded::Loaded;
use super::map::Map;
use super::optimized::is_optimized;
use super::recent::Recent;
use super::statics::Spaces;

/// Bytes of a mapped file.
pub type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// How many units' abbreviations and functions are kept for the next question.
const KEPT_UNITS: usize = 64;

/// Line tables whose rows are kept; they are larger.
const KEPT_TABLES: usize = 8;

/// Files whose rows are kept.
const KEPT_FILES: usize = 16;

/// Units whose statics are kept: those of one crate, of which there are few in each.
const KEPT_SPACES: usize = 512;

/// And how many paths of functions.
const KEPT_PATHS: usize = 256;

/// How many units are asked whether their contents are elsewhere. Linkers put the program's own before those of std, and
/// to ask thousands takes longer than waking may.
const ASKED_UNITS: usize = 64;

/// A loaded module whose file is open.
pub struct Module {
    /// What users call it.
    pub name: String,
    /// Added to an address of the file, gives one of the process.
    pub bias: u64,
    /// Executable segments, as addresses of the process.
    pub text: Vec<Range<u64>>,
    map: Map,
    file: File,
    /// The stamp of the file when it was opened.
    written: (u64, i64, i64),
    sections: Vec<Section>,
    missing: Option<MissingInfo>,
    units: OnceLock<Box<[u64]>>,
    abbreviations: Recent<u64, Abbreviations>,
    functions: Recent<u64, UnitFunctions>,
    optimized: Recent<u64, bool>,
    starts: Recent<usize, Vec<Start>>,
    rows: Recent<(usize, Vec<u64>), Rows>,
    spaces: Recent<u64, Spaces>,
    paths: Recent<u64, String>,
}

struct Section {
    name: String,
    address: u64,
    file: Range<usize>,
}

impl Module {
    /// Opens and maps the file of a loaded object.
    ///
    /// # Errors
    ///
    /// [`MissingInfo::Unreadable`], or [`MissingInfo::Replaced`] where the file's build id is not the one in memory.
    pub fn open(loaded: &Loaded) -> Result<Self, MissingInfo> {
        let unreadable = |error: std::io::Error| MissingInfo::Unreadable(error.to_string());
        let (file, map) = map_file(&loaded.path).map_err(unreadable)?;
        let written = stamp(&file).map_err(unreadable)?;
        let unreadable = |error: object::Error| MissingInfo::Unreadable(error.to_string());
        let elf = ElfFile64::<object::LittleEndian>::parse(&*map).map_err(unreadable)?;
        let build_id = elf.build_id().ok().flatten();
        if let (Some(memory), Some(file)) = (loaded.build_id.as_deref(), build_id)
            && memory != file
        {
            return Err(MissingInfo::Replaced);
        }
        let mut sections = Vec::new();
        let mut compressed = false;
        for section in elf.sections() {
            let Ok(name) = section.name() else { continue };
            let debug = name.starts_with(".debug_");
            compressed |= name.starts_with(".zdebug_");
            if debug
                && section
                    .compressed_file_range()
                    .is_ok_and(|r| r.format != object::CompressionFormat::None)
            {
                compressed = true;
                continue;
            }
            let Some((start, size)) = section.file_range() else {
                continue;
            };
            let range = usize::try_from(start).ok().zip(usize::try_from(size).ok());
            let Some((start, end)) =
                range.and_then(|(start, size)| Some((start, start.checked_add(size)?)))
            else {
                continue;
            };
            if map.get(start..end).is_some() {
                sections.push(Section {
                    name: name.to_owned(),
                    address: section.address(),
                    file: start..end,
                });
            }
        }
        let has = |name: &str| {
            sections
                .iter()
                .any(|s| s.name == name && !s.file.is_empty())
        };
        let missing = if compressed {
            Some(MissingInfo::Compressed)
        } else if has(".debug_line") && has(".debug_info") {
            None
        } else if let Ok(Some((link, _))) = elf.gnu_debuglink() {
            Some(MissingInfo::DebugLink(
                String::from_utf8_lossy(link).into_owned(),
            ))
        } else if let Some(id) = build_id {
            Some(MissingInfo::BuildId(
                id.iter().map(|byte| format!("{byte:02x}")).collect(),
            ))
        } else {
            Some(MissingInfo::Stripped)
        };
        Ok(Self {
            name: loaded.name.clone(),
            bias: loaded.bias,
            text: loaded.text.clone(),
            map,
            file,
            written,
            sections,
            missing,
            units: OnceLock::new(),
            abbreviations: Recent::new(KEPT_UNITS),
            functions: Recent::new(KEPT_UNITS),
            optimized: Recent::new(KEPT_UNITS),
            starts: Recent::new(KEPT_TABLES),
            rows: Recent::new(KEPT_FILES),
            spaces: Recent::new(KEPT_SPACES),
            paths: Recent::new(KEPT_PATHS),
        })
    }

    /// Whether nobody has written to the file since: what was mapped is not what it was then, and what was cut off must not
    /// be touched.
    pub fn is_as_opened(&self) -> bool {
        stamp(&self.file).is_ok_and(|now| now == self.written)
    }

    /// Why lines and scopes of this module cannot be read; `None` if they can.
    pub fn missing(&self) -> Option<&MissingInfo> {
        self.missing.as_ref()
    }

    /// Like [`Self::missing`], and looks into the units for contents that are elsewhere or absent.
    pub fn missing_in_units(&self) -> Option<MissingInfo> {
        if let Some(missing) = &self.missing {
            return Some(missing.clone());
        }
        let dwarf = self.dwarf();
        let mut lines_only = true;
        for &offset in self.units().iter().take(ASKED_UNITS) {
            let Ok(unit) = self.unit(&dwarf, offset) else {
                continue;
            };
            let Ok(root) = unit.entry(unit.header.root_offset()) else {
                continue;
            };
            for name in [dw::DW_AT_dwo_name, dw::DW_AT_GNU_dwo_name] {
                if let Some(name) = root
                    .attr_value(name)
                    .and_then(|value| dwarf.attr_string(&unit, value).ok())
                {
                    return Some(MissingInfo::Split(name.to_string_lossy().into_owned()));
                }
            }
            lines_only &= !root.has_children();
        }
        lines_only.then_some(MissingInfo::LinesOnly)
    }

    /// The DWARF sections: slices of the mapping, so this costs nothing but the look-ups by name.
    pub fn dwarf(&self) -> Dwarf<Slice<'_>> {
        let load = |id: SectionId| Ok::<_, std::convert::Infallible>(self.section(id.name()));
        match Dwarf::load(load) {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }

    /// A section, empty if it does not exist.
    pub fn section(&self, name: &str) -> Slice<'_> {
        let bytes = self.sections.iter().find(|section| section.name == name);
        let bytes = bytes
            .and_then(|section| self.map.get(section.file.clone()))
            .unwrap_or_default();
        EndianSlice::new(bytes, LittleEndian)
    }

    /// The whole file.
    pub fn file_bytes(&self) -> &[u8] {
        &self.map
    }

    /// Address of a section in the file's address space.
    pub fn section_address(&self, name: &str) -> Option<u64> {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .map(|section| section.address)
    }

    /// The bytes at an address of the file's address space up to the end of their section, as they were linked.
    pub fn bytes_at(&self, address: u64) -> Option<&[u8]> {
        let section = self.sections.iter().find(|section| {
            section.address != 0
                && address
                    .checked_sub(section.address)
                    .is_some_and(|o| o < section.file.len() as u64)
        })?;
        let skip = usize::try_from(address - section.address).ok()?;
        self.map.get(section.file.clone())?.get(skip..)
    }

    /// From an address of the file to one of the process.
    pub fn to_runtime(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }

    /// From an address of the process to one of the file.
    pub fn to_file(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }

    /// Whether an address of the process is in an executable segment.
    pub fn contains(&self, address: u64) -> bool {
        self.text.iter().any(|range| range.contains(&address))
    }

    /// Whether an address of the file is in an executable segment: the linker leaves descriptions of functions that it
    /// dropped, at address 0 or at a tombstone (-1, -2), both of which are in none.
    pub fn is_code(&self, address: u64) -> bool {
        address != 0 && address < u64::MAX - 1 && self.contains(self.to_runtime(address))
    }

    /// Offsets of all units in `.debug_info`, rising. What follows a damaged header is not seen.
    pub fn units(&self) -> &[u64] {
        self.units.get_or_init(|| {
            let dwarf = self.dwarf();
            let mut units = Vec::new();
            let mut headers = dwarf.units();
            while let Ok(Some(header)) = headers.next() {
                if let Some(offset) = header.debug_info_offset() {
                    units.push(offset.0 as u64);
                }
            }
            units.into()
        })
    }

    /// The offset of the unit that an entry of `.debug_info` belongs to.
    pub fn unit_of_entry(&self, entry: u64) -> Option<u64> {
        let units = self.units();
        let after = units.partition_point(|&unit| unit <= entry);
        units.get(after.checked_sub(1)?).copied()
    }

    /// Reads a unit's header and root entry; unlike [`Unit::new`] not its line table, and the abbreviations only once.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn unit<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        offset: u64,
    ) -> gimli::Result<Unit<Slice<'a>>> {
        let offset =
            usize::try_from(offset).map_err(|_| gimli::Error::OffsetOutOfBounds(offset))?;
        let header = dwarf.unit_header(DebugInfoOffset(offset))?;
        let abbreviations =
            self.abbreviations
                .get_or_try(header.debug_abbrev_offset().0 as u64, || {
                    dwarf
                        .debug_abbrev
                        .abbreviations(header.debug_abbrev_offset())
                })?;
        let file_type = gimli::DwarfFileType::Main;
        let encoding = header.encoding();
        let mut unit = Unit {
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
                encoding, file_type,
            ),
            addr_base: gimli::DebugAddrBase(0),
            loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(
                encoding, file_type,
            ),
            rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(
                encoding, file_type,
            ),
            line_program: None,
            dwo_id: match header.type_() {
                UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
                _ => None,
            },
            header,
        };
        let root = unit
            .header
            .entry(&unit.abbreviations, unit.header.root_offset())?;
        for attribute in root.attrs() {
            match attribute.value() {
                AttributeValue::DebugStrOffsetsBase(base) => unit.str_offsets_base = base,
                AttributeValue::DebugAddrBase(base) => unit.addr_base = base,
                AttributeValue::DebugLocListsBase(base) => unit.loclists_base = base,
                AttributeValue::DebugRngListsBase(base) => unit.rnglists_base = base,
                _ => {}
            }
        }
        // Only now: these may be indices that need the bases.
        let string = |name| {
            root.attr_value(name)
                .and_then(|value| dwarf.attr_string(&unit, value).ok())
        };
        let (name, comp_dir) = (string(dw::DW_AT_name), string(dw::DW_AT_comp_dir));
        let low_pc = match root.attr_value(dw::DW_AT_low_pc) {
            Some(value) => dwarf.attr_address(&unit, value)?.unwrap_or(0),
            None => 0,
        };
        (unit.name, unit.comp_dir, unit.low_pc) = (name, comp_dir, low_pc);
        Ok(unit)
    }

    /// The unit that an offset of `.debug_info` is in, and the offset within it.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged, or the offset is in no unit.
    pub fn unit_and_entry<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        entry: u64,
    ) -> gimli::Result<(Unit<Slice<'a>>, UnitOffset)> {
        let outside = gimli::Error::OffsetOutOfBounds(entry);
        let start = self.unit_of_entry(entry).ok_or(outside)?;
        let unit = self.unit(dwarf, start)?;
        let offset = UnitSectionOffset(usize::try_from(entry).map_err(|_| outside)?);
        let offset = offset.to_unit_offset(&unit.header).ok_or(outside)?;
        Ok((unit, offset))
    }

    /// The unit whose line table is at an offset of `.debug_line`.
    ///
    /// Linkers lay out `.debug_info` and `.debug_line` in the same order, so the table's `index` among all is the unit's
    /// as a rule; where it is not, this searches by halves, and asks all units only where that fails too.
    pub fn unit_of_program<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        program: DebugLineOffset,
        index: usize,
    ) -> Option<u64> {
        let program_of = |unit: u64| {
            let unit = self.unit(dwarf, unit).ok()?;
            let root = unit.entry(unit.header.root_offset()).ok()?;
            match root.attr_value(dw::DW_AT_stmt_list)? {
                AttributeValue::DebugLineRef(offset) => Some(offset.0),
                _ => None,
            }
        };
        let units = self.units();
        let is_it = |unit: &u64| program_of(*unit) == Some(program.0);
        if let Some(unit) = units.get(index).copied().filter(is_it) {
            return Some(unit);
        }
        let by_halves = units
            .partition_point(|&unit| program_of(unit).is_some_and(|offset| offset < program.0));
        units
            .get(by_halves)
            .copied()
            .filter(is_it)
            .or_else(|| units.iter().copied().find(is_it))
    }

    /// The unit that has code at an address of the file, by `.debug_aranges`, or else by the units' own ranges.
    pub fn unit_of_address<'a>(&'a self, dwarf: &Dwarf<Slice<'a>>, address: u64) -> Option<u64> {
        if let Some(unit) = self.functions.find(|functions| functions.contains(address)) {
            return Some(unit);
        }
        let aranges =
            gimli::DebugAranges::from(self.section(gimli::DebugAranges::<Slice<'_>>::id().name()));
        let mut headers = aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                if address
                    .checked_sub(entry.address())
                    .is_some_and(|offset| offset < entry.length())
                {
                    return Some(header.debug_info_offset().0 as u64);
                }
            }
        }
        self.units().iter().copied().find(|&offset| {
            let Ok(unit) = self.unit(dwarf, offset) else {
                return false;
            };
            let Ok(root) = unit.entry(unit.header.root_offset()) else {
                return false;
            };
            functions::ranges(dwarf, &unit, &root)
                .is_ok_and(|all| all.iter().any(|range| range.contains(&address)))
        })
    }

    /// The functions of a unit, from the cache if it was asked for recently.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn functions<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
    ) -> gimli::Result<Arc<UnitFunctions>> {
        let offset = unit.header.offset().0 as u64;
        self.functions
            .get_or_try(offset, || UnitFunctions::read(self, dwarf, unit))
    }

    /// Whether a unit's code is optimized, from the cache if it was asked for recently.
    pub fn is_optimized<'a>(&'a self, unit: &Unit<Slice<'a>>) -> bool {
        let offset = unit.header.offset().0 as u64;
        let read = || is_optimized(&self.dwarf(), unit);
        self.optimized
            .get_or_try(offset, read)
            .map_or(true, |optimized| *optimized)
    }

    /// The path of what is declared at an offset of `.debug_info`, from the cache if it was asked for recently: `read` may have
    /// to read another unit.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn path(
        &self,
        declared: u64,
        read: impl FnOnce() -> gimli::Result<String>,
    ) -> gimli::Result<String> {
        let path = self.paths.get_or_try(declared, read)?;
        Ok(String::clone(&path))
    }

    /// The rows that a line table has for some files, from the cache if they were asked for recently.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn rows<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        table: DebugLineOffset,
        files: &[u64],
    ) -> gimli::Result<Arc<Rows>> {
        let read = || lines::rows(self, dwarf, table, files);
        self.rows.get_or_try((table.0, files.to_vec()), read)
    }

    /// The statics of a unit, from the cache if they were asked for recently.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn spaces(&self, unit: &Unit<Slice<'_>>) -> gimli::Result<Arc<Spaces>> {
        let offset = unit.header.offset().0 as u64;
        self.spaces.get_or_try(offset, || Spaces::read(unit))
    }

    /// All rows of a line table, from the cache if they were asked for recently.
    ///
    /// # Errors
    ///
    /// Where DWARF is damaged.
    pub fn starts<'a>(
        &'a self,
        dwarf: &Dwarf<Slice<'a>>,
        table: DebugLineOffset,
    ) -> gimli::Result<Arc<Vec<Start>>> {
        let read = || lines::starts(dwarf, table);
        self.starts.get_or_try(table.0, read)
    }

    /// This module's error for a question that needs what is missing.
    pub fn missing_error(&self, reason: MissingInfo) -> SymbolError {
        SymbolError::Missing {
            module: self.name.clone(),
            reason,
        }
    }
}

fn map_file(path: &Path) -> std::io::Result<(File, Map)> {
    let file = File::open(path)?;
    // SAFETY: that nobody cuts the file off under us is the same bet that the dynamic linker made when it mapped the same
    // file to run it; where somebody does, `is_as_opened` tells before the next use.
    let map = unsafe { Map::of(&file) }?;
    Ok((file, map))
}

/// What changes when somebody writes to a file: its length, and when that was, in seconds and nanoseconds.
fn stamp(file: &File) -> std::io::Result<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata()?;
    Ok((about.len(), about.mtime(), about.mtime_nsec()))
}
