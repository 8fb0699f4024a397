//! The commit that is checked out in a directory, read from git's own files.
//!
//! No `git` is run: a child process could be reaped, or be waited for, by the application that detrix lives in. The
//! layout is that of gitrepository-layout(5).

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// How many references may lead to each other, as in git.
const MOST_LINKS: usize = 5;

/// The longest file that names one thing, in bytes.
const LONGEST: u64 = 4 << 10;

/// The longest list of packed references that is searched, in bytes.
const LONGEST_PACKED: u64 = 64 << 20;

/// The commit that `HEAD` of the working tree around `directory` means; `None` where there is none, or where it cannot
/// be told without git.
pub fn head(directory: &Path) -> Option<String> {
    let (top, git) = directory
        .ancestors()
        .find_map(|top| Some((top, git_directory(top)?)))?;
    if !is_trusted(&top.join(".git")) {
        return None;
    }
    // A linked worktree has a `HEAD` of its own, and shares the rest.
    let common = match line(&git.join("commondir")) {
        Some(common) => git.join(common),
        None => git.clone(),
    };
    let mut content = line(&git.join("HEAD"))?;
    for _ in 0..MOST_LINKS {
        let Some(reference) = content.strip_prefix("ref:").map(str::trim) else {
            return object(&content);
        };
        if !is_reference(reference) {
            return None;
        }
        content = line(&git.join(reference))
            .or_else(|| line(&common.join(reference)))
            .or_else(|| packed(&common.join("packed-refs"), reference))?;
    }
    None
}

/// The repository of a working tree whose top is `directory`.
fn git_directory(directory: &Path) -> Option<PathBuf> {
    let git = directory.join(".git");
    if git.is_dir() {
        return git.join("HEAD").is_file().then_some(git);
    }
    if !git.is_file() {
        return None;
    }
    // Of a linked worktree or a submodule. One that leads nowhere must not give way to a repository further up.
    let target = line(&git).and_then(|line| Some(line.strip_prefix("gitdir:")?.trim().to_owned()));
    Some(target.map_or(git, |target| directory.join(target)))
}

/// The only line of a small file.
fn line(path: &Path) -> Option<String> {
    let mut text = String::new();
    open(path)?.take(LONGEST).read_to_string(&mut text).ok()?;
    let line = text.trim();
    (!line.is_empty() && !line.contains('\n')).then(|| line.to_owned())
}

fn packed(path: &Path, reference: &str) -> Option<String> {
    let lines = BufReader::new(open(path)?.take(LONGEST_PACKED)).lines();
    for line in lines {
        let line = line.ok()?;
        if let Some((object, name)) = line.split_once(' ')
            && name == reference
        {
            return Some(object.to_owned());
        }
    }
    None
}

/// Whether it belongs to the user of this process or to root: in a directory like `/tmp`, anyone can set up a repository.
/// As git itself has it, see `safe.directory` in git-config(1).
#[cfg(unix)]
fn is_trusted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| path.metadata().ok().map(|metadata| metadata.uid());
    match owner(path) {
        Some(0) => true,
        // The owner of a process' directory is its effective user, proc_pid(5).
        Some(uid) => owner(Path::new("/proc/self")) == Some(uid),
        None => false,
    }
}

/// There is no such notion.
#[cfg(not(unix))]
fn is_trusted(_: &Path) -> bool {
    true
}

/// Opens what is a file: a pipe would wait for a writer.
fn open(path: &Path) -> Option<File> {
    path.is_file().then(|| File::open(path).ok()).flatten()
}

