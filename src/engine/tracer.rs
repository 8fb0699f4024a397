//! The tracer: a task that shares the application's memory and traces its threads.
//!
//! It is made by the keeper with clone(2), runs on a stack of its own, borrows the keeper's thread-local storage without
//! touching it, and has no libc: see [`sys`]. It must not panic, lock or allocate, and it must never detach a thread of
//! the application or interrupt one: both end blocking system calls early. It lets go by exiting.
//!
//! 1. Become independent: die with the keeper, own session, own file table, blocked signals.
//! 2. Seize all threads, then say that it is ready.
//! 3. Wait for a thread to stop; find out why; deal with it; let the thread go on.

mod children;

use core::ffi::{c_int, c_void};
use core::mem::size_of;
use core::sync::atomic::Ordering;
use std::os::fd::AsRawFd;

use super::blocked;
use super::channel::{Channel, Command, Progress, Purpose, Stage, rung_at};
use super::cpu::Cpu;
use super::hit::Hits;
use super::shared::Shared;
use super::sites::State;
use super::stopped::Registers;
use super::sys::{self, Change, Errno};
use super::text::Text;
use super::{enforce, interrupted, proc};

/// `si_code` of a signal that the kernel raised for a trap of the thread's own.
const SI_KERNEL: i32 = 0x80;

/// Where `siginfo_t` has the address of a fault: behind three numbers and their padding (include/uapi/asm-generic/siginfo.h).
const SI_ADDR: usize = 16;

const _: () = assert!(size_of::<libc::siginfo_t>() == 128);

/// The signal of a stop at a system call (ptrace(2), PTRACE_O_TRACESYSGOOD).
const CALL: i32 = libc::SIGTRAP | 0x80;

/// How long no thread may have run into a site before the tracer leaves, in naps: 10 ms.
const QUIET: u32 = 100;

/// How long the tracer sleeps between two looks while it leaves, in nanoseconds: a stop, of a signal for one, waits so
/// long at the most.
const NAP: u32 = 100_000;

/// How many stops of the last hot thread are served before the others are asked.
const STREAK: u32 = 16;

/// How many stops are served before it is looked whether another thread waits for its turn, and how many are asked then.
const ROUND: u32 = 16;
const ASKED: u32 = 4;

/// From how many threads on it pays to ask for the last hot one first.
const MANY: usize = 32;

/// glibc's signal by which a thread that changes user or group makes the others follow.
const SIGSETXID: i32 = 33;

/// What clone(2) runs.
///
/// `channel` is a [`Channel`] that lives until the keeper has seen this task's end.
pub extern "C" fn main(channel: *mut c_void) -> c_int {
    // SAFETY: the keeper's promise.
    let channel = unsafe { &*channel.cast_const().cast::<Channel>() };
    match Tracer::start(channel) {
        Ok(mut tracer) => {
            channel.set_progress(Progress::Ready);
            // Else the keeper restores what is left in the text.
            if channel.purpose == Purpose::Trial || tracer.serve() {
                channel.set_progress(Progress::Left);
            }
            sys::exit(0)
        }
        Err((stage, errno)) => {
            channel.set_failure(stage, errno.0);
            channel.set_progress(Progress::Failed);
            sys::exit(1)
        }
    }
}

struct Tracer<'a> {
    channel: &'a Channel,
    shared: &'a Shared,
    text: Text,
    hits: Hits<'a>,
    /// Whether a program that has more privileges than this process would not get them from one that is traced.
    takes_privileges: bool,
    /// Set when the order to leave has come: naps without a hit.
    leaving: Option<u32>,
    /// Stops until the next thread in turn is asked, and where the last one was in the table of threads.
    until_turn: u32,
    turn: usize,
}

