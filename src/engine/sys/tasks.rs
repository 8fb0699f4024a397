//! Numbers, sessions, limits, processors and the end of tasks.

use core::mem::size_of;

use super::{Errno, check, syscall};

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
