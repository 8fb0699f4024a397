//! What detrix's thread does: it carries out orders, one after the other.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::debugging::{Debugging, Warm};
use super::orders::{Order, Where};
use super::state::State;
use crate::caught::attempted;
use crate::config::{Config, StartState};
use crate::daemon::{BuildInfo, Daemon, Registration, Token, Url};
use crate::error::{Error, Result};
use crate::responses::{
    ClientState, DaemonLink, SleepResponse, SleepResponseStatus, WakeResponse, WakeResponseStatus,
};

/// See the module's documentation.
pub struct Client {
    config: Config,
    control_port: u16,
    state: Arc<State>,
    /// Becomes true, or is dropped, when the thread is to end.
    ending: watch::Receiver<bool>,
    /// Orders that have come, and wait for their turn.
    deferred: VecDeque<Order>,
    /// What is kept ready while asleep.
    warm: Option<Warm>,
    awake: Option<Awake>,
}

struct Awake {
    debugging: Debugging,
    registered: Option<Registered>,
}

/// With a daemon, to be taken back there.
struct Registered {
    daemon: Daemon,
    connection_id: String,
    daemon_url: Option<String>,
}

impl Client {
    /// In its start state.
    pub fn new(
        config: Config,
        control_port: u16,
        state: Arc<State>,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let mut client = Self {
            config,
            control_port,
            state,
            ending,
            deferred: VecDeque::new(),
            warm: None,
            awake: None,
        };
        client.rest();
        client
    }

    /// Carries out orders until the handle is gone or says so; then goes to sleep.
    pub async fn run(mut self, orders: &mut mpsc::UnboundedReceiver<Order>) {
        let mut ending = self.ending.clone();
        while !*ending.borrow() {
            if let Some(order) = self.next(orders) {
                self.carry_out(order, orders).await;
                continue;
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order, orders).await,
                    None => break,
                },
                // An error is an order as well: the handle is gone.
                _ = ending.wait_for(|end| *end) => break,
                () = self.idle() => {
                    tracing::info!(
                        target: "detrix::audit",
                        by = "max_awake",
                        "sleep: no debug client was attached for that long"
                    );
                    self.sleep().await;
                }
            }
        }
        orders.close();
        while let Some(order) = self.next(orders) {
            match order {
                Order::Wake(_, answer) => answer.give(Err(Error::NotInitialized)),
                Order::Sleep(answer) => answer.give(self.sleep().await),
            }
        }
        self.sleep().await;
    }

    /// The next of the orders that are there.
    fn next(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Option<Order> {
        self.defer(orders);
        let mut deferred = self.deferred.iter();
        let next = deferred.position(|order| !order.may_wait()).unwrap_or(0);
        self.deferred.remove(next)
    }

    fn defer(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) {
        let waiting = std::iter::from_fn(|| orders.try_recv().ok());
        self.deferred.extend(waiting);
    }

    async fn carry_out(&mut self, order: Order, orders: &mut mpsc::UnboundedReceiver<Order>) {
        match order {
            Order::Wake(waiting, answer) => {
                let woken = self.wake(waiting.place.clone()).await;
                if let Err(error) = &woken {
                    self.fail_alike(&waiting.place, error, orders);
                }
                answer.give(woken);
            }
            Order::Sleep(answer) => answer.give(self.sleep().await),
        }
    }

    /// Gives the failure of a wake to those who asked for the same meanwhile. Each would wait as long for it as the first
    /// did, and whoever asks after them, to sleep for instance, for all of them together.
    fn fail_alike(
        &mut self,
        place: &Where,
        error: &Error,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) {
        self.defer(orders);
        for order in std::mem::take(&mut self.deferred) {
            match order {
                Order::Wake(other, answer) if other.place == *place => {
                    answer.give(Err(error.again()));
                }
                other => self.deferred.push_back(other),
            }
        }
    }

    /// Ready when no client has been attached for as long as the configuration allows.
    async fn idle(&self) {
        match (&self.awake, self.config.max_awake) {
            (Some(awake), Some(most)) => awake.debugging.idle_for(most).await,
            _ => pending().await,
        }
    }

    async fn wake(&mut self, place: Where) -> Result<WakeResponse> {
        let token = Token::discover(&self.config);
        self.state.known().token.clone_from(&token);
        if let Some(awake) = &self.awake {
            return Ok(awake.response(WakeResponseStatus::AlreadyAwake));
        }
        self.state.known().status.state = ClientState::Waking;
        match self.start(place, token).await {
            Ok(awake) => {
                let response = awake.response(WakeResponseStatus::Awake);
                let known = &mut *self.state.known();
                known.status.state = ClientState::Awake;
                known.status.last_error = None;
                if let Some(registered) = &awake.registered {
                    known.status.connection_id = Some(registered.connection_id.clone());
                    known.advertise_url.clone_from(&registered.daemon_url);
                }
                self.awake = Some(awake);
                Ok(response)
            }
            Err(error) => {
                self.rest();
                self.state.known().status.last_error =
                    Some(format!("the last wake failed: {error}"));
                Err(error)
            }
        }
    }

    /// The steps of a wake. On an error nothing of them is left.
    ///
    /// 1. Refuse what cannot work, before anything is started: the debug address, the daemon's address, a daemon that
    ///    does not answer.
    /// 2. Open the debug port. From here on clients are served.
    /// 3. Register: the daemon attaches before it answers.
    async fn start(&mut self, place: Where, token: Option<Token>) -> Result<Awake> {
        self.config.check_debug_address()?;
        let daemon = self.daemon(place, token)?;
        let health = match &daemon {
            Some(daemon) => Some(
                self.unless_ending(daemon.health(self.config.health_check_timeout))
                    .await?,
            ),
            None => None,
        };
        let debugging = Debugging::start(&self.config, self.warm.take())?;
        {
            let known = &mut *self.state.known();
            let status = &mut known.status;
            status.debug_port = debugging.port().into();
            status.debug_port_active = true;
            known.presence = Some(Box::new(debugging.presence()));
        }
        let Some(daemon) = daemon else {
            return Ok(Awake {
                debugging,
                registered: None,
            });
        };
        match self.register(&daemon, debugging.port()).await {
            Ok(answer) => {
                let advertised = health.and_then(|health| health.advertise_url);
                let registered = Registered {
                    daemon,
                    connection_id: answer.connection_id,
                    daemon_url: answer.advertise_url.or(advertised),
                };
                Ok(Awake {
                    debugging,
                    registered: Some(registered),
                })
            }
            Err(error) => {
                debugging.drain().await.end().await;
                Err(error)
            }
        }
    }

    /// The daemon to register with, if any. An address that was asked for is used even where the configuration asks for
    /// no registration.
    fn daemon(&self, place: Where, token: Option<Token>) -> Result<Option<Daemon>> {
        let configured = &self.config.daemon_url;
        let url = match place.daemon_url.filter(|url| !url.is_empty()) {
            Some(url) => Url::parse(&url)?,
            None if self.config.register => Url::parse(configured)?,
            None => return Ok(None),
        };
        let trusted = place.trusted || Url::parse(configured).is_ok_and(|known| known == url);
        if token.is_some() && !trusted {
            tracing::warn!(
                target: "detrix::audit",
                %url,
                "the token is not sent to this daemon, which another user of this machine chose"
            );
        }
        let token = token.filter(|_| trusted);
        Ok(Some(Daemon::new(url, &self.config.tls, token)))
    }

    async fn register(
        &self,
        daemon: &Daemon,
        debug_port: u16,
    ) -> Result<crate::daemon::Registered> {
        self.state.known().status.daemon_link = DaemonLink::Registering;
        let build = BuildInfo::detect(&self.config);
        let registration = Registration::new(&self.config, build, debug_port, self.control_port);
        let registered = daemon.register(&registration, self.config.register_timeout);
        self.unless_ending(registered).await
    }

    /// The outcome, unless the thread is to end before it comes.
    async fn unless_ending<T>(&self, outcome: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ending = self.ending.clone();
        tokio::select! {
            outcome = outcome => outcome,
            _ = ending.wait_for(|end| *end) => Err(Error::NotInitialized),
        }
    }

    /// Goes to sleep, in the order that loses nothing:
    ///
    /// 1. Stop accepting clients. Remove all logpoints and send what was recorded, for up to a second.
    /// 2. Then unregister at the daemon: earlier, it would hang up before it has its last events.
    /// 3. Only then close the connections: a connection that ends before the daemon was told looks like a crash.
    async fn sleep(&mut self) -> SleepResponse {
        let Some(awake) = self.awake.take() else {
            return SleepResponse {
                status: SleepResponseStatus::AlreadySleeping,
            };
        };
        let drained = awake.debugging.drain().await;
        if let Some(registered) = awake.registered {
            let timeout = self.config.unregister_timeout;
            let daemon = registered.daemon.with_token(Token::discover(&self.config));
            let unregistered = daemon.unregister(&registered.connection_id, timeout).await;
            if let Err(error) = unregistered {
                tracing::warn!(%error, "the daemon could not be told that this process sleeps");
            }
        }
        drained.end().await;
        self.rest();
        SleepResponse {
            status: SleepResponseStatus::Sleeping,
        }
    }

    /// Takes up the start state.
    fn rest(&mut self) {
        let mut state = ClientState::Sleeping;
        if self.config.start_state == StartState::Warm {
            match self.warm.take().map_or_else(Warm::up, Ok) {
                Ok(warm) => {
                    self.warm = Some(warm);
                    state = ClientState::Warm;
                }
                Err(error) => {
                    self.state.known().status.last_error = Some(error.to_string());
                    // Also after a panic, of a subscriber for one, which is not to end this thread.
                    let _ = attempted(|| tracing::warn!(%error, "cannot be warm, sleeps instead"));
                }
            }
        }
        self.state.known().rest(state);
    }
}

