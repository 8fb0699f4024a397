//! The SIGTRAP handler: the net under threads that run into a site while nobody traces them.
//!
//! That is a thread born with CLONE_UNTRACED or not seized yet, any thread after the tracer died, the tracer itself, or
//! a forked child that inherited patched text. It goes on in the site's slot, without a record. A trap that is not ours
//! goes to the handler that was there before, or does what it would have done.

use std::ffi::c_int;
use std::io;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use super::channel::rung_at;
use super::keeper;
use super::shared::Shared;
use super::sites::State;
use super::sys::{self, SignalSet};
use super::text::INT3;

/// What the handler works on; null while asleep.
static ACTIVE: AtomicPtr<Active> = AtomicPtr::new(ptr::null_mut());

/// Threads that may look at what [`ACTIVE`] points to, or may begin to: raised before that is read.
static IN_HANDLER: AtomicU32 = AtomicU32::new(0);

/// The process whose threads these are: a child inherits the count.
static COUNTED: AtomicI32 = AtomicI32::new(0);

struct Active {
    shared: Arc<Shared>,
    previous: libc::sigaction,
    layer: usize,
}

/// How often the application can set a handler of its own over ours that calls ours.
const LAYERS: usize = 8;

/// Our handler, once for each layer: where the application's handler lies over ours, and ours over that again, each has to
/// know which one it is, or the two would call each other for ever.
const HANDLERS: [Handler; LAYERS] = [
    handle::<0>,
    handle::<1>,
    handle::<2>,
    handle::<3>,
    handle::<4>,
    handle::<5>,
    handle::<6>,
    handle::<7>,
];

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

static LAYER: [Layer; LAYERS] = [const { Layer::new() }; LAYERS];

/// What lies below a handler of ours, also after we are asleep again.
struct Layer {
    handler: AtomicUsize,
    flags: AtomicI32,
    /// Signals that it blocks while it runs.
    mask: AtomicU64,
    /// Whether the application's handler lay over it when we fell asleep: it may go on to call it.
    covered: AtomicBool,
}

impl Layer {
    const fn new() -> Self {
        Self {
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
            covered: AtomicBool::new(false),
        }
    }
}

/// The handler in place. Dropping it puts the previous action back, unless the application has set another one since.
pub struct TrapHandler {
    active: *mut Active,
    layer: usize,
}

// SAFETY: the pointer is this value's own, made by `Box::into_raw`.
unsafe impl Send for TrapHandler {}

impl TrapHandler {
    /// Installs the handler.
    pub fn install(shared: Arc<Shared>) -> io::Result<Self> {
        let mut previous = current_action()?;
        let mut layer = layer_of(&previous);
        // In a forked child it is of the parent's time; else of an engine that has still to go.
        // SAFETY: null, or what `install` published: nobody drops it in a child, and where an engine goes, detrix's thread
        // does it, which is this one.
        let inherited = unsafe { ACTIVE.load(Ordering::SeqCst).as_ref() };
        let own = sys::process_id();
        if COUNTED.swap(own, Ordering::SeqCst) != own {
            // The parent's threads are not here.
            IN_HANDLER.store(0, Ordering::SeqCst);
        }
        if let Some(inherited) = inherited.filter(|inherited| inherited.shared.app != own) {
            // As a rule the parent's tracer has done it, but not where a thread forked that it did not trace.
            keeper::repair_text(&inherited.shared.sites);
        }
        if layer.is_some() {
            previous = inherited.map_or(previous, |inherited| inherited.previous);
        } else {
            if let Some(below) = inherited.and_then(|inherited| LAYER.get(inherited.layer)) {
                below.covered.store(true, Ordering::SeqCst);
            }
            layer = LAYER
                .iter()
                .position(|layer| !layer.covered.load(Ordering::SeqCst));
        }
        let found = layer.and_then(|at| Some((at, HANDLERS.get(at)?, LAYER.get(at)?)));
        let Some((layer, handler, below)) = found else {
            return Err(io::Error::other(format!(
                "the program has set its own SIGTRAP handler over detrix's {LAYERS} times while it was awake; set it before"
            )));
        };
        below.handler.store(previous.sa_sigaction, Ordering::SeqCst);
        below.flags.store(previous.sa_flags, Ordering::SeqCst);
        below.mask.store(mask_of(&previous), Ordering::SeqCst);
        let active = Box::into_raw(Box::new(Active {
            shared,
            previous,
            layer,
        }));
        ACTIVE.store(active, Ordering::SeqCst);
        let this = Self { active, layer };
        // SAFETY: zeroes are a valid sigaction; the handler may run in any thread at any time, that is what it is for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = *handler as usize;
            // NODEFER: a trap while SIGTRAP is blocked kills.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | chosen_flags(&previous);
            if libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let installed = sys::signal_action(libc::SIGTRAP)
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        this.active().shared.trap_action.store(&installed);
        Ok(this)
    }

