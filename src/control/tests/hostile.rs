//! Clients that do not want to be served.

use std::collections::VecDeque;
use std::net::Shutdown;

use super::super::limits;
use super::*;

#[test]
fn what_is_no_http_is_refused_and_the_next_is_served() {
    let plane = Plane::start(Fake::default());
    let host = plane.address;
    for (bytes, status) in [
        (b"\0\0\0\0\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(), 400),
        (b"GET\r\n\r\n".to_vec(), 400),
        (b"GET /detrix/health HTTP/9.9\r\n\r\n".to_vec(), 400),
        (format!("GET /detrix/status HTTP/1.1\r\nHost: {host}\r\n broken\r\n\r\n").into_bytes(), 400),
        (format!("GET /detrix/status HTTP/1.1\r\nHost : {host}\r\n\r\n").into_bytes(), 400),
        (
            format!("POST /detrix/wake HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
                .into_bytes(),
            400,
        ),
        (
            format!("POST /detrix/wake HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n").into_bytes(),
            400,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "x".repeat(2 * limits::HEAD)).into_bytes(),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(2 * limits::HEAD)).into_bytes(),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X: y\r\n".repeat(limits::HEADERS + 1)).into_bytes(),
            431,
        ),
    ] {
        let mut client = plane.connect();
        client.send(&bytes);
        let answer = client.try_answer();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(answer.as_ref().map(|answer| answer.status), Some(status), "{shown}");
        assert!(answer.unwrap().body.is_empty(), "{shown}");
        assert!(client.is_closed(), "{shown}");
    }
    assert!(plane.service.wakes().is_empty());
    assert_eq!(plane.get("/detrix/health").status, 200);
}

#[test]
fn bodies_beyond_the_limit_are_refused() {
    let plane = Plane::start(Fake::default());
    for path in ["/detrix/wake", "/detrix/files/read"] {
        let body = vec![b' '; limits::BODY + 1];
        assert_eq!(plane.post(path, &body).status, 413, "{path}");
        let fits = plane.post(path, &body[1..]);
        assert_ne!(fits.status, 413, "{path}");
        // Announced, and never sent.
        let announced = format!(
            "{}Content-Length: 99999999999999999\r\n\r\n",
            plane.head("POST", path)
        );
        assert_eq!(plane.connect().ask(announced).status, 413, "{path}");
        // Without end.
        let mut client = plane.connect();
        client.send(format!(
            "{}Transfer-Encoding: chunked\r\n\r\n",
            plane.head("POST", path)
        ));
        for _ in 0..=limits::BODY / 0x1000 {
            client.send(format!("1000\r\n{}\r\n", " ".repeat(0x1000)));
        }
        assert_eq!(client.answer().status, 413, "{path}");
    }
}

#[test]
fn a_damaged_body_is_told() {
    let plane = Plane::start(Fake::default());
    for path in ["/detrix/wake", "/detrix/files/read"] {
        let head = plane.head("POST", path);
        let damaged = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
        assert_eq!(plane.connect().ask(damaged).status, 400, "{path}");
    }
    assert!(plane.service.wakes().is_empty());
}

#[test]
fn another_version_of_http_is_not_spoken() {
    let plane = Plane::start(Fake::default());
    let mut client = plane.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(client.is_closed());
}

