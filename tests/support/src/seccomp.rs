//! Systems that refuse a system call.

/// From now on answers `syscall` with `action` (`libc::SECCOMP_RET_…`) in the calling thread, and in the threads and
/// processes that it makes.
///
/// # Panics
///
/// Where the kernel has no seccomp filters.
pub fn filter(syscall: libc::c_long, action: u32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut steps = [
        step(load, 0, 0, 0),
        step(equal, 0, 1, syscall as u32),
        step(answer, 0, 0, action),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the filter lives through the call, which copies it, and concerns this thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter),
            0
        );
    }
}
