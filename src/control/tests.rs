//! The control plane over real connections, with a service that does nothing.

mod audit;
mod contract;
mod endpoints;
mod gate;
mod hostile;
mod reading;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::{Admitted, Caller, Service, serve};
use crate::error::Error;
use crate::responses::{
    Check, ClientState, DaemonLink, DiscoverResponse, InfoResponse, Preflight, SleepResponse,
    SleepResponseStatus, StatusResponse, WakeResponse, WakeResponseStatus,
};

/// How long a client waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const TOKEN: &str = "a-token-of-some-length";

/// A service whose answers a test sets.
#[derive(Clone)]
struct Fake(Arc<Settings>);

struct Settings {
    token: Mutex<Option<Arc<str>>>,
    /// What the token is when it is read anew.
    new_token: Mutex<Option<Arc<str>>>,
    /// Whether who is only local is another user.
    strangers: AtomicBool,
    hosts: Vec<String>,
    root: Option<PathBuf>,
    /// What the next wake or sleep fails with.
    fails: Mutex<Option<Error>>,
    /// The wakes so far.
    wakes: Mutex<Vec<(Option<String>, Caller)>>,
    /// Wakes wait until this is true.
    open: watch::Sender<bool>,
    /// Told when a wake begins.
    begun: Mutex<Option<mpsc::Sender<()>>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self::with(None, &[])
    }
}

impl Fake {
    fn with(root: Option<&Path>, hosts: &[&str]) -> Self {
        Self(Arc::new(Settings {
            token: Mutex::new(Some(TOKEN.into())),
            new_token: Mutex::default(),
            strangers: AtomicBool::new(false),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            root: root.map(Path::to_owned),
            fails: Mutex::default(),
            wakes: Mutex::default(),
            open: watch::Sender::new(true),
            begun: Mutex::default(),
        }))
    }

    fn set_token(&self, token: Option<&str>) {
        *lock(&self.0.token) = token.map(Into::into);
    }

    fn fail(&self, error: Error) {
        *lock(&self.0.fails) = Some(error);
    }

    fn wakes(&self) -> Vec<(Option<String>, Caller)> {
        lock(&self.0.wakes).clone()
    }

    /// Holds all wakes from now on; tells when one begins.
    fn hold(&self) -> mpsc::Receiver<()> {
        self.0.open.send_replace(false);
        let (begun, begins) = mpsc::channel();
        *lock(&self.0.begun) = Some(begun);
        begins
    }

    fn release(&self) {
        self.0.open.send_replace(true);
    }

