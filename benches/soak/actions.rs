//! What is done to the program, and to who debugs it.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};

use detrix_test_support::{Process, Random, Session, mark, request, reset, source, until};
use serde_json::{Value, json};

use crate::clients::Client;
use crate::life::Life;

type Action = fn(&mut Life<'_>);
type End = fn(Life<'_>);

/// How many clients there are at once, those that say nothing more included.
const CLIENTS: usize = 4;

/// How often each is done, in comparison.
const ACTIONS: &[(u64, &str, Action)] = &[
    (30, "sets", set),
    (8, "attaches", attach),
    (4, "disconnects", disconnect),
    (4, "vanishes", vanish),
    (4, "bursts of garbage", garbage),
    (3, "half-open connections", half_open),
    (2, "floods of connections", flood),
    (6, "kills of the tracer", kill),
    (4, "sleeps", sleep),
    (4, "stops", stop),
    (4, "masked threads", masked),
    (8, "looks at the workers", |life| life.goes_on()),
    (4, "looks at the status", status),
];

const ENDS: &[(&str, End)] = &[
    ("ends by quit", quit),
    ("ends by quit, asleep", quit_asleep),
    ("ends by shutdown", shutdown),
    ("ends by abort", abort),
    ("ends by SIGKILL", killed),
    ("ends by exec", exec),
];

/// What is done next.
pub fn any(random: &mut Random) -> (&'static str, Action) {
    let total = ACTIONS.iter().map(|(weight, ..)| weight).sum();
    let mut chosen = random.below(total);
    for (weight, name, action) in ACTIONS {
        if chosen < *weight {
            return (name, *action);
        }
        chosen -= weight;
    }
    unreachable!("it is below the sum of the weights")
}

/// How the program ends.
pub fn any_end(random: &mut Random) -> (&'static str, End) {
    *random.choose(ENDS)
}

fn attach(life: &mut Life<'_>) {
    if life.clients.len() < CLIENTS {
        life.clients.push(Client::attach(life.port));
    }
}

/// The position of one of the clients; one attaches where there is none.
fn any_client(life: &mut Life<'_>) -> usize {
    if life.clients.is_empty() {
        attach(life);
    }
    life.random.below(life.clients.len() as u64) as usize
}

fn set(life: &mut Life<'_>) {
    let client = any_client(life);
    life.clients[client].set(life.random, life.figures);
}

fn disconnect(life: &mut Life<'_>) {
    let client = any_client(life);
    life.clients.swap_remove(client).disconnect();
}

/// Without a word.
fn vanish(life: &mut Life<'_>) {
    let client = any_client(life);
    drop(life.clients.swap_remove(client));
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .unwrap_or_else(|error| panic!("connect to {port}: {error}"))
}

/// A few bytes of anything, or a request cut off, to one of the two ports. The server may hang up while it is being sent.
fn garbage(life: &mut Life<'_>) {
    let control = life.program.number("status", "control_port");
    let control = u16::try_from(control).expect("a port");
    let port = *life.random.choose(&[life.port, control]);
    let mut bytes: Vec<u8> = (0..life.random.below(400))
        .map(|_| life.random.below(256) as u8)
        .collect();
    if life.random.below(2) == 0 {
        let mut request = request(1, "setBreakpoints", &json!({ "source": {}, "lines": [1] }));
        request.truncate(life.random.below(request.len() as u64) as usize);
        request.append(&mut bytes);
        bytes = request;
    }
    let _ = connect(port).write_all(&bytes);
}

/// Sets a logpoint and is never heard of again, but does not close its connection.
fn half_open(life: &mut Life<'_>) {
    if life.strays.len() == CLIENTS {
        life.strays.remove(0);
    }
    let file = source("hot.rs");
    let breakpoints = json!([{ "line": mark(&file, "hot"), "logMessage": "{index}" }]);
    let set = json!({ "source": { "path": file }, "breakpoints": breakpoints });
    let mut stream = connect(life.port);
    for bytes in [
        request(1, "initialize", &json!({})),
        request(1, "attach", &json!({})),
        request(1, "setBreakpoints", &set),
    ] {
        stream.write_all(&bytes).expect("the server reads");
    }
    life.strays.push(stream);
}

/// Connections that are closed or reset at once.
fn flood(life: &mut Life<'_>) {
    for index in 0..20 {
        let stream = connect(life.port);
        if index % 2 == 0 {
            reset(stream);
        }
    }
}

/// Whatever the tracer does just now. Clients are told, and the code is restored; unless it was one that was about to go
/// since there is another.
fn kill(life: &mut Life<'_>) {
    for _ in 0..life.random.below(100_000) {
        std::hint::spin_loop();
    }
    let Some(tracer) = life.tracer() else { return };
    if tracer.try_signal(libc::SIGKILL).is_err() {
        // It has just gone by itself.
        return;
    }
    until("the tracer is gone", || !tracer.lives());
    life.figures.count("tracers killed");
    let mut left = Vec::new();
    for (index, client) in life.clients.iter_mut().enumerate() {
        if client.loses() {
            left.push(index);
        }
    }
    let lost = !left.is_empty();
    let has_another = |life: &Life<'_>| life.tracer().is_some();
    until("clients are told, or traced by another", || {
        left.retain(|index| !life.clients[*index].is_told());
        left.is_empty() || has_another(life)
    });
    until("the status tells, or it is traced by another", || {
        !lost || life.trouble().contains("logpoints are gone") || has_another(life)
    });
    until("the code is as it was, or traced by another", || {
        life.is_whole() || has_another(life)
    });
}

fn sleep(life: &mut Life<'_>) {
    life.sleeps();
    life.goes_on();
    life.port = life.program.wake();
    assert_eq!(life.trouble(), "", "forgotten by a new wake");
}

/// By SIGSTOP, for as long as it takes to be seen.
fn stop(life: &mut Life<'_>) {
    life.goes_on();
    life.program.run("stops");
    let process = life.program.process();
    process.signal(libc::SIGSTOP);
    until("all of it is stopped", || process.all_stopped());
    process.signal(libc::SIGCONT);
    life.goes_on();
    life.program.run("stopped");
}

/// A thread that blocks every signal hits; the tracer is there all the while.
fn masked(life: &mut Life<'_>) {
    let file = source("bin/soak/masked.rs");
    let mut session = Session::attach(life.port);
    session.logpoint(&file, mark(&file, "masked"), "masked {index}");
    let printed = life.program.run("masked 20");
    assert_eq!(printed, ["masked (true, true)"]);
    session.disconnect();
}

fn status(life: &mut Life<'_>) {
    let totals = life.program.ask("status", "totals");
    let totals: Value = serde_json::from_str(&totals).expect("the totals are JSON");
    let [hits, logged, dropped] = ["hits", "logged", "dropped"].map(|name| totals[name].as_u64());
    let told = logged
        .zip(dropped)
        .map(|(logged, dropped)| logged + dropped);
    assert!(told.is_some() && told <= hits, "{totals}");
}

/// Whoever traced it is gone with it.
fn ended(tracer: Option<Process>) {
    if let Some(tracer) = tracer {
        until("the tracer is gone", || !tracer.lives());
    }
}

fn quit(mut life: Life<'_>) {
    let tracer = life.tracer();
    let printed = life.program.run("cease");
    assert!(
        !printed.iter().any(|line| line.starts_with("wrong")),
        "{printed:?}"
    );
    life.program.send("quit");
    let (_, status) = life.program.end();
    assert!(status.success(), "{status}");
    ended(tracer);
}

fn quit_asleep(mut life: Life<'_>) {
    life.sleeps();
    quit(life);
}

fn shutdown(mut life: Life<'_>) {
    life.program.run("shutdown");
    assert!(life.is_whole(), "its code is not as it was");
    quit(life);
}

fn abort(mut life: Life<'_>) {
    let tracer = life.tracer();
    life.program.send("abort");
    life.program.end();
    assert_eq!(life.program.killed_by(), Some(libc::SIGABRT));
    ended(tracer);
}

fn killed(mut life: Life<'_>) {
    let tracer = life.tracer();
    life.program.process().signal(libc::SIGKILL);
    life.program.end();
    assert_eq!(life.program.killed_by(), Some(libc::SIGKILL));
    ended(tracer);
}

fn exec(mut life: Life<'_>) {
    let tracer = life.tracer();
    life.program.send("exec");
    let (_, status) = life.program.end();
    assert_eq!(status.code(), Some(9), "{status}");
    ended(tracer);
}
