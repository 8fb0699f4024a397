//! The routes of the daemon's REST API.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::daemon::{Daemon, set_breakpoints};
use crate::database::{Connection, Event, Metric, Status};
use crate::http::{Request, Response};
use crate::link::{Failure, lock};
use crate::{Options, Registrations, now};

/// The languages that the daemon has an adapter for.
const LANGUAGES: [&str; 3] = ["python", "go", "rust"];

/// What can be read without a token.
const PUBLIC: [&str; 3] = ["/health", "/status", "/metrics"];

/// How many events a query gives where it does not say.
const DEFAULT_LIMIT: usize = 100;

/// Answers one connection.
pub(crate) fn serve(
    daemon: &Daemon,
    options: &Options,
    started: Instant,
    stream: &TcpStream,
) -> io::Result<()> {
    let api = Api {
        daemon,
        options,
        started,
        stream,
    };
    if !api.client_speaks()? {
        return Ok(());
    }
    let Some(request) = Request::read(stream)? else {
        return Ok(());
    };
    match api.answer(&request) {
        Some(response) => response.write(stream),
        None => Ok(()),
    }
}

struct Api<'a> {
    daemon: &'a Daemon,
    options: &'a Options,
    started: Instant,
    stream: &'a TcpStream,
}

impl Api<'_> {
    /// `None` where the client has gone.
    fn answer(&self, request: &Request) -> Option<Response> {
        if !self.allowed(request) {
            return Some(Response::empty(401));
        }
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        Some(match (request.method.as_str(), path.as_slice()) {
            ("GET", ["health"]) => self.health(),
            ("GET", ["api", "v1", "connections"]) => self.connections(),
            ("POST", ["api", "v1", "connections"]) => return self.register(&request.body),
            ("GET", ["api", "v1", "connections", id]) => self.connection(id),
            ("DELETE", ["api", "v1", "connections", id]) => self.unregister(id),
            ("GET", ["api", "v1", "metrics"]) => self.metrics(request),
            ("POST", ["api", "v1", "metrics"]) => self.add_metric(&request.body),
            ("DELETE", ["api", "v1", "metrics", id]) => self.remove_metric(id),
            ("GET", ["api", "v1", "events"]) => self.events(request),
            _ => Response::empty(404),
        })
    }

    fn allowed(&self, request: &Request) -> bool {
        let public = PUBLIC.iter().any(|path| request.path.starts_with(path));
        match &self.options.token {
            Some(token) if !public => {
                request.authorization.as_deref() == Some(&format!("Bearer {token}"))
            }
            _ => true,
        }
    }

    fn health(&self) -> Response {
        let mut body = json!({
            "service": "detrix",
            "status": "ok",
            "uptimeSeconds": self.started.elapsed().as_secs(),
            "adapterConnected": self.daemon.shared.any_link(),
        });
        if let Some(url) = &self.options.advertise_url {
            body["advertiseUrl"] = json!(url);
        }
        Response::json(200, &body)
    }

    fn connections(&self) -> Response {
        let database = lock(&self.daemon.shared.database);
        let all: Vec<Value> = database
            .connections
            .values()
            .map(Connection::info)
            .collect();
        Response::json(200, &json!(all))
    }

    fn connection(&self, id: &str) -> Response {
        match lock(&self.daemon.shared.database).connections.get(id) {
            Some(connection) => Response::json(200, &connection.info()),
            None => error(404, "NOT_FOUND", &format!("no connection {id}")),
        }
    }

    /// The whole handshake happens inside of the request.
    fn register(&self, body: &[u8]) -> Option<Response> {
        let registration = match checked(body) {
            Ok(registration) => registration,
            Err(refusal) => return Some(refusal),
        };
        let shared = &self.daemon.shared;
        if *lock(&shared.registrations) == Registrations::Refused {
            return Some(internal("the stand-in refuses registrations"));
        }
        shared.in_flight.fetch_add(1, Ordering::SeqCst);
        let response = self.serve_registration(registration);
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        response
    }

    fn serve_registration(&self, registration: Value) -> Option<Response> {
        let shared = &self.daemon.shared;
        let connection = self.store(registration);
        let gone = || self.client_has_gone();
        if let Err(why) = self.daemon.attach(&connection, &gone) {
            return match gone() {
                true => None,
                false => Some(internal(&why)),
            };
        }
        while *lock(&shared.registrations) == Registrations::Stalled {
            if gone() {
                self.daemon.detach(&connection.id);
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let info = lock(&shared.database)
            .connections
            .get(&connection.id)
            .map(Connection::info);
        let mut body = json!({
            "connectionId": connection.id,
            "status": "created",
            "connection": info,
            "metadata": null,
        });
        if let Some(url) = &self.options.advertise_url {
            body["advertiseUrl"] = json!(url);
        }
        Some(Response::json(201, &body))
    }

    /// Stores a registration: a new row, or the row of the same identity.
    fn store(&self, registration: Value) -> Connection {
        let id = connection_id(&registration);
        let port = registration["port"]
            .as_u64()
            .and_then(|port| port.try_into().ok());
        let mut database = lock(&self.daemon.shared.database);
        let row = database
            .connections
            .entry(id.clone())
            .or_insert(Connection {
                id,
                registration: Value::Null,
                port: 0,
                status: Status::Disconnected,
                created_at: now(),
            });
        if row.status != Status::Connected {
            // Checked before: the port is a number of 16 bits.
            row.port = port.unwrap_or(0);
            row.registration = registration;
        }
        row.clone()
    }

    /// Waits for the first byte; `false` where the daemon ends before.
    fn client_speaks(&self) -> io::Result<bool> {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(20)))?;
        loop {
            match self.stream.peek(&mut [0]) {
                Ok(_) => return Ok(true),
                Err(error) if !is_timeout(&error) => return Err(error),
                Err(_) if self.daemon.shared.stopping.load(Ordering::SeqCst) => return Ok(false),
                Err(_) => {}
            }
        }
    }

    /// Whether the client has closed its connection, or the daemon ends.
    fn client_has_gone(&self) -> bool {
        if self.daemon.shared.stopping.load(Ordering::SeqCst) {
            return true;
        }
        let look = self
            .stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .and_then(|()| self.stream.peek(&mut [0]));
        match look {
            Ok(length) => length == 0,
            Err(error) => !is_timeout(&error),
        }
    }

    fn unregister(&self, id: &str) -> Response {
        if !lock(&self.daemon.shared.database)
            .connections
            .contains_key(id)
        {
            return internal(&format!("no connection {id}"));
        }
        self.daemon.detach(id);
        Response::empty(204)
    }

    fn metrics(&self, request: &Request) -> Response {
        let database = lock(&self.daemon.shared.database);
        let wanted = request.parameter("connectionId");
        let fits = |metric: &&Metric| wanted.is_none_or(|id| metric.connection_id == id);
        let all: Vec<Value> = database
            .metrics
            .iter()
            .filter(fits)
            .map(Metric::info)
            .collect();
        Response::json(200, &json!({"metrics": all, "total": all.len()}))
    }

    fn add_metric(&self, body: &[u8]) -> Response {
        let (metric, replace) = match parse_metric(body) {
            Ok(parsed) => parsed,
            Err(refusal) => return refusal,
        };
        let shared = &self.daemon.shared;
        let id = metric.connection_id.clone();
        let metric = {
            let mut database = lock(&shared.database);
            if !database.connections.contains_key(&id) {
                return error(404, "NOT_FOUND", &format!("no connection {id}"));
            }
            let same = |other: &&Metric| {
                other.connection_id == id && other.file == metric.file && other.line == metric.line
            };
            // One metric a line: the one that is there answers for the new one.
            if let Some(old) = database.metrics.iter().find(same).cloned() {
                if !replace {
                    return created(&old, &[]);
                }
                database.remove(old.id);
            }
            database.add(metric)
        };
        match self.send_file(&id, &metric.file) {
            Ok(warning) => created(&metric, warning.as_slice()),
            Err(Failure::Refused(why)) => {
                lock(&shared.database).remove(metric.id);
                internal(&why)
            }
            // It is stored all the same, and sent with the next registration.
            Err(Failure::Lost(why)) => internal(&why),
        }
    }

    fn remove_metric(&self, id: &str) -> Response {
        let removed = id
            .parse()
            .ok()
            .and_then(|id| lock(&self.daemon.shared.database).remove(id));
        let Some(metric) = removed else {
            return error(404, "NOT_FOUND", &format!("no metric {id}"));
        };
        // What a link that is gone does not hear, its end has said.
        let _ = self.send_file(&metric.connection_id, &metric.file);
        Response::empty(204)
    }

    /// Sends the logpoints of a file. Of the answers only the first is looked at, whichever metric it is about, and only
    /// for a warning.
    fn send_file(&self, connection_id: &str, file: &str) -> Result<Option<String>, Failure> {
        let shared = &self.daemon.shared;
        let Some(link) = shared.link(connection_id) else {
            let why = format!("No adapter found for connection {connection_id}");
            return Err(Failure::Lost(why));
        };
        let _setting = lock(&link.setting);
        let metrics: Vec<Metric> = {
            let database = lock(&shared.database);
            let metrics = database.metrics_of(connection_id);
            metrics.into_iter().cloned().collect()
        };
        let body = set_breakpoints(&link, file, &metrics, &|| self.client_has_gone())?;
        let first = &body["breakpoints"][0];
        Ok((first["verified"] == false).then(|| {
            let why = first["message"].as_str().unwrap_or("no reason");
            format!("a logpoint of {file} is not verified: {why}")
        }))
    }

    fn events(&self, request: &Request) -> Response {
        let number = |name: &str| request.parameter(name)?.parse::<i64>().ok();
        let metric_id = number("metricId").and_then(|id| u64::try_from(id).ok());
        let name = request.parameter("metricName");
        let since = number("since").unwrap_or(0);
        let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
        let database = lock(&self.daemon.shared.database);
        let fits = |event: &&Event| {
            metric_id.is_none_or(|id| event.metric_id == id)
                && name.is_none_or(|name| event.metric == name)
                && event.timestamp >= since
        };
        // The newest ones, newest first.
        let events: Vec<Value> = database
            .events
            .iter()
            .rev()
            .filter(fits)
            .take(limit.unwrap_or(DEFAULT_LIMIT))
            .map(Event::info)
            .collect();
        Response::json(200, &json!(events))
    }
}

