//! What detrix may leave behind in a process, and has to take back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::{PATIENCE, Process};

/// What of a process must be as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its executable memory.
    pub text: BTreeMap<(String, u64), Vec<u8>>,
    /// How many threads it has: they name themselves only when they come to it.
    pub threads: usize,
    /// The ports that it listens on.
    pub ports: BTreeSet<u16>,
    /// Who traces it.
    pub tracers: BTreeSet<u32>,
    /// How many descriptors it has open.
    pub descriptors: usize,
}

impl Trace {
    /// Of a process as it is now.
    #[must_use]
    pub fn of(process: Process) -> Self {
        Self {
            text: process.text(),
            threads: process.threads().len(),
            ports: process.listening_ports(),
            tracers: process.tracers(),
            descriptors: process.descriptors(),
        }
    }

    /// Waits until a process is so. A thread that was joined can be listed a moment longer (the kernel wakes the joiner
    /// before it unlinks the thread).
    ///
    /// # Panics
    ///
    /// When it does not come to it.
    pub fn wait(&self, process: Process) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Self::of(process);
            if now == *self {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not as before: {:?}",
                now.differences(self)
            );
            std::thread::yield_now();
        }
    }

    /// The names of what differs, for a message that is not megabytes long.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.text != other.text {
            differences.push("text".to_owned());
        }
        if self.threads != other.threads {
            differences.push(format!("threads {} {}", self.threads, other.threads));
        }
        if self.ports != other.ports {
            differences.push(format!("ports {:?} {:?}", self.ports, other.ports));
        }
        if self.tracers != other.tracers {
            differences.push(format!("tracers {:?} {:?}", self.tracers, other.tracers));
        }
        if self.descriptors != other.descriptors {
            differences.push(format!(
                "descriptors {} {}",
                self.descriptors, other.descriptors
            ));
        }
        differences
    }
}
