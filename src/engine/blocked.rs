//! Threads that block or ignore SIGTRAP.
//!
//! A trap in such a thread makes the kernel unblock the signal there and reset its handler (kernel/signal.c,
//! `force_sig_info_to_task`); the rest of the action it leaves. After each hit the tracer puts back what was there. The reset
//! tells that a thread blocked the signal, but not which one: several may be stopped at sites by the time that it is seen, and
//! all but the first have lost nothing but a bit of their mask. So the mask of each thread that is known to block the signal is
//! remembered:
//!
//! 1. The action was reset: of the thread that is served, if it is known to have blocked the signal, or if no other one that is
//!    known for it is stopped.
//! 2. It was not, but a thread that blocked the signal at its last hit has it unblocked now: that was another reset, repaired
//!    since that hit, if there was one and nothing else of the mask has changed; or the thread's own doing.
//!
//! A thread is known by its hits, and before the first by what `/proc` says of it, soon after it is traced.

use core::sync::atomic::Ordering;

use super::channel::Channel;
use super::sys::{self, Change, SignalAction, SignalSet};
use super::threads::Thread;

/// SIGTRAP in a mask.
pub const TRAP: SignalSet = 1 << (libc::SIGTRAP - 1);

/// How often threads that are known are asked whether they are stopped. One that has just run into a site is so within a
/// microsecond or two, each question takes a third of one.
const ROUNDS: u32 = 16;

/// Gives a thread that hit a site its mask back, and the process its action.
pub fn repair(channel: &Channel, tid: i32) {
    let cell = &channel.shared.trap_action;
    let (Ok(now), before) = (sys::signal_action(libc::SIGTRAP), cell.load()) else {
        return;
    };
    let thread = channel.threads.find(tid);
    if now == before {
        if let Some(thread) = thread {
            repair_alone(channel, thread, tid);
        }
        return;
    }
    if now.handler != libc::SIG_DFL {
        // The application's own doing.
        cell.store(&now);
        return;
    }
    let reset = SignalAction {
        handler: libc::SIG_DFL,
        ..before
    };
    let action = if now == reset {
        before
    } else {
        // The application's doing as well, but whether it set this, or to ignore the signal, the reset hides. A
        // signal that is ignored by mistake kills nobody.
        let ignored = SignalAction {
            handler: libc::SIG_IGN,
            ..now
        };
        cell.store(&ignored);
        ignored
    };
    // SAFETY: the action was in place a moment ago, or ignores the signal.
    let _ = unsafe { sys::set_signal_action(libc::SIGTRAP, &action) };
    let resets = channel.resets.fetch_add(1, Ordering::Relaxed);
    let Ok(mask) = sys::signal_mask(tid) else {
        return;
    };
    let known = thread.is_some_and(|thread| thread.blocked() == mask | TRAP);
    if known || (action.handler != libc::SIG_IGN && !is_anothers(channel, tid)) {
        let _ = sys::set_signal_mask(tid, mask | TRAP);
        if let Some(thread) = thread {
            thread.set_blocked(mask | TRAP, resets.wrapping_add(1));
        }
    }
}

/// The second case above: nothing is to be seen at the action.
fn repair_alone(channel: &Channel, thread: &Thread, tid: i32) {
    let blocked = thread.blocked();
    if blocked == 0 {
        return;
    }
    let Ok(mask) = sys::signal_mask(tid) else {
        return;
    };
    let resets = channel.resets.load(Ordering::Relaxed);
    if mask & TRAP == 0 && mask | TRAP == blocked && thread.resets() != resets {
        let _ = sys::set_signal_mask(tid, blocked);
        thread.set_blocked(blocked, resets);
    } else if mask & TRAP == 0 {
        thread.set_blocked(0, resets);
    }
}

/// Whether a reset is explained by another thread than `tid`: one that is known to block the signal, is stopped at a trap and
/// has it unblocked.
fn is_anothers(channel: &Channel, tid: i32) -> bool {
    for _ in 0..ROUNDS {
        let mut known = false;
        let mut found = false;
        channel.threads.each(|other, thread| {
            let blocked = thread.blocked();
            if other == tid || blocked == 0 || found {
                return;
            }
            known = true;
            let trapped = matches!(
                sys::next_change(Some(other), false),
                Ok(Some((
                    _,
                    Change::Stopped {
                        signal: libc::SIGTRAP,
                        event: 0
                    }
                )))
            );
            found = trapped
                && sys::signal_mask(other)
                    .is_ok_and(|mask| mask | TRAP == blocked && mask != blocked);
        });
        if found || !known {
            return found;
        }
    }
    false
}
