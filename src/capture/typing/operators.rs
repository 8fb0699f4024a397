//! Operators: what they take, and what they give.

use super::constant::Constant;
use super::{CHECKED, Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::expr::Expr;
use crate::capture::number::{Binary, Kind, Mode, Number, Unary};
use crate::capture::typed::{Comparison, Node, Want};
use crate::symbols::types::TypeKind;

impl Typing<'_, '_> {
    pub(super) fn unary(&mut self, op: Unary, item: Item) -> Result<Item, CompileError> {
        let symbol = if op == Unary::Not { "!" } else { "-" };
        if let Item::Integer(constant) = item {
            return Ok(Item::Integer(Constant::Unary(op, Box::new(constant))));
        }
        let (node, kind) = self.operand_of(symbol, item)?;
        let fits = match op {
            Unary::Not => kind.is_integer() || kind == Kind::Bool,
            Unary::Neg | Unary::Abs => {
                kind.is_float() || matches!(kind, Kind::Integer { signed: true, .. })
            }
        };
        if !fits {
            return Err(no_operator(symbol, kind.name()));
        }
        Ok(Item::Number(Node::Unary(op, CHECKED, Box::new(node)), kind))
    }

    pub(super) fn binary(
        &mut self,
        op: Binary,
        left: &Expr,
        right: &Expr,
    ) -> Result<Item, CompileError> {
        if let Binary::Eq | Binary::Ne = op
            && let Some(node) = self.equal(left, right)?
        {
            let node = match op {
                Binary::Ne => Node::Unary(Unary::Not, CHECKED, Box::new(node)),
                _ => node,
            };
            return Ok(Item::Number(node, Kind::Bool));
        }
        let (a, b) = (self.item(left)?, self.item(right)?);
        let (a, b) = match (a, b) {
            (Item::Integer(x), Item::Integer(y)) if !is_comparison(op) => {
                let constant = Constant::Binary(op, Box::new(x), Box::new(y));
                return Ok(Item::Integer(constant));
            }
            both => both,
        };
        if let (Some(x), Some(y)) = (self.text(&a)?, self.text(&b)?) {
            return if is_comparison(op) {
                let node = Node::Compare(Comparison::Order(op), Box::new(x), Box::new(y));
                Ok(Item::Number(node, Kind::Bool))
            } else {
                Err(no_operator(symbol(op), "text"))
            };
        }
        let (x, y, kind) = self.alike(op, a, b)?;
        self.combined(op, CHECKED, x, y, kind)
    }

    /// Two numbers of one type combined.
    pub(super) fn combined(
        &mut self,
        op: Binary,
        mode: Mode,
        x: Node,
        y: Node,
        kind: Kind,
    ) -> Result<Item, CompileError> {
        let fits = match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => {
                kind.is_integer() || kind.is_float()
            }
            Binary::And | Binary::Or | Binary::Xor => kind.is_integer() || kind == Kind::Bool,
            Binary::Shl | Binary::Shr | Binary::Pow => kind.is_integer(),
            _ => true,
        };
        if !fits {
            return Err(no_operator(symbol(op), kind.name()));
        }
        let (x, y) = (Box::new(x), Box::new(y));
        let result = if is_comparison(op) { Kind::Bool } else { kind };
        Ok(Item::Number(Node::Binary(op, mode, x, y), result))
    }

    /// Both operands as numbers of the type that they have in common.
    pub(super) fn alike(
        &mut self,
        op: Binary,
        a: Item,
        b: Item,
    ) -> Result<(Node, Node, Kind), CompileError> {
        let symbol = symbol(op);
        let free = |item: &Item| matches!(item, Item::Integer(_) | Item::Float(_));
        if let Binary::Shl | Binary::Shr | Binary::Pow = op {
            let (x, kind) = self.operand_of(symbol, a)?;
            let (y, amount) = self.operand_of(symbol, b)?;
            return if amount.is_integer() {
                Ok((x, y, kind))
            } else {
                Err(no_operator(symbol, amount.name()))
            };
        }
        let (x, y, left, right) = match (free(&a), free(&b)) {
            (true, false) => {
                let (y, kind) = self.operand_of(symbol, b)?;
                let (x, left) = self.settled(a, kind)?;
                (x, y, left, kind)
            }
            (false, true) => {
                let (x, kind) = self.operand_of(symbol, a)?;
                let (y, right) = self.settled(b, kind)?;
                (x, y, kind, right)
            }
            _ => {
                let (x, left) = self.operand_of(symbol, a)?;
                let (y, right) = self.operand_of(symbol, b)?;
                (x, y, left, right)
            }
        };
        if left == right {
            Ok((x, y, left))
        } else {
            Err(CompileError::Mismatched {
                operator: symbol.into(),
                left: left.name().into(),
                right: right.name().into(),
            })
        }
    }

    /// A literal as a number of the type that it is used with, if it can be one.
    pub(super) fn settled(&mut self, item: Item, kind: Kind) -> Result<(Node, Kind), CompileError> {
        match item {
            Item::Integer(constant) if kind.is_integer() => Ok((constant.of(kind)?, kind)),
            Item::Float(digits) if kind.is_float() => Ok((float(&digits, kind)?, kind)),
            other => self.number(other),
        }
    }

    fn operand_of(&mut self, operator: &str, item: Item) -> Result<(Node, Kind), CompileError> {
        let ty = self.name_of(&item);
        self.number(item).map_err(|error| match error {
            CompileError::NotANumber { .. } => no_operator(operator, &ty),
            other => other,
        })
    }

    pub(super) fn logic(
        &mut self,
        left: &Expr,
        right: &Expr,
        join: fn(Box<Node>, Box<Node>) -> Node,
    ) -> Result<Item, CompileError> {
        let left = self.item(left)?;
        let left = self.boolean(left)?;
        let right = self.item(right)?;
        let right = self.boolean(right)?;
        Ok(Item::Number(
            join(Box::new(left), Box::new(right)),
            Kind::Bool,
        ))
    }

    pub(super) fn cast(&mut self, item: Item, kind: Kind) -> Result<Item, CompileError> {
        match &item {
            Item::Integer(constant) if kind.is_integer() && constant.is_literal() => {
                // `300 as u8` is an error of the compiler, `300i32 as u8` is not.
                return Ok(Item::Number(constant.of(kind)?, kind));
            }
            Item::Place(path) | Item::Guarded(path) if kind.is_integer() => {
                let path = self.auto_deref(path.clone())?;
                let found = self.load(path.ty)?;
                if let TypeKind::Enumeration { signed, .. } = found.kind
                    && let Some(bits) = bits(found.size)
                {
                    let from = Kind::Integer { signed, bits };
                    let node = Node::Load(self.operand(path, Want::Number(from)), from);
                    return Ok(Item::Number(Node::Cast(Box::new(node), kind), kind));
                }
            }
            _ => {}
        }
        let ty = self.name_of(&item);
        let refused = |from: &str| CompileError::Cast {
            from: from.into(),
            to: kind.name().into(),
        };
        let (node, from) = self.number(item).map_err(|error| match error {
            CompileError::NotANumber { .. } => refused(&ty),
            other => other,
        })?;
        let numeric = |kind: Kind| kind.is_integer() || kind.is_float();
        let allowed = from == kind
            || (numeric(from) && numeric(kind))
            || (matches!(from, Kind::Bool | Kind::Char) && kind.is_integer())
            || (from == Kind::unsigned(8) && kind == Kind::Char);
        if !allowed {
            return Err(refused(from.name()));
        }
        Ok(Item::Number(Node::Cast(Box::new(node), kind), kind))
    }
}

