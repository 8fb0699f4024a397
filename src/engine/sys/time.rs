//! Clocks, pauses, and waits for a word to change.

use core::sync::atomic::AtomicU32;

use super::syscall;

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970.
pub fn wall_time() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel stores one timespec.
    let _ = unsafe {
        syscall(
            libc::SYS_clock_gettime,
            clock as usize,
            &mut time as *mut _ as usize,
            0,
            0,
            0,
            0,
        )
    };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

pub fn pause_for(nanoseconds: u32) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(nanoseconds),
    };
    // SAFETY: the kernel reads one timespec; the remainder is not asked for.
    let _ = unsafe {
        syscall(
            libc::SYS_nanosleep,
            &time as *const _ as usize,
            0,
            0,
            0,
            0,
            0,
        )
    };
}

/// Waits while `*word == expected`; returns at once when it is not, and may return without cause.
pub fn futex_wait(word: &AtomicU32, expected: u32) {
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the word lives through the call; no timeout is given.
    let _ = unsafe {
        syscall(
            libc::SYS_futex,
            word.as_ptr() as usize,
            operation,
            expected as usize,
            0,
            0,
            0,
        )
    };
}

/// Like [`futex_wait`], for so many nanoseconds at the most.
pub fn futex_wait_for(word: &AtomicU32, expected: u32, nanoseconds: u64) {
    let time = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    };
    // SAFETY: word and time live through the call. Not private: the kernel's wake at the end of a task is not either.
    let _ = unsafe {
        syscall(
            libc::SYS_futex,
            word.as_ptr() as usize,
            libc::FUTEX_WAIT as usize,
            expected as usize,
            &time as *const _ as usize,
            0,
            0,
        )
    };
}

pub fn futex_wake(word: &AtomicU32) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the kernel only looks the word's address up.
    let _ = unsafe {
        syscall(
            libc::SYS_futex,
            word.as_ptr() as usize,
            operation,
            i32::MAX as usize,
            0,
            0,
            0,
        )
    };
}
