//! What an application can set, in code or by environment variables.

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
pub(crate) mod allow;
pub(crate) mod env;
mod rules;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::type_view::TypeView;

/// How detrix behaves. [`Config::default`] is what most services want, with a name.
///
/// ```
/// let config = detrix::Config { name: Some("orders".into()), ..Default::default() };
/// assert_eq!(config.control_host, "127.0.0.1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether there is to be a debugger at all. With `false`, [`init`](crate::init) does nothing but say so. Variable:
    /// `DETRIX_ENABLED`.
    pub enabled: bool,
    /// Name of this process to the daemon and its users; `detrix-client-{pid}` by default. Variable: `DETRIX_NAME`.
    pub name: Option<String>,
    /// The IP address that the control plane listens on, and the debug port as well unless [`debug_host`] says
    /// otherwise. Variable: `DETRIX_CONTROL_HOST`.
    ///
    /// [`debug_host`]: field@Self::debug_host
    pub control_host: String,
    /// The host by which others reach this process, where that is not [`control_host`](Self::control_host): the name
    /// of a container or pod. Variable: `DETRIX_HOST`.
    pub advertise_host: Option<String>,
    /// The port of the control plane; 0, the default, for any that is free. Variable: `DETRIX_CONTROL_PORT`.
    pub control_port: u16,
    /// The IP address that the debug port is opened on while awake; that of the control plane by default. Variable:
    /// `DETRIX_DEBUG_HOST`.
    pub debug_host: Option<String>,
    /// The port for debug clients while awake; 0, the default, for any that is free. Variable: `DETRIX_DEBUG_PORT`.
    pub debug_port: u16,
    /// Who may connect to the debug port beside the user that this process runs as and root on the same machine:
    /// networks such as `10.1.0.0/16`, users of the same machine such as `uid:1000`. Empty by default. Variable:
    /// `DETRIX_DEBUG_ALLOW`, separated by commas.
    pub debug_allow: Vec<String>,
    /// Where the Detrix daemon is. Variable: `DETRIX_DAEMON_URL`.
    pub daemon_url: String,
    /// Whether [`wake`](crate::wake) registers with the daemon, the default. Without, the debug port alone is opened.
    /// Variable: `DETRIX_REGISTER`, `0` or `1`.
    pub register: bool,
    /// How an `https` daemon is verified. Variables: `DETRIX_VERIFY_SSL`, `DETRIX_CA_BUNDLE`.
    pub tls: TlsConfig,
    /// The directory with the token files; `~/detrix` by default. Variable: `DETRIX_HOME`.
    pub detrix_home: Option<PathBuf>,
    /// The root below which the control plane reads source files; the working directory by default. Variable:
    /// `DETRIX_WORKSPACE_ROOT`.
    pub workspace_root: Option<String>,
    /// Refuses whatever would hold a thread of the program, here and, by the registration, in the daemon. Variable:
    /// `DETRIX_SAFE_MODE`.
    pub safe_mode: bool,
    /// The commit that this program was built from. Variable: `DETRIX_BUILD_COMMIT`.
    pub build_commit: Option<String>,
    /// The tag that this program was built from. Variable: `DETRIX_BUILD_TAG`.
    pub build_tag: Option<String>,
    /// What [`init`](crate::init) starts with, and what [`sleep`](crate::sleep) returns to. Variable:
    /// `DETRIX_START_STATE`.
    pub start_state: StartState,
    /// After how long without an attached client the process goes to sleep by itself; never by default. Variable:
    /// `DETRIX_MAX_AWAKE`, in seconds.
    pub max_awake: Option<Duration>,
    /// How long `wake` waits for the daemon to answer whether it is there; 2 s by default. Variable:
    /// `DETRIX_HEALTH_CHECK_TIMEOUT`, in seconds.
    pub health_check_timeout: Duration,
    /// How long `wake` waits for the daemon to register and attach; 5 s by default. Variable:
    /// `DETRIX_REGISTER_TIMEOUT`, in seconds.
    pub register_timeout: Duration,
    /// How long `sleep` waits for the daemon to unregister; 2 s by default. Variable: `DETRIX_UNREGISTER_TIMEOUT`, in
    /// seconds.
    pub unregister_timeout: Duration,
    /// The share of one CPU's time that threads, added up, may spend stopped by one logpoint, 0 to 1; what goes beyond is
    /// not logged until the window of 100 ms ends. 0.05 by default; 1 sets no limit. A client may ask for less. Variable:
    /// `DETRIX_LOGPOINT_BUDGET`.
    pub logpoint_budget: f64,
    /// As [`logpoint_budget`](Self::logpoint_budget), for all logpoints of all clients together: the one that cost most
    /// goes first. 0.1 by default; 1 sets no limit. Variable: `DETRIX_TOTAL_BUDGET`.
    pub total_budget: f64,
    /// How many hits a logpoint logs until it expires, that is, until it is taken out for good; no limit by default. A
    /// client may ask for fewer. Variable: `DETRIX_LOGPOINT_HIT_LIMIT`.
    pub logpoint_hit_limit: Option<NonZeroU64>,
    /// How long a logpoint lives until it expires; no limit by default. A client may ask for less. Variable:
    /// `DETRIX_LOGPOINT_TTL`, in seconds.
    pub logpoint_ttl: Option<Duration>,
    /// How values of the application's own types are shown; none by default. They come before what detrix knows of
    /// library types.
    pub views: Vec<TypeView>,
    /// Parts of names whose values are never shown as a part of others: members, captured variables and types that have
    /// one in their name, whatever its case, its underscores and its hyphens, show as `<redacted>`. An expression that
    /// names one on purpose, as `{config.password}`, shows it all the same, unless `redact_strict` is set. By default
    /// `password`, `passwd`, `passphrase`, `secret`, `token`, `api_key`, `private_key` and `credential`; what is set
    /// replaces them, and [`Config::redacted_and`] adds to them. Variable: `DETRIX_REDACT`, separated by commas, which
    /// replaces them as well; `strict` among them sets `redact_strict`, and alone leaves the patterns as they are.
    pub redact: Vec<String>,
    /// Whether what is redacted is not shown either where an expression names it on purpose; not so by default.
    pub redact_strict: bool,
    /// Has no effect: there is no lldb-dap. Accepted for what was written for `detrix-rs`.
    #[deprecated = "detrix needs no lldb-dap; leave it out"]
    pub lldb_dap_path: Option<PathBuf>,
    /// Has no effect: there is no lldb-dap. Accepted for what was written for `detrix-rs`.
    #[deprecated = "detrix needs no lldb-dap; leave it out"]
    pub lldb_start_timeout: Duration,
}

