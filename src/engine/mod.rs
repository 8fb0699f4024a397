//! Sites, patched text and the tracer: everything that touches running threads.
//!
//! [`Engine`] is the side of detrix's own thread. It prepares sites, gives the [`tracer`] its orders by the
//! [bell](channel::Bell), reads the [`ring`], and does what needs a clock: looking for threads that are not traced yet,
//! putting suspended sites back, comparing privileges. The tracer only reacts.

mod account;
mod backlog;
mod blocked;
mod budget;
mod channel;
pub mod displace;
mod enforce;
mod error;
mod hit;
mod interrupted;
mod keeper;
mod limits;
mod mapping;
mod origin;
mod privileges;
mod proc;
mod quiet;
mod ring;
mod shared;
mod sites;
mod slots;
mod sync;
mod sys;
mod text;
mod threads;
mod tracer;
mod trap;
mod trial;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use account::{Account, Counts, Limits, Standing};
pub use backlog::Backlog;
pub use budget::{Meter, Total};
pub use error::{EngineError, PlaceError};
pub use limits::check_memory;
pub use ring::Header;
pub use trial::try_tracing;

use nix::sys::signal::{SigSet, Signal};

use crate::capture::program::Program;
use channel::{Command, Progress, Purpose};
use keeper::Tracer;
use origin::{Mappings, Origin};
use privileges::Privileges;
use shared::{OwnThread, Shared};
use sites::{LONGEST_INSTRUCTION, Probe, Site, State};
use trap::TrapHandler;

/// When to look for untraced threads after seizing: a thread may have been born meanwhile by one that was not traced.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(9),
    Duration::from_millis(90),
    Duration::from_millis(900),
];

/// And from then on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many threads' masks are looked up at one time: each takes some 20 us.
const LOOK_UP: usize = 64;

/// What the engine may cost the application.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The share of one CPU's time that all logpoints together may stop threads for, 0 to 1; 1 is no limit. What one may,
    /// its [`Account`] says.
    pub total_share: f64,
}

/// A probe to place.
pub struct Placement {
    /// The number that its records will carry.
    pub probe: u32,
    /// Where.
    pub address: u64,
    /// The code of the module that the address is in.
    pub text: Range<u64>,
    /// What is mapped there, from [`locate`].
    pub origin: Option<Origin>,
    /// What to record.
    pub program: Program,
    /// What the logpoint may do, and has done; shared by all its probes.
    pub account: Arc<Account>,
}

/// Looks up what is mapped where the placements are. Only if their modules are still loaded afterwards is it theirs: a library
/// may be unloaded at any time, and the program map something else in its place.
pub fn locate(placements: &mut [Placement]) {
    let Ok(mappings) = Mappings::open(sys::thread_id()) else {
        return;
    };
    for placement in placements {
        placement.origin = mappings.origin(placement.address);
    }
}

/// What happened on its own account.
#[derive(Debug)]
pub enum Event {
    /// Logpoints were suspended, or have expired: their accounts say which.
    Limited,
    /// There is no tracer any more, and no probe; the text is as it was.
    Lost {
        /// Why, for people.
        reason: String,
        /// The probes that are gone.
        probes: Vec<u32>,
    },
}

/// See the module's documentation. Belongs to the thread that started it.
pub struct Engine {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    trap: Option<TrapHandler>,
    _own: OwnThread,
    tracer: Option<Tracer>,
    probes: HashMap<u32, Arc<Probe>>,
    privileges: Privileges,
    looks: usize,
    next_look: Instant,
    /// Events to tell at the next [`Engine::tick`].
    lost: Vec<Event>,
    attention: u32,
    /// How often logpoints were suspended or expired, as far as it was told.
    limited: u64,
}

impl Engine {
    /// Installs the SIGTRAP handler and tries whether this process lets itself be traced. Nothing is traced yet.
    ///
    /// # Errors
    ///
    /// When tracing is refused, with what to change; nothing is left behind then.
    pub fn start(budget: Budget) -> Result<Self, EngineError> {
        privileges::check_shadow_stack()?;
        error::check_not_traced()?;
        warn_of_old_kernel();
        let total = Total::new(budget.total_share);
        let shared = Arc::new(Shared::new(total).map_err(EngineError::Resources)?);
        unblock_trap();
        let own = shared.own_thread();
        let trap = TrapHandler::install(shared.clone()).map_err(EngineError::Resources)?;
        let engine = Self {
            shared,
            trap: Some(trap),
            _own: own,
            tracer: None,
            probes: HashMap::new(),
            privileges: Privileges::current(),
            looks: 0,
            next_look: Instant::now(),
            lost: Vec::new(),
            attention: 0,
            limited: 0,
        };
        trial::run(&engine.shared)?;
        Ok(engine)
    }

