//! Holding logpoints to their limits: the part of the tracer that charges hits, and that takes sites out of the text and
//! puts them back. A site is in the text while any logpoint there is active.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::account::{Account, Tally};
use super::shared::Shared;
use super::sites::{Site, SiteTable, State};
use super::text::{INT3, Text};

/// Charges a stop of `cost` ns at `site` that began at `now`. True when a logpoint was suspended, and sites may have to go.
///
/// 1. The logpoints that are active there share the cost evenly; where none is, because they were suspended just now, all do.
/// 2. A logpoint past its own budget is suspended.
/// 3. Where the logpoints of one client, or all together, are past theirs, the one of them is suspended that cost most in
///    this window, and with each further hit the next one.
///
/// # Safety
///
/// The tracer's only, which has not answered the bell since: it reads lists of probes.
pub unsafe fn charge(shared: &Shared, site: &Site, now: u64, cost: u64) -> bool {
    let total = &*shared.total;
    let window = total.window(now);
    let mut suspended = false;
    // SAFETY: the caller's promise.
    let probes = unsafe { site.probes() };
    let active = probes.iter().filter(|probe| probe.account.is_active());
    let some_active = active.clone().count();
    let payers = match some_active {
        0 => probes.len(),
        some => some,
    };
    let each = cost.checked_div(payers as u64).unwrap_or(0);
    for probe in probes {
        let account = &*probe.account;
        if some_active > 0 && !account.is_active() {
            continue;
        }
        account.tally.stopped.fetch_add(each, Ordering::Relaxed);
        if account.meter.charge(window, each) {
            suspended |= suspend(shared, account, now);
        }
        if account.group.charge(window, each) && !suspended {
            let together = |other: &Account| Arc::ptr_eq(&other.group, &account.group);
            // SAFETY: the caller's promise.
            let most = unsafe { costliest(&shared.sites, window, together) };
            suspended |= most.is_some_and(|most| suspend(shared, most, now));
        }
    }
    total.tally.stopped.fetch_add(cost, Ordering::Relaxed);
    if total.meter.charge(window, cost) && !suspended {
        // SAFETY: the caller's promise.
        let most = unsafe { costliest(&shared.sites, window, |_| true) };
        suspended |= most.is_some_and(|most| suspend(shared, most, now));
    }
    suspended
}

fn suspend(shared: &Shared, account: &Account, now: u64) -> bool {
    let suspended = account.suspend(now);
    if suspended {
        count(shared, account, |tally| &tally.suspensions, 1);
        shared.total.limited.fetch_add(1, Ordering::Relaxed);
    }
    suspended
}

/// Makes those logpoints active whose window is over at `now`, and puts their sites back.
///
/// # Safety
///
/// As for [`charge`].
pub unsafe fn resume(shared: &Shared, text: &Text, now: u64) {
    for site in shared.sites.iter() {
        // SAFETY: the caller's promise.
        for probe in unsafe { site.probes() } {
            if let Some(time) = probe.account.resume(now) {
                count(shared, &probe.account, |tally| &tally.suspended, time);
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { settle_all(shared, text) };
}

/// Settles all sites.
///
/// # Safety
///
/// As for [`charge`].
pub unsafe fn settle_all(shared: &Shared, text: &Text) {
    text.look_again();
    for site in shared.sites.iter() {
        // What is absent, and was not asked for, stays so: it may be a site that could not be written.
        if site.state() != State::Absent {
            // SAFETY: the caller's promise.
            unsafe { settle(text, site) };
        }
    }
}

/// Writes a site, or restores the text there, as its probes want it now.
///
/// # Safety
///
/// As for [`charge`].
pub unsafe fn settle(text: &Text, site: &Site) {
    // Until it is prepared anew.
    if site.state() == State::Gone {
        return;
    }
    // SAFETY: the caller's promise.
    let probes = unsafe { site.probes() };
    let wanted = if probes.is_empty() {
        State::Absent
    } else if probes.iter().any(|probe| probe.account.is_active()) {
        State::Armed
    } else {
        State::Suspended
    };
    match (site.state(), wanted) {
        (State::Armed, State::Armed) => {}
        (_, State::Armed) => arm(text, site),
        (State::Armed, _) => take_out(text, site, wanted),
        _ => site.set_state(wanted),
    }
}

/// Restores the text at a site.
pub fn disarm(text: &Text, site: &Site) {
    take_out(text, site, State::Absent);
}

/// Counts for a logpoint, and for all together.
pub fn count(shared: &Shared, account: &Account, what: impl Fn(&Tally) -> &AtomicU64, more: u64) {
    for tally in [&account.tally, &shared.total.tally] {
        what(tally).fetch_add(more, Ordering::Relaxed);
    }
}

/// Restores the text at a site. Where that cannot be written the site stays what it is, so that the keeper tries again.
fn take_out(text: &Text, site: &Site, state: State) {
    if text.restore(site) || !text.has(site, INT3) {
        site.set_state(state);
    }
}

fn arm(text: &Text, site: &Site) {
    // Published first: a thread may run into it as soon as it is written.
    site.set_state(State::Armed);
    let written = text.write(site.displaced.slot(), site.displaced.code()) && text.patch(site);
    if !written {
        site.set_state(State::Absent);
    }
}

/// The active logpoint that cost most in the window, of those that `belong`.
///
/// # Safety
///
/// As for [`charge`].
unsafe fn costliest(
    sites: &SiteTable,
    window: u64,
    belong: impl Fn(&Account) -> bool,
) -> Option<&Account> {
    let mut most: Option<(u64, &Account)> = None;
    for site in sites.iter() {
        if site.state() != State::Armed {
            continue;
        }
        // SAFETY: the caller's promise.
        for probe in unsafe { site.probes() } {
            let account = &*probe.account;
            let spent = account.meter.spent(window);
            let more = spent > most.map_or(0, |(most, _)| most);
            if more && account.is_active() && belong(account) {
                most = Some((spent, account));
            }
        }
    }
    most.map(|(_, account)| account)
}
