//! A place to run single instructions: a traced child whose memory is shared with the test.

use std::ptr;

use libc::{c_int, c_void, iovec, user_regs_struct};
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::{Displaced, SLOT_SIZE};

const PAGE: u64 = 0x1000;

/// What an instruction can see and change; each ends at a page that cannot be accessed.
#[derive(Clone, Copy)]
pub struct Layout {
    pub text: u64,
    pub slot: u64,
    pub data: u64,
    pub stack: u64,
}

impl Layout {
    /// Where the instruction under test is.
    pub fn at(&self) -> u64 {
        self.text + 0x400
    }

    /// An address that branches may go to.
    pub fn landing(&self) -> u64 {
        self.text + 0x800
    }

    /// The middle of the data.
    pub fn operand(&self) -> u64 {
        self.data + PAGE
    }

    /// An address where nothing can be accessed.
    pub fn hole(&self) -> u64 {
        self.data - 0x800
    }
}

/// The state that a run begins with.
#[derive(Clone)]
pub struct Start {
    pub registers: user_regs_struct,
    pub vectors: Vec<u8>,
    /// The contents of data and stack.
    pub memory: Vec<u8>,
}

/// All that a program can notice of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub signal: c_int,
    pub signal_code: c_int,
    pub signal_address: u64,
    pub registers: Vec<(&'static str, u64)>,
    pub vectors: Vec<u8>,
    pub memory: Vec<u8>,
}

pub struct Lab {
    /// Of the test's thread, for afterwards.
    affinity: CpuSet,
    child: Pid,
    pub layout: Layout,
    registers: user_regs_struct,
    pub vectors: Vec<u8>,
}

const DATA_PAGES: u64 = 2;
const STACK_PAGES: u64 = 2;
const PAGES: u64 = 10;
pub const MEMORY: usize = ((DATA_PAGES + STACK_PAGES) * PAGE) as usize;

impl Lab {
    /// Maps the memory at `base`, which is below 4 GB, so that addresses of 32 bits reach it, and starts the child.
    pub fn new(base: u64) -> Self {
        // slot, hole, text, hole, data x2, hole, stack x2, hole
        let page = |index: u64| base + index * PAGE;
        let layout = Layout {
            slot: page(0),
            text: page(2),
            data: page(4),
            stack: page(7),
        };
        let map = |address: u64, pages: u64, protection| {
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: NOREPLACE, so no mapping of anyone else is touched.
            let mapped = unsafe {
                libc::mmap(
                    address as *mut c_void,
                    (pages * PAGE) as usize,
                    protection,
                    flags,
                    -1,
                    0,
                )
            };
            assert_eq!(
                mapped as u64,
                address,
                "{}",
                std::io::Error::last_os_error()
            );
        };
        let (data, text) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        );
        map(layout.slot, 1, text);
        map(page(1), 1, libc::PROT_NONE);
        map(layout.text, 1, text);
        map(page(3), 1, libc::PROT_NONE);
        map(layout.data, DATA_PAGES, data);
        map(page(6), 1, libc::PROT_NONE);
        map(layout.stack, STACK_PAGES, data);
        map(page(9), 1, libc::PROT_NONE);

        // On one CPU, where a stop costs a tenth. The test harness gives each test a thread of its own.
        let affinity = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let mut cpus = CpuSet::new();
        cpus.set(sched_getcpu().unwrap()).unwrap();
        sched_setaffinity(Pid::from_raw(0), &cpus).unwrap();