#[test]
fn nobody_is_waited_for_without_end() {
    let plane = Plane::start_in_a_hurry(Fake::default());
    for head in ["", "GET", "GET /detrix/health HTTP/1.1\r\nHost: x\r\n"] {
        let mut client = plane.connect();
        client.send(head);
        assert!(client.is_closed(), "{head}");
    }
    // Between two requests as well. See `insist`.
    let request = format!("{}\r\n", plane.head("GET", "/detrix/health"));
    let mut between = loop {
        let mut client = plane.connect();
        client.send(&request);
        if client.try_answer().is_some() {
            break client;
        }
    };
    assert!(between.is_closed());
    for path in ["/detrix/wake", "/detrix/files/read"] {
        let head = plane.head("POST", path);
        let answer = plane.insist(format!("{head}Content-Length: 9\r\n\r\n{{"));
        assert_eq!(answer.status, 408, "{path}");
    }
    assert!(plane.service.wakes().is_empty());
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let scratch = Scratch::new();
    let size = 10 << 20;
    scratch.write("big", vec![b'x'; size]);
    let plane = Plane::start_in_a_hurry(Fake::with(Some(&scratch.0), &[]));
    let request = plane.posting("/detrix/files/read", "", r#"{"path": "big"}"#);
    let mut head = [0; 16];
    // See `insist`.
    let mut client = loop {
        let mut client = plane.connect();
        client.send(&request);
        // Past the buffer: what it has taken it need not be sent.
        if client.0.get_mut().read_exact(&mut head).is_ok() {
            break client;
        }
    };
    assert!(head.starts_with(b"HTTP/1.1 200 OK"));
    // Patience with these ends after that with the other one.
    for _ in 0..2 {
        assert!(plane.connect().is_closed());
    }
    let mut taken = Vec::new();
    let _ = client.0.read_to_end(&mut taken);
    assert!(taken.len() < size, "{} were sent", taken.len());
}

#[test]
fn requests_come_in_one_piece_or_in_many() {
    let plane = Plane::start(Fake::default());
    // Pipelined, with a body in between.
    let mut client = plane.connect();
    let mut requests = format!("{}\r\n", plane.head("GET", "/detrix/health")).into_bytes();
    requests.extend(plane.posting("/detrix/wake", "", r#"{"daemon_url": "http://d"}"#));
    requests.extend(format!("{}\r\n", plane.head("GET", "/nothing")).into_bytes());
    requests.extend(format!("{}\r\n", plane.head("GET", "/detrix/status")).into_bytes());
    client.send(requests);
    let statuses = [(); 4].map(|()| client.answer().status);
    assert_eq!(statuses, [200, 200, 404, 200]);
    // Byte by byte, over the same connection.
    for byte in plane.posting("/detrix/wake", "Connection: close\r\n", "{}") {
        client.send([byte]);
    }
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
    assert_eq!(plane.service.wakes().len(), 2);
}

#[test]
fn a_refused_body_is_not_taken_for_a_request() {
    let plane = Plane::start(Fake::default());
    let smuggled = format!("{}\r\n", plane.head("POST", "/detrix/sleep"));
    let request = format!(
        "POST /detrix/wake HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    let mut client = plane.connect();
    assert_eq!(client.ask(request).status, 401);
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    let plane = Plane::start(Fake::default());
    let begins = plane.service.hold();
    let mut client = plane.connect();
    client.send(plane.posting("/detrix/wake", "", ""));
    client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    // Meanwhile it is seen that nothing more will come.
    assert_eq!(plane.get("/detrix/health").status, 200);
    plane.service.release();
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_thousand_connections_keep_nobody_out() {
    let plane = Plane::start(Fake::default());
    let mut first = plane.connect();
    first.send("GET /");
    let mut held = VecDeque::new();
    for _ in 0..1000 {
        held.push_back(plane.connect());
        // As many as one process may well have open.
        if held.len() > 2 * limits::CONNECTIONS {
            held.pop_front();
        }
    }
    assert_eq!(plane.get("/detrix/status").status, 200);
    assert!(first.is_closed(), "the oldest has to go");
}

#[test]
fn requests_that_are_answered_are_not_given_up_for_new_ones() {
    let plane = Plane::start(Fake::default());
    let begins = plane.service.hold();
    let mut waking = Vec::new();
    for _ in 0..limits::CONNECTIONS {
        let mut client = plane.connect();
        client.send(plane.posting("/detrix/wake", "", ""));
        begins.recv_timeout(PATIENCE).unwrap();
        waking.push(client);
    }
    assert!(plane.connect().is_closed(), "there is no seat");
    plane.service.release();
    for mut client in waking {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(plane.get("/detrix/status").status, 200);
}
