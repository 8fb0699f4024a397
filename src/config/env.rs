//! The variables that change what the code left at its default.
//!
//! [`VARIABLES`] is the whole list. How a variable is read follows from the type of its field, see [`Value`].

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{Config, StartState};
use crate::error::{Error, Result};

impl Config {
    /// Takes the environment's word for each field that still has its default. [`init`](crate::init) does this itself.
    /// Empty variables count as unset. A value that cannot be understood changes nothing here; `init` returns
    /// [`Error::ConfigError`] for it.
    #[must_use]
    pub fn with_env_overrides(self) -> Self {
        self.overridden(variable).0
    }

    /// Whether there is to be no debugger, whatever else is set and however wrong.
    pub(crate) fn is_switched_off(&self) -> bool {
        // Anybody may switch it off, also who must not decide anything else.
        let (config, _) = self.clone().overridden(|name| std::env::var_os(name));
        !config.enabled
    }

    /// As [`Config::with_env_overrides`], with the word about a wrong value, and all rules checked.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigError`], which names the variable or the field.
    pub(crate) fn with_environment(self) -> Result<Self> {
        warn_ignored();
        let config = self.with_variables(variable)?;
        config.warn_deprecated();
        Ok(config)
    }

    fn with_variables(self, get: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        match self.overridden(get) {
            (_, Some(wrong)) => Err(wrong),
            (config, None) => config.validated(),
        }
    }

    /// With all variables that can be understood, and the first that cannot. A wrong value is told even where the code's
    /// own word counts: in the next program it might not.
    fn overridden(mut self, get: impl Fn(&str) -> Option<OsString>) -> (Self, Option<Error>) {
        let default = Self::default();
        let mut wrong = None;
        for variable in VARIABLES {
            let Some(value) = get(variable.name).filter(|value| !value.is_empty()) else {
                continue;
            };
            if let Err(expected) = (variable.apply)(&mut self, &default, &value) {
                let name = variable.name;
                wrong.get_or_insert_with(|| {
                    Error::ConfigError(format!("{name} is {value:?}; it must be {expected}"))
                });
            }
        }
        (self, wrong)
    }
}

/// What the environment says, where that is to be trusted.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    of_owner(is_secure(), || std::env::var_os(name))
}

/// The home directory, where the environment, which names it, is to be trusted.
pub(crate) fn home() -> Option<PathBuf> {
    of_owner(is_secure(), std::env::home_dir)
}

/// Says so where variables are set that do not count.
fn warn_ignored() {
    let ours = |name: &OsString| name.as_encoded_bytes().starts_with(b"DETRIX_");
    if is_secure() && std::env::vars_os().any(|(name, _)| ours(&name)) {
        tracing::warn!(
            "variables DETRIX_... are ignored: this program has more privileges than who started it (set-user-ID, file \
             capabilities, or a security module); set the fields of `Config` in the code"
        );
    }
}

/// Whoever starts a program with more privileges than their own writes its environment, and would decide who may look
/// into it.
fn of_owner<T>(secure: bool, read: impl FnOnce() -> Option<T>) -> Option<T> {
    if secure { None } else { read() }
}

/// Whether this program has been started with more privileges than those of who started it (getauxval(3), AT_SECURE).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn is_secure() -> bool {
    // SAFETY: takes a number only.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn is_secure() -> bool {
    false
}

/// A variable, and the field that it is for.
pub(super) struct Variable {
    pub name: &'static str,
    /// As a path from [`Config`], for the table of the documentation.
    #[cfg(test)]
    pub field: &'static str,
    /// Sets the field if it has its default.
    apply: fn(&mut Config, &Config, &OsStr) -> Reading<()>,
}

macro_rules! variables {
    (@apply $($field:ident).+) => {
        |config, default, value| {
            let value = Value::read(value)?;
            if config.$($field).+ == default.$($field).+ {
                config.$($field).+ = value;
            }
            Ok(())
        }
    };
    (@apply $($field:ident).+ by $apply:path) => { $apply };
    ($($name:literal => $($field:ident).+ $(by $apply:path)?,)+) => {
        /// Every variable that is a field's.
        // The fields of lldb are deprecated for those who set them.
        #[allow(deprecated)]
        pub(super) const VARIABLES: &[Variable] = &[$(Variable {
            name: $name,
            #[cfg(test)]
            field: stringify!($($field).+),
            apply: variables!(@apply $($field).+ $(by $apply)?),
        },)+];
    };
}

