//! Row 4: what clients do over and over, under fire.

use std::collections::BTreeMap;
use std::path::PathBuf;

use detrix_test_support::{Running, Session, mark, source, until};

use crate::world::{figure, times, unbounded};

/// A program whose threads hit all the time, once it is told where.
struct UnderFire {
    program: Running,
    file: PathBuf,
    line: u32,
    port: u16,
    text: BTreeMap<(String, u64), Vec<u8>>,
    threads: BTreeMap<u32, String>,
}

impl UnderFire {
    fn start() -> Self {
        let file = source("hot.rs");
        let mut program = unbounded("children");
        let port = program.port();
        program.run("fire 3");
        Self {
            line: mark(&file, "hot"),
            file,
            port,
            text: program.process().text(),
            threads: program.process().threads(),
            program,
        }
    }

    /// The text is as before, and every thread is still there and goes on.
    fn ends_as_it_began(mut self) {
        until("the text is as before", || {
            self.program.process().text() == self.text
        });
        until("nothing is traced", || {
            self.program.process().tracers().is_empty()
        });
        until("the threads are those of the beginning", || {
            self.program.process().threads() == self.threads
        });
        let before = self.program.number("fired", "fired");
        until("the program goes on", || {
            self.program.number("fired", "fired") > before
        });
        assert_eq!(self.program.ask("hot 100", "hot"), "5050");
        self.program.run("cease");
        self.program.quit();
    }
}

#[test]
fn row_04_logpoints_are_set_and_removed() {
    let mut under = UnderFire::start();
    let mut session = Session::attach(under.port);
    let cycles = times(150, 10_000);
    for cycle in 0..cycles {
        let message = format!("cycle {cycle}");
        session.logpoint(&under.file, under.line, &message);
        // Nothing of the last cycle, which ended with a round trip.
        assert_eq!(session.output().text, message);
        session.logpoints(&under.file, &[]);
        for late in session.drain() {
            assert_eq!(late.text, message);
        }
    }
    let hits = under.program.ask("status", "totals");
    session.disconnect();
    under.ends_as_it_began();
    figure(4, "times set and removed", cycles);
    figure(4, "numbers of it", hits);
}

#[test]
fn row_04_clients_attach_and_disconnect() {
    let under = UnderFire::start();
    let cycles = times(60, 3_000);
    for cycle in 0..cycles {
        let mut session = Session::attach(under.port);
        let message = format!("client {cycle}");
        session.logpoint(&under.file, under.line, &message);
        assert_eq!(session.output().text, message);
        session.disconnect();
    }
    under.ends_as_it_began();
    figure(4, "clients that set one and disconnected", cycles);
}

#[test]
fn row_04_the_program_wakes_and_sleeps() {
    let mut under = UnderFire::start();
    under.program.run("sleep");
    under.port = under.program.wake();
    let cycles = times(15, 1_000);
    for cycle in 0..cycles {
        let mut session = Session::attach(under.port);
        let message = format!("wake {cycle}");
        session.logpoint(&under.file, under.line, &message);
        assert_eq!(session.output().text, message);
        under.program.run("sleep");
        if cycle % 100 == 0 {
            assert!(under.program.process().text() == under.text);
        }
        under.port = under.program.wake();
    }
    under.ends_as_it_began();
    figure(4, "times woken and put to sleep", cycles);
}
