//! System calls by inline assembly.
//!
//! The tracer shares the application's memory, its libc included, but not its threads: a libc wrapper would write the
//! `errno` of the thread whose thread-local storage the tracer borrowed, and could itself carry a breakpoint. So the
//! tracer calls the kernel through this file alone. Nothing here locks, allocates or panics. Results are the kernel's:
//! negative numbers are error codes.
//!
//! Numbers and structures: `arch/x86/entry/syscalls/syscall_64.tbl` and the man page of each call.

use core::arch::asm;
use core::mem::{MaybeUninit, size_of};

/// A kernel error code, as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const INTR: Self = Self(libc::EINTR);
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

/// ptrace(2) with the kernel's own argument order and results (`PTRACE_PEEK*` store through `data`).
///
/// # Safety
///
/// `address` and `data` must be what `request` expects.
#[inline(always)]
unsafe fn ptrace(request: u32, tid: i32, address: usize, data: usize) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    check(unsafe {
        syscall(
            libc::SYS_ptrace,
            request as usize,
            tid as usize,
            address,
            data,
            0,
            0,
        )
    })
}

pub fn seize(tid: i32, options: usize) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_SEIZE, tid, 0, options) }.map(drop)
}

/// Lets a stopped thread go on, delivering `signal` (0 for none).
pub fn resume(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_CONT, tid, 0, signal as usize) }.map(drop)
}

/// Lets a thread stay in its group stop, but tells when that ends.
pub fn listen(tid: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_LISTEN, tid, 0, 0) }.map(drop)
}

pub fn detach(tid: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_DETACH, tid, 0, 0) }.map(drop)
}

pub fn general_registers(tid: i32, out: &mut libc::user_regs_struct) -> Result<(), Errno> {
    // SAFETY: `out` has the layout that PTRACE_GETREGS fills.
    unsafe { ptrace(libc::PTRACE_GETREGS, tid, 0, out as *mut _ as usize) }.map(drop)
}

pub fn vector_registers(tid: i32, out: &mut libc::user_fpregs_struct) -> Result<(), Errno> {
    // SAFETY: `out` has the layout that PTRACE_GETFPREGS fills.
    unsafe { ptrace(libc::PTRACE_GETFPREGS, tid, 0, out as *mut _ as usize) }.map(drop)
}

/// Reads one general register; `offset` is its place in `user_regs_struct`.
pub fn peek_register(tid: i32, offset: usize) -> Result<u64, Errno> {
    let mut value = 0u64;
    // SAFETY: the raw system call stores the word at `data`.
    unsafe {
        ptrace(
            libc::PTRACE_PEEKUSER,
            tid,
            offset,
            &mut value as *mut u64 as usize,
        )
    }?;
    Ok(value)
}

/// Writes one general register; `offset` is its place in `user_regs_struct`.
pub fn poke_register(tid: i32, offset: usize, value: u64) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_POKEUSER, tid, offset, value as usize) }.map(drop)
}

pub fn signal_info(tid: i32) -> Result<libc::siginfo_t, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel fills the structure at `data`; any bytes are a valid siginfo_t.
    unsafe {
        ptrace(libc::PTRACE_GETSIGINFO, tid, 0, info.as_mut_ptr() as usize)?;
        Ok(info.assume_init())
    }
}

pub fn set_signal_info(tid: i32, info: &libc::siginfo_t) -> Result<(), Errno> {
    // SAFETY: the kernel reads one siginfo_t at `data`.
    unsafe { ptrace(libc::PTRACE_SETSIGINFO, tid, 0, info as *const _ as usize) }.map(drop)
}

/// The message of the last event: the new thread's number at a clone.
pub fn event_message(tid: i32) -> Result<u64, Errno> {
    let mut value = 0u64;
    // SAFETY: the kernel stores one word at `data`.
    unsafe {
        ptrace(
            libc::PTRACE_GETEVENTMSG,
            tid,
            0,
            &mut value as *mut u64 as usize,
        )
    }?;
    Ok(value)
}

