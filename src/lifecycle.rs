//! Asleep and awake: the public functions, and the thread that serves them.
//!
//! [`init`] starts detrix's one thread, which sleeps until it is told to wake, to sleep or to end. Whoever calls gives
//! an [`Order`] and waits for the answer; orders are carried out one after the other.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc as orders;

use crate::config::Config;
use crate::error::{Error, Result};

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// Nothing but a parked thread.
    Sleeping,
    /// On its way to awake.
    Waking,
    /// Debug clients can attach.
    Awake,
}

impl fmt::Display for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sleeping => "sleeping",
            Self::Waking => "waking",
            Self::Awake => "awake",
        })
    }
}

/// What [`status`] tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusResponse {
    /// The address that ports are opened on.
    pub control_host: String,
    /// The last port for debug clients; 0 if there never was one.
    pub debug_port: i32,
    /// Whether that port is open.
    pub debug_port_active: bool,
    /// Name of this process to clients; empty before [`init`].
    pub name: String,
    /// What the process is doing.
    pub state: ClientState,
}

/// What [`wake`] did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WakeResponse {
    /// The port for debug clients.
    pub debug_port: i32,
    /// Whether it was this call that woke.
    pub status: WakeResponseStatus,
}

/// Whether it was this call that woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeResponseStatus {
    /// It was.
    Awake,
    /// Another one had before.
    AlreadyAwake,
}

/// What [`sleep`] did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SleepResponse {
    /// Whether it was this call that put to sleep.
    pub status: SleepResponseStatus,
}

/// Whether it was this call that put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SleepResponseStatus {
    /// It was.
    Sleeping,
    /// It slept already.
    AlreadySleeping,
}

/// Starts detrix, asleep. Environment variables change what `config` leaves at its default.
///
/// # Errors
///
/// [`Error::AlreadyInitialized`]; [`Error::ConfigError`]; [`Error::IoError`] when no thread can be started.
pub fn init(config: Config) -> Result<()> {
    let config = config.with_env_overrides()?;
    let mut installed = installed();
    if installed.is_some() {
        return Err(Error::AlreadyInitialized);
    }
    let state = Arc::new(Mutex::new(State {
        pid: std::process::id(),
        name: config.connection_name(),
        control_host: config.control_host.clone(),
        debug_port: 0,
        client: ClientState::Sleeping,
    }));
    let (orders, received) = orders::unbounded_channel();
    let (ready, started) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("detrix".to_owned()).spawn({
        let state = state.clone();
        move || {
            keep_signals_away();
            // Here, not in `init`: an async runtime must not be dropped inside of another one, should anything fail.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                // Whoever asked waits for it.
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, run(config, &state, received));
            lock(&state).client = ClientState::Sleeping;
        }
    })?;
    started.recv().map_err(|_| Error::ThreadEnded)??;
    *installed = Some(Handle {
        state,
        orders,
        thread,
    });
    Ok(())
}

/// Opens the port for debug clients, or says that it is open.
///
/// # Errors
///
/// [`Error::NotInitialized`]; [`Error::DebugInfoMissing`], [`Error::TracingRefused`], [`Error::PortBindError`],
/// [`Error::RegistrationFailed`] and [`Error::Unsupported`], after which the process is asleep as before.
pub fn wake() -> Result<WakeResponse> {
    ask(Order::Wake)?
}

/// Removes all logpoints, closes the port, and gives everything back. When it returns the program's code is as it was.
///
/// # Errors
///
/// [`Error::NotInitialized`].
pub fn sleep() -> Result<SleepResponse> {
    ask(Order::Sleep)
}

/// What detrix is doing. Never fails; before [`init`] it is asleep and has no name.
pub fn status() -> StatusResponse {
    match &*installed() {
        Some(handle) => lock(&handle.state).response(),
        None => StatusResponse {
            control_host: Config::default().control_host,
            debug_port: 0,
            debug_port_active: false,
            name: String::new(),
            state: ClientState::Sleeping,
        },
    }
}

/// Goes to sleep and ends detrix's thread; [`init`] may be called again. Does nothing where detrix was not initialized.
///
/// # Errors
///
/// None today.
pub fn shutdown() -> Result<()> {
    let Some(handle) = installed().take() else {
        return Ok(());
    };
    // The end of the orders is the order to end.
    drop(handle.orders);
    // Had it panicked, its text was restored on the way out, and it is over all the same.
    let _ = handle.thread.join();
    Ok(())
}

/// The one handle of the process.
static INSTALLED: Mutex<Option<Handle>> = Mutex::new(None);

struct Handle {
    state: Arc<Mutex<State>>,
    orders: orders::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

/// What [`status`] tells without asking the thread.
struct State {
    pid: u32,
    name: String,
    control_host: String,
    debug_port: u16,
    client: ClientState,
}

impl State {
    fn response(&self) -> StatusResponse {
        StatusResponse {
            control_host: self.control_host.clone(),
            debug_port: self.debug_port.into(),
            debug_port_active: self.client == ClientState::Awake,
            name: self.name.clone(),
            state: self.client,
        }
    }
}

enum Order {
    Wake(mpsc::SyncSender<Result<WakeResponse>>),
    Sleep(mpsc::SyncSender<SleepResponse>),
}

/// The handle, if it is this process' own: a forked child inherits one whose thread it does not have.
fn installed() -> MutexGuard<'static, Option<Handle>> {
    let mut installed = lock(&INSTALLED);
    if installed
        .as_ref()
        .is_some_and(|handle| lock(&handle.state).pid != std::process::id())
    {
        // Its thread and its event loop are the parent's: nothing of it can be dropped here.
        std::mem::forget(installed.take());
    }
    installed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask<T>(order: impl FnOnce(mpsc::SyncSender<T>) -> Order) -> Result<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    let orders = installed()
        .as_ref()
        .map(|handle| handle.orders.clone())
        .ok_or(Error::NotInitialized)?;
    orders.send(order(answer)).map_err(|_| Error::ThreadEnded)?;
    drop(orders);
    answered.recv().map_err(|_| Error::ThreadEnded)
}

