//! The books: which probes there are, at which sites, and what has to be patched when that changes.
//!
//! It looks at the text and does not write it: that is done by who carries the orders out, which [`Patcher`] stands for.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::account::{Account, Standing};
use super::channel::Command;
use super::error::{EngineError, PlaceError};
use super::origin::{Mappings, Origin};
use super::shared::Shared;
use super::sites::{LONGEST_INSTRUCTION, Probe, Probes, Site, State};
use super::text::INT3;
use super::{displace, enforce, sys};
use crate::capture::program::Program;

#[cfg(test)]
mod tests;

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

/// Who carries orders out.
pub trait Patcher {
    /// Has orders carried out, by a new tracer where there is none; false when it did not answer.
    ///
    /// # Errors
    ///
    /// Where no tracer can be had.
    fn order(&mut self, orders: &[Command]) -> Result<bool, EngineError>;

    /// Has orders carried out if there is a tracer; false when it did not answer, and the text is restored all the same.
    fn order_if_any(&mut self, orders: &[Command]) -> bool;

    /// Forgets the tracer that did not answer; when this returns no site is in the text.
    fn forget(&mut self);
}

/// What became of a change.
pub struct Changed {
    /// Of each placement, in order.
    pub placed: Vec<Result<(), PlaceError>>,
    /// The probes beside them that are gone, and why, where there is no tracer any more.
    pub lost: Option<(String, Vec<u32>)>,
    /// Whether probes beside them are gone because their code could not be written.
    pub dropped: bool,
}

/// All probes. Belongs to detrix's thread.
pub struct Book {
    shared: Arc<Shared>,
    probes: HashMap<u32, Arc<Probe>>,
}

impl Book {
    /// Without probes.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            probes: HashMap::new(),
        }
    }

    /// Whether there is no probe.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// Where a probe is.
    pub fn address(&self, probe: u32) -> Option<u64> {
        self.probes.get(&probe).map(|probe| probe.address)
    }

    /// Removes probes and places others, at once. The text is patched when this returns.
    pub fn change(
        &mut self,
        patcher: &mut impl Patcher,
        remove: &[u32],
        place: Vec<Placement>,
    ) -> Changed {
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
        let failed = self.publish(patcher, &touched);
        self.close_accounts(&removed);
        let mut lost = None;
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
                    lost = Some((error.to_string(), others));
                }
                let error = Arc::new(error);
                self.probes
                    .keys()
                    .map(|probe| (*probe, PlaceError::Tracer(error.clone())))
                    .collect()
            }
        };
        let failed: Vec<u32> = failures.keys().copied().collect();
        let is_placed = |id| placed.iter().flatten().any(|placed| placed == id);
        let dropped = lost.is_none() && !failed.iter().all(is_placed);
        if !failed.is_empty() {
            let mut touched = BTreeSet::new();
            for probe in failed {
                touched.extend(self.probes.remove(&probe).map(|probe| probe.address));
            }
            // Only takes probes away: needs no tracer, and nothing can fail.
            let _ = self.publish(patcher, &touched);
        }
        let placed = placed
            .into_iter()
            .map(|probe| probe.and_then(|probe| failures.remove(&probe).map_or(Ok(()), Err)))
            .collect();
        Changed {
            placed,
            lost,
            dropped,
        }
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
        // Else what took the library's place would be remembered as the code there, and the library refused when it is back.
        if let (Some(located), Some(mappings)) = (placement.origin, mappings)
            && mappings.origin(at) != Some(located)
        {
            return Err(PlaceError::NotWritten { address: at });
        }
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
                    .inspect_err(|_| self.shared.slots.give_back(slot))
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
            if *byte == INT3
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
    /// and [`Book::is_silent`].
    pub fn modules_changed(&self) {
        let mappings = Mappings::open(sys::thread_id()).ok();
        let mut sites: Vec<&Site> = self.shared.sites.iter().collect();
        // One after another in the same mapping, which is looked up once then.
        sites.sort_unstable_by_key(|site| site.address);
        for site in sites {
            revisit(site, mappings.as_ref());
        }
    }

    /// Whether a probe is not in the text, and does not come back: the memory that it was placed in has gone, or could not
    /// be written.
    pub fn is_silent(&self, probe: u32) -> bool {
        let probe = self.probes.get(&probe);
        probe.is_none_or(|probe| self.is_absent(probe.address))
    }

    /// Whether any probe that could hit [is silent](Book::is_silent).
    pub fn has_silent(&self) -> bool {
        let could_hit = |probe: &&Arc<Probe>| probe.account.standing() != Standing::Expired;
        let mut probes = self.probes.values().filter(could_hit);
        probes.any(|probe| self.is_absent(probe.address))
    }

    fn is_absent(&self, address: u64) -> bool {
        let site = self.shared.sites.find(address);
        site.is_none_or(|site| matches!(site.state(), State::Absent | State::Gone))
    }

    /// Gives the sites their current probes, and has the tracer patch those that must change. Returns the probes whose
    /// site could not be patched.
    fn publish(
        &self,
        patcher: &mut impl Patcher,
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
        let mut arms = false;
        // Kept until the tracer has answered: it may be reading them.
        let mut old: Vec<Box<Probes>> = Vec::new();
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
                    arms = true;
                }
                State::Absent | State::Gone => {}
                State::Armed | State::Suspended => orders.push(Command::Settle(site)),
            }
        }
        if !arms {
            if self.probes.is_empty() {
                orders.push(Command::Leave);
            }
            // Where it does not answer, its end tells of all probes.
            return Ok(match patcher.order_if_any(&orders) {
                true => self.not_written(|address| addresses.contains(&address)),
                false => HashMap::new(),
            });
        }
        if patcher.order(&orders)? {
            return Ok(self.not_written(|address| addresses.contains(&address)));
        }
        // It died just now. A new one finds no site in the text; all that are wanted are armed again.
        patcher.forget();
        match patcher.order(&self.wanted())? {
            true => Ok(self.not_written(|_| true)),
            false => Err(EngineError::NoAnswer),
        }
    }

    /// The probes at the addresses `among` that are not in the text, though it was ordered.
    fn not_written(&self, among: impl Fn(u64) -> bool) -> HashMap<u32, PlaceError> {
        self.probes
            .values()
            .filter(|probe| among(probe.address) && self.is_absent(probe.address))
            .map(|probe| {
                let address = probe.address;
                (probe.id, PlaceError::NotWritten { address })
            })
            .collect()
    }

    /// Has all sites patched that probes are at.
    pub fn wanted(&self) -> Vec<Command> {
        let addresses: BTreeSet<u64> = self.probes.values().map(|probe| probe.address).collect();
        let sites = addresses
            .iter()
            .filter_map(|address| self.shared.sites.find(*address));
        sites.map(|site| Command::Settle(site)).collect()
    }

    /// When the first logpoint is to be put back that is suspended, in ns of the monotonic clock.
    pub fn resume_at(&self) -> Option<u64> {
        self.probes
            .values()
            .filter(|probe| probe.account.standing() == Standing::Suspended)
            .map(|probe| probe.account.meter.window_end())
            .min()
    }

    /// There is no tracer any more, and no site is in the text: drops all probes, and returns them.
    pub fn lose(&mut self) -> Vec<u32> {
        for site in self.shared.sites.iter() {
            // No tracer reads the list.
            drop(site.replace_probes(Vec::new()));
        }
        self.probes.drain().map(|(id, _)| id).collect()
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
