//! Layouts: what a [`View`] is made of, as paths of fields, and how they are found in a type.

use super::path::{self, Found};
use super::{
    Entry, Field, Form, Known, List, Lookup, NODE_CAPACITY, Part, Quoting, Ring, Show, Small, Spot,
    Table, Test, Tree, View, names,
};
use crate::capture::program::Node;
use crate::symbols::types::{Type, TypeKind, TypeRef};
use std::sync::Arc;

/// What makes up a [`View`], as [`path`]s. An `element` is the name of a generic parameter.
#[derive(Clone, Copy, Debug)]
pub enum Layout<'a> {
    /// UTF-8 text.
    Text { data: &'a str, length: &'a str },
    /// Text of other kinds, or behind a header.
    Bytes {
        data: &'a str,
        length: &'a str,
        quoting: Quoting,
    },
    /// Elements of the type that the data pointer points to.
    Slice { data: &'a str, length: &'a str },
    /// Elements of the type that lies at a path behind the pointer.
    Run { data: &'a str, length: &'a str },
    /// Elements of the type that a generic parameter names.
    Vector {
        data: &'a str,
        length: &'a str,
        element: &'a str,
    },
    /// A pointer of two words that is not followed: a length, or a table of methods, is the second one.
    Wide { data: &'a str, metadata: &'a str },
    /// A trait object.
    Dynamic { data: &'a str, vtable: &'a str },
    /// One of its members.
    Inner { member: &'a str },
    /// See [`Form`].
    Form {
        style: Style,
        parts: &'a [Piece<'a>],
    },
    /// What a pointer leads to, shown as itself.
    Shared { value: &'a str },
    /// What is weakly referenced, while the number of strong references is not 0.
    Weak { value: &'a str, strong: &'a str },
    /// What a cell holds whose state is 0 when it is full; of the type that the parameter `T` names.
    Once { state: &'a str, value: &'a str },
    /// See [`Known`].
    Known { known: Known, fields: &'a [&'a str] },
    /// See [`View::Payload`].
    Payload,
    /// See [`View::Name`].
    Name,
    /// See [`Ring`].
    Ring {
        data: &'a str,
        head: &'a str,
        length: &'a str,
        capacity: &'a str,
        element: &'a str,
    },
    /// See [`List`]. `next` and `item` are paths within a node.
    List {
        head: &'a str,
        length: &'a str,
        next: &'a str,
        item: &'a str,
    },
    /// See [`Small`]. The array's type is a generic parameter.
    Small {
        capacity: &'a str,
        inside: &'a str,
        data: &'a str,
        length: &'a str,
        array: &'a str,
    },
    /// See [`Table`]. `table` is the `RawTable` whose parameter `T` is the pair of key and value.
    Table { table: &'a str, set: bool },
    /// See [`Tree`]. `map` is the `BTreeMap`; empty where it is the value itself.
    Tree { map: &'a str, set: bool },
}

/// What stands around and between the parts of a [`Form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `Name { a: 1, b: 2 }`
    Struct,
    /// `Name { a: 1, .. }`
    Open,
    /// `Name(1)`
    Tuple,
    /// The parts, each after its label.
    Joined,
}

/// A [`Part`], as paths.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Name of the field, or text before it.
    pub label: &'a str,
    /// What is shown.
    pub what: What<'a>,
    /// When.
    pub when: Option<When<'a>>,
    /// What is shown otherwise.
    pub otherwise: &'a str,
}

