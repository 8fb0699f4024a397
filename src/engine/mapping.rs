//! Memory from the kernel, given back when dropped.

use std::io;
use std::ptr::{self, NonNull};

/// Anonymous memory of this process.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory that belongs to this value; whoever shares it orders its own accesses.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method writes through a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` zero bytes, readable and writable, that use memory only once they are touched.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel chooses.
        unsafe {
            Self::map(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_NORESERVE,
            )
        }
    }

    /// A stack of `len` bytes with an inaccessible page below it.
    pub fn stack(len: usize) -> io::Result<Self> {
        let stack = Self::anonymous(len + GUARD)?;
        // SAFETY: the lowest page of the mapping just made.
        if unsafe { libc::mprotect(stack.as_ptr().cast(), GUARD, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// `len` bytes that can be read and run, exactly at `address`; an error where something is there already.
    pub fn executable_at(address: u64, len: usize) -> io::Result<Self> {
        let hint = ptr::without_provenance_mut(address as usize);
        // SAFETY: with MAP_FIXED_NOREPLACE a new mapping, or none.
        let mapping = unsafe {
            Self::map(
                hint,
                len,
                libc::PROT_READ | libc::PROT_EXEC,
                libc::MAP_FIXED_NOREPLACE,
            )
        }?;
        if mapping.address() == address {
            Ok(mapping)
        } else {
            // Kernels before 4.17 take the address as a mere hint.
            Err(io::Error::from_raw_os_error(libc::EEXIST))
        }
    }

    /// # Safety
    ///
    /// `flags` must not let the mapping replace another one.
    unsafe fn map(
        hint: *mut libc::c_void,
        len: usize,
        protection: i32,
        flags: i32,
    ) -> io::Result<Self> {
        // SAFETY: the caller's promise.
        let start = unsafe {
            libc::mmap(
                hint,
                len,
                protection,
                flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The first byte's address.
    pub fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Just past the last byte.
    pub fn end(&self) -> *mut u8 {
        // SAFETY: one past the end of the mapping.
        unsafe { self.start.as_ptr().add(self.len) }
    }
}

const GUARD: usize = 4096;

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and nobody else unmaps it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
