//! `/proc`, read without libc: for the tracer, and for whoever else asks the same.

use super::sys::{self, Errno, SignalSet};

/// Calls `visit` with each thread of `pid` that the list has now; threads born meanwhile may be missing.
pub fn each_thread(pid: i32, mut visit: impl FnMut(i32)) -> Result<(), Errno> {
    let list = sys::open(&path(pid, b"/task"), libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut buffer = [0u8; 4096];
    let result = loop {
        match sys::read_directory(list, &mut buffer) {
            Ok(0) => break Ok(()),
            Ok(len) => numbers(buffer.get(..len).unwrap_or_default(), &mut visit),
            Err(errno) => break Err(errno),
        }
    };
    sys::close(list);
    result
}

/// The names that are numbers, in what getdents64(2) wrote.
fn numbers(mut entries: &[u8], visit: &mut impl FnMut(i32)) {
    /// `d_ino`, `d_off`, `d_reclen`, `d_type`.
    const NAME: usize = 19;
    while let Some(len) = entries.get(16..18).and_then(|len| len.first_chunk::<2>()) {
        let Some((entry, rest)) =
            entries.split_at_checked(usize::from(u16::from_ne_bytes(*len)).max(NAME))
        else {
            return;
        };
        let name = entry
            .get(NAME..)
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        if let Some(number) = number(name) {
            visit(number);
        }
        entries = rest;
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    let number = |number: i32, digit: &u8| {
        let digit = digit
            .is_ascii_digit()
            .then(|| i32::from(digit.wrapping_sub(b'0')))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty())
        .then(|| digits.iter().try_fold(0, number))
        .flatten()
}

/// What `/proc` says of a thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it runs or is about to, neither asleep nor stopped.
    pub runs: bool,
    /// Which of the first 31 signals it blocks: bit `n - 1` is signal `n`.
    pub blocked: SignalSet,
}

/// Looks at a thread of `pid`; `None` for one that is gone. `/proc/TID/stat` would tell the same, but goes through all
/// threads for it.
pub fn look(pid: i32, tid: i32) -> Option<Seen> {
    let file = sys::open(&thread_path(pid, tid, b"/stat"), libc::O_RDONLY).ok()?;
    let mut text = [0u8; 1024];
    let len = sys::read_at(file, &mut text, 0).unwrap_or(0);
    sys::close(file);
    seen(text.get(..len).unwrap_or_default())
}

/// Reads proc_pid_stat(5): behind the name, which is in parentheses and may have some itself, are fields without any.
fn seen(stat: &[u8]) -> Option<Seen> {
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    // Behind the name: the third and the 32nd field of the line.
    let mut fields = stat
        .get(name.checked_add(2)?..)?
        .split(|byte| *byte == b' ');
    let runs = fields.next()? == b"R";
    let blocked = fields.nth(28)?;
    let number = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    let blocked = blocked.iter().try_fold(0, number)?;
    Some(Seen { runs, blocked })
}

/// `/proc/PID` and a tail, terminated, without an allocation.
pub fn path(pid: i32, tail: &[u8]) -> [u8; 48] {
    let (digits, first) = digits(pid);
    terminated(
        b"/proc/"
            .iter()
            .chain(digits.iter().skip(first))
            .chain(tail),
    )
}

/// `/proc/PID/task/TID` and a tail of at most 15 bytes.
fn thread_path(pid: i32, tid: i32, tail: &[u8]) -> [u8; 48] {
    let (digits, first) = digits(tid);
    let thread = path(pid, b"/task/");
    let directory = thread.iter().take_while(|byte| **byte != 0);
    terminated(directory.chain(digits.iter().skip(first)).chain(tail))
}

/// The digits of a number, and where they start.
fn digits(number: i32) -> ([u8; 10], usize) {
    let mut digits = [0u8; 10];
    let mut rest = number.unsigned_abs();
    let mut first = digits.len();
    loop {
        first = first.saturating_sub(1);
        if let Some(digit) = digits.get_mut(first) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            return (digits, first);
        }
    }
}

/// As much as fits, and zeros.
fn terminated<'a>(bytes: impl Iterator<Item = &'a u8>) -> [u8; 48] {
    let mut path = [0u8; 48];
    for (target, byte) in path.iter_mut().take(47).zip(bytes) {
        *target = *byte;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert!(path(1, b"/mem").starts_with(b"/proc/1/mem\0"));
        assert!(path(i32::MAX, b"/task").starts_with(b"/proc/2147483647/task\0"));
        assert_eq!(path(7, &[b'x'; 100])[47], 0);
        let longest = thread_path(i32::MAX, i32::MAX, b"/stat");
        assert!(longest.starts_with(b"/proc/2147483647/task/2147483647/stat\0"));
    }

    #[test]
    fn the_own_thread_is_listed_once() {
        let mut found = 0;
        each_thread(sys::process_id(), |tid| {
            found += i32::from(tid == sys::thread_id())
        })
        .unwrap();
        assert_eq!(found, 1);
        assert_eq!(each_thread(i32::MAX, |_| ()), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn a_thread_that_waits_does_not_run() {
        let (begun, tid) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            begun.send(sys::thread_id()).unwrap();
            wait.recv()
        });
        let tid = tid.recv().unwrap();
        let pid = sys::process_id();
        let runs = |tid| look(pid, tid).is_some_and(|seen| seen.runs);
        while runs(tid) {
            std::thread::yield_now();
        }
        assert!(runs(sys::thread_id()));
        drop(end);
        assert!(waiting.join().unwrap().is_err());
        assert_eq!(look(pid, i32::MAX), None);
    }

    #[test]
    fn the_signals_that_a_thread_blocks_are_seen() {
        let seen = |state: &str, blocked: u64| {
            let before = "0 ".repeat(28);
            seen(format!("7 (a) R (b)) {state} {before}{blocked} 0 0").as_bytes())
        };
        let (runs, blocked) = (true, 1 << 9);
        assert_eq!(seen("R", 1 << 9), Some(Seen { runs, blocked }));
        assert_eq!(seen("S", 0).map(|seen| seen.runs), Some(false));
        assert_eq!((super::seen(b"7 (a)"), super::seen(b"")), (None, None));
        let blocked_here = || look(sys::process_id(), sys::thread_id()).map(|seen| seen.blocked);
        let before = nix::sys::signal::SigSet::thread_get_mask().unwrap();
        let mut more = before;
        more.add(nix::sys::signal::Signal::SIGUSR2);
        more.thread_set_mask().unwrap();
        let now = blocked_here();
        before.thread_set_mask().unwrap();
        let usr2 = 1 << (libc::SIGUSR2 - 1);
        assert_eq!(now, blocked_here().map(|before| before | usr2));
    }

    #[test]
    fn numbers_only() {
        assert_eq!(
            (number(b"120"), number(b""), number(b".."), number(b"1x")),
            (Some(120), None, None, None)
        );
        assert_eq!(number(b"99999999999"), None);
    }
}
