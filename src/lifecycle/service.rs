//! What the control plane controls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::debugging;
use super::orders::{Order, Orders, Where};
use super::state::State;
use crate::config::Config;
use crate::control::{self, Admitted, Caller};
use crate::daemon::{BuildInfo, Daemon, Url, control_plane_url};
use crate::error::Result;
use crate::responses::{
    DiscoverResponse, InfoResponse, SleepResponse, StatusResponse, WakeResponse,
};

/// How long a daemon may take to say where it is reached, while somebody waits who only wants to discover it.
const ADVERTISE_TIMEOUT: Duration = Duration::from_secs(2);

/// Clones are the same service.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    config: Config,
    orders: Orders,
    state: Arc<State>,
}

impl Service {
    /// Gives its orders by `orders`.
    pub fn new(config: Config, orders: Orders, state: Arc<State>) -> Self {
        Self(Arc::new(Inner {
            config,
            orders,
            state,
        }))
    }

    /// The daemon's own word where it is reached. A daemon that is not there, or does not say, is no failure.
    async fn advertise_url(&self) -> Option<String> {
        let Inner { config, state, .. } = &*self.0;
        let (known, token) = {
            let known = state.known();
            (known.advertise_url.clone(), known.token.clone())
        };
        if known.is_some() {
            return known;
        }
        let url = Url::parse(&config.daemon_url).ok()?;
        let daemon = Daemon::new(url, &config.tls, token);
        let found = daemon.health(ADVERTISE_TIMEOUT).await.ok()?.advertise_url;
        state.known().advertise_url.clone_from(&found);
        found
    }
}

impl control::Service for Service {
    fn status(&self) -> StatusResponse {
        self.0.state.status()
    }

    fn token(&self) -> Option<Arc<str>> {
        let known = self.0.state.known();
        known.token.as_ref().map(|token| token.expose().into())
    }

    fn hosts(&self) -> Vec<String> {
        let config = &self.0.config;
        let advertised = config.advertise_host.iter();
        advertised.chain([&config.control_host]).cloned().collect()
    }

    fn workspace_root(&self) -> Option<PathBuf> {
        self.0.config.workspace_root.as_ref().map(PathBuf::from)
    }

    async fn info(&self) -> InfoResponse {
        let BuildInfo { commit, tag } = BuildInfo::detect(&self.0.config);
        InfoResponse::of_this_process(self.status().name, commit, tag)
    }

    async fn discover(&self) -> DiscoverResponse {
        let config = &self.0.config;
        let StatusResponse {
            name, control_port, ..
        } = self.status();
        let daemon_url = self.advertise_url().await;
        let control_port = u16::try_from(control_port).unwrap_or_default();
        DiscoverResponse {
            control_plane_url: control_plane_url(config, control_port),
            daemon_url: daemon_url.unwrap_or_else(|| config.daemon_url.clone()),
            name,
        }
    }

    async fn wake(&self, daemon_url: Option<String>, caller: Caller) -> Result<WakeResponse> {
        let place = Where {
            daemon_url,
            trusted: caller.admitted == Admitted::Token
                || debugging::is_own_user(caller.peer, caller.local),
        };
        let order = |answer| Order::Wake(place, answer);
        self.0.orders.request(order).await?
    }

    async fn sleep(&self, _: Caller) -> Result<SleepResponse> {
        self.0.orders.request(Order::Sleep).await
    }
}
