//! The types that one logpoint needs.

use crate::symbols::types::{Type, TypeError, TypeRef, TypeSource};
use std::collections::HashMap;
use std::sync::Arc;

/// Types by name; what rendering needs of the debug information, and all that is kept of it.
#[derive(Clone, Debug, Default)]
pub struct Types {
    known: HashMap<TypeRef, Arc<Type>>,
}

impl Types {
    /// A type that was loaded before.
    pub fn get(&self, ty: TypeRef) -> Option<Arc<Type>> {
        self.known.get(&ty).cloned()
    }
}

/// Loads types once each.
pub struct Loader<'a> {
    source: &'a dyn TypeSource,
    types: Types,
}

impl<'a> Loader<'a> {
    /// An empty collection over `source`.
    pub fn new(source: &'a dyn TypeSource) -> Self {
        Self {
            source,
            types: Types::default(),
        }
    }

    /// A type.
    ///
    /// # Errors
    ///
    /// Those of [`TypeSource::load`].
    pub fn load(&mut self, ty: TypeRef) -> Result<Arc<Type>, TypeError> {
        if let Some(known) = self.types.get(ty) {
            return Ok(known);
        }
        let loaded = Arc::new(self.source.load(ty)?);
        self.types.known.insert(ty, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// All that was loaded.
    pub fn into_types(self) -> Types {
        self.types
    }
}
