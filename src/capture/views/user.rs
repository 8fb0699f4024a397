//! Views that the user of the library adds, by data alone: [`TypeView`]s found in the program's types.

use super::layout::{self, Layout, Piece, Style, What};
use super::{Lookup, View};
use crate::symbols::types::Type;
use crate::type_view::{Shape, TypeView};

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
