//! The keeper: the thread that makes a tracer, waits for its end, and repairs what it left.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::os::raw::c_int;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use nix::sys::signal::{SigSet, Signal};

use super::channel::{Channel, Progress, Purpose};
use super::mapping::Mapping;
use super::origin::Mappings;
use super::proc;
use super::shared::Shared;
use super::sites::{LONGEST_INSTRUCTION, Site, SiteTable, State};
use super::sys::{self, SignalAction};
use super::text::{INT3, Text};
use super::tracer;

/// The tracer's stack, in bytes; used as it is touched. A hit takes less than 16 KiB.
const STACK: usize = 256 * 1024;

/// Yama's request to let this process trace the caller's; 0 takes it back (Documentation/admin-guide/LSM/Yama.rst).
const PR_SET_PTRACER: c_int = 0x5961_6d61;

/// A tracer with its keeper.
pub struct Tracer {
    /// What is shared with it.
    pub channel: Arc<Channel>,
    keeper: JoinHandle<()>,
}

impl Tracer {
    /// Makes a keeper, which makes a tracer, and waits until that is ready, or has failed.
    ///
    /// # Errors
    ///
    /// Of making threads and memory; see [`Channel::progress`] for the tracer's own.
    pub fn spawn(shared: &Arc<Shared>, purpose: Purpose) -> io::Result<Self> {
        let channel = Arc::new(Channel::new(shared.clone(), purpose)?);
        let stack = Mapping::stack(STACK)?;
        let keeper = thread::Builder::new()
            .name("detrix-keeper".into())
            .stack_size(128 * 1024)
            .spawn({
                let channel = channel.clone();
                move || keep(&channel, &stack)
            })?;
        channel.wait_until_started();
        Ok(Self { channel, keeper })
    }

    /// Whether its keeper has seen its end.
    pub fn is_gone(&self) -> bool {
        self.channel.gone.load(Ordering::Acquire) != 0
    }

    /// Waits for the end.
    pub fn join(self) -> Arc<Channel> {
        // The keeper has nothing that panics; if it did, its end is all that is asked for.
        let _ = self.keeper.join();
        self.channel
    }
}

fn keep(channel: &Channel, stack: &Mapping) {
    let shared = &channel.shared;
    let _own = shared.own_thread();
    channel.keeper.store(sys::thread_id(), Ordering::Release);
    block_signals();
    let faults = FAULTS.map(|signal| (signal, sys::signal_action(signal)));
    let argument = ptr::from_ref(channel).cast_mut().cast::<c_void>();
    const SHARE: c_int = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_CHILD_CLEARTID;
    let nothing = ptr::null_mut::<c_void>();
    // SAFETY: the stack is the tracer's alone, and both it and the channel outlive the tracer: this thread waits for its
    // end below. `tracer::main` is made for running beside us. Exit signal 0: nobody else's wait(2) sees it.
    let pid = unsafe {
        libc::clone(
            tracer::main,
            stack.end().cast(),
            SHARE,
            argument,
            nothing,
            nothing,
            channel.alive.as_ptr(),
        )
    };
    if pid == -1 {
        channel.end.store(
            -io::Error::last_os_error().raw_os_error().unwrap_or(1),
            Ordering::Release,
        );
        channel.set_gone();
        return;
    }
    channel.tracer.store(pid, Ordering::Release);
    let by_request = yama_asks();
    if by_request {
        allow_tracing_by(pid);
    }
    channel.go.store(1, Ordering::Release);
    sys::futex_wake(&channel.go);
    let end = wait_for(channel, pid);
    if by_request {
        allow_tracing_by(0);
    }
    // Also where the tracer left in order: it may not have been able to write.
    repair_text(&shared.sites);
    if channel.progress() != Progress::Left {
        repair(channel);
        repair_faults(&faults, end);
    }
    channel.end.store(end, Ordering::Release);
    channel.set_gone();
    shared.call_attention();
}

/// Blocks all signals in this thread but SIGTRAP, and but those that glibc needs, which its `pthread_sigmask` leaves.
fn block_signals() {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGTRAP);
    // Fails only for a set that is none.
    let _ = signals.thread_set_mask();
}

/// Whether Yama lets a process be traced by whom it asks for. Otherwise nothing is asked, since that would take back what
/// the application has asked for, a crash handler's permission for instance.
fn yama_asks() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.as_deref().map_err(io::Error::kind);
    asks(scope, Path::new("/proc/sys/kernel").exists())
}