/// The kernel's set of 64 signals; bit `n - 1` is signal `n`.
pub type SignalSet = u64;

pub fn signal_mask(tid: i32) -> Result<SignalSet, Errno> {
    let mut set: SignalSet = 0;
    // SAFETY: the kernel stores `size_of::<SignalSet>()` bytes at `data`.
    unsafe {
        ptrace(
            libc::PTRACE_GETSIGMASK,
            tid,
            size_of::<SignalSet>(),
            &mut set as *mut _ as usize,
        )
    }?;
    Ok(set)
}

pub fn set_signal_mask(tid: i32, set: SignalSet) -> Result<(), Errno> {
    // SAFETY: the kernel reads `size_of::<SignalSet>()` bytes at `data`.
    unsafe {
        ptrace(
            libc::PTRACE_SETSIGMASK,
            tid,
            size_of::<SignalSet>(),
            &set as *const _ as usize,
        )
    }
    .map(drop)
}

/// Takes a change of state out of the kernel: the task, and how it ended (as wait(2) encodes it). `None` when nothing has
/// changed and `flags` has `WNOHANG`.
pub fn wait(tid: i32, flags: i32) -> Result<Option<(i32, i32)>, Errno> {
    let mut status = 0i32;
    // SAFETY: the kernel stores the status in `status`; no rusage is asked for.
    let result = unsafe {
        syscall(
            libc::SYS_wait4,
            tid as isize as usize,
            &mut status as *mut i32 as usize,
            flags as usize,
            0,
            0,
            0,
        )
    };
    match check(result)? {
        0 => Ok(None),
        tid => Ok(Some((tid as i32, status))),
    }
}

/// How a thread changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ended, and waits to be [reaped](wait).
    Ended,
    /// It stopped: at the delivery of `signal`, or at a ptrace event where `event` is not 0.
    Stopped { signal: i32, event: i32 },
}

/// The next thread of those that the caller traces to change its state, of all of them or only `tid`, with the change
/// left in place: a stop that was taken out of the kernel would lose its signal if the tracer died before it let the
/// thread go on (kernel/exit.c, `wait_task_stopped`). `None` when nothing has changed and `block` is false.
pub fn next_change(tid: Option<i32>, block: bool) -> Result<Option<(i32, Change)>, Errno> {
    const P_ALL: usize = 0;
    const P_PID: usize = 1;
    let (kind, id) = tid.map_or((P_ALL, 0), |tid| (P_PID, tid as usize));
    let patience = if block { 0 } else { libc::WNOHANG };
    let flags = libc::WEXITED | libc::WSTOPPED | libc::__WALL | libc::WNOWAIT | patience;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel fills one siginfo_t; no rusage is asked for.
    let info = unsafe {
        check(syscall(
            libc::SYS_waitid,
            kind,
            id,
            info.as_mut_ptr() as usize,
            flags as usize,
            0,
            0,
        ))?;
        info.assume_init()
    };
    // SAFETY: zeroes, or filled in for SIGCHLD.
    let (tid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let change = match info.si_code {
        libc::CLD_TRAPPED | libc::CLD_STOPPED => Change::Stopped {
            signal: status & 0xff,
            event: status >> 8,
        },
        _ => Change::Ended,
    };
    Ok((tid != 0).then_some((tid, change)))
}

/// Copies memory of a process that shares ours, or of any other that we may trace, without ever faulting. Returns how
/// many bytes could be read before the first unreadable one.
pub fn read_memory(pid: i32, address: u64, out: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..)
        && !rest.is_empty()
        && let Some(start) = address.checked_add(done as u64)
    {
        // A copy that fails may still succeed up to the end of its first page.
        let page = rest.len().min((4096 - (start & 4095)) as usize);
        let copied = match copy_from(pid, start, rest) {
            0 if page < rest.len() => rest
                .get_mut(..page)
                .map_or(0, |rest| copy_from(pid, start, rest)),
            copied => copied,
        };
        if copied == 0 {
            break;
        }
        done += copied;
    }
    done
}

