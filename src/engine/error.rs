//! Why tracing or patching did not work, and what to change.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::sys::prctl;
use thiserror::Error;

use super::channel::{Channel, Stage};
use super::displace::Refusal;
use super::sys::Errno;

/// Why there is no tracer.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Memory, a thread or a process could not be had.
    #[error(
        "the debugger could not get what it needs from the system: {0}; check the limits on memory, processes and files"
    )]
    Resources(#[source] io::Error),
    /// ptrace is refused.
    #[error("this process must not be traced: {reason}; {fix}")]
    Refused {
        /// What forbids it.
        reason: String,
        /// What to change.
        fix: &'static str,
    },
    /// The processor's shadow stack is on.
    #[error(
        "this process runs with a user shadow stack, with which displaced calls cannot work; start it with \
         GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"
    )]
    ShadowStack,
    /// The tracer failed at its start.
    #[error("the tracer could not start: {what}: {error}")]
    Start {
        /// In doing what.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        error: io::Error,
    },
    /// The tracer ended at its start.
    #[error(
        "the tracer {0} while it started; if a seccomp filter kills on ptrace, allow ptrace and process_vm_readv"
    )]
    Ended(String),
    /// Two tracers in a row did not answer.
    #[error("the tracer does not answer: something ends it as soon as it starts")]
    NoAnswer,
}

impl EngineError {
    /// What to change.
    pub fn fix(&self) -> String {
        match self {
            Self::Resources(_) => "raise the limits on memory, processes and files".to_owned(),
            Self::Refused { fix, .. } => (*fix).to_owned(),
            Self::ShadowStack => "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off".to_owned(),
            Self::Start { what, .. } => {
                format!(
                    "see that nothing forbids it {what}; a seccomp filter or a security module may"
                )
            }
            Self::Ended(_) => {
                "if a seccomp filter kills on ptrace, allow ptrace and process_vm_readv".to_owned()
            }
            Self::NoAnswer => "find what ends it, and have that let it live".to_owned(),
        }
    }
}

