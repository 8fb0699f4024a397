//! Signals that an untraced thread would not have noticed.
//!
//! The kernel throws a signal whose action is to ignore it away when it is sent, but not for a traced thread, whose
//! tracer might want to know (kernel/signal.c, `sig_task_ignored`): that thread wakes up, and a system call that is not
//! restarted, `epoll_wait` for one, returns EINTR. The tracer takes such a signal and has the call restarted.
//!
//! A restart begins the call's timeout anew, so a signal that comes again and again would put the timeout off for ever.
//! When the call began is not known; its deadline is taken to be one timeout after its first interruption.

use core::mem::offset_of;

use super::sys;
use super::threads::Thread;

const RESULT: usize = offset_of!(libc::user_regs_struct, rax);
const TIMEOUT: usize = offset_of!(libc::user_regs_struct, r10);

const INTERRUPTED: u64 = -(libc::EINTR as i64) as u64;

/// The kernel's own code (include/linux/errno.h) that stands for: restart whatever the signal's action is.
const RESTART: u64 = -513_i64 as u64;

/// How often in a row a call is restarted whose timeout cannot be changed from here.
const RESTARTS: u64 = 16;

/// Whether the application ignores the signal, by its action or by default (include/linux/signal.h,
/// `SIG_KERNEL_IGNORE_MASK`). What SIGCONT continues it continues when it is sent, not when it is delivered.
pub fn is_ignored(signal: i32) -> bool {
    let by_default = matches!(
        signal,
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT
    );
    sys::signal_action(signal).is_ok_and(|action| {
        action.handler == libc::SIG_IGN || (action.handler == libc::SIG_DFL && by_default)
    })
}

/// Has the system call that an ignored signal woke the thread from restarted, where it would return EINTR.
pub fn repair(tid: i32, thread: Option<&Thread>) {
    let (Ok(number), Ok(INTERRUPTED)) = (
        sys::peek_register(tid, sys::CALL_NUMBER),
        sys::peek_register(tid, RESULT),
    ) else {
        return;
    };
    // At a stop outside of system calls the number is -1.
    if (number as i64) < 0 {
        return;
    }
    let argument = |offset| sys::peek_register(tid, offset).unwrap_or(0);
    match timeout(number as i64, tid, argument) {
        None => return,
        Some(Timeout::None) => {}
        Some(Timeout::Register(register)) => {
            let register = remaining(register, sys::now() / 1_000_000);
            let _ = sys::poke_register(tid, TIMEOUT, register);
        }
        Some(Timeout::Elsewhere) => {
            let place = argument(sys::STACK_POINTER);
            if thread.is_none_or(|thread| thread.count_restart(place) % (RESTARTS + 1) == 0) {
                return;
            }
        }
    }
    if sys::poke_register(tid, RESULT, RESTART).is_ok()
        && let Some(thread) = thread
    {
        thread.set_restarting(number);
    }
}

/// Takes a repair back, where a signal with a handler comes before the call was restarted: it must return EINTR.
pub fn unrepair(tid: i32, thread: &Thread) {
    let Some(number) = thread.take_restarting() else {
        return;
    };
    if sys::peek_register(tid, sys::CALL_NUMBER) == Ok(number)
        && sys::peek_register(tid, RESULT) == Ok(RESTART)
    {
        let _ = sys::poke_register(tid, RESULT, INTERRUPTED);
    }
}

/// Where a call's timeout is.
#[derive(Debug, PartialEq, Eq)]
enum Timeout {
    /// It has none.
    None,
    /// The register's content, milliseconds in its lower half.
    Register(u64),
    /// In memory that the application may share or not let us write, or in a socket.
    Elsewhere,
}

