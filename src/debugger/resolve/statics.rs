//! The statics that a logpoint names, as variables of its scope.
//!
//! Debug information tells no `use`. A lone name is that of a static of the function's own body or module; one of a module
//! around that may have been imported, or be hidden by a constant, and is not taken.

use std::collections::HashMap;
use std::ops::Range;

use crate::capture::logpoint::Logpoint;
use crate::symbols::error::SymbolError;
use crate::symbols::lookup::LineAddress;
use crate::symbols::scope::{Scope, Unclear, Variable};
use crate::symbols::{IMPL, Symbols};

/// Looks each static up once for all places of a line.
pub struct Statics<'s> {
    symbols: &'s Symbols,
    /// As the logpoint has them.
    wanted: Vec<Vec<String>>,
    /// Whether it has any name at all.
    names: bool,
    found: HashMap<Key, Vec<Variable>>,
}

/// Where a module's code begins, the crate to look in, and a whole path.
type Key = (u64, Option<String>, Vec<String>);

impl<'s> Statics<'s> {
    /// Those of a logpoint.
    pub fn new(symbols: &'s Symbols, logpoint: &Logpoint<'_>) -> Self {
        Self {
            symbols,
            wanted: logpoint.statics(),
            names: !logpoint.names().is_empty(),
            found: HashMap::new(),
        }
    }

    /// What is visible at an address, as far as the logpoint asks for it.
    pub fn scope_at(&self, address: u64) -> Result<Scope, SymbolError> {
        match self.names {
            true => self.symbols.named_scope_at(address),
            false => self.symbols.scope_at(address),
        }
    }

    /// Adds those that are meant at a place to its scope, behind all variables, and which may be.
    pub fn add(&mut self, at: &LineAddress, text: &Range<u64>, scope: &mut Scope) {
        let wanted = std::mem::take(&mut self.wanted);
        for path in &wanted {
            let name = path.join("::");
            if scope.variables.iter().any(|known| *known.name == *name) {
                continue;
            }
            match self.meant(path, at, text) {
                Ok(found) => scope.variables.extend(found.map(|found| Variable {
                    name: name.into(),
                    ..found
                })),
                Err(why) => scope.unclear.push(Unclear { name, why }),
            }
        }
        self.wanted = wanted;
    }

    /// The static of a path; the error says why that is not sure.
    fn meant(
        &mut self,
        path: &[String],
        at: &LineAddress,
        text: &Range<u64>,
    ) -> Result<Option<Variable>, String> {
        let function = segments(&at.function);
        let name = function.first();
        let krate = name.and_then(|name| self.symbols.crate_at(at.address, name));
        let mut find = |path: Vec<String>, krate: &Option<String>| {
            let key = (text.start, krate.clone(), path);
            let find = |key: &Key| {
                self.symbols
                    .statics_at(at.address, &key.2, key.1.as_deref())
            };
            let found = self.found.entry(key);
            let found = found.or_insert_with_key(find);
            found.clone()
        };
        let candidates = Candidates::new(path, &function);
        let all: Vec<Vec<String>> = [&candidates.here[..], &candidates.around].concat();
        let here = candidates.here.into_iter().map(|path| (path, &krate));
        for (path, krate) in here.chain(candidates.anywhere.map(|path| (path, &None))) {
            let mut found = find(path.clone(), krate);
            match found.len() {
                0 => {}
                1 if candidates.doubtful.contains(&path) => {
                    return Err(match path.iter().any(|segment| segment == IMPL) {
                        true => "it may be of another type's method of that name".to_owned(),
                        false => written(
                            "it may be of the function's body, or of a module of the function's name",
                            &path,
                        ),
                    });
                }
                1 => return Ok(found.pop()),
                _ => return Err("several statics have that path; nothing tells which".to_owned()),
            }
        }
        for path in candidates.around {
            if !find(path.clone(), &krate).is_empty() {
                return Err(written(
                    "the function's own module has none, and debug information tells no `use`",
                    &path,
                ));
            }
        }
        match all
            .into_iter()
            .find(|path| !find(path.clone(), &None).is_empty())
        {
            Some(path) => Err(format!(
                "another crate may have the static that this code means; write `{}` if that is meant",
                path.join("::")
            )),
            None => Ok(None),
        }
    }
}

/// Why a static is not taken, and how it is.
fn written(why: &str, path: &[String]) -> String {
    let rest = path.get(1..).unwrap_or_default().join("::");
    format!("{why}; write `crate::{rest}` if that is meant")
}

/// The whole paths that a path may stand for in a function.
struct Candidates {
    /// Where Rust looks, from the inside out.
    here: Vec<Vec<String>>,
    /// Those of them that may be of something else with that path: a module that has a function's name, or another type that
    /// has a method of that name.
    doubtful: Vec<Vec<String>>,
    /// Where Rust does as well, if the first word names another crate.
    anywhere: Option<Vec<String>>,
    /// Where it does not look.
    around: Vec<Vec<String>>,
}