        // SAFETY: the child calls nothing but system calls until it stops, and never runs our code again.
        let child = unsafe {
            match libc::fork() {
                0 => {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                    libc::kill(libc::getpid(), libc::SIGSTOP);
                    libc::_exit(1)
                }
                child => Pid::from_raw(child),
            }
        };
        assert!(matches!(
            waitpid(child, None),
            Ok(WaitStatus::Stopped(_, _))
        ));
        let mut lab = Self {
            affinity,
            child,
            layout,
            registers: ptrace::getregs(child).unwrap(),
            vectors: Vec::new(),
        };
        // Not in a system call any more: nothing to restart.
        lab.registers.orig_rax = u64::MAX;
        lab.registers.fs_base = layout.operand();
        lab.registers.gs_base = layout.operand() + 0x40;
        lab.vectors = lab.vector_state();
        lab
    }

    /// General registers that no run has touched.
    pub fn registers(&self) -> user_regs_struct {
        self.registers
    }

    /// Runs `code` where it belongs.
    pub fn in_place(&self, code: &[u8], start: &Start) -> End {
        self.set_up(code, start);
        self.set_state(&self.at(start, self.layout.at()), &start.vectors);
        self.proceed();
        self.end(None)
    }

    /// Runs `code`'s displaced form.
    pub fn displaced(&self, code: &[u8], displaced: &Displaced, start: &Start) -> End {
        self.set_up(code, start);
        self.set_slot(displaced);
        self.set_state(&self.at(start, displaced.slot()), &start.vectors);
        self.proceed();
        self.end(Some(displaced))
    }

    /// Steps `steps` times within the displaced form, then gives it up for the original state and runs on from there,
    /// in place. `None` when the instruction is over by then.
    pub fn interrupted(
        &self,
        code: &[u8],
        displaced: &Displaced,
        start: &Start,
        steps: usize,
    ) -> Option<End> {
        self.set_up(code, start);
        self.set_slot(displaced);
        self.set_state(&self.at(start, displaced.slot()), &start.vectors);
        for _ in 0..steps {
            ptrace::step(self.child, None).unwrap();
            self.wait();
            let registers = ptrace::getregs(self.child).unwrap();
            let is_step = ptrace::getsiginfo(self.child).unwrap().si_code == libc::TRAP_TRACE;
            if !is_step
                || !(displaced.slot()..displaced.slot() + SLOT_SIZE as u64).contains(&registers.rip)
            {
                return None;
            }
        }
        let mut registers = ptrace::getregs(self.child).unwrap();
        let original = displaced
            .original(registers.rip)
            .expect("each instruction of a slot stands for something");
        registers.rip = original.pc;
        registers.rsp = registers.rsp.wrapping_add(original.stack);
        ptrace::setregs(self.child, registers).unwrap();
        self.proceed();
        Some(self.end(None))
    }

    fn at(&self, start: &Start, pc: u64) -> user_regs_struct {
        user_regs_struct {
            rip: pc,
            ..start.registers
        }
    }

    fn set_up(&self, code: &[u8], start: &Start) {
        let Layout {
            text, data, stack, ..
        } = self.layout;
        let (data_bytes, stack_bytes) = start.memory.split_at((DATA_PAGES * PAGE) as usize);
        // SAFETY: our own mappings, of these sizes; the child, which shares them, is stopped.
        unsafe {
            ptr::write_bytes(text as *mut u8, 0xcc, PAGE as usize);
            ptr::copy_nonoverlapping(code.as_ptr(), self.layout.at() as *mut u8, code.len());
            ptr::copy_nonoverlapping(data_bytes.as_ptr(), data as *mut u8, data_bytes.len());
            ptr::copy_nonoverlapping(stack_bytes.as_ptr(), stack as *mut u8, stack_bytes.len());
        }
    }

    fn set_slot(&self, displaced: &Displaced) {
        let code = displaced.code();
        assert!(code.len() <= SLOT_SIZE);
        // SAFETY: as in `set_up`; the slot is in its page.
        unsafe {
            ptr::write_bytes(self.layout.slot as *mut u8, 0xcc, PAGE as usize);
            ptr::copy_nonoverlapping(code.as_ptr(), displaced.slot() as *mut u8, code.len());
        }
    }

    fn set_state(&self, registers: &user_regs_struct, vectors: &[u8]) {
        ptrace::setregs(self.child, *registers).unwrap();
        let mut vectors = vectors.to_vec();
        self.regset(libc::PTRACE_SETREGSET, &mut vectors);
    }

    fn proceed(&self) {
        ptrace::cont(self.child, None).unwrap();
        self.wait();
    }

    fn wait(&self) {
        let status = waitpid(self.child, None);
        assert!(
            matches!(status, Ok(WaitStatus::Stopped(_, _))),
            "{status:?}"
        );
    }

    /// What the program would notice; `displaced` corrects it as the engine does when a signal is delivered.
    fn end(&self, displaced: Option<&Displaced>) -> End {
        let mut registers = ptrace::getregs(self.child).unwrap();
        let info = ptrace::getsiginfo(self.child).unwrap();
        // SAFETY: all signals here are faults, whose information has an address.
        let mut signal_address = unsafe { info.si_addr() } as u64;
        if let Some(displaced) = displaced {
            let slot = displaced.slot()..displaced.slot() + SLOT_SIZE as u64;
            if slot.contains(&registers.rip) {
                let original = displaced
                    .original(registers.rip)
                    .expect("a fault is at one of its instructions");
                registers.rip = original.pc;
                registers.rsp = registers.rsp.wrapping_add(original.stack);
            }
            if slot.contains(&signal_address)
                && matches!(info.si_signo, libc::SIGILL | libc::SIGFPE)
            {
                signal_address = displaced
                    .original(signal_address)
                    .expect("it is the fault's program counter")
                    .pc;
            }
        }
        let memory = [
            (self.layout.data, DATA_PAGES),
            (self.layout.stack, STACK_PAGES),
        ]
        .map(|(address, pages)| {
            // SAFETY: our own mappings, of these sizes; the child, which shares them, is stopped.
            unsafe { std::slice::from_raw_parts(address as *const u8, (pages * PAGE) as usize) }
        });
        End {
            signal: info.si_signo,
            signal_code: info.si_code,
            signal_address,
            registers: named(&registers),
            vectors: self.vector_state(),
            memory: memory.concat(),
        }
    }

    fn vector_state(&self) -> Vec<u8> {
        let mut state = vec![0; 0x4000];
        let length = self.regset(libc::PTRACE_GETREGSET, &mut state);
        state.truncate(length);
        state
    }

    fn regset(&self, request: libc::c_uint, state: &mut [u8]) -> usize {
        const NT_X86_XSTATE: c_int = 0x202;
        let mut vector = iovec {
            iov_base: state.as_mut_ptr().cast(),
            iov_len: state.len(),
        };
        // SAFETY: the vector describes `state`, to which the kernel keeps.
        let result =
            unsafe { libc::ptrace(request, self.child.as_raw(), NT_X86_XSTATE, &raw mut vector) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        vector.iov_len
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = kill(self.child, Signal::SIGKILL);
        let _ = waitpid(self.child, None);
        let _ = sched_setaffinity(Pid::from_raw(0), &self.affinity);
        // SAFETY: what `new` mapped, from the slot on; nothing else refers to it.
        unsafe { libc::munmap(self.layout.slot as *mut c_void, (PAGES * PAGE) as usize) };
    }
}

