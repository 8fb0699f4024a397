//! The stand-in for the Detrix daemon does what the real one does, above all to what is not written for it: a test that
//! passes against it means something only if it can fail.

mod adapter;
mod api;
mod links;
mod output;

use std::path::{Path, PathBuf};

use detrix_standin::{Options, Reply, Standin, call};
use serde_json::{Value, json};

use crate::adapter::Adapter;

/// A source file that exists: the daemon wants to see it.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standin/main.rs")
}

/// What a process registers with.
fn registration(port: u16) -> Value {
    json!({
        "host": "127.0.0.1",
        "port": port,
        "language": "rust",
        "name": "bot",
        "workspaceRoot": "/srv/app",
        "hostname": "host-1",
        "pid": 4711,
    })
}

fn post(standin: &Standin, path: &str, body: &Value) -> Reply {
    call(
        "POST",
        &format!("{}{path}", standin.url()),
        None,
        Some(body),
    )
    .expect("it answers")
}

fn get(standin: &Standin, path: &str) -> Reply {
    call("GET", &format!("{}{path}", standin.url()), None, None).expect("it answers")
}

fn delete(standin: &Standin, path: &str) -> Reply {
    call("DELETE", &format!("{}{path}", standin.url()), None, None).expect("it answers")
}

/// A daemon, an adapter that is registered with it, and the connection's id.
struct Pair {
    standin: Standin,
    adapter: Adapter,
    id: String,
}

impl Pair {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let standin = Standin::start(options).expect("a free port");
        let adapter = Adapter::start();
        let id = register(&standin, &registration(adapter.port));
        Self {
            standin,
            adapter,
            id,
        }
    }

    /// Adds a metric to a line of a file that exists.
    fn metric(&self, name: &str, line: u32, expressions: &[&str]) -> u64 {
        let file = file();
        let path = file.to_str().expect("a path in UTF-8");
        self.standin
            .add_metric(&self.id, name, (path, line), expressions)
            .expect("the adapter takes it")
    }
}

fn register(standin: &Standin, registration: &Value) -> String {
    let reply = post(standin, "/api/v1/connections", registration);
    assert_eq!(reply.status, 201, "{}", reply.body);
    let id = reply.json()["connectionId"].as_str().map(str::to_owned);
    id.expect("an id")
}
