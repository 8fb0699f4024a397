//! What rustc's coroutines, which `async fn`s and blocks become, keep between two polls.
//!
//! A local that is alive at an `.await` has one place in the coroutine for all of its life; each `SuspendN` variant
//! names those that are alive while the coroutine waits there (`rustc_mir_transform::coroutine`). So the place of a
//! local is found by its name, whatever the coroutine is doing. Its `__state` is never asked: while the coroutine runs
//! it says where it last waited.

use std::collections::BTreeSet;

use super::module::Module;
use super::shapes;
use super::types::{Member, Type, TypeKind, TypeRef};

/// The layout of a coroutine.
pub struct Coroutine {
    /// Where the number of the state is.
    state: u64,
    /// What it was made with: arguments, captured variables.
    captures: Vec<Member>,
    waits: Vec<Wait>,
}

/// One `.await`.
struct Wait {
    /// The number of the state; `None` where it is not one.
    state: Option<u64>,
    line: Option<u64>,
    /// Whether the line is of the coroutine's own file, and not of a macro's.
    own: bool,
    /// The locals that are kept while it waits there.
    members: Vec<Member>,
}

impl Coroutine {
    /// The coroutine that a type is, if it is one.
    pub fn load(modules: &[Option<Module>], ty: TypeRef) -> Option<Self> {
        let TypeKind::Enum {
            discriminant: Some(state),
            variants,
            ..
        } = shapes::load(modules, ty).ok()?.kind
        else {
            return None;
        };
        if &*state.name != "__state" {
            return None;
        }
        let mut all = Vec::new();
        for variant in variants {
            let shape = shapes::load(modules, variant.data.ty).ok()?;
            let TypeKind::Struct { members, .. } = shape.kind else {
                return None;
            };
            let members = members.into_iter().map(|member| Member {
                offset: member.offset.saturating_add(variant.data.offset),
                ..member
            });
            let state = match variant.values.as_slice() {
                [only] if only.first == only.last => u64::try_from(only.first).ok(),
                _ => None,
            };
            all.push((
                shape.name,
                (variant.line, variant.file),
                (state, members.collect::<Vec<_>>()),
            ));
        }
        // Each variant names the captures again.
        let fresh = |name: &str| name.ends_with("::Unresumed");
        let (_, (_, file), (_, captures)) = all.iter().find(|(name, ..)| fresh(name))?.clone();
        let waits = all
            .into_iter()
            .filter(|(name, ..)| name.contains("::Suspend"))
            .map(|(_, (line, at), (state, mut members))| {
                members.retain(|member| !captures.contains(member));
                Wait {
                    state,
                    line,
                    own: file.is_some() && at == file,
                    members,
                }
            })
            .collect();
        Some(Self {
            state: state.offset,
            captures,
            waits,
        })
    }

    /// The place of a captured variable.
    pub fn capture(&self, name: &str) -> Option<Member> {
        let mut all = self.captures.iter().filter(|member| &*member.name == name);
        let first = all.next()?;
        all.next().is_none().then(|| first.clone())
    }

    /// The place of a local that is alive at an `.await`, by its name and type. `None` where there is none or more than one,
    /// and where others use its bytes when it is not alive: what has been moved away may be overwritten.
    pub fn local(
        &self,
        modules: &[Option<Module>],
        name: &str,
        is_type: impl Fn(TypeRef) -> bool,
    ) -> Option<Member> {
        let kept = self.waits.iter().flat_map(|wait| &wait.members);
        let named = |member: &&Member| &*member.name == name && is_type(member.ty);
        let mut all = kept.clone().filter(named);
        let first = all.next()?;
        if all.any(|other| (other.offset, other.ty) != (first.offset, first.ty)) {
            return None;
        }
        let end = |member: &Member| {
            let size = shapes::load(modules, member.ty).ok()?.size;
            member.offset.checked_add(size)
        };
        let last = end(first)?;
        let shared = kept
            .filter(|other| !named(other))
            .any(|other| other.offset < last && end(other).is_none_or(|end| first.offset < end));
        (!shared).then(|| first.clone())
    }

    /// Where the number of the state is, and the numbers of those in which a local is alive.
    pub fn alive(&self, local: &Member) -> (u64, Vec<u64>) {
        let waits = self.waits.iter();
        let alive = waits.filter(|wait| wait.members.contains(local));
        (self.state, alive.filter_map(|wait| wait.state).collect())
    }

    /// The last line of an `.await` at which a local is alive: from its declaration to there, all lines are in its scope.
    pub fn last_line(&self, name: &str, is_type: impl Fn(TypeRef) -> bool) -> Option<u64> {
        let alive = self.waits.iter().filter(|wait| {
            let mut members = wait.members.iter();
            wait.own && members.any(|member| &*member.name == name && is_type(member.ty))
        });
        alive.filter_map(|wait| wait.line).max()
    }

    /// Where the coroutine that is awaited at a line is kept, if it is of this type.
    pub fn awaited(&self, line: u64, ty: TypeRef) -> Option<u64> {
        let here = self.waits.iter().filter(|wait| wait.line == Some(line));
        let members = here.flat_map(|wait| &wait.members);
        let offsets: BTreeSet<u64> = members
            .filter(|member| &*member.name == "__awaitee" && member.ty == ty)
            .map(|member| member.offset)
            .collect();
        match offsets.len() {
            1 => offsets.first().copied(),
            _ => None,
        }
    }
}

/// What a `Pin<&mut T>` points to.
pub fn pinned(modules: &[Option<Module>], ty: TypeRef) -> Option<TypeRef> {
    let Type {
        name,
        kind: TypeKind::Struct { members, .. },
        ..
    } = shapes::load(modules, ty).ok()?
    else {
        return None;
    };
    let [pointer] = members.as_slice() else {
        return None;
    };
    match shapes::load(modules, pointer.ty).ok()?.kind {
        TypeKind::Pointer { target } if name.starts_with("core::pin::Pin<") => Some(target),
        _ => None,
    }
}
