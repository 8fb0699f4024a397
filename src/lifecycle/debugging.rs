//! What there is while awake: a debugger, and the port that it is served on.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

use super::forked::ClosedInChildren;
use super::state::Presence;
use crate::config::Config;
use crate::config::allow::Allow;
use crate::debugger::{self, Debugger};
use crate::engine;
use crate::error::{Error, Result};
pub use crate::server::access::is_own_user;
use crate::server::{self, Clients, Leaving};
use crate::symbols::Symbols;

/// Makes the calling thread an ordinary one, where whoever made it has a real-time policy: it must not be more urgent than
/// what the application does.
pub fn give_up_priority() {
    // SAFETY: takes a number.
    let policy = unsafe { libc::sched_getscheduler(0) };
    if matches!(
        policy & !libc::SCHED_RESET_ON_FORK,
        libc::SCHED_FIFO | libc::SCHED_RR
    ) {
        let ordinary = libc::sched_param { sched_priority: 0 };
        // To lower it is always allowed.
        // SAFETY: the kernel reads one structure.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary) };
    }
}

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

/// What a wake needs and that can be had beforehand.
pub struct Warm(Symbols);

impl Warm {
    /// Looks up the debug information.
    pub fn up() -> Result<Self> {
        engine::check_memory()?;
        debugger::load_symbols().map(Self)
    }
}

/// A debugger and the port that it is served on.
pub struct Debugging {
    debugger: Rc<RefCell<Debugger>>,
    port: u16,
    clients: Clients,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Leaving>,
    pump: Pump,
    closed_in_children: Option<ClosedInChildren>,
}

/// What delivers hits. It shares the debugger, so it must not outlive this, also where a panic drops it.
struct Pump(JoinHandle<()>);

impl Pump {
    async fn stop(mut self) {
        self.0.abort();
        // Stopped or panicked, it is over.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is left after the program's code was restored: connections of clients that have not been told.
pub struct Drained(Option<Leaving>);

impl Debugging {
    /// Opens the port and starts the debugger.
    ///
    /// # Errors
    ///
    /// When either fails; nothing is left behind then.
    pub fn start(config: &Config, warm: Option<Warm>) -> Result<Self> {
        engine::check_memory()?;
        let allow = Allow::parse(&config.debug_allow).map_err(Error::ConfigError)?;
        let listener = listen(config)?;
        let port = listener.local_addr()?.port();
        let symbols = match warm {
            Some(Warm(symbols)) => symbols,
            None => debugger::load_symbols()?,
        };
        let debugger = Rc::new(RefCell::new(Debugger::start(config, symbols)?));
        let closed_in_children = ClosedInChildren::new(&listener);
        let listener = TcpListener::from_std(listener)?;
        let (stop, stopped) = oneshot::channel();
        let clients = Clients::new();
        let server = server::serve(listener, debugger.clone(), allow, clients.clone(), async {
            // An error is an order as well: the sender is gone.
            let _ = stopped.await;
        });
        Ok(Self {
            server: spawn_local(server),
            pump: Pump(spawn_local(debugger::pump(debugger.clone()))),
            debugger,
            port,
            clients,
            stop,
            closed_in_children,
        })
    }

    /// The port for debug clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Tells how things stand, on any thread.
    pub fn presence(&self) -> impl Fn() -> Presence + Send + use<> {
        let clients = self.clients.clone();
        let trouble = self.debugger.borrow().trouble();
        let roster = self.debugger.borrow().roster();
        move || Presence {
            clients: clients.count(),
            daemons: clients.daemons(),
            // What is so now goes before what was.
            trouble: roster.stall().or_else(|| {
                let trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
                trouble.clone()
            }),
            logpoints: roster.logpoints(),
            totals: Some(roster.totals()),
        }
    }

    /// Ready when nobody has been attached for `time`.
    pub async fn idle_for(&self, time: Duration) {
        self.clients.idle_for(time).await;
    }

    /// Closes the port, restores the program's code, and sends what was recorded.
    pub async fn drain(self) -> Drained {
        drop(self.closed_in_children);
        // Fails only where the server has ended already.
        let _ = self.stop.send(());
        // An error is a panic, which has said so itself.
        let leaving = self.server.await.ok();
        self.pump.stop().await;
        // The sessions and the pump, which shared it, are done with it: this drops it.
        drop(self.debugger);
        Drained(leaving)
    }
}

impl Drained {
    /// Tells the clients that it is over.
    pub async fn end(self) {
        if let Some(leaving) = self.0 {
            leaving.end().await;
        }
    }
}

fn listen(config: &Config) -> Result<std::net::TcpListener> {
    let host: IpAddr = config.debug_host().parse().map_err(|_| {
        Error::ConfigError(format!(
            "the debug address is {:?}; it must be an IP address",
            config.debug_host()
        ))
    })?;
    let address = SocketAddr::new(host, config.debug_port);
    // The standard library's listener sets SO_REUSEADDR: a fixed port can be opened again at once.
    let listener = std::net::TcpListener::bind(address).map_err(|error| {
        Error::PortBindError(format!(
            "{address}: {error}; change debug_port (DETRIX_DEBUG_PORT) or the address"
        ))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_a_real_time_policy_makes_an_ordinary_one() {
        // SAFETY: take numbers, and a structure that the kernel reads.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let urgent = libc::sched_param { sched_priority: 1 };
        let ordinary = std::thread::spawn(move || {
            // SAFETY: as above.
            if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const urgent) } != 0 {
                eprintln!("skipped: this user may not use real-time policies");
                return None;
            }
            std::thread::spawn(move || {
                let inherited = policy();
                give_up_priority();
                Some((inherited, policy()))
            })
            .join()
            .unwrap()
        });
        if let Some(found) = ordinary.join().unwrap() {
            assert_eq!(found, (libc::SCHED_RR, libc::SCHED_OTHER));
        }
    }
}
