use super::*;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn list(entries: &[&str]) -> Allow {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    Allow::parse(&entries).unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_own_user_is_served_over_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    let user = nix::unistd::geteuid().as_raw();
    let permitted = list(&[]).permits(peer, server.local_addr().unwrap());
    assert_eq!(permitted, Ok(Some(user)));
}

#[test]
fn nobody_but_root_is_trusted_with_privileges_that_were_gained_or_lent() {
    const GROUP: [u32; 3] = [100; 3];
    assert_eq!(may_read([1000; 3], GROUP, true), Some(1000));
    for users in [
        // A set-user-ID program, one that goes back to its caller for a while, and a server that takes a user on.
        [1000, 0, 0],
        [1000, 1000, 0],
        [0, 1000, 0],
        [1000, 1001, 1001],
    ] {
        assert_eq!(may_read(users, GROUP, true), None, "{users:?}");
    }
    assert_eq!(may_read([1000; 3], [100, 42, 42], true), None);
    assert_eq!(may_read([1000; 3], GROUP, false), None);
}

#[test]
fn networks_are_what_is_listed() {
    let local = address("10.0.0.1:1");
    let far = address("10.0.0.7:5000");
    assert_eq!(list(&["10.0.0.0/24"]).permits(far, local), Ok(None));
    let mapped = address("[::ffff:10.0.0.7]:5000");
    assert_eq!(list(&["10.0.0.0/24"]).permits(mapped, local), Ok(None));
    let refused = list(&["10.0.1.0/24", "uid:0"]).permits(mapped, local);
    assert_eq!(refused, Err(Refusal::Network(far.ip())));
    // Nobody is there.
    let (gone, local) = (address("127.0.0.1:1"), address("127.0.0.1:2"));
    assert_eq!(list(&[]).permits(gone, local), Err(Refusal::Gone));
    assert_eq!(list(&["127.0.0.0/8"]).permits(gone, local), Ok(None));
}

#[test]
fn another_user_is_refused_unless_listed() {
    const OTHER: u32 = 12345;
    if !nix::unistd::geteuid().is_root() {
        detrix_test_support::skip("another_user_is_refused_unless_listed");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    // The connection stays open until its standard input is closed.
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; echo there; read",
        local.port()
    );
    let mut other = Command::new("bash")
        .args(["-c", &script])
        .uid(OTHER)
        .gid(OTHER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (_server, peer) = listener.accept().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(other.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "there\n");
    assert_eq!(list(&[]).permits(peer, local), Err(Refusal::User(OTHER)));
    assert_eq!(
        list(&["uid:12346"]).permits(peer, local),
        Err(Refusal::User(OTHER))
    );
    assert_eq!(list(&["uid:12345"]).permits(peer, local), Ok(Some(OTHER)));
    assert_eq!(list(&["127.0.0.1"]).permits(peer, local), Ok(None));
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn refusals_are_counted_and_logged_once_a_second() {
    let start = Instant::now();
    let mut refusals = Refusals::default();
    assert_eq!(refusals.add(start), Some(1));
    assert_eq!(refusals.add(start), None);
    assert_eq!(refusals.add(start + LOG_EVERY / 2), None);
    assert_eq!(refusals.add(start + LOG_EVERY), Some(4));
}
