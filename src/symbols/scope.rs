//! What is visible at one address: the variables, by scope.

use std::collections::BTreeSet;
use std::ops::Range;

use super::place::{Location, Source};
use super::types::TypeRef;

/// Everything that has a name at one address.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The functions as a user knows them, by their [`Variable::depth`]: `orders::engine::Book::insert`. Empty where they
    /// were not asked for.
    pub functions: Vec<String>,
    /// The names of all that each of them declares, here or elsewhere in it.
    pub declared: Vec<BTreeSet<Box<str>>>,
    /// The depth of the function that a line belongs to; 0 where it is about none.
    pub depth: u32,
    /// Innermost first, so the first one with a given name is the one that Rust would mean at that line.
    pub variables: Vec<Variable>,
    /// Statics that may be meant by a name, but not surely.
    pub unclear: Vec<Unclear>,
}

/// Why a name that statics have is none of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// As it is written.
    pub name: String,
    /// In words.
    pub why: String,
}

/// A variable or argument.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name in the source.
    pub name: Box<str>,
    /// Its type.
    pub ty: TypeRef,
    /// The offset in `.debug_info` of its declaration, which all copies of its function share; 0 for what is none of a
    /// function.
    pub entry: u64,
    /// Where it is at this address.
    pub location: Location,
    /// Where it is not there: outside of which addresses it is not either.
    pub elsewhere: Vec<Range<u64>>,
    /// The line of its declaration; 0 where that is not known.
    pub line: u64,
    /// Whether it is an argument of the function.
    pub argument: bool,
    /// 0 for the innermost function of the inline chain at this address, 1 for the one that it is inlined into.
    pub depth: u32,
}

impl Scope {
    /// The variable that Rust means by a name at the address.
    pub fn named(&self, name: &str) -> Option<&Variable> {
        self.variables
            .iter()
            .find(|variable| *variable.name == *name)
    }
}

impl Variable {
    /// Whether none of it is there.
    pub fn is_missing(&self) -> bool {
        let mut pieces = self.location.pieces.iter();
        pieces.all(|piece| matches!(piece.source, Source::Missing(_)))
    }
}
