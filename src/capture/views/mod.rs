//! How values of a type are looked at: what is known of pointers and of library types.
//!
//! [`table`] and [`crates`] hold the knowledge, as patterns of type names and paths of fields, with one line per layout
//! that a version has had. [`layout`] finds the offsets that the paths lead to in the program's own types. A type that
//! matches a pattern but no layout is shown by its plain structure: a wrong field name, or a field of another type, is
//! an unknown layout.

pub mod crates;
pub mod layout;
pub mod names;
pub mod path;
pub mod table;
pub mod user;

#[cfg(test)]
mod tests;

use super::program::Node;
use crate::symbols::types::{Type, TypeKind, TypeRef, Variant};
use crate::type_view::TypeView;
use std::sync::Arc;

pub use layout::Style;
pub use names::short_name;

/// How to look at a value. Offsets are within the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// As the type says.
    Plain,
    /// Through a pointer to its target.
    Reference { target: TypeRef },
    /// A pointer, as the number that it is.
    Address,
    /// A pointer of two words, as the numbers that they are: the second one is a length, or an object's table of methods.
    Wide {
        data: u64,
        metadata: u64,
        object: bool,
    },
    /// A pointer to a function.
    Code,
    /// A reference to a trait object: where the object is, and its table of methods.
    Dynamic { data: Spot, vtable: u64 },
    /// UTF-8 text: a pointer and a number of bytes.
    Text { data: u64, length: u64 },
    /// Text of other kinds, and text that stands behind a header.
    Bytes {
        data: Spot,
        length: u64,
        quoting: Quoting,
    },
    /// A pointer and a number of elements.
    Sequence {
        data: u64,
        length: u64,
        element: TypeRef,
    },
    /// Elements that stand behind a header.
    Run {
        data: Spot,
        length: u64,
        element: TypeRef,
    },
    /// As one of its members.
    Inner { offset: u64, ty: TypeRef },
    /// An enum, as what its variant holds.
    Payload,
    /// What the library's own `Debug` makes of some of its members.
    Form(Arc<Form>),
    /// Members that together are one thing that has a notation of its own.
    Known { known: Known, fields: Arc<[Field]> },
    /// The type's own name.
    Name,
    /// Elements that begin somewhere in a buffer and go on at its start.
    Ring(Ring),
    /// Elements of a list of nodes.
    List(List),
    /// Elements inside of the value, or behind a pointer when they are too many.
    Small(Small),
    /// A hash table, as hashbrown lays it out.
    Table(Table),
    /// A B-tree of std.
    Tree(Tree),
    /// What a closure captured.
    Closure,
    /// The state of an `async` function or block.
    Future,
}

/// Where something is: so many bytes into the value, or into what a pointer in the value points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Offset of the pointer.
    pub pointer: Option<u64>,
    /// Offset from the start of the value, or of the pointer's target.
    pub offset: u64,
}

/// Bytes or elements in a row, behind a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// Offset of the pointer.
    pub data: u64,
    /// Bytes from the start of its target to the first of them.
    pub header: u64,
    /// Offset of their number.
    pub length: u64,
}

impl Pointed {
    fn at(data: Spot, length: u64) -> Option<Self> {
        Some(Self {
            data: data.pointer?,
            header: data.offset,
            length,
        })
    }
}

impl View {
    /// The bytes of a `str`; `None` for other values.
    pub fn text(&self) -> Option<Pointed> {
        match *self {
            Self::Text { data, length } => Some(Pointed {
                data,
                header: 0,
                length,
            }),
            Self::Bytes {
                data,
                length,
                quoting: Quoting::Text,
            } => Pointed::at(data, length),
            _ => None,
        }
    }

    /// Elements behind a pointer, and their type; `None` for other values.
    pub fn elements(&self) -> Option<(Pointed, TypeRef)> {
        match *self {
            Self::Sequence {
                data,
                length,
                element,
            } => {
                let pointed = Pointed {
                    data,
                    header: 0,
                    length,
                };
                Some((pointed, element))
            }
            Self::Run {
                data,
                length,
                element,
            } => Some((Pointed::at(data, length)?, element)),
            _ => None,
        }
    }
}

