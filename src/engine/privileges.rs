//! What the application may do, so that the tracer never may more.

use std::fs;

use super::error::{EngineError, field};

/// User, group, capabilities, seccomp filters and no-new-privileges of the calling thread, as `/proc` tells them.
#[derive(Debug, PartialEq, Eq)]
pub struct Privileges(String);

impl Privileges {
    /// Of the calling thread, from which a tracer would inherit them; `None` where they cannot be read, for want of
    /// descriptors as a rule.
    pub fn current() -> Option<Self> {
        const NAMES: [&str; 8] = [
            "Uid:",
            "Gid:",
            "Groups:",
            "CapPrm:",
            "CapEff:",
            "CapBnd:",
            "NoNewPrivs:",
            "Seccomp",
        ];
        let status = fs::read_to_string("/proc/thread-self/status").ok()?;
        let lines = status
            .lines()
            .filter(|line| NAMES.iter().any(|name| line.starts_with(name)));
        Some(Self(lines.collect()))
    }
}

/// The signals that a thread of this process blocks, as `/proc` tells; `None` where it has ended.
pub fn blocked_signals(tid: i32) -> Option<u64> {
    let set = field(&format!("/proc/self/task/{tid}/status"), "SigBlk:");
    u64::from_str_radix(&set, 16).ok()
}

/// A displaced call pushes no entry to the processor's shadow stack, so the return would fault.
///
/// # Errors
///
/// When this process has one.
pub fn check_shadow_stack() -> Result<(), EngineError> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let features = status
        .lines()
        .find_map(|line| line.strip_prefix("x86_Thread_features:"));
    if features.is_some_and(|features| {
        features
            .split_whitespace()
            .any(|feature| feature == "shstk")
    }) {
        return Err(EngineError::ShadowStack);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_gives_something_up_differs() {
        let before = Privileges::current().unwrap();
        assert!(
            before.0.contains("Uid:") && before.0.contains("Seccomp:"),
            "{before:?}"
        );
        assert_eq!(Some(&before), Privileges::current().as_ref());
        let after = std::thread::spawn(|| {
            // SAFETY: takes numbers only; concerns this thread alone.
            let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            assert_eq!(result, 0);
            Privileges::current()
        });
        assert_ne!(Some(before), after.join().unwrap());
    }
}
