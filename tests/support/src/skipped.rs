//! What a machine may not be able to test.

/// The tests that may be left out, and why.
const SKIPPED: &[(&str, &str)] = &[
    (
        "a_connection_of_another_user",
        "only root can become another user",
    ),
    (
        "a_repository_of_another_user_is_not_believed",
        "only root can give a directory to another user",
    ),
    (
        "an_address_that_refuses_leaves_the_next_its_turn",
        "this machine has no IPv6",
    ),
    ("an_ipv6_listener_knows_itself", "this machine has no IPv6"),
    (
        "another_user_has_the_token_sent_nowhere",
        "only root can become another user",
    ),
    (
        "another_user_is_refused_unless_listed",
        "only root can become another user",
    ),
    (
        "it_is_what_git_says",
        "there is no git, or this is no repository",
    ),
    (
        "row_01_a_tracer_that_waits_for_memory_is_ended",
        "this machine refuses userfaultfd (vm.unprivileged_userfaultfd, or a seccomp filter)",
    ),
    (
        "row_05_a_program_with_more_privileges",
        "only root can make a set-user-ID program, and not where file systems are mounted nosuid",
    ),
    (
        "row_11_io_uring_enter",
        "this machine refuses io_uring_setup (kernel.io_uring_disabled, or a seccomp filter)",
    ),
    (
        "row_18_a_process_that_is_not_dumpable",
        "only root can give its user up",
    ),
    (
        "row_19_a_program_that_locks_its_memory",
        "only root can lock as much memory as it likes",
    ),
    (
        "row_19_a_tracer_keeps_no_privilege_that_the_program_gave_up",
        "only root can give its user up",
    ),
    (
        "row_19_limits_on_threads_and_processes",
        "only root can become a user that nothing else runs as",
    ),
    (
        "row_20_a_core_is_usable",
        "this machine's kernel.core_pattern writes cores elsewhere, and no machine's setting may be changed",
    ),
];

/// Says that a test is not done on this machine, for the reason in the list.
///
/// # Panics
///
/// When the list does not have `test`: what else is skipped is a failure.
pub fn skip(test: &str) {
    let listed = SKIPPED.iter().find(|(name, _)| *name == test);
    let (_, reason) =
        listed.unwrap_or_else(|| panic!("{test} is in no list of what may be skipped"));
    println!("skipped: {test}: {reason}");
}
