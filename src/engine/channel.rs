//! What one tracer shares with its keeper and with detrix's thread: how far it has come, its orders, what must be
//! repaired after it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use super::blocked::Suspicion;
use super::shared::Shared;
use super::sites::Site;
use super::sys::{self, CpuSet};
use super::threads::ThreadTable;

/// What a tracer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To see whether it may trace, and to go.
    Trial,
    /// To serve sites.
    Serve,
}

/// How far a tracer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Progress {
    /// Made, and not ready.
    Starting = 0,
    /// Holds all threads; answers the bell.
    Ready = 1,
    /// Gave up at the start: see [`Channel::failure`].
    Failed = 2,
    /// Left in order: no site is in the text.
    Left = 3,
}

/// What a tracer could not do at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Have a file table of its own.
    FileTable = 1,
    /// Open the application's memory.
    Memory = 2,
    /// List the threads.
    List = 3,
    /// Seize a thread.
    Seize = 4,
    /// Wait for a thread.
    Wait = 5,
}

/// An order for the tracer. The sites live as long as [`Shared`].
#[derive(Clone, Copy)]
pub enum Command {
    /// Write the `int3`, or put the text's own byte back, as the site's probes want it.
    Settle(*const Site),
    /// Put the text's own byte back, whatever its probes want.
    Disarm(*const Site),
    /// Put sites back whose logpoints were suspended until now.
    Resume,
    /// Trace this thread too.
    Seize(i32),
    /// Leave as soon as no thread is on its way into a site.
    Leave,
}

/// Between one tracer, its keeper and detrix's thread.
pub struct Channel {
    /// What outlives the tracer.
    pub shared: Arc<Shared>,
    /// What it is for.
    pub purpose: Purpose,
    /// The threads that it traces.
    pub threads: ThreadTable,
    /// 1 when the tracer may begin: Yama has been told of it.
    pub go: AtomicU32,
    /// The tracer's process number, 0 before there is one.
    pub tracer: AtomicI32,
    /// The thread that made it, and rings the bell.
    pub ringer: i32,
    /// How often the kernel reset the SIGTRAP action.
    pub resets: AtomicU64,
    /// Who may be the one of a reset that nothing else explains.
    pub suspicion: Suspicion,
    /// The keeper's thread number.
    pub keeper: AtomicI32,
    progress: AtomicU32,
    failed_stage: AtomicU32,
    failed_errno: AtomicI32,
    /// 1 until the kernel clears it at the tracer's end.
    pub alive: AtomicU32,
    /// Counts up when the tracer begins to deal with a stop, and when it is done: odd in between.
    pub stops: AtomicU64,
    /// Whether the tracer keeps to its processor no more, since there was no time for it there.
    pub unbound: AtomicBool,
    /// Whether the keeper ended the tracer because a stop did not come to an end.
    pub stuck: AtomicBool,
    /// Whether it did not answer the bell: its keeper ends it.
    pub unheard: AtomicBool,
    /// 1 when the tracer is gone and all that it left is repaired.
    pub gone: AtomicU32,
    /// How the tracer ended, as wait(2) encodes it.
    pub end: AtomicI32,
    /// The thread that a narrowed affinity must be taken from, 0 for none, and what it had before.
    pub narrowed: AtomicI32,
    narrowed_set: [AtomicU64; 16],
    /// The bell.
    pub bell: Bell,
}

impl Channel {
    /// For a tracer to come, which answers the bell of the calling thread.
    pub fn new(shared: Arc<Shared>, purpose: Purpose) -> io::Result<Self> {
        Ok(Self {
            shared,
            purpose,
            threads: ThreadTable::new()?,
            go: AtomicU32::new(0),
            tracer: AtomicI32::new(0),
            ringer: sys::thread_id(),
            resets: AtomicU64::new(0),
            suspicion: Suspicion::default(),
            keeper: AtomicI32::new(0),
            progress: AtomicU32::new(Progress::Starting as u32),
            failed_stage: AtomicU32::new(0),
            failed_errno: AtomicI32::new(0),
            alive: AtomicU32::new(1),
            stops: AtomicU64::new(0),
            unbound: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            unheard: AtomicBool::new(false),
            gone: AtomicU32::new(0),
            end: AtomicI32::new(0),
            narrowed: AtomicI32::new(0),
            narrowed_set: Default::default(),
            bell: Bell::default(),
        })
    }

