//! Row 20: the program's own end.

use crate::world::{armed, tracer, until};

#[test]
fn row_20_the_program_is_killed_while_traced() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    let port = program.process().listening_ports();
    program.run("fire");
    session.outputs(10);
    let tracer = tracer(&program);
    program.process().signal(libc::SIGKILL);
    let (_, status) = program.end();
    assert!(!status.success());
    until("the tracer goes too", || !tracer.lives());
    for port in port {
        until("the port is free", || {
            std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
        });
    }
}
