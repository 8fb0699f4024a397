//! Pages of code that are mapped from files, and what takes their place.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::AsRawFd as _;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::super::super::mapping::Mapping;
use super::INT3;

/// How many libraries there are, each of one page.
pub const PAGES: usize = 2;

const PAGE: usize = 4096;

/// Their code: instructions of several lengths, relative ones among them.
pub const INSTRUCTIONS: [&[u8]; 8] = [
    &[0x55],
    &[0x48, 0x31, 0xc0],
    &[0x90],
    &[0xb8, 1, 0, 0, 0],
    &[0x48, 0x8b, 0x07],
    &[0xe8, 0x10, 0, 0, 0],
    &[0x48, 0x8d, 0x05, 0x10, 0, 0, 0],
    &[0xc3],
];

/// What is mapped at a library's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The library.
    Library,
    /// Memory without code.
    Nothing,
    /// Another file, with the same code, and an `int3` of its own in the place of each instruction's first byte.
    Trap,
}

/// The libraries, side by side.
pub struct Libraries {
    memory: Mapping,
    library: File,
    trap: File,
    pages: [Contents; PAGES],
}

impl Libraries {
    /// All mapped.
    pub fn new() -> Self {
        let mut libraries = Self {
            memory: Mapping::anonymous(PAGES * PAGE).unwrap(),
            library: file(&code(Contents::Library)),
            trap: file(&code(Contents::Trap)),
            pages: [Contents::Nothing; PAGES],
        };
        for page in 0..PAGES {
            libraries.map(page, Contents::Library);
        }
        libraries
    }

    /// Where they are.
    pub fn range(&self) -> Range<u64> {
        self.memory.address()..self.memory.end() as u64
    }

    /// The distance of an address from the first one.
    pub fn offset(&self, address: u64) -> usize {
        (address - self.memory.address()) as usize
    }

    /// The address of an instruction, counted through all libraries, if that library is mapped.
    pub fn instruction(&self, at: usize) -> Option<u64> {
        let (page, at) = (at / INSTRUCTIONS.len(), at % INSTRUCTIONS.len());
        let before: usize = INSTRUCTIONS[..at].iter().map(|code| code.len()).sum();
        (self.pages[page] == Contents::Library)
            .then(|| self.memory.address() + (page * PAGE + before) as u64)
    }

    /// Maps something else at a library's place; returns the addresses there.
    pub fn map(&mut self, page: usize, contents: Contents) -> Range<u64> {
        self.pages[page] = contents;
        let (flags, fd) = match contents {
            Contents::Library => (0, self.library.as_raw_fd()),
            Contents::Trap => (0, self.trap.as_raw_fd()),
            Contents::Nothing => (libc::MAP_ANONYMOUS, -1),
        };
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        let start = self.memory.address() + (page * PAGE) as u64;
        // SAFETY: takes the place of a page of the mapping, which nobody has a reference into.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(start as usize),
                PAGE,
                protection,
                flags | libc::MAP_PRIVATE | libc::MAP_FIXED,
                fd,
                0,
            )
        };
        assert_eq!(mapped as u64, start);
        start..start + PAGE as u64
    }

    /// The text as it is.
    pub fn text(&self) -> &[u8] {
        // SAFETY: mapped and readable; written to by the same thread only, and not while the slice lives.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.memory.len()) }
    }

    /// The text as it would be without us.
    pub fn own_text(&self) -> Vec<u8> {
        self.pages
            .iter()
            .flat_map(|contents| code(*contents))
            .collect()
    }
}

fn code(contents: Contents) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE);
    for instruction in INSTRUCTIONS
        .iter()
        .filter(|_| contents != Contents::Nothing)
    {
        let first = page.len();
        page.extend_from_slice(instruction);
        if contents == Contents::Trap {
            page[first] = INT3;
        }
    }
    page.resize(PAGE, 0);
    page
}

fn file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("library", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    file
}
