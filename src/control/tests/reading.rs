//! `files/read`: what is read, and what never is.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

use nix::sys::stat::Mode;
use serde_json::json;

use super::super::beneath::{Denied, Root, open_file};
use super::super::files::LONGEST;
use super::*;

fn read(plane: &Plane, body: Value) -> (u16, String) {
    let answer = plane.post("/detrix/files/read", body.to_string());
    if answer.status == 404 {
        assert!(answer.body.is_empty());
    } else {
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    (answer.status, answer.text())
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

fn outside() -> (u16, String) {
    (403, "Path not within workspace".to_owned())
}

fn missing() -> (u16, String) {
    (404, String::new())
}

/// A workspace with files and links, and a secret beside it.
fn workspace() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("secret", "secret");
    scratch.write("space/src/main.rs", "fn main() {}\n");
    scratch.write("space/empty", "");
    scratch.write("space/crates/one/lib.rs", "one");
    scratch.link("space/file", "src/main.rs");
    scratch.link("space/directory", "src");
    scratch.link("space/src/up", "../crates/one");
    scratch.link("space/round", "directory/up/../../src/main.rs");
    scratch.link("space/absolute", scratch.0.join("space/src/main.rs"));
    scratch.link("space/absolute_directory", scratch.0.join("space/crates"));
    scratch.link("space/out", "../secret");
    scratch.link("space/absolute_out", scratch.0.join("secret"));
    scratch.link("space/out_directory", "..");
    scratch.link("space/root", "/");
    scratch.link("space/loop", "loop");
    scratch.link("space/dangling", "nothing");
    scratch.link("alias", "space");
    nix::unistd::mkfifo(&scratch.0.join("space/fifo"), Mode::S_IRUSR).unwrap();
    let _ = std::os::unix::net::UnixListener::bind(scratch.0.join("space/socket"));
    scratch
}

/// Paths of [`workspace`], and what they lead to.
fn paths(scratch: &Scratch) -> Vec<(String, (u16, String))> {
    let main = || ok("fn main() {}\n");
    let absolute = |path: &str| scratch.0.join(path).to_str().unwrap().to_owned();
    let relative = [
        ("src/main.rs", main()),
        ("./src/./main.rs", main()),
        ("src//main.rs", main()),
        ("src/../src/main.rs", main()),
        ("empty", ok("")),
        ("file", main()),
        ("directory/main.rs", main()),
        ("src/up/lib.rs", ok("one")),
        ("directory/up/../one/lib.rs", ok("one")),
        ("round", main()),
        ("absolute", main()),
        ("absolute_directory/one/lib.rs", ok("one")),
        ("absolute_directory/../empty", ok("")),
        ("out", outside()),
        ("absolute_out", outside()),
        ("out_directory/secret", outside()),
        ("out_directory/space/empty", outside()),
        ("out_directory/nothing", outside()),
        ("root/etc/passwd", outside()),
        ("../secret", outside()),
        ("../space/empty", outside()),
        ("../../../../../../../../etc/passwd", outside()),
        ("src/../../secret", outside()),
        ("..", outside()),
        ("nothing", missing()),
        ("nothing/../src/main.rs", missing()),
        ("src", missing()),
        (".", missing()),
        ("src/main.rs/", missing()),
        ("src/main.rs/more", missing()),
        ("loop", missing()),
        ("dangling", missing()),
        ("fifo", missing()),
        ("socket", missing()),
        ("src%2fmain.rs", missing()),
        ("%2e%2e/secret", missing()),
        ("src\\main.rs", missing()),
        ("src/main.rs\0", missing()),
        ("\0", missing()),
    ];
    let absolutes = [
        (absolute("space/src/main.rs"), main()),
        (absolute("space/../space/src/main.rs"), outside()),
        (absolute("alias/src/main.rs"), main()),
        (absolute("space/nothing"), missing()),
        (absolute("space"), missing()),
        (absolute("spac"), outside()),
        (absolute("space2/empty"), outside()),
        (absolute("secret"), outside()),
        (absolute("nothing"), outside()),
        ("/".to_owned(), outside()),
        ("/etc/passwd".to_owned(), outside()),
        ("/proc/self/mem".to_owned(), outside()),
        ("/proc/self/environ".to_owned(), outside()),
        ("/dev/zero".to_owned(), outside()),
        ("x".repeat(300), missing()),
        ("x/".repeat(5000), missing()),
    ];
    let relative = relative.map(|(path, expected)| (path.to_owned(), expected));
    relative.into_iter().chain(absolutes).collect()
}

#[test]
fn files_of_the_workspace_are_read_and_no_others() {
    let scratch = workspace();
    let space = scratch.0.join("space");
    let plane = Plane::start(Fake::with(Some(&space), &[]));
    for (path, expected) in paths(&scratch) {
        let got = read(&plane, json!({"path": path, "commit": "c0ffee", "more": 1}));
        // The kernel's limit of a path is not ours to know.
        let got = if path.len() > 4096 { missing() } else { got };
        assert_eq!(got, expected, "{path:?}");
    }
}

#[test]
fn the_walk_finds_what_the_kernel_finds() {
    let scratch = workspace();
    let root = Root::open(&scratch.0.join("space")).unwrap();
    for (path, expected) in paths(&scratch) {
        // It takes a slash at the end of a file for nothing.
        if path.ends_with("main.rs/") || path.len() > 4096 {
            continue;
        }
        let found = root
            .relative(Path::new(&path))
            .and_then(|path| root.walk(&path))
            .and_then(|found| open_file(found.as_fd(), Path::new(&path)));
        let got = match found {
            Ok((mut file, _)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                ok(&text)
            }
            Err(Denied::Outside) => outside(),
            Err(Denied::Missing) => missing(),
            Err(Denied::Failed(why)) => panic!("{path:?}: {why}"),
        };
        assert_eq!(got, expected, "{path:?}");
    }
}

#[test]
fn a_system_without_openat2_reads_the_same() {
    let scratch = workspace();
    let space = scratch.0.join("space");
    for errno in [libc::ENOSYS, libc::EPERM] {
        let plane = Plane::on(
            "127.0.0.1:0",
            Fake::with(Some(&space), &[]),
            false,
            move |serve| {
                let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
                detrix_test_support::filter(libc::SYS_openat2, refuse);
                serve();
            },
        );
        assert_eq!(read(&plane, json!({"path": "round"})), ok("fn main() {}\n"));
        assert_eq!(read(&plane, json!({"path": "out"})), outside());
        assert_eq!(read(&plane, json!({"path": "nothing"})), missing());
    }
}

#[test]
fn a_request_may_narrow_the_root_and_never_widen_it() {
    let scratch = workspace();
    let space = scratch.0.join("space");
    let plane = Plane::start(Fake::with(Some(&space), &[]));
    let escapes = || (403, "Workspace root escapes trust boundary".to_owned());
    let absolute = |path: &str| scratch.0.join(path).to_str().unwrap().to_owned();
    for (root, path, expected) in [
        ("".to_owned(), "empty".to_owned(), ok("")),
        ("crates".to_owned(), "one/lib.rs".to_owned(), ok("one")),
        (absolute("space"), "empty".to_owned(), ok("")),
        (absolute("alias"), "empty".to_owned(), ok("")),
        (absolute("space/crates"), "one/lib.rs".to_owned(), ok("one")),
        (
            absolute("space/crates"),
            absolute("space/crates/one/lib.rs"),
            ok("one"),
        ),
        (absolute("space/crates"), absolute("space/empty"), outside()),
        (absolute("space/crates"), "../empty".to_owned(), outside()),
        (
            "absolute_directory".to_owned(),
            "one/lib.rs".to_owned(),
            ok("one"),
        ),
        ("..".to_owned(), "secret".to_owned(), escapes()),
        ("out_directory".to_owned(), "secret".to_owned(), escapes()),
        (absolute(""), "secret".to_owned(), escapes()),
        ("/".to_owned(), "etc/passwd".to_owned(), escapes()),
        (absolute("nothing"), "x".to_owned(), escapes()),
        ("nothing".to_owned(), "x".to_owned(), escapes()),
        ("empty".to_owned(), "x".to_owned(), escapes()),
    ] {
        let got = read(&plane, json!({"path": path, "workspace_root": root}));
        assert_eq!(got, expected, "{root:?} {path:?}");
    }
}

#[test]
fn without_a_configured_root_it_is_the_working_directory() {
    for root in [None, Some(Path::new(""))] {
        let plane = Plane::start(Fake::with(root, &[]));
        let (status, text) = read(&plane, json!({"path": "Cargo.toml"}));
        assert_eq!(status, 200);
        assert!(text.contains("[package]"));
        let here = std::env::current_dir().unwrap().join("Cargo.toml");
        assert_eq!(read(&plane, json!({"path": here})).0, 200);
        assert_eq!(read(&plane, json!({"path": "/etc/passwd"})), outside());
    }
}

#[test]
fn everything_is_no_root_by_default() {
    let plane = Plane::on("127.0.0.1:0", Fake::default(), false, |serve| {
        // A working directory of this thread's own.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        std::env::set_current_dir("/").unwrap();
        serve();
    });
    for root in [json!(""), json!("/etc"), json!("etc")] {
        let (status, text) = read(&plane, json!({"path": "hosts", "workspace_root": root}));
        assert_eq!(status, 403);
        assert!(
            text.starts_with("Workspace root escapes trust boundary"),
            "{text}"
        );
        assert!(text.contains("DETRIX_WORKSPACE_ROOT"), "{text}");
    }
}

#[test]
fn a_configured_root_of_everything_has_no_files_of_the_kernel() {
    let plane = Plane::start(Fake::with(Some(Path::new("/")), &[]));
    let file = workspace();
    let path = file.0.join("space/empty");
    assert_eq!(read(&plane, json!({"path": path})), ok(""));
    for path in [
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/self/maps",
        "/proc/thread-self/status",
        "/dev/zero",
        "/dev/null",
        "/proc/self/fd/0",
    ] {
        assert_eq!(read(&plane, json!({"path": path})).0, 404, "{path}");
    }
}

#[test]
fn a_root_that_is_no_directory_is_told() {
    let scratch = workspace();
    for root in ["nothing", "secret"] {
        let plane = Plane::start(Fake::with(Some(&scratch.0.join(root)), &[]));
        let (status, text) = read(&plane, json!({"path": "x"}));
        assert_eq!(status, 500);
        assert!(text.contains("DETRIX_WORKSPACE_ROOT"), "{text}");
    }
}

#[test]
fn bodies_that_ask_for_nothing() {
    let plane = Plane::start(Fake::default());
    for (body, expected) in [
        ("", "Invalid JSON body"),
        ("{", "Invalid JSON body"),
        ("path=x", "Invalid JSON body"),
        ("\u{0}", "Invalid JSON body"),
        ("{}", "Missing or empty 'path' field"),
        ("[]", "Missing or empty 'path' field"),
        ("null", "Missing or empty 'path' field"),
        (r#"{"path": ""}"#, "Missing or empty 'path' field"),
        (r#"{"path": null}"#, "Missing or empty 'path' field"),
        (r#"{"path": ["x"]}"#, "Missing or empty 'path' field"),
    ] {
        let answer = plane.post("/detrix/files/read", body);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (400, expected),
            "{body}"
        );
    }
    let deep = "[".repeat(60_000);
    assert_eq!(plane.post("/detrix/files/read", deep).status, 400);
}

#[test]
fn sizes() {
    let scratch = Scratch::new();
    let longest = usize::try_from(LONGEST).unwrap();
    let bytes: Vec<u8> = (0..longest).map(|at| (at % 251) as u8).collect();
    scratch.write("longest", &bytes);
    scratch.write("longer", [&bytes[..], b"x"].concat());
    let plane = Plane::start(Fake::with(Some(&scratch.0), &[]));
    let answer = plane.post("/detrix/files/read", r#"{"path": "longest"}"#);
    assert_eq!(answer.status, 200);
    assert!(answer.body == bytes, "the bytes as they are");
    assert_eq!(read(&plane, json!({"path": "longer"})).0, 413);
}

#[test]
fn a_file_that_shrinks_meanwhile_breaks_the_answer_off() {
    let scratch = Scratch::new();
    let path = scratch.write("file", vec![b'x'; usize::try_from(LONGEST).unwrap()]);
    let plane = Plane::start(Fake::with(Some(&scratch.0), &[]));
    let mut client = plane.connect();
    client.send(plane.posting("/detrix/files/read", "", r#"{"path": "file"}"#));
    let mut first = [0; 64];
    client.0.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200 "));
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(1)
        .unwrap();
    let mut rest = Vec::new();
    let _ = client.0.read_to_end(&mut rest);
    assert!(rest.len() < usize::try_from(LONGEST).unwrap());
}

/// A thread that does something over and over until it is dropped.
struct Disturber {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Disturber {
    fn new(mut turn: impl FnMut(u32) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                turn(count);
                count = count.wrapping_add(1);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Disturber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Replaces `link` by one to `target`, at once.
fn relink(link: &Path, target: &str) {
    let next = link.with_extension("next");
    let _ = std::fs::remove_file(&next);
    std::os::unix::fs::symlink(target, &next).unwrap();
    std::fs::rename(&next, link).unwrap();
}

/// While links and directories change under way, no way ever leads out.
#[test]
fn no_race_leads_out() {
    const ROUNDS: usize = 3000;
    type Open = fn(&Root, &Path) -> Result<(File, u64), Denied>;
    let ways: [Open; 2] = [
        |root, path| root.file(path),
        |root, path| open_file(root.walk(path)?.as_fd(), path),
    ];
    let scratch = Scratch::new();
    scratch.write("outside/text", "secret");
    scratch.write("space/inside/text", "public");
    scratch.write("space/a/b/text", "public");
    scratch.link("space/link", "inside");
    scratch.link("space/file", "inside/text");
    let space = scratch.0.join("space");
    let (link, file) = (space.join("link"), space.join("file"));
    let absolute = scratch.0.join("outside").to_str().unwrap().to_owned();
    let _links = Disturber::new(move |turn| {
        let target = ["inside", "../outside", absolute.as_str()];
        let target = target[turn as usize % 3];
        relink(&link, target);
        relink(&file, &format!("{target}/text"));
    });
    let (here, there) = (space.join("a/b"), scratch.0.join("outside/b"));
    // A directory that is moved out while somebody is in it: its parent is another one then.
    let _moves = Disturber::new(move |_| {
        std::fs::rename(&here, &there).unwrap();
        std::fs::rename(&there, &here).unwrap();
    });
    let root = Root::open(&space).unwrap();
    let mut found = 0;
    for round in 0..ROUNDS {
        for path in ["link/text", "file", "a/b/../text", "a/b/../../inside/text"] {
            let opened = ways[round % 2](&root, Path::new(path));
            if let Ok((mut file, _)) = opened {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "public", "{path}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "nothing was ever found");
}

mod any_path {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a path is made of, both ways agree, and neither leads to the secret.
        #[test]
        fn leads_to_the_same_by_both_ways(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "..", ".", "", "src", "main.rs", "file", "directory", "up", "round", "absolute",
                    "absolute_directory", "out", "absolute_out", "out_directory", "root", "loop",
                    "secret", "space", "crates", "one", "lib.rs", "empty", "fifo",
                ]),
                1..7,
            )
        ) {
            thread_local!(static SPACE: (Scratch, Root) = {
                let scratch = workspace();
                let root = Root::open(&scratch.0.join("space")).unwrap();
                (scratch, root)
            });
            let path = parts.join("/");
            SPACE.with(|(_, root)| {
                let text = |opened: Result<(File, u64), Denied>| {
                    opened.map(|(mut file, _)| {
                        let mut text = String::new();
                        file.read_to_string(&mut text).unwrap();
                        text
                    })
                };
                let path = Path::new(&path);
                let file = text(root.file(path));
                prop_assert_ne!(&file, &Ok("secret".to_owned()));
                let walked = root.relative(path).and_then(|path| root.walk(&path));
                let walked = text(walked.and_then(|found| open_file(found.as_fd(), path)));
                // Only the kernel minds a slash at the end of a file.
                if !parts.last().is_some_and(|last| last.is_empty() || *last == ".") {
                    prop_assert_eq!(file, walked);
                }
                Ok(())
            })?;
        }
    }
}

#[test]
fn another_user_needs_the_token() {
    let scratch = Scratch::new();
    scratch.write("file", "text");
    let plane = Plane::start(Fake::with(Some(&scratch.0), &[]));
    plane.service.0.strangers.store(true, Ordering::Relaxed);
    let request = json!({"path": "file"}).to_string();
    let refused = plane.post("/detrix/files/read", request.clone());
    assert_eq!(refused.status, 401);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let answer = plane
        .connect()
        .ask(plane.posting("/detrix/files/read", &token, &request));
    assert_eq!(answer.status, 200);
    // All else is as it is for everybody on this machine.
    assert_eq!(plane.get("/detrix/status").status, 200);
}
