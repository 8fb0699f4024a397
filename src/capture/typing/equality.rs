//! Equality of what is no number: variants, enums without data, texts within variants.

use super::methods::of_a_lock;
use super::operators::bits;
use super::patterns::both;
use super::{CHECKED, Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::expr::{Expr, Pattern};
use crate::capture::number::{Binary, Kind};
use crate::capture::typed::{Comparison, Node, Path, Refusal, Step, Want};
use crate::symbols::types::{Type, TypeKind};
use std::sync::Arc;

impl Typing<'_, '_> {
    /// Whether two values are equal, where one of them is written as a variant; `None` where none is.
    pub(super) fn equal(
        &mut self,
        left: &Expr,
        right: &Expr,
    ) -> Result<Option<Node>, CompileError> {
        if let Some(node) = self.equals_variant(left, right)? {
            return Ok(Some(node));
        }
        if let Some(node) = self.equals_variant(right, left)? {
            return Ok(Some(node));
        }
        // Two values of an enum without data.
        let (Some(a), Some(b)) = (self.enumeration(left)?, self.enumeration(right)?) else {
            return Ok(None);
        };
        let ((a, ty, kind), (b, other, _)) = (a, b);
        if ty.name != other.name {
            return Err(CompileError::Mismatched {
                operator: "==".into(),
                left: ty.name.to_string(),
                right: other.name.to_string(),
            });
        }
        let load = |typing: &mut Self, path| {
            Box::new(Node::Load(typing.operand(path, Want::Number(kind)), kind))
        };
        let (a, b) = (load(self, a), load(self, b));
        Ok(Some(Node::Binary(Binary::Eq, CHECKED, a, b)))
    }

    fn enumeration(
        &mut self,
        expr: &Expr,
    ) -> Result<Option<(Path, Arc<Type>, Kind)>, CompileError> {
        if !matches!(
            expr,
            Expr::Name(_) | Expr::Field(..) | Expr::Index(..) | Expr::Deref(_) | Expr::Reference(_)
        ) {
            return Ok(None);
        }
        let Item::Place(path) = self.item(expr)? else {
            return Ok(None);
        };
        let path = self.auto_deref(path)?;
        let found = self.load(path.ty)?;
        Ok(match (&found.kind, bits(found.size)) {
            (TypeKind::Enumeration { signed, .. }, Some(bits)) => {
                let signed = *signed;
                Some((path, found, Kind::Integer { signed, bits }))
            }
            _ => None,
        })
    }

    /// `value == Variant` or `value == Some(other)`.
    fn equals_variant(
        &mut self,
        value: &Expr,
        variant: &Expr,
    ) -> Result<Option<Node>, CompileError> {
        let (name, arguments) = match variant {
            Expr::Path(path) => (path.clone(), &[][..]),
            Expr::Name(name) if name == "None" => (vec![name.clone()], &[][..]),
            Expr::Call(path, arguments) => (path.clone(), arguments.as_slice()),
            _ => return Ok(None),
        };
        if matches!(value, Expr::Path(_) | Expr::Call(..) | Expr::Literal(_)) {
            return Ok(None);
        }
        let path = match self.item(value)? {
            Item::Place(path) => self.auto_deref(path)?,
            Item::Guarded(_) => return Err(of_a_lock("`==`")),
            item @ (Item::Optional(_) | Item::Checked(..)) if arguments.is_empty() => {
                return self.pattern(&item, &Pattern::Path(name)).map(Some);
            }
            Item::Optional(path) => {
                let operand = self.operand(path.clone(), Want::Value);
                let [argument] = arguments else {
                    return Ok(None);
                };
                let inner = self.equals(Item::Place(path.optional(false)), argument)?;
                return Ok(Some(both(Node::Present(operand), inner)));
            }
            Item::Checked(node, kind) => {
                let [argument] = arguments else {
                    return Ok(None);
                };
                let inner = self.equals(Item::Number(node.clone(), kind), argument)?;
                return Ok(Some(both(Node::Fits(Box::new(node)), inner)));
            }
            _ => return Ok(None),
        };
        let found = self.load(path.ty)?;
        match found.kind {
            TypeKind::Enumeration { .. } => {
                let name = self.variant_name(&found, &name)?;
                self.enumerator(&path, &found, &name).map(Some)
            }
            TypeKind::Enum { .. } => {
                let name = self.variant_name(&found, &name)?;
                let Some(chosen) = self.variant(&path, &name, Refusal::None)? else {
                    return Ok(None);
                };
                if chosen.members.len() != arguments.len() {
                    return Err(CompileError::Arguments {
                        what: format!("`{name}`"),
                        wanted: chosen.members.len(),
                        found: arguments.len(),
                    });
                }
                let mut node = chosen.test;
                for (member, argument) in chosen.members.iter().zip(arguments) {
                    let data = chosen.data.clone();
                    let field = Item::Place(data.then(Step::At(member.offset), member.ty));
                    node = both(node, self.equals(field, argument)?);
                }
                Ok(Some(node))
            }
            _ => Ok(None),
        }
    }

    /// Whether an item equals what an expression gives.
    fn equals(&mut self, item: Item, argument: &Expr) -> Result<Node, CompileError> {
        let other = self.item(argument)?;
        if let (Some(x), Some(y)) = (self.text(&item)?, self.text(&other)?) {
            let order = Comparison::Order(Binary::Eq);
            return Ok(Node::Compare(order, Box::new(x), Box::new(y)));
        }
        let (x, y, _) = self.alike(Binary::Eq, item, other)?;
        Ok(Node::Binary(Binary::Eq, CHECKED, Box::new(x), Box::new(y)))
    }
}
