//! Limits of the process within which a wake has to stay.

use std::fs;
use std::io;

/// Address space that a wake takes beside the files with debug information: ring, tables, stacks, and what the allocator
/// reserves for two more threads; in bytes.
const OWN: u64 = 64 << 20;

/// Whether the limit on the address space (RLIMIT_AS, `ulimit -v`) leaves what a wake needs. An allocation that fails ends the
/// program, so it is better not to begin.
///
/// # Errors
///
/// When it leaves less, with the numbers.
pub fn check_memory() -> io::Result<()> {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_AS)?.0;
    if limit == nix::sys::resource::RLIM_INFINITY {
        return Ok(());
    }
    let left = limit.saturating_sub(address_space());
    let executable = fs::metadata("/proc/thread-self/exe").map_or(0, |file| file.len());
    let needed = executable.saturating_add(OWN);
    if left >= needed {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!(
            "the limit on the address space (RLIMIT_AS, ulimit -v) leaves this process {} MiB, and to wake takes {} MiB; \
             raise it",
            left >> 20,
            needed >> 20
        ),
    ))
}

/// What is mapped now, in bytes: the first number of `/proc/PID/statm` counts pages (proc_pid_statm(5)).
fn address_space() -> u64 {
    let statm = fs::read_to_string("/proc/thread-self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages.saturating_mul(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_counted() {
        let before = address_space();
        assert!(before > 1 << 20);
        let more = super::super::mapping::Mapping::anonymous(1 << 30).unwrap();
        assert!(address_space() >= before + (1 << 29));
        drop(more);
        assert!(check_memory().is_ok(), "tests run without a limit");
    }
}