pub(super) fn bits(size: u64) -> Option<u8> {
    u8::try_from(size.checked_mul(8)?)
        .ok()
        .filter(|bits| *bits >= 8 && *bits <= 128)
}

fn is_comparison(op: Binary) -> bool {
    matches!(
        op,
        Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge
    )
}

pub(super) fn integer(value: i128, kind: Kind) -> Result<Number, CompileError> {
    Number::integer(kind, value).ok_or_else(|| misfit(value.to_string(), kind))
}

pub(super) fn misfit(literal: String, kind: Kind) -> CompileError {
    CompileError::OutOfRange {
        literal,
        ty: kind.name().into(),
    }
}

pub(super) fn float(digits: &str, kind: Kind) -> Result<Node, CompileError> {
    let number = match kind {
        Kind::F32 => digits.parse().map(Number::single).ok(),
        _ => digits.parse().map(Number::double).ok(),
    };
    number
        .map(Node::Number)
        .ok_or_else(|| misfit(digits.into(), kind))
}

/// `u8::MAX` and the like.
pub(super) fn constant(kind: Kind, name: &str) -> Option<Number> {
    match (kind, name) {
        (Kind::Integer { signed, bits }, "MAX") => Some(Number::new(
            kind,
            u128::MAX >> (128 - u32::from(bits) + u32::from(signed)),
        )),
        (Kind::Integer { signed: false, .. }, "MIN") => Some(Number::new(kind, 0)),
        (Kind::Integer { bits, .. }, "MIN") => Some(Number::new(kind, 1 << (bits - 1))),
        (Kind::Integer { bits, .. }, "BITS") => {
            Some(Number::new(Kind::unsigned(32), u128::from(bits)))
        }
        (Kind::F64, "MAX") => Some(Number::double(f64::MAX)),
        (Kind::F64, "MIN") => Some(Number::double(f64::MIN)),
        (Kind::F64, "EPSILON") => Some(Number::double(f64::EPSILON)),
        (Kind::F64, "INFINITY") => Some(Number::double(f64::INFINITY)),
        (Kind::F64, "NAN") => Some(Number::double(f64::NAN)),
        (Kind::F32, "MAX") => Some(Number::single(f32::MAX)),
        (Kind::F32, "MIN") => Some(Number::single(f32::MIN)),
        (Kind::F32, "EPSILON") => Some(Number::single(f32::EPSILON)),
        (Kind::F32, "INFINITY") => Some(Number::single(f32::INFINITY)),
        _ => None,
    }
}

pub(super) fn no_operator(operator: &str, ty: &str) -> CompileError {
    CompileError::NoOperator {
        operator: operator.into(),
        ty: ty.into(),
    }
}

pub(super) fn symbol(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::Rem => "%",
        Binary::And => "&",
        Binary::Or => "|",
        Binary::Xor => "^",
        Binary::Shl => "<<",
        Binary::Shr => ">>",
        Binary::Eq => "==",
        Binary::Ne => "!=",
        Binary::Lt => "<",
        Binary::Le => "<=",
        Binary::Gt => ">",
        Binary::Ge => ">=",
        Binary::Pow => "pow",
        Binary::Min => "min",
        Binary::Max => "max",
    }
}
