//! What a forked child has to close: its copies of the listening sockets would keep ports open that the parent has long
//! closed.
//!
//! This happens in a handler of pthread_atfork(3), before `fork` returns in the child. Children that are made by other ways
//! than the C library's `fork` keep them open until they exec or end.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// How many listening sockets there can be: the control plane's, and the one for debug clients.
const MOST: usize = 2;

/// Those that are open now.
static LISTENERS: [Inherited; MOST] = [const { Inherited::none() }; MOST];

/// A descriptor that a child has to close.
struct Inherited {
    /// -1 where there is none.
    descriptor: AtomicI32,
    /// Of the socket: in the child the number may stand for another file, since the kernel copies descriptors and memory
    /// one after the other.
    inode: AtomicU64,
}

impl Inherited {
    const fn none() -> Self {
        Self {
            descriptor: AtomicI32::new(-1),
            inode: AtomicU64::new(0),
        }
    }
}

/// Has forked children close a listening socket, until it is dropped.
pub struct ClosedInChildren(&'static Inherited);

impl ClosedInChildren {
    /// `None` where its inode cannot be known; children then keep it open.
    pub fn new(listener: &TcpListener) -> Option<Self> {
        let descriptor = listener.as_raw_fd();
        let inode = inode(descriptor)?;
        register();
        let free = LISTENERS.iter().find(|listener| {
            let taken = listener.descriptor.compare_exchange(
                -1,
                i32::MIN,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            taken.is_ok()
        })?;
        free.inode.store(inode, Ordering::Relaxed);
        free.descriptor.store(descriptor, Ordering::Release);
        Some(Self(free))
    }
}

impl Drop for ClosedInChildren {
    fn drop(&mut self) {
        self.0.descriptor.store(-1, Ordering::Release);
    }
}

fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the handler only uses what a forked child of a program with threads may use: atomics, fstat(2) and
        // close(2). A failure (no memory) leaves the sockets open in children.
        unsafe { libc::pthread_atfork(None, None, Some(close_listeners)) };
    });
}

extern "C" fn close_listeners() {
    for listener in &LISTENERS {
        let descriptor = listener.descriptor.swap(-1, Ordering::AcqRel);
        if descriptor >= 0 && inode(descriptor) == Some(listener.inode.load(Ordering::Relaxed)) {
            // SAFETY: it is the child's copy of our socket, which nothing in the child uses: the thread that did is the
            // parent's.
            unsafe { libc::close(descriptor) };
        }
    }
}

fn inode(descriptor: RawFd) -> Option<u64> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the buffer is as large as the call needs, and any descriptor may be asked about.
    let result = unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) };
    // SAFETY: filled by a call that succeeded.
    (result == 0).then(|| unsafe { stat.assume_init() }.st_ino)
}