/// With what Yama says, if it can be read, and whether it could be if it were there.
fn asks(scope: Result<&str, io::ErrorKind>, visible: bool) -> bool {
    match scope {
        Ok(scope) => scope.trim() == "1",
        // There is no Yama, as far as one can see.
        Err(io::ErrorKind::NotFound) => !visible,
        // Nobody can tell, for want of descriptors as a rule.
        Err(_) => true,
    }
}

fn allow_tracing_by(pid: i32) {
    // Fails where there is no Yama, which then does not forbid anything either.
    // SAFETY: takes numbers only.
    unsafe {
        libc::prctl(
            PR_SET_PTRACER,
            libc::c_ulong::from(pid.unsigned_abs()),
            0,
            0,
            0,
        )
    };
}

fn wait_for(channel: &Channel, pid: i32) -> i32 {
    let mut watch = Watch::default();
    loop {
        let is_ending = channel.alive.load(Ordering::Acquire) == 0;
        let patience = if is_ending { 0 } else { libc::WNOHANG };
        match sys::wait(pid, libc::__WALL | patience) {
            Ok(Some((_, status))) if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) => {
                return status;
            }
            Ok(_) | Err(sys::Errno::INTR) => {}
            // Somebody else has reaped it, with a wait for all clones, or a filter of system calls lets nobody ask like this.
            Err(_) if is_ending || sys::is_no_thread_of(pid, pid) => {
                sys::reap(pid);
                return 0;
            }
            Err(_) => {}
        }
        sys::futex_wait_for(&channel.alive, 1, WATCH);
        if channel.unheard.load(Ordering::Acquire) {
            end(pid);
        }
        let stop = channel.stops.load(Ordering::Relaxed);
        match watch.look(stop, || proc::look(pid, pid).map(|seen| seen.runs)) {
            Finds::Nothing => {}
            Finds::Starved => unbind(channel, pid),
            Finds::Stuck => {
                channel.stuck.store(true, Ordering::Release);
                end(pid);
            }
        }
    }
}

