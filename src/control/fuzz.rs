//! Any bytes of an HTTP client, on a connection that is made up, and a service that only counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::server::{self, Ends, Seats};
use super::{Admitted, Caller, Service, routes};
use crate::error::{Error, Result};
use crate::responses::{
    ClientState, DaemonLink, DiscoverResponse, InfoResponse, SleepResponse, SleepResponseStatus,
    StatusResponse, WakeResponse, WakeResponseStatus,
};

/// What lets anyone in.
const TOKEN: &str = "a-token-of-some-length";

/// The root of the files: there is one, and links that lead out and around.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/workspace/root");

/// What stands in that file.
const INSIDE: &[u8] = b"the only file";

/// What stands in a file that is not below the root.
const OUTSIDE: &[u8] = b"nobody may read this";

/// The port of the control plane.
const PORT: u16 = 80;

/// All that is ever answered: what `docs/control-plane.openapi.json` has, and what HTTP itself refuses a request with.
const STATUSES: [&[u8]; 11] = [
    b"200", b"400", b"401", b"403", b"404", b"408", b"413", b"414", b"431", b"500", b"503",
];

/// What may come before an answer.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What came of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Wakes and sleeps.
    pub orders: usize,
    /// Bytes of answers.
    pub bytes: usize,
    /// Whether there was an answer, and it was no refusal.
    pub granted: bool,
}

/// Sends the bytes on one connection. Where the first is `r`, the client is on another machine, and where it is `s`, it is
/// another user of this one; the rest of the input is what it sends.
///
/// # Panics
///
/// Where the control plane breaks its word: an order or a file without the right to it, a file outside of the root, bytes
/// that are no answer.
pub fn control(data: &[u8]) -> Heard {
    let (who, sent) = match data.split_first() {
        Some((b'r', sent)) => (Who::Remote, sent),
        Some((b's', sent)) => (Who::Stranger, sent),
        _ => (Who::Own, data),
    };
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let service = Counting {
        who,
        knows: has(sent, TOKEN.as_bytes()),
        orders: Arc::default(),
    };
    let answers = answers(&service, sent);
    assert!(!has(&answers, OUTSIDE), "a file outside of the root");
    if who != Who::Own && !service.knows {
        assert!(!has(&answers, INSIDE), "a file for a stranger");
    }
    let answers = answers.strip_prefix(CONTINUE).unwrap_or(&answers);
    let status = answers.get(..12).map(|line| line.split_at(9));
    let granted = match status {
        Some((b"HTTP/1.1 " | b"HTTP/1.0 ", status)) => {
            assert!(
                STATUSES.contains(&status),
                "{:?}",
                String::from_utf8_lossy(answers)
            );
            status == b"200"
        }
        _ => {
            assert!(answers.is_empty(), "{:?}", String::from_utf8_lossy(answers));
            false
        }
    };
    Heard {
        orders: service.orders.load(Ordering::Relaxed),
        bytes: answers.len(),
        granted,
    }
}

