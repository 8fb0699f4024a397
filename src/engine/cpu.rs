//! The CPU that the tracer keeps to, and lets threads go on where it can.

use super::sys::{self, CpuSet};

/// Where the tracer runs.
pub struct Cpu {
    /// This CPU alone.
    pub only: CpuSet,
    /// All CPUs that the process may use.
    all: CpuSet,
    /// Whether there are others.
    pub shared: bool,
}

impl Cpu {
    /// Binds the tracer to the CPU that it runs on.
    pub fn claim() -> Self {
        let mut all = CpuSet::default();
        let _ = sys::set_affinity(0, &[u64::MAX; 16]);
        let _ = sys::affinity(0, &mut all);
        let cpu = sys::current_cpu();
        let mut only = CpuSet::default();
        if let Some(word) = only.get_mut(cpu / 64) {
            *word = 1 << (cpu % 64);
        }
        let count: u32 = all.iter().map(|word| word.count_ones()).sum();
        let bound = sys::set_affinity(0, &only).is_ok();
        Self {
            only,
            all,
            shared: bound && count > 1,
        }
    }

    /// "All" for a thread that is not restricted, so that it follows when the machine's set is widened later.
    pub fn unless_all(&self, set: CpuSet) -> CpuSet {
        if set == self.all { [u64::MAX; 16] } else { set }
    }

    /// Puts back what a thread's set was before it was narrowed, unless it was changed since: the thread runs already, and
    /// what is set for it now is the program's own word.
    pub fn widen(&self, tid: i32, before: &CpuSet) {
        let mut now = CpuSet::default();
        if sys::affinity(tid, &mut now).is_ok() && now == self.only {
            let _ = sys::set_affinity(tid, before);
        }
    }

    /// What to narrow a thread's set to; `None` where it is so narrow already, or does not have this CPU.
    pub fn narrowed(&self, set: &CpuSet) -> Option<CpuSet> {
        let has_it = set
            .iter()
            .zip(&self.only)
            .all(|(has, only)| has & only == *only);
        (has_it && *set != self.only).then_some(self.only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_has_set_meanwhile_stays() {
        let of = |tid| {
            let mut set = CpuSet::default();
            sys::affinity(tid, &mut set).unwrap();
            set
        };
        // In a thread of its own, whose processors nobody else asks for.
        let thread = std::thread::spawn(move || {
            let (me, before) = (sys::thread_id(), of(0));
            let cpu = Cpu::claim();
            let (only, all) = (cpu.only, cpu.all);
            cpu.widen(me, &before);
            assert_eq!(of(me), before, "it was narrowed");
            if !cpu.shared {
                return println!("skipped: there is one processor");
            }
            let mut others = all;
            for (word, only) in others.iter_mut().zip(only) {
                *word &= !only;
            }
            sys::set_affinity(me, &others).unwrap();
            cpu.widen(me, &before);
            assert_eq!(of(me), others, "the program has set it");
        });
        thread.join().unwrap();
    }
}