/// How an `https` daemon is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Whether the daemon's certificate is verified, the default. Without, whoever is in between can read the token
    /// and answer in the daemon's place.
    pub verify: bool,
    /// A PEM file with the certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// What [`init`](crate::init) starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartState {
    /// Nothing but a parked thread and the control plane.
    #[default]
    Sleeping,
    /// The debug information is looked up as well, so that the next wake is instant. Nothing is patched, and no debug
    /// port is open.
    Warm,
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
    #[allow(deprecated)] // They still have to be filled.
    fn default() -> Self {
        Self {
            enabled: true,
            name: None,
            control_host: "127.0.0.1".to_owned(),
            advertise_host: None,
            control_port: 0,
            debug_host: None,
            debug_port: 0,
            debug_allow: Vec::new(),
            daemon_url: "http://127.0.0.1:8090".to_owned(),
            register: true,
            tls: TlsConfig::default(),
            detrix_home: None,
            workspace_root: None,
            safe_mode: false,
            build_commit: None,
            build_tag: None,
            start_state: StartState::Sleeping,
            max_awake: None,
            health_check_timeout: Duration::from_secs(2),
            register_timeout: Duration::from_secs(5),
            unregister_timeout: Duration::from_secs(2),
            logpoint_budget: 0.05,
            total_budget: 0.1,
            logpoint_hit_limit: None,
            logpoint_ttl: None,
            views: Vec::new(),
            redact: REDACTED.map(str::to_owned).into(),
            redact_strict: false,
            lldb_dap_path: None,
            lldb_start_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            verify: true,
            ca_bundle: None,
        }
    }
}

impl Config {
    /// The default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// The patterns that [`redact`](Self::redact) has by default, and `more`.
    ///
    /// ```
    /// use detrix::Config;
    ///
    /// let config = Config {
    ///     redact: Config::redacted_and(["card_number", "iban"]),
    ///     ..Config::default()
    /// };
    /// assert_eq!(config.redact[0], "password");
    /// ```
    pub fn redacted_and<P: Into<String>>(more: impl IntoIterator<Item = P>) -> Vec<String> {
        let default = REDACTED.map(str::to_owned).into_iter();
        default.chain(more.into_iter().map(P::into)).collect()
    }