/// Whether nothing is wrong but that nothing came.
fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// The registration in a request's body, or why it is none.
fn checked(body: &[u8]) -> Result<Value, Response> {
    let registration: Value =
        serde_json::from_slice(body).map_err(|error| Response::text(400, &error.to_string()))?;
    for field in [
        "host",
        "port",
        "language",
        "name",
        "workspaceRoot",
        "hostname",
    ] {
        let value = registration
            .get(field)
            .ok_or_else(|| Response::text(422, &format!("missing field `{field}`")))?;
        let fits = match field {
            "port" => value
                .as_u64()
                .is_some_and(|port| port <= u64::from(u16::MAX)),
            _ => value.is_string(),
        };
        if !fits {
            return Err(Response::text(
                422,
                &format!("{field}: invalid type: {value}"),
            ));
        }
    }
    if registration["port"].as_u64() < Some(1024) {
        return Err(internal("the port is below 1024"));
    }
    for field in ["host", "name", "workspaceRoot", "hostname"] {
        if registration[field] == "" {
            return Err(internal(&format!("{field} is empty")));
        }
    }
    let language = registration["language"].as_str().unwrap_or_default();
    if !LANGUAGES.contains(&language) {
        let why = format!("no adapter for the language {language}");
        return Err(error(400, "CONFIG_INVALID", &why));
    }
    Ok(registration)
}

