//! The statics that a logpoint names, as variables of its scope.

use std::collections::HashMap;
use std::ops::Range;

use crate::capture::compile::Logpoint;
use crate::symbols::Symbols;
use crate::symbols::scope::{Scope, Variable};

/// Looks each static up once for all places of a line.
pub struct Statics<'s> {
    symbols: &'s Symbols,
    /// As the logpoint has them.
    wanted: Vec<Vec<String>>,
    /// By where their module's code begins, and their whole path.
    found: HashMap<(u64, Vec<String>), Option<Variable>>,
}

impl<'s> Statics<'s> {
    /// Those of a logpoint.
    pub fn new(symbols: &'s Symbols, logpoint: &Logpoint<'_>) -> Self {
        Self {
            symbols,
            wanted: logpoint.statics(),
            found: HashMap::new(),
        }
    }

    /// Adds those that are meant at an address of the module with this code to its scope, behind all variables.
    pub fn add(&mut self, address: u64, text: &Range<u64>, scope: &mut Scope) {
        for path in &self.wanted {
            let name = path.join("::");
            if scope.variables.iter().any(|known| *known.name == *name) {
                continue;
            }
            let found = meant(path, &scope.function).into_iter().find_map(|path| {
                let key = (text.start, path);
                if let Some(known) = self.found.get(&key) {
                    return known.clone();
                }
                let found = self.symbols.static_at(address, &key.1);
                self.found.insert(key, found.clone());
                found
            });
            scope.variables.extend(found.map(|found| Variable {
                name: name.into(),
                ..found
            }));
        }
    }
}

/// The whole paths that a path may stand for in a function: within its module, or one around that, or as it is.
fn meant(path: &[String], function: &str) -> Vec<Vec<String>> {
    let around: Vec<&str> = function.split("::").collect();
    let Some((first, rest)) = path.split_first() else {
        return Vec::new();
    };
    let within = |space: &[&str], path: &[String]| -> Vec<String> {
        let space = space.iter().map(|segment| (*segment).to_owned());
        space.chain(path.iter().cloned()).collect()
    };
    if first == "crate" {
        return vec![within(around.get(..1).unwrap_or_default(), rest)];
    }
    // `self::` and `super::` say where to begin; how deep the function is in its module is not known.
    let path = if first == "self" { rest } else { path };
    let climbs = path
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    let path = path.get(climbs..).unwrap_or_default();
    let deepest = around.len().saturating_sub(climbs);
    let spaces = (1..deepest).rev().filter_map(|depth| around.get(..depth));
    let mut candidates: Vec<Vec<String>> = spaces.map(|space| within(space, path)).collect();
    candidates.push(path.to_vec());
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, function: &str) -> Vec<String> {
        let path: Vec<String> = path.split("::").map(str::to_owned).collect();
        meant(&path, function)
            .iter()
            .map(|path| path.join("::"))
            .collect()
    }

    #[test]
    fn a_path_is_looked_for_from_the_inside_out() {
        assert_eq!(
            shown("LIMIT", "orders::engine::run"),
            ["orders::engine::LIMIT", "orders::LIMIT", "LIMIT"]
        );
        assert_eq!(
            shown("crate::a::LIMIT", "orders::engine::run"),
            ["orders::a::LIMIT"]
        );
        assert_eq!(
            shown("super::LIMIT", "orders::engine::run"),
            ["orders::LIMIT", "LIMIT"]
        );
        assert_eq!(
            shown("self::LIMIT", "orders::run"),
            ["orders::LIMIT", "LIMIT"]
        );
        assert_eq!(
            shown("orders::LIMIT", "orders::run"),
            ["orders::orders::LIMIT", "orders::LIMIT"]
        );
    }
}