impl<'a> Tracer<'a> {
    fn start(channel: &'a Channel) -> Result<Self, (Stage, Errno)> {
        let shared = &*channel.shared;
        let at = |stage| move |errno| (stage, errno);
        sys::die_with_parent(libc::SIGKILL);
        if sys::parent() != shared.app {
            // The keeper ended before the line above: nobody would tell us.
            sys::exit(1);
        }
        sys::new_session();
        let event = shared.event.as_raw_fd();
        sys::leave_file_table(event).map_err(at(Stage::FileTable))?;
        // 1, not 0: with 0 a pipe as core_pattern would still be served (kernel/coredump.c).
        sys::limit_core(1);
        sys::block_signals(!(1 << (libc::SIGTRAP - 1)));
        sys::raise_priority(-19);
        while channel.go.load(Ordering::Acquire) == 0 {
            sys::futex_wait(&channel.go, 0);
        }
        // Not the process: its first thread may have ended, and has no memory then.
        reap_if_any(sys::process_id()).map_err(at(Stage::Wait))?;
        let text = Text::open(channel.keeper.load(Ordering::Acquire)).map_err(at(Stage::Memory))?;
        let hits = Hits::new(channel, Cpu::claim(), event);
        let mut tracer = Self {
            channel,
            shared,
            text,
            hits,
            takes_privileges: !sys::may_trace_privileged(),
            leaving: None,
            until_turn: ROUND,
            turn: 0,
        };
        match channel.purpose {
            Purpose::Trial => {
                sys::seize(channel.keeper.load(Ordering::Acquire), 0).map_err(at(Stage::Seize))?;
            }
            Purpose::Serve => tracer.seize_all()?,
        }
        Ok(tracer)
    }

    /// A thread that is just ending refuses to be seized like one that must not be (EPERM), and a main thread that has
    /// ended before the others stays in the list. But without the one that rings the bell nothing works.
    fn seize_all(&mut self) -> Result<(), (Stage, Errno)> {
        self.seize(self.channel.ringer)
            .map_err(|errno| (Stage::Seize, errno))?;
        proc::each_thread(self.shared.app, |tid| {
            let _ = self.seize(tid);
        })
        .map_err(|errno| (Stage::List, errno))
    }

    fn seize(&mut self, tid: i32) -> Result<(), Errno> {
        const OPTIONS: i32 = libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACESYSGOOD;
        if self.channel.threads.find(tid).is_some() {
            return Ok(());
        }
        sys::seize(tid, OPTIONS as usize)?;
        self.channel.threads.insert(tid);
        Ok(())
    }

    /// Deals with stops until the order to leave is carried out: true; or there is nothing to trace: false.
    fn serve(&mut self) -> bool {
        let mut last = 0;
        let mut streak = 0;
        loop {
            match self.next_stop(last, streak) {
                Some((tid, change)) => {
                    streak = if tid == last { streak + 1 } else { 0 };
                    self.channel.stops.fetch_add(1, Ordering::Relaxed);
                    last = if self.changed(tid, change) { tid } else { 0 };
                    self.channel.stops.fetch_add(1, Ordering::Relaxed);
                }
                None => return self.leaving.is_some(),
            }
        }
    }

    /// The next thread that changed its state: whoever rang the bell; now and then the next in turn; the thread that was
    /// hot, for a while; any.
    fn next_stop(&mut self, last: i32, streak: u32) -> Option<(i32, Change)> {
        loop {
            let caller = self.channel.bell.caller.load(Ordering::SeqCst);
            if caller != 0 {
                if let Ok(Some(change)) = sys::next_change(Some(caller), false) {
                    return Some(change);
                }
            } else if let Some(change) = self.in_turn() {
                return Some(change);
            } else if last != 0
                && streak < STREAK
                && self.channel.threads.count() >= MANY
                // Asking for all is linear in their number.
                && let Ok(Some(change)) = sys::next_change(Some(last), false)
            {
                return Some(change);
            }
            let change = self.hits.wait(self.leaving.is_none());
            match change {
                Ok(Some(change)) => return Some(change),
                Ok(None) => {
                    let quiet = self.leaving.unwrap_or(0).wrapping_add(1);
                    if quiet > QUIET {
                        return None;
                    }
                    self.leaving = Some(quiet);
                    sys::pause_for(NAP);
                }
                // A SIGTRAP to this task, harmless.
                Err(Errno::INTR) => {}
                // No thread is left.
                Err(_) => return None,
            }
        }
    }