/// process_vm_readv(2); 0 for an error.
fn copy_from(pid: i32, address: u64, out: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: out.as_mut_ptr().cast(),
        iov_len: out.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut _,
        iov_len: out.len(),
    };
    let (local, remote) = (&raw const local as usize, &raw const remote as usize);
    // SAFETY: one vector each; the local one is the caller's slice, the remote one is checked by the kernel.
    check(unsafe {
        syscall(
            libc::SYS_process_vm_readv,
            pid as usize,
            local,
            1,
            remote,
            1,
            0,
        )
    })
    .unwrap_or(0)
}

/// A mapping of a file, or of none: then the numbers of the file are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedFile {
    pub start: u64,
    pub end: u64,
    /// Where in the file `start` is.
    pub offset: u64,
    /// The device that the file is on.
    pub major: u64,
    pub minor: u64,
    pub inode: u64,
}

/// The mapping that has `address`, asked of an open `/proc/PID/maps`; ENOENT where nothing is mapped. For Linux 6.11
/// (`PROCMAP_QUERY`, include/uapi/linux/fs.h); ENOTTY before.
pub fn mapping_at(maps: i32, address: u64) -> Result<MappedFile, Errno> {
    /// `_IOWR('f', 17, struct procmap_query)`.
    const PROCMAP_QUERY: usize = 0xc068_6611;
    /// `struct procmap_query`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        address: u64,
        start: u64,
        end: u64,
        mapping_flags: u64,
        page_size: u64,
        offset: u64,
        inode: u64,
        major: u32,
        minor: u32,
        name_size: u32,
        build_id_size: u32,
        name: u64,
        build_id: u64,
    }
    let mut query = Query {
        size: size_of::<Query>() as u64,
        address,
        ..Query::default()
    };
    // SAFETY: the kernel reads and writes one structure, whose size it is told; name and build id are not asked for.
    check(unsafe {
        syscall(
            libc::SYS_ioctl,
            maps as usize,
            PROCMAP_QUERY,
            &mut query as *mut _ as usize,
            0,
            0,
            0,
        )
    })?;
    Ok(MappedFile {
        start: query.start,
        end: query.end,
        offset: query.offset,
        major: query.major.into(),
        minor: query.minor.into(),
        inode: query.inode,
    })
}

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

/// Asks for `signal` when the thread that made this task ends.
pub fn die_with_parent(signal: i32) {
    // SAFETY: takes numbers only.
    let _ = unsafe {
        syscall(
            libc::SYS_prctl,
            libc::PR_SET_PDEATHSIG as usize,
            signal as usize,
            0,
            0,
            0,
            0,
        )
    };
}

pub fn parent() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall(libc::SYS_getppid, 0, 0, 0, 0, 0, 0) as i32 }
}

pub fn new_session() {
    // SAFETY: no arguments.
    let _ = unsafe { syscall(libc::SYS_setsid, 0, 0, 0, 0, 0, 0) };
}

/// Limits the size of a core dump of this process, in bytes.
pub fn limit_core(bytes: u64) {
    let limit = libc::rlimit64 {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the kernel reads one rlimit64; no old value is asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_prlimit64,
            0,
            libc::RLIMIT_CORE as usize,
            &limit as *const _ as usize,
            0,
            0,
            0,
        )
    };
}

/// Sets this task's mask of blocked signals.
pub fn block_signals(set: SignalSet) {
    // SAFETY: the kernel reads one set; no old one is asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK as usize,
            &set as *const _ as usize,
            0,
            size_of::<SignalSet>(),
            0,
            0,
        )
    };
}

/// The kernel's `struct sigaction` (not libc's).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalAction {
    pub handler: usize,
    pub flags: u64,
    pub restorer: usize,
    pub mask: SignalSet,
}

pub fn signal_action(signal: i32) -> Result<SignalAction, Errno> {
    let mut action = SignalAction {
        handler: 0,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    // SAFETY: the kernel stores one structure of its own layout; no new action is given.
    check(unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            signal as usize,
            0,
            &mut action as *mut _ as usize,
            size_of::<SignalSet>(),
            0,
            0,
        )
    })?;
    Ok(action)
}

