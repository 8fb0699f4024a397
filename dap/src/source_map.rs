//! `sourceMap`: what a directory of the program's debug information is called on the client's machine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Pairs of directories, the program's and the client's, in the direction of lldb-dap and CodeLLDB: from what is in the
/// debug information to what the client can open.
///
/// Read from an object, `{"/build": "/home/me/project"}`, or from an array of pairs, `[["/build", "/home/me/project"]]`.
/// Clones share their pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// The program's directory and the client's.
    pairs: Arc<[(String, String)]>,
}

impl SourceMap {
    /// Whether there is nothing to map.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let texts = self.pairs.iter();
        let texts = texts.map(|(program, client)| program.len() + client.len());
        size_of_val(&*self.pairs) + texts.sum::<usize>()
    }

    /// The client's path as the program's debug information has it, by the longest directory of the client that it is
    /// in; `None` where it is in none.
    pub fn to_program(&self, path: &str) -> Option<String> {
        let pairs = self.pairs.iter().map(|(program, client)| (client, program));
        replace_longest(path, pairs)
    }

    /// A path of the debug information as the client knows it; `None` where it is in no directory of the map.
    pub fn to_client(&self, path: &str) -> Option<String> {
        let pairs = self.pairs.iter().map(|(program, client)| (program, client));
        replace_longest(path, pairs)
    }

    /// Changes the client's directories.
    pub(crate) fn try_map_client<E>(
        self,
        mut change: impl FnMut(String) -> Result<String, E>,
    ) -> Result<Self, E> {
        let pairs = self.pairs.iter().cloned();
        Ok(Self {
            pairs: pairs
                .map(|(program, client)| Ok((program, change(client)?)))
                .collect::<Result<_, E>>()?,
        })
    }
}

impl FromIterator<(String, String)> for SourceMap {
    /// A pair with an empty side names no directory, and is left out.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let named =
            |(program, client): &(String, String)| !program.is_empty() && !client.is_empty();
        Self {
            pairs: pairs.into_iter().filter(named).collect(),
        }
    }
}

fn replace_longest<'a>(
    path: &str,
    pairs: impl Iterator<Item = (&'a String, &'a String)>,
) -> Option<String> {
    let (rest, to) = pairs
        .filter_map(|(from, to)| Some((strip_directory(path, from)?, to)))
        .min_by_key(|(rest, _)| rest.len())?;
    // The separator of the side that the path goes to; a Windows client's program runs on another system.
    let separator = match to.contains('\\') {
        true => "\\",
        false => "/",
    };
    let to = to.trim_end_matches(['/', '\\']);
    Some(match rest {
        "" => to.to_owned(),
        rest => format!("{to}{separator}{}", rest.replace(['/', '\\'], separator)),
    })
}

/// What is left of `path` within `directory`, compared by whole components: `/src` is no directory of `/src2/a.rs`.
fn strip_directory<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let directory = directory.trim_end_matches(['/', '\\']);
    let head = path.get(..directory.len())?;
    let rest = &path[directory.len()..];
    let same = head
        .chars()
        .zip(directory.chars())
        .enumerate()
        .all(|(index, (a, b))| {
            let separators = matches!(a, '/' | '\\') && matches!(b, '/' | '\\');
            // Editors write the letter of a Windows drive in lower case, people in upper case.
            let drive = index == 0
                && directory.as_bytes().get(1) == Some(&b':')
                && a.eq_ignore_ascii_case(&b);
            a == b || separators || drive
        });
    match rest.strip_prefix(['/', '\\']) {
        Some(rest) if same => Some(rest),
        None if same && rest.is_empty() => Some(rest),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for SourceMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceMapVisitor)
    }
}

struct SourceMapVisitor;

impl<'de> Visitor<'de> for SourceMapVisitor {
    type Value = SourceMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sourceMap like {\"/in/the/program\": \"/on/my/machine\"} or [[\"/in/the/program\", \"/on/my/machine\"]]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SourceMap, A::Error> {
        // Sorted, so that the same map is equal to itself whatever order JSON gave it. CodeLLDB's `null` (hide this
        // directory) maps nothing.
        let mut pairs = BTreeMap::new();
        while let Some((program, client)) = map.next_entry::<String, Option<String>>()? {
            pairs.extend(client.map(|client| (program, client)));
        }
        Ok(pairs.into_iter().collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<SourceMap, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = sequence.next_element::<(String, String)>()? {
            pairs.push(pair);
        }
        Ok(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: serde_json::Value) -> SourceMap {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn shapes() {
        let expected = SourceMap {
            pairs: vec![("/a".to_owned(), "/b".to_owned())].into(),
        };
        assert_eq!(map(json!({"/a": "/b"})), expected);
        assert_eq!(map(json!([["/a", "/b"]])), expected);
        assert_eq!(map(json!({"/a": "/b", "/hidden": null})), expected);
        assert_eq!(map(json!({"/a": "/b", "/c": "", "": "/d"})), expected);
        assert!(map(json!({})).is_empty());
        assert!(map(json!([])).is_empty());
        for wrong in [
            json!(5),
            json!(["/a"]),
            json!([["/a"]]),
            json!([["/a", "/b", "/c"]]),
            json!({"/a": 1}),
        ] {
            let error = serde_json::from_value::<SourceMap>(wrong.clone());
            assert!(error.is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_components_and_the_longest_directory() {
        let map = map(json!([["/build", "/home/me"], ["/dep/", "/home/me/dep/"]]));
        assert_eq!(
            map.to_program("/home/me/src/a.rs").unwrap(),
            "/build/src/a.rs"
        );
        assert_eq!(map.to_program("/home/me/dep/a.rs").unwrap(), "/dep/a.rs");
        assert_eq!(map.to_program("/home/me").unwrap(), "/build");
        assert_eq!(map.to_program("/home/me2/a.rs"), None);
        assert_eq!(map.to_program("/home"), None);
        assert_eq!(
            map.to_client("/build/src/a.rs").unwrap(),
            "/home/me/src/a.rs"
        );
        assert_eq!(map.to_client("/other/a.rs"), None);
    }

    #[test]
    fn windows_clients() {
        let map = map(json!({"/build": r"C:\work\app"}));
        assert_eq!(
            map.to_program(r"c:\work\app\src\a.rs").unwrap(),
            "/build/src/a.rs"
        );
        assert_eq!(
            map.to_client("/build/src/a.rs").unwrap(),
            r"C:\work\app\src\a.rs"
        );
        assert_eq!(map.to_program(r"c:\Work\app\a.rs"), None);
    }

    #[test]
    fn unicode_and_roots() {
        let map = map(json!({"/ü": "/ä", "/": "/root", "é": "/relative"}));
        assert_eq!(map.to_client("/ü/x.rs").unwrap(), "/ä/x.rs");
        assert_eq!(map.to_client("/é/x.rs").unwrap(), "/root/é/x.rs");
        assert_eq!(map.to_program("/ä").unwrap(), "/ü");
        assert_eq!(map.to_client("é/x.rs").unwrap(), "/relative/x.rs");
        // Cutting at the directory's length would split a character.
        assert_eq!(map.to_program("/é"), None);
        assert_eq!(map.to_program("/aé"), None);
    }
}
