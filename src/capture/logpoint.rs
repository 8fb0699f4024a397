//! What a logpoint is to do, within which limits, and what is known of the types and names that it may come by.

use std::sync::Arc;

use super::expr::Expr;
use super::format::Format;
use super::hits::HitRule;
use super::number::Kind;
use super::redact::Redaction;
use super::template::Template;
use crate::type_view::TypeView;

/// What a logpoint is to do.
#[derive(Clone, Copy, Debug)]
pub struct Logpoint<'a> {
    /// What it says.
    pub message: &'a Template,
    /// Only where this is true.
    pub condition: Option<&'a str>,
    /// Only at these hits, of those whose condition is true.
    pub hits: Option<HitRule>,
}

impl<'a> Logpoint<'a> {
    /// To say it at each hit.
    pub fn new(message: &'a Template) -> Self {
        Self {
            message,
            condition: None,
            hits: None,
        }
    }

    /// The paths in it that may be those of statics, which are named in capitals. What cannot be parsed has none.
    pub fn statics(&self) -> Vec<Vec<String>> {
        let mut found = self.paths();
        found.retain(|path| {
            let of_number = path
                .first()
                .is_some_and(|first| Kind::named(first).is_some());
            !of_number && path.last().is_some_and(|last| is_in_capitals(last))
        });
        found
    }

    /// The names in it that may be those of variables.
    pub fn names(&self) -> Vec<String> {
        let names = self.paths().into_iter().filter(|path| path.len() == 1);
        names.flatten().collect()
    }

    /// The names and paths in it, each once. What cannot be parsed has none.
    fn paths(&self) -> Vec<Vec<String>> {
        let sources = self
            .message
            .expressions()
            .map(|source| Format::split(source).map_or(source, |(expression, _)| expression));
        let mut found: Vec<Vec<String>> = Vec::new();
        for source in sources.chain(self.condition) {
            let Ok(expr) = Expr::parse(source) else {
                continue;
            };
            expr.walk(&mut |expr| {
                let path = match expr {
                    Expr::Name(name) => vec![name.clone()],
                    Expr::Path(path) => path.clone(),
                    _ => return,
                };
                if !found.contains(&path) {
                    found.push(path);
                }
            });
        }
        found
    }
}

/// What a logpoint may take of a hit and show of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Structs, tuples, variants and sequences within each other that are shown.
    pub depth: usize,
    /// Elements of a sequence that are shown.
    pub elements: usize,
    /// Bytes of a text that are shown.
    pub bytes: usize,
    /// Bytes of a record, shared by all expressions.
    pub record: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 6,
            elements: 64,
            bytes: 1024,
            record: 8 << 10,
        }
    }
}

impl Limits {
    /// The limits, held within what a program can express.
    pub(super) fn clamped(self) -> Self {
        Self {
            depth: self.depth.clamp(1, 16),
            elements: self.elements.clamp(1, 4096),
            bytes: self.bytes.clamp(1, 1 << 20),
            record: self.record.clamp(2 << 10, 4 << 20),
        }
    }
}

/// What the user of the library says about types and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// How values of some types are shown; come before what is known of library types.
    pub views: Arc<[TypeView]>,
    /// What is not shown.
    pub redaction: Arc<Redaction>,
}

impl Knowledge {
    /// The views that show nothing which must not be shown.
    pub(super) fn usable_views(&self) -> Arc<[TypeView]> {
        let hidden = |view: &TypeView| self.redaction.hides_view(view);
        if !self.views.iter().any(hidden) {
            return Arc::clone(&self.views);
        }
        let usable = self.views.iter().filter(|view| !hidden(view));
        usable.cloned().collect()
    }
}

fn is_in_capitals(name: &str) -> bool {
    name.chars().any(char::is_alphabetic) && !name.chars().any(char::is_lowercase)
}