/// A number of 1 to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where.
    pub at: Spot,
    /// Its type.
    pub ty: TypeRef,
    /// Bytes.
    pub size: u8,
}

/// Where the bytes of a text come from, which decides how they are quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// `str`.
    Text,
    /// `OsStr`, `Path`.
    Os,
    /// `CStr`, whose last byte is 0.
    C,
    /// `bytes::Bytes`, as a byte string literal.
    Literal,
}

/// Members in the order in which `Debug` writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The type's short name.
    pub name: Box<str>,
    /// What stands around and between the parts.
    pub style: Style,
    /// The parts.
    pub parts: Vec<Part>,
}

/// A part of a [`Form`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the field; in [`Style::Joined`] the text before it.
    pub label: Box<str>,
    /// What is shown.
    pub show: Show,
    /// When it is shown.
    pub when: Option<Test>,
    /// What is shown instead; empty where the part is left out then.
    pub otherwise: Box<str>,
}

/// What a [`Part`] shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// A value.
    Value { at: Spot, ty: TypeRef },
    /// What the enum's variant of this name holds, the part's `otherwise` for other variants.
    Payload {
        at: Spot,
        ty: TypeRef,
        variant: Box<str>,
    },
    /// Some bits of a number.
    Bits { field: Field, mask: u64, shift: u8 },
    /// Fixed text.
    Words(Box<str>),
}

/// Holds when the bits of `mask` are from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    pub field: Field,
    pub mask: u64,
    pub first: u64,
    pub last: u64,
}

/// Things with a notation of their own; [`View::Known`] gives their fields in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Seconds, nanoseconds.
    Duration,
    /// The octets.
    Ipv4,
    /// The octets.
    Ipv6,
    /// The bytes.
    Uuid,
    /// A byte that is 0 or 1.
    Bool,
    /// chrono: year, ordinal and flags in one number.
    ChronoDate,
    /// chrono: seconds of the day, nanoseconds.
    ChronoTime,
    /// chrono: date, seconds of the day, nanoseconds.
    ChronoDateTime,
    /// chrono: date, seconds of the day, nanoseconds in UTC; shown with `Z`.
    ChronoUtc,
    /// chrono: date, seconds of the day, nanoseconds in UTC; seconds that local time is ahead.
    ChronoFixed,
    /// chrono: seconds that local time is ahead.
    ChronoOffset,
    /// time: year and ordinal in one number.
    TimeDate,
    /// time: hour, minute, second, nanosecond.
    TimeTime,
    /// time: hours, minutes, seconds ahead of UTC.
    TimeOffset,
}

/// See [`View::Ring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The buffer's address.
    pub data: u64,
    /// Index of the first element.
    pub head: u64,
    /// Number of elements.
    pub length: u64,
    /// Elements that the buffer has room for.
    pub capacity: u64,
    /// Their type.
    pub element: TypeRef,
}

/// See [`View::List`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The first node's address.
    pub head: u64,
    /// Number of nodes.
    pub length: u64,
    /// A node's type.
    pub node: TypeRef,
    /// Where a node has the address of the next one.
    pub next: u64,
    /// Where a node has its element.
    pub offset: u64,
    /// The element's type.
    pub element: TypeRef,
}

/// See [`View::Small`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small {
    /// Number of elements while they are inside of the value, and more than `room` when they are not.
    pub capacity: u64,
    /// Elements that the value itself has room for.
    pub room: u64,
    /// Where those are.
    pub inside: u64,
    /// Address of the elements elsewhere.
    pub data: u64,
    /// Number of the elements elsewhere.
    pub length: u64,
    /// Their type.
    pub element: TypeRef,
}

/// See [`View::Table`]. Bucket `i` ends `i` entries before the control bytes, and is full when control byte `i` is
/// less than 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Address of the control bytes.
    pub control: u64,
    /// Number of buckets, a power of two, less one.
    pub mask: u64,
    /// Number of full buckets.
    pub items: u64,
    /// Bytes of a bucket.
    pub stride: u64,
    /// Key and value.
    pub entry: Entry,
}

/// Where an entry of a map has its key and its value; a set has no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: (u64, TypeRef),
    pub value: Option<(u64, TypeRef)>,
}

