//! What an application can set, in code or by environment variables.

use std::env;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::type_view::TypeView;

/// How detrix behaves. [`Config::default`] is what most services want, with a name.
///
/// ```
/// let config = detrix::Config { name: Some("orders".into()), register: false, ..Default::default() };
/// assert_eq!(config.control_host, "127.0.0.1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of this process to clients; `detrix-client-{pid}` by default. Variable: `DETRIX_NAME`.
    pub name: Option<String>,
    /// The IP address that ports are opened on. The debug protocol has no authentication: keep it on loopback, the
    /// default, unless everybody who reaches the address may read this process. Variable: `DETRIX_CONTROL_HOST`.
    pub control_host: String,
    /// The port for debug clients while awake; 0, the default, for any that is free. Variable: `DETRIX_DEBUG_PORT`.
    pub debug_port: u16,
    /// Whether [`wake`](crate::wake) registers with a Detrix daemon, the default. Without, the debug port alone is
    /// opened. Variable: `DETRIX_REGISTER`, `0` or `1`.
    pub register: bool,
    /// The share of one CPU's time that threads may spend stopped at one place because of logpoints, 0 to 1; what goes
    /// beyond is not logged until the window of 100 ms ends. 0.05 by default. Variable: `DETRIX_LOGPOINT_BUDGET`.
    pub logpoint_budget: f64,
    /// How values of the application's own types are shown; none by default. They come before what detrix knows of
    /// library types.
    pub views: Vec<TypeView>,
    /// Parts of names whose values are never shown as a part of others: members, captured variables and types that have
    /// one in their name, whatever its case and its underscores, show as `<redacted>`. An expression that names one on
    /// purpose, as `{config.password}`, shows it all the same, unless `redact_strict` is set. By default `password`,
    /// `passwd`, `passphrase`, `secret`, `token`, `api_key`, `private_key` and `credential`. Variable: `DETRIX_REDACT`,
    /// separated by commas; `strict` among them sets `redact_strict`, and alone leaves the patterns as they are.
    pub redact: Vec<String>,
    /// Whether what is redacted is not shown either where an expression names it on purpose; not so by default.
    pub redact_strict: bool,
}

/// What [`Config::redact`] has by default.
const REDACTED: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "private_key",
    "credential",
];

impl Default for Config {
    fn default() -> Self {
        Self {
            name: None,
            control_host: "127.0.0.1".to_owned(),
            debug_port: 0,
            register: true,
            logpoint_budget: 0.05,
            views: Vec::new(),
            redact: REDACTED.map(str::to_owned).into(),
            redact_strict: false,
        }
    }
}

impl Config {
    /// The default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the environment's word for each field that still has its default. [`init`](crate::init) does this itself.
    /// Empty variables count as unset.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`] for a value that cannot be understood; it names the variable.
    pub fn with_env_overrides(self) -> Result<Self> {
        self.overridden(|variable| env::var(variable).ok())
    }

