//! Signals that an untraced thread would not have noticed.
//!
//! The kernel throws a signal whose action is to ignore it away when it is sent, but not for a traced thread, whose
//! tracer might want to know (kernel/signal.c, `sig_task_ignored`): that thread wakes up, and a system call that is not
//! restarted, `epoll_wait` for one, returns EINTR. The tracer takes such a signal and has the call restarted.

use core::mem::offset_of;

use super::sys;

const SYSCALL: usize = offset_of!(libc::user_regs_struct, orig_rax);
const RESULT: usize = offset_of!(libc::user_regs_struct, rax);

/// The kernel's own codes (include/linux/errno.h): restart whatever the signal's action is.
const ERESTARTNOINTR: i64 = 513;

/// Whether the application ignores the signal, by its action or by default.
pub fn is_ignored(signal: i32) -> bool {
    let by_default = matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH);
    sys::signal_action(signal).is_ok_and(|action| {
        action.handler == libc::SIG_IGN || (action.handler == libc::SIG_DFL && by_default)
    })
}

/// Has the system call that the signal woke the thread from restarted, where it would return EINTR.
pub fn repair(tid: i32) {
    let (Ok(number), Ok(result)) = (
        sys::peek_register(tid, SYSCALL),
        sys::peek_register(tid, RESULT),
    ) else {
        return;
    };
    // At a stop outside of system calls the number is -1.
    if number as i64 >= 0 && result as i64 == -i64::from(libc::EINTR) {
        let _ = sys::poke_register(tid, RESULT, (-ERESTARTNOINTR) as u64);
    }
}
