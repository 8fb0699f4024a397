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

/// Whether a thread's scheduling policy goes before that of others, as far as can be seen.
pub fn is_real_time(tid: i32) -> bool {
    // SAFETY: takes a number only.
    let policy =
        check(unsafe { syscall(libc::SYS_sched_getscheduler, tid as usize, 0, 0, 0, 0, 0) });
    const DEADLINE: i32 = 6;
    policy.is_ok_and(|policy| {
        let policy = policy as i32 & !libc::SCHED_RESET_ON_FORK;
        matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR | DEADLINE)
    })
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
    find_thread(pid, tid).is_ok()
}

/// Whether the process `pid` has no thread `tid` for sure: a filter of system calls may not let anybody ask.
pub fn is_no_thread_of(pid: i32, tid: i32) -> bool {
    find_thread(pid, tid) == Err(Errno(libc::ESRCH))
}

fn find_thread(pid: i32, tid: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only; signal 0 sends nothing.
    check(unsafe { syscall(libc::SYS_tgkill, pid as usize, tid as usize, 0, 0, 0, 0) }).map(drop)
}

/// Whether programs that have privileges of their own, by a set-user-ID bit for one, get them although the caller traces
/// who starts them (security/commoncap.c, `cap_bprm_creds_from_file`), or would not get them anyhow.
pub fn may_trace_privileged() -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    // Effective, permitted and inheritable, for capabilities below 32 and for those above.
    let mut sets = [0u32; 6];
    // SAFETY: the kernel reads two numbers and stores six, as this version has it.
    let known = check(unsafe {
        syscall(
            libc::SYS_capget,
            header.as_ptr() as usize,
            sets.as_mut_ptr() as usize,
            0,
            0,
            0,
            0,
        )
    });
    // SAFETY: takes numbers only.
    let no_new = check(unsafe {
        syscall(
            libc::SYS_prctl,
            libc::PR_GET_NO_NEW_PRIVS as usize,
            0,
            0,
            0,
            0,
            0,
        )
    });
    let [effective, ..] = sets;
    no_new == Ok(1) || (known.is_ok() && effective & (1 << CAP_SYS_PTRACE) != 0)
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
