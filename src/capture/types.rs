//! The types that one logpoint needs.

use super::views::{self, View};
use crate::symbols::types::{Implementor, Type, TypeError, TypeRef, TypeSource};
use crate::type_view::TypeView;
use std::collections::HashMap;
use std::sync::Arc;

/// Types by name, and how they are looked at; what rendering needs of the debug information, and all that is kept of it.
#[derive(Clone, Debug, Default)]
pub struct Types {
    known: HashMap<TypeRef, Arc<Type>>,
    views: HashMap<TypeRef, Arc<View>>,
    implementors: HashMap<TypeRef, Arc<[Implementor]>>,
    own: Arc<[TypeView]>,
}

impl Types {
    /// A type that was loaded before.
    pub fn get(&self, ty: TypeRef) -> Option<Arc<Type>> {
        self.known.get(&ty).cloned()
    }

    /// How to look at values of a type that was loaded before.
    pub fn view(&self, name: TypeRef, ty: &Type) -> Arc<View> {
        match self.views.get(&name) {
            Some(view) => Arc::clone(view),
            None => {
                let view = views::view(ty, &self.own, &mut |ty| self.get(ty));
                // Whether the version is right cannot be asked here.
                Arc::new(match views::crates::needs(&view) {
                    Some(_) => View::Plain,
                    None => view,
                })
            }
        }
    }

    /// The type that a table of methods belongs to.
    pub fn implementor(&self, object: TypeRef, vtable: u64) -> Option<TypeRef> {
        self.implementors
            .get(&object)?
            .iter()
            .find(|implementor| implementor.vtable == vtable)
            .map(|implementor| implementor.ty)
    }
}

/// Loads types once each.
pub struct Loader<'a> {
    source: &'a dyn TypeSource,
    types: Types,
}

impl<'a> Loader<'a> {
    /// An empty collection over `source`, with the user's own views.
    pub fn new(source: &'a dyn TypeSource, own: Arc<[TypeView]>) -> Self {
        Self {
            source,
            types: Types {
                own,
                ..Types::default()
            },
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

    /// How to look at values of a type.
    ///
    /// # Errors
    ///
    /// Those of [`TypeSource::load`].
    pub fn view(&mut self, name: TypeRef) -> Result<Arc<View>, TypeError> {
        if let Some(known) = self.types.views.get(&name) {
            return Ok(Arc::clone(known));
        }
        let ty = self.load(name)?;
        let mut view = self.view_of(&ty);
        if let Some((package, versions)) = views::crates::needs(&view) {
            let version = self.source.package_version(name.module, package);
            if !version.is_some_and(|version| versions.contains(&version)) {
                view = View::Plain;
            }
        }
        let view = Arc::new(view);
        self.types.views.insert(name, Arc::clone(&view));
        Ok(view)
    }

    /// Whether the user of the library has said how values of a type are shown: its methods are code of the program.
    pub fn is_shown_by_users(&self, ty: &Type) -> bool {
        let mut own = self.types.own.iter();
        own.any(|view| views::is_for(view, ty))
    }

    /// As [`Self::view`], for a type whose name is not at hand.
    pub fn view_of(&mut self, ty: &Type) -> View {
        let own = Arc::clone(&self.types.own);
        views::view(ty, &own, &mut |ty| self.load(ty).ok())
    }

    /// The concrete types of trait objects, by the type of the reference to one.
    pub fn implementors(&mut self, object: TypeRef, name: &str) -> Arc<[Implementor]> {
        if let Some(known) = self.types.implementors.get(&object) {
            return Arc::clone(known);
        }
        let found: Arc<[Implementor]> = match views::names::object_trait(name) {
            Some(path) => {
                let path = views::names::without_bindings(path);
                self.source.implementors(object.module, &path).into()
            }
            None => Arc::default(),
        };
        self.types.implementors.insert(object, Arc::clone(&found));
        found
    }

    /// All that was loaded.
    pub fn into_types(self) -> Types {
        self.types
    }
}
