//! What logpoints may cost, and how long they live, as far as a client has a say. The protocol knows nothing of it: these
//! are further properties of `attach` and of each breakpoint.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

/// The properties of `attach`: for all logpoints of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The share of one CPU's time that each logpoint may stop threads for.
    pub logpoint_budget: Option<Share>,
    /// And all of them together.
    pub total_budget: Option<Share>,
    /// How many hits each logpoint logs until it expires.
    pub hit_limit: Option<NonZeroU64>,
    /// After how many seconds each logpoint expires.
    pub ttl: Option<Seconds>,
}

impl Limits {
    /// These, and where they say nothing, the `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            logpoint_budget: self.logpoint_budget.or(others.logpoint_budget),
            total_budget: self.total_budget.or(others.total_budget),
            hit_limit: self.hit_limit.or(others.hit_limit),
            ttl: self.ttl.or(others.ttl),
        }
    }
}

/// A share, 0 to 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(u32);

impl Share {
    /// As a number, 0 to 1.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&share) {
            true => Ok(Self((share * 1e6).round() as u32)),
            false => Err(format!("{share} is not a share, 0 to 1")),
        }
    }
}

/// A time in seconds, more than 0; whole or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(pub Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        // Refuses what is negative, infinite, no number, or more than a duration can hold.
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero())
            .map(Self)
            .ok_or_else(|| format!("{seconds} is not a number of seconds above 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_client_may_say() {
        let limits: Limits = serde_json::from_value(json!({
            "logpointBudget": 0.02, "totalBudget": 1, "hitLimit": 100, "ttl": 1.5, "pid": 5,
        }))
        .unwrap();
        assert_eq!(limits.logpoint_budget.unwrap().get(), 0.02);
        assert_eq!(limits.total_budget.unwrap().get(), 1.0);
        assert_eq!(limits.hit_limit.unwrap().get(), 100);
        assert_eq!(limits.ttl.unwrap().0, Duration::from_millis(1500));
        let none: Limits = serde_json::from_value(json!({"hitLimit": null})).unwrap();
        assert_eq!(none, Limits::default());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (limits, why) in [
            (json!({"logpointBudget": 1.1}), "a share, 0 to 1"),
            (json!({"totalBudget": -0.1}), "a share, 0 to 1"),
            (json!({"hitLimit": 0}), "nonzero"),
            (json!({"ttl": 0}), "a number of seconds above 0"),
            (json!({"ttl": -5}), "a number of seconds above 0"),
            (json!({"ttl": 1e300}), "a number of seconds above 0"),
            (json!({"ttl": "a minute"}), "f64"),
        ] {
            let error = serde_json::from_value::<Limits>(limits.clone()).unwrap_err();
            assert!(error.to_string().contains(why), "{limits}: {error}");
        }
    }
}