fn named(registers: &user_regs_struct) -> Vec<(&'static str, u64)> {
    macro_rules! list {
        ($($name:ident)*) => { vec![$((stringify!($name), registers.$name)),*] };
    }
    list!(rip rsp eflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 fs_base gs_base cs ss ds es fs gs)
}

/// The parts of the XSAVE area that hold vector registers: offset and size of each.
pub fn vector_registers(area: &[u8]) -> Vec<std::ops::Range<usize>> {
    const XMM: std::ops::Range<usize> = 160..416;
    // The kernel puts XCR0 there for debuggers (arch/x86/include/uapi/asm/sigcontext.h).
    let enabled = area
        .get(464..472)
        .map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    // AVX, opmask, upper halves of ZMM 0-15, ZMM 16-31.
    let extended = [2, 5, 6, 7]
        .into_iter()
        .filter(|component| enabled >> component & 1 == 1)
        .map(|component| {
            let leaf = std::arch::x86_64::__cpuid_count(0xd, component);
            leaf.ebx as usize..(leaf.ebx + leaf.eax) as usize
        });
    std::iter::once(XMM).chain(extended).collect()
}

/// Marks the vector registers as in use, for `PTRACE_SETREGSET`.
pub fn use_vectors(area: &mut [u8]) {
    let enabled: [u8; 8] = area[464..472].try_into().unwrap();
    area[512] |= enabled[0] & 0b1110_0111;
}