/// See [`View::Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The root's address.
    pub root: u64,
    /// How many levels are below the root.
    pub height: u64,
    /// Number of entries.
    pub length: u64,
    /// A node without children.
    pub leaf: TypeRef,
    /// A node with children; begins as a leaf does.
    pub internal: TypeRef,
    /// How the nodes are laid out.
    pub node: Node,
    /// Where a node has its first key and value.
    pub entry: Entry,
}

/// Entries that fit into a node of a [`Tree`] (`CAPACITY` in std's `btree/node.rs`).
pub const NODE_CAPACITY: u64 = 11;

/// Finds types by name.
pub type Lookup<'a> = &'a mut dyn FnMut(TypeRef) -> Option<Arc<Type>>;

/// Whether a view of the user's is one for a type.
pub fn is_for(view: &TypeView, ty: &Type) -> bool {
    names::matches(&view.pattern, &ty.name)
}

/// How to look at values of a type; `own` are the user's views, which come first.
pub fn view(ty: &Type, own: &[TypeView], lookup: Lookup<'_>) -> View {
    let found = own
        .iter()
        .filter(|view| is_for(view, ty))
        .find_map(|view| user::fit(view, ty, lookup));
    if let Some(found) = found {
        return found;
    }
    match &ty.kind {
        TypeKind::Pointer { target } => pointer(ty, *target, lookup),
        TypeKind::Struct { .. }
            if ["*const ", "*mut "]
                .iter()
                .any(|it| ty.name.starts_with(it)) =>
        {
            let mut layouts = table::WIDE.iter();
            let found = layouts.find_map(|layout| layout::fit(layout, ty, lookup));
            found.unwrap_or(View::Plain)
        }
        TypeKind::Struct { .. } if names::is_closure(&ty.name) => View::Closure,
        TypeKind::Enum { .. } if names::is_coroutine(&ty.name) => View::Future,
        TypeKind::Struct { .. } | TypeKind::Union { .. } | TypeKind::Enum { .. } => {
            known(ty, lookup).unwrap_or(View::Plain)
        }
        _ => View::Plain,
    }
}

/// The only variant that a value can have where debug information gives no discriminant: the compiler leaves it out when
/// all other variants hold what has no values.
pub fn only_variant<'v>(variants: &'v [Variant], lookup: Lookup<'_>) -> Option<&'v Variant> {
    if let [only] = variants {
        return Some(only);
    }
    let mut possible = variants
        .iter()
        .filter(|variant| is_possible(variant, lookup));
    match (possible.next(), possible.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Whether a value may be of a variant: not of one whose data has a type without values. Where a niche tells the variants
/// apart, the compiler describes such a one with a number that means another variant.
pub fn is_possible(variant: &Variant, lookup: Lookup<'_>) -> bool {
    !is_empty(variant.data.ty, MAX_NESTING, lookup)
}

/// Types within types that are looked at to find one without values.
const MAX_NESTING: usize = 4;

/// Whether a type is known to have no values.
fn is_empty(ty: TypeRef, nesting: usize, lookup: Lookup<'_>) -> bool {
    let (Some(found), Some(nesting)) = (lookup(ty), nesting.checked_sub(1)) else {
        return false;
    };
    match &found.kind {
        TypeKind::Unit => *found.name == *"!",
        TypeKind::Enum { variants, .. } => variants
            .iter()
            .all(|variant| is_empty(variant.data.ty, nesting, lookup)),
        TypeKind::Struct { members, .. } => members
            .iter()
            .any(|member| is_empty(member.ty, nesting, lookup)),
        _ => false,
    }
}

fn pointer(ty: &Type, target: TypeRef, lookup: Lookup<'_>) -> View {
    let owns = ty.name.starts_with('&') || ty.name.starts_with("alloc::boxed::Box<");
    match lookup(target) {
        Some(found) if found.kind == TypeKind::Function => View::Code,
        Some(_) if owns => View::Reference { target },
        _ => View::Address,
    }
}

fn known(ty: &Type, lookup: Lookup<'_>) -> Option<View> {
    [table::TABLE, crates::TABLE]
        .into_iter()
        .flatten()
        .filter(|(pattern, _)| names::matches(pattern, &ty.name))
        .flat_map(|(_, layouts)| *layouts)
        .find_map(|layout| layout::fit(layout, ty, lookup))
}