/// Ends a tracer, which this thread has not reaped yet.
fn end(pid: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// How long between two looks at the tracer, in nanoseconds.
const WATCH: u64 = 1_000_000_000;

/// At how many looks one after the other a tracer is found where it was, waiting in a stop or without a processor, until
/// something is done.
const PATIENCE: u32 = 2;

/// Whether the tracer gets on. While it deals with a stop all threads that stop have to wait for it.
#[derive(Default)]
struct Watch {
    stop: u64,
    waits: u32,
    runs: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Finds {
    Nothing,
    /// It would run if there were a processor for it, to deal with a stop or to hear of one: its own may belong to a thread of
    /// a real-time policy.
    Starved,
    /// It waits for what may never come: a mapped file of a disk or a server that does not answer, or what userfaultfd(2)
    /// ought to provide.
    Stuck,
}

impl Watch {
    /// `runs` asks whether it runs or is about to; `None` where it is gone.
    fn look(&mut self, stop: u64, runs: impl FnOnce() -> Option<bool>) -> Finds {
        let is_same = stop == self.stop;
        let is_in_stop = stop % 2 == 1;
        self.stop = stop;
        let runs = if is_same { runs() } else { None };
        let again = |count: u32, found| if found { count.saturating_add(1) } else { 0 };
        self.waits = again(self.waits, is_in_stop && runs == Some(false));
        self.runs = again(self.runs, runs == Some(true));
        match (self.waits >= PATIENCE, self.runs >= PATIENCE) {
            (true, _) => Finds::Stuck,
            (_, true) => Finds::Starved,
            _ => Finds::Nothing,
        }
    }
}

/// Lets the tracer run wherever this thread may.
fn unbind(channel: &Channel, pid: i32) {
    // It may have stopped at a site as well, and be narrowed to the tracer's processor itself.
    let mut own = channel.narrowed_set();
    if channel.narrowed.load(Ordering::Acquire) == sys::thread_id()
        || sys::affinity(0, &mut own).is_ok()
    {
        channel.unbound.store(true, Ordering::Relaxed);
        let _ = sys::set_affinity(pid, &own);
    }
}

/// Undoes what else a tracer left that ended out of order: a reset SIGTRAP action, a narrowed thread.
fn repair(channel: &Channel) {
    let shared = &channel.shared;
    let (last_seen, now) = (shared.trap_action.load(), sys::signal_action(libc::SIGTRAP));
    if now.is_ok_and(|now| now.handler == libc::SIG_DFL && now != last_seen) {
        // SAFETY: the action that was in place until the kernel reset it.
        let _ = unsafe { sys::set_signal_action(libc::SIGTRAP, &last_seen) };
    }
    let narrowed = channel.narrowed.swap(0, Ordering::AcqRel);
    if narrowed != 0 {
        let _ = sys::set_affinity(narrowed, &channel.narrowed_set());
    }
}

/// Takes all sites out of the text.
pub fn repair_text(sites: &SiteTable) {
    let is_left = |site: &Site| matches!(site.state(), State::Armed | State::Suspended);
    if !sites.iter().any(is_left) {
        return;
    }
    let text = Text::open(sys::thread_id());
    let mappings = Mappings::open(sys::thread_id()).ok();
    for site in sites.iter().filter(|site| is_left(site)) {
        let restored = text.as_ref().is_ok_and(|text| text.restore(site));
        if !restored && is_patched(site, mappings.as_ref()) {
            write_directly(site.address, site.original);
        }
        site.set_state(State::Absent);
    }
}

/// The signals by which a fault ends a process.
const FAULTS: [c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGSYS,
];

/// A fault of the tracer, which blocks these signals, resets their action, which is the application's too
/// (kernel/signal.c, `force_sig_info_to_task`).
fn repair_faults(before: &[(c_int, Result<SignalAction, sys::Errno>)], end: c_int) {
    let died_of = |signal| libc::WIFSIGNALED(end) && libc::WTERMSIG(end) == signal;
    let Some((signal, Ok(action))) = before.iter().find(|(signal, _)| died_of(*signal)) else {
        return;
    };
    if sys::signal_action(*signal).is_ok_and(|now| now.handler == libc::SIG_DFL) {
        // SAFETY: the action that the application had in place when the tracer was made.
        let _ = unsafe { sys::set_signal_action(*signal, action) };
    }
}

fn is_patched(site: &Site, mappings: Option<&Mappings>) -> bool {
    let mut found = [0; LONGEST_INSTRUCTION];
    let found = found.get_mut(..site.code.len()).unwrap_or_default();
    sys::read_memory(sys::thread_id(), site.address, found) == found.len()
        && site.is_code(found, INT3)
        && site.is_in_place(mappings)
}

/// For a process that may not open its own memory (not dumpable, without privilege): makes the page writable for a moment.
fn write_directly(address: u64, byte: u8) {
    let page = ptr::without_provenance_mut::<c_void>(address as usize & !4095);
    // SAFETY: the page holds code of a loaded module, where this byte was readable a moment ago; other threads may run it
    // meanwhile, so it stays executable.
    unsafe {
        if libc::mprotect(
            page,
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        ) == 0
        {
            ptr::without_provenance_mut::<u8>(address as usize).write_volatile(byte);
            libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_that_does_not_get_on_is_helped_or_ended() {
        let mut watch = Watch::default();
        let mut look = |stop, runs| watch.look(stop, || runs);
        assert_eq!(look(7, Some(true)), Finds::Nothing, "a new stop");
        assert_eq!(look(7, Some(true)), Finds::Nothing);
        assert_eq!(look(7, Some(true)), Finds::Starved);
        assert_eq!(look(7, Some(false)), Finds::Nothing, "it has run since");
        assert_eq!(look(7, Some(false)), Finds::Stuck);
        assert_eq!(look(9, Some(false)), Finds::Nothing);
        assert_eq!(look(9, Some(false)), Finds::Nothing);
        assert_eq!(look(10, Some(false)), Finds::Nothing, "in no stop");
        assert_eq!(look(10, Some(false)), Finds::Nothing);
        assert_eq!(look(10, Some(false)), Finds::Nothing);
        assert_eq!(look(10, Some(true)), Finds::Nothing);
        assert_eq!(look(10, Some(true)), Finds::Starved, "it hears of none");
        assert_eq!(look(11, None), Finds::Nothing);
        assert_eq!(look(11, None), Finds::Nothing, "it is gone");
    }

    #[test]
    fn row_18_yama_is_asked_where_it_wants_to_be() {
        assert!(asks(Ok("1\n"), true));
        for other in ["0\n", "2\n", "3\n"] {
            assert!(!asks(Ok(other), true));
        }
        let absent = Err(io::ErrorKind::NotFound);
        assert!(!asks(absent, true), "this kernel has no Yama");
        assert!(
            asks(absent, false),
            "nobody can tell, and asking does no harm"
        );
        assert!(asks(Err(io::ErrorKind::Other), true), "nor here");
    }
}
