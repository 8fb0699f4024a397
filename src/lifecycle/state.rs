//! What the threads of the application may know without asking detrix's own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::caught::attempted;
use crate::config::Config;
use crate::daemon::Token;
use crate::responses::{ClientState, DaemonLink, LogpointCounts, LogpointStatus, StatusResponse};

/// Shared by detrix's thread, which writes it, and everybody who asks.
pub struct State(Mutex<Known>);

/// What is known.
pub struct Known {
    /// What `status` answers.
    pub status: StatusResponse,
    /// What requests to the control plane from elsewhere have to carry, as of the last wake.
    pub token: Option<Token>,
    /// The daemon's own word where it is reached.
    pub advertise_url: Option<String>,
    /// Tells how things stand while the debug port is open.
    pub presence: Option<Box<dyn Fn() -> Presence + Send>>,
}

/// How things stand while awake.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    /// All debug clients.
    pub clients: usize,
    /// Those of them that are the Detrix daemon.
    pub daemons: usize,
    /// What went wrong since the wake.
    pub trouble: Option<String>,
    /// The logpoints, with their numbers.
    pub logpoints: Vec<LogpointStatus>,
    /// The numbers of all logpoints since the wake.
    pub totals: Option<LogpointCounts>,
}

impl Known {
    /// Nothing is open and nobody is there; the last port stays known.
    pub fn rest(&mut self, state: ClientState) {
        self.presence = None;
        self.advertise_url = None;
        self.status.state = state;
        self.status.connection_id = None;
        self.status.debug_port_active = false;
        self.status.daemon_link = DaemonLink::None;
    }
}

impl State {
    /// Asleep.
    pub fn new(config: &Config, control_port: u16, token: Option<Token>) -> Self {
        Self(Mutex::new(Known {
            status: StatusResponse {
                name: config.connection_name(),
                control_port: control_port.into(),
                ..asleep(config)
            },
            token,
            advertise_url: None,
            presence: None,
        }))
    }

    /// Held for some moves of memory only.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        // What a panicking thread left is whole: every change is a single assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that what was awake has ended by a panic, after it is asleep again.
    pub fn panicked(&self, why: &str) {
        let error = format!(
            "detrix's own code panicked and went to sleep: {why}; wake it again, and report this as a bug of detrix"
        );
        self.known().status.last_error = Some(error.clone());
        // A subscriber may be what has panicked.
        let _ = attempted(|| tracing::error!("{error}"));
    }

    /// What `status` answers.
    pub fn status(&self) -> StatusResponse {
        let known = self.known();
        let presence = known.presence.as_ref().map(|ask| ask()).unwrap_or_default();
        let mut status = known.status.clone();
        status.debug_clients = u32::try_from(presence.clients).unwrap_or(u32::MAX);
        status.logpoints = presence.logpoints;
        status.logpoint_totals = presence.totals;
        status.last_error = presence.trouble.or(status.last_error);
        if status.connection_id.is_some() {
            status.daemon_link = match presence.daemons {
                0 => DaemonLink::Disconnected,
                _ => DaemonLink::Connected,
            };
        }
        status
    }
}

/// What `status` answers where detrix was not initialized.
pub fn asleep(config: &Config) -> StatusResponse {
    StatusResponse {
        connection_id: None,
        control_host: config.control_host.clone(),
        control_port: 0,
        daemon_url: config.daemon_url.clone(),
        debug_port: 0,
        debug_port_active: false,
        name: String::new(),
        state: ClientState::Sleeping,
        daemon_link: DaemonLink::None,
        debug_clients: 0,
        last_error: None,
        logpoints: Vec::new(),
        logpoint_totals: None,
    }
}