    /// How far the tracer has come.
    pub fn progress(&self) -> Progress {
        match self.progress.load(Ordering::Acquire) {
            1 => Progress::Ready,
            2 => Progress::Failed,
            3 => Progress::Left,
            _ => Progress::Starting,
        }
    }

    /// Waits while the tracer is starting and alive.
    pub fn wait_until_started(&self) -> Progress {
        while self.progress() == Progress::Starting {
            sys::futex_wait(&self.progress, Progress::Starting as u32);
        }
        self.progress()
    }

    /// Told by the tracer.
    pub fn set_progress(&self, progress: Progress) {
        self.progress.store(progress as u32, Ordering::Release);
        sys::futex_wake(&self.progress);
    }

    /// Told by the keeper. Whoever waits for the start waits for a change of that word, and would miss any other.
    pub fn set_gone(&self) {
        self.gone.store(1, Ordering::Release);
        let (before, after) = (Progress::Starting as u32, Progress::Failed as u32);
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self.progress.compare_exchange(before, after, done, failed);
        sys::futex_wake(&self.gone);
        sys::futex_wake(&self.progress);
    }

    /// Told by the tracer: what failed at its start.
    pub fn set_failure(&self, stage: Stage, errno: i32) {
        self.failed_errno.store(errno, Ordering::Relaxed);
        self.failed_stage.store(stage as u32, Ordering::Release);
    }

    /// What failed at its start, with the kernel's error code.
    pub fn failure(&self) -> Option<(Stage, i32)> {
        let stage = match self.failed_stage.load(Ordering::Acquire) {
            1 => Stage::FileTable,
            2 => Stage::Memory,
            3 => Stage::List,
            4 => Stage::Seize,
            5 => Stage::Wait,
            _ => return None,
        };
        Some((stage, self.failed_errno.load(Ordering::Relaxed)))
    }

    /// Remembers a thread's affinity while it is narrowed.
    pub fn set_narrowed(&self, tid: i32, set: &CpuSet) {
        for (kept, word) in self.narrowed_set.iter().zip(set) {
            kept.store(*word, Ordering::Relaxed);
        }
        self.narrowed.store(tid, Ordering::Release);
    }

    /// The affinity that [`Channel::narrowed`] had.
    pub fn narrowed_set(&self) -> CpuSet {
        let mut set = CpuSet::default();
        for (word, kept) in set.iter_mut().zip(&self.narrowed_set) {
            *word = kept.load(Ordering::Relaxed);
        }
        set
    }
}

/// How detrix's thread gives orders to a tracer that sleeps in wait(2): it writes them down and runs into an `int3` of
/// its own. That stops it, being traced, and wakes the tracer, which cannot miss it; it goes on when all is done.
#[derive(Default)]
pub struct Bell {
    /// The thread that rang, 0 for none.
    pub caller: AtomicI32,
    commands: AtomicPtr<Command>,
    count: AtomicUsize,
    answered: AtomicU32,
}

impl Bell {
    /// Has the tracer carry out `commands`; false when there was none to do it. The calling thread must be traced, and
    /// the only one to ring.
    pub fn ring(&self, commands: &[Command]) -> bool {
        self.commands
            .store(commands.as_ptr().cast_mut(), Ordering::Relaxed);
        self.count.store(commands.len(), Ordering::Relaxed);
        self.answered.store(0, Ordering::Relaxed);
        self.caller.store(sys::thread_id(), Ordering::SeqCst);
        strike();
        self.caller.store(0, Ordering::SeqCst);
        self.answered.load(Ordering::Acquire) == 1
    }

    /// The orders of the thread that is stopped at the bell.
    ///
    /// # Safety
    ///
    /// The tracer's only, while that thread is stopped at [`rung_at`].
    pub unsafe fn commands(&self) -> &[Command] {
        let (start, count) = (
            self.commands.load(Ordering::Relaxed),
            self.count.load(Ordering::Relaxed),
        );
        if start.is_null() {
            return &[];
        }
        // SAFETY: the slice that `ring` was given; its thread is still in `ring`.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// Told by the tracer when the orders are carried out.
    pub fn answer(&self) {
        self.answered.store(1, Ordering::Release);
    }
}

/// The bell's `int3`. Without a tracer the SIGTRAP handler lets it pass.
#[unsafe(naked)]
extern "C" fn strike() {
    std::arch::naked_asm!("int3", "ret")
}

/// The program counter of a thread that has just rung.
pub fn rung_at() -> u64 {
    strike as extern "C" fn() as usize as u64 + 1
}