/// Whether it is the path of a reference below the repository, and of nothing else.
fn is_reference(name: &str) -> bool {
    name.starts_with("refs/")
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// A full object name: of SHA-1 or SHA-256, in hexadecimal digits.
fn object(text: &str) -> Option<String> {
    let full = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    full.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "ffffffffffffffffffffffffffffffffffffffff";

    /// A directory with these files.
    fn tree(files: &[(&str, &str)]) -> TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn head_of(files: &[(&str, &str)]) -> Option<String> {
        head(tree(files).path())
    }

    #[test]
    fn a_detached_head_is_the_commit_itself() {
        let upper = format!("{}\n", COMMIT.to_uppercase());
        assert_eq!(head_of(&[(".git/HEAD", &upper)]).as_deref(), Some(COMMIT));
    }

    #[test]
    fn a_branch_is_looked_up_loose_and_then_packed() {
        let branch = (".git/HEAD", "ref: refs/heads/topic/a\n");
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{OTHER} refs/heads/topic\n{COMMIT} refs/heads/topic/a\n^{OTHER}\n"
        );
        let packed = (".git/packed-refs", packed.as_str());
        assert_eq!(head_of(&[branch, packed]).as_deref(), Some(COMMIT));
        let loose = (".git/refs/heads/topic/a", OTHER);
        assert_eq!(head_of(&[branch, packed, loose]).as_deref(), Some(OTHER));
    }

    #[test]
    fn a_linked_worktree_shares_the_references_of_its_repository() {
        let tree = tree(&[
            ("main/.git/HEAD", "ref: refs/heads/main"),
            ("main/.git/refs/heads/main", OTHER),
            ("main/.git/refs/heads/topic", COMMIT),
            ("main/.git/worktrees/w/HEAD", "ref: refs/heads/topic\n"),
            ("main/.git/worktrees/w/commondir", "../..\n"),
            ("w/.git", "gitdir: ../main/.git/worktrees/w\n"),
            ("w/src/lib.rs", ""),
        ]);
        let inside = tree.path().join("w/src");
        assert_eq!(head(&inside).as_deref(), Some(COMMIT));
    }

    #[test]
    fn what_is_no_commit_is_none() {
        let loop_ = [
            (".git/HEAD", "ref: refs/heads/a"),
            (".git/refs/heads/a", "ref: refs/heads/a"),
        ];
        for files in [
            &[][..],
            &[(".git/HEAD", "")],
            &[(".git/HEAD", "main")],
            &[(".git/HEAD", &COMMIT[1..])],
            &[(".git/HEAD", "ref: refs/heads/unborn")],
            &[(".git/HEAD", "ref: ../secret"), ("secret", COMMIT)],
            &[(".git/HEAD", "ref: refs/../../secret"), ("secret", COMMIT)],
            &[(".git", "gitdir: nowhere")],
            &loop_,
        ] {
            assert_eq!(head_of(files), None, "{files:?}");
        }
    }

    #[test]
    fn a_broken_link_does_not_give_way_to_a_repository_further_up() {
        let tree = tree(&[
            (".git/HEAD", OTHER),
            ("w/.git", "nonsense"),
            ("v/.git", "gitdir: ../nowhere"),
            ("u/file", ""),
        ]);
        assert_eq!(head(&tree.path().join("w")), None);
        assert_eq!(head(&tree.path().join("v")), None);
        assert_eq!(head(&tree.path().join("u")).as_deref(), Some(OTHER));
    }

    #[test]
    fn a_repository_of_another_user_is_not_believed() {
        let tree = tree(&[(".git/HEAD", COMMIT)]);
        let git = tree.path().join(".git");
        if std::os::unix::fs::chown(&git, Some(12345), None).is_err() {
            detrix_test_support::skip("a_repository_of_another_user_is_not_believed");
            return;
        }
        assert_eq!(head(tree.path()), None);
    }

    #[test]
    fn it_is_what_git_says() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let git = Command::new("git")
            .args(["rev-parse", "HEAD"])
            .current_dir(here)
            .output();
        match git {
            Ok(output) if output.status.success() => {
                let expected = String::from_utf8(output.stdout).unwrap();
                assert_eq!(head(here).as_deref(), Some(expected.trim()));
            }
            _ => detrix_test_support::skip("it_is_what_git_says"),
        }
    }
}
