//! Integer literals without a type, and what is computed of them.

use super::CHECKED;
use super::operators::{integer, misfit, no_operator};
use crate::capture::error::CompileError;
use crate::capture::number::{Binary, Kind, Number, Unary, binary, unary};
use crate::capture::typed::Node;

/// What alone has room for a [`Constant::Large`].
const WIDEST: Kind = Kind::unsigned(128);

/// What literals without a type give. They get the type of what they are used with, and only then a value: `!0 >> 4` has
/// one for each type.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Literal(i128),
    /// A literal above `i128::MAX`.
    Large(u128),
    Unary(Unary, Box<Constant>),
    Binary(Binary, Box<Constant>, Box<Constant>),
}

impl Constant {
    /// What it is as a number of a type. Where that would panic it is computed at the hit, and told there.
    ///
    /// # Errors
    ///
    /// A literal does not fit the type, or the type has no such operator.
    pub(super) fn of(&self, kind: Kind) -> Result<Node, CompileError> {
        let wrapped = |inner: &Node| Box::new(inner.clone());
        Ok(match self {
            Self::Literal(value) => Node::Number(integer(*value, kind)?),
            Self::Large(value) if kind == WIDEST => Node::Number(Number::new(kind, *value)),
            Self::Large(value) => return Err(misfit(value.to_string(), kind)),
            Self::Unary(Unary::Neg | Unary::Abs, _) if !kind.is_signed() => {
                return Err(no_operator("-", kind.name()));
            }
            Self::Unary(op, inner) => {
                let inner = inner.of(kind)?;
                known(&inner)
                    .and_then(|inner| unary(*op, CHECKED, inner).ok())
                    .map_or_else(|| Node::Unary(*op, CHECKED, wrapped(&inner)), Node::Number)
            }
            Self::Binary(op, left, right) => {
                // How far is shifted has a type of its own.
                let amount = match op {
                    Binary::Shl | Binary::Shr => Kind::I32,
                    _ => kind,
                };
                let (left, right) = (left.of(kind)?, right.of(amount)?);
                let both = known(&left).zip(known(&right));
                both.and_then(|(left, right)| binary(*op, CHECKED, left, right).ok())
                    .map_or_else(
                        || Node::Binary(*op, CHECKED, wrapped(&left), wrapped(&right)),
                        Node::Number,
                    )
            }
        })
    }

    /// Whether it is one literal, to which a cast gives its type. What is computed of several has one before it is cast.
    pub(super) fn is_literal(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Large(_) => true,
            Self::Unary(_, inner) => inner.is_literal(),
            Self::Binary(..) => false,
        }
    }

    /// What it is where nothing gives it a type: an `i32`, as in Rust; a literal that is too large for one has 128 bits.
    ///
    /// # Errors
    ///
    /// As of [`Self::of`].
    pub(super) fn alone(&self) -> Result<(Node, Kind), CompileError> {
        let kind = match self {
            Self::Literal(value) if Number::integer(Kind::I32, *value).is_none() => Kind::Integer {
                signed: true,
                bits: 128,
            },
            Self::Large(_) => WIDEST,
            _ => Kind::I32,
        };
        Ok((self.of(kind)?, kind))
    }
}

fn known(node: &Node) -> Option<Number> {
    match node {
        Node::Number(number) => Some(*number),
        _ => None,
    }
}
