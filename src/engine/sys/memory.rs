//! Memory of other tasks, and what is mapped there.

use core::mem::size_of;

use super::{Errno, check, syscall};

/// Copies memory of a process that shares ours, or of any other that we may trace, without ever faulting. Returns how
/// many bytes could be read before the first unreadable one.
pub fn read_memory(pid: i32, address: u64, out: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..)
        && !rest.is_empty()
        && let Some(start) = address.checked_add(done as u64)
    {
        // A copy that fails may still succeed up to the end of its first page.
        let page = rest.len().min((4096 - (start & 4095)) as usize);
        let copied = match copy_from(pid, start, rest) {
            0 if page < rest.len() => rest
                .get_mut(..page)
                .map_or(0, |rest| copy_from(pid, start, rest)),
            copied => copied,
        };
        if copied == 0 {
            break;
        }
        done += copied;
    }
    done
}

/// process_vm_readv(2); 0 for an error.
fn copy_from(pid: i32, address: u64, out: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: out.as_mut_ptr().cast(),
        iov_len: out.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut _,
        iov_len: out.len(),
    };
    let (local, remote) = (&raw const local as usize, &raw const remote as usize);
    // SAFETY: one vector each; the local one is the caller's slice, the remote one is checked by the kernel.
    check(unsafe {
        syscall(
            libc::SYS_process_vm_readv,
            pid as usize,
            local,
            1,
            remote,
            1,
            0,
        )
    })
    .unwrap_or(0)
}

/// A mapping of a file, or of none: then the numbers of the file are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedFile {
    pub start: u64,
    pub end: u64,
    /// Where in the file `start` is.
    pub offset: u64,
    /// The device that the file is on.
    pub major: u64,
    pub minor: u64,
    pub inode: u64,
}

/// The mapping that has `address`, asked of an open `/proc/PID/maps`; ENOENT where nothing is mapped. For Linux 6.11
/// (`PROCMAP_QUERY`, include/uapi/linux/fs.h); ENOTTY before.
pub fn mapping_at(maps: i32, address: u64) -> Result<MappedFile, Errno> {
    /// `_IOWR('f', 17, struct procmap_query)`.
    const PROCMAP_QUERY: usize = 0xc068_6611;
    /// `struct procmap_query`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        address: u64,
        start: u64,
        end: u64,
        mapping_flags: u64,
        page_size: u64,
        offset: u64,
        inode: u64,
        major: u32,
        minor: u32,
        name_size: u32,
        build_id_size: u32,
        name: u64,
        build_id: u64,
    }
    let mut query = Query {
        size: size_of::<Query>() as u64,
        address,
        ..Query::default()
    };
    // SAFETY: the kernel reads and writes one structure, whose size it is told; name and build id are not asked for.
    check(unsafe {
        syscall(
            libc::SYS_ioctl,
            maps as usize,
            PROCMAP_QUERY,
            &mut query as *mut _ as usize,
            0,
            0,
            0,
        )
    })?;
    Ok(MappedFile {
        start: query.start,
        end: query.end,
        offset: query.offset,
        major: query.major.into(),
        minor: query.minor.into(),
        inode: query.inode,
    })
}