/// Detrix's thread.
async fn run(config: Config, state: &Mutex<State>, mut orders: orders::UnboundedReceiver<Order>) {
    let mut awake: Option<Awake> = None;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Wake(answer) => {
                let status = match awake {
                    Some(_) => Ok(WakeResponseStatus::AlreadyAwake),
                    None => {
                        lock(state).client = ClientState::Waking;
                        Awake::start(&config).map(|now| {
                            awake = Some(now);
                            WakeResponseStatus::Awake
                        })
                    }
                };
                let mut state = lock(state);
                state.client = if awake.is_some() {
                    ClientState::Awake
                } else {
                    ClientState::Sleeping
                };
                state.debug_port = awake.as_ref().map_or(state.debug_port, Awake::port);
                let debug_port = state.debug_port.into();
                // Whoever asked may be gone.
                let _ = answer.send(status.map(|status| WakeResponse { debug_port, status }));
            }
            Order::Sleep(answer) => {
                let status = match awake.take() {
                    Some(awake) => {
                        awake.stop().await;
                        SleepResponseStatus::Sleeping
                    }
                    None => SleepResponseStatus::AlreadySleeping,
                };
                lock(state).client = ClientState::Sleeping;
                let _ = answer.send(SleepResponse { status });
            }
        }
    }
    if let Some(awake) = awake {
        awake.stop().await;
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
use supported::{Awake, keep_signals_away};

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod supported {
    use std::cell::RefCell;
    use std::net::{IpAddr, SocketAddr};
    use std::rc::Rc;

    use nix::sys::signal::{SigSet, Signal};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, spawn_local};

    use crate::config::Config;
    use crate::debugger::{self, Debugger};
    use crate::error::{Error, Result};
    use crate::server::{self, Clients, Drained, access::Allow};

    /// Leaves the application's signals to the application's threads. What a thread raises itself stays deliverable.
    pub fn keep_signals_away() {
        let mut signals = SigSet::all();
        for own in [
            Signal::SIGTRAP,
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGILL,
            Signal::SIGFPE,
            Signal::SIGSYS,
            Signal::SIGABRT,
        ] {
            signals.remove(own);
        }
        // Fails only for a set that is none.
        let _ = signals.thread_set_mask();
    }

    /// A debugger and the port that it is served on.
    pub struct Awake {
        debugger: Rc<RefCell<Debugger>>,
        port: u16,
        stop: oneshot::Sender<()>,
        server: JoinHandle<Drained>,
        pump: JoinHandle<()>,
    }

    impl Awake {
        pub fn start(config: &Config) -> Result<Self> {
            if config.register {
                return Err(Error::RegistrationFailed(
                    "this version of detrix has no client of the Detrix daemon; set `Config::register` to false, or \
                     DETRIX_REGISTER=0, to wake without one"
                        .to_owned(),
                ));
            }
            let (listener, port) = listen(config)?;
            let debugger = Rc::new(RefCell::new(Debugger::start(config)?));
            let (stop, stopped) = oneshot::channel();
            let (allow, clients) = (Allow::default(), Clients::new());
            let shutdown = async {
                // An error is an order as well: the sender is gone.
                let _ = stopped.await;
            };
            let backend = debugger.clone();
            let serve = server::serve(listener, backend, allow, clients, shutdown);
            let server = spawn_local(serve);
            let pump = spawn_local(debugger::pump(debugger.clone()));
            Ok(Self {
                debugger,
                port,
                stop,
                server,
                pump,
            })
        }

        pub fn port(&self) -> u16 {
            self.port
        }

        pub async fn stop(self) {
            let _ = self.stop.send(());
            let _ = self.server.await;
            self.pump.abort();
            let _ = self.pump.await;
            // The sessions and the pump, which shared it, are gone: this drops it.
            drop(self.debugger);
        }
    }

    fn listen(config: &Config) -> Result<(TcpListener, u16)> {
        let host: IpAddr = config.control_host.parse().map_err(|_| {
            Error::ConfigError(format!(
                "control_host is {:?}; it must be an IP address",
                config.control_host
            ))
        })?;
        let address = SocketAddr::new(host, config.debug_port);
        let failed = |error| Error::PortBindError(format!("{address}: {error}"));
        // The standard library's listener sets SO_REUSEADDR: a fixed port can be opened again at once.
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok((TcpListener::from_std(listener)?, port))
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
use unsupported::{Awake, keep_signals_away};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
mod unsupported {
    use crate::config::Config;
    use crate::error::{Error, Result};

    /// Nothing is debugged here, and nothing is held up.
    pub fn keep_signals_away() {}

    /// There is no such state on this platform.
    pub enum Awake {}

    impl Awake {
        pub fn start(_: &Config) -> Result<Self> {
            Err(Error::Unsupported(std::env::consts::OS))
        }

        pub fn port(&self) -> u16 {
            match *self {}
        }

        pub async fn stop(self) {
            match self {}
        }
    }
}