    /// Asking for any thread prefers those that come first in the kernel's list; where these are always stopped again by
    /// the time that they are asked, the others would wait for ever. So some are asked in turn, the more often the more
    /// of them are found waiting.
    fn in_turn(&mut self) -> Option<(i32, Change)> {
        self.until_turn = self.until_turn.saturating_sub(1);
        if self.until_turn > 0 {
            return None;
        }
        for _ in 0..ASKED {
            let tid = self.channel.threads.next(&mut self.turn)?;
            if let Ok(Some(change)) = sys::next_change(Some(tid), false) {
                return Some(change);
            }
        }
        self.until_turn = ROUND;
        None
    }

    /// Deals with one change of state; true when it was a hit.
    fn changed(&mut self, tid: i32, change: Change) -> bool {
        match change {
            // All other threads are gone, and its parent may know of its end only when all is closed: when we are gone.
            Change::Ended if tid == self.shared.app => sys::exit(0),
            Change::Ended => {
                self.channel.threads.remove(tid);
                // Else it would be told of this thread for ever.
                if reap_if_any(tid).is_err() {
                    sys::exit(1);
                }
            }
            Change::Stopped {
                signal: libc::SIGTRAP,
                event: 0,
            } => return self.trapped(tid),
            Change::Stopped {
                signal: CALL,
                event: 0,
            } => self.called(tid),
            Change::Stopped { signal, event: 0 } => self.signalled(tid, signal),
            Change::Stopped {
                signal: libc::SIGTRAP,
                event: libc::PTRACE_EVENT_STOP,
            } => self.born(tid),
            Change::Stopped {
                event: libc::PTRACE_EVENT_STOP,
                ..
            } => self.group_stopped(tid),
            Change::Stopped {
                event: libc::PTRACE_EVENT_EXEC,
                ..
            } => self.executed(tid),
            Change::Stopped { .. } => {
                if let Ok(child) = sys::event_message(tid) {
                    self.hits.settle_newborn(tid, child as i32);
                }
                self.hits.resume(tid, 0);
            }
        }
        false
    }

    /// A SIGTRAP is about to be delivered: a site, the bell, or the program's own.
    fn trapped(&mut self, tid: i32) -> bool {
        let mut registers = Registers::default();
        if registers.read(tid).is_ok() {
            let pc = registers.general.rip;
            let site = self.shared.sites.find(pc.wrapping_sub(1));
            if let Some(site) = site
                && site.state() != State::Gone
                && (site.displaced.length() > 1 || raised_by_trap(tid))
            {
                if self.leaving.is_some() {
                    self.leaving = Some(0);
                }
                self.hits.hit(&self.text, site, tid, &mut registers);
                return true;
            }
            if pc == rung_at() && raised_by_trap(tid) {
                self.rung(tid);
                return false;
            }
            self.leave_slot(tid, pc);
        }
        blocked::prepare_delivery(self.channel, raised_by_trap(tid));
        self.hits.resume(tid, libc::SIGTRAP);
        false
    }

    /// Any other signal is about to be delivered. No address of a slot may become visible, and a signal that an
    /// untraced thread would not have noticed must not end a system call.
    fn signalled(&mut self, tid: i32, signal: i32) {
        if let Ok(pc) = sys::peek_register(tid, sys::PROGRAM_COUNTER) {
            self.leave_slot(tid, pc);
        }
        if signal == SIGSETXID && tid == self.channel.keeper.load(Ordering::Relaxed) {
            // The application changes user or group: detrix's thread compares and replaces this tracer.
            self.shared.attention.fetch_add(1, Ordering::Release);
            self.hits.wake();
        }
        let thread = self.channel.threads.find(tid);
        let signal = if interrupted::is_ignored(signal) && self.is_thread(tid) {
            interrupted::repair(tid, thread);
            0
        } else {
            if let Some(thread) = thread {
                interrupted::unrepair(tid, thread);
            }
            signal
        };
        self.hits.resume(tid, signal);
    }

