//! A program that does not run, as if it were loaded at its own addresses.

use std::path::Path;
use std::sync::Mutex;

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSegment as _};

use super::Symbols;
use super::loaded::Loaded;

impl Symbols {
    /// The debug information of the ELF file at a path; `None` where that is none.
    pub fn of_file(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let file = ElfFile64::<object::LittleEndian>::parse(&*bytes).ok()?;
        let text = file
            .segments()
            .filter(|segment| segment.permissions().executable())
            .map(|segment| segment.address()..segment.address().saturating_add(segment.size()))
            .collect();
        let mut symbols = Self {
            modules: Vec::new(),
            loaded: Vec::new(),
            generation: (0, 0),
            implementors: Mutex::default(),
        };
        symbols.add(Loaded {
            path: path.to_owned(),
            name: path.to_string_lossy().into_owned(),
            bias: 0,
            build_id: None,
            text,
        });
        Some(symbols)
    }
}
