//! What the program's own debug information says: modules, lines, functions, scopes, types.
//!
//! Reads DWARF and nothing else: no ptrace, no running code. Addresses that leave this layer are addresses of the
//! running process, load bias included; inside of it, addresses are those of the file.
//!
//! [`Symbols::load`] maps the files of the executable and its libraries. [`Symbols::file`] leads from a source line
//! to addresses ([`lookup`]), [`Symbols::scope_at`] from an address to its variables with their types and places, and
//! [`TypeSource::load`] from one type to the next. Nothing is indexed ahead and little is kept: see [`module`].

mod code;
mod coroutine;
mod declaration;
pub mod error;
mod flow;
mod functions;
mod lines;
mod loaded;
mod location;
pub mod lookup;
mod map;
mod module;
#[cfg(any(test, fuzzing, feature = "_survey"))]
mod offline;
mod optimized;
pub mod overview;
mod packages;
mod path;
pub mod place;
mod pointee;
#[cfg(feature = "_survey")]
pub mod readable;
mod recent;
pub mod scope;
mod shapes;
mod stack;
mod statics;
mod thread_locals;
pub mod types;
mod unwind;
mod variables;
mod vtables;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use self::declaration::Declaration;
use self::error::{LineError, MissingInfo, SymbolError};
use self::loaded::Loaded;
use self::lookup::SourceFile;
use self::module::Module;
use self::scope::{Scope, Variable};
pub use self::statics::IMPL;
use self::types::{Implementor, Type, TypeError, TypeRef, TypeSource};

/// The debug information of the running process.
///
/// Holds mappings of files, and small caches; dropping it gives all back.
pub struct Symbols {
    /// By index of [`TypeRef::module`]. A place is never used again, so that a type of a library that is gone cannot
    /// be taken for one of another.
    modules: Vec<Option<Module>>,
    /// What each module was when it was opened, and why it could not be, in the same order.
    loaded: Vec<(Loaded, Option<MissingInfo>)>,
    generation: (u64, u64),
    /// Of traits that were asked for, by module and path.
    implementors: Mutex<HashMap<(u32, String), Vec<Implementor>>>,
}

/// The function that has the code at an address, whatever is inlined into it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionAt {
    /// Its path: `detrix::engine::tracer::run`.
    pub name: String,
    /// The contiguous code that contains the address, as addresses of the process.
    pub range: Range<u64>,
}

/// A run of executable memory that belongs to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Addresses of the process.
    pub range: Range<u64>,
    /// Where the file can be opened: `/proc/self/exe`, or a library's path.
    pub file: PathBuf,
}

/// A module without usable debug information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleMissing {
    /// Path of the executable or library.
    pub module: String,
    /// What is missing.
    pub reason: MissingInfo,
}

impl Symbols {
    /// Maps the executable and all loaded libraries.
    ///
    /// # Errors
    ///
    /// [`SymbolError::Missing`] where the executable itself cannot be read. A library that cannot is left out.
    pub fn load() -> Result<Self, SymbolError> {
        let generation = loaded::generation();
        let mut symbols = Self {
            modules: Vec::new(),
            loaded: Vec::new(),
            generation,
            implementors: Mutex::default(),
        };
        for loaded in loaded::list() {
            symbols.add(loaded);
        }
        match symbols.loaded.first() {
            Some((executable, Some(reason))) => Err(SymbolError::Missing {
                module: executable.name.clone(),
                reason: reason.clone(),
            }),
            _ => Ok(symbols),
        }
    }

    /// Looks for libraries that came or went, and for files that were written to, and returns whether there were any. Costs
    /// next to nothing if not.
    pub fn refresh(&mut self) -> bool {
        let written = self.drop_written();
        let generation = loaded::generation();
        if generation == self.generation {
            return written;
        }
        self.generation = generation;
        let mut now = loaded::list();
        for (module, (loaded, why)) in self.modules.iter_mut().zip(&mut self.loaded) {
            match now.iter().position(|other| other == loaded) {
                Some(same) => drop(now.swap_remove(same)),
                None => {
                    // Without text it has no addresses, and equals nothing that is loaded later at the same place.
                    (*module, *why) = (None, None);
                    loaded.text.clear();
                }
            }
        }
        for loaded in now {
            self.add(loaded);
        }
        true
    }

    /// Whether the same libraries are loaded as [`Symbols::refresh`] saw last.
    pub fn are_current(&self) -> bool {
        loaded::generation() == self.generation
    }

    /// Whether an address is in the executable, which nobody can unload.
    pub fn is_in_executable(&self, address: u64) -> bool {
        let executable = self.loaded.first();
        executable
            .is_some_and(|(loaded, _)| loaded.text.iter().any(|range| range.contains(&address)))
    }

