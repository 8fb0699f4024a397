//! Files opened below a directory, by descriptors, so that no link and no race of one leads out of it.
//!
//! A path that is checked first and opened afterwards can have become another one in between: a symbolic link set at
//! the right moment leads anywhere. Here nothing is checked by name. [`Root::resolve`] has the kernel resolve the path
//! and refuse to leave the directory (openat2(2), Linux 5.6); where that cannot be had, [`walk`](Root::walk) does the
//! same, one component at a time. Either gives a descriptor of what was found (`O_PATH`, which opens no device and
//! waits for no FIFO), and only once that is known to be a file it is opened, by that very descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

/// How many symbolic links a path may lead over, as the kernel's own limit.
const LINKS: usize = 40;

/// Why a path was not opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// It leads out of the directory.
    Outside,
    /// There is no such thing, or it is of another kind.
    Missing,
    /// What the system says to it.
    Failed(String),
}

/// A directory to open files below.
pub struct Root {
    directory: OwnedFd,
    /// How paths to it are spelled: its true path, and the one that it was opened by.
    spelled: Vec<PathBuf>,
}

impl Root {
    /// The directory at a path that is trusted, links included.
    ///
    /// # Errors
    ///
    /// Where there is none, or it may not be opened.
    pub fn open(path: &Path) -> Result<Self, Denied> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(path, flags, Mode::empty()).map_err(|errno| denied(path, errno))?;
        Ok(Self::new(directory, path.to_owned()))
    }

    fn new(directory: OwnedFd, path: PathBuf) -> Self {
        let true_path = fs::read_link(descriptor(directory.as_fd())).ok();
        Self {
            directory,
            spelled: true_path.into_iter().chain([path]).collect(),
        }
    }

    /// Whether everything is below it.
    pub fn is_everything(&self) -> bool {
        self.spelled.iter().any(|path| path == Path::new("/"))
    }

    /// A directory at or below this one.
    ///
    /// # Errors
    ///
    /// Where it leads out of this one, there is none, or it may not be opened.
    pub fn directory(&self, path: &Path) -> Result<Self, Denied> {
        let found = self.resolve(path)?;
        match kind(found.as_fd()) {
            Some((SFlag::S_IFDIR, _)) => Ok(Self::new(found, path.to_owned())),
            _ => Err(Denied::Missing),
        }
    }

    /// The regular file at `path`, for reading, and its size in bytes.
    ///
    /// # Errors
    ///
    /// Where it leads out of this directory, there is none, it is no regular file, or it may not be read. A file that
    /// the kernel makes up, below `/proc`, is no regular file here.
    pub fn file(&self, path: &Path) -> Result<(File, u64), Denied> {
        let found = self.resolve(path)?;
        open_file(found.as_fd(), path)
    }

    /// What `path` leads to, as an `O_PATH` descriptor that is no symbolic link.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Denied> {
        let path = self.relative(path)?;
        match self.ask_kernel(&path) {
            Ok(found) => Ok(found),
            // It does not know the call; a seccomp filter refuses it; a directory was moved meanwhile; or the path leads
            // over an absolute link, which may point back here.
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EAGAIN | Errno::EXDEV) => self.walk(&path),
            Err(errno) => Err(denied(&path, errno)),
        }
    }

    fn ask_kernel(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.directory, path, how)
    }

    /// Resolves a relative path without the kernel's help:
    ///
    /// 1. Each component is opened in the directory before it, and is never followed if it is a link.
    /// 2. A directory goes onto the stack. `..` takes one off: it never asks the kernel, whose parent of a directory
    ///    that was moved meanwhile would be outside.
    /// 3. A link's text takes the link's place in what is left of the path; if it is absolute, it has to lead here.
    pub fn walk(&self, path: &Path) -> Result<OwnedFd, Denied> {
        let mut stack: Vec<OwnedFd> = Vec::new();
        let mut left = components(path)?;
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                stack.pop().ok_or(Denied::Outside)?;
                continue;
            }
            let here = stack.last().unwrap_or(&self.directory);
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = openat(here, name.as_os_str(), flags, Mode::empty())
                .map_err(|errno| denied(path, errno))?;
            match kind(found.as_fd()) {
                Some((SFlag::S_IFLNK, _)) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Denied::Missing);
                    }
                    let target = readlinkat(&found, "").map_err(|errno| denied(path, errno))?;
                    let target = Path::new(&target);
                    if target.is_absolute() {
                        stack.clear();
                    }
                    let mut target = components(&self.relative(target)?)?;
                    target.append(&mut left);
                    left = target;
                }
                Some((SFlag::S_IFDIR, _)) => stack.push(found),
                _ if left.is_empty() => return Ok(found),
                _ => return Err(Denied::Missing),
            }
        }
        match stack.pop() {
            Some(directory) => Ok(directory),
            None => self
                .directory
                .try_clone()
                .map_err(|error| Denied::Failed(error.to_string())),
        }
    }

    /// A path as one from this directory, if it can be spelled as one. This alone says nothing about where it leads.
    pub fn relative(&self, path: &Path) -> Result<PathBuf, Denied> {
        if path.is_relative() {
            return Ok(path.to_owned());
        }
        let below = |path: &Path| {
            self.spelled
                .iter()
                .find_map(|root| Some(path.strip_prefix(root).ok()?.to_owned()))
        };
        // Another way here: over a link on the way to the root, mostly.
        let below = below(path).or_else(|| below(&fs::canonicalize(path).ok()?));
        let below = below.ok_or(Denied::Outside)?;
        Ok(if below.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            below
        })
    }
}

/// Opens the regular file that was found at `path`: this very file, whatever its name means by now.
pub fn open_file(found: BorrowedFd<'_>, path: &Path) -> Result<(File, u64), Denied> {
    let size = match kind(found) {
        Some((SFlag::S_IFREG, size)) => size,
        _ => return Err(Denied::Missing),
    };
    // Memory and environment of processes are files there.
    if fstatfs(found).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC) {
        return Err(Denied::Missing);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = open(&descriptor(found), flags, Mode::empty())
        .map_err(|errno| Denied::Failed(failed(path, errno)))?;
    Ok((file.into(), size))
}

/// The names of a relative path, and its `..`.
fn components(path: &Path) -> Result<VecDeque<OsString>, Denied> {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) => Ok(name.to_owned()),
            Component::ParentDir => Ok(OsStr::new("..").to_owned()),
            _ => Err(Denied::Outside),
        })
        .collect()
}

/// Type and size of what a descriptor stands for.
fn kind(found: BorrowedFd<'_>) -> Option<(SFlag, u64)> {
    let status = fstat(found).ok()?;
    let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
    Some((kind, u64::try_from(status.st_size).ok()?))
}

/// A path that leads to what a descriptor stands for. By the thread: the process' own entry is empty where its first
/// thread has ended.
fn descriptor(found: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/thread-self/fd/{}", found.as_raw_fd()))
}

fn denied(path: &Path, errno: Errno) -> Denied {
    match errno {
        Errno::EXDEV => Denied::Outside,
        // Also for names that no file can have.
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG | Errno::EINVAL => {
            Denied::Missing
        }
        errno => Denied::Failed(failed(path, errno)),
    }
}

fn failed(path: &Path, errno: Errno) -> String {
    format!("{} cannot be read: {}", path.display(), errno.desc())
}
