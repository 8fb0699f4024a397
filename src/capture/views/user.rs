//! Views that the user of the library adds, by data alone.

use super::layout::{self, Layout, Piece, Style, What};
use super::{Lookup, View};
use crate::symbols::types::Type;

/// How values of some types are shown. Fields are given by paths: names separated by dots, `__0` for a tuple's first,
/// `Some` for what a variant holds, and one `*` in the place of a dot where a pointer is gone through.
///
/// ```
/// use detrix::{Shape, TypeView};
///
/// // 12.50 EUR
/// let money = TypeView::new("shop::Money", Shape::Format("{units}.{cents} {currency}".into()));
/// // A string of one's own.
/// let name = TypeView::new("shop::Name<*", Shape::Text { data: "raw.start".into(), length: "raw.size".into() });
/// # assert_eq!((money.pattern.as_str(), name.pattern.as_str()), ("shop::Money", "shop::Name<*"));
/// ```
///
/// A type that matches but has no such fields is shown as if there were no view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeView {
    /// The type's whole path with its arguments, as `std::any::type_name` writes it but for defaults, which are
    /// written out; a `*` stands for any text.
    pub pattern: String,
    /// What is shown.
    pub shape: Shape,
}

/// What a [`TypeView`] shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Text with the values of fields in braces. A single field, as `{inner}`, shows the type as that field.
    Format(String),
    /// UTF-8 text: a pointer to its bytes, and a `usize`, how many they are.
    Text {
        /// Path of the pointer.
        data: String,
        /// Path of the length.
        length: String,
    },
    /// A sequence: a pointer to its first element, and a `usize`, how many there are.
    Sequence {
        /// Path of the pointer.
        data: String,
        /// Path of the length.
        length: String,
    },
}

impl TypeView {
    /// A view of the types whose path matches `pattern`.
    pub fn new(pattern: impl Into<String>, shape: Shape) -> Self {
        Self {
            pattern: pattern.into(),
            shape,
        }
    }
}

/// The view of a type that matches; `None` where it has no such fields.
pub fn fit(view: &TypeView, ty: &Type, lookup: Lookup<'_>) -> Option<View> {
    match &view.shape {
        Shape::Text { data, length } => layout::fit(&Layout::Text { data, length }, ty, lookup),
        Shape::Sequence { data, length } => {
            layout::fit(&Layout::Slice { data, length }, ty, lookup)
        }
        Shape::Format(text) => {
            let parts = pieces(text)?;
            if let [
                Piece {
                    label: "",
                    what: What::Value(member),
                    ..
                },
            ] = *parts
                && let Some(inner) = layout::fit(&Layout::Inner { member }, ty, lookup)
            {
                return Some(inner);
            }
            let form = Layout::Form {
                style: Style::Joined,
                parts: &parts,
            };
            layout::fit(&form, ty, lookup)
        }
    }
}

/// Text, each piece followed by the field in braces; `None` where the braces do not match.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((label, after)) = rest.split_once('{') {
        let (path, after) = after.split_once('}')?;
        pieces.push(Piece {
            label,
            what: What::Value(path.trim()),
            when: None,
            otherwise: "",
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece {
            label: "",
            what: What::Words(rest),
            when: None,
            otherwise: "",
        });
    }
    Some(pieces)
}
