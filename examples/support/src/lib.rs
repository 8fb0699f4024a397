//! A stand-in for the Detrix daemon: small enough to run inside of an example or a test, and as unforgiving as the real one.
//!
//! It serves health, registration, metrics and events over HTTP, and is a client of the debug port: the handshake happens
//! inside of the registration request, the logpoints of a file are sent as a whole and in an order that changes, and what
//! comes back is read by the daemon's own rules. So whatever the daemon would drop, cut, misread or die of is lost here
//! too, and [`Report`] says what it was:
//!
//! - a message that cannot be parsed, `terminated` and `exited` end the link;
//! - output of an unknown category is dropped, text ends at `|` and, without a thread in front, at a newline;
//! - output that looks like an error becomes an error event of an innocent metric;
//! - a first value whose byte 100 is inside of a character kills the link;
//! - a thousand events are buffered, what comes beyond is dropped; events can be seen after up to a second.
//!
//! ```
//! use detrix_standin::{Options, Standin, call};
//!
//! let daemon = Standin::start(Options::default())?;
//! let health = call("GET", &format!("{}/health", daemon.url()), None, None)?;
//! assert_eq!(health.json()["status"], "ok");
//! # Ok::<(), std::io::Error>(())
//! ```

mod api;
mod consumer;
mod daemon;
mod database;
mod http;
mod link;
mod reading;

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::daemon::{Daemon, Shared};
use crate::database::Database;
use crate::link::lock;

pub use consumer::BUFFERED;
pub use database::{Connection, Event, Metric, Status, Typed, ValueOf};
pub use http::{Reply, call};
pub use link::{Ended, Report};

/// How a stand-in runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port of the API on the loopback interface; 0 for any that is free.
    pub port: u16,
    /// The token that callers must send; none is needed where there is none.
    pub token: Option<String>,
    /// The address that the daemon tells clients to be reached by.
    pub advertise_url: Option<String>,
    /// How long it takes to write a hundred events; 5 ms by default, a transaction of an embedded database.
    pub write_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            token: None,
            advertise_url: None,
            write_time: Duration::from_millis(5),
        }
    }
}

/// What becomes of registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registrations {
    /// They are served.
    Served,
    /// The handshake is done, and then the answer does not come until something else is set; the link is closed when the
    /// caller hangs up before.
    Stalled,
    /// They are refused with an internal error.
    Refused,
}

/// A daemon that runs until it is stopped or dropped.
pub struct Standin {
    running: Option<Running>,
    options: Options,
}

