//! What clients are told without having asked: that a logpoint pauses and logs again, that hits were lost, that all
//! logpoints are gone.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Debugger;
use crate::engine::Event;
use crate::server::backend::Notice;

/// How often a client is told at the most that a logpoint costs too much. When it did not for so long, it is told that,
/// too.
const TELL_SUSPENSION: Duration = Duration::from_secs(1);

/// What a client was told of a probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// That it pauses: when, and how many pauses there had been.
    suspension: Option<(Instant, u64)>,
    /// How many hits were lost.
    dropped: u64,
}

impl Debugger {
    /// Has the engine do what is due, and tells the clients what happened.
    pub(super) fn events(&mut self) {
        for event in self.engine.tick() {
            match event {
                Event::Suspended { probes } => self.tell_suspended(&probes),
                Event::Lost { reason, probes } => self.tell_lost(&reason, &probes),
            }
        }
    }

    fn tell_suspended(&mut self, probes: &[u32]) {
        let now = Instant::now();
        for probe in probes {
            let counts = self.engine.counts(*probe);
            let Some(owner) = self.probes.owner_mut(*probe) else {
                continue;
            };
            let told = owner.told.suspension;
            owner.told.suspension = match told {
                Some((at, _)) if now < at + TELL_SUSPENSION => Some((at, counts.suspensions)),
                _ => Some((now, counts.suspensions)),
            };
            if told.is_none_or(|(at, _)| now >= at + TELL_SUSPENSION) {
                self.remark(
                    *probe,
                    &format!(
                        "is over its budget and pauses until the current 100 ms are over; {} hits so far, {} pauses",
                        counts.hits, counts.suspensions
                    ),
                );
            }
        }
    }

    /// Tells what only looking at the counts shows: call it each second or so.
    pub(super) fn tell_counts(&mut self) {
        let now = Instant::now();
        for probe in self.probes.numbers() {
            let counts = self.engine.counts(probe);
            let Some(owner) = self.probes.owner_mut(probe) else {
                continue;
            };
            let lost = counts.dropped.saturating_sub(owner.told.dropped);
            owner.told.dropped = counts.dropped;
            let over = owner.told.suspension.is_some_and(|(at, suspensions)| {
                suspensions == counts.suspensions && now >= at + TELL_SUSPENSION
            });
            if over {
                owner.told.suspension = None;
                self.remark(probe, "is within its budget again, and logs each hit");
            }
            if lost > 0 {
                let text = format!("lost {lost} hits, which came faster than they could be read");
                self.remark(probe, &text);
            }
        }
    }

    /// Tells a probe's client something of its logpoint, which stays as it is.
    fn remark(&self, probe: u32, what: &str) {
        let Some(owner) = self.probes.owner(probe) else {
            return;
        };
        let Some(session) = self.sessions.get(&owner.session) else {
            return;
        };
        let files = session.files.values();
        let mut breakpoints = files.flat_map(|file| &file.breakpoints);
        let breakpoint = breakpoints.find(|breakpoint| breakpoint.placed.id == owner.breakpoint);
        if let Some(breakpoint) = breakpoint {
            session.outlet.send(Notice::Remark {
                about: breakpoint.placed_at(&owner.path),
                text: format!(
                    "detrix: the logpoint at {}:{} {what}",
                    owner.path, owner.line
                ),
            });
        }
    }

    fn tell_lost(&mut self, reason: &str, probes: &[u32]) {
        tracing::error!(
            reason,
            "all logpoints are gone; the program's code is as it was"
        );
        // Another thread can only have been reading it.
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = Some(format!("all logpoints are gone: {reason}"));
        drop(trouble);
        for probe in probes {
            self.probes.remove(*probe);
        }
        let why = format!("{reason}; set it again");
        for session in self.sessions.values_mut() {
            for (name, file) in &mut session.files {
                for breakpoint in file
                    .breakpoints
                    .iter_mut()
                    .filter(|breakpoint| breakpoint.placed.verified)
                {
                    breakpoint.lose(&why);
                    session
                        .outlet
                        .send(Notice::BreakpointChanged(breakpoint.placed_at(&name.path)));
                }
            }
            session.outlet.send(Notice::Console(format!(
                "detrix: all logpoints are gone: {reason}; set them again"
            )));
        }
    }
}