    /// The configured name, or the one that is made of the process number.
    pub fn connection_name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("detrix-client-{}", std::process::id()))
    }

    fn overridden(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let default = Self::default();
        let get = |variable| get(variable).filter(|value| !value.is_empty());
        if self.name.is_none() {
            self.name = get("DETRIX_NAME");
        }
        if self.control_host == default.control_host {
            self.control_host = get("DETRIX_CONTROL_HOST").unwrap_or(self.control_host);
        }
        if self.debug_port == default.debug_port {
            let port = get("DETRIX_DEBUG_PORT")
                .map(|value| parse("DETRIX_DEBUG_PORT", &value, "a port, 0 to 65535"));
            self.debug_port = port.transpose()?.unwrap_or(self.debug_port);
        }
        if self.register == default.register {
            let register = get("DETRIX_REGISTER").map(|value| flag("DETRIX_REGISTER", &value));
            self.register = register.transpose()?.unwrap_or(self.register);
        }
        if self.logpoint_budget == default.logpoint_budget {
            let variable = "DETRIX_LOGPOINT_BUDGET";
            let budget = get(variable).map(|value| parse(variable, &value, "a share, 0 to 1"));
            self.logpoint_budget = budget.transpose()?.unwrap_or(self.logpoint_budget);
        }
        if (&self.redact, self.redact_strict) == (&default.redact, default.redact_strict)
            && let Some(words) = get("DETRIX_REDACT")
        {
            let words = words
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty());
            let (strict, patterns): (Vec<&str>, Vec<&str>) =
                words.partition(|word| *word == "strict");
            self.redact_strict = !strict.is_empty();
            if !patterns.is_empty() {
                self.redact = patterns.into_iter().map(str::to_owned).collect();
            }
        }
        self.validated()
    }

    fn validated(self) -> Result<Self> {
        if !(0.0..=1.0).contains(&self.logpoint_budget) {
            return Err(Error::ConfigError(format!(
                "logpoint_budget (DETRIX_LOGPOINT_BUDGET) is {}; it is a share, 0 to 1",
                self.logpoint_budget
            )));
        }
        if self.control_host.parse::<std::net::IpAddr>().is_err() {
            return Err(Error::ConfigError(format!(
                "control_host (DETRIX_CONTROL_HOST) is {:?}; it must be an IP address, such as 127.0.0.1",
                self.control_host
            )));
        }
        Ok(self)
    }
}

fn parse<T: FromStr>(variable: &str, value: &str, expected: &str) -> Result<T> {
    value
        .trim()
        .parse()
        .map_err(|_| Error::ConfigError(format!("{variable} is {value:?}; it must be {expected}")))
}

fn flag(variable: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Error::ConfigError(format!(
            "{variable} is {value:?}; it must be 0 or 1"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overridden(config: Config, variables: &[(&str, &str)]) -> Result<Config> {
        config.overridden(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_variable_changes_what_still_has_its_default() {
        let variables = [
            ("DETRIX_NAME", "a"),
            ("DETRIX_DEBUG_PORT", "1234"),
            ("DETRIX_REGISTER", "0"),
            ("DETRIX_CONTROL_HOST", ""),
        ];
        let config = overridden(Config::default(), &variables).unwrap();
        assert_eq!(
            (config.name.as_deref(), config.debug_port, config.register),
            (Some("a"), 1234, false)
        );
        assert_eq!(config.control_host, "127.0.0.1");
        let set = Config {
            name: Some("b".into()),
            debug_port: 99,
            ..Config::default()
        };
        let config = overridden(set, &variables).unwrap();
        assert_eq!((config.name.as_deref(), config.debug_port), (Some("b"), 99));
    }

    #[test]
    fn what_is_redacted_can_be_told_in_a_variable() {
        let told = |words| overridden(Config::default(), &[("DETRIX_REDACT", words)]).unwrap();
        let config = told("ssn, card_number");
        assert_eq!(config.redact, ["ssn", "card_number"]);
        assert!(!config.redact_strict);
        let config = told("strict");
        assert_eq!(config.redact, Config::default().redact);
        assert!(config.redact_strict);
        let config = told("ssn,strict");
        assert_eq!(
            (config.redact.as_slice(), config.redact_strict),
            (&["ssn".to_owned()][..], true)
        );
        let set = Config {
            redact: vec!["own".into()],
            ..Config::default()
        };
        let config = overridden(set, &[("DETRIX_REDACT", "ssn")]).unwrap();
        assert_eq!(config.redact, ["own"]);
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_the_variable() {
        for (variable, value) in [
            ("DETRIX_DEBUG_PORT", "70000"),
            ("DETRIX_DEBUG_PORT", "x"),
            ("DETRIX_REGISTER", "maybe"),
            ("DETRIX_LOGPOINT_BUDGET", "2"),
            ("DETRIX_LOGPOINT_BUDGET", "NaN"),
            ("DETRIX_CONTROL_HOST", "localhost"),
        ] {
            let error = overridden(Config::default(), &[(variable, value)]).unwrap_err();
            assert!(
                matches!(&error, Error::ConfigError(text) if text.contains(variable)),
                "{error}"
            );
        }
    }
}
