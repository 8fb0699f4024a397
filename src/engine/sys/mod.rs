//! System calls by inline assembly.
//!
//! The tracer shares the application's memory, its libc included, but not its threads: a libc wrapper would write the
//! `errno` of the thread whose thread-local storage the tracer borrowed, and could itself carry a breakpoint. So the
//! tracer calls the kernel through this module alone. Nothing here locks, allocates or panics. Results are the kernel's:
//! negative numbers are error codes.
//!
//! Numbers and structures: `arch/x86/entry/syscalls/syscall_64.tbl` and the man page of each call.

mod files;
mod memory;
mod ptrace;
mod signals;
mod tasks;
mod time;

use core::arch::asm;

pub use self::files::*;
pub use self::memory::*;
pub use self::ptrace::*;
pub use self::signals::*;
pub use self::tasks::*;
pub use self::time::*;

/// A kernel error code, as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const INTR: Self = Self(libc::EINTR);

    /// Whether somebody forbids the call, a filter of system calls for one.
    pub fn is_refusal(self) -> bool {
        matches!(self.0, libc::EPERM | libc::EACCES | libc::ENOSYS)
    }
}

/// One system call with six arguments; unused ones are 0.
///
/// # Safety
///
/// As the call itself: pointers among the arguments must be what the kernel expects there.
#[inline(always)]
unsafe fn syscall(
    number: i64,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention; it clobbers rcx and r11 and keeps the rest. The caller vouches for the
    // arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

fn check(result: isize) -> Result<usize, Errno> {
    if result < 0 {
        Err(Errno(-result as i32))
    } else {
        Ok(result as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_up_to_the_first_unreadable_byte() {
        // SAFETY: a fresh mapping of two pages, the second of which is made unreadable.
        let pages = unsafe {
            let pages = libc::mmap(
                core::ptr::null_mut(),
                8192,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(pages, libc::MAP_FAILED);
            core::ptr::write_bytes(pages.cast::<u8>(), 7, 4096);
            libc::mprotect(pages.byte_add(4096), 4096, libc::PROT_NONE);
            pages as u64
        };
        let pid = process_id();
        let mut out = [0u8; 64];
        assert_eq!(read_memory(pid, pages + 4096 - 16, &mut out), 16);
        assert_eq!(
            out[..17],
            [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]
        );
        assert_eq!(read_memory(pid, pages + 4096, &mut out), 0);
        assert_eq!(read_memory(pid, 0, &mut out), 0);
        assert_eq!(read_memory(pid, u64::MAX - 3, &mut out), 0);
    }

    #[test]
    fn errors_are_the_kernels() {
        assert_eq!(
            open(b"/nonexistent\0", libc::O_RDONLY),
            Err(Errno(libc::ENOENT))
        );
        assert_eq!(
            open(b"unterminated", libc::O_RDONLY),
            Err(Errno(libc::EINVAL))
        );
        assert_eq!(wait(1, libc::WNOHANG), Err(Errno(libc::ECHILD)));
        assert_eq!(seize(thread_id(), 0), Err(Errno(libc::EPERM)));
    }
}
