//! What the daemon keeps over a restart: connections, metrics, events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// How it stands with a connection; the numbers are those of the daemon's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No link.
    Disconnected = 1,
    /// A link is being made.
    Connecting = 2,
    /// The link works.
    Connected = 3,
}

/// A registered process.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The first 16 bytes of SHA-256 over `name|language|workspaceRoot|hostname`, in hexadecimal: the same over restarts
    /// of both sides.
    pub id: String,
    /// The body of its last registration.
    pub registration: Value,
    /// Its debug port.
    pub port: u16,
    /// How it stands.
    pub status: Status,
    /// When it was registered first, in microseconds since 1970.
    pub created_at: i64,
}

impl Connection {
    /// As the API shows it.
    pub(crate) fn info(&self) -> Value {
        let registration = &self.registration;
        json!({
            "connectionId": self.id,
            "host": registration["host"],
            "port": self.port,
            "language": registration["language"],
            "status": self.status as i32,
            "createdAt": self.created_at,
            "autoReconnect": true,
            "reconnectAttempts": 0,
            "maxReconnectAttempts": 10,
            "safeMode": registration["safeMode"] == true,
            "name": registration["name"],
            "workspaceRoot": registration["workspaceRoot"],
            "hostname": registration["hostname"],
        })
    }
}

/// A metric: what to show of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its number.
    pub id: u64,
    /// The connection that it belongs to.
    pub connection_id: String,
    /// Its name.
    pub name: String,
    /// Its source file, as the user wrote it.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// What to show.
    pub expressions: Vec<String>,
}

impl Metric {
    /// The message of its logpoint. The expressions are put in as they are: whoever reads it has to balance braces.
    #[must_use]
    pub fn log_message(&self) -> String {
        let holes: Vec<String> = self
            .expressions
            .iter()
            .map(|expression| format!("{{{expression}}}"))
            .collect();
        format!("DETRICS:{}={}", self.name, holes.join("\u{1f}"))
    }

    pub(crate) fn info(&self) -> Value {
        json!({
            "metricId": self.id,
            "name": self.name,
            "location": {"file": self.file, "line": self.line},
            "expressions": self.expressions,
            "language": "rust",
            "enabled": true,
            "connectionId": self.connection_id,
            "hitCount": 0,
        })
    }
}

/// What the daemon makes of a value's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed {
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// A truth value.
    Boolean(bool),
    /// An array, an object or null: only the JSON is kept.
    Untyped,
}

/// One value of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueOf {
    /// What was asked for.
    pub expression: String,
    /// The JSON, written anew, or the raw text where it was no JSON.
    pub json: String,
    /// The same with its type.
    pub typed: Typed,
}

/// What a hit of a metric said, or an error that was attributed to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The connection that it came from.
    pub connection_id: String,
    /// The metric's number.
    pub metric_id: u64,
    /// The metric's name.
    pub metric: String,
    /// When the daemon received it, in microseconds since 1970.
    pub timestamp: i64,
    /// The thread of the hit, where it was told.
    pub thread_id: Option<i64>,
    /// The name that the daemon gives to this thread.
    pub thread_name: Option<String>,
    /// The values, in the order of the metric's expressions; fewer where fewer came.
    pub values: Vec<ValueOf>,
    /// Output that the daemon took for an error of the program, and put down to whatever metric came first.
    pub error: Option<String>,
}

impl Event {
    pub(crate) fn info(&self) -> Value {
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|value| json!({"expression": value.expression, "valueJson": value.json}))
            .collect();
        let mut info = json!({
            "metricId": self.metric_id,
            "metricName": self.metric,
            "timestamp": self.timestamp,
            "connectionId": self.connection_id,
            "values": values,
        });
        if let (Some(id), Some(name)) = (self.thread_id, &self.thread_name) {
            info["threadId"] = json!(id);
            info["threadName"] = json!(name);
        }
        if let Some(error) = &self.error {
            info["error"] = json!({"error": true, "errorMessage": error});
        }
        info
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    pub connections: BTreeMap<String, Connection>,
    pub metrics: Vec<Metric>,
    pub events: Vec<Event>,
    last_metric: u64,
}

impl Database {
    /// The metrics of a connection.
    pub fn metrics_of(&self, connection_id: &str) -> Vec<&Metric> {
        let of_it = |metric: &&Metric| metric.connection_id == connection_id;
        self.metrics.iter().filter(of_it).collect()
    }

    /// Stores a metric under a new number.
    pub fn add(&mut self, mut metric: Metric) -> Metric {
        self.last_metric += 1;
        metric.id = self.last_metric;
        self.metrics.push(metric.clone());
        metric
    }

    /// Takes a metric out.
    pub fn remove(&mut self, id: u64) -> Option<Metric> {
        let index = self.metrics.iter().position(|metric| metric.id == id)?;
        Some(self.metrics.remove(index))
    }
}
