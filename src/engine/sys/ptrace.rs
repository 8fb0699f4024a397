//! ptrace(2), and the changes of state of who is traced.

use core::mem::{MaybeUninit, offset_of, size_of};

use super::{Errno, SignalSet, check, syscall};

/// The program counter's place in `user_regs_struct`.
pub const PROGRAM_COUNTER: usize = offset_of!(libc::user_regs_struct, rip);

/// That of the stack pointer.
pub const STACK_POINTER: usize = offset_of!(libc::user_regs_struct, rsp);

/// And that of a system call's number.
pub const CALL_NUMBER: usize = offset_of!(libc::user_regs_struct, orig_rax);

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

/// Like [`resume`], up to the beginning or the end of its next system call.
pub fn resume_to_call(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    unsafe { ptrace(libc::PTRACE_SYSCALL, tid, 0, signal as usize) }.map(drop)
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

/// Takes the end of a child out of the kernel by waitid(2), where wait4(2) is forbidden.
pub fn reap(pid: i32) {
    let flags = libc::WEXITED | libc::__WALL;
    // SAFETY: no place is given where the kernel would store anything.
    let _ = unsafe {
        syscall(
            libc::SYS_waitid,
            libc::P_PID as usize,
            pid as usize,
            0,
            flags as usize,
            0,
            0,
        )
    };
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