struct Running {
    daemon: Daemon,
    acceptor: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Standin {
    /// Starts a daemon that knows nothing yet.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened.
    pub fn start(options: Options) -> io::Result<Self> {
        let mut standin = Self {
            running: None,
            options,
        };
        standin.run(Database::default())?;
        Ok(standin)
    }

    /// Stops it, with every link closed, and gives what it has stored.
    fn stop(&mut self) -> Database {
        let Some(running) = self.running.take() else {
            return Database::default();
        };
        let shared = running.daemon.shared.clone();
        shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor. Where that fails it is awake already.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.options.port));
        let _ = running.acceptor.join();
        shared.stop();
        // The last end of the queue: the writer writes what is left, and ends.
        drop(running.daemon);
        let _ = running.writer.join();
        lock(&shared.database).clone()
    }

    /// Ends the daemon and starts it again on the same port with what it had stored. It dials every connection that it
    /// knows anew, and forgets those that do not answer.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened again.
    pub fn restart(&mut self) -> io::Result<()> {
        let database = self.stop();
        self.run(database)
    }

    /// Ends the daemon for `absence`: nothing listens on its port while that runs.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened again.
    pub fn away<T>(&mut self, absence: impl FnOnce() -> T) -> io::Result<T> {
        let database = self.stop();
        let result = absence();
        self.run(database)?;
        Ok(result)
    }

    fn run(&mut self, database: Database) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.options.port))?;
        self.options.port = listener.local_addr()?.port();
        let stored: Vec<Connection> = database.connections.values().cloned().collect();
        let shared = Arc::new(Shared::new(database));
        let (queue, events) = consumer::Queue::new();
        let writer = thread::spawn({
            let (shared, write_time) = (shared.clone(), self.options.write_time);
            move || consumer::write(&events, &shared, write_time)
        });
        let daemon = Daemon { shared, queue };
        for connection in stored {
            redial(&daemon, connection);
        }
        let acceptor = thread::spawn({
            let (daemon, options) = (daemon.clone(), self.options.clone());
            move || accept(&listener, &daemon, &options)
        });
        self.running = Some(Running {
            daemon,
            acceptor,
            writer,
        });
        Ok(())
    }

    /// Where its API is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.port)
    }

    /// Says what becomes of registrations from now on.
    pub fn set_registrations(&self, registrations: Registrations) {
        *lock(&self.shared().registrations) = registrations;
    }

    /// How many registrations have not been answered yet.
    #[must_use]
    pub fn registrations_in_flight(&self) -> usize {
        self.shared().in_flight.load(Ordering::SeqCst)
    }

    /// The connections that it knows.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let database = lock(&self.shared().database);
        database.connections.values().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn connection(&self, id: &str) -> Option<Connection> {
        lock(&self.shared().database).connections.get(id).cloned()
    }

    /// What happened on each link to a connection, the first one first, since the daemon was started.
    #[must_use]
    pub fn links(&self, connection_id: &str) -> Vec<Report> {
        let links = self.shared().links_of(connection_id);
        links.iter().map(|link| link.report()).collect()
    }

    /// Dials a connection once more while its link is open, as the daemon does when it doubts its health; the old link is
    /// closed when the new one is there.
    ///
    /// # Errors
    ///
    /// Why there is no new link.
    pub fn dial_again(&self, connection_id: &str) -> Result<(), String> {
        let connection = self
            .connection(connection_id)
            .ok_or_else(|| format!("no connection {connection_id}"))?;
        self.running().daemon.redial(&connection, &|| false)
    }

    /// Adds a metric over the API and gives its number.
    ///
    /// # Errors
    ///
    /// The answer, where it is no success.
    pub fn add_metric(
        &self,
        connection_id: &str,
        name: &str,
        location: (&str, u32),
        expressions: &[&str],
    ) -> Result<u64, String> {
        let body = serde_json::json!({
            "name": name,
            "connectionId": connection_id,
            "location": {"file": location.0, "line": location.1},
            "expressions": expressions,
            "enabled": true,
        });
        let url = format!("{}/api/v1/metrics", self.url());
        let reply = call("POST", &url, self.options.token.as_deref(), Some(&body))
            .map_err(|error| error.to_string())?;
        match reply.json()["metricId"].as_u64() {
            Some(id) if reply.status == 201 => Ok(id),
            _ => Err(format!("{}: {}", reply.status, reply.body)),
        }
    }

    /// Removes a metric over the API.
    ///
    /// # Errors
    ///
    /// The answer, where it is no success.
    pub fn remove_metric(&self, id: u64) -> Result<(), String> {
        let url = format!("{}/api/v1/metrics/{id}", self.url());
        let reply = call("DELETE", &url, self.options.token.as_deref(), None)
            .map_err(|error| error.to_string())?;
        match reply.status {
            204 => Ok(()),
            status => Err(format!("{status}: {}", reply.body)),
        }
    }

    /// The events that were written, the first one first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared().database).events.clone()
    }

    /// Waits until `enough` says so of the events that were written, and gives them as they are then or when `timeout`
    /// is over.
    #[must_use]
    pub fn wait_events(&self, timeout: Duration, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let shared = self.shared();
        let database = lock(&shared.database);
        let waited = shared
            .written
            .wait_timeout_while(database, timeout, |database| !enough(&database.events));
        match waited {
            Ok((database, _)) => database.events.clone(),
            Err(poisoned) => poisoned.into_inner().0.events.clone(),
        }
    }

    fn running(&self) -> &Running {
        // Taken out only inside of `restart` and `away`, which have the one mutable reference, and by `drop`.
        self.running.as_ref().expect("it runs until it is dropped")
    }

    fn shared(&self) -> &Shared {
        &self.running().daemon.shared
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, daemon: &Daemon, options: &Options) {
    let started = Instant::now();
    for stream in listener.incoming() {
        if daemon.shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (api, options) = (daemon.clone(), options.clone());
        daemon.shared.spawn(move || {
            // A client that goes away has nobody to tell.
            let _ = api::serve(&api, &options, started, &stream);
        });
    }
}

/// After a restart: a connection that does not answer is forgotten.
fn redial(daemon: &Daemon, connection: Connection) {
    let again = daemon.clone();
    daemon.shared.spawn(move || {
        let stopping = || again.shared.stopping.load(Ordering::SeqCst);
        if again.redial(&connection, &stopping).is_err() && !stopping() {
            let mut database = lock(&again.shared.database);
            database.connections.remove(&connection.id);
        }
    });
}

/// The name that the daemon gives to a thread.
fn thread_name(id: i64) -> String {
    format!("thread-{id}")
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}
