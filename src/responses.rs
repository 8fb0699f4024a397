//! What the public functions and the control plane answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What [`status`](crate::status) tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusResponse {
    /// The daemon's name for this process while it is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// The address of the control plane.
    pub control_host: String,
    /// The port of the control plane; 0 where there is none.
    pub control_port: i32,
    /// The configured daemon.
    pub daemon_url: String,
    /// The last port for debug clients; 0 if there never was one.
    pub debug_port: i32,
    /// Whether that port is open.
    pub debug_port_active: bool,
    /// Name of this process to clients; empty before [`init`](crate::init).
    pub name: String,
    /// What the process is doing.
    pub state: ClientState,
    /// How it stands with the daemon.
    #[serde(default)]
    pub daemon_link: DaemonLink,
    /// How many debug clients are attached.
    #[serde(default)]
    pub debug_clients: u32,
    /// What was wrong last, for people: why the last wake failed, why all logpoints are gone, that detrix's own code
    /// panicked, or for how long its thread has been stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The logpoints that are set or have expired, while awake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logpoints: Vec<LogpointStatus>,
    /// All logpoints since the last wake, those that are gone included; absent while asleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logpoint_totals: Option<LogpointCounts>,
}

/// A logpoint, as [`status`](crate::status) tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogpointStatus {
    /// Its number, as its client knows it.
    pub id: i64,
    /// The file, as its client calls it.
    pub path: String,
    /// The line that it is at, from 1.
    pub line: u64,
    /// Whether it logs.
    pub state: LogpointState,
    /// What became of its hits, at all of its addresses.
    #[serde(flatten)]
    pub counts: LogpointCounts,
}

/// What became of the hits of logpoints, and what they cost. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogpointCounts {
    /// Hits that were looked at: those that were logged, those that were dropped, and those that a condition passed over.
    pub hits: u64,
    /// Hits that were logged.
    pub logged: u64,
    /// Hits that were lost, because they came faster than they could be read.
    pub dropped: u64,
    /// Hits that were not looked at: threads were on their way into the logpoint when it was suspended or expired; in the
    /// totals also those of threads that were not traced yet, or not any more. What passes later runs the program's own
    /// code, and is counted nowhere.
    pub missed: u64,
    /// How often the budget suspended it.
    pub suspensions: u64,
    /// For how long it was suspended, in nanoseconds.
    pub suspended_ns: u64,
    /// For how long threads were stopped, added up over threads, in nanoseconds.
    pub stopped_ns: u64,
}

impl StatusResponse {
    /// Where this machine reaches the control plane; `None` where there is none.
    pub fn control_plane_url(&self) -> Option<String> {
        let port = u16::try_from(self.control_port)
            .ok()
            .filter(|port| *port != 0)?;
        Some(match self.control_host.parse::<IpAddr>() {
            Ok(host) if host.is_unspecified() => format!("http://127.0.0.1:{port}"),
            Ok(host) => format!("http://{}", SocketAddr::new(host, port)),
            Err(_) => format!("http://{}:{port}", self.control_host),
        })
    }
}

/// What [`wake`](crate::wake) did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WakeResponse {
    /// The daemon's name for this process; empty where it was not to be registered.
    pub connection_id: String,
    /// The daemon's own word where it is reached, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_url: Option<String>,
    /// The port for debug clients.
    pub debug_port: i32,
    /// Whether it was this call that woke.
    pub status: WakeResponseStatus,
}

/// What [`sleep`](crate::sleep) did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SleepResponse {
    /// Whether it was this call that put to sleep.
    pub status: SleepResponseStatus,
}

/// Where daemon and control plane are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DiscoverResponse {
    /// Where the control plane is reached; `None` where it listens on all addresses and no host is advertised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane_url: Option<String>,
    /// Where the daemon is reached: its own word if it gave one, else the configured address.
    pub daemon_url: String,
    /// Name of this process.
    pub name: String,
}

/// What the control plane tells about the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InfoResponse {
    /// Name of this process to clients.
    pub name: String,
    /// Number of this process.
    pub pid: u32,
    /// The version of the compiler that made the executable, as `1.88.0`; absent where the executable does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust_version: Option<String>,
    /// The version of detrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The commit that the program was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_commit: Option<String>,
    /// The tag that the program was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_tag: Option<String>,
    /// Whether a wake would work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
}

/// What [`preflight`](crate::preflight()) found: whether a wake would work, before anyone needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Whether a [`wake`](crate::wake) would get a debugger whose logpoints can be placed. What makes values poorer
    /// alone (no variables, no build id) does not matter here: see the checks.
    pub ready: bool,
    /// The debug information of the executable.
    pub debug_info: Check,
    /// Whether the system lets this process be traced.
    pub ptrace: Check,
    /// The build id of the executable, by which a replaced file is told from the one that runs.
    pub build_id: Check,
}

/// One thing that [`preflight`](crate::preflight()) looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whether nothing is missing.
    pub ok: bool,
    /// What was found, or what is missing, for people.
    pub detail: String,
    /// What to change; absent where nothing is to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// An enum whose variants have names on the wire.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName {
                        name: name.to_owned(),
                        known: &[$($text),+],
                    }),
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = UnknownName;

            fn try_from(name: &str) -> Result<Self, UnknownName> {
                name.parse()
            }
        }

        impl TryFrom<&String> for $name {
            type Error = UnknownName;

            fn try_from(name: &String) -> Result<Self, UnknownName> {
                name.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownName;

            fn try_from(name: String) -> Result<Self, UnknownName> {
                name.parse()
            }
        }
    };
}

named! {
    /// What the process is doing.
    ClientState {
        /// Nothing but a parked thread.
        Sleeping = "sleeping",
        /// As sleeping, with the debug information looked up.
        Warm = "warm",
        /// On its way to awake.
        Waking = "waking",
        /// Debug clients can attach.
        Awake = "awake",
    }
}

named! {
    /// Whether a logpoint logs.
    LogpointState {
        /// It does.
        Active = "active",
        /// Not until the current 100 ms are over: it, or all together, cost too much.
        Suspended = "suspended",
        /// Never again: it has logged as many hits, or lived as long, as it may.
        Expired = "expired",
    }
}

named! {
    /// Whether it was this call that woke.
    WakeResponseStatus {
        /// It was.
        Awake = "awake",
        /// Another one had before.
        AlreadyAwake = "already_awake",
    }
}

named! {
    /// Whether it was this call that put to sleep.
    SleepResponseStatus {
        /// It was.
        Sleeping = "sleeping",
        /// It slept already.
        AlreadySleeping = "already_sleeping",
    }
}

named! {
    /// How it stands with the daemon.
    #[derive(Default)]
    DaemonLink {
        /// There is none to be told: asleep, or not to be registered.
        #[default]
        None = "none",
        /// The daemon is being told.
        Registering = "registering",
        /// The daemon was told, and its debug client is connected.
        Connected = "connected",
        /// The daemon was told, and its debug client is not connected (any more).
        Disconnected = "disconnected",
    }
}

/// A name that none of an enum's variants has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is unknown; expected one of {known:?}")]
pub struct UnknownName {
    name: String,
    known: &'static [&'static str],
}

/// The responses convert from references, as those of `detrix-rs` do.
macro_rules! from_reference {
    ($($name:ident)+) => {
        $(impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        })+
    };
}

from_reference! {
    StatusResponse WakeResponse SleepResponse DiscoverResponse InfoResponse
    LogpointStatus LogpointCounts LogpointState ClientState WakeResponseStatus SleepResponseStatus DaemonLink
}