impl Awake {
    fn response(&self, status: WakeResponseStatus) -> WakeResponse {
        let registered = self.registered.as_ref();
        WakeResponse {
            connection_id: registered
                .map(|registered| registered.connection_id.clone())
                .unwrap_or_default(),
            daemon_url: registered.and_then(|registered| registered.daemon_url.clone()),
            debug_port: self.debugging.port().into(),
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::orders::Orders;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn wakes_of_other_users_let_all_others_go_first() {
        let (orders, mut received) = Orders::channel();
        let (_end, ending) = watch::channel(false);
        let config = Config::default();
        let state = Arc::new(State::new(&config, 0, None));
        let mut client = Client::new(config, 0, state, ending);
        let wake = async |trusted| {
            let place = Where {
                daemon_url: None,
                trusted,
            };
            let waiting = orders.waiting_wake(place).unwrap();
            orders.request(|answer| Order::Wake(waiting, answer)).await
        };
        let mut asked = pin!(async {
            let sleep = orders.request(Order::Sleep);
            tokio::join!(wake(false), wake(true), sleep)
        });
        let mut context = Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending());
        let mut next = || match client.next(&mut received)? {
            Order::Wake(waiting, _) if waiting.place.trusted => Some("the own wake"),
            Order::Wake(..) => Some("another user's wake"),
            Order::Sleep(_) => Some("sleep"),
        };
        assert_eq!(next(), Some("the own wake"));
        assert_eq!(next(), Some("sleep"));
        assert_eq!(next(), Some("another user's wake"));
        assert_eq!(next(), None);
    }
}
