//! What is visible at one address: the variables, by scope.

use super::place::Location;
use super::types::TypeRef;

/// Everything that has a name at one address.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The function as a user knows it (the innermost inlined one): `orders::engine::Book::insert`.
    pub function: String,
    /// Innermost first, so the first one with a given name is the one that Rust would mean at that line.
    pub variables: Vec<Variable>,
}

/// A variable or argument.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name in the source.
    pub name: Box<str>,
    /// Its type.
    pub ty: TypeRef,
    /// Where it is at this address.
    pub location: Location,
    /// Whether it is an argument of the function.
    pub argument: bool,
    /// 0 for the innermost function of the inline chain at this address, 1 for the one that it is inlined into.
    pub depth: u32,
}
