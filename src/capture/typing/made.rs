//! What is made once, when it is first asked for: `LazyLock`, `LazyCell`, `OnceLock`, `OnceCell`. Reading makes nothing.

use super::layouts::{self, Way};
use super::{Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::typed::{Path, Refusal, Step};
use crate::symbols::types::{Type, TypeKind, TypeRef};

/// The state of a `Once` that has been (library/std/src/sys/sync/once/futex.rs).
const COMPLETE: u64 = 0;

impl Typing<'_, '_> {
    /// What a lazy value dereferences to, once it has been made; `None` for other types.
    pub(super) fn lazy(&mut self, path: &Path, ty: &Type) -> Result<Option<Path>, CompileError> {
        if let Some(value) = self.once(path, ty, layouts::LAZIES)? {
            return Ok(Some(value));
        }
        let Some(state) = self.way(path, ty, layouts::LAZY_STATES) else {
            return Ok(None);
        };
        let made = self.payload(&state, "Init", Refusal::Unmade)?;
        Ok(made.map(|(_, value)| value))
    }

    /// What `get` gives of what may be made later.
    pub(super) fn once_made(
        &mut self,
        path: &Path,
        ty: &Type,
    ) -> Result<Option<Item>, CompileError> {
        if let Some(option) = self.way(path, ty, layouts::OPTIONS) {
            return Ok(Some(Item::Place(option)));
        }
        let value = self.once(path, ty, layouts::ONCES)?;
        Ok(value.map(|value| Item::Optional(value.optional(true))))
    }

    /// The value beside a `Once`.
    fn once(
        &mut self,
        path: &Path,
        ty: &Type,
        values: &[Way],
    ) -> Result<Option<Path>, CompileError> {
        let held = self.within(path.ty, values)?;
        let (Some((held, _)), Some(value)) = (held, made(ty)) else {
            return Ok(None);
        };
        let Some((at, state)) = self.within(path.ty, layouts::ONCE_STATES)? else {
            return Ok(None);
        };
        let Ok(size) = u8::try_from(self.load(state)?.size) else {
            return Ok(None);
        };
        let step = Step::Variant {
            discriminant: Some((at, size)),
            ranges: vec![(COMPLETE, COMPLETE)],
            negated: false,
            refusal: Refusal::Unmade,
            optional: false,
        };
        let once = path.clone().then(step, path.ty);
        Ok(Some(once.then(Step::At(held), value)))
    }
}

/// The type of what is made.
fn made(ty: &Type) -> Option<TypeRef> {
    let TypeKind::Struct { parameters, .. } = &ty.kind else {
        return None;
    };
    let found = parameters.iter().find(|(name, _)| **name == *"T")?;
    Some(found.1)
}
