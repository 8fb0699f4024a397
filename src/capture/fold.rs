//! Many numbers brought down to one. Part of the interpreter: allocates nothing, panics never.

use super::number::{Binary, Fault, Kind, Mode, Number, binary};

/// What becomes of many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// Their product.
    Product,
    /// The least one.
    Min,
    /// The greatest one.
    Max,
    /// Whether a number is among them.
    Contains,
}

impl Fold {
    /// What no numbers give, if they give anything.
    pub fn begin(self, kind: Kind) -> Option<Number> {
        Some(match (self, kind) {
            // What the standard library begins with.
            (Self::Sum, Kind::F32) => Number::single(-0.0),
            (Self::Sum, Kind::F64) => Number::double(-0.0),
            (Self::Sum, _) => Number::new(kind, 0),
            (Self::Product, Kind::F32) => Number::single(1.0),
            (Self::Product, Kind::F64) => Number::double(1.0),
            (Self::Product, _) => Number::new(kind, 1),
            (Self::Contains, _) => Number::boolean(false),
            (Self::Min | Self::Max, _) => return None,
        })
    }

    /// What one number more makes of the result; `wanted` is what is searched for.
    ///
    /// # Errors
    ///
    /// What would panic in the program.
    pub fn next(
        self,
        result: Option<Number>,
        element: Number,
        wanted: Option<Number>,
    ) -> Result<Number, Fault> {
        let operator = match self {
            Self::Sum => Binary::Add,
            Self::Product => Binary::Mul,
            Self::Min => Binary::Min,
            Self::Max => Binary::Max,
            Self::Contains => {
                let wanted = wanted.ok_or(Fault::Type)?;
                return binary(Binary::Eq, Mode::Checked, element, wanted);
            }
        };
        match result {
            Some(result) => binary(operator, Mode::Checked, result, element),
            None => Ok(element),
        }
    }

    /// Whether no number more can change the result.
    pub fn is_over(self, result: Option<Number>) -> bool {
        self == Self::Contains && result.is_some_and(Number::is_true)
    }
}
