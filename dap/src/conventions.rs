//! How a client counts lines and writes paths. Inside of the adapter lines and columns start at 1, and paths are native.

use crate::types::Source;
use crate::{InitializeArguments, SourceMap};

/// A client's choices in `initialize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conventions {
    lines_start_at_1: bool,
    columns_start_at_1: bool,
    uris: bool,
}

/// What is wrong with a path, or with the choice of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `pathFormat` is neither `path` nor `uri`.
    #[error("the path format `{0}` is unknown: use `path` or `uri`")]
    UnknownFormat(String),
    /// The source has neither a path nor a name.
    #[error("the source has no path")]
    Missing,
    /// The client chose URIs, and this is none that names a local file.
    #[error("`{0}` is not a file:// URI with UTF-8 in it, which `pathFormat` promised")]
    NotAFileUri(String),
}

impl Default for Conventions {
    fn default() -> Self {
        Self {
            lines_start_at_1: true,
            columns_start_at_1: true,
            uris: false,
        }
    }
}

impl Conventions {
    /// Takes a client's choices.
    ///
    /// # Errors
    ///
    /// [`PathError::UnknownFormat`], where the client writes paths in a way that nobody here can read.
    pub fn of(arguments: &InitializeArguments) -> Result<Self, PathError> {
        Ok(Self {
            lines_start_at_1: arguments.lines_start_at1.unwrap_or(true),
            columns_start_at_1: arguments.columns_start_at1.unwrap_or(true),
            uris: match arguments.path_format.as_deref() {
                None | Some("path") => false,
                Some("uri") => true,
                Some(other) => return Err(PathError::UnknownFormat(other.to_owned())),
            },
        })
    }

    /// The client's line, counted from 1; `None` where there is no such line.
    pub fn line_from_client(&self, line: i64) -> Option<u64> {
        from_client(line, self.lines_start_at_1)
    }

    /// The client's column, counted from 1; `None` where there is no such column.
    pub fn column_from_client(&self, column: i64) -> Option<u64> {
        from_client(column, self.columns_start_at_1)
    }

    /// A line that is counted from 1, as the client counts. A number that JSON cannot carry exactly is cut down.
    pub fn line_to_client(&self, line: u64) -> i64 {
        const MAX_SAFE: u64 = (1 << 53) - 1;
        let line = line.saturating_sub(u64::from(!self.lines_start_at_1));
        // In range: the bound is below 2^63.
        line.min(MAX_SAFE) as i64
    }

    /// The native path of the client's source; its name serves where it has no path.
    ///
    /// # Errors
    ///
    /// [`PathError`], where there is nothing to look for.
    pub fn path_from_client(&self, source: &Source) -> Result<String, PathError> {
        match (source.path.as_deref(), source.name.as_deref()) {
            (Some(path), _) if !path.is_empty() => match self.uris {
                true => uri_to_path(path).ok_or_else(|| PathError::NotAFileUri(path.to_owned())),
                false => Ok(path.to_owned()),
            },
            (_, Some(name)) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(PathError::Missing),
        }
    }

    /// The source of a native path, as the client writes paths, with the file's name to show.
    pub fn source_to_client(&self, path: &str) -> Source {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        Source {
            name: Some(name.to_owned()),
            path: Some(match self.uris {
                true => path_to_uri(path),
                false => path.to_owned(),
            }),
            source_reference: None,
        }
    }

    /// The source map with native paths on the client's side.
    ///
    /// # Errors
    ///
    /// [`PathError::NotAFileUri`], where the client chose URIs and the map has a URI that names no local file.
    pub fn source_map_from_client(&self, map: SourceMap) -> Result<SourceMap, PathError> {
        if !self.uris {
            return Ok(map);
        }
        map.try_map_client(|path| match path.contains("://") {
            true => uri_to_path(&path).ok_or(PathError::NotAFileUri(path)),
            false => Ok(path),
        })
    }
}

fn from_client(number: i64, starts_at_1: bool) -> Option<u64> {
    let number = u64::try_from(number).ok()?;
    number
        .checked_add(u64::from(!starts_at_1))
        .filter(|number| *number > 0)
}