/// The id of an identity.
fn connection_id(registration: &Value) -> String {
    let fields = ["name", "language", "workspaceRoot", "hostname"];
    let identity = fields.map(|field| registration[field].as_str().unwrap_or_default());
    let hash = digest(&SHA256, identity.join("|").as_bytes());
    let id = hash.as_ref().iter().take(16);
    id.map(|byte| format!("{byte:02x}")).collect()
}

/// The metric in a request's body, and whether it replaces what is at its line.
fn parse_metric(body: &[u8]) -> Result<(Metric, bool), Response> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Response::text(400, &error.to_string()))?;
    let missing = |field: &str| Response::text(422, &format!("missing field `{field}`"));
    let text = |value: &Value, field: &str| {
        let text = value[field].as_str().map(str::to_owned);
        text.ok_or_else(|| missing(field))
    };
    let line = body["location"]["line"].as_u64();
    let line = line.and_then(|line| u32::try_from(line).ok());
    let expressions = body["expressions"].as_array();
    let expressions: Vec<String> = expressions
        .ok_or_else(|| missing("expressions"))?
        .iter()
        .filter_map(|expression| expression.as_str().map(str::to_owned))
        .collect();
    if body["enabled"] != true {
        return Err(missing("enabled"));
    }
    let metric = Metric {
        id: 0,
        connection_id: text(&body, "connectionId")?,
        name: text(&body, "name")?,
        file: text(&body["location"], "file")?,
        line: line.ok_or_else(|| missing("line"))?,
        expressions,
    };
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = &metric.name;
    let doubled = name.contains("--") || name.contains("__");
    if !name.starts_with(starts) || !name.chars().all(goes_on) || doubled || name.len() > 255 {
        return Err(error(
            400,
            "CONFIG_INVALID",
            &format!("{name:?} is no name"),
        ));
    }
    // The daemon looks for the variables in its own copy of the source.
    if !std::path::Path::new(&metric.file).is_file() {
        return Err(internal(&format!(
            "there is no source file {}",
            metric.file
        )));
    }
    Ok((metric, body["replace"] == true))
}

fn created(metric: &Metric, warnings: &[String]) -> Response {
    let mut body = json!({
        "metricId": metric.id,
        "name": metric.name,
        "status": "created",
        "metric": metric.info(),
    });
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    Response::json(201, &body)
}

fn internal(why: &str) -> Response {
    error(500, "INTERNAL_ERROR", why)
}

fn error(status: u16, kind: &str, why: &str) -> Response {
    let code = if status == 500 { 9001 } else { 1001 };
    let body = json!({
        "error": why,
        "errorCode": code,
        "errorType": kind,
        "category": if status == 500 { "internal" } else { "client" },
        "retryable": false,
    });
    Response::json(status, &body)
}
