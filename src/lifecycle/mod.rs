//! Asleep and awake: the public functions, and the thread that serves them.
//!
//! [`init`] starts detrix's one thread, which serves the control plane and sleeps until it is told to wake, to sleep or
//! to end. Whoever calls gives an [`orders::Order`] and waits for the answer; orders are carried out one after the
//! other, by [`client`], those of other users last. What needs no order is in [`state`].

mod client;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod debugging;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
#[path = "unsupported.rs"]
mod debugging;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod forked;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
#[path = "unforked.rs"]
mod forked;
mod installed;
mod orders;
mod service;
mod state;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::watch;

use crate::caught::caught;
use crate::config::Config;
use crate::daemon::Token;
use crate::error::{Error, Result};
use crate::override_url::DaemonUrl;
use crate::responses::{SleepResponse, SleepResponseStatus, StatusResponse, WakeResponse};
use client::Client;
use forked::ClosedInChildren;
use installed::{Handle, Installed, changing, installed};
use orders::{Answer, Order, Orders, Where};
use state::State;

/// Starts detrix, asleep (or warm, as [`Config::start_state`] says), with its control plane listening. Environment
/// variables change what `config` leaves at its default. Never waits for the network.
///
/// With `enabled` false, or `DETRIX_ENABLED=0`, it does nothing but say so by `tracing`; [`wake`] then is an error.
///
/// A forked child starts without detrix, whatever its parent had, and calls `init` for itself. A process that makes
/// itself a daemon by forking calls it afterwards.
///
/// # Errors
///
/// [`Error::AlreadyInitialized`]; [`Error::ConfigError`]; [`Error::ControlPlaneError`] when the control plane's port
/// cannot be had; [`Error::IoError`] when no thread can be started.
pub fn init(config: Config) -> Result<()> {
    let _changing = changing();
    if installed().is_some() {
        return Err(Error::AlreadyInitialized);
    }
    // Before anything else is looked at: whoever switches it off wants none of its errors.
    let fresh = if config.is_switched_off() {
        tracing::info!("detrix is switched off (Config::enabled, DETRIX_ENABLED)");
        Installed::Disabled(Arc::new(State::new(&config, 0, None)))
    } else {
        Installed::Running(start(config.with_environment()?)?)
    };
    *installed() = Some(fresh);
    Ok(())
}

/// Opens the port for debug clients and registers with the daemon, or says that this was done before.
///
/// # Errors
///
/// After any of them nothing is left behind, and the process is asleep as before.
///
/// * [`Error::NotInitialized`]; [`Error::ConfigError`], also where detrix is switched off.
/// * [`Error::DaemonUnreachable`], [`Error::RegistrationFailed`].
/// * [`Error::DebugInfoMissing`], [`Error::TracingRefused`], [`Error::PortBindError`], [`Error::Unsupported`].
/// * [`Error::WakeInProgress`]: too many wakes wait for their turn; try again.
/// * [`Error::IoError`]: there is no memory, descriptor, thread or process to be had; raise the limits.
/// * [`Error::ThreadEnded`].
pub fn wake() -> Result<WakeResponse> {
    wake_at(None)
}

/// As [`wake`], with the daemon at another address than the configured one, this time only. [`sleep`] unregisters there
/// as well.
///
/// It registers there even where [`Config::register`] is `false`, and sends the token there. `None` and an empty text mean
/// the configured daemon, and what `register` says. Where the process is awake already, the address is not looked at.
///
/// ```no_run
/// # fn main() -> Result<(), detrix::Error> {
/// detrix::init(detrix::Config { register: false, ..Default::default() })?;
/// let woken = detrix::wake_with_url("http://10.1.2.3:8090")?;
/// println!("registered as {}", woken.connection_id);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`wake`]; an address that is none is [`Error::DaemonUnreachable`].
pub fn wake_with_url(daemon_url: impl Into<DaemonUrl>) -> Result<WakeResponse> {
    wake_at(daemon_url.into().into_option())
}

/// Closes the debug port, removes all logpoints, sends what was recorded (for up to a second), unregisters, and gives
/// everything back. When it returns the program's code is as it was.
///
/// # Errors
///
/// [`Error::NotInitialized`]; [`Error::ThreadEnded`].
pub fn sleep() -> Result<SleepResponse> {
    match &*installed() {
        Some(Installed::Disabled(_)) => {
            return Ok(SleepResponse {
                status: SleepResponseStatus::AlreadySleeping,
            });
        }
        Some(Installed::Running(_)) => {}
        None => return Err(Error::NotInitialized),
    }
    tracing::info!(target: "detrix::audit", by = "the application", "sleep");
    ask(|_, answer| Ok(Order::Sleep(answer)))
}