/// # Safety
///
/// The action's handler and restorer must be what the kernel may call in any thread.
pub unsafe fn set_signal_action(signal: i32, action: &SignalAction) -> Result<(), Errno> {
    // SAFETY: the kernel reads one structure of its own layout; the caller vouches for what it names.
    check(unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            signal as usize,
            action as *const _ as usize,
            0,
            size_of::<SignalSet>(),
            0,
            0,
        )
    })
    .map(drop)
}

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970.
pub fn wall_time() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel stores one timespec.
    let _ = unsafe {
        syscall(
            libc::SYS_clock_gettime,
            clock as usize,
            &mut time as *mut _ as usize,
            0,
            0,
            0,
            0,
        )
    };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

pub fn pause_for(nanoseconds: u32) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(nanoseconds),
    };
    // SAFETY: the kernel reads one timespec; the remainder is not asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_nanosleep,
            &time as *const _ as usize,
            0,
            0,
            0,
            0,
            0,
        )
    };
}

/// Room for the processors that a thread may run on: 1,024, what Linux is built for at the most by default.
pub type CpuSet = [u64; 16];

/// The processors that a thread may run on; returns how many bytes of the set the kernel uses.
pub fn affinity(tid: i32, set: &mut CpuSet) -> Result<usize, Errno> {
    // SAFETY: the kernel stores at most `size_of::<CpuSet>()` bytes.
    check(unsafe {
        syscall(
            libc::SYS_sched_getaffinity,
            tid as usize,
            size_of::<CpuSet>(),
            set as *mut _ as usize,
            0,
            0,
            0,
        )
    })
}

pub fn set_affinity(tid: i32, set: &CpuSet) -> Result<(), Errno> {
    // SAFETY: the kernel reads at most `size_of::<CpuSet>()` bytes.
    check(unsafe {
        syscall(
            libc::SYS_sched_setaffinity,
            tid as usize,
            size_of::<CpuSet>(),
            set as *const _ as usize,
            0,
            0,
            0,
        )
    })
    .map(drop)
}

/// The processor that the caller runs on.
pub fn current_cpu() -> usize {
    let mut cpu = 0u32;
    // SAFETY: the kernel stores one number; node and cache are not asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_getcpu,
            &mut cpu as *mut u32 as usize,
            0,
            0,
            0,
            0,
            0,
        )
    };
    cpu as usize
}

/// Raises this task's priority where that is allowed.
pub fn raise_priority(nice: i32) {
    // SAFETY: takes numbers only.
    let _ = unsafe {
        syscall(
            libc::SYS_setpriority,
            libc::PRIO_PROCESS as usize,
            0,
            nice as isize as usize,
            0,
            0,
            0,
        )
    };
}

/// Waits while `*word == expected`; returns at once when it is not, and may return without cause.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, expected: u32) {
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the word lives through the call; no timeout is given.
    let _ = unsafe {
        syscall(
            libc::SYS_futex,
            word.as_ptr() as usize,
            operation,
            expected as usize,
            0,
            0,
            0,
        )
    };
}

pub fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the kernel only looks the word's address up.
    let _ = unsafe {
        syscall(
            libc::SYS_futex,
            word.as_ptr() as usize,
            operation,
            i32::MAX as usize,
            0,
            0,
            0,
        )
    };
}

/// Whether the thread `tid` belongs to the process `pid`.
pub fn is_thread_of(pid: i32, tid: i32) -> bool {
    // SAFETY: takes numbers only; signal 0 sends nothing.
    check(unsafe { syscall(libc::SYS_tgkill, pid as usize, tid as usize, 0, 0, 0, 0) }).is_ok()
}

/// The kernel's number of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall(libc::SYS_gettid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// The kernel's number of the calling process, never cached.
pub fn process_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}

pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes a number; does not return.
        let _ = unsafe { syscall(libc::SYS_exit_group, code as usize, 0, 0, 0, 0, 0) };
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
