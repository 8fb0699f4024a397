//! The variables that change what the code left at its default.

use std::env;
use std::str::FromStr;

use super::Config;
use crate::error::{Error, Result};

impl Config {
    /// Takes the environment's word for each field that still has its default. [`init`](crate::init) does this itself.
    /// Empty variables count as unset. A value that cannot be understood changes nothing here; `init` returns
    /// [`Error::ConfigError`] for it.
    #[must_use]
    pub fn with_env_overrides(self) -> Self {
        self.clone().from_env().unwrap_or(self)
    }

    /// As [`Config::with_env_overrides`], with the word about a wrong value.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`], which names the variable.
    pub(crate) fn from_env(self) -> Result<Self> {
        self.overridden(|variable| env::var(variable).ok())
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
        self.validated()
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
