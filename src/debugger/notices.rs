//! What clients are told without having asked: that a logpoint is suspended and logs again, that hits were dropped, that all
//! logpoints are gone.

use std::sync::PoisonError;
use std::time::Instant;

use super::Debugger;
use crate::engine::Event;
use crate::server::backend::Notice;

impl Debugger {
    /// Has the engine do what is due, and tells the clients what happened.
    pub(super) fn events(&mut self) {
        let now = Instant::now();
        let events = self.engine.tick();
        if self.next_expiry().is_some_and(|at| at <= now) {
            self.expire(now);
        }
        for event in events {
            match event {
                Event::Limited => {
                    self.tell_counts();
                    self.expire(now);
                }
                // It may be a library's that is gone: what is not loaded any more is told as such.
                Event::Silenced => {
                    self.symbols.refresh();
                    self.modules_changed();
                }
                Event::Lost { reason, probes } => self.tell_lost(&reason, &probes),
            }
        }
    }

    /// Tells what the counts show that was not told: call it each second or so.
    pub(super) fn tell_counts(&mut self) {
        let now = Instant::now();
        for session in self.sessions.values_mut() {
            for (name, file) in &mut session.files {
                for breakpoint in &mut file.breakpoints {
                    if breakpoint.probes.is_empty() {
                        continue;
                    }
                    let counts = breakpoint.account.current();
                    let line = breakpoint.placed.line.unwrap_or(breakpoint.wanted.line);
                    for what in breakpoint.told.news(now, &counts) {
                        session.outlet.send(Notice::Remark {
                            about: breakpoint.placed_at(&name.path),
                            text: format!("detrix: the logpoint at {}:{line} {what}", name.path),
                        });
                    }
                }
            }
        }
    }

    /// Tells that delivering hits panicked.
    pub(super) fn tell_panic(&mut self, why: &str) {
        let text = format!(
            "detrix's own code panicked while it delivered hits, some of which are lost: {why}; report this as a bug of \
             detrix"
        );
        for session in self.sessions.values_mut() {
            session.outlet.send(Notice::Console(text.clone()));
        }
        // Another thread can only have been reading it.
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn tell_lost(&mut self, reason: &str, probes: &[u32]) {
        tracing::error!(
            reason,
            "all logpoints are gone; the program's code is as it was"
        );
        // What they recorded before is still in the ring.
        self.deliver_before(usize::MAX);
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
        self.publish_roster();
    }
}
