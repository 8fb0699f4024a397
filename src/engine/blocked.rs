//! Threads that block or ignore SIGTRAP.
//!
//! A trap in such a thread makes the kernel unblock the signal there and set the handler of the process to the default: a
//! *reset* (kernel/signal.c, `force_sig_info_to_task`; the rest of the action it leaves). After a hit the tracer puts the
//! handler back, and blocks the signal again in the thread whose reset it was. Which one that is the handler does not tell:
//! several threads may be stopped at sites by the time that the reset is seen. So the tracer remembers of each thread what
//! its hits have shown. A thread is
//!
//! * a *blocker*, if it is known to block SIGTRAP, and with which mask: a reset was charged to it, or `/proc`, which is
//!   looked at now and then, said so while nothing else was known. With another mask than that it counts as unknown;
//! * *clean*, if it has hit without blocking SIGTRAP. detrix's own threads count as clean;
//! * *unknown* otherwise.
//!
//! To *charge* a thread with a reset is to block SIGTRAP there again; it is a blocker from then on. Of a reset that is seen
//!
//! 1. the thread that is served is charged, if it is a blocker.
//! 2. Else, while SIGTRAP is ignored, nobody is: every trap resets a handler that ignores.
//! 3. Else the likeliest stopped thread is chosen, the served one included: a blocker before an unknown one, and that before
//!    a clean one; of two unknown or two clean ones, one that blocks other signals. The threads are asked again and again,
//!    [`QUESTIONS`] times in all, until none can be likelier, so that one that is about to stop has the time to.
//! 4. The choice is charged, unless another thread runs that may be the true one, on its way to its stop. Then it is only
//!    *suspected*. That goes
//!    * never for a blocker, and for an unknown thread that blocks other signals;
//!    * for an unknown one that blocks no signal, where a thread that is not clean runs and looks as a trap leaves it: SIGTRAP
//!      is not blocked, and others are, or it is a blocker;
//!    * for a clean one, where any thread runs;
//!    * for one of detrix's own threads, always.
//!
//!    `/proc` tells who runs, of the first [`LOOKS`] threads in question. Where there are more, and none of these is one, a
//!    clean thread is suspected, and an unknown one charged.
//!
//! There is one suspect, the last one. The suspicion ends
//!
//! * when a blocker explains the reset: it is served with one, or found unblocked as below;
//! * when an unknown thread that blocks other signals hits within [`ON_THE_WAY`] and no reset is seen: it is charged;
//! * at the suspect's next hit after that time. It is charged then, if it has the mask that it had, and no other blocker is
//!   stopped with SIGTRAP unblocked. None of detrix's own threads is.
//!
//! A hit at which no reset is seen makes an unknown thread clean, if it is not charged as above. A blocker that has SIGTRAP
//! unblocked then, and else its mask, had a reset that was seen with another thread, if there was one since it was last
//! charged: it gets its mask back. Otherwise it has unblocked the signal itself, and is clean.
//!
//! Two mistakes are possible. A thread that is not charged lacks SIGTRAP in its mask, which hardly anything notices. One that
//! is charged with what it has not done makes the kernel reset the handler at each of its hits from then on: that is the
//! worse.

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::channel::Channel;
use super::proc::{self, Seen};
use super::sys::{self, Change, SignalAction, SignalSet};
use super::threads::Thread;

/// SIGTRAP in a mask.
pub const TRAP: SignalSet = 1 << (libc::SIGTRAP - 1);

/// How many times threads are asked whether they are stopped. One that has just run into a site is so within a microsecond or
/// two; each question takes a third of one.
const QUESTIONS: u32 = 128;

/// How many threads are looked at to see whether any runs: each takes some 10 us.
const LOOKS: u32 = 8;

/// How long a thread may be on its way from a trap to its stop, on a busy machine, in nanoseconds.
const ON_THE_WAY: u64 = 20_000_000;

