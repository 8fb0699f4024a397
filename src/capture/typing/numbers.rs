//! Methods of numbers and of `Duration`.

use super::layouts;
use super::operators::no_operator;
use super::{CHECKED, Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::expr::Expr;
use crate::capture::floats::Function;
use crate::capture::number::{Binary, Kind, Mode, Number, Unary};
use crate::capture::typed::{Node, Path};

impl Typing<'_, '_> {
    pub(super) fn of_number(
        &mut self,
        item: Item,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        if let Some(function) = function(name)
            && arguments.is_empty()
        {
            let (node, kind) = self.number(item)?;
            if !kind.is_float() {
                return match (function, kind) {
                    (Function::Signum, Kind::Integer { .. }) => Ok(None),
                    _ => Err(no_operator(name, kind.name())),
                };
            }
            let result = match function {
                Function::IsNan | Function::IsFinite | Function::IsInfinite => Kind::Bool,
                _ => kind,
            };
            return Ok(Some(Item::Number(
                Node::Function(function, Box::new(node)),
                result,
            )));
        }
        if let (
            "abs" | "wrapping_abs" | "wrapping_neg" | "checked_neg" | "checked_abs"
            | "unsigned_abs",
            [],
        ) = (name, arguments)
        {
            return self.absolute(item, name);
        }
        let (mode, rest) = match name.split_once('_') {
            Some(("checked", rest)) => (Some(Mode::Checked), rest),
            Some(("wrapping", rest)) => (Some(Mode::Wrapping), rest),
            Some(("saturating", rest)) => (Some(Mode::Saturating), rest),
            _ => (None, name),
        };
        let op = match rest {
            "add" => Binary::Add,
            "sub" => Binary::Sub,
            "mul" => Binary::Mul,
            "div" => Binary::Div,
            "rem" => Binary::Rem,
            "shl" => Binary::Shl,
            "shr" => Binary::Shr,
            "pow" => Binary::Pow,
            "min" if mode.is_none() => Binary::Min,
            "max" if mode.is_none() => Binary::Max,
            _ => return Ok(None),
        };
        let [argument] = arguments else {
            return Err(CompileError::Arguments {
                what: format!("`{name}`"),
                wanted: 1,
                found: arguments.len(),
            });
        };
        if mode.is_none() && !matches!(op, Binary::Pow | Binary::Min | Binary::Max) {
            return Ok(None);
        }
        let argument = self.item(argument)?;
        let (x, y, kind) = self.alike(op, item, argument)?;
        if mode.is_some() && !kind.is_integer() {
            return Err(no_operator(name, kind.name()));
        }
        let found = self.combined(op, mode.unwrap_or(CHECKED), x, y, kind)?;
        Ok(Some(match (mode, found) {
            (Some(Mode::Checked), Item::Number(node, kind)) => Item::Checked(node, kind),
            (_, found) => found,
        }))
    }

    fn absolute(&mut self, item: Item, name: &str) -> Result<Option<Item>, CompileError> {
        let (node, kind) = self.number(item)?;
        let node = Box::new(node);
        let fits = match name {
            "abs" => kind.is_signed() || kind.is_float(),
            // Unsigned integers have these as well.
            "wrapping_neg" | "checked_neg" => kind.is_integer(),
            _ => kind.is_signed(),
        };
        if !fits {
            return Err(no_operator(name, kind.name()));
        }
        Ok(Some(match name {
            "abs" => Item::Number(Node::Unary(Unary::Abs, CHECKED, node), kind),
            "wrapping_abs" => Item::Number(Node::Unary(Unary::Abs, Mode::Wrapping, node), kind),
            "wrapping_neg" => Item::Number(Node::Unary(Unary::Neg, Mode::Wrapping, node), kind),
            "checked_abs" => Item::Checked(Node::Unary(Unary::Abs, CHECKED, node), kind),
            "checked_neg" => Item::Checked(Node::Unary(Unary::Neg, CHECKED, node), kind),
            _ => {
                let absolute = Node::Unary(Unary::Abs, Mode::Wrapping, node);
                let unsigned = Kind::unsigned(kind.size().saturating_mul(8));
                Item::Number(Node::Cast(Box::new(absolute), unsigned), unsigned)
            }
        }))
    }

    /// What `Duration` gives, computed as it does.
    pub(super) fn duration(
        &mut self,
        path: &Path,
        name: &str,
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        let ways = (
            self.way(path, &found, layouts::SECONDS),
            self.way(path, &found, layouts::NANOSECONDS),
        );
        let (Some(seconds), Some(nanoseconds)) = ways else {
            return Ok(None);
        };
        let (seconds, u64_kind) = self.number(Item::Place(seconds))?;
        let (nanoseconds, u32_kind) = self.number(Item::Place(nanoseconds))?;
        let operation = |op, x, y| Node::Binary(op, CHECKED, Box::new(x), Box::new(y));
        let constant = |kind, value: u128| Node::Number(Number::new(kind, value));
        let whole = |per_second: u128| {
            let wide = Kind::unsigned(128);
            let seconds = Node::Cast(Box::new(seconds.clone()), wide);
            let rest = operation(
                Binary::Div,
                nanoseconds.clone(),
                constant(u32_kind, 1_000_000_000 / per_second),
            );
            let scaled = operation(Binary::Mul, seconds, constant(wide, per_second));
            Item::Number(
                operation(Binary::Add, scaled, Node::Cast(Box::new(rest), wide)),
                wide,
            )
        };
        let part = |unit: u128| {
            let node = operation(Binary::Div, nanoseconds.clone(), constant(u32_kind, unit));
            Item::Number(node, u32_kind)
        };
        let fraction = |kind: Kind, billion: Number| {
            let float = |node: &Node| Node::Cast(Box::new(node.clone()), kind);
            let rest = operation(Binary::Div, float(&nanoseconds), Node::Number(billion));
            Item::Number(operation(Binary::Add, float(&seconds), rest), kind)
        };
        Ok(Some(match name {
            "as_secs" => Item::Number(seconds.clone(), u64_kind),
            "as_millis" => whole(1_000),
            "as_micros" => whole(1_000_000),
            "as_nanos" => whole(1_000_000_000),
            "subsec_nanos" => part(1),
            "subsec_micros" => part(1_000),
            "subsec_millis" => part(1_000_000),
            "as_secs_f64" => fraction(Kind::F64, Number::double(1e9)),
            "as_secs_f32" => fraction(Kind::F32, Number::single(1e9)),
            _ => {
                let zero = |node: &Node, kind| {
                    Box::new(operation(Binary::Eq, node.clone(), constant(kind, 0)))
                };
                let node = Node::And(zero(&seconds, u64_kind), zero(&nanoseconds, u32_kind));
                Item::Number(node, Kind::Bool)
            }
        }))
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sqrt" => Function::Sqrt,
        "floor" => Function::Floor,
        "ceil" => Function::Ceil,
        "round" => Function::Round,
        "trunc" => Function::Trunc,
        "is_nan" => Function::IsNan,
        "is_finite" => Function::IsFinite,
        "is_infinite" => Function::IsInfinite,
        "signum" => Function::Signum,
        _ => return None,
    })
}