/// Serves one connection on which that is sent, and gives what comes back.
fn answers(service: &Counting, sent: &[u8]) -> Vec<u8> {
    let address = |host: Ipv4Addr, port| SocketAddr::from((host, port));
    let here = Ipv4Addr::LOCALHOST;
    let ends = match service.who {
        Who::Remote => Ends {
            peer: address(Ipv4Addr::new(192, 0, 2, 7), 50_000),
            local: address(Ipv4Addr::new(192, 0, 2, 1), PORT),
        },
        Who::Own | Who::Stranger => Ends {
            peer: address(here, 50_000),
            local: address(here, PORT),
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let router = routes::router(service.clone());
    let mut seats = Seats::default();
    let seat = seats.take(ends.is_remote()).expect("nobody else is there");
    let (_running, stopped) = watch::channel(false);
    let mut answers = Vec::new();
    runtime.block_on(async {
        let (client, plane) = tokio::io::duplex(64 << 10);
        let (mut reading, mut writing) = tokio::io::split(client);
        let client = async {
            let sending = async {
                // Fails where the other side has heard enough.
                let _ = writing.write_all(sent).await;
                let _ = writing.shutdown().await;
            };
            let reading = reading.read_to_end(&mut answers);
            let ((), read) = tokio::join!(sending, reading);
            read.expect("a duplex stream ends and does not fail");
        };
        tokio::join!(client, server::run(plane, ends, router, seat, stopped));
    });
    answers
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The user of this process.
    Own,
    /// Another user of this machine.
    Stranger,
    /// Somebody on another machine.
    Remote,
}

/// A service that does nothing but count, and look at who asks.
#[derive(Clone)]
struct Counting {
    who: Who,
    /// Whether the token was sent, wherever it stood.
    knows: bool,
    orders: Arc<AtomicUsize>,
}

impl Counting {
    fn check(&self, caller: &Caller) {
        match caller.admitted {
            Admitted::Token => assert!(self.knows, "let in by a token that nobody sent"),
            Admitted::Local => assert_ne!(self.who, Who::Remote, "let in as if from here"),
            Admitted::Public => panic!("an order is nothing that everybody may give"),
        }
    }
}

impl Service for Counting {
    fn status(&self) -> StatusResponse {
        StatusResponse {
            connection_id: None,
            control_host: "127.0.0.1".to_owned(),
            control_port: i32::from(PORT),
            daemon_url: "http://127.0.0.1:8090".to_owned(),
            debug_port: 0,
            debug_port_active: false,
            name: "fuzzed".to_owned(),
            state: ClientState::Sleeping,
            daemon_link: DaemonLink::None,
            debug_clients: 0,
            last_error: None,
            logpoints: Vec::new(),
            logpoint_totals: None,
        }
    }

    fn token(&self) -> Option<Arc<str>> {
        Some(TOKEN.into())
    }

    fn renewed_token(&self) -> Option<Arc<str>> {
        self.token()
    }

    fn trusts(&self, caller: &Caller) -> bool {
        self.check(caller);
        caller.admitted == Admitted::Token || self.who == Who::Own
    }

    fn hosts(&self) -> Vec<String> {
        vec!["orders.example".to_owned()]
    }

    fn workspace_root(&self) -> Option<PathBuf> {
        Some(ROOT.into())
    }

    async fn info(&self) -> InfoResponse {
        InfoResponse {
            name: "fuzzed".to_owned(),
            pid: 1,
            rust_version: None,
            version: None,
            build_commit: None,
            build_tag: None,
            preflight: None,
        }
    }

    async fn discover(&self) -> DiscoverResponse {
        DiscoverResponse {
            control_plane_url: None,
            daemon_url: "http://127.0.0.1:8090".to_owned(),
            name: "fuzzed".to_owned(),
        }
    }

    async fn wake(&self, daemon_url: Option<String>, caller: Caller) -> Result<WakeResponse> {
        self.check(&caller);
        self.orders.fetch_add(1, Ordering::Relaxed);
        if daemon_url.as_ref().is_some_and(String::is_empty) {
            return Err(Error::ThreadEnded);
        }
        Ok(WakeResponse {
            connection_id: "id".to_owned(),
            daemon_url,
            debug_port: 4711,
            status: WakeResponseStatus::Awake,
        })
    }

    async fn sleep(&self, caller: Caller) -> Result<SleepResponse> {
        self.check(&caller);
        self.orders.fetch_add(1, Ordering::Relaxed);
        Ok(SleepResponse {
            status: SleepResponseStatus::Sleeping,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer begins with, and what it found.
    #[test]
    fn recorded_requests_are_answered() {
        let (mut granted, mut orders) = (0, 0);
        for (name, data) in crate::seeds::of("control") {
            let heard = control(&data);
            println!("{name}: {heard:?}");
            granted += usize::from(heard.granted);
            orders += heard.orders;
        }
        assert!(
            granted >= 8 && orders >= 4,
            "{granted} granted, {orders} orders"
        );
    }

    /// Each cut of the bytes, and each byte that is wrong.
    #[test]
    fn cut_and_changed_bytes_do_no_harm() {
        for (_, data) in crate::seeds::of("control") {
            for at in (0..data.len()).step_by(5) {
                control(&data[..at]);
                let mut changed = data.clone();
                changed[at] ^= 1 << (at % 8);
                control(&changed);
            }
        }
    }
}