/// Why a probe could not be placed.
#[derive(Debug, Clone, Error)]
pub enum PlaceError {
    /// The address is not readable.
    #[error("there is no code at {address:#x}")]
    Unreadable {
        /// Where.
        address: u64,
    },
    /// The instruction there must not be displaced.
    #[error("the instruction at {address:#x} cannot carry a logpoint: {reason}")]
    Instruction {
        /// Where.
        address: u64,
        /// Why.
        reason: Refusal,
    },
    /// Other code is at this address than at an earlier time.
    #[error(
        "the code at {address:#x} is not what it was when a logpoint was there before; sleep and wake, then set it again"
    )]
    Changed {
        /// Where.
        address: u64,
    },
    /// No memory near enough for the displaced instruction.
    #[error("no room for the displaced instruction: {0}")]
    NoRoom(#[source] Arc<io::Error>),
    /// The text could not be written.
    #[error("the code at {address:#x} could not be patched")]
    NotWritten {
        /// Where.
        address: u64,
    },
    /// There is no tracer.
    #[error("{0}")]
    Tracer(#[source] Arc<EngineError>),
}

/// The error of a tracer that did not become ready.
pub fn refusal(channel: &Channel) -> EngineError {
    let Some((stage, errno)) = channel.failure() else {
        return match channel.end.load(Ordering::Acquire) {
            errno @ ..0 => EngineError::Resources(io::Error::from_raw_os_error(-errno)),
            _ => EngineError::Ended(describe_end(channel)),
        };
    };
    let refused = Errno(errno).is_refusal();
    match (refused, why_refused()) {
        (true, Some((reason, fix))) => EngineError::Refused { reason, fix },
        (true, None) if stage == Stage::Seize => EngineError::Refused {
            reason: format!(
                "ptrace was refused ({})",
                io::Error::from_raw_os_error(errno)
            ),
            fix: "allow ptrace in the seccomp profile or security module that confines this process",
        },
        _ => {
            let what = match stage {
                Stage::FileTable => "getting a file table of its own (close_range, Linux 5.9)",
                Stage::Memory => "opening /proc/PID/mem",
                Stage::List => "listing the threads in /proc/PID/task",
                Stage::Seize => "seizing a thread",
                Stage::Wait => "waiting for a thread (wait4)",
            };
            EngineError::Start {
                what,
                error: io::Error::from_raw_os_error(errno),
            }
        }
    }
}

/// What may forbid this process to be traced by its own clone.
fn why_refused() -> Option<(String, &'static str)> {
    let ours = ["/proc/thread-self/status", "/proc/self/status"];
    if let Some(refusal) = ours.into_iter().find_map(traced_already) {
        return Some(refusal);
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if let Some(refusal) = forbidden_by_yama(&scope) {
        return Some(refusal);
    }
    if prctl::get_dumpable() != Ok(true) {
        let reason = "it is not dumpable (it changed its user, or its file cannot be read, or it asked for that)".into();
        return Some((
            reason,
            "call prctl(PR_SET_DUMPABLE, 1) before wake, or give the process CAP_SYS_PTRACE",
        ));
    }
    // A filter may be the calling thread's alone, from which the tracer inherits it.
    if !matches!(
        field("/proc/thread-self/status", "Seccomp:").as_str(),
        "" | "0"
    ) {
        let reason = "a seccomp filter refuses ptrace, or what a tracer needs beside it".into();
        return Some((
            reason,
            "allow ptrace, process_vm_readv, waitid, wait4 and close_range in the filter (containers: --cap-add=SYS_PTRACE)",
        ));
    }
    None
}

/// What `kernel.yama.ptrace_scope` forbids. With 0 it forbids nothing here, and with 1 the keeper has asked
/// (Documentation/admin-guide/LSM/Yama.rst).
fn forbidden_by_yama(scope: &str) -> Option<(String, &'static str)> {
    match scope.trim_end() {
        "2" => Some((
            "kernel.yama.ptrace_scope is 2 (administrators only)".into(),
            "set it to 1 or 0, or give the process CAP_SYS_PTRACE",
        )),
        "3" => Some((
            "kernel.yama.ptrace_scope is 3 (nobody)".into(),
            "set kernel.yama.ptrace_scope to 1 or 0 and reboot",
        )),
        _ => None,
    }
}

/// Whether another tracer has the calling thread, which then could not ring for ours.
///
/// # Errors
///
/// When it has.
pub fn check_not_traced() -> Result<(), EngineError> {
    match traced_already("/proc/thread-self/status") {
        Some((reason, fix)) => Err(EngineError::Refused { reason, fix }),
        None => Ok(()),
    }
}

fn traced_already(status: &str) -> Option<(String, &'static str)> {
    let tracer = field(status, "TracerPid:");
    if matches!(tracer.as_str(), "" | "0") {
        return None;
    }
    let name = fs::read_to_string(format!("/proc/{tracer}/comm")).unwrap_or_default();
    let reason = format!("process {tracer} ({}) traces it already", name.trim_end());
    Some((reason, "end that debugger, strace or profiler first"))
}

/// What follows `name` in a file of lines; nothing where there is no such line.
pub fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.map_or("", str::trim).to_owned()
}

/// A process' end, as wait(2) encodes it, in words that follow its name.
pub fn describe_end(channel: &Channel) -> String {
    let status = channel.end.load(Ordering::Acquire);
    if channel.stuck.load(Ordering::Acquire) {
        "was ended, since it waited for seconds for memory that a logpoint reads: of a file on a disk or a server that does \
         not answer, or of userfaultfd"
            .to_owned()
    } else if libc::WIFSIGNALED(status) {
        format!("was killed by signal {}", libc::WTERMSIG(status))
    } else {
        format!("ended with status {}", libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_18_yama_is_named_with_its_fix() {
        for (scope, named, fix) in [
            ("2\n", "ptrace_scope is 2", "CAP_SYS_PTRACE"),
            ("3\n", "ptrace_scope is 3", "reboot"),
        ] {
            let (reason, what) = forbidden_by_yama(scope).unwrap();
            let told = EngineError::Refused { reason, fix: what }.to_string();
            assert!(told.contains(named) && told.contains(fix), "{told}");
        }
        for allows in ["", "0\n", "1\n"] {
            assert_eq!(forbidden_by_yama(allows), None);
        }
    }
}