    /// An eventfd that becomes readable when [`Engine::read`] or [`Engine::tick`] has something to do.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    /// Whether it is one of detrix's own threads, whose hits are never reported.
    pub fn is_own_thread(&self, tid: i32) -> bool {
        self.shared.is_own(tid)
    }

    /// Where a probe is.
    pub fn address(&self, probe: u32) -> Option<u64> {
        self.probes.get(&probe).map(|probe| probe.address)
    }

    /// Removes probes and places others, at once. The text is patched when this returns; each placement's result has its
    /// place in the answer.
    pub fn change(&mut self, remove: &[u32], place: Vec<Placement>) -> Vec<Result<(), PlaceError>> {
        let removed: Vec<Arc<Probe>> = remove
            .iter()
            .filter_map(|probe| self.probes.remove(probe))
            .collect();
        let mut touched: BTreeSet<u64> = removed.iter().map(|probe| probe.address).collect();
        let mappings = Mappings::open(sys::thread_id()).ok();
        let mut placed = Vec::new();
        for placement in place {
            let probe = placement.probe;
            placed.push(self.prepare(placement, mappings.as_ref()).map(|address| {
                touched.insert(address);
                probe
            }));
        }
        let failed = self.publish(&touched);
        self.close_accounts(&removed);
        let mut failures = match failed {
            Ok(failures) => failures,
            // Without a tracer no site is in the text: none of what was placed before works either.
            Err(error) => {
                let placed = |id: &u32| placed.iter().flatten().any(|placed| placed == id);
                let others: Vec<u32> = self
                    .probes
                    .keys()
                    .copied()
                    .filter(|id| !placed(id))
                    .collect();
                if !others.is_empty() {
                    self.lost.push(Event::Lost {
                        reason: error.to_string(),
                        probes: others,
                    });
                    self.shared.call_attention();
                }
                let error = Arc::new(error);
                self.probes
                    .keys()
                    .map(|probe| (*probe, PlaceError::Tracer(error.clone())))
                    .collect()
            }
        };
        let failed: Vec<u32> = failures.keys().copied().collect();
        if !failed.is_empty() {
            let mut touched = BTreeSet::new();
            for probe in failed {
                touched.extend(self.probes.remove(&probe).map(|probe| probe.address));
            }
            // Only takes probes away: needs no tracer, and nothing can fail.
            let _ = self.publish(&touched);
        }
        placed
            .into_iter()
            .map(|probe| probe.and_then(|probe| failures.remove(&probe).map_or(Ok(()), Err)))
            .collect()
    }

    /// Counts how long logpoints were suspended that were so until they were removed.
    fn close_accounts(&self, removed: &[Arc<Probe>]) {
        let now = sys::now();
        for account in removed.iter().map(|probe| &probe.account) {
            let others = || self.probes.values();
            // The tracer has no probe of it any more.
            if !others().any(|probe| Arc::ptr_eq(&probe.account, account))
                && let Some(time) = account.close(now)
            {
                enforce::count(&self.shared, account, |tally| &tally.suspended, time);
            }
        }
    }

    /// Publishes a placement's site, not yet in the text, and its probe; returns the site's address.
    fn prepare(
        &mut self,
        placement: Placement,
        mappings: Option<&Mappings>,
    ) -> Result<u64, PlaceError> {
        let at = placement.address;
        let address = displace::site_address(&self.original_text(at)?, at);
        if let Some(site) = self.shared.sites.find(address) {
            revisit(site, mappings);
        }
        let mut code = self.original_text(address)?;
        let site = match self.shared.sites.find(address) {
            Some(site) if code.starts_with(&site.code) => site,
            Some(_) => return Err(PlaceError::Changed { address }),
            None => {
                let slot = self
                    .shared
                    .slots
                    .take(address, &placement.text)
                    .map_err(|error| PlaceError::NoRoom(Arc::new(error)))?;
                let displaced = displace::displace(&code, address, slot)
                    .map_err(|reason| PlaceError::Instruction { address, reason })?;
                code.truncate(displaced.length().into());
                let site = self
                    .shared
                    .sites
                    .insert(Site::new(address, code, displaced));
                self.shared.slots.assign(slot, site);
                site
            }
        };
        if matches!(site.state(), State::Absent | State::Gone) {
            let behind = address.wrapping_sub(at);
            site.set_origin(placement.origin.map(|origin| origin.behind(behind)));
            site.set_state(State::Absent);
        }
        let probe = Arc::new(Probe::new(
            placement.probe,
            address,
            placement.program,
            placement.account,
        ));
        self.probes.insert(probe.id, probe);
        Ok(address)
    }

