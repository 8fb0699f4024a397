//! The service that registers.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use detrix_standin::Standin;
use detrix_test_support::{Profile, Running, Trace, fixture, mark, source, until};

/// The fixture `registered`, initialized.
pub struct Program {
    pub running: Running,
    pub name: String,
    pub control_port: u64,
}

impl Program {
    /// Starts it with a daemon and some more variables.
    pub fn start(daemon: &Standin, variables: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("registered-{}-{count}", std::process::id());
        let mut command = Command::new(fixture("registered", Profile::Release));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("DETRIX_") {
                command.env_remove(variable);
            }
        }
        command
            .env("DETRIX_REGISTER", "1")
            .env("DETRIX_DAEMON_URL", daemon.url())
            .env("DETRIX_NAME", &name)
            .env("DETRIX_HEALTH_CHECK_TIMEOUT", "30")
            .env("DETRIX_REGISTER_TIMEOUT", "30")
            .env("DETRIX_UNREGISTER_TIMEOUT", "30")
            // No token of whoever runs the tests.
            .env(
                "DETRIX_HOME",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/no-home"),
            )
            .env("HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-home"))
            .envs(variables.iter().copied());
        let mut running = Running::spawn(&mut command);
        let control_port = running.number("start", "control");
        Self {
            running,
            name,
            control_port,
        }
    }

    /// Wakes it and gives the debug port and the connection's id.
    pub fn wake(&mut self) -> (u16, String) {
        (self.running.wake(), self.connection())
    }

    /// Why it does not wake.
    pub fn wake_failure(&mut self) -> String {
        self.running.send("wake");
        let outcome = self.running.outcome("wake");
        outcome.expect_err("nothing to register with")
    }

    pub fn connection(&mut self) -> String {
        self.running.ask("link", "connection")
    }

    pub fn sleep(&mut self) {
        self.running.run("sleep");
    }

    /// Waits until the link to the daemon is said to be so.
    pub fn link_becomes(&mut self, wanted: &str) {
        until(wanted, || self.running.ask("link", "link") == wanted);
    }

    pub fn trace(&self) -> Trace {
        Trace::of(self.running.process())
    }

    /// Waits until everything is as before.
    pub fn becomes(&self, wanted: &Trace) {
        wanted.wait(self.running.process());
    }
}

/// The source of the fixture.
pub fn file() -> PathBuf {
    source("bin/registered.rs")
}

/// Adds a metric at a marked line.
pub fn metric(
    daemon: &Standin,
    connection: &str,
    name: &str,
    at: &str,
    expressions: &[&str],
) -> u64 {
    let file = file();
    let path = file.to_str().expect("a path in UTF-8");
    daemon
        .add_metric(connection, name, (path, mark(&file, at)), expressions)
        .unwrap_or_else(|refusal| panic!("{name}: {refusal}"))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