    fn result<T>(&self, value: T) -> crate::Result<T> {
        match lock(&self.0.fails).take() {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

impl Service for Fake {
    fn status(&self) -> StatusResponse {
        StatusResponse {
            connection_id: None,
            control_host: "127.0.0.1".to_owned(),
            control_port: 1,
            daemon_url: "http://127.0.0.1:8090".to_owned(),
            debug_port: 0,
            debug_port_active: false,
            name: "fake".to_owned(),
            state: ClientState::Sleeping,
            daemon_link: DaemonLink::None,
            debug_clients: 0,
            last_error: None,
            logpoints: Vec::new(),
            logpoint_totals: None,
        }
    }

    fn token(&self) -> Option<Arc<str>> {
        lock(&self.0.token).clone()
    }

    fn renewed_token(&self) -> Option<Arc<str>> {
        if let Some(new) = lock(&self.0.new_token).take() {
            *lock(&self.0.token) = Some(new);
        }
        self.token()
    }

    fn trusts(&self, caller: &Caller) -> bool {
        caller.admitted == Admitted::Token || !self.0.strangers.load(Ordering::Relaxed)
    }

    fn hosts(&self) -> Vec<String> {
        self.0.hosts.clone()
    }

    fn workspace_root(&self) -> Option<PathBuf> {
        self.0.root.clone()
    }

    async fn info(&self) -> InfoResponse {
        let check = |fix: Option<&str>| Check {
            ok: fix.is_none(),
            detail: "looked at".to_owned(),
            fix: fix.map(str::to_owned),
        };
        InfoResponse {
            name: "fake".to_owned(),
            pid: std::process::id(),
            rust_version: Some("1.88.0".to_owned()),
            version: Some(crate::VERSION.to_owned()),
            build_commit: Some("c0ffee".to_owned()),
            build_tag: None,
            preflight: Some(Preflight {
                ready: true,
                debug_info: check(None),
                ptrace: check(None),
                build_id: check(Some("link it with one")),
            }),
        }
    }

    async fn discover(&self) -> DiscoverResponse {
        DiscoverResponse {
            control_plane_url: Some("http://127.0.0.1:1".to_owned()),
            daemon_url: "http://127.0.0.1:8090".to_owned(),
            name: "fake".to_owned(),
        }
    }

    async fn wake(
        &self,
        daemon_url: Option<String>,
        caller: Caller,
    ) -> crate::Result<WakeResponse> {
        if let Some(begun) = &*lock(&self.0.begun) {
            let _ = begun.send(());
        }
        let mut open = self.0.open.subscribe();
        open.wait_for(|open| *open).await.unwrap();
        lock(&self.0.wakes).push((daemon_url, caller));
        self.result(WakeResponse {
            connection_id: "id".to_owned(),
            daemon_url: None,
            debug_port: 4711,
            status: WakeResponseStatus::Awake,
        })
    }

    async fn sleep(&self, _: Caller) -> crate::Result<SleepResponse> {
        self.result(SleepResponse {
            status: SleepResponseStatus::Sleeping,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A control plane on a thread of its own.
struct Plane {
    address: SocketAddr,
    service: Fake,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Plane {
    fn start(service: Fake) -> Self {
        Self::on("127.0.0.1:0", service, false, |serve| serve())
    }

    /// One whose clock is at the next timer whenever there is nothing else to do.
    fn start_in_a_hurry(service: Fake) -> Self {
        Self::on("127.0.0.1:0", service, true, |serve| serve())
    }

    /// On its thread `around` is called with what serves.
    fn on(
        address: &str,
        service: Fake,
        hurried: bool,
        around: impl FnOnce(&mut dyn FnMut()) + Send + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let service = service.clone();
            move || {
                let mut parts = Some((listener, service, stopped));
                around(&mut || {
                    let (listener, service, stopped) = parts.take().unwrap();
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .start_paused(hurried)
                        .build()
                        .unwrap();
                    tokio::task::LocalSet::new().block_on(&runtime, async {
                        let listener = TcpListener::from_std(listener).unwrap();
                        serve(listener, service, async {
                            let _ = stopped.await;
                        })
                        .await;
                    });
                });
            }
        });
        Self {
            address,
            service,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Ends it, and waits until it has ended.
    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "it panicked");
        }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    /// Asks until there is an answer: where the clock hurries, a connection may be closed before its request is there.
    fn insist(&self, request: impl AsRef<[u8]>) -> Answer {
        for _ in 0..10_000 {
            let mut client = self.connect();
            client.send(&request);
            if let Some(answer) = client.try_answer() {
                return answer;
            }
        }
        panic!("no answer");
    }

    /// A head of a request, with the right `Host`, and without its last, empty line.
    fn head(&self, method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address)
    }

    fn get(&self, path: &str) -> Answer {
        self.connect()
            .ask(format!("{}\r\n", self.head("GET", path)))
    }

    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(self.posting(path, "", body));
        client.answer()
    }

    fn posting(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let (body, head) = (body.as_ref(), self.head("POST", path));
        let mut request =
            format!("{head}{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend(body);
        request
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.service.release();
        self.end();
    }
}

/// A connection to a control plane.
struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // Fails where the other side has heard enough.
        let _ = self.0.get_mut().write_all(bytes.as_ref());
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// The next answer; `None` where the connection is closed without one.
    fn try_answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            read => read.unwrap(),
        };
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// Whether the other side closes the connection, without another byte.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A directory of a test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "detrix-control-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.0.join(path)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
