//! `/proc`, read without libc: for the tracer, and for whoever else asks the same.

use super::sys::{self, Errno};

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

/// Whether a thread runs or is about to, neither asleep nor stopped; one that is gone does not.
pub fn is_running(tid: i32) -> bool {
    let Ok(file) = sys::open(&path(tid, b"/stat"), libc::O_RDONLY) else {
        return false;
    };
    let mut text = [0u8; 64];
    let len = sys::read_at(file, &mut text, 0).unwrap_or(0);
    sys::close(file);
    state(text.get(..len).unwrap_or_default()) == Some(b'R')
}

/// What follows the name in parentheses, which may have some itself; behind it are numbers only.
fn state(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end.checked_add(2)?).copied()
}

/// `/proc/PID` and a tail, terminated, without an allocation.
pub fn path(pid: i32, tail: &[u8]) -> [u8; 48] {
    let mut digits = [0u8; 10];
    let mut rest = pid.unsigned_abs();
    let mut first = digits.len();
    loop {
        first = first.saturating_sub(1);
        if let Some(digit) = digits.get_mut(first) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut path = [0u8; 48];
    let bytes = b"/proc/"
        .iter()
        .chain(digits.iter().skip(first))
        .chain(tail);
    // The last byte stays zero.
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
        while is_running(tid) {
            std::thread::yield_now();
        }
        assert!(is_running(sys::thread_id()));
        drop(end);
        assert!(waiting.join().unwrap().is_err());
        assert!(!is_running(i32::MAX));
        assert_eq!(state(b"7 (a) R (b)) S 1 7 7 0"), Some(b'S'));
        assert_eq!((state(b"7 (a)"), state(b"")), (None, None));
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
