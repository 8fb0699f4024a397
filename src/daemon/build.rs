//! Which build of a program this is.

use std::env;
use std::path::Path;

use super::git;
use crate::config::Config;
use crate::config::env::variable;

/// What is known about the build of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// The commit.
    pub commit: Option<String>,
    /// The tag.
    pub tag: Option<String>,
}

impl BuildInfo {
    /// What `config` says, or else the environment as it is now: `DETRIX_BUILD_COMMIT`, `GIT_COMMIT`, `CI_COMMIT_SHA`,
    /// `GITHUB_SHA`, and at last the commit that is checked out in the working directory; `DETRIX_BUILD_TAG`, `GIT_TAG`,
    /// `CI_COMMIT_TAG`, and `GITHUB_REF_NAME` where it is a tag. Reads some small files at most, and starts no process.
    pub fn detect(config: &Config) -> Self {
        Self::from(
            config,
            |name| variable(name)?.into_string().ok(),
            env::current_dir().ok().as_deref(),
        )
    }

    fn from(
        config: &Config,
        get: impl Fn(&str) -> Option<String>,
        directory: Option<&Path>,
    ) -> Self {
        let get = |variable: &str| get(variable).filter(|value| !value.is_empty());
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let commit = set(&config.build_commit)
            .or_else(|| get("DETRIX_BUILD_COMMIT"))
            .or_else(|| get("GIT_COMMIT"))
            .or_else(|| get("CI_COMMIT_SHA"))
            .or_else(|| get("GITHUB_SHA"))
            .or_else(|| git::head(directory?));
        // On a branch, or in a pull request, the name is none of a tag.
        let github_tag = || {
            get("GITHUB_REF_TYPE")
                .filter(|kind| kind == "tag")
                .and_then(|_| get("GITHUB_REF_NAME"))
        };
        let tag = set(&config.build_tag)
            .or_else(|| get("DETRIX_BUILD_TAG"))
            .or_else(|| get("GIT_TAG"))
            .or_else(|| get("CI_COMMIT_TAG"))
            .or_else(github_tag);
        Self { commit, tag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(config: &Config, variables: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let get = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let info = BuildInfo::from(config, get, None);
        (info.commit, info.tag)
    }

    #[test]
    fn the_first_that_says_something_counts() {
        // From the last to the first, each coming before those that are set already.
        let mut variables = Vec::new();
        for variable in [
            "GITHUB_SHA",
            "CI_COMMIT_SHA",
            "GIT_COMMIT",
            "DETRIX_BUILD_COMMIT",
        ] {
            variables.push((variable, variable));
            let (commit, tag) = detected(&Config::default(), &variables);
            assert_eq!((commit.as_deref(), tag), (Some(variable), None));
        }
        let mut variables = vec![("GITHUB_REF_TYPE", "tag")];
        for variable in [
            "GITHUB_REF_NAME",
            "CI_COMMIT_TAG",
            "GIT_TAG",
            "DETRIX_BUILD_TAG",
        ] {
            variables.push((variable, variable));
            let (commit, tag) = detected(&Config::default(), &variables);
            assert_eq!((commit, tag.as_deref()), (None, Some(variable)));
        }
        let config = Config {
            build_commit: Some("c".to_owned()),
            build_tag: Some("t".to_owned()),
            ..Config::default()
        };
        let set = (Some("c".to_owned()), Some("t".to_owned()));
        assert_eq!(detected(&config, &variables), set);
    }

    #[test]
    fn a_branch_is_no_tag_and_empty_is_unset() {
        let branch = [("GITHUB_REF_NAME", "main"), ("GITHUB_REF_TYPE", "branch")];
        assert_eq!(detected(&Config::default(), &branch).1, None);
        let untyped = [("GITHUB_REF_NAME", "main")];
        assert_eq!(detected(&Config::default(), &untyped).1, None);
        let config = Config {
            build_commit: Some(String::new()),
            ..Config::default()
        };
        let variables = [("DETRIX_BUILD_COMMIT", ""), ("GITHUB_SHA", "a")];
        assert_eq!(detected(&config, &variables).0.as_deref(), Some("a"));
    }

    #[test]
    fn without_a_variable_it_is_the_commit_of_the_directory() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join(".git")).unwrap();
        let commit = "a".repeat(40);
        std::fs::write(tree.path().join(".git/HEAD"), &commit).unwrap();
        let get = |_: &str| None;
        let info = BuildInfo::from(&Config::default(), get, Some(tree.path()));
        assert_eq!(info.commit, Some(commit));
        assert_eq!(info.tag, None);
    }
}
