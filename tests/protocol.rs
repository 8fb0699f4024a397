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

conversations! {
    row_01_nothing_before_initialize
    row_02_attach_is_answered_at_once
    row_02_detrix_daemon
    row_03_set_breakpoints_replaces
    row_04_ids_stay
    row_05_order_and_length
    row_08_empty_log_message_is_a_breakpoint
    row_12_output
    row_16_seq_rises_from_one
    row_17_errors_leave_the_connection
    row_18_frames
    row_18_http_is_closed_at_once
    row_19_lines_from_zero_and_uris
    row_20_disconnect_leaves_the_program_running
    row_21_several_clients
    row_27_no_arguments
}

#[test]
fn row_23_terminated_when_the_server_ends() {
    let (mut program, target) = target();
    rows::row_23_terminated_when_the_server_ends(&target, || {
        program.run("sleep");
    });
    program.quit();
}