impl Candidates {
    fn new(path: &[String], function: &[String]) -> Self {
        let module = function.get(..depth_of_module(function));
        let module = module.unwrap_or_default();
        let within = |space: &[String], path: &[String]| [space, path].concat();
        let modules = |deepest: usize, path: &[String]| -> Vec<Vec<String>> {
            let spaces = (1..=deepest).rev().filter_map(|depth| module.get(..depth));
            spaces.map(|space| within(space, path)).collect()
        };
        let only = |mut spaces: Vec<Vec<String>>| Self {
            around: spaces.split_off(spaces.len().min(1)),
            here: spaces,
            doubtful: Vec::new(),
            anywhere: None,
        };
        let climbs = path.iter().take_while(|word| *word == "super").count();
        match path {
            [first, rest @ ..] if first == "crate" => {
                only(vec![within(module.get(..1).unwrap_or_default(), rest)])
            }
            [first, rest @ ..] if first == "self" => only(modules(module.len(), rest)),
            _ if climbs > 0 => {
                let rest = path.get(climbs..).unwrap_or_default();
                only(modules(module.len().saturating_sub(climbs), rest))
            }
            [_] => {
                let found = only(modules(module.len(), path));
                let bodies = (module.len() + 1..=function.len()).rev();
                let bodies = bodies.filter_map(|depth| function.get(..depth));
                let bodies = bodies.map(|body| within(&declared(body), path));
                let bodies: Vec<Vec<String>> = bodies.collect();
                // No module is within a block of methods or a closure.
                let is_doubtful = |body: &&Vec<String>| {
                    body.iter().any(|it| it == IMPL) || !body.iter().any(|it| it.starts_with('{'))
                };
                Self {
                    doubtful: bodies.iter().filter(is_doubtful).cloned().collect(),
                    here: [bodies, found.here].concat(),
                    ..found
                }
            }
            // The first word may name another crate as well.
            _ => Self {
                anywhere: Some(path.to_vec()),
                ..only(modules(module.len(), path))
            },
        }
    }
}

/// How many segments of a function's path are the module that it is in. Types begin with a capital, as is usual; what is
/// taken for a module and is none costs values, and gives no wrong ones.
fn depth_of_module(function: &[String]) -> usize {
    let is_module = |segment: &String| {
        !segment.starts_with(|first: char| first == '{' || first.is_uppercase())
            && !segment.contains('<')
    };
    let modules = function.iter().skip(1).take_while(|it| is_module(it));
    let depth = 1 + modules.count();
    match function.get(depth) {
        // What is before was a function.
        None => function.len().saturating_sub(1).max(1),
        Some(next) if next.starts_with('{') && !next.starts_with("{impl#") => {
            depth.saturating_sub(1).max(1)
        }
        Some(_) => depth,
    }
}

/// The namespace of what is declared in a function's body: without types, whose methods are in some block of them.
fn declared(body: &[String]) -> Vec<String> {
    let segment = |segment: &String| {
        if segment.starts_with(char::is_uppercase) {
            return IMPL.to_owned();
        }
        let name = segment.split_once('<').map_or(&**segment, |(name, _)| name);
        name.to_owned()
    };
    body.iter().map(segment).collect()
}

/// Splits the path of a function, of whose types some have paths of their own.
fn segments(function: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut segment = String::new();
    let mut depth = 0_usize;
    let mut rest = function;
    while let Some(c) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("::").filter(|_| depth == 0) {
            segments.push(std::mem::take(&mut segment));
            rest = behind;
            continue;
        }
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if segment.ends_with('-') => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        segment.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    if !segment.is_empty() {
        segments.push(segment);
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, function: &str) -> (String, String) {
        let path: Vec<String> = path.split("::").map(str::to_owned).collect();
        let found = Candidates::new(&path, &segments(function));
        let joined = |paths: Vec<Vec<String>>| {
            let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
            paths.join(" ")
        };
        let here = found.here.into_iter().chain(found.anywhere);
        let marked = here.map(|path| {
            let mark = if found.doubtful.contains(&path) {
                "?"
            } else {
                ""
            };
            format!("{}{mark}", path.join("::"))
        });
        let here: Vec<String> = marked.collect();
        (here.join(" "), joined(found.around))
    }

    #[test]
    fn a_path_is_looked_for_where_rust_looks() {
        for (path, function, here, around) in [
            (
                "LIMIT",
                "orders::engine::run",
                "orders::engine::run::LIMIT? orders::engine::LIMIT",
                "orders::LIMIT",
            ),
            (
                "LIMIT",
                "orders::engine::Book<orders::Leg>::insert<u8>",
                "orders::engine::{impl}::insert::LIMIT? orders::engine::{impl}::LIMIT? orders::engine::LIMIT",
                "orders::LIMIT",
            ),
            (
                "LIMIT",
                "orders::engine::{impl#1}::fmt",
                "orders::engine::{impl#1}::fmt::LIMIT orders::engine::{impl#1}::LIMIT orders::engine::LIMIT",
                "orders::LIMIT",
            ),
            (
                "LIMIT",
                "orders::run::{closure#0}<fn(&u8) -> core::cell::Cell<u8>>",
                "orders::run::{closure#0}::LIMIT orders::run::LIMIT? orders::LIMIT",
                "",
            ),
            ("LIMIT", "main", "main::LIMIT", ""),
            (
                "crate::a::LIMIT",
                "orders::engine::run",
                "orders::a::LIMIT",
                "",
            ),
            ("super::LIMIT", "orders::engine::run", "orders::LIMIT", ""),
            (
                "self::LIMIT",
                "orders::engine::run",
                "orders::engine::LIMIT",
                "orders::LIMIT",
            ),
            (
                "orders::LIMIT",
                "orders::engine::run",
                "orders::engine::orders::LIMIT orders::LIMIT",
                "orders::orders::LIMIT",
            ),
        ] {
            let expected = (here.to_owned(), around.to_owned());
            assert_eq!(shown(path, function), expected, "{path} in {function}");
        }
    }
}
