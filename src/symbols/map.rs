//! Files in memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr;

/// A file that is mapped to be read.
pub struct Map {
    start: *const u8,
    length: usize,
}

// SAFETY: nobody writes to what is mapped, and only `Drop` unmaps it.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps all of a file. No page of it is read before it is looked at, also where the program has asked for all memory to
    /// be locked (`mlockall(2)` with MCL_FUTURE): the kernel would read the whole file then, and keep it.
    ///
    /// # Errors
    ///
    /// Those of mmap(2); `InvalidData` for an empty file.
    ///
    /// # Safety
    ///
    /// Nobody may cut the file off while the mapping is looked at: the kernel sends SIGBUS.
    pub unsafe fn of(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len())
            .ok()
            .filter(|length| *length > 0)
            .ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                // What cannot be accessed is not read ahead by the kernel either.
                libc::PROT_NONE,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = Self {
            start: start.cast_const().cast(),
            length,
        };
        // SAFETY: both are of the mapping above, which nobody else knows.
        let opened = unsafe {
            libc::munlock(start, length);
            libc::mprotect(start, length, libc::PROT_READ)
        };
        match opened {
            0 => Ok(map),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped there for as long as this lives, and the caller of `of` has promised that they
        // can be read.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and no reference to it outlives this. It can only fail where the numbers
        // are wrong.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
    }
}
