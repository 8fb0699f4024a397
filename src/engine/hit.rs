//! What happens between a thread's stop at a site and its going on.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use super::account::{Account, Tally};
use super::channel::Channel;
use super::cpu::Cpu;
use super::moment::{Moment, ticks};
use super::sites::{Probe, Site, State};
use super::stopped::{Registers, Stopped};
use super::sys::{self, Change, CpuSet, Errno};
use super::text::Text;
use super::threads::Thread;
use super::{blocked, budget, enforce};
use crate::capture::interp::{self, Ran};
use crate::capture::program;

/// How many ticks a wait(2) takes at least that had to wait: to another thread and back is longer on any processor, and
/// to ask for a thread that is stopped already is shorter, unless there are hundreds.
const WAITED: u64 = 3_000;

/// How many newborns are remembered: those of creators that were served at almost the same moment.
const SETTLED: usize = 16;

/// The tracer's part that deals with hits.
pub struct Hits<'a> {
    channel: &'a Channel,
    cpu: Cpu,
    event: i32,
    /// This process, which shares the application's memory, also after the application's first thread has ended.
    memory: i32,
    /// Where the processor's clock is measured from.
    born: Moment,
    /// Until when, in ticks, no thread was stopped.
    idle_until: Cell<u64>,
    /// Whose creators were served before their first stop.
    settled: [Cell<i32>; SETTLED],
}

impl<'a> Hits<'a> {
    /// `event` is the eventfd that wakes detrix's thread.
    pub fn new(channel: &'a Channel, cpu: Cpu, event: i32) -> Self {
        Self {
            channel,
            cpu,
            event,
            memory: sys::process_id(),
            born: Moment::now(),
            idle_until: Cell::new(ticks()),
            settled: Default::default(),
        }
    }

    /// Serves the thread `tid`, which stopped at `site`.
    ///
    /// 1. Send the thread through the site's slot: first, for then it survives our death, see [`sys::next_change`]. A site
    ///    that was removed works the same: the slot stays.
    /// 2. Run the probes, unless the hit is a repetition or the thread is detrix's own.
    /// 3. Repair what the kernel did to a thread that blocked SIGTRAP.
    /// 4. Let it go on, on this CPU.
    /// 5. Charge its logpoints; take out what cost too much, or has logged enough.
    /// 6. Wake the reader.
    pub fn hit(&self, text: &Text, site: &Site, tid: i32, registers: &mut Registers) {
        let shared = &*self.channel.shared;
        let start = Moment::now();
        let _ = sys::poke_register(tid, sys::PROGRAM_COUNTER, site.displaced.slot());
        let thread = self.channel.threads.find(tid);
        // It may have waited for its turn since the last moment at which it was seen to run, or nobody waited.
        let stopped = thread.map_or(0, Thread::let_go).max(self.idle_until.get());
        let expired = !shared.is_own(tid) && self.record(site, tid, registers, start.time);
        blocked::repair(self.channel, tid);
        self.let_go(tid);
        let end = ticks();
        if let Some(thread) = thread {
            thread.set_let_go(end);
        }
        let spent = end.wrapping_sub(stopped.min(start.ticks));
        let cost = start
            .nanoseconds(spent, &self.born)
            .wrapping_add(budget::SWITCH);
        // SAFETY: this is the tracer, which has not answered the bell since.
        let suspended = unsafe { enforce::charge(shared, site, start.time, cost) };
        if expired || suspended {
            // SAFETY: as above.
            unsafe { enforce::settle_all(shared, text) };
            shared.attention.fetch_add(1, Ordering::Release);
            self.wake();
        } else if shared.ring.consumer_sleeps() {
            self.wake();
        }
    }

    /// Waits for any thread to change its state.
    pub fn wait(&self, block: bool) -> Result<Option<(i32, Change)>, Errno> {
        let start = ticks();
        let change = sys::next_change(None, block);
        let end = ticks();
        if end.wrapping_sub(start) > WAITED {
            self.idle_until.set(end);
        }
        change
    }

    /// Wakes detrix's thread.
    pub fn wake(&self) {
        self.channel.shared.backlog.called(sys::now());
        sys::notify(self.event);
    }

    /// Runs the probes; true when one's logpoint expired with that.
    fn record(&self, site: &Site, tid: i32, registers: &mut Registers, time: u64) -> bool {
        registers.general.rip = site.address;
        let stack = registers.general.rsp;
        let thread = self.channel.threads.find(tid);
        if thread.is_some_and(|thread| thread.take_repeat(site.address, stack)) {
            return false;
        }
        let mut expired = false;
        // SAFETY: this is the tracer, which has not answered the bell since.
        for probe in unsafe { site.probes() } {
            if site.state() != State::Armed || !probe.account.is_active() {
                self.count(&probe.account, |tally| &tally.missed);
                continue;
            }
            let mut stopped = Stopped {
                memory: self.memory,
                tid,
                registers,
                counter: &probe.account.counter,
            };
            self.run(probe, &mut stopped, time);
            if probe.account.expire() {
                let limited = &self.channel.shared.total.limited;
                limited.fetch_add(1, Ordering::Relaxed);
                expired = true;
            }
        }
        expired
    }

