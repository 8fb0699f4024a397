//! Which file's memory an address is in, so that nothing is written to what took the place of a library that was unloaded.

use core::cell::Cell;

use super::proc;
use super::sys::{self, Errno, MappedFile};

/// A place in a mapped file. Anonymous memory, into which some programs copy their own code, has zeroes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    major: u64,
    minor: u64,
    inode: u64,
    offset: u64,
}

impl Origin {
    /// As numbers, for whoever keeps it in atomics.
    pub fn to_words(self) -> [u64; 4] {
        [self.major, self.minor, self.inode, self.offset]
    }

    /// So many bytes behind it, in the same mapping.
    pub fn behind(self, bytes: u64) -> Self {
        match self.inode {
            0 => self,
            _ => Self {
                offset: self.offset.wrapping_add(bytes),
                ..self
            },
        }
    }

    /// From [`Origin::to_words`].
    pub fn from_words([major, minor, inode, offset]: [u64; 4]) -> Self {
        Self {
            major,
            minor,
            inode,
            offset,
        }
    }
}

/// The mappings of a process.
pub struct Mappings {
    list: i32,
    /// Where the kernel cannot be asked for one mapping (before Linux 6.11): the one that was found last in its list, for
    /// many questions in a row about one library.
    last: Cell<MappedFile>,
}

impl Mappings {
    /// Of the process of a thread.
    pub fn open(tid: i32) -> Result<Self, Errno> {
        let list = sys::open(&proc::path(tid, b"/maps"), libc::O_RDONLY)?;
        Ok(Self {
            list,
            last: Cell::default(),
        })
    }

    /// Before the first of several questions in a row, during which nothing is taken to change.
    pub fn look_again(&self) {
        self.last.set(MappedFile::default());
    }

    /// What is mapped at an address now; `None` where nothing is, or it cannot be known.
    pub fn origin(&self, address: u64) -> Option<Origin> {
        let mapped = match sys::mapping_at(self.list, address) {
            Ok(mapped) => mapped,
            Err(Errno(libc::ENOENT)) => return None,
            Err(_) => self.find_in_list(address)?,
        };
        if mapped.inode == 0 {
            return Some(Origin::default());
        }
        Some(Origin {
            major: mapped.major,
            minor: mapped.minor,
            inode: mapped.inode,
            offset: mapped
                .offset
                .wrapping_add(address.wrapping_sub(mapped.start)),
        })
    }

    fn find_in_list(&self, address: u64) -> Option<MappedFile> {
        let contains = |mapped: &MappedFile| mapped.start <= address && address < mapped.end;
        if contains(&self.last.get()) {
            return Some(self.last.get());
        }
        let mut line = Line::default();
        let mut buffer = [0u8; 1024];
        let mut offset = 0u64;
        loop {
            let len = sys::read_at(self.list, &mut buffer, offset).unwrap_or(0);
            let bytes = buffer.get(..len).unwrap_or_default();
            if bytes.is_empty() {
                return None;
            }
            offset = offset.wrapping_add(len as u64);
            for byte in bytes {
                if line.read(*byte) {
                    let found = core::mem::take(&mut line).mapped;
                    if contains(&found) {
                        self.last.set(found);
                        return Some(found);
                    }
                }
            }
        }
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        sys::close(self.list);
    }
}

/// A line of `/proc/PID/maps`, byte by byte: `start-end perms offset major:minor inode name` (proc_pid_maps(5)).
#[derive(Default)]
struct Line {
    field: u8,
    mapped: MappedFile,
}

impl Line {
    /// Whether `byte` ends the line.
    fn read(&mut self, byte: u8) -> bool {
        let mapped = &mut self.mapped;
        let mut ignored = 0;
        let (number, base) = match self.field {
            0 => (&mut mapped.start, 16),
            1 => (&mut mapped.end, 16),
            3 => (&mut mapped.offset, 16),
            4 => (&mut mapped.major, 16),
            5 => (&mut mapped.minor, 16),
            6 => (&mut mapped.inode, 10),
            _ => (&mut ignored, 16),
        };
        match byte {
            b'\n' => return true,
            b'-' if self.field == 0 => self.field = 1,
            b' ' if self.field < 7 => self.field = self.field.wrapping_add(1),
            b':' if self.field == 4 => self.field = 5,
            b'0'..=b'9' => *number = digit(*number, base, byte, b'0'),
            b'a'..=b'f' => *number = digit(*number, base, byte, b'a' - 10),
            _ => {}
        }
        false
    }
}

fn digit(number: u64, base: u64, byte: u8, zero: u8) -> u64 {
    let digit = u64::from(byte.wrapping_sub(zero));
    number.wrapping_mul(base).wrapping_add(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_byte_by_byte() {
        let mut line = Line::default();
        let text = b"55d0c8a00000-55d0c8b02000 r-xp 0003f000 103:1a 262159      /usr/bin/a-b c 7\n";
        let ends: Vec<bool> = text.iter().map(|byte| line.read(*byte)).collect();
        assert_eq!(ends.iter().filter(|end| **end).count(), 1);
        assert_eq!(
            line.mapped,
            MappedFile {
                start: 0x55d0_c8a0_0000,
                end: 0x55d0_c8b0_2000,
                offset: 0x3_f000,
                major: 0x103,
                minor: 0x1a,
                inode: 262_159,
            }
        );
    }

    #[test]
    fn the_list_and_the_kernels_answer_say_the_same() {
        let mappings = Mappings::open(sys::process_id()).unwrap();
        let here = the_list_and_the_kernels_answer_say_the_same as fn() as usize as u64;
        let listed = mappings.find_in_list(here).unwrap();
        assert!(listed.inode != 0 && listed.start <= here && here < listed.end);
        if let Ok(answer) = sys::mapping_at(mappings.list, here) {
            assert_eq!(answer, listed);
        }
        assert_eq!(mappings.origin(8), None);
        let on_the_stack = &raw const mappings as u64;
        assert_eq!(mappings.origin(on_the_stack), Some(Origin::default()));
    }
}
