//! What is never shown: members and types whose names say that they hold secrets.

use super::views::short_name;
use crate::symbols::types::{Member, Type, TypeKind};
use crate::type_view::{Shape, TypeView};

/// What stands in the place of a hidden value.
pub const REDACTED: &str = "<redacted>";

/// Names that hide their values; none by default. Case, underscores and hyphens do not count: `api_key` hides `apiKey`,
/// `API_KEY_2`, `X-Api-Key` and `OldApiKey`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    patterns: Box<[String]>,
    strict: bool,
}

impl Redaction {
    /// Hides what has one of `patterns` in its name; an empty pattern hides nothing. Where `strict`, an expression that
    /// names it on purpose does not show it either.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>, strict: bool) -> Self {
        Self {
            patterns: patterns
                .into_iter()
                .map(|pattern| plain(pattern.as_ref()))
                .filter(|pattern| !pattern.is_empty())
                .collect(),
            strict,
        }
    }

    /// Whether naming a value on purpose does not show it either.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether anything can be hidden.
    pub fn hides_anything(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Whether a member or variable of this name is hidden.
    pub fn hides_name(&self, name: &str) -> bool {
        let name = plain(name);
        self.patterns
            .iter()
            .any(|pattern| name.contains(pattern.as_str()))
    }

    /// Whether a view names on purpose what is hidden all the same.
    pub fn hides_view(&self, view: &TypeView) -> bool {
        self.strict
            && paths(&view.shape)
                .into_iter()
                .any(|path| self.hides_name(path))
    }

    /// Whether values of the type with this path are hidden. Its module and its arguments do not count: a
    /// `Vec<secret::Key>` is shown as a list of what is hidden.
    pub fn hides_type(&self, path: &str) -> bool {
        let is_path = path.starts_with(|c: char| c.is_alphabetic() || c == '_');
        is_path && self.hides_name(short_name(path))
    }
}

/// The members that may name what a member is: the first of a tuple of two, as lists of headers have them, and what is
/// called a name or key beside a value.
pub fn names_of<'m>(
    members: &'m [Member],
    member: &Member,
) -> impl Iterator<Item = &'m Member> + use<'m> {
    let names: &[&str] = match &*member.name {
        "__1" if members.len() == 2 => &["__0"],
        "value" | "val" => &["key", "name"],
        _ => &[],
    };
    members.iter().filter(|it| names.contains(&&*it.name))
}

/// Whether values of a type are variants, or nothing but one value of another.
pub fn may_wrap_a_name(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Enumeration { .. } | TypeKind::Enum { .. } => true,
        TypeKind::Struct { members, .. } => members.len() == 1,
        _ => false,
    }
}

/// The fields that a view shows.
fn paths(shape: &Shape) -> Vec<&str> {
    match shape {
        Shape::Format(text) => {
            let parts = text.split('{').skip(1);
            parts
                .filter_map(|part| Some(part.split_once('}')?.0))
                .collect()
        }
        Shape::Text { data, length } | Shape::Sequence { data, length } => vec![data, length],
    }
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hidden_however_they_are_written() {
        let redaction = Redaction::new(["password", "api_key", "token", "secret"], false);
        for hidden in [
            "password",
            "db_Password",
            "apiKey",
            "API_KEY",
            "X-Api-Key",
            "tokens",
            "oldSecret2",
        ] {
            assert!(redaction.hides_name(hidden), "{hidden}");
        }
        for shown in ["pass", "key", "api", "order", "__0", ""] {
            assert!(!redaction.hides_name(shown), "{shown}");
        }
    }

    #[test]
    fn types_are_hidden_by_their_last_segment() {
        let redaction = Redaction::new(["secret"], false);
        for hidden in ["secrecy::SecretString", "shop::Secret<u8>", "Secret"] {
            assert!(redaction.hides_type(hidden), "{hidden}");
        }
        for shown in [
            "secret::Key",
            "alloc::vec::Vec<shop::Secret>",
            "&shop::Secret",
            "(Secret,)",
        ] {
            assert!(!redaction.hides_type(shown), "{shown}");
        }
    }

    #[test]
    fn no_patterns_hide_nothing() {
        let redaction = Redaction::new(["", "_"], true);
        assert!(!redaction.hides_name("password") && redaction.is_strict());
    }
}
