//! How values of a type are looked at: what is known of pointers and of the standard library, in one table.
//!
//! The table holds type-name patterns and field paths, with one line per layout that a toolchain has had. A type that
//! matches a pattern but no layout is shown by its plain structure.

use crate::symbols::types::{Member, Type, TypeKind, TypeRef};
use std::sync::Arc;

/// How to look at a value. Offsets are within the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As the type says.
    Plain,
    /// Through a pointer to its target.
    Reference { target: TypeRef },
    /// A pointer, as the number that it is.
    Address { data: u64 },
    /// A reference to a trait object.
    Dynamic { data: u64 },
    /// UTF-8 text: a pointer and a number of bytes.
    Text { data: u64, length: u64 },
    /// A pointer and a number of elements.
    Sequence {
        data: u64,
        length: u64,
        element: TypeRef,
    },
    /// As one of its members.
    Inner { offset: u64, ty: TypeRef },
}

/// What makes up a [`View`], as paths of members separated by dots.
#[derive(Clone, Copy)]
enum Layout {
    Text {
        data: &'static str,
        length: &'static str,
    },
    /// The elements' type is what the data pointer points to.
    Slice {
        data: &'static str,
        length: &'static str,
    },
    /// The elements' type is a generic parameter.
    Vector {
        data: &'static str,
        length: &'static str,
        element: &'static str,
    },
    Address {
        data: &'static str,
    },
    Dynamic {
        data: &'static str,
    },
    Inner {
        member: &'static str,
    },
}

const FAT_TEXT: Layout = Layout::Text {
    data: "data_ptr",
    length: "length",
};
const FAT_SLICE: Layout = Layout::Slice {
    data: "data_ptr",
    length: "length",
};
const FAT_ADDRESS: Layout = Layout::Address { data: "data_ptr" };
const FAT_DYNAMIC: Layout = Layout::Dynamic { data: "pointer" };

/// Structs by name; a `*` at the end of a pattern stands for anything.
const TABLE: &[(&str, &[Layout])] = &[
    ("&str", &[FAT_TEXT]),
    ("&mut str", &[FAT_TEXT]),
    ("alloc::boxed::Box<str*", &[FAT_TEXT]),
    ("&[*", &[FAT_SLICE]),
    ("&mut [*", &[FAT_SLICE]),
    ("alloc::boxed::Box<[*", &[FAT_SLICE]),
    ("*const [*", &[FAT_ADDRESS]),
    ("*mut [*", &[FAT_ADDRESS]),
    ("*const str", &[FAT_ADDRESS]),
    ("*mut str", &[FAT_ADDRESS]),
    ("&dyn *", &[FAT_DYNAMIC]),
    ("&mut dyn *", &[FAT_DYNAMIC]),
    ("alloc::boxed::Box<dyn *", &[FAT_DYNAMIC]),
    ("*const dyn *", &[FAT_DYNAMIC]),
    ("*mut dyn *", &[FAT_DYNAMIC]),
    (
        "alloc::string::String",
        &[
            Layout::Text {
                data: "vec.buf.inner.ptr.pointer.pointer",
                length: "vec.len",
            },
            // Before 1.83.
            Layout::Text {
                data: "vec.buf.ptr.pointer.pointer",
                length: "vec.len",
            },
        ],
    ),
    (
        "alloc::vec::Vec<*",
        &[
            Layout::Vector {
                data: "buf.inner.ptr.pointer.pointer",
                length: "len",
                element: "T",
            },
            // Before 1.83.
            Layout::Vector {
                data: "buf.ptr.pointer.pointer",
                length: "len",
                element: "T",
            },
        ],
    ),
    (
        "core::ptr::non_null::NonNull<*",
        &[Layout::Inner { member: "pointer" }],
    ),
    (
        "core::ptr::unique::Unique<*",
        &[Layout::Inner { member: "pointer" }],
    ),
];

/// Finds types by name.
pub type Lookup<'a> = &'a mut dyn FnMut(TypeRef) -> Option<Arc<Type>>;

/// How to look at values of a type.
pub fn view(ty: &Type, lookup: Lookup<'_>) -> View {
    match &ty.kind {
        TypeKind::Pointer { target } => {
            let owns = ty.name.starts_with('&') || ty.name.starts_with("alloc::boxed::Box<");
            match lookup(*target) {
                Some(found) if owns && found.kind != TypeKind::Function => {
                    View::Reference { target: *target }
                }
                _ => View::Address { data: 0 },
            }
        }
        TypeKind::Struct {
            members,
            parameters,
        } => TABLE
            .iter()
            .filter(|(pattern, _)| matches(pattern, &ty.name))
            .flat_map(|(_, layouts)| *layouts)
            .find_map(|layout| fit(*layout, members, parameters, lookup))
            .unwrap_or(View::Plain),
        _ => View::Plain,
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

fn fit(
    layout: Layout,
    members: &[Member],
    parameters: &[(Box<str>, TypeRef)],
    lookup: Lookup<'_>,
) -> Option<View> {
    let mut find = |path: &str| find(members, path, lookup);
    Some(match layout {
        Layout::Text { data, length } => View::Text {
            data: pointer(find(data)?)?.0,
            length: count(find(length)?)?,
        },
        Layout::Slice { data, length } => {
            let (data, element) = pointer(find(data)?)?;
            View::Sequence {
                data,
                length: count(find(length)?)?,
                element,
            }
        }
        Layout::Vector {
            data,
            length,
            element,
        } => {
            let (_, element) = parameters.iter().find(|(name, _)| **name == *element)?;
            View::Sequence {
                data: pointer(find(data)?)?.0,
                length: count(find(length)?)?,
                element: *element,
            }
        }
        Layout::Address { data } => View::Address {
            data: pointer(find(data)?)?.0,
        },
        Layout::Dynamic { data } => View::Dynamic {
            data: pointer(find(data)?)?.0,
        },
        Layout::Inner { member } => {
            let (offset, _, ty) = find(member)?;
            View::Inner { offset, ty }
        }
    })
}

type Found = (u64, Arc<Type>, TypeRef);

/// Follows a path of members.
fn find(members: &[Member], path: &str, lookup: Lookup<'_>) -> Option<Found> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let member = members.iter().find(|member| *member.name == *first)?;
    let ty = lookup(member.ty)?;
    let Some(rest) = rest else {
        return Some((member.offset, ty, member.ty));
    };
    let TypeKind::Struct { members, .. } = &ty.kind else {
        return None;
    };
    let (offset, ty, name) = find(members, rest, lookup)?;
    Some((member.offset.checked_add(offset)?, ty, name))
}

fn pointer((offset, ty, _): Found) -> Option<(u64, TypeRef)> {
    match ty.kind {
        TypeKind::Pointer { target } if ty.size == 8 => Some((offset, target)),
        _ => None,
    }
}

fn count((offset, ty, _): Found) -> Option<u64> {
    (ty.kind == TypeKind::Unsigned && ty.size == 8).then_some(offset)
}

/// The last segment of a type's path, without arguments: what `{:?}` calls it.
pub fn short_name(path: &str) -> &str {
    let mut depth = 0usize;
    let mut start = 0;
    let mut end = path.len();
    let mut previous = ' ';
    for (at, c) in path.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => {
                if c == '<' && depth == 0 && end == path.len() {
                    end = at;
                }
                depth += 1;
            }
            // The arrow of a function type closes nothing.
            '>' if previous == '-' => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if previous == ':' && depth == 0 => {
                start = at + 1;
                end = path.len();
            }
            _ => {}
        }
        previous = c;
    }
    path.get(start..end).unwrap_or(path)
}
