//! What a logpoint may cost and how long it lives, of what the configuration allows and its client asks for. And the end
//! of those that have lived long enough.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Debugger;
use super::breakpoints::Session;
use crate::config::Config;
use crate::engine::{Limits, Meter, Standing};
use crate::server::backend::Notice;

/// What the configuration allows: no client gets more.
pub struct Allowed {
    share: f64,
    hits: Option<NonZeroU64>,
    ttl: Option<Duration>,
}

/// What the logpoints of one client may cost together, and have cost.
#[derive(Default)]
pub struct Group {
    share: Option<dap::Share>,
    meter: Arc<Meter>,
}

impl Allowed {
    /// As the configuration says.
    pub fn new(config: &Config) -> Self {
        Self {
            share: config.logpoint_budget,
            hits: config.logpoint_hit_limit,
            ttl: config.logpoint_ttl,
        }
    }

    /// The limits of a logpoint whose client asks for `wanted`, and when it expires.
    pub fn limits(&self, wanted: &dap::Limits, group: &mut Group) -> (Limits, Option<Duration>) {
        let share = wanted.logpoint_budget.map_or(1.0, dap::Share::get);
        let limits = Limits {
            share: share.min(self.share),
            group: group.meter(wanted.total_budget),
            hits: least(wanted.hit_limit, self.hits).map(NonZeroU64::get),
        };
        (limits, least(wanted.ttl.map(|ttl| ttl.0), self.ttl))
    }
}

impl Group {
    /// A client says what they may cost once, when it attaches.
    fn meter(&mut self, share: Option<dap::Share>) -> Arc<Meter> {
        if self.share != share {
            self.share = share;
            self.meter = Arc::new(Meter::new(share.map_or(1.0, dap::Share::get)));
        }
        self.meter.clone()
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

impl Debugger {
    /// Removes the logpoints that have expired by `now`, after what they logged was delivered, and tells their clients.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut probes = Vec::new();
        let mut expired = Vec::new();
        for (id, session) in &mut self.sessions {
            for (name, file) in &mut session.files {
                for breakpoint in &mut file.breakpoints {
                    let why = if !breakpoint.placed.verified {
                        continue;
                    } else if breakpoint.account.standing() == Standing::Expired {
                        "it has logged as many hits as it may (hitLimit, logpoint_hit_limit)"
                    } else if breakpoint.expires.is_some_and(|at| at <= now) {
                        "it has lived as long as it may (ttl, logpoint_ttl)"
                    } else {
                        continue;
                    };
                    probes.append(&mut breakpoint.probes);
                    breakpoint.expire(&format!("expired: {why}; remove it and set it again"));
                    expired.push((*id, breakpoint.placed_at(&name.path), why));
                }
            }
        }
        if expired.is_empty() {
            return;
        }
        self.engine.change(&probes, Vec::new());
        self.forget(&probes);
        self.publish_roster();
        for (session, placed, why) in expired {
            let Some(session) = self.sessions.get(&session) else {
                continue;
            };
            let path = placed.path.as_deref().unwrap_or_default();
            let line = placed.line.unwrap_or_default();
            let text = format!("detrix: the logpoint at {path}:{line} has expired: {why}");
            session.outlet.send(Notice::BreakpointChanged(placed));
            session.outlet.send(Notice::Console(text));
        }
    }

    /// When the next logpoint has lived as long as it may.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let breakpoints = self.sessions.values().flat_map(Session::breakpoints);
        breakpoints
            .filter(|breakpoint| breakpoint.placed.verified)
            .filter_map(|breakpoint| breakpoint.expires)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(limits: serde_json::Value) -> dap::Limits {
        serde_json::from_value(limits).unwrap()
    }

    #[test]
    fn a_client_may_lower_what_the_configuration_allows_and_never_raise_it() {
        let allowed = Allowed {
            share: 0.05,
            hits: NonZeroU64::new(100),
            ttl: Some(Duration::from_secs(60)),
        };
        let limits = |json| {
            let (limits, ttl) = allowed.limits(&wanted(json), &mut Group::default());
            (limits.share, limits.hits, ttl.map(|ttl| ttl.as_secs()))
        };
        let none = serde_json::json!({});
        assert_eq!(limits(none), (0.05, Some(100), Some(60)));
        let less = serde_json::json!({"logpointBudget": 0.01, "hitLimit": 5, "ttl": 3});
        assert_eq!(limits(less), (0.01, Some(5), Some(3)));
        let more = serde_json::json!({"logpointBudget": 1, "hitLimit": 500, "ttl": 300});
        assert_eq!(limits(more), (0.05, Some(100), Some(60)));
    }

    #[test]
    fn the_logpoints_of_a_client_share_one_meter() {
        let allowed = Allowed::new(&Config::default());
        let mut group = Group::default();
        let tenth = wanted(serde_json::json!({"totalBudget": 0.1}));
        let (one, _) = allowed.limits(&tenth, &mut group);
        let (other, ttl) = allowed.limits(&tenth, &mut group);
        assert!(Arc::ptr_eq(&one.group, &other.group));
        assert!(!one.group.charge(1, 10_000_000) && one.group.charge(1, 1));
        assert_eq!((one.hits, ttl), (None, None));
    }
}
