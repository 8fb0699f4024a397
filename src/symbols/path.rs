//! Source paths: how a client's spelling is matched with the compiler's.

/// A path without `.`, `..` and doubled slashes, split into components; the root is the empty first component.
pub fn components(path: &str) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::new();
    if path.starts_with('/') {
        out.push("");
    }
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => match out.last() {
                Some(&"") => {}
                Some(&last) if last != ".." => {
                    out.pop();
                }
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    out
}

/// Joins a path of a line table with the directory that it is relative to.
pub fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') || base.is_empty() {
        path.to_owned()
    } else {
        format!("{base}/{path}")
    }
}

/// A path in its shortest spelling.
pub fn normal(path: &str) -> String {
    let parts = components(path);
    match parts.as_slice() {
        [""] => "/".to_owned(),
        parts => parts.join("/"),
    }
}

/// What is the same for all spellings of one file.
///
/// The sources of std have two: rustc says `/rustc/HASH/library/..` in what was compiled with std, and the path of the
/// `rust-src` component, where it is installed, in what users instantiate.
pub fn identity(normal: &str) -> &str {
    if let Some((_, rest)) = normal.split_once("/lib/rustlib/src/rust/") {
        return rest;
    }
    match normal
        .strip_prefix("/rustc/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((_, rest)) if rest.starts_with("library/") => rest,
        _ => normal,
    }
}

/// How well a compiled file fits what a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The names agree, and too little else to be the same file.
    NameOnly,
    /// So many components agree, counted from the end.
    Tail(usize),
}

/// Compares two component lists from their ends; `None` if not even the file names agree.
///
/// A name alone decides only where one side has nothing else: a client's `/home/me/service/src/util.rs` is not std's
/// `util.rs`.
pub fn fit(asked: &[&str], compiled: &[&str]) -> Option<Fit> {
    let asked = asked
        .iter()
        .skip_while(|part| **part == "..")
        .collect::<Vec<_>>();
    let tail = asked
        .iter()
        .rev()
        .zip(compiled.iter().rev())
        .take_while(|(a, b)| **a == *b)
        .count();
    match tail {
        0 => None,
        1 if asked.len() > 1 && compiled.len() > 1 => Some(Fit::NameOnly),
        tail => Some(Fit::Tail(tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(asked: &str, compiled: &str) -> Option<Fit> {
        fit(&components(asked), &components(compiled))
    }

    #[test]
    fn dots_and_slashes_do_not_matter() {
        assert_eq!(normal("/a/./b//c/../d.rs"), "/a/b/d.rs");
        assert_eq!(normal("/../a"), "/a");
        assert_eq!(normal("../../a"), "../../a");
        assert_eq!(normal("/"), "/");
    }

    #[test]
    fn whole_components_count_from_the_end() {
        assert_eq!(
            fits("/home/me/app/src/main.rs", "/build/app/src/main.rs"),
            Some(Fit::Tail(3))
        );
        assert_eq!(
            fits("./src/main.rs", "/build/app/src/main.rs"),
            Some(Fit::Tail(2))
        );
        assert_eq!(
            fits("../src/main.rs", "/build/app/src/main.rs"),
            Some(Fit::Tail(2))
        );
        assert_eq!(
            fits("main.rs", "/build/app/src/main.rs"),
            Some(Fit::Tail(1))
        );
        assert_eq!(fits("ain.rs", "/build/app/src/main.rs"), None);
        assert_eq!(fits("Main.rs", "/build/app/src/main.rs"), None);
        assert_eq!(
            fits("/home/me/app/src/main.rs", "/x/y/main.rs"),
            Some(Fit::NameOnly)
        );
        assert_eq!(fits("/a/main.rs", "/a/main.rs"), Some(Fit::Tail(3)));
    }

    #[test]
    fn the_sources_of_std_are_one_file() {
        let a = "/rustc/0123abc/library/core/src/option.rs";
        let b = "/root/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/option.rs";
        assert_eq!(identity(a), identity(b));
        assert_eq!(identity("/home/me/option.rs"), "/home/me/option.rs");
    }
}