/// Of a call that returns EINTR whatever the action of the signal is (signal(7)), without having done anything. `None` for
/// others: the kernel restarts them itself, or they may not be repeated, as `close` may not, whose number another thread's
/// file may have by then.
fn timeout(number: i64, tid: i32, argument: impl Fn(usize) -> u64) -> Option<Timeout> {
    const THIRD: usize = offset_of!(libc::user_regs_struct, rdx);
    const FOURTH: usize = TIMEOUT;
    const FIFTH: usize = offset_of!(libc::user_regs_struct, r8);
    const EXTENDED: u64 = 1 << 3;
    let pointer = |offset| match argument(offset) {
        0 => Timeout::None,
        _ => Timeout::Elsewhere,
    };
    let timeout = match number {
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait => {
            let register = argument(TIMEOUT);
            if (register as i32) < 0 {
                Timeout::None
            } else {
                Timeout::Register(register)
            }
        }
        libc::SYS_epoll_pwait2 | libc::SYS_semtimedop => pointer(FOURTH),
        libc::SYS_rt_sigtimedwait => pointer(THIRD),
        libc::SYS_io_getevents => pointer(FIFTH),
        libc::SYS_semop => Timeout::None,
        // `struct io_uring_getevents_arg`: the timeout's address is its third word.
        libc::SYS_io_uring_enter if argument(FOURTH) & EXTENDED != 0 => {
            let mut time = [0; 8];
            let at = argument(FIFTH).wrapping_add(16);
            match sys::read_memory(tid, at, &mut time) {
                8 if u64::from_ne_bytes(time) == 0 => Timeout::None,
                _ => Timeout::Elsewhere,
            }
        }
        libc::SYS_io_uring_enter => Timeout::None,
        // Of memory as a file, which it does not give up in part.
        libc::SYS_fallocate => Timeout::None,
        // Of a socket with SO_RCVTIMEO or SO_SNDTIMEO, or of an inotify descriptor.
        libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_connect
        | libc::SYS_preadv2
        | libc::SYS_pwritev2
        | libc::SYS_read
        | libc::SYS_readv
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_recvmmsg
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        | libc::SYS_sendfile
        | libc::SYS_splice
        | libc::SYS_write
        | libc::SYS_writev => Timeout::Elsewhere,
        _ => return None,
    };
    Some(timeout)
}

/// The timeout register with what remains at `now`, in milliseconds. The kernel reads its lower half only; the upper one
/// keeps the deadline, so that the next interruption finds it.
fn remaining(register: u64, now: u64) -> u64 {
    let (timeout, deadline, now) = (register as u32, (register >> 32) as u32, now as u32);
    let left = deadline.wrapping_sub(now) as i32;
    if register >> 32 != 0 && left.wrapping_sub(1) <= timeout as i32 && left > -SLACK {
        let left = (left.max(0) as u32).min(timeout);
        u64::from(deadline) << 32 | u64::from(left)
    } else {
        // The first interruption: what is in the upper half, if anything, is no deadline of this call. One more, for
        // `now` is rounded down; and not 0, which says that there is none.
        let deadline = now.wrapping_add(timeout).wrapping_add(1).max(1);
        u64::from(deadline) << 32 | u64::from(timeout)
    }
}

/// How long after its deadline a call may still be found waiting, in milliseconds.
const SLACK: i32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_shrinks_to_its_deadline() {
        let first = remaining(5_000, 1_000_000);
        assert_eq!(first as u32, 5_000);
        let second = remaining(first, 1_002_000);
        assert_eq!((second as u32, second >> 32), (3_001, first >> 32));
        let third = remaining(second, 1_004_999);
        assert_eq!(third as u32, 2);
        assert_eq!(remaining(third, 1_005_004) as u32, 0);
        // Across the clock's wrap.
        let first = remaining(5_000, u64::from(u32::MAX) - 100);
        assert_eq!(remaining(first, u64::from(u32::MAX) + 900) as u32, 4_001);
    }

    #[test]
    fn what_else_is_in_the_upper_half_is_no_deadline() {
        let sign_extended = 0xffff_ffff_0000_1388;
        assert_eq!(remaining(sign_extended, 1_000_000) as u32, 5_000);
        let stale = (500_000 << 32) | 5_000;
        assert_eq!(remaining(stale, 1_000_000) as u32, 5_000);
    }

    #[test]
    fn calls_without_a_timeout_are_restarted_for_ever() {
        let tid = sys::thread_id();
        for number in [
            libc::SYS_semop,
            libc::SYS_epoll_pwait2,
            libc::SYS_io_uring_enter,
        ] {
            assert_eq!(timeout(number, tid, |_| 0), Some(Timeout::None));
        }
        assert_eq!(
            timeout(libc::SYS_epoll_wait, tid, |_| u64::from(u32::MAX)),
            Some(Timeout::None)
        );
        assert_eq!(
            timeout(libc::SYS_epoll_wait, tid, |_| 7),
            Some(Timeout::Register(7))
        );
        assert_eq!(
            timeout(libc::SYS_recvfrom, tid, |_| 0),
            Some(Timeout::Elsewhere)
        );
    }

    #[test]
    fn what_may_not_be_repeated_is_not_restarted() {
        let tid = sys::thread_id();
        for number in [libc::SYS_close, libc::SYS_dup2, libc::SYS_nanosleep] {
            assert_eq!(timeout(number, tid, |_| 0), None);
        }
    }
}
