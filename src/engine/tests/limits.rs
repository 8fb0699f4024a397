//! Accounts of logpoints that share a site.

use super::super::account::Limits;
use super::super::sites::{Site, State};
use super::*;

fn limited(probe: u32, limits: &Limits) -> (Placement, Arc<Account>) {
    let account = Arc::new(Account::new(limits));
    let placement = Placement {
        account: account.clone(),
        ..placement(probe)
    };
    (placement, account)
}

fn nothing() -> Limits {
    Limits {
        share: 0.0,
        ..Limits::default()
    }
}

/// Returns when the tracer is done with it, which it is not when it has let the thread go.
fn hit(engine: &mut Engine) {
    std::thread::spawn(|| assert_eq!(target(7), 21))
        .join()
        .unwrap();
    // Rings the bell, and that is answered after it.
    engine.change(&[], Vec::new());
}

fn records(engine: &mut Engine) -> Vec<u32> {
    let mut probes = Vec::new();
    engine.read(usize::MAX, |header, _| probes.push(header.probe));
    probes
}

/// Until the logpoint was put back.
fn resumed(engine: &mut Engine, account: &Account) {
    while !account.is_active() {
        engine.tick();
        std::thread::yield_now();
    }
}

#[test]
fn a_suspended_site_leaves_the_text_until_its_window_ends() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    let (placement, account) = limited(1, &nothing());
    assert!(engine.change(&[], vec![placement])[0].is_ok());
    for round in 1..=3 {
        assert_ne!(text(), before);
        hit(&mut engine);
        assert_eq!(records(&mut engine), [1]);
        // Nothing is put back before a tick, however long the machine takes.
        assert_eq!(account.standing(), Standing::Suspended);
        assert_eq!(text(), before);
        hit(&mut engine);
        assert!(records(&mut engine).is_empty(), "not a site");
        let events = engine.tick();
        assert!(matches!(events[..], [Event::Limited]), "{events:?}");
        resumed(&mut engine, &account);
        let counts = account.current();
        assert_eq!((counts.hits, counts.suspensions), (round, round));
        assert!(counts.suspended_ns > 0);
    }
    let total = engine.total().tally.counts();
    assert_eq!(total, account.current());
    drop(engine);
    assert_eq!(text(), before);
}

#[test]
fn a_site_stays_while_one_of_its_logpoints_is_active() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    let (tight, tight_account) = limited(1, &nothing());
    let (free, free_account) = limited(2, &Limits::default());
    engine.change(&[], vec![tight, free]);
    hit(&mut engine);
    hit(&mut engine);
    assert_eq!(records(&mut engine), [1, 2, 2]);
    let counts = tight_account.current();
    assert_eq!((counts.hits, counts.missed), (1, 1));
    // The cost of the first hit was shared, and that of the second was the free one's alone.
    let free_counts = free_account.current();
    assert!(free_counts.stopped_ns > counts.stopped_ns);
    let total = engine.total().tally.counts();
    assert!(total.stopped_ns - (counts.stopped_ns + free_counts.stopped_ns) <= 1);
    // Without the free one there is nothing to stop for, and with it there is again.
    engine.change(&[2], Vec::new());
    assert_eq!(text(), before);
    let (free, _) = limited(3, &Limits::default());
    engine.change(&[], vec![free]);
    assert_ne!(text(), before);
    resumed(&mut engine, &tight_account);
    hit(&mut engine);
    assert_eq!(records(&mut engine), [1, 3]);
    drop(engine);
}

#[test]
fn the_sites_of_a_logpoint_share_its_budget_and_leave_together() {
    let _alone = alone();
    let mut engine = engine();
    let (one, account) = limited(1, &nothing());
    let at = other as extern "C" fn(u64) -> u64 as usize as u64;
    let second = Placement {
        address: at,
        text: at..at + 64,
        account: account.clone(),
        ..placement(2)
    };
    engine.change(&[], vec![one, second]);
    let states = |engine: &Engine| {
        let state = |at| engine.shared.sites.find(at).map(Site::state);
        (state(address()), state(at))
    };
    for round in 1..=2 {
        assert_eq!(states(&engine), (Some(State::Armed), Some(State::Armed)));
        hit(&mut engine);
        let suspended = (Some(State::Suspended), Some(State::Suspended));
        assert_eq!(states(&engine), suspended, "round {round}");
        assert_eq!(other(7), 35);
        assert_eq!(records(&mut engine), [1]);
        resumed(&mut engine, &account);
        let counts = account.current();
        assert_eq!((counts.hits, counts.suspensions), (round, round));
    }
    drop(engine);
}

#[test]
fn what_has_logged_enough_is_taken_out_by_the_tracer_itself() {
    let _alone = alone();
    let before = text();
    let mut engine = engine();
    let limits = Limits {
        hits: Some(2),
        ..Limits::default()
    };
    let (placement, account) = limited(1, &limits);
    engine.change(&[], vec![placement]);
    for _ in 0..4 {
        hit(&mut engine);
    }
    assert_eq!(text(), before);
    assert_eq!(records(&mut engine), [1, 1]);
    assert_eq!(account.standing(), Standing::Expired);
    assert!(matches!(engine.tick()[..], [Event::Limited]));
    drop(engine);
}

#[test]
fn past_the_total_the_costliest_goes_first_and_then_the_next() {
    let _alone = alone();
    let mut engine = Engine::start(Budget { total_share: 0.0 }).unwrap();
    let (one, one_account) = limited(1, &Limits::default());
    let (other, other_account) = limited(2, &Limits::default());
    engine.change(&[], vec![one, other]);
    hit(&mut engine);
    let suspended = |account: &Account| account.standing() == Standing::Suspended;
    let count = || usize::from(suspended(&one_account)) + usize::from(suspended(&other_account));
    assert_eq!(count(), 1);
    hit(&mut engine);
    assert_eq!(count(), 2);
    assert_eq!(engine.total().tally.counts().suspensions, 2);
    drop(engine);
}

#[inline(never)]
extern "C" fn other(x: u64) -> u64 {
    std::hint::black_box(x).wrapping_mul(5)
}
