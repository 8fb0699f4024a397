//! Masks and actions of signals.

use core::mem::size_of;

use super::{Errno, check, syscall};

/// The kernel's set of 64 signals; bit `n - 1` is signal `n`.
pub type SignalSet = u64;

/// Sets this task's mask of blocked signals.
pub fn block_signals(set: SignalSet) {
    change_mask(libc::SIG_SETMASK, set);
}

/// Blocks some signals more in this task.
pub fn block_more_signals(set: SignalSet) {
    change_mask(libc::SIG_BLOCK, set);
}

fn change_mask(how: i32, set: SignalSet) {
    // SAFETY: the kernel reads one set; no old one is asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            how as usize,
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