    /// The layer that this one is.
    fn layer(&self) -> Option<&'static Layer> {
        LAYER.get(self.layer)
    }

    fn active(&self) -> &Active {
        // SAFETY: made in `install`, freed in `drop`.
        unsafe { &*self.active }
    }
}

impl TrapHandler {
    /// Puts the previous action back. What a thread may still look at that was on its way into the handler is the
    /// caller's to free, when there can be none.
    pub fn remove(self) -> Retired {
        self.put_back();
        let active = ManuallyDrop::new(self).active;
        // SAFETY: made by `Box::into_raw`; the value that owned it is not dropped, and no new handler finds it.
        let active = unsafe { Box::from_raw(active) };
        Retired { _active: active }
    }

    fn put_back(&self) {
        if ACTIVE.load(Ordering::SeqCst) != self.active {
            // Another one was installed since, and knows what was there before both.
            return;
        }
        if is_in_place() {
            // SAFETY: the action that was there before us.
            unsafe { libc::sigaction(libc::SIGTRAP, &self.active().previous, ptr::null_mut()) };
        } else if let Some(layer) = self.layer() {
            layer.covered.store(true, Ordering::SeqCst);
        }
        ACTIVE.store(ptr::null_mut(), Ordering::SeqCst);
    }
}

impl Drop for TrapHandler {
    /// Keeps what a handler may look at; see [`TrapHandler::remove`].
    fn drop(&mut self) {
        self.put_back();
    }
}

/// Whether a thread may be looking at what a handler works on that is in place, or was.
pub fn is_entered() -> bool {
    IN_HANDLER.load(Ordering::SeqCst) != 0
}

/// What the handler worked on.
pub struct Retired {
    _active: Box<Active>,
}

/// Whether the handler is in place.
pub fn is_in_place() -> bool {
    current_action().is_ok_and(|action| layer_of(&action).is_some())
}

/// Flags that a handler below ours has to find as it set them; where there is none: the thread's own stack may be tiny, and
/// nothing may end a system call.
fn chosen_flags(previous: &libc::sigaction) -> c_int {
    const CHOSEN: c_int = libc::SA_ONSTACK | libc::SA_RESTART;
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => CHOSEN,
        _ => previous.sa_flags & CHOSEN,
    }
}

fn mask_of(action: &libc::sigaction) -> SignalSet {
    // SAFETY: glibc's set is larger, and begins with the kernel's.
    unsafe { ptr::from_ref(&action.sa_mask).cast::<SignalSet>().read() }
}

fn layer_of(action: &libc::sigaction) -> Option<usize> {
    HANDLERS
        .iter()
        .position(|handler| *handler as usize == action.sa_sigaction)
}

