//! What a traced thread makes, and becomes: threads, processes, other programs.

use core::sync::atomic::Ordering;

use super::Tracer;
use crate::engine::interrupted;
use crate::engine::sys;
use crate::engine::text::Text;

impl Tracer<'_> {
    /// A thread stops with the whole program; the kernel tells when that ends.
    pub fn group_stopped(&self, tid: i32) {
        if let Some(thread) = self.channel.threads.find(tid) {
            thread.set_group_stopped();
        }
        let _ = sys::listen(tid);
    }

    /// A thread's or process' first stop: it was born of one that is traced, and is traced itself.
    pub fn born(&mut self, tid: i32) {
        if let Some(thread) = self.channel.threads.find(tid) {
            // Not its first stop: SIGCONT was sent. That ends a group stop, which makes some calls return early without us as
            // well, or it had nothing to end, and the kernel only wakes all threads that are traced (kernel/signal.c,
            // `prepare_signal`).
            if !thread.take_group_stopped() {
                interrupted::repair(tid, Some(thread));
            }
            self.hits.resume(tid, 0);
            return;
        }
        self.hits.widen_newborn(tid);
        if self.shares_memory(tid) {
            self.channel.threads.insert(tid);
            if self.takes_privileges && !self.is_thread(tid) {
                // What vfork(2) and posix_spawn(3) make, to become another program.
                let process = self.channel.threads.find(tid);
                process.inspect(|process| process.watch());
            }
            self.hits.resume(tid, 0);
        } else {
            self.restore_copy(tid);
            let _ = sys::detach(tid);
        }
    }

    /// A process that shares the memory is at a system call. As long as it is traced it becomes no program with more
    /// privileges, so it is let go before that; where it does not become one, it goes on untraced.
    pub fn called(&mut self, tid: i32) {
        let number = sys::peek_register(tid, sys::CALL_NUMBER).map(|number| number as i64);
        if matches!(number, Ok(libc::SYS_execve | libc::SYS_execveat)) {
            self.channel.threads.remove(tid);
            let _ = sys::detach(tid);
        } else {
            self.hits.resume(tid, 0);
        }
    }

    pub fn executed(&mut self, tid: i32) {
        if tid == self.shared.app {
            // Our memory is not this image's any more, and the keeper is gone: never touch it.
            sys::exit(0);
        }
        self.channel.threads.remove(tid);
        // Where another thread of it took the first one's number, the stop has to be taken before anything else works.
        let _ = sys::wait(tid, libc::__WALL | libc::WNOHANG);
        let _ = sys::detach(tid);
    }

    /// Whether what we write is seen there. Its memory, if a copy, was made before this number.
    fn shares_memory(&self, tid: i32) -> bool {
        let nonce = self
            .shared
            .nonce
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_add(1);
        let mut seen = [0u8; 8];
        sys::read_memory(tid, self.shared.nonce.as_ptr() as u64, &mut seen) == 8
            && u64::from_ne_bytes(seen) == nonce
    }

    /// Gives a forked child's copy of the text its own bytes back.
    fn restore_copy(&self, pid: i32) {
        let Ok(text) = Text::open(pid) else { return };
        for site in self.shared.sites.iter() {
            text.restore(site);
        }
    }
}