/// What a [`Piece`] shows.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// The value at a path.
    Value(&'a str),
    /// The value at a path, which wraps one of the type that a generic parameter names, and is no larger.
    Wrapped(&'a str, &'a str),
    /// The payload of a variant of the enum at a path.
    Payload(&'a str, &'a str),
    /// Bits of the number at a path: mask and shift.
    Bits(&'a str, u64, u8),
    /// Fixed text.
    Words(&'a str),
}

/// A [`Test`] of the number at a path.
#[derive(Clone, Copy, Debug)]
pub struct When<'a> {
    pub path: &'a str,
    pub mask: u64,
    pub first: u64,
    pub last: u64,
}

/// The view that a layout gives of a type; `None` where the type has no such fields.
pub fn fit(layout: &Layout<'_>, ty: &Type, lookup: Lookup<'_>) -> Option<View> {
    Some(match *layout {
        Layout::Text { data, length } => View::Text {
            data: path::pointer(ty, data, lookup)?.0,
            length: path::count(ty, length, lookup)?,
        },
        Layout::Bytes {
            data,
            length,
            quoting,
        } => View::Bytes {
            data: behind(ty, data, lookup)?.0,
            length: path::count(ty, length, lookup)?,
            quoting,
        },
        Layout::Slice { data, length } => {
            let (data, element) = path::pointer(ty, data, lookup)?;
            View::Sequence {
                data,
                length: path::count(ty, length, lookup)?,
                element,
            }
        }
        Layout::Run { data, length } => {
            let (data, found) = behind(ty, data, lookup)?;
            View::Run {
                data,
                length: path::count(ty, length, lookup)?,
                element: found?,
            }
        }
        Layout::Vector {
            data,
            length,
            element,
        } => View::Sequence {
            data: path::pointer(ty, data, lookup)?.0,
            length: path::count(ty, length, lookup)?,
            element: parameter(ty, element)?,
        },
        Layout::Wide { data, metadata } => {
            let data = path::pointer(ty, data, lookup)?.0;
            let table = path::pointer(ty, metadata, lookup);
            View::Wide {
                data,
                metadata: match table {
                    Some((table, _)) => table,
                    None => path::count(ty, metadata, lookup)?,
                },
                object: table.is_some(),
            }
        }
        Layout::Dynamic { data, vtable } => View::Dynamic {
            data: behind(ty, data, lookup)?.0,
            vtable: path::pointer(ty, vtable, lookup)?.0,
        },
        Layout::Inner { member } => {
            let found = path::follow(ty, member, lookup)?;
            View::Inner {
                offset: path::direct(found.at)?,
                ty: found.name,
            }
        }
        Layout::Form { style, parts } => form(style, parts, ty, lookup)?,
        Layout::Shared { value } => {
            let piece = Piece {
                label: "",
                what: What::Value(value),
                when: None,
                otherwise: "",
            };
            form(Style::Joined, &[piece], ty, lookup)?
        }
        Layout::Weak { value, strong } => {
            let piece = Piece {
                label: "",
                what: What::Value(value),
                when: Some(When {
                    path: strong,
                    mask: !0,
                    first: 1,
                    last: u64::MAX,
                }),
                otherwise: "<dropped>",
            };
            form(Style::Tuple, &[piece], ty, lookup)?
        }
        Layout::Once { state, value } => {
            let piece = Piece {
                label: "",
                what: What::Wrapped(value, "T"),
                when: Some(When {
                    path: state,
                    mask: !0,
                    first: 0,
                    last: 0,
                }),
                otherwise: "<uninit>",
            };
            form(Style::Tuple, &[piece], ty, lookup)?
        }
        Layout::Known { known, fields } => View::Known {
            known,
            fields: fields
                .iter()
                .map(|path| path::field(ty, path, lookup))
                .collect::<Option<_>>()?,
        },
        Layout::Payload => {
            let TypeKind::Enum { variants, .. } = &ty.kind else {
                return None;
            };
            let single = |ty: TypeRef| {
                let found = lookup(ty)?;
                matches!(&found.kind, TypeKind::Struct { members, .. } if members.len() == 1)
                    .then_some(())
            };
            variants
                .iter()
                .map(|variant| variant.data.ty)
                .try_for_each(single)?;
            View::Payload
        }
        Layout::Name => View::Name,
        Layout::Ring {
            data,
            head,
            length,
            capacity,
            element,
        } => View::Ring(Ring {
            data: path::pointer(ty, data, lookup)?.0,
            head: path::count(ty, head, lookup)?,
            length: path::count(ty, length, lookup)?,
            capacity: path::count(ty, capacity, lookup)?,
            element: parameter(ty, element)?,
        }),
        Layout::List {
            head,
            length,
            next,
            item,
        } => {
            let (head, node) = path::pointer(ty, head, lookup)?;
            let node_type = lookup(node)?;
            let found = path::follow(&node_type, item, lookup)?;
            View::List(List {
                head,
                length: path::count(ty, length, lookup)?,
                node,
                next: path::pointer(&node_type, next, lookup)?.0,
                offset: path::direct(found.at)?,
                element: found.name,
            })
        }
        Layout::Small {
            capacity,
            inside,
            data,
            length,
            array,
        } => {
            let array = lookup(parameter(ty, array)?)?;
            let TypeKind::Array { element, count } = array.kind else {
                return None;
            };
            // Elements without a size never need more.
            let room = match lookup(element)?.size {
                0 => u64::MAX,
                _ => count,
            };
            View::Small(Small {
                capacity: path::count(ty, capacity, lookup)?,
                room,
                inside: path::direct(path::follow(ty, inside, lookup)?.at)?,
                data: path::pointer(ty, data, lookup)?.0,
                length: path::count(ty, length, lookup)?,
                element,
            })
        }
        Layout::Table { table, set } => View::Table(hash_table(table, set, ty, lookup)?),
        Layout::Tree { map, set } => View::Tree(tree(map, set, ty, lookup)?),
    })
}

/// A pointer, or what a path leads to behind one, with its type where the path says it.
fn behind(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<(Spot, Option<TypeRef>)> {
    if path.contains('*') {
        let found = path::follow(ty, path, lookup)?;
        return Some((found.at, Some(found.name)));
    }
    let (pointer, target) = path::pointer(ty, path, lookup)?;
    let spot = Spot {
        pointer: Some(pointer),
        offset: 0,
    };
    Some((spot, Some(target)))
}

fn form(style: Style, parts: &[Piece<'_>], ty: &Type, lookup: Lookup<'_>) -> Option<View> {
    let parts: Option<Vec<Part>> = parts.iter().map(|piece| part(piece, ty, lookup)).collect();
    Some(View::Form(Arc::new(Form {
        name: names::short_name(&ty.name).into(),
        style,
        parts: parts?,
    })))
}

fn part(piece: &Piece<'_>, ty: &Type, lookup: Lookup<'_>) -> Option<Part> {
    let show = match piece.what {
        What::Value(path) => {
            let Found { at, name, .. } = path::follow(ty, path, lookup)?;
            Show::Value { at, ty: name }
        }
        What::Wrapped(path, parameter) => {
            let wrapper = path::follow(ty, path, lookup)?;
            let name = self::parameter(ty, parameter)?;
            if lookup(name)?.size != wrapper.ty.size {
                return None;
            }
            Show::Value {
                at: wrapper.at,
                ty: name,
            }
        }
        What::Payload(path, variant) => {
            let Found { at, name, ty } = path::follow(ty, path, lookup)?;
            let known = matches!(&ty.kind, TypeKind::Enum { variants, .. }
                if variants.iter().any(|known| *known.name == *variant));
            if !known {
                return None;
            }
            Show::Payload {
                at,
                ty: name,
                variant: variant.into(),
            }
        }
        What::Bits(path, mask, shift) => Show::Bits {
            field: number(ty, path, lookup)?,
            mask,
            shift,
        },
        What::Words(text) => Show::Words(text.into()),
    };
    let when = match piece.when {
        Some(when) => Some(Test {
            field: number(ty, when.path, lookup)?,
            mask: when.mask,
            first: when.first,
            last: when.last,
        }),
        None => None,
    };
    Some(Part {
        label: piece.label.into(),
        show,
        when,
        otherwise: piece.otherwise.into(),
    })
}

fn number(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<Field> {
    path::field(ty, path, lookup).filter(|field| field.size <= 8)
}

fn parameter(ty: &Type, name: &str) -> Option<TypeRef> {
    let TypeKind::Struct { parameters, .. } = &ty.kind else {
        return None;
    };
    let (_, parameter) = parameters.iter().find(|(known, _)| **known == *name)?;
    Some(*parameter)
}

/// hashbrown's table: `RawTable<(K, V)>` with a `RawTableInner`.
fn hash_table(table: &str, set: bool, ty: &Type, lookup: Lookup<'_>) -> Option<Table> {
    let raw = path::follow(ty, table, lookup)?;
    let base = path::direct(raw.at)?;
    let pair = lookup(parameter(&raw.ty, "T")?)?;
    let TypeKind::Struct { members, .. } = &pair.kind else {
        return None;
    };
    let member = |name: &str| {
        let member = members.iter().find(|member| *member.name == *name)?;
        Some((member.offset, member.ty))
    };
    let entry = Entry {
        key: member("__0")?,
        value: if set { None } else { Some(member("__1")?) },
    };
    let count =
        |path: &str, lookup: Lookup<'_>| path::count(&raw.ty, path, lookup)?.checked_add(base);
    Some(Table {
        control: path::pointer(&raw.ty, "table.ctrl", lookup)?
            .0
            .checked_add(base)?,
        mask: count("table.bucket_mask", lookup)?,
        items: count("table.items", lookup)?,
        stride: pair.size,
        entry,
    })
}

/// std's B-tree: `BTreeMap<K, V>` with nodes that begin as leaves do.
fn tree(map: &str, set: bool, ty: &Type, lookup: Lookup<'_>) -> Option<Tree> {
    let (base, map) = match map {
        "" => (0, None),
        path => {
            let found = path::follow(ty, path, lookup)?;
            (path::direct(found.at)?, Some(found.ty))
        }
    };
    let map = map.as_deref().unwrap_or(ty);
    let (root, leaf) = path::pointer(map, "root.Some.__0.node", lookup)?;
    let leaf_type = lookup(leaf)?;
    let (parent, internal) = path::pointer(&leaf_type, "parent.Some.__0", lookup)?;
    let internal_type = lookup(internal)?;
    let data = path::follow(&internal_type, "data", lookup)?;
    let edges = path::follow(&internal_type, "edges", lookup)?;
    let (keys, values) = (
        path::follow(&leaf_type, "keys", lookup)?,
        path::follow(&leaf_type, "vals", lookup)?,
    );
    let (key, value) = (parameter(map, "K")?, parameter(map, "V")?);
    let holds = |array: &Found, element: TypeRef, lookup: Lookup<'_>| {
        let size = lookup(element)?.size.checked_mul(NODE_CAPACITY)?;
        let count = match array.ty.kind {
            TypeKind::Array { count, .. } => count,
            _ => return None,
        };
        (count == NODE_CAPACITY && array.ty.size == size).then_some(())
    };
    holds(&keys, key, lookup)?;
    holds(&values, value, lookup)?;
    let children =
        matches!(edges.ty.kind, TypeKind::Array { count, .. } if count == NODE_CAPACITY + 1);
    if !children || edges.ty.size != 8 * (NODE_CAPACITY + 1) || data.at.offset != 0 {
        return None;
    }
    let short = |path: &str, lookup: Lookup<'_>| {
        let field = path::field(&leaf_type, path, lookup)?;
        (field.size == 2).then_some(())?;
        u32::try_from(path::direct(field.at)?).ok()
    };
    Some(Tree {
        root: root.checked_add(base)?,
        height: path::count(map, "root.Some.__0.height", lookup)?.checked_add(base)?,
        length: path::count(map, "length", lookup)?.checked_add(base)?,
        leaf,
        internal,
        node: Node {
            parent: u32::try_from(parent).ok()?,
            position: short("parent_idx.value", lookup)?,
            length: short("len", lookup)?,
            edges: u32::try_from(path::direct(edges.at)?).ok()?,
        },
        entry: Entry {
            key: (path::direct(keys.at)?, key),
            value: if set {
                None
            } else {
                Some((path::direct(values.at)?, value))
            },
        },
    })
}