fn current_action() -> io::Result<libc::sigaction> {
    // SAFETY: zeroes are a valid sigaction, which the call overwrites.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        match libc::sigaction(libc::SIGTRAP, ptr::null(), &mut action) {
            0 => Ok(action),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Runs in any thread, the tracer included: no libc but for a trap that is not ours.
extern "C" fn handle<const AT: usize>(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    IN_HANDLER.fetch_add(1, Ordering::SeqCst);
    // SAFETY: null, or what `install` published, which is not freed while the count says that it may be looked at.
    let active = unsafe { ACTIVE.load(Ordering::SeqCst).as_ref() };
    let is_awake = active.is_some();
    let ours = active.is_some_and(|active| {
        // SAFETY: the kernel's arguments to a handler with SA_SIGINFO.
        unsafe {
            pass(
                &active.shared,
                &*info,
                &mut *context.cast::<libc::ucontext_t>(),
            )
        }
    });
    // Before the application's handler runs, which may never return here. A forked child may have begun at 0 meanwhile.
    let less = |count: u32| Some(count.saturating_sub(1));
    let _ = IN_HANDLER.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    let Some(below) = LAYER.get(AT).filter(|_| !ours) else {
        return;
    };
    if is_awake || below.covered.load(Ordering::SeqCst) {
        // SAFETY: as above.
        unsafe { below.defer(AT, signal, info, context) };
    }
}

/// Sends a thread that ran into a site of ours through its slot; false for any other trap.
fn pass(shared: &Shared, info: &libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    const SI_KERNEL: i32 = 0x80;
    if info.si_code != SI_KERNEL {
        return false;
    }
    let Some(pc) = context.uc_mcontext.gregs.get_mut(libc::REG_RIP as usize) else {
        return false;
    };
    let at = *pc as u64;
    let site = shared.sites.find(at.wrapping_sub(1));
    if let Some(site) = site.filter(|site| site.state() != State::Gone) {
        *pc = site.displaced.slot() as i64;
        // A process of its own that inherited patched text has nobody to tell.
        if sys::process_id() == shared.app {
            let tid = sys::thread_id();
            if site.state() == State::Armed && !shared.is_own(tid) {
                shared.total.passed.fetch_add(1, Ordering::Relaxed);
            }
            if shared.untraced.push(tid) {
                shared.call_attention();
            }
        }
        return true;
    }
    // The tracer died when it had already sent the thread on; or there is none at the bell.
    shared.slots.contains(at) || at == rung_at()
}

impl Layer {
    /// Does with a trap what would have been done without us.
    ///
    /// # Safety
    ///
    /// The arguments are the kernel's.
    unsafe fn defer(
        &self,
        at: usize,
        signal: c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        type Simple = extern "C" fn(c_int);
        let called_by_kernel =
            || current_action().is_ok_and(|action| layer_of(&action) == Some(at));
        match self.handler.load(Ordering::SeqCst) {
            // A handler of the application calls what it found when it was set, where that was one. It found ours, but would
            // have found none.
            libc::SIG_DFL | libc::SIG_IGN if !called_by_kernel() => {}
            // A trap of the thread's own kills even where SIGTRAP is ignored; one that was sent does not.
            // SAFETY: the kernel's arguments.
            libc::SIG_IGN if unsafe { (*info).si_code } <= 0 => {}
            // SAFETY: as above.
            libc::SIG_DFL | libc::SIG_IGN => unsafe { die(signal, context) },
            // SAFETY: what the application gave to sigaction(2), with or without SA_SIGINFO.
            handler => unsafe {
                if called_by_kernel() {
                    let trap = 1 << (libc::SIGTRAP - 1);
                    sys::block_more_signals(self.mask.load(Ordering::SeqCst) & !trap);
                }
                if self.flags.load(Ordering::SeqCst) & libc::SA_SIGINFO != 0 {
                    std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
                } else {
                    std::mem::transmute::<usize, Simple>(handler)(signal);
                }
            },
        }
    }
}

/// The default action: the process ends by SIGTRAP, at the trapping instruction where it can be repeated, so that a core
/// dump shows it.
///
/// # Safety
///
/// `context` is the kernel's.
unsafe fn die(signal: c_int, context: *mut libc::c_void) {
    // SAFETY: the kernel's context; zeroes are a valid sigaction, and mean SIG_DFL.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &action, ptr::null_mut());
        let pc =
            &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize];
        let mut byte = [0];
        let before = (*pc as u64).wrapping_sub(1);
        if sys::read_memory(sys::thread_id(), before, &mut byte) == 1 && byte == [INT3] {
            *pc = before as i64;
        } else {
            libc::raise(signal);
        }
    }
}