    /// The text at an address as it is without our patches; shorter where it ends.
    fn original_text(&self, address: u64) -> Result<Vec<u8>, PlaceError> {
        let mut code = vec![0; LONGEST_INSTRUCTION];
        let readable = sys::read_memory(sys::thread_id(), address, &mut code);
        code.truncate(readable);
        for (at, byte) in (address..).zip(&mut code) {
            if *byte == text::INT3
                && let Some(site) = self.shared.sites.find(at)
                && site.state() == State::Armed
            {
                *byte = site.original;
            }
        }
        if code.is_empty() {
            Err(PlaceError::Unreadable { address })
        } else {
            Ok(code)
        }
    }

    /// To be called after libraries came or went: finds sites whose memory went with theirs, also where the same library
    /// is back at the same place with text that has no `int3` in it. Their probes are silent until they are placed again,
    /// and [`Engine::is_silent`].
    pub fn modules_changed(&self) {
        let mappings = Mappings::open(sys::thread_id()).ok();
        let mut sites: Vec<&Site> = self.shared.sites.iter().collect();
        // One after another in the same mapping, which is looked up once then.
        sites.sort_unstable_by_key(|site| site.address);
        for site in sites {
            revisit(site, mappings.as_ref());
        }
    }

    /// Whether the memory that a probe was placed in has gone.
    pub fn is_silent(&self, probe: u32) -> bool {
        let site = self
            .probes
            .get(&probe)
            .and_then(|probe| self.shared.sites.find(probe.address));
        site.is_none_or(|site| matches!(site.state(), State::Absent | State::Gone))
    }

    /// Gives the sites their current probes, and has the tracer patch those that must change. Returns the probes whose
    /// site could not be patched.
    fn publish(
        &mut self,
        addresses: &BTreeSet<u64>,
    ) -> Result<HashMap<u32, PlaceError>, EngineError> {
        let mut by_site: HashMap<u64, Vec<Arc<Probe>>> = HashMap::new();
        for probe in self
            .probes
            .values()
            .filter(|probe| addresses.contains(&probe.address))
        {
            by_site
                .entry(probe.address)
                .or_default()
                .push(probe.clone());
        }
        let mut orders = Vec::new();
        let mut arming = Vec::new();
        // Kept until the tracer has answered: it may be reading them.
        let mut old = Vec::new();
        for site in addresses
            .iter()
            .filter_map(|address| self.shared.sites.find(*address))
        {
            let mut probes = by_site.remove(&site.address).unwrap_or_default();
            probes.sort_by_key(|probe| probe.id);
            let wanted = !probes.is_empty();
            old.extend(site.replace_probes(probes));
            match site.state() {
                State::Absent | State::Gone if wanted => {
                    orders.push(Command::Settle(site));
                    arming.push(site.address);
                }
                State::Absent | State::Gone => {}
                State::Armed | State::Suspended => orders.push(Command::Settle(site)),
            }
        }
        if arming.is_empty() {
            if self.probes.is_empty() {
                orders.push(Command::Leave);
            }
            if let Some(tracer) = &self.tracer {
                // Where it does not answer its keeper restores the text, and `tick` will tell.
                tracer.channel.bell.ring(&orders);
            }
            return Ok(HashMap::new());
        }
        if !self.ring(&orders)? {
            // It died just now. A new one finds no site in the text; all that are wanted are armed again.
            self.tracer.take().map(Tracer::join);
            let all = self.armed_sites();
            if !self.ring(&all)? {
                return Err(EngineError::NoAnswer);
            }
        }
        drop(old);
        let failed = |address: &u64| {
            self.shared
                .sites
                .find(*address)
                .filter(|site| matches!(site.state(), State::Absent | State::Gone))
        };
        Ok(arming
            .iter()
            .filter_map(failed)
            .flat_map(|site| {
                self.probes
                    .values()
                    .filter(|probe| probe.address == site.address)
            })
            .map(|probe| {
                (
                    probe.id,
                    PlaceError::NotWritten {
                        address: probe.address,
                    },
                )
            })
            .collect())
    }

    fn armed_sites(&self) -> Vec<Command> {
        let addresses: BTreeSet<u64> = self.probes.values().map(|probe| probe.address).collect();
        let sites = addresses
            .iter()
            .filter_map(|address| self.shared.sites.find(*address));
        sites.map(|site| Command::Settle(site)).collect()
    }

