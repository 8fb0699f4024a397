//! The build of an application, baked into it where it is compiled.
//!
//! Nothing here uses the rest of the crate: the tests compile this file into programs of their own.

/// The commit that the crate which calls this was built from, as `Option<String>`: what the environment of its compiler
/// had in `DETRIX_BUILD_COMMIT`, or else in the first of `GIT_COMMIT`, `CI_COMMIT_SHA` and `GITHUB_SHA` that is not
/// empty.
///
/// It is looked up where the application is compiled, which cargo does again when one of the variables changes.
///
/// ```
/// let config = detrix::Config {
///     build_commit: detrix::build_commit!(),
///     build_tag: detrix::build_tag!(),
///     ..Default::default()
/// };
/// # drop(config);
/// ```
///
/// In a `Dockerfile`, for instance:
///
/// ```text
/// ARG DETRIX_BUILD_COMMIT
/// RUN DETRIX_BUILD_COMMIT=$DETRIX_BUILD_COMMIT cargo build --release
/// ```
#[macro_export]
macro_rules! build_commit {
    () => {
        [
            ::core::option_env!("DETRIX_BUILD_COMMIT"),
            ::core::option_env!("GIT_COMMIT"),
            ::core::option_env!("CI_COMMIT_SHA"),
            ::core::option_env!("GITHUB_SHA"),
        ]
        .into_iter()
        .flatten()
        .find(|value: &&str| !value.is_empty())
        .map(::std::string::String::from)
    };
}

/// The tag that the crate which calls this was built from, as `Option<String>`: what the environment of its compiler had
/// in `DETRIX_BUILD_TAG`, or else in the first of `GIT_TAG`, `CI_COMMIT_TAG` and `GITHUB_REF_NAME` that is not empty; the
/// last only where `GITHUB_REF_TYPE` says that it is a tag, not a branch.
///
/// See [`build_commit!`] for how it is used.
#[macro_export]
macro_rules! build_tag {
    () => {
        [
            ::core::option_env!("DETRIX_BUILD_TAG"),
            ::core::option_env!("GIT_TAG"),
            ::core::option_env!("CI_COMMIT_TAG"),
            match ::core::option_env!("GITHUB_REF_TYPE") {
                ::core::option::Option::Some("tag") => ::core::option_env!("GITHUB_REF_NAME"),
                _ => ::core::option::Option::None,
            },
        ]
        .into_iter()
        .flatten()
        .find(|value: &&str| !value.is_empty())
        .map(::std::string::String::from)
    };
}