/// `file:///a%20b` to `/a b`, `file:///c%3A/x` to `c:/x` (RFC 8089).
fn uri_to_path(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (host, _) = rest.split_once('/')?;
    let local = host.is_empty() || host.eq_ignore_ascii_case("localhost");
    if !scheme.eq_ignore_ascii_case("file") || !local {
        return None;
    }
    let path = percent_decode(&rest[host.len()..])?;
    match path.as_bytes() {
        [b'/', drive, b':', ..] if drive.is_ascii_alphabetic() => Some(path[1..].to_owned()),
        _ => Some(path),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                // In range: two hexadecimal digits.
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// `/a b` to `file:///a%20b`, `c:\x` to `file:///c%3A/x`.
fn path_to_uri(path: &str) -> String {
    let windows = matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic());
    let mut uri = String::from(if windows { "file:///" } else { "file://" });
    if !windows && !path.starts_with('/') {
        uri.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'\\' if windows => uri.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn conventions(arguments: serde_json::Value) -> Conventions {
        Conventions::of(&serde_json::from_value(arguments).unwrap()).unwrap()
    }

    #[test]
    fn lines_and_columns() {
        let one = Conventions::default();
        assert_eq!(one.line_from_client(1), Some(1));
        assert_eq!(one.line_from_client(0), None);
        assert_eq!(one.line_to_client(7), 7);
        let zero = conventions(json!({"linesStartAt1": false, "columnsStartAt1": false}));
        assert_eq!(zero.line_from_client(0), Some(1));
        assert_eq!(zero.column_from_client(4), Some(5));
        assert_eq!(zero.line_from_client(-1), None);
        assert_eq!(zero.line_to_client(7), 6);
        assert_eq!(zero.line_to_client(0), 0);
        assert_eq!(one.line_to_client(u64::MAX), (1 << 53) - 1);
    }

    #[test]
    fn formats() {
        let format = |format: &str| {
            Conventions::of(&serde_json::from_value(json!({"pathFormat": format})).unwrap())
        };
        assert!(!format("path").unwrap().uris);
        assert!(format("uri").unwrap().uris);
        assert_eq!(
            format("URL"),
            Err(PathError::UnknownFormat("URL".to_owned()))
        );
    }

    #[test]
    fn uris() {
        for (uri, path) in [
            ("file:///a%20b/%C3%BC%26%23.rs", Some("/a b/ü&#.rs")),
            ("FILE://localhost/a.rs", Some("/a.rs")),
            ("file:///c%3A/x.rs", Some("c:/x.rs")),
            ("file:///C:/x.rs", Some("C:/x.rs")),
            ("file://server/share", None),
            ("http:///a.rs", None),
            ("/a.rs", None),
            ("file:///%", None),
            ("file:///%4", None),
            ("file:///%zz", None),
            ("file:///%+1", None),
            ("file:///%FF", None),
        ] {
            assert_eq!(uri_to_path(uri).as_deref(), path, "{uri}");
        }
        assert_eq!(path_to_uri("/a b/ü&#.rs"), "file:///a%20b/%C3%BC%26%23.rs");
        assert_eq!(path_to_uri(r"c:\x y.rs"), "file:///c%3A/x%20y.rs");
    }

    #[test]
    fn sources() {
        let uri = conventions(json!({"pathFormat": "uri"}));
        let source = uri.source_to_client("/src/a b.rs");
        assert_eq!(source.name.as_deref(), Some("a b.rs"));
        assert_eq!(source.path.as_deref(), Some("file:///src/a%20b.rs"));
        assert_eq!(uri.path_from_client(&source).unwrap(), "/src/a b.rs");
        let path = Conventions::default();
        assert_eq!(
            path.path_from_client(&Source::default()),
            Err(PathError::Missing)
        );
        let named = Source {
            name: Some("a.rs".to_owned()),
            path: Some(String::new()),
            ..Source::default()
        };
        assert_eq!(path.path_from_client(&named).unwrap(), "a.rs");
    }

    #[test]
    fn source_maps() {
        let map =
            |client: &str| serde_json::from_value::<SourceMap>(json!({"/build": client})).unwrap();
        let uri = conventions(json!({"pathFormat": "uri"}));
        let native = uri.source_map_from_client(map("file:///a%20b"));
        assert_eq!(native, Ok(map("/a b")));
        // People write paths there, whatever their client uses elsewhere.
        assert_eq!(uri.source_map_from_client(map("/a%20b")), Ok(map("/a%20b")));
        assert!(uri.source_map_from_client(map("http://a/b")).is_err());
        let path = Conventions::default();
        assert_eq!(
            path.source_map_from_client(map("file:///a")),
            Ok(map("file:///a"))
        );
    }

    proptest! {
        #[test]
        fn uris_round_trip(path in "/[^\\x00]{0,30}") {
            // A path like `/c:/x` is taken for one of Windows.
            prop_assume!(path.as_bytes().get(2) != Some(&b':'));
            prop_assert_eq!(uri_to_path(&path_to_uri(&path)), Some(path));
        }
    }
}
