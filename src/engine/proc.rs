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
    fn numbers_only() {
        assert_eq!(
            (number(b"120"), number(b""), number(b".."), number(b"1x")),
            (Some(120), None, None, None)
        );
        assert_eq!(number(b"99999999999"), None);
    }
}
