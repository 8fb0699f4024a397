//! Which executable and libraries are loaded, as the dynamic linker tells.
//!
//! The only file that knows `findshlibs`.

mod forks;

use std::ffi::c_int;
use std::ops::Range;
use std::path::PathBuf;

use findshlibs::{Segment, SharedLibrary, SharedLibraryId, TargetSharedLibrary};

/// One loaded object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where its file is, or was; `/proc/self/exe` for the executable, whose name may mean another file by now.
    pub path: PathBuf,
    /// What users call it.
    pub name: String,
    /// Added to an address of the file, gives one of the process.
    pub bias: u64,
    /// The build id in memory.
    pub build_id: Option<Vec<u8>>,
    /// Executable segments, as addresses of the process.
    pub text: Vec<Range<u64>>,
}

/// All loaded objects, the executable first.
pub fn list() -> Vec<Loaded> {
    forks::between(list_now)
}

fn list_now() -> Vec<Loaded> {
    let mut all = Vec::new();
    TargetSharedLibrary::each(|library| {
        let bias = library.virtual_memory_bias().0 as u64;
        let text = library
            .segments()
            .filter(|segment| segment.is_code())
            .map(|segment| {
                let start = bias.wrapping_add(segment.stated_virtual_memory_address().0 as u64);
                start..start.saturating_add(segment.len() as u64)
            })
            .collect();
        let build_id = match library.id() {
            Some(SharedLibraryId::GnuBuildId(id)) => Some(id),
            _ => None,
        };
        let name = library.name().to_string_lossy().into_owned();
        let path = if all.is_empty() {
            PathBuf::from("/proc/thread-self/exe")
        } else {
            PathBuf::from(library.name())
        };
        all.push(Loaded {
            path,
            name,
            bias,
            build_id,
            text,
        });
    });
    all
}

/// How many objects were ever loaded and unloaded: while this stays the same, so does [`list`].
pub fn generation() -> (u64, u64) {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        size: libc::size_t,
        out: *mut libc::c_void,
    ) -> c_int {
        if size >= size_of::<libc::dl_phdr_info>() {
            // SAFETY: dl_iterate_phdr(3) passes a valid info of `size` bytes, and `out` as it was given: below, a
            // pointer to a pair that outlives the call.
            unsafe { *out.cast::<(u64, u64)>() = ((*info).dlpi_adds, (*info).dlpi_subs) };
        }
        1
    }
    let mut counters = (0u64, 0u64);
    // SAFETY: `first` has the signature that dl_iterate_phdr(3) demands, does not unwind, and gets a pointer that is
    // valid during the call.
    forks::between(|| unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut counters).cast()) });
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_comes_first_and_contains_this_code() {
        let all = list();
        let here = list as fn() -> Vec<Loaded> as usize as u64;
        assert!(all[0].text.iter().any(|range| range.contains(&here)));
        assert!(all.len() > 1, "libc is loaded too");
        assert!(generation().0 as usize >= all.len() - 1);
    }
}
