//! The conversations of the list of behaviours that servers get wrong, with the whole library in a real program.

use std::net::{Ipv4Addr, SocketAddr};

use detrix_test_support::rows::{self, Target};
use detrix_test_support::{Profile, Running, mark, source};

/// A program that prices an order each millisecond.
fn target() -> (Running, Target) {
    let file = source("bin/orders.rs");
    let mut program = Running::start("orders", Profile::Release);
    let port = program.port();
    program.run("pace");
    let line = |name| u64::from(mark(&file, name));
    let target = Target {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        path: file.to_str().expect("UTF-8").to_owned(),
        lines: [line("price"), line("after price")],
        bad_line: 1,
    };
    (program, target)
}

macro_rules! conversations {
    ($($row:ident)*) => {
        $(#[test]
        fn $row() {
            let (mut program, target) = target();
            rows::$row(&target);
            // Whatever was said, the program works.
            assert_eq!(program.ask("go 1", "total"), "105");
            program.quit();
        })*
    };
}

detrix_test_support::each_row!(conversations);

#[test]
fn row_23_terminated_when_the_server_ends() {
    let (mut program, target) = target();
    rows::row_23_terminated_when_the_server_ends(&target, || {
        program.run("sleep");
    });
    program.quit();
}
