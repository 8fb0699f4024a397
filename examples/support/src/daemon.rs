//! Registrations, and the links that they lead to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Registrations;
use crate::consumer::{Feed, Queue};
use crate::database::{Connection, Database, Metric, Status};
use crate::link::{Ended, Failure, Link, lock};

/// How often a port that refuses is dialled before the daemon gives up.
const ATTEMPTS: u32 = 10;

/// The pause after the first refused attempt; it doubles, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The daemon waits up to 30 s; nobody would learn more from that here.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whether who asked for something has gone.
pub(crate) type GivenUp<'a> = &'a dyn Fn() -> bool;

/// What the threads of a daemon share.
pub(crate) struct Shared {
    pub database: Mutex<Database>,
    /// Told when events were written.
    pub written: Condvar,
    pub stopping: AtomicBool,
    pub registrations: Mutex<Registrations>,
    /// How many registrations are being answered.
    pub in_flight: AtomicUsize,
    /// The newest link of each connection.
    links: Mutex<HashMap<String, Arc<Link>>>,
    /// Every link there ever was, with its connection.
    history: Mutex<Vec<(String, Arc<Link>)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a link is made with.
#[derive(Clone)]
pub(crate) struct Daemon {
    pub shared: Arc<Shared>,
    pub queue: Queue,
}

impl Shared {
    pub fn new(database: Database) -> Self {
        Self {
            database: Mutex::new(database),
            written: Condvar::new(),
            stopping: AtomicBool::new(false),
            registrations: Mutex::new(Registrations::Served),
            in_flight: AtomicUsize::new(0),
            links: Mutex::default(),
            history: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    /// The open link of a connection.
    pub fn link(&self, connection_id: &str) -> Option<Arc<Link>> {
        let links = lock(&self.links);
        links
            .get(connection_id)
            .filter(|link| link.is_open())
            .cloned()
    }

    pub fn links_of(&self, connection_id: &str) -> Vec<Arc<Link>> {
        let history = lock(&self.history);
        let of_it = history.iter().filter(|(id, _)| id == connection_id);
        of_it.map(|(_, link)| link.clone()).collect()
    }

    pub fn any_link(&self) -> bool {
        lock(&self.links).values().any(|link| link.is_open())
    }

    /// Runs something that ends when `stopping` is set or its link is closed.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread::spawn(work));
    }

    /// Closes everything and waits for its end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        loop {
            for link in lock(&self.links).values() {
                link.close(Ended::ByDaemon);
            }
            // One at a time, without the lock: a thread that ends may have started another one.
            let Some(thread) = lock(&self.threads).pop() else {
                return;
            };
            // Its panic is printed already, and ends nothing but itself.
            let _ = thread.join();
        }
    }

    fn set_status(&self, connection_id: &str, status: Status) {
        if let Some(connection) = lock(&self.database).connections.get_mut(connection_id) {
            connection.status = status;
        }
    }
}

impl Daemon {
    /// Serves a registration that is stored already: connects, shakes hands, and sends the stored metrics.
    pub fn attach(&self, connection: &Connection, given_up: GivenUp<'_>) -> Result<(), String> {
        if self.shared.link(&connection.id).is_some() {
            return Ok(());
        }
        self.shared.set_status(&connection.id, Status::Connecting);
        let pid = connection.registration["pid"].as_u64();
        self.dial(&connection.id, connection.port, pid, given_up)
    }

    /// Dials once more, as after a restart: the process id is forgotten. A link that is open is closed only when the new
    /// one is there.
    pub fn redial(&self, connection: &Connection, given_up: GivenUp<'_>) -> Result<(), String> {
        self.dial(&connection.id, connection.port, None, given_up)
    }

    /// Takes a connection's link away.
    pub fn detach(&self, connection_id: &str) {
        if let Some(link) = lock(&self.shared.links).remove(connection_id) {
            link.close(Ended::ByDaemon);
        }
        self.shared.set_status(connection_id, Status::Disconnected);
    }

