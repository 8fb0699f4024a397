//! Thread-locals: what `thread_local!` keeps beside a value, and when there is one.
//!
//! A value that needs no destructor and no start at run time stands alone. Others are in a `Storage`, with a state.

use super::{Typing, layouts};
use crate::capture::error::CompileError;
use crate::capture::typed::{Path, Refusal, Step};
use crate::symbols::types::{TypeKind, TypeRef};

/// What a `Storage` of std is called, up to which of both it is.
const STORAGE: &str = "std::sys::thread_local::native::";

/// A number that says in which state something is.
struct Tag {
    offset: u64,
    size: u8,
    /// Ranges of those that are meant.
    values: Vec<(u64, u64)>,
}

impl Typing<'_, '_> {
    /// What a thread-local holds, as long as it holds it; for other places the path itself.
    pub(super) fn of_thread(&mut self, path: Path) -> Result<Path, CompileError> {
        let found = self.load(path.ty)?;
        let Some(storage) = found.name.strip_prefix(STORAGE) else {
            return Ok(path);
        };
        // What is constant at the start is there from the start.
        let alive: &[&str] = match storage.starts_with("eager::") {
            true => &["Initial", "Alive"],
            false => &["Alive"],
        };
        let TypeKind::Struct { parameters, .. } = &found.kind else {
            return Err(unknown(&found.name));
        };
        let value = parameters.iter().find(|(name, _)| **name == *"T");
        let state = self.within(path.ty, layouts::THREAD_LOCAL_STATES)?;
        let (Some((_, value)), Some((at, state))) = (value, state) else {
            return Err(unknown(&found.name));
        };
        let Some(tag) = self.tag(state, alive)? else {
            return Err(unknown(&found.name));
        };
        let beside = self.within(path.ty, layouts::THREAD_LOCAL_VALUES)?;
        let held = match beside {
            Some((held, _)) => Some(held),
            None => {
                let held = self.payload_of(state, "Alive", *value)?;
                held.and_then(|held| held.checked_add(at))
            }
        };
        let offset = at.checked_add(tag.offset);
        let (Some(held), Some(offset)) = (held, offset) else {
            return Err(unknown(&found.name));
        };
        let step = Step::Variant {
            discriminant: Some((offset, tag.size)),
            ranges: tag.values,
            negated: false,
            refusal: Refusal::ThreadLocal,
            optional: false,
        };
        let ty = path.ty;
        Ok(path.then(step, ty).then(Step::At(held), *value))
    }

    /// How a state says that it is one of the variants of these names.
    fn tag(&mut self, state: TypeRef, names: &[&str]) -> Result<Option<Tag>, CompileError> {
        let found = self.load(state)?;
        let (offset, size, values): (u64, u64, Option<Vec<(u64, u64)>>) = match &found.kind {
            TypeKind::Enum {
                discriminant: Some(discriminant),
                variants,
                ..
            } => {
                let size = self.load(discriminant.ty)?.size;
                let named = variants.iter().filter(|it| names.contains(&&*it.name));
                let ranges = named.flat_map(|it| &it.values).map(|range| {
                    let first = u64::try_from(range.first).ok()?;
                    Some((first, u64::try_from(range.last).ok()?))
                });
                (discriminant.offset, size, ranges.collect())
            }
            TypeKind::Enumeration { enumerators, .. } => {
                let named = enumerators.iter().filter(|(it, _)| names.contains(&&**it));
                let values = named.map(|(_, value)| {
                    let value = u64::try_from(*value).ok()?;
                    Some((value, value))
                });
                (0, found.size, values.collect())
            }
            _ => return Ok(None),
        };
        let size = u8::try_from(size)
            .ok()
            .filter(|size| (1..=8).contains(size));
        // Where a name is missing, or has no value of its own, the layout is another one.
        let values = values.filter(|values| values.len() == names.len());
        Ok(size.zip(values).map(|(size, values)| Tag {
            offset,
            size,
            values,
        }))
    }

    /// How far into an enum a variant has the only value that is in it, if that is of the type.
    fn payload_of(
        &mut self,
        ty: TypeRef,
        name: &str,
        wanted: TypeRef,
    ) -> Result<Option<u64>, CompileError> {
        let found = self.load(ty)?;
        let TypeKind::Enum { variants, .. } = &found.kind else {
            return Ok(None);
        };
        let Some(variant) = variants.iter().find(|variant| *variant.name == *name) else {
            return Ok(None);
        };
        let data = self.load(variant.data.ty)?;
        Ok(match &data.kind {
            TypeKind::Struct { members, .. } => match members.as_slice() {
                [only] if only.ty == wanted => only.offset.checked_add(variant.data.offset),
                _ => None,
            },
            _ => None,
        })
    }
}

fn unknown(ty: &str) -> CompileError {
    CompileError::Unsupported {
        what: format!("the thread-local's `{ty}`"),
        why: "this version of the standard library keeps its value in a way that is not known here",
    }
}
