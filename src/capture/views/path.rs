//! Paths of fields: from a type to what lies inside of its values, or behind a pointer in them.
//!
//! Names are separated by dots: members of structs and unions, and variants of enums, which stand for the struct of
//! their data. One `*` in the place of a dot goes through a pointer: `ptr.pointer*value`.

use super::{Field, Lookup, Spot};
use crate::symbols::types::{Member, Type, TypeKind, TypeRef};
use std::sync::Arc;

/// Wrappers around a number that are looked through, whatever they are called.
const MAX_WRAPPERS: usize = 8;

/// What a path leads to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub at: Spot,
    /// Its type.
    pub ty: Arc<Type>,
    /// The name of its type.
    pub name: TypeRef,
}

/// Follows a path from a type.
pub fn follow(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<Found> {
    let Some((before, behind)) = path.split_once('*') else {
        return inside(ty, path, lookup);
    };
    let pointer = unwrapped(inside(ty, before, lookup)?, lookup)?;
    let target = target(&pointer)?;
    let target_type = lookup(target)?;
    let mut found = if behind.is_empty() {
        Found {
            at: Spot {
                pointer: None,
                offset: 0,
            },
            ty: target_type,
            name: target,
        }
    } else {
        inside(&target_type, behind, lookup)?
    };
    found.at.pointer = Some(pointer.at.offset);
    Some(found)
}

fn inside(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<Found> {
    let mut names = path.split('.');
    let mut found = step(ty, names.next()?, 0, lookup)?;
    for name in names {
        let ty = Arc::clone(&found.ty);
        found = step(&ty, name, found.at.offset, lookup)?;
    }
    Some(found)
}

fn step(ty: &Type, name: &str, base: u64, lookup: Lookup<'_>) -> Option<Found> {
    let named = |members: &[Member]| members.iter().find(|member| *member.name == *name).cloned();
    let member = match &ty.kind {
        TypeKind::Struct { members, .. } | TypeKind::Union { members } => named(members)?,
        TypeKind::Enum { variants, .. } => variants
            .iter()
            .find(|variant| *variant.name == *name)?
            .data
            .clone(),
        _ => return None,
    };
    Some(Found {
        at: Spot {
            pointer: None,
            offset: base.checked_add(member.offset)?,
        },
        ty: lookup(member.ty)?,
        name: member.ty,
    })
}

/// Goes through structs that are nothing but one member: `Cell`, `UnsafeCell`, `NonNull`, the types with niches.
pub fn unwrapped(mut found: Found, lookup: Lookup<'_>) -> Option<Found> {
    for _ in 0..MAX_WRAPPERS {
        let TypeKind::Struct { members, .. } = &found.ty.kind else {
            break;
        };
        let mut only = None;
        for member in members {
            let ty = lookup(member.ty)?;
            if ty.size == found.ty.size {
                only = Some((member.clone(), ty));
            } else if ty.size > 0 {
                return Some(found);
            }
        }
        let Some((member, ty)) = only else { break };
        found = Found {
            at: Spot {
                offset: found.at.offset.checked_add(member.offset)?,
                ..found.at
            },
            ty,
            name: member.ty,
        };
    }
    Some(found)
}

/// A thin pointer's target.
pub fn target(found: &Found) -> Option<TypeRef> {
    match found.ty.kind {
        TypeKind::Pointer { target } if found.ty.size == 8 => Some(target),
        _ => None,
    }
}

/// Where in the value a path leads to a pointer, and the pointer's target.
pub fn pointer(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<(u64, TypeRef)> {
    let found = unwrapped(follow(ty, path, lookup)?, lookup)?;
    let target = target(&found)?;
    direct(found.at).zip(Some(target))
}

/// Where in the value a path leads to a `usize`.
pub fn count(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<u64> {
    let found = unwrapped(follow(ty, path, lookup)?, lookup)?;
    (found.ty.kind == TypeKind::Unsigned && found.ty.size == 8)
        .then(|| direct(found.at))
        .flatten()
}

/// A number of any type, or an array of bytes, of 1 to 16 bytes.
pub fn field(ty: &Type, path: &str, lookup: Lookup<'_>) -> Option<Field> {
    let found = unwrapped(follow(ty, path, lookup)?, lookup)?;
    let scalar = matches!(
        found.ty.kind,
        TypeKind::Unsigned
            | TypeKind::Signed
            | TypeKind::Bool
            | TypeKind::Array { .. }
            | TypeKind::Enumeration { .. }
    );
    let size = u8::try_from(found.ty.size).ok()?;
    (scalar && (1..=16).contains(&size)).then_some(Field {
        at: found.at,
        ty: found.name,
        size,
    })
}

/// An offset that is within the value.
pub fn direct(spot: Spot) -> Option<u64> {
    spot.pointer.is_none().then_some(spot.offset)
}
