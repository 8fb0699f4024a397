//! Row 11: system calls that block while sites come and go.

use detrix_test_support::{Running, Session, mark, skip, source, until};

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
    let calls = ended(&mut program);
    assert!(calls.iter().all(|ended| *ended > 0), "{calls:?}");
    assert!(seen > 0);
    figure(11, "kinds of blocking calls", calls.len());
    figure(
        11,
        "calls, none of which was interrupted",
        calls.iter().sum::<u64>(),
    );
    figure(11, "times that sites came and went", rounds);
    figure(11, "hits meanwhile", seen);
    program.quit();
}

#[test]
fn row_11_no_call_ends_early_when_a_program_that_runs_is_continued() {
    // Of a call whose timeout cannot be changed from outside, one tracer restarts so many in a row.
    const IN_A_ROW: u32 = 12;
    let file = source("hot.rs");
    let line = mark(&file, "hot");
    let mut program = unbounded("blocking");
    let mut session = Session::attach(program.port());
    program.run("block");
    let rounds = times(2, 40);
    for _ in 0..rounds {
        session.logpoint(&file, line, "hit");
        for _ in 0..IN_A_ROW {
            let before = ended(&mut program);
            program.process().signal(libc::SIGCONT);
            until("a call of each kind has come to its end since", || {
                let now = ended(&mut program);
                now.iter().zip(&before).all(|(now, before)| now > before)
            });
        }
        session.logpoints(&file, &[]);
        until("nothing is traced", || {
            program.process().tracers().is_empty()
        });
    }
    figure(11, "times that SIGCONT was sent", rounds * IN_A_ROW);
    session.disconnect();
    program.quit();
}

/// How many calls of each kind have ended, none of them early.
fn ended(program: &mut Running) -> Vec<u64> {
    let tallies = program.run("tallies");
    assert!(tallies.len() >= 11, "{tallies:#?}");
    let ended = tallies.iter().map(|tally| {
        let words: Vec<&str> = tally.split(' ').collect();
        let [_, "ended", ended, "interrupted", "0", "other", "0"] = words[..] else {
            panic!("{tallies:#?}");
        };
        ended.parse().expect("a number")
    });
    ended.collect()
}