// The token, `DETRIX_TOKEN`, is no field and read at each wake; so are the variables by which CI systems tell commit and
// tag, which come after those of our own here.
variables! {
    "DETRIX_ENABLED" => enabled,
    "DETRIX_NAME" => name,
    "DETRIX_CONTROL_HOST" => control_host,
    "DETRIX_HOST" => advertise_host,
    "DETRIX_CONTROL_PORT" => control_port,
    "DETRIX_DEBUG_HOST" => debug_host,
    "DETRIX_DEBUG_PORT" => debug_port,
    "DETRIX_DEBUG_ALLOW" => debug_allow,
    "DETRIX_DAEMON_URL" => daemon_url,
    "DETRIX_REGISTER" => register,
    "DETRIX_VERIFY_SSL" => tls.verify,
    "DETRIX_CA_BUNDLE" => tls.ca_bundle,
    "DETRIX_HOME" => detrix_home,
    "DETRIX_WORKSPACE_ROOT" => workspace_root,
    "DETRIX_SAFE_MODE" => safe_mode,
    "DETRIX_BUILD_COMMIT" => build_commit,
    "DETRIX_BUILD_TAG" => build_tag,
    "DETRIX_START_STATE" => start_state,
    "DETRIX_MAX_AWAKE" => max_awake,
    "DETRIX_HEALTH_CHECK_TIMEOUT" => health_check_timeout,
    "DETRIX_REGISTER_TIMEOUT" => register_timeout,
    "DETRIX_UNREGISTER_TIMEOUT" => unregister_timeout,
    "DETRIX_LOGPOINT_BUDGET" => logpoint_budget,
    "DETRIX_TOTAL_BUDGET" => total_budget,
    "DETRIX_LOGPOINT_HIT_LIMIT" => logpoint_hit_limit,
    "DETRIX_LOGPOINT_TTL" => logpoint_ttl,
    "DETRIX_REDACT" => redact by redacted,
    "DETRIX_LLDB_DAP_PATH" => lldb_dap_path,
}

/// What is redacted; `strict` among the patterns is no pattern, and alone leaves them as they are.
fn redacted(config: &mut Config, default: &Config, value: &OsStr) -> Reading<()> {
    let words = Vec::<String>::read(value)?;
    if (&config.redact, config.redact_strict) != (&default.redact, default.redact_strict) {
        return Ok(());
    }
    let (strict, patterns): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "strict");
    config.redact_strict = !strict.is_empty();
    if !patterns.is_empty() {
        config.redact = patterns;
    }
    Ok(())
}

/// The error is what was expected.
type Reading<T> = std::result::Result<T, &'static str>;

/// What a variable can be read as.
trait Value: Sized {
    fn read(value: &OsStr) -> Reading<Self>;
}

impl Value for String {
    fn read(value: &OsStr) -> Reading<Self> {
        text(value, "UTF-8 text").map(str::to_owned)
    }
}

impl Value for PathBuf {
    fn read(value: &OsStr) -> Reading<Self> {
        Ok(value.into())
    }
}

impl<T: Value> Value for Option<T> {
    fn read(value: &OsStr) -> Reading<Self> {
        T::read(value).map(Some)
    }
}

/// Entries that commas separate.
impl Value for Vec<String> {
    fn read(value: &OsStr) -> Reading<Self> {
        let entries = text(value, "UTF-8 text")?.split(',').map(str::trim);
        Ok(entries
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect())
    }
}

impl Value for bool {
    fn read(value: &OsStr) -> Reading<Self> {
        const EXPECTED: &str = "1 or 0 (true or false, yes or no, on or off)";
        match text(value, EXPECTED)?.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(EXPECTED),
        }
    }
}

impl Value for u16 {
    fn read(value: &OsStr) -> Reading<Self> {
        number(value, "a port, 0 to 65535")
    }
}

impl Value for NonZeroU64 {
    fn read(value: &OsStr) -> Reading<Self> {
        number(value, "a number of hits, 1 or more")
    }
}

/// Seconds.
impl Value for Duration {
    fn read(value: &OsStr) -> Reading<Self> {
        const EXPECTED: &str = "a number of seconds above 0, such as 2 or 0.5";
        let seconds: f64 = number(value, EXPECTED)?;
        // Refuses what is negative, infinite, no number, or more than a duration can hold.
        let duration = Self::try_from_secs_f64(seconds).map_err(|_| EXPECTED)?;
        if duration.is_zero() {
            return Err(EXPECTED);
        }
        Ok(duration)
    }
}

/// A share.
impl Value for f64 {
    fn read(value: &OsStr) -> Reading<Self> {
        const EXPECTED: &str = "a share, 0 to 1, such as 0.05";
        let share: Self = number(value, EXPECTED)?;
        match (0.0..=1.0).contains(&share) {
            true => Ok(share),
            false => Err(EXPECTED),
        }
    }
}

