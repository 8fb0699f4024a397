//! How the application wants its own types to be shown.

/// How values of some types are shown.
///
/// ```
/// use detrix::{Shape, TypeView};
///
/// // 3..9, instead of Span { start: 3, end: 9 }
/// let span = TypeView::new("shop::Span", Shape::Format("{start}..{end}".into()));
/// // A string of one's own.
/// let name = TypeView::new("shop::Name<*", Shape::Text { data: "raw.start".into(), length: "raw.size".into() });
/// # assert_eq!((span.pattern.as_str(), name.pattern.as_str()), ("shop::Span", "shop::Name<*"));
/// ```
///
/// A path names a field: `raw.size`. Tuple fields are `__0`, `__1`. The name of a variant stands for its data:
/// `Some.__0`. In a [`Shape::Format`] at most one `*`, in the place of a dot, follows a pointer: `inner*length` is the
/// field `length` of what `inner` points to.
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