    fn dial(
        &self,
        id: &str,
        port: u16,
        pid: Option<u64>,
        given_up: GivenUp<'_>,
    ) -> Result<(), String> {
        let link = Arc::new(self.connect(port, given_up)?);
        lock(&self.shared.history).push((id.to_owned(), link.clone()));
        self.spawn_reader(id, &link);
        let done =
            shake_hands(&link, pid, given_up).and_then(|()| self.send_stored(id, &link, given_up));
        if let Err(failure) = done {
            link.close(Ended::ByDaemon);
            self.shared.set_status(id, Status::Disconnected);
            return Err(failure.to_string());
        }
        // The lock is kept until the status is written: the link may end at any time, and its reader says so in turn.
        let mut links = lock(&self.shared.links);
        if let Some(old) = links.insert(id.to_owned(), link.clone()) {
            old.close(Ended::ByDaemon);
        }
        if self.shared.stopping.load(Ordering::SeqCst) {
            link.close(Ended::ByDaemon);
        }
        let status = match link.is_open() {
            true => Status::Connected,
            false => Status::Disconnected,
        };
        self.shared.set_status(id, status);
        Ok(())
    }

    fn connect(&self, port: u16, given_up: GivenUp<'_>) -> Result<Link, String> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let error = match Link::connect(port) {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            if attempt == ATTEMPTS {
                return Err(format!("port {port} refuses connections: {error}"));
            }
            attempt += 1;
            let next = Instant::now() + pause;
            while Instant::now() < next {
                if given_up() {
                    return Err(format!("nobody waits for port {port} any more"));
                }
                thread::sleep(Duration::from_millis(10));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn spawn_reader(&self, id: &str, link: &Arc<Link>) {
        let feed = Feed {
            connection_id: id.to_owned(),
            shared: self.shared.clone(),
            queue: self.queue.clone(),
        };
        let (link, shared, id) = (link.clone(), self.shared.clone(), id.to_owned());
        self.shared.spawn(move || {
            link.run(feed);
            let links = lock(&shared.links);
            if links
                .get(&id)
                .is_some_and(|newest| Arc::ptr_eq(newest, &link))
            {
                shared.set_status(&id, Status::Disconnected);
            }
        });
    }

    /// Sends the stored metrics, one more with each request.
    fn send_stored(&self, id: &str, link: &Link, given_up: GivenUp<'_>) -> Result<(), Failure> {
        let metrics: Vec<Metric> = {
            let database = lock(&self.shared.database);
            database.metrics_of(id).into_iter().cloned().collect()
        };
        for index in 0..metrics.len() {
            match set_breakpoints(link, &metrics[index].file, &metrics[..=index], given_up) {
                // A warning in the daemon's log; the metric stays.
                Ok(_) | Err(Failure::Refused(_)) => {}
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }
}

/// The handshake, message by message.
fn shake_hands(link: &Link, pid: Option<u64>, given_up: GivenUp<'_>) -> Result<(), Failure> {
    let client = json!({
        "clientId": "detrix", "clientName": "Detrix", "adapterID": "rust", "locale": "en-US",
        "linesStartAt1": true, "columnsStartAt1": true, "pathFormat": "path",
    });
    link.call("initialize", Some(client), given_up)?;
    match pid {
        Some(pid) => {
            let commands = [
                r#"command script import "/usr/lib/rustlib/etc/lldb_lookup.py""#,
                r#"command source -s 0 "/usr/lib/rustlib/etc/lldb_commands""#,
            ];
            let by_pid = json!({"stopOnEntry": false, "pid": pid, "initCommands": commands});
            link.call("attach", Some(by_pid), given_up)?;
        }
        None => {
            let again = json!({"justMyCode": false, "subProcess": true, "redirectOutput": true});
            link.send("attach", Some(again))
                .map_err(|error| Failure::Lost(format!("`attach`: {error}")))?;
        }
    }
    link.call("configurationDone", None, given_up)?;
    Ok(())
}

/// Replaces the breakpoints of a file by those of all metrics that are in it, in another order each time.
pub(crate) fn set_breakpoints(
    link: &Link,
    file: &str,
    metrics: &[Metric],
    given_up: GivenUp<'_>,
) -> Result<Value, Failure> {
    let mut breakpoints: Vec<Value> = metrics
        .iter()
        .filter(|metric| metric.file == file)
        .map(|metric| json!({"line": metric.line, "logMessage": metric.log_message()}))
        .collect();
    if !breakpoints.is_empty() {
        let turn = link.sent() % breakpoints.len();
        breakpoints.rotate_left(turn);
    }
    let arguments = json!({
        "source": {"path": file, "name": file},
        "breakpoints": breakpoints,
        "sourceModified": false,
    });
    link.call("setBreakpoints", Some(arguments), given_up)
}