/// Gives a thread that hit a site its mask back, and the process its action.
pub fn repair(channel: &Channel, tid: i32) {
    let cell = &channel.shared.trap_action;
    let (Ok(now), before) = (sys::signal_action(libc::SIGTRAP), cell.load()) else {
        return;
    };
    let thread = channel.threads.find(tid);
    if channel.suspicion.is_of(tid) && !channel.shared.is_own(tid) {
        convict(channel, tid);
    }
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
    let action = if now == reset(before) {
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
    channel.resets.fetch_add(1, Ordering::Relaxed);
    let Ok(mask) = sys::signal_mask(tid) else {
        return;
    };
    let rank = match channel.shared.is_own(tid) {
        true => Rank::HitWithout,
        false => rank(thread, mask),
    };
    let own = Candidate { rank, tid, mask };
    // Whoever is wrongly taken for the one while the signal is ignored would block it from then on.
    if own.rank == Rank::Known {
        give_back(channel, own);
        // Its trap may have been before what the suspect is suspected of.
        channel.suspicion.end();
    } else if action.handler != libc::SIG_IGN {
        let likeliest = likeliest(channel, own);
        // detrix's own threads let SIGTRAP through.
        if channel.shared.is_own(likeliest.tid) || another_may_come(channel, &likeliest) {
            channel.suspicion.begin(&likeliest);
        } else {
            give_back(channel, likeliest);
        }
    }
}

/// Before a SIGTRAP is delivered that is none of ours, so that it finds the action that it would find without us. `forced`
/// says that it is of the program's own `int3`, which the kernel lets nobody ignore.
pub fn prepare_delivery(channel: &Channel, forced: bool) {
    let cell = &channel.shared.trap_action;
    let (Ok(now), before) = (sys::signal_action(libc::SIGTRAP), cell.load()) else {
        return;
    };
    let default = SignalAction {
        handler: libc::SIG_DFL,
        ..now
    };
    let has_handler = !matches!(before.handler, libc::SIG_DFL | libc::SIG_IGN);
    let action = if has_handler && now != before && now == reset(before) {
        // By a hit that has not been served yet.
        channel.resets.fetch_add(1, Ordering::Relaxed);
        before
    } else if forced && now.handler == libc::SIG_IGN {
        default
    } else {
        // What the program has set. Remembered, or the next hit would take the default for a reset.
        now
    };
    cell.store(&action);
    if action != now {
        // SAFETY: the action was in place a moment ago, or is the default.
        let _ = unsafe { sys::set_signal_action(libc::SIGTRAP, &action) };
    }
}

/// What the kernel makes of an action when a trap finds it blocked or ignored.
fn reset(action: SignalAction) -> SignalAction {
    SignalAction {
        handler: libc::SIG_DFL,
        ..action
    }
}

fn give_back(channel: &Channel, culprit: Candidate) {
    let mask = culprit.mask | TRAP;
    let _ = sys::set_signal_mask(culprit.tid, mask);
    if let Some(thread) = channel.threads.find(culprit.tid) {
        thread.set_blocked(mask, channel.resets.load(Ordering::Relaxed));
    }
}

/// A stopped thread that may have had SIGTRAP blocked.
#[derive(Clone, Copy)]
struct Candidate {
    rank: Rank,
    tid: i32,
    /// Its mask now.
    mask: SignalSet,
}

/// How likely it is that a stopped thread, which has SIGTRAP unblocked now, had it blocked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    HitWithout,
    HitWithoutButBlocksOthers,
    Unknown,
    UnknownButBlocksOthers,
    Known,
}

fn rank(thread: Option<&Thread>, mask: SignalSet) -> Rank {
    let blocked = thread.map_or(0, Thread::blocked);
    let known = thread.is_some_and(Thread::has_hit_without);
    match (known, mask != 0) {
        _ if blocked != 0 && blocked == mask | TRAP => Rank::Known,
        (true, false) => Rank::HitWithout,
        (true, true) => Rank::HitWithoutButBlocksOthers,
        (false, false) => Rank::Unknown,
        (false, true) => Rank::UnknownButBlocksOthers,
    }
}

/// A thread that may be the one of a reset. The tracer's only.
#[derive(Default)]
pub struct Suspicion {
    /// 0 for none.
    tid: AtomicI32,
    /// Its mask when it was served.
    mask: AtomicU64,
    /// When that was, in nanoseconds of the monotonic clock.
    since: AtomicU64,
}

impl Suspicion {
    fn is_of(&self, tid: i32) -> bool {
        self.tid.load(Ordering::Relaxed) == tid
    }

    fn begin(&self, suspect: &Candidate) {
        self.mask.store(suspect.mask, Ordering::Relaxed);
        self.since.store(sys::now(), Ordering::Relaxed);
        self.tid.store(suspect.tid, Ordering::Relaxed);
    }

    fn end(&self) {
        self.tid.store(0, Ordering::Relaxed);
    }

    /// Whether it began so long ago that whoever was on its way then has arrived.
    fn is_old(&self) -> bool {
        sys::now().wrapping_sub(self.since.load(Ordering::Relaxed)) >= ON_THE_WAY
    }
}

