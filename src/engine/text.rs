//! Writing the text of a process that runs, one byte at a time.

use super::proc;
use super::sys;

/// The instruction that traps.
pub const INT3: u8 = 0xCC;

/// A process' memory, through the kernel: pages that are not writable are written all the same, and get private copies.
pub struct Text {
    fd: i32,
}

impl Text {
    /// Opens the memory of a process, or of one of its threads, for writing; needs the right to trace it.
    pub fn open(pid: i32) -> Result<Self, sys::Errno> {
        sys::open(&proc::path(pid, b"/mem"), libc::O_RDWR).map(|fd| Self { fd })
    }

    /// Writes any bytes.
    pub fn write(&self, address: u64, bytes: &[u8]) -> bool {
        sys::write_at(self.fd, bytes, address) == Ok(bytes.len())
    }

    /// Replaces one byte, if it is `old`: what is not ours is not touched.
    pub fn replace(&self, address: u64, old: u8, new: u8) -> bool {
        let mut found = [0];
        sys::read_at(self.fd, &mut found, address) == Ok(1)
            && found == [old]
            && self.write(address, &[new])
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_byte_is_replaced() {
        let text = Text::open(sys::process_id()).unwrap();
        static BYTES: [u8; 3] = [1, 2, 3];
        let address = std::hint::black_box(&BYTES).as_ptr() as u64;
        assert!(!text.replace(address + 1, 9, 5));
        assert!(text.replace(address + 1, 2, 5));
        // SAFETY: a byte of a static; volatile, for the compiler may assume that it did not change.
        let written = unsafe { std::ptr::read_volatile((address + 1) as *const u8) };
        assert_eq!(written, 5);
        assert!(text.replace(address + 1, 5, 2));
        assert!(!text.replace(8, 0, 0), "nothing is there");
    }
}
