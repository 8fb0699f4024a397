//! Files, directories, and the table of those that are open.

use super::{Errno, check, syscall};

/// Opens a file; `path` ends in a zero byte.
pub fn open(path: &[u8], flags: i32) -> Result<i32, Errno> {
    if path.last() != Some(&0) {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: the path is terminated, as was just checked.
    check(unsafe {
        syscall(
            libc::SYS_openat,
            libc::AT_FDCWD as isize as usize,
            path.as_ptr() as usize,
            (flags | libc::O_CLOEXEC) as usize,
            0,
            0,
            0,
        )
    })
    .map(|fd| fd as i32)
}

pub fn close(fd: i32) {
    // SAFETY: takes a number; the tracer owns its whole file table.
    let _ = unsafe { syscall(libc::SYS_close, fd as usize, 0, 0, 0, 0, 0) };
}

pub fn read_at(fd: i32, out: &mut [u8], offset: u64) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `out.len()` bytes into `out`.
    check(unsafe {
        syscall(
            libc::SYS_pread64,
            fd as usize,
            out.as_mut_ptr() as usize,
            out.len(),
            offset as usize,
            0,
            0,
        )
    })
}

pub fn write_at(fd: i32, data: &[u8], offset: u64) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `data.len()` bytes from `data`.
    check(unsafe {
        syscall(
            libc::SYS_pwrite64,
            fd as usize,
            data.as_ptr() as usize,
            data.len(),
            offset as usize,
            0,
            0,
        )
    })
}

/// Fills `out` with entries of an open directory (getdents64); 0 at its end.
pub fn read_directory(fd: i32, out: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `out.len()` bytes into `out`.
    check(unsafe {
        syscall(
            libc::SYS_getdents64,
            fd as usize,
            out.as_mut_ptr() as usize,
            out.len(),
            0,
            0,
            0,
        )
    })
}

/// Adds to an eventfd.
pub fn notify(fd: i32) {
    let one = 1u64;
    // SAFETY: the kernel reads eight bytes from `one`.
    let _ = unsafe {
        syscall(
            libc::SYS_write,
            fd as usize,
            &one as *const u64 as usize,
            8,
            0,
            0,
            0,
        )
    };
}

/// Gives the caller a file table of its own, with nothing but `kept` in it.
pub fn leave_file_table(kept: i32) -> Result<(), Errno> {
    const CLOSE_RANGE_UNSHARE: usize = 1 << 1;
    let kept = kept as usize;
    let close_range = |first: usize, last: usize, flags| {
        // SAFETY: takes numbers only; the table is this task's own from the first call on.
        check(unsafe { syscall(libc::SYS_close_range, first, last, flags, 0, 0, 0) }).map(drop)
    };
    close_range(kept.wrapping_add(1), u32::MAX as usize, CLOSE_RANGE_UNSHARE)?;
    match kept {
        0 => Ok(()),
        _ => close_range(0, kept.wrapping_sub(1), 0),
    }
}