    /// The configured name, or the one that is made of the process number.
    pub fn connection_name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("detrix-client-{}", std::process::id()))
    }

    /// The directory with the token files: the configured one, or `~/detrix`; `None` where there is no home.
    pub fn detrix_home_path(&self) -> Option<PathBuf> {
        self.detrix_home
            .clone()
            .or_else(|| Some(env::home()?.join("detrix")))
    }

    /// The address that the debug port is opened on.
    pub(crate) fn debug_host(&self) -> &str {
        self.debug_host.as_deref().unwrap_or(&self.control_host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../docs/configuration.md");

    /// The first three cells of each row: field, variable, default.
    fn rows() -> Vec<[&'static str; 3]> {
        let fields = TABLE.split("\n## ").find(|part| part.starts_with("Fields"));
        let rows = fields.expect("a table of fields").lines();
        rows.filter_map(|line| line.strip_prefix("| `"))
            .map(|line| {
                let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
                [(); 3].map(|()| cells.next().expect("a row has five cells"))
            })
            .collect()
    }

    /// Every field, as `Debug` has them, one a line; those of `tls` as `tls.verify`.
    fn fields() -> Vec<String> {
        let mut outer = String::new();
        let mut fields = Vec::new();
        for line in format!("{:#?}", Config::default()).lines() {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            match (name.strip_prefix("        "), name.trim()) {
                (Some(inner), _) => fields.push(format!("{outer}.{inner}")),
                (None, name) if value.ends_with('{') => outer = name.to_owned(),
                (None, name) => fields.push(name.to_owned()),
            }
        }
        fields
    }

    #[test]
    fn the_documentation_has_every_field() {
        let mut documented: Vec<_> = rows()
            .iter()
            .map(|[field, ..]| (*field).to_owned())
            .collect();
        let mut fields = fields();
        fields.sort();
        documented.sort();
        assert_eq!(documented, fields);
    }

    #[test]
    fn the_documentation_has_every_variable_with_its_field() {
        let documented = rows()
            .into_iter()
            .filter(|[_, variable, _]| !variable.is_empty())
            .map(|[field, variable, _]| (variable, field.to_owned()));
        let mut documented: Vec<_> = documented.collect();
        let mut variables: Vec<_> = env::VARIABLES
            .iter()
            .map(|variable| (variable.name, variable.field.replace(' ', "")))
            .collect();
        documented.sort();
        variables.sort();
        assert_eq!(documented, variables);
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let shown = format!("{:#?}", Config::default());
        for [field, _, default] in rows() {
            let name = field.strip_prefix("tls.").unwrap_or(field);
            let mut lines = shown.lines().map(|line| line.trim().trim_end_matches(','));
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let mut value = line.expect("a field").to_lowercase();
            if value == "[" {
                let entries = lines.take_while(|line| *line != "]");
                let entries: Vec<_> = entries.map(|entry| entry.trim_matches('"')).collect();
                value = entries.join(",");
            }
            let value = value.trim_matches('"');
            let said = default
                .split(": ")
                .next()
                .unwrap_or_default()
                .trim_end_matches('`');
            let said = match said {
                "empty" => "[]",
                "detrix-client-{pid}" => "none",
                _ => said,
            };
            assert_eq!(said.replace(' ', ""), value, "{field}");
        }
    }

    #[test]
    fn the_name_is_the_configured_one_or_tells_the_process() {
        let pid = std::process::id();
        assert_eq!(
            Config::new().connection_name(),
            format!("detrix-client-{pid}")
        );
        let config = Config {
            name: Some("orders".into()),
            ..Config::default()
        };
        assert_eq!(config.connection_name(), "orders");
    }

    #[test]
    fn the_home_is_the_configured_one_or_below_the_users() {
        let config = Config {
            detrix_home: Some("/somewhere".into()),
            ..Config::default()
        };
        assert_eq!(config.detrix_home_path(), Some("/somewhere".into()));
        let home = std::env::home_dir().map(|home| home.join("detrix"));
        assert_eq!(Config::default().detrix_home_path(), home);
    }
}
