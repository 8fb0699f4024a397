//! What values the fields can have. The variables' own tests are in [`super::env`].

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::{Config, TlsConfig};
use crate::error::{Error, Result};

/// The longest that a call may wait for the daemon: whatever is longer is a mistake, and would overflow a clock sooner or
/// later.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest limit of being awake, and of a logpoint's life; without a limit there is `None`.
const LONGEST_LIMIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Config {
    /// Checks what has rules of its own. The daemon's address is looked at by the wake that uses it.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`], which names the field and its variable.
    pub(crate) fn validated(mut self) -> Result<Self> {
        if let Some(name) = &self.name
            && (name.trim().is_empty() || name.contains(char::is_control))
        {
            return Err(wrong(
                "name (DETRIX_NAME)",
                format!("{name:?}"),
                "it must be text without control characters; leave it out for detrix-client-{pid}",
            ));
        }
        let host = ip_address("control_host (DETRIX_CONTROL_HOST)", &self.control_host)?;
        self.control_host = host.to_string();
        if let Some(host) = &mut self.debug_host {
            *host = ip_address("debug_host (DETRIX_DEBUG_HOST)", host)?.to_string();
        }
        if let Some(host) = &self.advertise_host
            && !is_host(host)
        {
            return Err(wrong(
                "advertise_host (DETRIX_HOST)",
                format!("{host:?}"),
                "it must be a host name or an IP address alone, without scheme, port or path",
            ));
        }
        for (field, timeout) in [
            (
                "health_check_timeout (DETRIX_HEALTH_CHECK_TIMEOUT)",
                self.health_check_timeout,
            ),
            (
                "register_timeout (DETRIX_REGISTER_TIMEOUT)",
                self.register_timeout,
            ),
            (
                "unregister_timeout (DETRIX_UNREGISTER_TIMEOUT)",
                self.unregister_timeout,
            ),
        ] {
            if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
                return Err(wrong(
                    field,
                    format!("{timeout:?}"),
                    "it must be more than 0 and at most a day (86400 seconds)",
                ));
            }
        }
        if let Some(most) = self.max_awake
            && (most.is_zero() || most > LONGEST_LIMIT)
        {
            return Err(wrong(
                "max_awake (DETRIX_MAX_AWAKE)",
                format!("{most:?}"),
                "it must be more than 0 and at most a year (31536000 seconds); leave it out for no limit",
            ));
        }
        for (field, share) in [
            (
                "logpoint_budget (DETRIX_LOGPOINT_BUDGET)",
                self.logpoint_budget,
            ),
            ("total_budget (DETRIX_TOTAL_BUDGET)", self.total_budget),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(wrong(field, share, "it must be a share, 0 to 1"));
            }
        }
        if let Some(ttl) = self.logpoint_ttl
            && (ttl.is_zero() || ttl > LONGEST_LIMIT)
        {
            return Err(wrong(
                "logpoint_ttl (DETRIX_LOGPOINT_TTL)",
                format!("{ttl:?}"),
                "it must be more than 0 and at most a year (31536000 seconds); leave it out for no limit",
            ));
        }
        self.tls.validate()?;
        // Elsewhere there is no debug port.
        #[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
        super::allow::Allow::parse(&self.debug_allow).map_err(|wrong| {
            Error::ConfigError(format!("debug_allow (DETRIX_DEBUG_ALLOW): {wrong}"))
        })?;
        Ok(self)
    }

    /// Checks that a debug port beyond this machine is meant: whoever connects can read the memory of the process, and
    /// the protocol asks for no password. [`wake`](crate::wake) refuses, not [`init`](crate::init), since the control
    /// plane alone may well listen there.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`], which names the setting, and both ways out.
    pub(crate) fn check_debug_address(&self) -> Result<()> {
        let (field, host) = match &self.debug_host {
            Some(host) => ("debug_host (DETRIX_DEBUG_HOST)", host),
            None => (
                "debug_host (DETRIX_DEBUG_HOST) is not set, and control_host (DETRIX_CONTROL_HOST)",
                &self.control_host,
            ),
        };
        let somebody = self
            .debug_allow
            .iter()
            .any(|entry| !entry.trim().is_empty());
        if ip_address(field, host)?.to_canonical().is_loopback() || somebody {
            return Ok(());
        }
        Err(wrong(
            field,
            host,
            "the debug port could be reached from other machines there, and whoever connects can read the memory of this \
             process, for the protocol has no authentication; set debug_host to 127.0.0.1, or say in debug_allow \
             (DETRIX_DEBUG_ALLOW) which networks may connect, such as 10.1.0.0/16",
        ))
    }

    /// Says which settings have no effect.
    pub(super) fn warn_deprecated(&self) {
        for warning in self.deprecated() {
            tracing::warn!("{warning}");
        }
    }

    // Somebody has to read them, to tell those who still set them.
    #[allow(deprecated)]
    fn deprecated(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.lldb_dap_path.is_some() {
            warnings.push(
                "lldb_dap_path (DETRIX_LLDB_DAP_PATH) has no effect: detrix needs no lldb-dap; leave it out",
            );
        }
        if self.lldb_start_timeout != Self::default().lldb_start_timeout {
            warnings
                .push("lldb_start_timeout has no effect: detrix needs no lldb-dap; leave it out");
        }
        warnings
    }
}