    /// The source file that a client means by `path`, to look lines up in.
    ///
    /// # Errors
    ///
    /// [`LineError`], with what the user can change.
    pub fn file(&self, path: &str) -> Result<SourceFile<'_>, LineError> {
        SourceFile::find(&self.modules, path)
    }

    /// What is visible at an address of the process.
    ///
    /// # Errors
    ///
    /// [`SymbolError`] where the address has no function, or its module no debug information.
    pub fn scope_at(&self, address: u64) -> Result<Scope, SymbolError> {
        self.scope(address, false)
    }

    /// As [`scope_at`](Self::scope_at), with the names of the functions that the address is in.
    pub fn named_scope_at(&self, address: u64) -> Result<Scope, SymbolError> {
        self.scope(address, true)
    }

    fn scope(&self, address: u64, named: bool) -> Result<Scope, SymbolError> {
        let (index, module) = self
            .module_at(address)
            .ok_or(SymbolError::NoModule(address))?;
        let scope = variables::scope_at(&self.modules, index, module, address, named);
        match scope {
            Err(SymbolError::NoFunction(_)) => match module.missing_in_units() {
                Some(reason) => Err(module.missing_error(reason)),
                None => scope,
            },
            other => other,
        }
    }

    /// The function that has the code at an address of the process.
    pub fn function_at(&self, address: u64) -> Option<FunctionAt> {
        let (_, module) = self.module_at(address)?;
        let dwarf = module.dwarf();
        let file_address = module.to_file(address);
        let unit = module
            .unit(&dwarf, module.unit_of_address(&dwarf, file_address)?)
            .ok()?;
        let (entry, range) = module.functions(&dwarf, &unit).ok()?.at(file_address)?;
        let name = Declaration::read(module, &dwarf, &unit, entry).ok()?.path;
        Some(FunctionAt {
            name,
            range: module.to_runtime(range.start)..module.to_runtime(range.end),
        })
    }

    /// The statics or thread-locals that have a path, crate first, in the module with the code at an address. None also
    /// for constants, of which the compiler tells nothing.
    ///
    /// `krate` is the [crate](Self::crate_at) to look in; others may have the same name.
    pub fn statics_at(&self, address: u64, path: &[String], krate: Option<&str>) -> Vec<Variable> {
        match self.module_at(address) {
            Some((index, module)) => statics::find(index, module, path, krate),
            None => Vec::new(),
        }
    }

    /// What tells the crate with the code at an address from others, if that can be the crate of that name: code of another
    /// crate may have been compiled with it.
    pub fn crate_at(&self, address: u64, name: &str) -> Option<String> {
        let (_, module) = self.module_at(address)?;
        let dwarf = module.dwarf();
        let unit = module.unit_of_address(&dwarf, module.to_file(address))?;
        statics::crate_of(&module.unit(&dwarf, unit).ok()?, name)
    }

    /// All executable memory that belongs to modules, debug information or not.
    pub fn text(&self) -> impl Iterator<Item = Text> {
        self.loaded.iter().flat_map(|(loaded, _)| {
            loaded.text.iter().map(|range| Text {
                range: range.clone(),
                file: loaded.path.clone(),
            })
        })
    }

    /// The executable memory around an address, if that belongs to a module.
    pub fn text_at(&self, address: u64) -> Option<Range<u64>> {
        self.text()
            .map(|text| text.range)
            .find(|range| range.contains(&address))
    }

    /// The modules that lines cannot be found in, or variables not, and why.
    pub fn missing_info(&self) -> Vec<ModuleMissing> {
        let reasons = self
            .loaded
            .iter()
            .zip(&self.modules)
            .map(|((loaded, why), module)| {
                let reason = why
                    .clone()
                    .or_else(|| module.as_ref().and_then(Module::missing_in_units));
                Some(ModuleMissing {
                    module: loaded.name.clone(),
                    reason: reason?,
                })
            });
        reasons.flatten().collect()
    }

    /// Drops what was read of files that are not any more what was loaded.
    fn drop_written(&mut self) -> bool {
        let mut any = false;
        for (module, (_, why)) in self.modules.iter_mut().zip(&mut self.loaded) {
            if module.as_ref().is_some_and(|module| !module.is_as_opened()) {
                (*module, *why) = (None, Some(MissingInfo::Replaced));
                any = true;
            }
        }
        any
    }

    fn add(&mut self, loaded: Loaded) {
        let (module, why) = match Module::open(&loaded) {
            Ok(module) => (Some(module), None),
            Err(why) => (None, Some(why)),
        };
        self.modules.push(module);
        self.loaded.push((loaded, why));
    }

    fn module_at(&self, address: u64) -> Option<(u32, &Module)> {
        let modules = self.modules.iter().enumerate();
        let mut here = modules
            .filter_map(|(index, module)| Some((u32::try_from(index).ok()?, module.as_ref()?)));
        here.find(|(_, module)| module.contains(address))
    }
}

impl TypeSource for Symbols {
    fn load(&self, entry: TypeRef) -> Result<Type, TypeError> {
        shapes::load(&self.modules, entry)
    }

    fn package_version(&self, module: u32, package: &str) -> Option<[u32; 3]> {
        let found = self.modules.get(module as usize)?.as_ref()?;
        packages::version(found, package)
    }

    fn implementors(&self, module: u32, trait_path: &str) -> Vec<Implementor> {
        let Some(Some(found)) = self.modules.get(module as usize) else {
            return Vec::new();
        };
        // A place in the list of modules is never used again, so what is known stays right.
        let mut known = self
            .implementors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .entry((module, trait_path.to_owned()))
            .or_insert_with(|| vtables::implementors(found, module, trait_path))
            .clone()
    }
}
