//! Row 11: system calls that block while sites come and go.

use detrix_test_support::{Session, mark, skip, source, until};

use crate::world::{figure, hits, times, tracer, unbounded};

#[test]
fn row_11_no_call_ends_early_while_sites_come_and_go() {
    let file = source("hot.rs");
    let line = mark(&file, "hot");
    let mut program = unbounded("blocking");
    let mut session = Session::attach(program.port());
    for refused in program.run("block") {
        assert!(refused.starts_with("refused io_uring_enter"), "{refused}");
        println!("{refused}");
        skip("row_11_io_uring_enter");
    }
    program.run("fire 2");
    let (rounds, mut seen) = (times(40, 2_000), 0);
    for round in 0..rounds {
        session.logpoint(&file, line, "hit");
        session.outputs(2);
        match round % 10 {
            7 => {
                tracer(&program).signal(libc::SIGKILL);
                session.expect_event("breakpoint");
            }
            8 => {
                session.logpoints(&file, &[]);
                until("nothing is traced", || {
                    program.process().tracers().is_empty()
                });
            }
            9 => {
                seen += hits(&mut program);
                program.run("sleep");
                session = Session::attach(program.wake());
            }
            _ => drop(session.logpoints(&file, &[])),
        }
    }
    program.run("cease");
    let tallies = program.run("tallies");
    let mut calls = 0;
    for tally in &tallies {
        let words: Vec<&str> = tally.split(' ').collect();
        let [_, "ended", ended, "interrupted", "0", "other", "0"] = words[..] else {
            panic!("{tallies:#?}");
        };
        let ended: u64 = ended.parse().expect("a number");
        assert!(ended > 0, "{tallies:#?}");
        calls += ended;
    }
    assert!(tallies.len() >= 11, "{tallies:#?}");
    assert!(seen > 0);
    figure(11, "kinds of blocking calls", tallies.len());
    figure(11, "calls, none of which was interrupted", calls);
    figure(11, "times that sites came and went", rounds);
    figure(11, "hits meanwhile", seen);
    program.quit();
}
