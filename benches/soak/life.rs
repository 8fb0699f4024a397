//! One life of the program, from its start to one of its ends.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use detrix_test_support::{PATIENCE, Process, Profile, Random, Running, fixture, plugin};

use crate::actions;
use crate::clients::Client;
use crate::figures::Figures;

/// How many of the last actions a failure tells.
const TOLD: usize = 30;

/// How much memory the program may have gained from one sleep to another. It has threads of its own that come and go.
const GROWTH: u64 = 48 << 20;

/// The bytes of the program's code.
type Text = BTreeMap<(String, u64), Vec<u8>>;

/// See the module's documentation.
pub struct Life<'a> {
    pub random: &'a mut Random,
    pub figures: &'a mut Figures,
    pub program: Running,
    pub port: u16,
    pub clients: Vec<Client>,
    /// Connections that say nothing more, as of clients whose machine went.
    pub strays: Vec<TcpStream>,
    text: Text,
    /// What it had at its first sleep.
    memory: Option<u64>,
    /// How far its workers had come.
    rounds: BTreeMap<String, u64>,
    done: VecDeque<&'static str>,
}

impl<'a> Life<'a> {
    /// Starts the program, and everything that it does.
    pub fn begin(random: &'a mut Random, figures: &'a mut Figures) -> Self {
        let mut command = Command::new(fixture("soak", Profile::Release));
        command.arg(plugin(Profile::Release));
        if random.below(2) == 0 {
            // The budgets that users have; otherwise none.
            command
                .env("DETRIX_LOGPOINT_BUDGET", "")
                .env("DETRIX_TOTAL_BUDGET", "");
        }
        let mut program = Running::spawn(&mut command);
        let port = program.port();
        let text = program.process().own_text();
        for refused in program.run(&format!("begin {}", random.below(1 << 30))) {
            println!("soak: {refused}");
        }
        figures.count("lives");
        Self {
            random,
            figures,
            program,
            port,
            clients: Vec::new(),
            strays: Vec::new(),
            text,
            memory: None,
            rounds: BTreeMap::new(),
            done: VecDeque::new(),
        }
    }

    /// Does one thing after the other until `end`, and then ends.
    pub fn until(mut self, end: Instant) {
        while Instant::now() < end {
            let (name, action) = actions::any(self.random);
            self.begins(name);
            action(&mut self);
            self.read();
            self.has_net();
        }
        let (name, end) = actions::any_end(self.random);
        self.begins(name);
        self.goes_on();
        end(self);
    }

    fn begins(&mut self, name: &'static str) {
        if self.done.len() == TOLD {
            self.done.pop_front();
        }
        self.done.push_back(name);
        self.figures.count(name);
    }

    /// Reads what all clients have been told.
    pub fn read(&mut self) {
        for client in &mut self.clients {
            client.read(self.figures);
        }
    }

    /// Every worker of the program gets on, and nothing that it did was wrong.
    pub fn goes_on(&mut self) {
        let before = std::mem::take(&mut self.rounds);
        let deadline = Instant::now() + PATIENCE;
        loop {
            for line in self.program.run("workers") {
                if let Some(wrong) = line.strip_prefix("wrong ") {
                    panic!("a wrong result: {wrong}");
                }
                if let Some((name, rounds)) = worker(&line) {
                    self.rounds.insert(name.to_owned(), rounds);
                }
            }
            let stuck: Vec<&String> = self
                .rounds
                .iter()
                .filter(|(name, rounds)| before.get(*name).is_some_and(|before| before >= rounds))
                .map(|(name, _)| name)
                .collect();
            if stuck.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "stuck: {stuck:?}");
        }
    }

    /// While awake there is a handler of SIGTRAP, whatever has happened to the tracer.
    fn has_net(&self) {
        let caught = self.program.process().field("SigCgt").unwrap_or_default();
        let caught = u64::from_str_radix(&caught, 16).expect("a mask of signals");
        assert!(
            caught & 1 << (libc::SIGTRAP - 1) != 0,
            "no handler of SIGTRAP: {caught:#x}"
        );
    }

    /// The program's code is as it was at the beginning.
    pub fn is_whole(&self) -> bool {
        self.program.process().own_text() == self.text
    }

    /// It sleeps: nothing of the debugger is left.
    pub fn sleeps(&mut self) {
        self.program.run("sleep");
        assert!(self.is_whole(), "its code is not as it was");
        let tracers = self.program.process().tracers();
        assert!(tracers.is_empty(), "asleep, and traced: {tracers:?}");
        for mut client in self.clients.drain(..) {
            assert!(client.closes(), "a client is connected to a sleeper");
        }
        self.strays.clear();
        let now = self.program.process().private_memory();
        let first = *self.memory.get_or_insert(now);
        assert!(
            now < first + GROWTH,
            "{} KiB of memory after the first sleep, {} KiB now",
            first >> 10,
            now >> 10
        );
    }

    /// The tracer, if there is one.
    pub fn tracer(&self) -> Option<Process> {
        let tracers = self.program.process().tracers();
        assert!(tracers.len() < 2, "one tracer at the most: {tracers:?}");
        tracers.into_iter().next().map(Process::new)
    }

    /// What `status` says last was wrong.
    pub fn trouble(&mut self) -> String {
        self.program.ask("status", "error")
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("soak: failed after: {:?}", self.done);
            println!("soak: {}", self.figures);
        }
    }
}

/// A line that tells how far a worker has come.
fn worker(line: &str) -> Option<(&str, u64)> {
    let (name, rounds) = line.strip_prefix("worker ")?.rsplit_once(' ')?;
    Some((name, rounds.parse().ok()?))
}
