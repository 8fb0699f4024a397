//! Plays the agent: starts the trade bot, wakes it over its control plane, adds metrics, shows what they say, and puts it
//! to sleep again.
//!
//! ```console
//! $ cargo build --release --example trade_bot
//! $ cargo run --release --example test_wake
//! ```
//!
//! runs against a stand-in of the Detrix daemon; with `-- --daemon-port 8090` it runs against a real one, on this machine
//! and with the token in `DETRIX_TOKEN` if it asks for one. The status is 0 if every metric said something.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use detrix_standin::{Options, Reply, Standin, call};
use serde_json::{Value, json};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The source that is debugged, and where.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/trade_bot.rs");

/// The metrics: a name, the mark of a line, and what to show of it. The daemon has one metric a line.
const METRICS: [(&str, &str, &[&str]); 3] = [
    ("order", "order", &["order"]),
    ("order_price", "profit", &["price"]),
    (
        "order_details",
        "filled",
        &["symbol", "quantity", "order.limit"],
    ),
];

/// How many events of each metric are shown.
const SHOWN: usize = 3;

/// How long the bot may take to start, and events to come.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test_wake: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let daemon = Daemon::from_arguments()?;
    let health = daemon.get("/health").map_err(|error| {
        format!(
            "the daemon at {} does not answer ({error}); is it running?",
            daemon.url
        )
    })?;
    println!("the daemon at {} says {}", daemon.url, health["status"]);

    let bot = Bot::start(&daemon.url)?;
    println!("the bot's control plane is {}", bot.control_plane);
    println!("the bot is {}", bot.get("/detrix/status")?["state"]);

    let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let woken = bot.post("/detrix/wake", &json!({"daemon_url": daemon.url}))?;
    let connection = text(&woken, "connection_id")?;
    println!(
        "{}: debug port {}, connection {connection}",
        woken["status"], woken["debug_port"]
    );

    let metrics = METRICS
        .iter()
        .map(|metric| daemon.add_metric(connection, metric))
        .collect::<Result<Vec<u64>>>()?;
    for ((name, _, _), id) in METRICS.iter().zip(metrics) {
        daemon.show_events(name, id, started)?;
    }

    println!(
        "sleep: {}",
        bot.post("/detrix/sleep", &Value::Null)?["status"]
    );
    println!("the bot is {}", bot.get("/detrix/status")?["state"]);
    Ok(())
}

/// The daemon's API.
struct Daemon {
    url: String,
    token: Option<String>,
    /// Where it is none of its own.
    _standin: Option<Standin>,
}

impl Daemon {
    fn from_arguments() -> Result<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let token = std::env::var("DETRIX_TOKEN")
            .ok()
            .filter(|token| !token.is_empty());
        match arguments.as_slice() {
            [] => {
                // The bot reads the same variable.
                let standin = Standin::start(Options {
                    token: token.clone(),
                    ..Options::default()
                })?;
                println!("no --daemon-port: a stand-in plays the daemon");
                Ok(Self {
                    url: standin.url(),
                    token,
                    _standin: Some(standin),
                })
            }
            [name, port] if name == "--daemon-port" => {
                let port: u16 = port
                    .parse()
                    .map_err(|_| format!("--daemon-port {port}: not a port"))?;
                Ok(Self {
                    url: format!("http://127.0.0.1:{port}"),
                    token,
                    _standin: None,
                })
            }
            _ => Err("usage: test_wake [--daemon-port N]".into()),
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        success(&url, call("GET", &url, self.token.as_deref(), None)?)
    }

    fn add_metric(
        &self,
        connection: &str,
        (name, mark, expressions): &(&str, &str, &[&str]),
    ) -> Result<u64> {
        let line = line_of(mark)?;
        let body = json!({
            "name": name,
            "connectionId": connection,
            "location": {"file": SOURCE, "line": line},
            "expressions": expressions,
            "language": "rust",
            "enabled": true,
            "mode": "stream",
            // What an earlier run has left at this line.
            "replace": true,
        });
        let url = format!("{}/api/v1/metrics", self.url);
        let reply = call("POST", &url, self.token.as_deref(), Some(&body))?;
        let answer = success(&url, reply)?;
        println!("metric {name} at trade_bot.rs:{line}: {expressions:?}");
        for warning in answer["warnings"].as_array().into_iter().flatten() {
            println!("  the daemon warns: {warning}");
        }
        let id = answer["metricId"].as_u64();
        id.ok_or_else(|| format!("{name}: the daemon gave the metric no id").into())
    }

    /// Waits for some events of a metric and prints them.
    fn show_events(&self, name: &str, id: u64, since: u128) -> Result<()> {
        let query = format!("/api/v1/events?metricId={id}&limit={SHOWN}&since={since}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(&query)?;
            let events = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            if events.len() >= SHOWN {
                for event in events.iter().rev() {
                    println!("  {name}: {}", shown(event));
                }
                return Ok(());
            }
            if Instant::now() > deadline {
                let count = events.len();
                let why = format!("{count} events of {name} in {PATIENCE:?}, {SHOWN} expected");
                return Err(why.into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The values of an event; the thread, where the daemon tells it.
fn shown(event: &Value) -> String {
    if let Some(error) = event["error"]["errorMessage"].as_str() {
        return format!("error: {error}");
    }
    let values: Vec<&str> = match event["values"].as_array() {
        Some(values) => values
            .iter()
            .filter_map(|value| value["valueJson"].as_str())
            .collect(),
        None => event["valueJson"].as_str().into_iter().collect(),
    };
    let thread = event["threadName"].as_str();
    let thread = thread.map_or(String::new(), |name| format!(" on {name}"));
    format!("{}{thread}", values.join(", "))
}

/// The trade bot, which ends with this.
struct Bot {
    child: Child,
    control_plane: String,
}

impl Bot {
    fn start(daemon_url: &str) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("trade_bot");
        if !program.exists() {
            let profile = if cfg!(debug_assertions) {
                ""
            } else {
                "--release "
            };
            return Err(format!(
                "{} is missing; build it: cargo build {profile}--example trade_bot",
                program.display()
            )
            .into());
        }
        let mut child = Command::new(&program)
            .args(["--daemon-url", daemon_url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        let mut bot = Self {
            child,
            control_plane: String::new(),
        };
        let (sender, lines) = channel();
        // Reads to the end, or the bot would block on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once the URL was found.
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        while bot.control_plane.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines
                .recv_timeout(left)
                .map_err(|_| "the bot does not tell where its control plane is")?;
            if let Some(url) = line.strip_prefix("control plane: ") {
                bot.control_plane = url.to_owned();
            }
        }
        Ok(bot)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.control_plane);
        success(&url, call("GET", &url, None, None)?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.control_plane);
        let body = (!body.is_null()).then_some(body);
        success(&url, call("POST", &url, None, body)?)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer, if it is a good one.
fn success(url: &str, reply: Reply) -> Result<Value> {
    match reply.status {
        200..=299 => Ok(reply.json()),
        status => Err(format!("{url} answered {status}: {}", reply.body).into()),
    }
}

fn text<'a>(answer: &'a Value, key: &str) -> Result<&'a str> {
    let text = answer[key].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("no `{key}` in {answer}").into())
}

/// The number of the bot's line that is marked with `// MARK: name`.
fn line_of(name: &str) -> Result<usize> {
    let mark = format!("// MARK: {name}");
    let mut lines = include_str!("trade_bot.rs").lines();
    let index = lines.position(|line| line.ends_with(&mark));
    Ok(index.ok_or("the mark is in this file")? + 1)
}