/// What detrix is doing. Never fails and never waits; before [`init`] it is asleep and has no name.
pub fn status() -> StatusResponse {
    match &*installed() {
        Some(installed) => installed.state().status(),
        None => state::asleep(&Config::default()),
    }
}

/// Goes to sleep, closes the control plane and ends detrix's thread; [`init`] may be called again. Does nothing where
/// detrix was not initialized.
///
/// # Errors
///
/// None today.
pub fn shutdown() -> Result<()> {
    let _changing = changing();
    let Some(Installed::Running(handle)) = installed().take() else {
        return Ok(());
    };
    // Fails only where the thread has ended already.
    let _ = handle.end.send(true);
    // Had it panicked, its text was restored on the way out, and it is over all the same.
    let _ = handle.thread.join();
    Ok(())
}

fn wake_at(daemon_url: Option<String>) -> Result<WakeResponse> {
    if let Some(Installed::Disabled(_)) = &*installed() {
        return Err(Error::ConfigError(
            "detrix is switched off in this process; set `Config::enabled` to true, and DETRIX_ENABLED to 1 or \
             nothing, then start it again"
                .to_owned(),
        ));
    }
    tracing::info!(target: "detrix::audit", by = "the application", "wake");
    let place = Where {
        daemon_url,
        trusted: true,
    };
    ask(|orders, answer| Ok(Order::Wake(orders.waiting_wake(place)?, answer)))?
}

fn ask<T: Send + 'static>(order: impl FnOnce(&Orders, Answer<T>) -> Result<Order>) -> Result<T> {
    let orders = match &*installed() {
        Some(Installed::Running(handle)) => handle.orders.clone(),
        _ => return Err(Error::NotInitialized),
    };
    orders.ask(order).map_err(|error| match &*installed() {
        // A shutdown came in between.
        None => Error::NotInitialized,
        _ => error,
    })
}

fn start(config: Config) -> Result<Handle> {
    let listener = listen(&config)?;
    let port = listener.local_addr()?.port();
    let closed_in_children = ClosedInChildren::new(&listener);
    let token = Token::discover(&config);
    if token.is_none() && !listener.local_addr()?.ip().is_loopback() {
        tracing::warn!(
            "the control plane listens beyond this machine, but there is no token, so it answers to this machine only; \
             set DETRIX_TOKEN, or write one to the file `auth-token` in detrix's home"
        );
    }
    let state = Arc::new(State::new(&config, port, token));
    let (orders, mut received) = Orders::channel();
    let (end, ending) = watch::channel(false);
    let (ready, started) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("detrix".to_owned()).spawn({
        let (state, orders) = (state.clone(), orders.clone());
        move || {
            debugging::keep_signals_away();
            debugging::give_up_priority();
            // Here, not in `init`: an async runtime must not be dropped inside of another one, should anything fail.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                // Whoever asked waits for it.
                Err(error) => return drop(ready.send(Err(error))),
            };
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let service = service::Service::new(config.clone(), orders, state.clone());
                let mut closing = ending.clone();
                let control = crate::control::serve(listener, service, async move {
                    // An error is an order as well: the handle is gone.
                    let _ = closing.wait_for(|end| *end).await;
                });
                let control = tokio::task::spawn_local(control);
                let mut client = Client::new(config.clone(), port, state.clone(), ending.clone());
                let _ = ready.send(Ok(()));
                // Had it panicked, the program's code was restored on the way out.
                while let Err(why) = caught(client.run(&mut received)).await {
                    client = Client::new(config.clone(), port, state.clone(), ending.clone());
                    state.panicked(&why);
                }
                drop(closed_in_children);
                // A panic in it is told by the panic's own message.
                let _ = control.await;
            });
        }
    })?;
    started.recv().map_err(|_| Error::ThreadEnded)??;
    Ok(Handle {
        state,
        orders,
        end,
        thread,
    })
}

fn listen(config: &Config) -> Result<TcpListener> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::ControlPlaneError(format!(
            "{}:{}: {error}; change control_host (DETRIX_CONTROL_HOST) or control_port (DETRIX_CONTROL_PORT)",
            config.control_host, config.control_port
        ))
    };
    let host: IpAddr = config
        .control_host
        .parse()
        .map_err(|error| failed(&error))?;
    // The standard library's listener sets SO_REUSEADDR: a fixed port can be opened again at once.
    let listener = TcpListener::bind(SocketAddr::new(host, config.control_port))
        .map_err(|error| failed(&error))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
