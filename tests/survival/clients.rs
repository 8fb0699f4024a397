//! Row 3: clients that behave badly; the program and the other clients do not notice.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use detrix_test_support::{Profile, Running, Session, mark, request, reset, source, until};
use serde_json::{Value, json};

use crate::world::{figure, times};

fn orders() -> (Running, u16, PathBuf, u32) {
    let mut program = Running::start("orders", Profile::Release);
    let port = program.port();
    let file = source("bin/orders.rs");
    let line = mark(&file, "price");
    (program, port, file, line)
}

#[test]
fn row_03_many_clients_at_once_get_their_own() {
    let (mut program, port, file, line) = orders();
    let before = program.process().text();
    let mut sessions: Vec<Session> = (0..32).map(|_| Session::attach(port)).collect();
    for (index, session) in sessions.iter_mut().enumerate() {
        session.logpoint(&file, line, &format!("{index} {{order.id}}"));
    }
    program.run("go 3");
    for (index, session) in sessions.iter_mut().enumerate() {
        for order in 0..3 {
            assert_eq!(session.output().text, format!("{index} {order}"));
        }
        assert_eq!(session.drain(), [], "only its own");
    }
    // One half says goodbye, the other does not.
    for (index, session) in sessions.into_iter().enumerate() {
        if index % 2 == 0 {
            session.disconnect();
        }
    }
    until("the text is restored", || {
        program.process().text() == before
    });
    program.quit();
}

#[test]
fn row_03_a_client_that_never_reads_costs_neither_memory_nor_the_others() {
    let (mut program, port, file, line) = orders();
    let mut good = Session::attach(port);
    good.logpoint(&file, line, "good {order.id}");
    let mut silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
    let path = file.to_str().expect("UTF-8");
    let breakpoints = json!([{ "line": line, "logMessage": "x".repeat(10_000) }]);
    let set = json!({ "source": { "path": path }, "breakpoints": breakpoints });
    for (seq, (command, arguments)) in (1..).zip([
        ("initialize", json!({})),
        ("attach", json!({})),
        ("setBreakpoints", set),
    ]) {
        silent
            .write_all(&request(seq, command, &arguments))
            .expect("the server reads");
    }
    program.run("fire");
    good.outputs(100);
    let before = program.process().private_memory();
    // Some 30 MB for the silent one, were it kept.
    for output in good.outputs(3_000) {
        assert!(output.text.starts_with("good "), "{output:?}");
    }
    let grown = program.process().private_memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB more", grown >> 10);
    reset(silent);
    good.disconnect();
    program.quit();
}

#[test]
fn row_03_half_a_frame_holds_nobody_up() {
    let (mut program, port, file, line) = orders();
    let halves: Vec<TcpStream> = (0..8)
        .map(|cut| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
            let frame = request(1, "initialize", &json!({}));
            stream
                .write_all(&frame[..frame.len() * cut / 8])
                .expect("the server reads");
            stream
        })
        .collect();
    let mut session = Session::attach(port);
    session.logpoint(&file, line, "{order.id}");
    program.run("go 1");
    assert_eq!(session.output().text, "0");
    drop(halves);
    program.run("go 1");
    assert_eq!(session.output().text, "0");
    session.disconnect();
    program.quit();
}

#[test]
fn row_03_a_reset_in_the_middle_of_a_request_leaves_nothing() {
    let (mut program, port, file, line) = orders();
    let before = program.process().text();
    program.run("fire");
    let path = file.to_str().expect("UTF-8");
    let breakpoints: Vec<Value> = (line - 20..line + 20)
        .map(|line| json!({ "line": line, "logMessage": "{nobody} or not" }))
        .chain([json!({ "line": line, "logMessage": "{order.id}" })])
        .collect();
    let set = json!({ "source": { "path": path }, "breakpoints": breakpoints });
    let rounds = 20 * times(1, 25) as usize;
    for round in 0..rounds {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        let mut bytes = request(1, "initialize", &json!({}));
        bytes.extend(request(2, "attach", &json!({})));
        bytes.extend(request(3, "setBreakpoints", &set));
        // In all of it, and behind it: the server works at the last request while the connection goes.
        let cut = bytes.len() * (round % 20 + 1) / 20;
        stream.write_all(&bytes[..cut]).expect("the server reads");
        reset(stream);
    }
    until("the text is restored", || {
        program.process().text() == before
    });
    let mut session = Session::attach(port);
    session.logpoint(&file, line, "{order.id}");
    session.output();
    session.disconnect();
    assert!(program.process().text() == before);
    program.quit();
}