impl TlsConfig {
    /// Checks that the bundle is a file.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`] where it is none.
    pub fn validate(&self) -> Result<()> {
        match &self.ca_bundle {
            Some(path) if !path.is_file() => Err(wrong(
                "ca_bundle (DETRIX_CA_BUNDLE)",
                format!("{path:?}, which is no file"),
                "it must be a PEM file with the certificates to trust",
            )),
            _ => Ok(()),
        }
    }
}

/// An address, also in the brackets that it has in URLs.
fn ip_address(field: &str, host: &str) -> Result<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .filter(|host| host.contains(':'))
        .unwrap_or(host);
    bare.parse().map_err(|_| {
        wrong(
            field,
            format!("{host:?}"),
            "it must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::1",
        )
    })
}

/// Whether this can stand between `http://` and `:port`.
fn is_host(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_name = |host: &str| {
        !host.is_empty()
            && host
                .chars()
                .all(|char| char.is_alphanumeric() || matches!(char, '-' | '.' | '_'))
    };
    bare.parse::<Ipv6Addr>().is_ok() || is_name(host)
}

fn wrong(field: &str, value: impl Display, rule: &str) -> Error {
    Error::ConfigError(format!("{field} is {value}; {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_stand_in_brackets() {
        let config = Config {
            control_host: "[::1]".to_owned(),
            debug_host: Some("[::]".to_owned()),
            ..Config::default()
        };
        let config = config.validated().unwrap();
        assert_eq!(config.control_host, "::1");
        assert_eq!(config.debug_host(), "::");
        let config = Config {
            control_host: "[127.0.0.1]".to_owned(),
            ..Config::default()
        };
        config.validated().unwrap_err();
    }

    fn refused(config: Config) -> String {
        match config.validated() {
            Err(Error::ConfigError(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_is_in_order() {
        let config = Config::default().validated().unwrap();
        assert_eq!(config, Config::default());
        config.check_debug_address().unwrap();
    }

    #[test]
    fn each_rule_names_field_and_variable() {
        let seconds = Duration::from_secs;
        let wrong = [
            (
                "name (DETRIX_NAME)",
                Config {
                    name: Some(" ".into()),
                    ..Config::default()
                },
            ),
            (
                "name (DETRIX_NAME)",
                Config {
                    name: Some("a\nb".into()),
                    ..Config::default()
                },
            ),
            (
                "control_host (DETRIX_CONTROL_HOST)",
                Config {
                    control_host: "localhost".into(),
                    ..Config::default()
                },
            ),
            (
                "control_host (DETRIX_CONTROL_HOST)",
                Config {
                    control_host: "127.0.0.1:80".into(),
                    ..Config::default()
                },
            ),
            (
                "control_host (DETRIX_CONTROL_HOST)",
                Config {
                    control_host: String::new(),
                    ..Config::default()
                },
            ),
            (
                "debug_host (DETRIX_DEBUG_HOST)",
                Config {
                    debug_host: Some("[::1".into()),
                    ..Config::default()
                },
            ),
            (
                "advertise_host (DETRIX_HOST)",
                Config {
                    advertise_host: Some(String::new()),
                    ..Config::default()
                },
            ),
            (
                "advertise_host (DETRIX_HOST)",
                Config {
                    advertise_host: Some("http://pod".into()),
                    ..Config::default()
                },
            ),
            (
                "advertise_host (DETRIX_HOST)",
                Config {
                    advertise_host: Some("pod:8099".into()),
                    ..Config::default()
                },
            ),
            (
                "advertise_host (DETRIX_HOST)",
                Config {
                    advertise_host: Some("pod/".into()),
                    ..Config::default()
                },
            ),
            (
                "health_check_timeout (DETRIX_HEALTH_CHECK_TIMEOUT)",
                Config {
                    health_check_timeout: Duration::ZERO,
                    ..Config::default()
                },
            ),
            (
                "register_timeout (DETRIX_REGISTER_TIMEOUT)",
                Config {
                    register_timeout: Duration::MAX,
                    ..Config::default()
                },
            ),
            (
                "unregister_timeout (DETRIX_UNREGISTER_TIMEOUT)",
                Config {
                    unregister_timeout: seconds(86_401),
                    ..Config::default()
                },
            ),
            (
                "max_awake (DETRIX_MAX_AWAKE)",
                Config {
                    max_awake: Some(Duration::ZERO),
                    ..Config::default()
                },
            ),
            (
                "max_awake (DETRIX_MAX_AWAKE)",
                Config {
                    max_awake: Some(Duration::MAX),
                    ..Config::default()
                },
            ),
            (
                "logpoint_budget (DETRIX_LOGPOINT_BUDGET)",
                Config {
                    logpoint_budget: -0.1,
                    ..Config::default()
                },
            ),
            (
                "logpoint_budget (DETRIX_LOGPOINT_BUDGET)",
                Config {
                    logpoint_budget: f64::NAN,
                    ..Config::default()
                },
            ),
            (
                "ca_bundle (DETRIX_CA_BUNDLE)",
                Config {
                    tls: TlsConfig {
                        ca_bundle: Some("/proc".into()),
                        ..TlsConfig::default()
                    },
                    ..Config::default()
                },
            ),
        ];
        for (field, config) in wrong {
            let text = refused(config);
            assert!(text.starts_with(&format!("{field} is ")), "{text}");
            assert!(text.contains("must be"), "{text}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
    fn who_may_connect_is_read_before_anybody_wakes() {
        let text = refused(Config {
            debug_allow: vec!["10.0.0.0/8".into(), "everybody".into()],
            ..Config::default()
        });
        assert!(text.contains("debug_allow (DETRIX_DEBUG_ALLOW)"), "{text}");
        assert!(text.contains("everybody"), "{text}");
    }

    #[test]
    fn what_is_unusual_but_right_passes() {
        for host in ["pod-1.orders.svc", "10.1.2.3", "::1", "[fd00::1]", "größe"] {
            let config = Config {
                advertise_host: Some(host.into()),
                control_host: "::".into(),
                debug_host: Some("0.0.0.0".into()),
                register_timeout: LONGEST_TIMEOUT,
                max_awake: Some(Duration::from_millis(1)),
                logpoint_budget: 0.0,
                daemon_url: "no URL; the wake says so".into(),
                ..Config::default()
            };
            config.validated().unwrap();
        }
    }

    #[test]
    fn a_debug_port_beyond_this_machine_must_be_meant() {
        let config = |control: &str, debug: Option<&str>, allow: &[&str]| Config {
            control_host: control.to_owned(),
            debug_host: debug.map(str::to_owned),
            debug_allow: allow.iter().map(|entry| (*entry).to_owned()).collect(),
            ..Config::default()
        };
        for fine in [
            config("127.0.0.1", None, &[]),
            config("127.9.9.9", None, &[]),
            config("::1", None, &[]),
            config("::ffff:127.0.0.1", None, &[]),
            config("0.0.0.0", Some("127.0.0.1"), &[]),
            config("0.0.0.0", None, &["10.0.0.0/8"]),
            config("127.0.0.1", Some("10.1.2.3"), &["10.0.0.0/8"]),
        ] {
            fine.check_debug_address().unwrap();
        }
        for (refused, names) in [
            (
                config("0.0.0.0", None, &[]),
                "control_host (DETRIX_CONTROL_HOST) is 0.0.0.0",
            ),
            (
                config("::", None, &[]),
                "control_host (DETRIX_CONTROL_HOST) is ::",
            ),
            (
                config("127.0.0.1", Some("10.1.2.3"), &[]),
                "debug_host (DETRIX_DEBUG_HOST) is 10.1.2.3",
            ),
        ] {
            let refused = refused.validated().expect("init succeeds");
            let Err(Error::ConfigError(text)) = refused.check_debug_address() else {
                panic!("{refused:?}");
            };
            for part in [
                names,
                "no authentication",
                "debug_host",
                "DETRIX_DEBUG_ALLOW",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    #[allow(deprecated)] // What is tested.
    fn settings_of_lldb_are_accepted_and_told_to_have_no_effect() {
        assert!(Config::default().deprecated().is_empty());
        let config = Config {
            lldb_dap_path: Some("/usr/bin/lldb-dap".into()),
            lldb_start_timeout: Duration::ZERO,
            ..Config::default()
        };
        let config = config.validated().unwrap();
        let warnings = config.deprecated();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("DETRIX_LLDB_DAP_PATH"));
        assert!(warnings[1].contains("lldb_start_timeout"));
    }
}
