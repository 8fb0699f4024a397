//! What the benches share.

use std::fmt;

/// A table of measurements: `name  value  goal`.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    /// Adds a line.
    pub fn add(&mut self, name: &str, value: impl fmt::Display, goal: &str) {
        self.0
            .push([name.to_owned(), value.to_string(), goal.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.0
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let (names, values) = (width(0), width(1));
        for [name, value, goal] in &self.0 {
            writeln!(formatter, "{name:names$}  {value:>values$}  {goal}")?;
        }
        Ok(())
    }
}

/// The median; 0 of nothing.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Restricts the calling thread, and what it starts from now on, to `cpu`; `None` allows all CPUs again.
///
/// # Panics
///
/// When the kernel refuses.
pub fn pin(cpu: Option<usize>) {
    // SAFETY: a CPU set is plain bits, all zeros is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for candidate in 0..usize::try_from(libc::CPU_SETSIZE).unwrap_or(0) {
        if cpu.is_none_or(|cpu| cpu == candidate) {
            // SAFETY: `candidate` is below CPU_SETSIZE.
            unsafe { libc::CPU_SET(candidate, &mut set) };
        }
    }
    // SAFETY: sched_setaffinity(2) of the calling thread with a set of the size that is told.
    let result =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    assert_eq!(
        result,
        0,
        "sched_setaffinity: {}",
        std::io::Error::last_os_error()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_outliers() {
        assert!((median(&[3.0, 1e9, 1.0, 2.0, -5.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::default();
        table.add("a", 1, "< 2");
        table.add("long name", "12 us", "< 20 us");
        assert_eq!(
            table.to_string(),
            "a              1  < 2\nlong name  12 us  < 20 us\n"
        );
    }
}