#[test]
fn row_03_many_connections_leave_nothing() {
    let (mut program, port, file, line) = orders();
    drop(Session::attach(port));
    until("the first one is gone", || {
        Session::attach(port).disconnect();
        true
    });
    let before = program.process().descriptors();
    let count = times(200, 1_000);
    for index in 0..count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        match index % 4 {
            0 => drop(stream),
            1 => reset(stream),
            2 => {
                // The server may have closed it already, when too many are there.
                let _ = stream.write_all(&request(1, "initialize", &json!({})));
            }
            _ => {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
            }
        }
    }
    until("all of them are gone", || {
        program.process().descriptors() <= before
    });
    let mut session = Session::attach(port);
    session.logpoint(&file, line, "{order.id}");
    program.run("go 1");
    assert_eq!(session.output().text, "0");
    assert!(session.try_output(Duration::ZERO).is_none());
    session.disconnect();
    program.quit();
    figure(3, "connections that came and went", count);
}

#[test]
fn row_03_clients_that_vanish_in_the_middle_of_hits() {
    let (mut program, port, file, line) = orders();
    let mut good = Session::attach(port);
    // Some of its hits: it has to read all that comes while the other one is served, and that would grow with each.
    let wanted = json!([{ "line": line, "logMessage": "good {order.id}", "hitCondition": "% 50" }]);
    assert!(good.breakpoints(&file, &wanted)[0].verified);
    for _ in 0..3 {
        program.run("fire");
    }
    good.outputs(10);
    let with_one = program.process().text();
    let path = file.to_str().expect("UTF-8");
    let breakpoints = json!([
        { "line": line, "logMessage": "bad {order.id}" },
        { "line": mark(&file, "after price"), "logMessage": "bad" }
    ]);
    let set = json!({ "source": { "path": path }, "breakpoints": breakpoints });
    let (clients, mut memory) = (times(12, 100), 0);
    // Those whose machine went without a word: their connections stay open until the end.
    let mut half_open = Vec::new();
    for client in 0..clients {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        let mut bytes = Vec::new();
        for (seq, (command, arguments)) in (1..).zip([
            ("initialize", json!({})),
            ("attach", json!({})),
            ("setBreakpoints", set.clone()),
        ]) {
            bytes.extend(request(seq, command, &arguments));
        }
        stream.write_all(&bytes).expect("the server reads");
        // Until its own hits come.
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("bad ") {
            let mut chunk = [0; 4096];
            let length = std::io::Read::read(&mut stream, &mut chunk).expect("the server writes");
            assert!(length > 0, "the server hung up");
            seen.extend_from_slice(&chunk[..length]);
        }
        match client % 3 {
            0 => drop(stream),
            1 => reset(stream),
            _ if half_open.len() < 8 => half_open.push(stream),
            _ => {
                // Garbage, in the middle of its hits.
                let _ = stream.write_all(b"Content-Length: 99999999999999999999\r\n\r\n{]");
            }
        }
        for output in good.drain() {
            assert!(output.text.starts_with("good "), "{output:?}");
        }
        if client == clients / 2 {
            memory = program.process().private_memory();
        }
    }
    let grown = program.process().private_memory().saturating_sub(memory);
    assert!(grown < 16 << 20, "{} KiB more", grown >> 10);
    drop(half_open);
    until("only the sites of who is left are there", || {
        program.process().text() == with_one
    });
    good.drain();
    assert!(good.output().text.starts_with("good "));
    drop(good);
    figure(3, "clients that vanished in the middle of hits", clients);
    figure(3, "KiB that the second half of them cost", grown >> 10);
}
