use super::*;
use std::net::{Shutdown, TcpListener, TcpStream};

fn own() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Both ends of a connection, the accepting one first.
fn connected(listen: &str, connect: &str) -> Option<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((listen, 0)).ok()?;
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect((connect, port)).ok()?;
    Some((listener.accept().unwrap().0, client))
}

fn pair(server: &TcpStream) -> Pair {
    Pair {
        from: canonical(server.peer_addr().unwrap()),
        to: canonical(server.local_addr().unwrap()),
    }
}

#[test]
fn both_ways_find_the_user() {
    let mut tried = 0;
    for (listen, connect) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        // The listener takes both families, or the client's socket is of the other one.
        ("::", "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::", "::ffff:127.0.0.1"),
    ] {
        let Some((server, client)) = connected(listen, connect) else {
            println!("no {listen} here");
            continue;
        };
        tried += 1;
        let user = |found: io::Result<Option<Found>>| {
            let found = found.unwrap().unwrap();
            assert_ne!(found.inode, 0);
            found.user
        };
        assert_eq!(user(by_netlink(pair(&server))), own(), "{listen} {connect}");
        assert_eq!(user(by_proc(pair(&server))), own(), "{listen} {connect}");
        let (peer, local) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
        assert_eq!(of_peer(peer, local).unwrap(), Owner::User(own()));
        // Half closed it is still somebody's.
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(of_peer(peer, local).unwrap(), Owner::User(own()));
    }
    assert!(tried >= 2, "IPv4 is there");
}

#[test]
fn what_nobody_holds_is_nobodys() {
    let (server, client) = connected("127.0.0.1", "127.0.0.1").unwrap();
    let (peer, local) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
    drop(client);
    // A child that another test has just forked holds a copy of it until it runs its program.
    let nobody = || of_peer(peer, local).unwrap() == Owner::Nobody;
    detrix_test_support::until("nobody holds it", nobody);
    let by_proc = by_proc(pair(&server)).unwrap();
    assert!(by_proc.is_none_or(|found| found.inode == 0), "{by_proc:?}");
}

#[test]
fn a_listener_is_no_connection() {
    // The kernel gives a listener where there is no connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let far = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(of_peer(local, far).unwrap(), Owner::Nobody);
}

#[test]
fn answers_are_read_to_the_end_only() {
    let pair = Pair {
        from: "127.0.0.1:1000".parse().unwrap(),
        to: "127.0.0.1:2000".parse().unwrap(),
    };
    let mut answer = vec![0; HEADER];
    answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    answer.extend([libc::AF_INET as u8, 1, 0, 0]);
    answer.extend(&request(pair)[HEADER + 8..]);
    answer.extend([0; 12]);
    answer.extend(77_u32.to_ne_bytes());
    answer.extend(5_u32.to_ne_bytes());
    let found = Found { user: 77, inode: 5 };
    assert_eq!(parse_answer(&answer, pair).unwrap(), Some(found));
    for length in 0..answer.len() {
        assert!(parse_answer(&answer[..length], pair).is_err(), "{length}");
    }
    let other = Pair {
        to: "127.0.0.1:2001".parse().unwrap(),
        ..pair
    };
    assert_eq!(parse_answer(&answer, other).unwrap(), None);
    answer[HEADER + 1] = LISTEN;
    assert_eq!(parse_answer(&answer, pair).unwrap(), None);
}

#[test]
fn errors_are_errors_but_for_none_there() {
    let pair = Pair {
        from: "127.0.0.1:1".parse().unwrap(),
        to: "127.0.0.1:2".parse().unwrap(),
    };
    let error = |code: i32| {
        let mut answer = vec![0; HEADER];
        answer[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        answer.extend((-code).to_ne_bytes());
        parse_answer(&answer, pair)
    };
    assert_eq!(error(libc::ENOENT).unwrap(), None);
    assert_eq!(
        error(libc::EPERM).unwrap_err().raw_os_error(),
        Some(libc::EPERM)
    );
}

#[test]
fn rows_of_the_tables() {
    let row = "   3: 0100007F:1F90 0200007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 20";
    let pair = Pair {
        from: "127.0.0.1:8080".parse().unwrap(),
        to: "127.0.0.2:40000".parse().unwrap(),
    };
    let found = Found {
        user: 1000,
        inode: 4711,
    };
    assert_eq!(parse_row(row), Some((pair, found)));
    let end = |text| parse_end(text).unwrap().to_string();
    assert_eq!(end("00000000000000000000000001000000:0001"), "[::1]:1");
    assert_eq!(end("0000000000000000FFFF00000100007F:0001"), "127.0.0.1:1");
    for broken in [
        "",
        "x",
        "1: 0100007F",
        "1: 0100007F:1F90 zz:1 01",
        "1: é00007F:1 0100007F:1",
    ] {
        assert_eq!(parse_row(broken), None, "{broken}");
    }
}
