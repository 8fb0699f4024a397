//! Row 10: job control, and a parent that watches.

use crate::world::{armed, until};

#[test]
fn row_10_the_program_stops_and_continues() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    session.outputs(10);
    program.process().signal(libc::SIGSTOP);
    until("it is stopped", || {
        program
            .process()
            .field("State")
            .is_some_and(|state| state.starts_with(['T', 't']))
    });
    program.process().signal(libc::SIGCONT);
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.disconnect();
    program.quit();
}

#[test]
fn row_10_a_parent_sees_the_program_stop_and_continue() {
    let (mut program, mut session, _) = armed("fork_exec", "hit");
    program.run("fire");
    let pid = i32::try_from(program.process().pid()).expect("a process id");
    let seen = |flag: i32| {
        let mut status = 0;
        // SAFETY: `status` is a valid place; the child's end, which is not asked for, stays to be waited for.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, flag) }, pid);
        status
    };
    for _ in 0..20 {
        session.outputs(3);
        program.process().signal(libc::SIGSTOP);
        let status = seen(libc::WUNTRACED);
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP);
        program.process().signal(libc::SIGCONT);
        assert!(libc::WIFCONTINUED(seen(libc::WCONTINUED)));
    }
    assert_eq!(program.ask("hot 10", "hot"), "55");
    session.disconnect();
    program.quit();
}