    fn count(&self, account: &Account, what: impl Fn(&Tally) -> &AtomicU64) {
        enforce::count(&self.channel.shared, account, what, 1);
    }

    fn run(&self, probe: &Probe, stopped: &mut Stopped<'_>, time: u64) {
        self.count(&probe.account, |tally| &tally.hits);
        // SAFETY: the tracer is the ring's one producer.
        match unsafe {
            self.channel
                .shared
                .ring
                .reserve(probe.program.record_limit())
        } {
            Some(mut room) => match interp::run(&probe.program, stopped, room.bytes()) {
                Ran::Recorded(len) => {
                    room.commit(len, probe.id, stopped.tid, time);
                    self.count(&probe.account, |tally| &tally.logged);
                }
                Ran::Undecided(len) if probe.tells_undecided() => {
                    room.commit(len, probe.id, stopped.tid, time);
                }
                Ran::Undecided(_) | Ran::Passed => {}
            },
            // A hit that does not count is not missed, and one that does is counted all the same.
            None => {
                if let Ran::Recorded(_) =
                    interp::run(&probe.program, stopped, &mut [0; program::HEAD])
                {
                    self.count(&probe.account, |tally| &tally.dropped);
                }
            }
        }
    }

    /// A thread or process that is born in the moment in which its creator's affinity is narrowed inherits that. At its
    /// first stop its creator is not known, unless that was served before: it gets what the last thread had that was
    /// narrowed.
    pub fn widen_newborn(&self, child: i32) {
        let settled = self.settled.iter().find(|settled| settled.get() == child);
        if let Some(settled) = settled {
            settled.set(0);
            return;
        }
        let last = self.channel.narrowed_set();
        if last != CpuSet::default() && self.affinity(child) == Some(self.cpu.only) {
            let _ = sys::set_affinity(child, &last);
        }
    }

    /// Where that is or would be wrong, the creator, stopped in the call that made `child`, puts it right.
    pub fn settle_newborn(&self, creator: i32, child: i32) {
        let (Some(has), Some(wanted)) = (self.affinity(child), self.affinity(creator)) else {
            return;
        };
        let given = has == self.cpu.only || self.cpu.unless_all(has) == self.channel.narrowed_set();
        if given && has != wanted {
            let _ = sys::set_affinity(child, &self.cpu.unless_all(wanted));
        }
        if self.channel.threads.find(child).is_none() {
            let free = self.settled.iter().find(|settled| settled.get() == 0);
            let place = free.or_else(|| self.settled.get(child as usize % SETTLED));
            if let Some(place) = place {
                place.set(child);
            }
        }
    }

    /// `None` where nobody is narrowed, too.
    fn affinity(&self, tid: i32) -> Option<CpuSet> {
        let mut set = CpuSet::default();
        (self.narrows() && sys::affinity(tid, &mut set).is_ok()).then_some(set)
    }

    /// Whether threads are let go on the tracer's processor.
    fn narrows(&self) -> bool {
        self.cpu.shared && !self.channel.unbound.load(Ordering::Relaxed)
    }

    /// Lets a thread go on, and deliver `signal`; one that is watched up to its next system call.
    pub fn resume(&self, tid: i32, signal: i32) {
        let thread = self.channel.threads.find(tid);
        let _ = match thread.is_some_and(Thread::is_watched) {
            true => sys::resume_to_call(tid, signal),
            false => sys::resume(tid, signal),
        };
    }

    /// Lets the thread go on where the tracer runs: switching to it there costs a tenth of waking another CPU.
    fn let_go(&self, tid: i32) {
        let mut before = CpuSet::default();
        if !self.narrows() || sys::affinity(tid, &mut before).is_err() {
            self.resume(tid, 0);
            return;
        }
        // One of a real-time policy would run there instead of the tracer, for as long as it likes.
        let narrow = self.cpu.narrowed(&before);
        let Some(narrow) = narrow.filter(|_| !sys::is_real_time(tid)) else {
            self.resume(tid, 0);
            return;
        };
        let back = self.cpu.unless_all(before);
        self.channel.set_narrowed(tid, &back);
        let _ = sys::set_affinity(tid, &narrow);
        self.resume(tid, 0);
        self.cpu.widen(tid, &back);
        self.channel.narrowed.store(0, Ordering::Release);
    }
}