    /// Has a thread that is at `pc`, in a slot, be where it would be without one.
    fn leave_slot(&self, tid: i32, pc: u64) {
        let Some(site) = self.shared.slots.site_at(pc) else {
            return;
        };
        let Some(original) = site.displaced.original(pc) else {
            return;
        };
        let Ok(stack) = sys::peek_register(tid, sys::STACK_POINTER) else {
            return;
        };
        let stack = stack.wrapping_add(original.stack);
        if original.stack != 0 {
            let _ = sys::poke_register(tid, sys::STACK_POINTER, stack);
        }
        let _ = sys::poke_register(tid, sys::PROGRAM_COUNTER, original.pc);
        if !original.passed
            && let Some(thread) = self.channel.threads.find(tid)
        {
            thread.expect_repeat(site.address, stack);
        }
        if let Ok(mut info) = sys::signal_info(tid)
            && matches!(info.si_signo, libc::SIGILL | libc::SIGFPE)
            && info.si_code > 0
        {
            // SAFETY: both signals carry an address when the kernel raised them (`si_code` > 0).
            let address = unsafe { &mut *(&raw mut info).byte_add(SI_ADDR).cast::<u64>() };
            if *address == pc {
                *address = original.pc;
                let _ = sys::set_signal_info(tid, &info);
            }
        }
    }

    /// Whether it is a thread of the application, not a process that shares its memory.
    fn is_thread(&self, tid: i32) -> bool {
        sys::is_thread_of(self.shared.app, tid)
    }

    fn rung(&mut self, tid: i32) {
        self.text.look_again();
        // SAFETY: that thread is stopped at the bell.
        for command in unsafe { self.channel.bell.commands() } {
            // Each may have to wait for the page of code that it writes.
            self.channel.stops.fetch_add(2, Ordering::Relaxed);
            match *command {
                Command::Settle(site) => {
                    // Only a site is a reason to stay; a thread that a look found just now is not.
                    self.leaving = None;
                    // SAFETY: sites live as long as `Shared`; the bell is not answered yet.
                    unsafe { enforce::settle(&self.text, &*site) }
                }
                // SAFETY: as above.
                Command::Disarm(site) => enforce::disarm(&self.text, unsafe { &*site }),
                // SAFETY: as above.
                Command::Resume => unsafe { enforce::resume(self.shared, &self.text, sys::now()) },
                // Its number may be that of a thread of another process by now.
                Command::Seize(tid) if sys::is_no_thread_of(self.shared.app, tid) => {}
                Command::Seize(tid) => drop(self.seize(tid)),
                Command::Leave => self.leaving = Some(0),
            }
        }
        self.channel.bell.answer();
        // The bell is a trap as any other, which no program ignores.
        blocked::repair(self.channel, tid);
        self.hits.resume(tid, 0);
    }
}

/// Reaps a task that has ended, if it is one of ours; an error where nobody may.
fn reap_if_any(tid: i32) -> Result<(), Errno> {
    match sys::wait(tid, libc::__WALL | libc::WNOHANG) {
        Err(errno) if errno.is_refusal() => Err(errno),
        _ => Ok(()),
    }
}

/// Whether the SIGTRAP that a thread is stopped at is of its own `int3`, not sent by somebody. Only a thread that ran
/// into an `int3` can be behind the first byte of a longer instruction; there nobody has to ask.
fn raised_by_trap(tid: i32) -> bool {
    sys::signal_info(tid).is_ok_and(|info| info.si_code == SI_KERNEL)
}