    /// Gives orders to the tracer, which is made if there is none; false when it did not answer.
    fn ring(&mut self, orders: &[Command]) -> Result<bool, EngineError> {
        if let Some(tracer) = self
            .tracer
            .take_if(|tracer| tracer.channel.progress() != Progress::Ready)
        {
            tracer.join();
        }
        let tracer = match &self.tracer {
            Some(tracer) => tracer,
            None => {
                self.privileges = Privileges::current();
                let alone = trial::alone();
                let tracer =
                    Tracer::spawn(&self.shared, Purpose::Serve).map_err(EngineError::Resources)?;
                if tracer.channel.progress() != Progress::Ready {
                    return Err(error::refusal(&tracer.join()));
                }
                drop(alone);
                self.looks = 0;
                self.next_look = Instant::now() + LOOKS[0];
                self.tracer.insert(tracer)
            }
        };
        Ok(tracer.channel.bell.ring(orders))
    }

    /// Hands up to `limit` of the records that wait to `visit`, oldest first, and returns how many there were. Those that
    /// come meanwhile are left for the next time: they may come faster than they are read.
    pub fn read(&mut self, limit: usize, mut visit: impl FnMut(&Header, &[u8])) -> usize {
        let end = self.shared.ring.produced();
        let mut count = 0;
        while count < limit && self.shared.ring.consumed() < end {
            // SAFETY: this thread is the ring's one consumer.
            let Some(record) = (unsafe { self.shared.ring.next() }) else {
                break;
            };
            visit(&record.header, record.bytes);
            count += 1;
        }
        count
    }

    /// Says that the caller is about to sleep until [`Engine::event_fd`]; false when there is something to do first.
    pub fn park(&self) -> bool {
        // First: a call that comes behind it stays.
        self.shared.backlog.done();
        let idle = self.shared.attention.load(Ordering::Acquire) == self.attention
            && self.shared.ring.park();
        if !idle {
            self.shared.backlog.attended(sys::now());
        }
        idle
    }