/// The thread that a reset is most likely of, when the thread that is served is `own`.
fn likeliest(channel: &Channel, own: Candidate) -> Candidate {
    let mut questions = QUESTIONS;
    let mut best = own;
    loop {
        let before = questions;
        let mut others_known = false;
        // Those that are known first: mostly it is one of them.
        for known in [true, false] {
            channel.threads.each(|other, thread| {
                let is_known = thread.blocked() != 0;
                others_known |= is_known && other != own.tid;
                let excluded = other == own.tid || channel.shared.is_own(other);
                if excluded || is_known != known || best.rank == Rank::Known {
                    return;
                }
                questions = questions.saturating_sub(1);
                if let Some(mask) = stopped_mask(other) {
                    let rank = rank(Some(thread), mask);
                    if rank > best.rank {
                        best = Candidate {
                            rank,
                            tid: other,
                            mask,
                        };
                    }
                }
            });
        }
        let enough = if others_known {
            Rank::Known
        } else {
            Rank::UnknownButBlocksOthers
        };
        let nobody_is_left = questions == before;
        if best.rank >= enough || questions == 0 || nobody_is_left {
            return best;
        }
    }
}

/// Whether a traced thread may be on its way to its stop that is likelier than `best`.
fn another_may_come(channel: &Channel, best: &Candidate) -> bool {
    let as_a_trap_leaves_it = |thread: &Thread, seen: Seen| {
        let blocks_others = seen.blocked != 0 || thread.blocked() != 0;
        seen.runs && seen.blocked & TRAP == 0 && blocks_others
    };
    let may_be = |thread: &Thread| !thread.has_hit_without();
    match best.rank {
        Rank::Known | Rank::UnknownButBlocksOthers => false,
        Rank::Unknown => any(channel, best.tid, may_be, as_a_trap_leaves_it) == Some(true),
        Rank::HitWithout | Rank::HitWithoutButBlocksOthers => {
            any(channel, best.tid, |_| true, |_, seen| seen.runs) != Some(false)
        }
    }
}

/// Whether one of the traced threads but `one` looks so that is among some; `None` where it is none of the first few of many.
fn any(
    channel: &Channel,
    one: i32,
    among: impl Fn(&Thread) -> bool,
    looks_so: impl Fn(&Thread, Seen) -> bool,
) -> Option<bool> {
    let mut looks = LOOKS;
    let mut found = Some(false);
    channel.threads.each(|tid, thread| {
        let is_asked = tid != one && !channel.shared.is_own(tid) && among(thread);
        if is_asked && found == Some(false) {
            found = (looks > 0).then(|| {
                let seen = proc::look(channel.shared.app, tid);
                seen.is_some_and(|seen| looks_so(thread, seen))
            });
            looks = looks.saturating_sub(1);
        }
    });
    found
}

/// At a later hit of a suspect, when nobody else has explained the reset for a while.
fn convict(channel: &Channel, tid: i32) {
    if !channel.suspicion.is_old() {
        return;
    }
    channel.suspicion.end();
    let mut explained = false;
    channel.threads.each(|other, thread| {
        let blocked = thread.blocked();
        explained |= other != tid
            && blocked != 0
            && stopped_mask(other).is_some_and(|mask| mask | TRAP == blocked);
    });
    if let Ok(mask) = sys::signal_mask(tid)
        && mask == channel.suspicion.mask.load(Ordering::Relaxed)
        && !explained
    {
        let rank = Rank::Known;
        give_back(channel, Candidate { rank, tid, mask });
    }
}

/// The mask of a thread that is stopped at a trap and has SIGTRAP unblocked.
fn stopped_mask(tid: i32) -> Option<SignalSet> {
    const TRAPPED: Change = Change::Stopped {
        signal: libc::SIGTRAP,
        event: 0,
    };
    match sys::next_change(Some(tid), false) {
        Ok(Some((_, TRAPPED))) => sys::signal_mask(tid).ok().filter(|mask| mask & TRAP == 0),
        _ => None,
    }
}

/// Where nothing is to be seen at the action.
fn repair_alone(channel: &Channel, thread: &Thread, tid: i32) {
    let blocked = thread.blocked();
    if blocked == 0 {
        if thread.has_hit_without() || !explains(channel, tid) {
            thread.hits_without();
        }
        return;
    }
    let Ok(mask) = sys::signal_mask(tid) else {
        return;
    };
    let resets = channel.resets.load(Ordering::Relaxed);
    if mask & TRAP == 0 && mask | TRAP == blocked && thread.resets() != resets {
        let _ = sys::set_signal_mask(tid, blocked);
        thread.set_blocked(blocked, resets);
        // Whatever the suspect did, this explains it.
        channel.suspicion.end();
    } else if mask & TRAP == 0 {
        thread.set_blocked(0, resets);
    }
}

/// Whether the first hit of a thread explains what another one is suspected of; then it gets its mask.
fn explains(channel: &Channel, tid: i32) -> bool {
    if channel.suspicion.is_of(0) || channel.suspicion.is_old() {
        return false;
    }
    match sys::signal_mask(tid) {
        Ok(mask) if mask != 0 && mask & TRAP == 0 => {
            channel.suspicion.end();
            let rank = Rank::UnknownButBlocksOthers;
            give_back(channel, Candidate { rank, tid, mask });
            true
        }
        _ => false,
    }
}
