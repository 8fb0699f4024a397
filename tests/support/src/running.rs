//! A fixture program that runs, and its line protocol.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::{Process, Profile, fixture};

/// How long a test waits for what must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that becomes true on the time of another thread or process.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

/// The variable that limits what a logpoint may cost.
const BUDGET: &str = "DETRIX_LOGPOINT_BUDGET";

/// The variable that limits what all logpoints may cost together.
const TOTAL: &str = "DETRIX_TOTAL_BUDGET";

/// The variable that says whether a wake registers with a daemon.
const REGISTER: &str = "DETRIX_REGISTER";

/// How many of the program's lines a failing test prints.
const PRINTED: usize = 40;

/// A child that runs a fixture. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What it printed last, for the message of a failing test.
    printed: VecDeque<String>,
}

impl Running {
    /// Builds and starts the fixture `name`.
    #[must_use]
    pub fn start(name: &str, profile: Profile) -> Self {
        Self::spawn(&mut Command::new(fixture(name, profile)))
    }

    /// Starts the program at `path` with `arguments`.
    #[must_use]
    pub fn program(path: &Path, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(path).args(arguments))
    }

    /// Starts `command`, with its standard input and output taken over, without a daemon and with no limit for logpoints
    /// unless it sets one.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        // Tests count hits; none may be left out because the machine is busy. A test of a budget sets its own.
        for (variable, value) in [(BUDGET, "1"), (TOTAL, "1"), (REGISTER, "0")] {
            if !command.get_envs().any(|(name, _)| name == variable) {
                command.env(variable, value);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped above");
        let (sender, lines) = channel();
        // Ends with the pipe: when the child has exited, and every child of it that inherited the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            lines,
            printed: VecDeque::new(),
        }
    }

    /// The port that the fixture printed: reads up to that line.
    #[must_use]
    pub fn port(&mut self) -> u16 {
        let line = self.line_where(|line| line.starts_with("port "));
        port_of(&line)
    }

    /// The next line that the program prints.
    #[must_use]
    pub fn line(&mut self) -> String {
        self.try_line(PATIENCE)
            .unwrap_or_else(|| panic!("the program printed nothing for {PATIENCE:?}"))
    }

    /// The next line, or `None` after `timeout`.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[must_use]
    pub fn try_line(&mut self, timeout: Duration) -> Option<String> {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => {
                if self.printed.len() == PRINTED {
                    self.printed.pop_front();
                }
                self.printed.push_back(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait();
                panic!("the program ended: {status:?}")
            }
        }
    }

    /// Sends a command without waiting for its end.
    pub fn send(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("not closed before `quit`");
        writeln!(stdin, "{command}")
            .and_then(|()| stdin.flush())
            .unwrap_or_else(|error| panic!("`{command}`: {error}; {:?}", self.child.try_wait()));
    }

    /// Waits for the end of a command that was sent, and returns what it printed, or the text of its failure.
    ///
    /// # Errors
    ///
    /// When the program answers that the command failed.
    pub fn outcome(&mut self, command: &str) -> Result<Vec<String>, String> {
        let word = command
            .split_whitespace()
            .next()
            .expect("a command has a word");
        let (done, failed) = (format!("done {word}"), format!("failed {word}: "));
        let mut printed = Vec::new();
        loop {
            let line = self.line();
            if line == done {
                return Ok(printed);
            }
            if let Some(why) = line.strip_prefix(&failed) {
                return Err(why.to_owned());
            }
            printed.push(line);
        }
    }

    /// Sends a command and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&mut self, command: &str) -> Vec<String> {
        self.send(command);
        self.outcome(command)
            .unwrap_or_else(|why| panic!("`{command}` failed: {why}"))
    }

    /// Sends a command and returns the value that it printed as `key value`.
    ///
    /// # Panics
    ///
    /// When it fails or printed no such line.
    pub fn ask(&mut self, command: &str, key: &str) -> String {
        let printed = self.run(command);
        printed
            .iter()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("`{command}` printed no `{key}`: {printed:?}"))
            .to_owned()
    }

    /// As [`Running::ask`], for a number.
    ///
    /// # Panics
    ///
    /// As [`Running::ask`], and when the value is no number.
    pub fn number(&mut self, command: &str, key: &str) -> u64 {
        let value = self.ask(command, key);
        value
            .parse()
            .unwrap_or_else(|error| panic!("`{command}`: {key} is {value}: {error}"))
    }

    /// Wakes detrix in the fixture and returns its port.
    pub fn wake(&mut self) -> u16 {
        let printed = self.run("wake");
        port_of(&printed[0])
    }

    /// The program, seen from outside.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Tells the program to end, and returns what it printed last.
    ///
    /// # Panics
    ///
    /// When it does not exit with status 0.
    pub fn quit(mut self) -> Vec<String> {
        self.send("quit");
        let (printed, status) = self.end();
        assert!(status.success(), "the program ended with {status}");
        printed
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    ///
    /// When it still runs after [`PATIENCE`].
    pub fn end(&mut self) -> (Vec<String>, ExitStatus) {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let mut printed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end: {printed:?}"),
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        (printed, status)
    }

    /// Whether a signal ended the program, as far as it has ended.
    #[must_use]
    pub fn killed_by(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten()?.signal()
    }

    /// Reads up to a line of the program that is wanted.
    pub fn line_where(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            if wanted(&line) {
                return line;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the program printed last:");
            for line in &self.printed {
                println!("  {line}");
            }
        }
        // Both fail only for a child that was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port_of(line: &str) -> u16 {
    line.strip_prefix("port ")
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("not a port: {line}"))
}