    /// For how long the thread that calls [`Engine::tick`] has left its work undone.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.shared.backlog.clone()
    }

    /// What all logpoints together may cost, and have cost, those that are gone included.
    pub fn total(&self) -> Arc<Total> {
        self.shared.total.clone()
    }

    /// When [`Engine::tick`] has something to do, besides when the eventfd says so.
    pub fn next_tick(&self) -> Option<Instant> {
        self.tracer.as_ref()?;
        let resume = self
            .resume_at()
            .map(|at| Instant::now() + Duration::from_nanos(at.saturating_sub(sys::now())));
        Some(resume.map_or(self.next_look, |resume| resume.min(self.next_look)))
    }

    /// When the first logpoint is to be put back that is suspended, in ns of the monotonic clock.
    fn resume_at(&self) -> Option<u64> {
        self.probes
            .values()
            .filter(|probe| probe.account.standing() == Standing::Suspended)
            .map(|probe| probe.account.meter.window_end())
            .min()
    }

    /// Does what is due: puts logpoints back whose window has ended, looks for untraced threads, notices a tracer that died
    /// or that has more privileges than the application.
    pub fn tick(&mut self) -> Vec<Event> {
        self.shared.backlog.attended(sys::now());
        let mut events = std::mem::take(&mut self.lost);
        let attention = self.shared.attention.load(Ordering::Acquire);
        let called = attention != self.attention;
        self.attention = attention;
        if called {
            let limited = self.shared.total.limited.load(Ordering::Relaxed);
            if std::mem::replace(&mut self.limited, limited) != limited {
                events.push(Event::Limited);
            }
        }
        if self.tracer.as_ref().is_some_and(Tracer::is_gone) {
            self.bury(&mut events);
        }
        if self.tracer.is_none() {
            return events;
        }
        let due = Instant::now() >= self.next_look;
        if (due || called) && self.privileges != Privileges::current() {
            self.replace_tracer(&mut events);
            return events;
        }
        let mut orders = Vec::new();
        if self.resume_at().is_some_and(|at| at <= sys::now()) {
            orders.push(Command::Resume);
        }
        orders.extend(self.shared.untraced.take().map(Command::Seize));
        if due {
            self.look(&mut orders);
            self.looks += 1;
            self.next_look = Instant::now() + LOOKS.get(self.looks).copied().unwrap_or(LOOK_EVERY);
        }
        if let Some(tracer) = &self.tracer
            && !orders.is_empty()
            && tracer.channel.progress() == Progress::Ready
            && !tracer.channel.bell.ring(&orders)
        {
            self.bury(&mut events);
        }
        events
    }

    fn look(&self, orders: &mut Vec<Command>) {
        let Some(tracer) = &self.tracer else { return };
        let mut traced = Vec::new();
        // Where the list cannot be read the next look may.
        let _ = proc::each_thread(self.shared.app, |tid| {
            match tracer.channel.threads.find(tid) {
                None => orders.push(Command::Seize(tid)),
                Some(_) => traced.push(tid),
            }
        });
        // Some at each look, in turn.
        let first = self.looks.wrapping_mul(LOOK_UP) % traced.len().max(1);
        for tid in traced
            .iter()
            .cycle()
            .skip(first)
            .take(LOOK_UP.min(traced.len()))
        {
            if let Some(mask) = privileges::blocked_signals(*tid)
                && mask & blocked::TRAP != 0
                && let Some(thread) = tracer.channel.threads.find(*tid)
            {
                thread.look_up(mask);
            }
        }
    }

    /// Forgets a tracer that has ended. Where it did so on its own, all probes are gone.
    fn bury(&mut self, events: &mut Vec<Event>) {
        let Some(channel) = self.tracer.take().map(Tracer::join) else {
            return;
        };
        if channel.progress() == Progress::Left && self.probes.is_empty() {
            return;
        }
        let reason = error::describe_end(channel.end.load(Ordering::Acquire));
        self.lose(format!("the tracer {reason}"), events);
    }

    fn lose(&mut self, reason: String, events: &mut Vec<Event>) {
        let probes: Vec<u32> = self.probes.drain().map(|(id, _)| id).collect();
        for site in self.shared.sites.iter() {
            // No tracer reads the list.
            drop(site.replace_probes(Vec::new()));
        }
        events.push(Event::Lost { reason, probes });
    }

    /// The application gave privileges up: the tracer goes, and one that inherits what is left now takes its place.
    fn replace_tracer(&mut self, events: &mut Vec<Event>) {
        self.dismiss();
        let orders = self.armed_sites();
        if orders.is_empty() {
            self.privileges = Privileges::current();
            return;
        }
        match self.ring(&orders) {
            Ok(true) => {}
            Ok(false) => self.bury(events),
            Err(error) => self.lose(error.to_string(), events),
        }
    }

    /// Restores the text and waits until the tracer is gone.
    fn dismiss(&mut self) {
        let Some(tracer) = self.tracer.take() else {
            return;
        };
        let mut orders: Vec<Command> = self
            .shared
            .sites
            .iter()
            .filter(|site| matches!(site.state(), State::Armed | State::Suspended))
            .map(|site| Command::Disarm(site))
            .collect();
        orders.push(Command::Leave);
        tracer.channel.bell.ring(&orders);
        tracer.join();
    }
}

/// Restores the text, lets all threads go, and removes the SIGTRAP handler. What records are still in the ring can be
/// read before, after a [`Engine::change`] that removes all probes.
impl Drop for Engine {
    fn drop(&mut self) {
        self.dismiss();
        let quiet = quiet::wait_until_quiet(&self.shared);
        let handler = self.trap.take().map(TrapHandler::remove);
        quiet::retire(self.shared.clone(), handler, quiet);
    }
}

/// Notices that what a site was in is not mapped any more.
fn revisit(site: &Site, mappings: Option<&Mappings>) {
    let state = site.state();
    if state == State::Gone {
        return;
    }
    let mut byte = [0];
    if !site.is_in_place(mappings) {
        site.set_state(State::Gone);
    } else if state == State::Armed
        && sys::read_memory(sys::thread_id(), site.address, &mut byte) == 1
        && byte == [site.original]
    {
        // The same file is mapped there once more; or the tracer is about to say that it suspended the site.
        site.replace_state(State::Armed, State::Absent);
    }
}

/// Before Linux 5.16 a core dump of any process, the tracer included, ends all that share its memory.
fn warn_of_old_kernel() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    if version.0.is_some() && version < (Some(5), Some(16)) {
        tracing::warn!(
            kernel = release.trim_end(),
            "this kernel ends all processes that share memory with one that dumps core: should the debugger's tracer \
             crash, the program would end with it; Linux 5.16 does not do that"
        );
    }
}

/// The bell is an `int3` in this thread.
fn unblock_trap() {
    // Fails only for a set that is none.
    let _ = SigSet::from(Signal::SIGTRAP).thread_unblock();
}
