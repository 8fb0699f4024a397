//! Which file of the debug information a client means.

use std::collections::BTreeMap;

use crate::symbols::error::LineError;
use crate::symbols::lines::{self, Mention};
use crate::symbols::module::Module;
use crate::symbols::path::{self, Fit};

/// The mentions of the file that fits best, by module.
pub(super) fn find_file(
    modules: &[Option<Module>],
    asked: &str,
) -> Result<(String, BTreeMap<usize, Vec<Mention>>), LineError> {
    let parts = path::components(asked);
    let name = parts.last().copied().unwrap_or_default();
    let mut best: Option<Fit> = None;
    // By identity: the first spelling, and where it is mentioned.
    let mut files: BTreeMap<String, (String, BTreeMap<usize, Vec<Mention>>)> = BTreeMap::new();
    if !name.is_empty() {
        for (index, module) in modules.iter().enumerate() {
            let Some(module) = module.as_ref().filter(|module| module.missing().is_none()) else {
                continue;
            };
            lines::mentions(module, &module.dwarf(), name, |mention| {
                let fit = path::fit(&parts, &path::components(&mention.path));
                if fit > best {
                    best = fit;
                    files.clear();
                }
                if fit == best {
                    let identity = path::identity(&mention.path).to_owned();
                    let (_, by_module) = files
                        .entry(identity)
                        .or_insert_with(|| (mention.path.clone(), BTreeMap::new()));
                    by_module.entry(index).or_default().push(mention);
                }
            });
        }
    }
    let is_found = matches!(best, Some(Fit::Tail(_)));
    if is_found && files.values().any(|(path, _)| !is_detrix_source(path)) {
        files.retain(|_, (path, _)| !is_detrix_source(path));
    }
    let spellings =
        |files: BTreeMap<String, (String, _)>| files.into_values().map(|(path, _)| path).collect();
    match best {
        Some(Fit::Tail(_)) if files.len() > 1 => Err(LineError::AmbiguousPath {
            path: asked.to_owned(),
            files: spellings(files),
        }),
        Some(Fit::Tail(_)) => Ok(files.pop_first().map(|(_, file)| file).unwrap_or_default()),
        Some(Fit::NameOnly) | None => Err(LineError::NoSuchFile {
            path: asked.to_owned(),
            similar: spellings(files),
            missing: modules
                .first()
                .and_then(|m| m.as_ref())
                .and_then(Module::missing_in_units),
        }),
    }
}

/// Whether it is one of detrix's own files: nobody means these, where there is another one of that name.
fn is_detrix_source(path: &str) -> bool {
    path.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/"))
}
