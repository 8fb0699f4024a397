//! What happens between a thread's stop at a site and its going on.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use super::account::{Account, Tally};
use super::channel::Channel;
use super::sites::{Probe, Site, State};
use super::sys::{self, Change, CpuSet, Errno};
use super::text::Text;
use super::threads::Thread;
use super::{blocked, budget, enforce};
use crate::capture::interp::{self, Machine, Ran};
use crate::capture::program;
use crate::symbols::place::{Register, THREAD_POINTER};

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
        (self.cpu.shared && sys::affinity(tid, &mut set).is_ok()).then_some(set)
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
        if !self.cpu.shared || sys::affinity(tid, &mut before).is_err() {
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
        let _ = sys::set_affinity(tid, &back);
        self.channel.narrowed.store(0, Ordering::Release);
    }
}

/// Where the tracer runs.
pub struct Cpu {
    /// This CPU alone.
    only: CpuSet,
    /// All CPUs that the process may use.
    all: CpuSet,
    /// Whether there are others.
    shared: bool,
}

impl Cpu {
    /// Binds the tracer to the CPU that it runs on.
    pub fn claim() -> Self {
        let mut all = CpuSet::default();
        let _ = sys::set_affinity(0, &[u64::MAX; 16]);
        let _ = sys::affinity(0, &mut all);
        let cpu = sys::current_cpu();
        let mut only = CpuSet::default();
        if let Some(word) = only.get_mut(cpu / 64) {
            *word = 1 << (cpu % 64);
        }
        let count: u32 = all.iter().map(|word| word.count_ones()).sum();
        let bound = sys::set_affinity(0, &only).is_ok();
        Self {
            only,
            all,
            shared: bound && count > 1,
        }
    }

    /// "All" for a thread that is not restricted, so that it follows when the machine's set is widened later.
    fn unless_all(&self, set: CpuSet) -> CpuSet {
        if set == self.all { [u64::MAX; 16] } else { set }
    }

    /// What to narrow a thread's set to; `None` where it is so narrow already, or does not have this CPU.
    fn narrowed(&self, set: &CpuSet) -> Option<CpuSet> {
        let has_it = set
            .iter()
            .zip(&self.only)
            .all(|(has, only)| has & only == *only);
        (has_it && *set != self.only).then_some(self.only)
    }
}

/// A moment by two clocks: the system's, which everybody else knows, and the processor's, which costs no system call.
struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    time: u64,
    ticks: u64,
}

impl Moment {
    fn now() -> Self {
        Self {
            time: sys::now(),
            ticks: ticks(),
        }
    }

    /// How long `spent` ticks are, in nanoseconds; how fast the processor's clock runs shows from `origin` to this moment.
    fn nanoseconds(&self, spent: u64, origin: &Self) -> u64 {
        let spent = u128::from(spent);
        let ticks = u128::from(self.ticks.wrapping_sub(origin.ticks)).max(1);
        let nanoseconds = u128::from(self.time.wrapping_sub(origin.time));
        u64::try_from(
            spent
                .wrapping_mul(nanoseconds)
                .checked_div(ticks)
                .unwrap_or(0),
        )
        .unwrap_or(0)
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has it; user code may be forbidden it by PR_SET_TSC, which concerns the calling
    // thread and is inherited: then the tracer dies, and the keeper repairs.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A stopped thread's registers.
pub struct Registers {
    /// Read at every stop.
    pub general: libc::user_regs_struct,
    /// Read where a capture program asks for one.
    vector: Option<libc::user_fpregs_struct>,
}

impl Default for Registers {
    fn default() -> Self {
        // SAFETY: plain numbers, for which zeroes are valid.
        let general = unsafe { core::mem::zeroed() };
        Self {
            general,
            vector: None,
        }
    }
}

impl Registers {
    /// Reads the general ones.
    pub fn read(&mut self, tid: i32) -> Result<(), sys::Errno> {
        sys::general_registers(tid, &mut self.general)
    }
}

/// A stopped thread, as capture programs see it.
struct Stopped<'a> {
    /// The process to read memory by.
    memory: i32,
    tid: i32,
    registers: &'a mut Registers,
    /// Of the hits of the logpoint.
    counter: &'a AtomicU64,
}

impl Machine for Stopped<'_> {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        let r = &self.registers.general;
        let value = match register {
            Register::General(0) => r.rax,
            Register::General(1) => r.rdx,
            Register::General(2) => r.rcx,
            Register::General(3) => r.rbx,
            Register::General(4) => r.rsi,
            Register::General(5) => r.rdi,
            Register::General(6) => r.rbp,
            Register::General(7) => r.rsp,
            Register::General(8) => r.r8,
            Register::General(9) => r.r9,
            Register::General(10) => r.r10,
            Register::General(11) => r.r11,
            Register::General(12) => r.r12,
            Register::General(13) => r.r13,
            Register::General(14) => r.r14,
            Register::General(15) => r.r15,
            Register::General(16) => r.rip,
            Register::General(THREAD_POINTER) => r.fs_base,
            Register::General(_) => return None,
            Register::Vector(number) => return self.vector_register(number),
        };
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
            *byte = from;
        }
        Some(bytes)
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        sys::read_memory(self.memory, address, out)
    }

    fn count(&mut self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    fn thread(&self) -> u64 {
        u64::try_from(self.tid).unwrap_or(0)
    }

    fn time(&self) -> u64 {
        sys::wall_time()
    }
}

impl Stopped<'_> {
    fn vector_register(&mut self, number: u8) -> Option<[u8; 16]> {
        if self.registers.vector.is_none() {
            // SAFETY: plain numbers, for which zeroes are valid.
            let mut vector = unsafe { core::mem::zeroed() };
            sys::vector_registers(self.tid, &mut vector).ok()?;
            self.registers.vector = Some(vector);
        }
        let vector = self.registers.vector.as_ref()?;
        let words = vector
            .xmm_space
            .get(usize::from(number) * 4..)?
            .first_chunk::<4>()?;
        let mut bytes = [0; 16];
        for (byte, from) in bytes
            .iter_mut()
            .zip(words.iter().flat_map(|word| word.to_le_bytes()))
        {
            *byte = from;
        }
        Some(bytes)
    }
}
