//! What the control plane controls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::debugging;
use super::orders::{Order, Orders, Where};
use super::state::State;
use crate::config::Config;
use crate::control::{self, Admitted, Caller};
use crate::daemon::{BuildInfo, Daemon, Token, Url, control_plane_url};
use crate::error::Result;
use crate::responses::{
    DiscoverResponse, InfoResponse, SleepResponse, StatusResponse, WakeResponse,
};

/// How long a daemon may take to say where it is reached, while somebody waits who only wants to discover it.
const ADVERTISE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long its answer, or that there was none, counts.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How often the token is read anew at the most because somebody presents another one.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// Clones are the same service.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    config: Config,
    orders: Orders,
    state: Arc<State>,
    /// When the daemon was last asked where it is reached, and its answer. Held while it is asked.
    asked: tokio::sync::Mutex<Option<(Instant, Option<String>)>>,
    /// When the token was last read because somebody had another one.
    renewed: Mutex<Option<Instant>>,
}

impl Service {
    /// Gives its orders by `orders`.
    pub fn new(config: Config, orders: Orders, state: Arc<State>) -> Self {
        Self(Arc::new(Inner {
            config,
            orders,
            state,
            asked: tokio::sync::Mutex::default(),
            renewed: Mutex::default(),
        }))
    }

    /// The daemon's own word where it is reached. A daemon that is not there, or does not say, is no failure, and is left
    /// alone for a while: anybody may ask.
    async fn advertise_url(&self) -> Option<String> {
        let Inner { config, state, .. } = &*self.0;
        if let Some(known) = state.known().advertise_url.clone() {
            return Some(known);
        }
        let mut last = self.0.asked.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < ASK_EVERY
        {
            return found.clone();
        }
        let url = Url::parse(&config.daemon_url).ok()?;
        let token = state.known().token.clone();
        let daemon = Daemon::new(url, &config.tls, token);
        let health = daemon.health(ADVERTISE_TIMEOUT).await.ok();
        let found = health.and_then(|health| health.advertise_url);
        *last = Some((Instant::now(), found.clone()));
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

    fn trusts(&self, caller: &Caller) -> bool {
        caller.admitted == Admitted::Token || debugging::is_own_user(caller.peer, caller.local)
    }

    fn renewed_token(&self) -> Option<Arc<str>> {
        let Inner {
            config,
            state,
            renewed,
            ..
        } = &*self.0;
        let mut last = renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= RENEW_EVERY) {
            *last = Some(Instant::now());
            let token = Token::discover(config);
            state.known().token = token;
        }
        self.token()
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
            trusted: self.trusts(&caller),
        };
        let orders = &self.0.orders;
        let waiting = orders.waiting_wake(place)?;
        let order = |answer| Order::Wake(waiting, answer);
        orders.request(order).await?
    }

    async fn sleep(&self, _: Caller) -> Result<SleepResponse> {
        self.0.orders.request(Order::Sleep).await
    }
}
