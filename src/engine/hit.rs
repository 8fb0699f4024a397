//! What happens between a thread's stop at a site and its going on.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use super::budget;
use super::shared::Channel;
use super::sites::{Probe, Site, State};
use super::sys::{self, CpuSet, SignalAction};
use super::text::{INT3, Text};
use crate::capture::interp::{self, Machine};
use crate::symbols::place::Register;

const PC: usize = offset_of!(libc::user_regs_struct, rip);

const SIGTRAP_BIT: sys::SignalSet = 1 << (libc::SIGTRAP - 1);

/// The tracer's part that deals with hits.
pub struct Hits<'a> {
    channel: &'a Channel,
    cpu: Cpu,
    event: i32,
}

impl<'a> Hits<'a> {
    /// `event` is the eventfd that wakes detrix's thread.
    pub fn new(channel: &'a Channel, cpu: Cpu, event: i32) -> Self {
        Self {
            channel,
            cpu,
            event,
        }
    }

    /// Serves the thread `tid`, which stopped at `site`.
    ///
    /// 1. Send the thread through the site's slot: first, for then it survives our death, see [`sys::next_change`]. A site
    ///    that was removed works the same: the slot stays.
    /// 2. Run the probes, unless the hit is a repetition or the thread is detrix's own.
    /// 3. Let it go on, on this CPU.
    /// 4. Repair what the kernel did to a thread that blocked SIGTRAP.
    /// 5. Charge the site; take it out when it cost too much.
    /// 6. Wake the reader.
    pub fn hit(&self, text: &Text, site: &Site, tid: i32) {
        let shared = &*self.channel.shared;
        let start = sys::now();
        let _ = sys::poke_register(tid, PC, site.displaced.slot());
        if site.state() == State::Armed && !shared.is_own(tid) {
            self.record(site, tid, start);
        }
        self.repair_trap_action(tid);
        self.let_go(tid);
        let end = sys::now();
        let cost = end.wrapping_sub(start).wrapping_add(budget::SWITCH);
        if site.meter.charge(end, cost, shared.site_allowance) && site.state() == State::Armed {
            text.replace(site.address, INT3, site.original);
            site.set_state(State::Suspended);
            site.suspensions.fetch_add(1, Ordering::Relaxed);
            shared.attention.fetch_add(1, Ordering::Release);
            self.wake();
        } else if shared.ring.consumer_sleeps() {
            self.wake();
        }
    }

    /// Wakes detrix's thread.
    pub fn wake(&self) {
        sys::notify(self.event);
    }

    fn record(&self, site: &Site, tid: i32, time: u64) {
        let mut stopped = Stopped::new(self.channel.shared.app);
        if sys::general_registers(tid, &mut stopped.general).is_err() {
            return;
        }
        stopped.tid = tid;
        stopped.general.rip = site.address;
        let repeated = self
            .channel
            .threads
            .find(tid)
            .is_some_and(|thread| thread.take_repeat(site.address, stopped.general.rsp));
        if repeated {
            return;
        }
        // SAFETY: this is the tracer, which has not answered the bell since.
        for probe in unsafe { site.probes() } {
            self.run(probe, &mut stopped, time);
        }
    }

    fn run(&self, probe: &Probe, stopped: &mut Stopped, time: u64) {
        probe.hits.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the tracer is the ring's one producer.
        match unsafe {
            self.channel
                .shared
                .ring
                .reserve(probe.program.record_limit())
        } {
            Some(mut room) => {
                let len = interp::run(&probe.program, stopped, room.bytes());
                room.commit(len, probe.id, stopped.tid, time);
            }
            None => {
                probe.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A trap in a thread that blocks or ignores SIGTRAP makes the kernel unblock it and reset the action
    /// (kernel/signal.c, `force_sig_info_to_task`). The reset is what tells: the action that was there comes back, and
    /// the thread gets its mask back.
    fn repair_trap_action(&self, tid: i32) {
        let cell = &self.channel.shared.trap_action;
        let (Ok(now), before) = (sys::signal_action(libc::SIGTRAP), cell.load()) else {
            return;
        };
        if now == before {
            return;
        }
        if now.handler != libc::SIG_DFL {
            // The application's own doing.
            cell.store(&now);
            return;
        }
        // SAFETY: the action was in place a moment ago.
        let _ = unsafe { sys::set_signal_action(libc::SIGTRAP, &before) };
        if before.handler != libc::SIG_IGN
            && let Ok(mask) = sys::signal_mask(tid)
        {
            let _ = sys::set_signal_mask(tid, mask | SIGTRAP_BIT);
        }
    }

    /// Lets the thread go on where the tracer runs: switching to it there costs a tenth of waking another CPU.
    fn let_go(&self, tid: i32) {
        let mut before = CpuSet::default();
        if !self.cpu.shared || sys::affinity(tid, &mut before).is_err() {
            let _ = sys::resume(tid, 0);
            return;
        }
        let Some(narrow) = self.cpu.narrowed(&before) else {
            let _ = sys::resume(tid, 0);
            return;
        };
        // "All" where the thread was unrestricted, so that it follows when the machine's set is widened later.
        let back = if before == self.cpu.all {
            [u64::MAX; 16]
        } else {
            before
        };
        self.channel.set_narrowed(tid, &back);
        let _ = sys::set_affinity(tid, &narrow);
        let _ = sys::resume(tid, 0);
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

    /// What to narrow a thread's set to; `None` where it is so narrow already, or does not have this CPU.
    fn narrowed(&self, set: &CpuSet) -> Option<CpuSet> {
        let has_it = set
            .iter()
            .zip(&self.only)
            .all(|(has, only)| has & only == *only);
        (has_it && *set != self.only).then_some(self.only)
    }
}

/// A stopped thread, as capture programs see it.
struct Stopped {
    app: i32,
    tid: i32,
    general: libc::user_regs_struct,
    vector: Option<libc::user_fpregs_struct>,
}

impl Stopped {
    fn new(app: i32) -> Self {
        // SAFETY: plain numbers, for which zeroes are valid.
        let general = unsafe { core::mem::zeroed() };
        Self {
            app,
            tid: 0,
            general,
            vector: None,
        }
    }
}

impl Machine for Stopped {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        let r = &self.general;
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
        sys::read_memory(self.app, address, out)
    }
}

impl Stopped {
    fn vector_register(&mut self, number: u8) -> Option<[u8; 16]> {
        if self.vector.is_none() {
            // SAFETY: plain numbers, for which zeroes are valid.
            let mut registers = unsafe { core::mem::zeroed() };
            sys::vector_registers(self.tid, &mut registers).ok()?;
            self.vector = Some(registers);
        }
        let words = self
            .vector
            .as_ref()?
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

const _: () = assert!(size_of::<SignalAction>() == 32);
