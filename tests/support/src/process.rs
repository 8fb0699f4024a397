//! A process seen from outside, through `/proc` (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// The process `pid`.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// Its id.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.0
    }

    /// The bytes of every executable mapping that has a file, by file and offset. Empty-named and `[special]` mappings are
    /// left out: what the kernel or detrix put there is no text of the application.
    ///
    /// # Panics
    ///
    /// When the process is gone or may not be read.
    #[must_use]
    pub fn text(self) -> BTreeMap<(String, u64), Vec<u8>> {
        self.text_of(|_| true)
    }

    /// As [`Process::text`], of the program alone: a library may be unloaded while it is read.
    ///
    /// # Panics
    ///
    /// As [`Process::text`].
    #[must_use]
    pub fn own_text(self) -> BTreeMap<(String, u64), Vec<u8>> {
        let program = fs::read_link(self.path("exe")).expect("our own child may be looked at");
        self.text_of(|file| program.as_os_str() == file)
    }

    fn text_of(self, wanted: impl Fn(&str) -> bool) -> BTreeMap<(String, u64), Vec<u8>> {
        let maps = self.read("maps");
        let memory = fs::File::open(self.path("mem")).expect("our own child may be read");
        let mut text = BTreeMap::new();
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (Some(range), Some(access), Some(offset), _, _, Some(file)) = (
                fields.next(),
                fields.next(),
                fields.next(),
                fields.next(),
                fields.next(),
                fields.next(),
            ) else {
                continue;
            };
            let code =
                access.contains('x') && file.starts_with('/') && !file.starts_with("/memfd:");
            if !code || !wanted(file) {
                continue;
            }
            let hexadecimal =
                |text: &str| u64::from_str_radix(text, 16).expect("maps has hexadecimal numbers");
            let (start, end) = range.split_once('-').expect("maps has ranges");
            let (start, end) = (hexadecimal(start), hexadecimal(end));
            let mut bytes =
                vec![0; usize::try_from(end - start).expect("a mapping fits in memory")];
            memory
                .read_exact_at(&mut bytes, start)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            text.insert((file.to_owned(), hexadecimal(offset)), bytes);
        }
        text
    }

    /// The names of its threads, by thread id.
    #[must_use]
    pub fn threads(self) -> BTreeMap<u32, String> {
        self.tasks()
            .into_iter()
            .filter_map(|thread| {
                let name = fs::read_to_string(self.path(&format!("task/{thread}/comm"))).ok()?;
                Some((thread, name.trim_end().to_owned()))
            })
            .collect()
    }

    /// Who traces its threads: no element where no thread is traced.
    #[must_use]
    pub fn tracers(self) -> BTreeSet<u32> {
        self.tasks()
            .into_iter()
            .filter_map(|thread| self.task_field(thread, "TracerPid"))
            .filter_map(|tracer| tracer.parse().ok())
            .filter(|&tracer| tracer != 0)
            .collect()
    }

    /// How many of its threads are not traced.
    #[must_use]
    pub fn untraced(self) -> usize {
        self.tasks()
            .into_iter()
            .filter(|&thread| self.task_field(thread, "TracerPid").as_deref() == Some("0"))
            .count()
    }

    /// Whether all its threads are stopped, by a signal of job control as a rule.
    #[must_use]
    pub fn all_stopped(self) -> bool {
        self.tasks().into_iter().all(|thread| {
            let state = self.task_field(thread, "State").unwrap_or_default();
            state.starts_with(['T', 't'])
        })
    }

    /// Whether all its threads wait for something.
    #[must_use]
    pub fn all_sleep(self) -> bool {
        self.tasks().into_iter().all(|thread| {
            self.task_field(thread, "State")
                .is_some_and(|state| state.starts_with('S'))
        })
    }

    /// The voluntary context switches of all its threads together.
    #[must_use]
    pub fn voluntary_switches(self) -> u64 {
        self.tasks()
            .into_iter()
            .filter_map(|thread| self.task_field(thread, "voluntary_ctxt_switches"))
            .filter_map(|count| count.parse::<u64>().ok())
            .sum()
    }

    /// The TCP ports that it listens on, of both address families.
    #[must_use]
    pub fn listening_ports(self) -> BTreeSet<u16> {
        let sockets: BTreeSet<String> = fs::read_dir(self.path("fd"))
            .expect("our own child may be looked at")
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|target| {
                let target = target.to_string_lossy().into_owned();
                Some(
                    target
                        .strip_prefix("socket:[")?
                        .strip_suffix(']')?
                        .to_owned(),
                )
            })
            .collect();
        ["net/tcp", "net/tcp6"]
            .iter()
            .flat_map(|table| {
                fs::read_to_string(self.path(table))
                    .unwrap_or_default()
                    .lines()
                    .skip(1)
                    .filter_map(|line| listener(line, &sockets))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The number of its open descriptors.
    #[must_use]
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd"))
            .expect("our own child may be looked at")
            .count()
    }

    /// The memory that is its own, in bytes: `Anonymous` of `smaps_rollup`. Pages of files are the page cache's, which a
    /// program that runs alone merely happens to share with nobody.
    #[must_use]
    pub fn private_memory(self) -> u64 {
        self.read("smaps_rollup")
            .lines()
            .filter_map(|line| {
                let rest = line.strip_prefix("Anonymous:")?;
                rest.trim()
                    .strip_suffix("kB")?
                    .trim_end()
                    .parse::<u64>()
                    .ok()
            })
            .sum::<u64>()
            * 1024
    }

    /// The bytes that it keeps in memory by mlock(2) and the like, by file, or other name, of the mapping (`smaps`).
    #[must_use]
    pub fn locked(self) -> BTreeMap<String, u64> {
        let mut locked = BTreeMap::new();
        let mut name = String::new();
        for line in self.read("smaps").lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if !first.ends_with(':') {
                name = words.nth(4).unwrap_or_default().to_owned();
            } else if first == "Locked:" {
                let kib: u64 = words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
                if kib > 0 {
                    *locked.entry(name.clone()).or_default() += kib << 10;
                }
            }
        }
        locked
    }

    /// A field of its main thread's `status`, such as `SigBlk`.
    #[must_use]
    pub fn field(self, name: &str) -> Option<String> {
        self.task_field(self.0, name)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When that is refused.
    pub fn signal(self, signal: i32) {
        self.try_signal(signal)
            .unwrap_or_else(|error| panic!("kill: {error}"));
    }

    /// Sends it a signal, if it is still there.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn try_signal(self, signal: i32) -> std::io::Result<()> {
        let pid = i32::try_from(self.0).expect("a process id is positive");
        // SAFETY: kill takes no pointers; the id is that of a process that the caller watches.
        let result = unsafe { libc::kill(pid, signal) };
        match result {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Whether it exists and is no zombie.
    #[must_use]
    pub fn lives(self) -> bool {
        self.field("State")
            .is_some_and(|state| !state.starts_with(['Z', 'X']))
    }

    fn tasks(self) -> Vec<u32> {
        fs::read_dir(self.path("task"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn task_field(self, thread: u32, name: &str) -> Option<String> {
        fs::read_to_string(self.path(&format!("task/{thread}/status")))
            .ok()?
            .lines()
            .find_map(|line| {
                Some(
                    line.strip_prefix(name)?
                        .strip_prefix(':')?
                        .trim()
                        .to_owned(),
                )
            })
    }

    fn read(self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn path(self, below: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{below}", self.0))
    }
}

/// The port of a line of `/proc/net/tcp` that is a listener (state 0A) on one of `sockets`.
fn listener(line: &str, sockets: &BTreeSet<String>) -> Option<u16> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != "0A" || !sockets.contains(*fields.get(9)?) {
        return None;
    }
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_listener_and_its_end() {
        let me = Process::new(std::process::id());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(me.listening_ports().contains(&port));
        drop(listener);
        assert!(!me.listening_ports().contains(&port));
    }

    #[test]
    fn reads_its_own_text() {
        let text = Process::new(std::process::id()).text();
        let own = std::env::current_exe().unwrap();
        assert!(text.keys().any(|(file, _)| *file == own.to_string_lossy()));
    }
}