impl Value for StartState {
    fn read(value: &OsStr) -> Reading<Self> {
        const EXPECTED: &str = "sleeping or warm";
        match text(value, EXPECTED)?.trim() {
            "sleeping" => Ok(Self::Sleeping),
            "warm" => Ok(Self::Warm),
            _ => Err(EXPECTED),
        }
    }
}

fn text<'a>(value: &'a OsStr, expected: &'static str) -> Reading<&'a str> {
    value.to_str().ok_or(expected)
}

fn number<T: FromStr>(value: &OsStr, expected: &'static str) -> Reading<T> {
    text(value, expected)?.trim().parse().map_err(|_| expected)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn overridden(config: Config, variables: &[(&str, &str)]) -> (Config, Option<Error>) {
        config.overridden(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        })
    }

    fn error(variables: &[(&str, &str)]) -> String {
        match overridden(Config::default(), variables) {
            (_, Some(Error::ConfigError(text))) => text,
            other => panic!("{other:?}"),
        }
    }

    /// One for each variable: its value, and what the field then looks like.
    #[test]
    fn every_variable_sets_its_field() {
        let values = [
            ("DETRIX_ENABLED", "no", "enabled: false"),
            ("DETRIX_NAME", "a name", r#"name: Some("a name")"#),
            ("DETRIX_CONTROL_HOST", "::", r#"control_host: "::""#),
            ("DETRIX_HOST", "pod-1", r#"advertise_host: Some("pod-1")"#),
            ("DETRIX_CONTROL_PORT", "8099", "control_port: 8099"),
            ("DETRIX_DEBUG_HOST", "::1", r#"debug_host: Some("::1")"#),
            ("DETRIX_DEBUG_PORT", " 65535 ", "debug_port: 65535"),
            (
                "DETRIX_DEBUG_ALLOW",
                "10.0.0.0/8, uid:1000,",
                r#"debug_allow: ["10.0.0.0/8", "uid:1000"]"#,
            ),
            ("DETRIX_DAEMON_URL", "x", r#"daemon_url: "x""#),
            ("DETRIX_REGISTER", "OFF", "register: false"),
            ("DETRIX_VERIFY_SSL", "0", "verify: false"),
            ("DETRIX_CA_BUNDLE", "/ca", r#"ca_bundle: Some("/ca")"#),
            ("DETRIX_HOME", "/h", r#"detrix_home: Some("/h")"#),
            (
                "DETRIX_WORKSPACE_ROOT",
                "/w",
                r#"workspace_root: Some("/w")"#,
            ),
            ("DETRIX_SAFE_MODE", "true", "safe_mode: true"),
            (
                "DETRIX_BUILD_COMMIT",
                "c0ffee",
                r#"build_commit: Some("c0ffee")"#,
            ),
            ("DETRIX_BUILD_TAG", "v1", r#"build_tag: Some("v1")"#),
            ("DETRIX_START_STATE", "warm", "start_state: Warm"),
            ("DETRIX_MAX_AWAKE", "3600", "max_awake: Some(3600s)"),
            (
                "DETRIX_HEALTH_CHECK_TIMEOUT",
                "0.5",
                "health_check_timeout: 500ms",
            ),
            ("DETRIX_REGISTER_TIMEOUT", "1e1", "register_timeout: 10s"),
            ("DETRIX_UNREGISTER_TIMEOUT", "3", "unregister_timeout: 3s"),
            ("DETRIX_LOGPOINT_BUDGET", "1", "logpoint_budget: 1.0"),
            ("DETRIX_TOTAL_BUDGET", "0.2", "total_budget: 0.2"),
            (
                "DETRIX_LOGPOINT_HIT_LIMIT",
                "1000",
                "logpoint_hit_limit: Some(1000)",
            ),
            ("DETRIX_LOGPOINT_TTL", "60", "logpoint_ttl: Some(60s)"),
            (
                "DETRIX_REDACT",
                "ssn, card_number",
                r#"redact: ["ssn", "card_number"], redact_strict: false"#,
            ),
            ("DETRIX_LLDB_DAP_PATH", "/l", r#"lldb_dap_path: Some("/l")"#),
        ];
        assert_eq!(
            values.map(|(name, ..)| name).to_vec(),
            VARIABLES
                .iter()
                .map(|variable| variable.name)
                .collect::<Vec<_>>()
        );
        let default = format!("{:?}", Config::default());
        for (name, value, shown) in values {
            let (config, wrong) = overridden(Config::default(), &[(name, value)]);
            assert!(wrong.is_none(), "{name}: {wrong:?}");
            let config = format!("{config:?}");
            assert!(config.contains(shown), "{name}: {config}");
            assert!(!default.contains(shown), "{name}: nothing has changed");
        }
    }

    #[test]
    fn what_the_code_has_set_stays() {
        let variables = [("DETRIX_NAME", "a"), ("DETRIX_DEBUG_PORT", "1234")];
        let set = Config {
            name: Some("b".into()),
            debug_port: 99,
            ..Config::default()
        };
        let (config, wrong) = overridden(set, &variables);
        assert!(wrong.is_none());
        assert_eq!((config.name.as_deref(), config.debug_port), (Some("b"), 99));
    }

    #[test]
    fn what_is_redacted_can_be_told_in_a_variable() {
        let told = |words| overridden(Config::default(), &[("DETRIX_REDACT", words)]).0;
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
        let (config, _) = overridden(set, &[("DETRIX_REDACT", "ssn")]);
        assert_eq!(config.redact, ["own"]);
    }

    #[test]
    fn a_program_with_more_privileges_than_its_callers_does_not_ask_them() {
        assert_eq!(of_owner(true, || Some(1)), None);
        assert_eq!(of_owner(false, || Some(1)), Some(1));
        assert!(!is_secure(), "these tests are no such program");
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let empty: Vec<_> = VARIABLES
            .iter()
            .map(|variable| (variable.name, ""))
            .collect();
        let (config, wrong) = overridden(Config::default(), &empty);
        assert!(wrong.is_none(), "{wrong:?}");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_variable_value_and_what_is_expected() {
        let wrong = [
            ("DETRIX_ENABLED", "maybe", "1 or 0"),
            ("DETRIX_CONTROL_PORT", "70000", "a port, 0 to 65535"),
            ("DETRIX_CONTROL_PORT", "-1", "a port, 0 to 65535"),
            ("DETRIX_DEBUG_PORT", "http", "a port, 0 to 65535"),
            ("DETRIX_START_STATE", "awake", "sleeping or warm"),
            ("DETRIX_LOGPOINT_BUDGET", "1.5", "a share, 0 to 1"),
            ("DETRIX_LOGPOINT_BUDGET", "NaN", "a share, 0 to 1"),
            ("DETRIX_TOTAL_BUDGET", "-1", "a share, 0 to 1"),
            ("DETRIX_LOGPOINT_HIT_LIMIT", "0", "1 or more"),
            ("DETRIX_LOGPOINT_TTL", "0", "a number of seconds above 0"),
            ("DETRIX_MAX_AWAKE", "0", "a number of seconds above 0"),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "5s",
                "a number of seconds above 0",
            ),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "-1",
                "a number of seconds above 0",
            ),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "NaN",
                "a number of seconds above 0",
            ),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "inf",
                "a number of seconds above 0",
            ),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "1e300",
                "a number of seconds above 0",
            ),
            (
                "DETRIX_REGISTER_TIMEOUT",
                "1e-300",
                "a number of seconds above 0",
            ),
        ];
        for (name, value, expected) in wrong {
            let text = error(&[(name, value)]);
            for part in [name, value, expected] {
                assert!(text.contains(part), "{name}={value}: {text}");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_told_even_where_the_code_has_set_the_field() {
        let set = Config {
            debug_port: 99,
            ..Config::default()
        };
        let (config, wrong) = overridden(set, &[("DETRIX_DEBUG_PORT", "x")]);
        assert_eq!(config.debug_port, 99);
        assert!(matches!(wrong, Some(Error::ConfigError(_))));
    }

    #[test]
    fn a_wrong_value_does_not_keep_the_others_from_their_fields() {
        let variables = [("DETRIX_CONTROL_PORT", "x"), ("DETRIX_NAME", "a")];
        let (config, wrong) = overridden(Config::default(), &variables);
        assert_eq!(
            (config.name.as_deref(), config.control_port),
            (Some("a"), 0)
        );
        assert!(wrong.is_some());
    }

    #[test]
    fn text_is_utf_8_and_a_path_need_not_be() {
        let odd = || OsString::from_vec(vec![b'/', 0xff]);
        for (variable, wrong) in [
            ("DETRIX_NAME", true),
            ("DETRIX_DEBUG_PORT", true),
            ("DETRIX_DEBUG_ALLOW", true),
            ("DETRIX_HOME", false),
            ("DETRIX_CA_BUNDLE", false),
        ] {
            let get = |name: &str| (name == variable).then(odd);
            let outcome = Config::default().overridden(get).1;
            assert_eq!(outcome.is_some(), wrong, "{variable}: {outcome:?}");
        }
    }

    #[test]
    fn the_rules_of_the_fields_hold_for_what_variables_say() {
        let get = |name: &str| (name == "DETRIX_CONTROL_HOST").then(|| "localhost".into());
        let error = Config::default().with_variables(get).unwrap_err();
        assert!(error.to_string().contains("DETRIX_CONTROL_HOST"), "{error}");
    }
}
