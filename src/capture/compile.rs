//! Compiles the expressions of a logpoint for one address.
//!
//! 1. Each expression is parsed and walked down to a place with a type; pointers on the way are loaded at the hit.
//! 2. The bytes of that value are captured.
//! 3. What rendering needs beyond them (targets of references, text, elements) is captured by [`chase`](super::chase).
//! 4. The program is checked.

use super::builder::{self, Builder};
use super::error::{CompileError, hint};
use super::expr::{Expr, Literal};
use super::place::{Place, Stop, capture_pieces};
use super::program::{Op, Program, Slot};
use super::redact::Redaction;
use super::template::{Segment, Template};
use super::types::{Loader, Types};
use super::views::View;
use crate::symbols::place::{Missing, Source};
use crate::symbols::scope::{Scope, Variable};
use crate::symbols::types::{Member, Type, TypeError, TypeKind, TypeRef, TypeSource};
use crate::type_view::TypeView;
use std::collections::HashSet;
use std::sync::Arc;

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
    fn clamped(self) -> Self {
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

/// A compiled logpoint at one address: what to do at a hit, and what is needed to show its record. It keeps nothing of
/// the debug information but the types that occur in it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What to do at a hit.
    pub program: Program,
    /// The expressions that have no value here, by index, and why. Each renders as `<error: …>`.
    pub errors: Vec<(usize, CompileError)>,
    pub(super) segments: Vec<Segment>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) types: Types,
    pub(super) limits: Limits,
    pub(super) redaction: Arc<Redaction>,
}

/// What became of an expression.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Its value is in the record and has this type.
    Value(TypeRef),
    /// It is always this.
    Constant(Literal),
    /// It has a value, but not at this address.
    Unavailable(Missing),
    /// It is not to be shown, even though it is named on purpose.
    Redacted,
    /// See [`Compiled::errors`].
    Error(CompileError),
}

impl Compiled {
    /// The expressions whose value the compiler did not keep at this address, by index, and why.
    pub fn unavailable(&self) -> impl Iterator<Item = (usize, Missing)> {
        self.outcomes
            .iter()
            .enumerate()
            .filter_map(|(index, outcome)| match outcome {
                Outcome::Unavailable(why) => Some((index, *why)),
                _ => None,
            })
    }
}

/// Compiles a log message for the address that `scope` describes.
///
/// An expression that makes no sense does not keep the others from working: see [`Compiled::errors`].
///
/// # Errors
///
/// [`CompileError::Check`] where the program does not pass the static check, which is a mistake of this compiler.
pub fn compile(
    template: &Template,
    scope: &Scope,
    types: &dyn TypeSource,
    limits: &Limits,
    knowledge: &Knowledge,
) -> Result<Compiled, CompileError> {
    let limits = limits.clamped();
    let sources: Vec<&str> = template.expressions().collect();
    let count = u8::try_from(sources.len()).map_err(|_| CompileError::TooComplex)?;
    let mut compiler = Compiler::new(scope, types, limits, knowledge);
    let mut errors = Vec::new();
    let mut outcomes = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        compiler.soft_limit(sources.len() - index);
        let outcome = compiler.expression(index as u8, source);
        if let Outcome::Error(error) = &outcome {
            errors.push((index, error.clone()));
        }
        outcomes.push(outcome);
    }
    let parts = compiler.builder.finish(count, limits.record);
    let program = Program::new(parts).map_err(CompileError::Check)?;
    let types = compiler.loader.into_types();
    Ok(Compiled {
        program,
        errors,
        segments: template.segments.clone(),
        outcomes,
        types,
        limits,
        redaction: Arc::clone(&knowledge.redaction),
    })
}

/// Operations that all expressions may take together before what they point to is left out.
const SOFT_OPS: usize = 2048;

pub(super) struct Compiler<'s> {
    pub(super) builder: Builder,
    pub(super) loader: Loader<'s>,
    pub(super) limits: Limits,
    pub(super) redaction: Arc<Redaction>,
    scope: &'s Scope,
    /// No more is chased beyond so many operations.
    pub(super) soft: usize,
    /// Types that lead to no pointer within a depth.
    pub(super) barren: HashSet<(TypeRef, usize)>,
    /// Counts what was left out.
    pub(super) lost: u32,
    /// Loops that the next operation stands in.
    pub(super) loops: usize,
    /// Types that the walk over an expression's value may still come by.
    pub(super) visits: usize,
}

/// What an expression names.
enum Value<'s> {
    At(Place<'s>, TypeRef),
    Constant(Literal),
}

impl<'s> Compiler<'s> {
    fn new(
        scope: &'s Scope,
        types: &'s dyn TypeSource,
        limits: Limits,
        knowledge: &Knowledge,
    ) -> Self {
        Self {
            builder: Builder::default(),
            loader: Loader::new(types, Arc::clone(&knowledge.views)),
            limits,
            redaction: Arc::clone(&knowledge.redaction),
            scope,
            soft: 0,
            barren: HashSet::new(),
            lost: 0,
            loops: 0,
            visits: 0,
        }
    }

    fn soft_limit(&mut self, remaining: usize) {
        let used = self.builder.len();
        self.soft = used + SOFT_OPS.saturating_sub(used) / remaining.max(1);
    }

    fn expression(&mut self, index: u8, source: &str) -> Outcome {
        let mark = self.builder.mark();
        let start = self.builder.push(Op::Expression { index, end: 0 });
        let outcome = match Expr::parse(source)
            .map_err(Stop::Error)
            .and_then(|expr| self.value(&expr))
        {
            Ok(Value::At(place, ty)) => self.capture_root(&place, ty).map(|()| Outcome::Value(ty)),
            Ok(Value::Constant(literal)) => Ok(Outcome::Constant(literal)),
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(outcome @ Outcome::Value(_)) => {
                self.builder.patch(start);
                self.builder.release(mark);
                outcome
            }
            Ok(outcome) => {
                self.builder.rewind(mark);
                outcome
            }
            Err(stop) => {
                self.builder.rewind(mark);
                match stop {
                    Stop::Error(CompileError::Redacted) => Outcome::Redacted,
                    Stop::Error(error) => Outcome::Error(error),
                    Stop::Unavailable(why) => Outcome::Unavailable(why),
                }
            }
        }
    }

    fn value(&mut self, expr: &Expr) -> Result<Value<'s>, Stop> {
        match expr {
            Expr::Literal(literal) => Ok(Value::Constant(literal.clone())),
            Expr::Reference(inner) => self.value(inner),
            Expr::Name(name) => self.variable(name),
            Expr::Deref(inner) => {
                let (place, ty) = self.place(inner, "*")?;
                self.deref(matches!(**inner, Expr::Reference(_)), place, ty)
            }
            Expr::Field(inner, field) => {
                let (place, ty) = self.place(inner, ".")?;
                self.field(place, ty, field)
            }
            Expr::Index(inner, index) => {
                let (place, ty) = self.place(inner, "[")?;
                self.element(place, ty, index)
            }
        }
    }

    fn place(&mut self, expr: &Expr, operator: &str) -> Result<(Place<'s>, TypeRef), Stop> {
        match self.value(expr)? {
            Value::At(place, ty) => Ok((place, ty)),
            Value::Constant(_) => Err(Stop::Error(CompileError::Unsupported {
                what: format!("`{operator}` on a literal"),
                why: "only values of the program have fields, elements and targets",
            })),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Value<'s>, Stop> {
        self.refuse_hidden(name)?;
        let scope = self.scope;
        let Some(variable) = scope
            .variables
            .iter()
            .find(|variable| *variable.name == *name)
        else {
            let hint = hint(name, scope.variables.iter().map(|variable| &*variable.name));
            return Err(CompileError::UnknownName {
                name: name.into(),
                hint,
            }
            .into());
        };
        let size = self.load(variable.ty)?.size;
        Ok(Value::At(self.variable_place(variable, size)?, variable.ty))
    }

    fn variable_place(&mut self, variable: &'s Variable, size: u64) -> Result<Place<'s>, Stop> {
        let pieces = &variable.location.pieces;
        if let [piece] = pieces.as_slice()
            && piece.offset == 0
            && piece.size.is_none_or(|length| length >= size)
            && let Source::Memory(formula) = &piece.source
        {
            let base = self
                .builder
                .formula(formula, &[])
                .ok_or(CompileError::TooComplex)?;
            self.builder.push(Op::Require { slot: base });
            return Ok(Place::Memory {
                base,
                offset: 0,
                frame: builder::frame(formula),
            });
        }
        Ok(Place::Pieces { pieces, offset: 0 })
    }

    fn deref(
        &mut self,
        of_reference: bool,
        place: Place<'s>,
        ty: TypeRef,
    ) -> Result<Value<'s>, Stop> {
        let found = self.load(ty)?;
        self.refuse_hidden_type(&found)?;
        match (self.view(&found), &found.kind) {
            // `*&x` is `x`. The target of text or a sequence is shown as the pointer to it is.
            _ if of_reference => Ok(Value::At(place, ty)),
            (View::Text { .. } | View::Sequence { .. }, _) => Ok(Value::At(place, ty)),
            (View::Reference { target }, _) => Ok(Value::At(self.follow(&place)?, target)),
            (View::Address { .. }, TypeKind::Pointer { target }) => {
                match self.load(*target)?.kind {
                    TypeKind::Function => Err(CompileError::NotAPointer {
                        ty: found.name.to_string(),
                    }
                    .into()),
                    _ => Ok(Value::At(self.follow(&place)?, *target)),
                }
            }
            _ => Err(CompileError::NotAPointer {
                ty: found.name.to_string(),
            }
            .into()),
        }
    }

    /// The place that a pointer points to.
    fn follow(&mut self, place: &Place<'s>) -> Result<Place<'s>, Stop> {
        let base = self.required(place, 8)?;
        Ok(Place::pointed(base))
    }

    fn required(&mut self, place: &Place<'s>, size: u8) -> Result<Slot, Stop> {
        let slot = place.load(&mut self.builder, size)?;
        self.builder.push(Op::Require { slot });
        Ok(slot)
    }

    /// Goes through references, as Rust does before a field or an index.
    fn auto_deref(
        &mut self,
        mut place: Place<'s>,
        mut ty: TypeRef,
    ) -> Result<(Place<'s>, TypeRef, Arc<Type>), Stop> {
        for _ in 0..MAX_HOPS {
            let found = self.load(ty)?;
            self.refuse_hidden_type(&found)?;
            let View::Reference { target } = self.view(&found) else {
                return Ok((place, ty, found));
            };
            place = self.follow(&place)?;
            ty = target;
        }
        Err(CompileError::TooComplex.into())
    }

    /// Strict redaction leaves no way to what has such a name.
    fn refuse_hidden(&self, name: &str) -> Result<(), CompileError> {
        if self.redaction.is_strict() && self.redaction.hides_name(name) {
            return Err(CompileError::Redacted);
        }
        Ok(())
    }

    /// As [`Self::refuse_hidden`], for what lies within values of a type.
    fn refuse_hidden_type(&self, ty: &Type) -> Result<(), CompileError> {
        if self.redaction.is_strict() && self.redaction.hides_type(&ty.name) {
            return Err(CompileError::Redacted);
        }
        Ok(())
    }

    fn field(&mut self, place: Place<'s>, ty: TypeRef, field: &str) -> Result<Value<'s>, Stop> {
        self.refuse_hidden(field)?;
        let (place, _, found) = self.auto_deref(place, ty)?;
        let tuple_field = format!("__{field}");
        let wanted = |member: &&Member| *member.name == *field || *member.name == *tuple_field;
        let (TypeKind::Struct { members, .. } | TypeKind::Union { members }) = &found.kind else {
            return Err(no_field(&found, field).into());
        };
        match members.iter().find(wanted) {
            Some(member) => Ok(Value::At(place.at(member.offset), member.ty)),
            None => Err(no_field(&found, field).into()),
        }
    }

    fn element(&mut self, place: Place<'s>, ty: TypeRef, index: &Expr) -> Result<Value<'s>, Stop> {
        let (place, _, found) = self.auto_deref(place, ty)?;
        match (self.view(&found), &found.kind) {
            (
                View::Sequence {
                    data,
                    length,
                    element,
                },
                _,
            ) => {
                let stride = self.load(element)?.size;
                let (index, signed) = self.index(index)?;
                let length = self.required(&place.at(length), 8)?;
                self.builder.push(Op::Bounds {
                    index,
                    length,
                    signed,
                    stride,
                });
                let base = self.required(&place.at(data), 8)?;
                Ok(Value::At(
                    Place::pointed(self.scale(base, index, stride)?),
                    element,
                ))
            }
            (View::Plain, TypeKind::Array { element, count }) => {
                let stride = self.load(*element)?.size;
                if let Expr::Literal(Literal::Integer(index)) = index {
                    let within = u64::try_from(*index).ok().filter(|index| index < count);
                    let at = within.and_then(|index| index.checked_mul(stride));
                    let error = || CompileError::OutOfBounds {
                        index: *index,
                        ty: found.name.to_string(),
                        count: *count,
                    };
                    return Ok(Value::At(place.at(at.ok_or_else(error)?), *element));
                }
                // An array whose elements are chosen while the program runs is in memory, never in registers.
                let Place::Memory { base, offset, .. } = place else {
                    return Err(Stop::Unavailable(Missing::Unsupported));
                };
                let (index, signed) = self.index(index)?;
                let length = self
                    .builder
                    .constant(*count)
                    .ok_or(CompileError::TooComplex)?;
                self.builder.push(Op::Bounds {
                    index,
                    length,
                    signed,
                    stride,
                });
                let base = self.scale(base, index, stride)?;
                Ok(Value::At(
                    Place::Memory {
                        base,
                        offset,
                        frame: None,
                    },
                    *element,
                ))
            }
            _ => Err(CompileError::NotIndexable {
                ty: found.name.to_string(),
            }
            .into()),
        }
    }

    fn scale(&mut self, base: Slot, index: Slot, stride: u64) -> Result<Slot, Stop> {
        let to = self.builder.slot().ok_or(CompileError::TooComplex)?;
        self.builder.push(Op::Scale {
            to,
            base,
            index,
            stride,
        });
        self.builder.push(Op::Require { slot: to });
        Ok(to)
    }

    /// A slot with the value of an index, and whether it is signed.
    fn index(&mut self, index: &Expr) -> Result<(Slot, bool), Stop> {
        let (place, ty) = match self.value(index)? {
            Value::At(place, ty) => (place, ty),
            Value::Constant(Literal::Integer(value)) => {
                let bits = u64::try_from(value)
                    .ok()
                    .or(i64::try_from(value).ok().map(i64::cast_unsigned));
                let bits = bits.ok_or_else(|| CompileError::NotAnIndex {
                    ty: value.to_string(),
                })?;
                return Ok((
                    self.builder
                        .constant(bits)
                        .ok_or(CompileError::TooComplex)?,
                    value < 0,
                ));
            }
            Value::Constant(_) => {
                return Err(CompileError::NotAnIndex {
                    ty: "a literal".into(),
                }
                .into());
            }
        };
        let (place, _, found) = self.auto_deref(place, ty)?;
        let signed = found.kind == TypeKind::Signed;
        match u8::try_from(found.size) {
            Ok(size @ 1..=8) if signed || found.kind == TypeKind::Unsigned => {
                let slot = self.required(&place, size)?;
                if signed {
                    self.builder.push(Op::SignExtend { slot, size });
                }
                Ok((slot, signed))
            }
            _ => Err(CompileError::NotAnIndex {
                ty: found.name.to_string(),
            }
            .into()),
        }
    }

    fn capture_root(&mut self, place: &Place<'s>, ty: TypeRef) -> Result<(), Stop> {
        let size = self.load(ty)?.size;
        let place = match *place {
            Place::Pieces { pieces, offset } => {
                let at = u32::try_from(offset).map_err(|_| CompileError::TooComplex)?;
                self.builder.push(Op::PlacePseudo { offset: at });
                let most = self.most();
                capture_pieces(&mut self.builder, pieces, offset, size, most)?;
                place.clone()
            }
            Place::Memory { base, offset, .. } => {
                self.builder.push(Op::Place { base, offset });
                self.capture_value(place, ty)
            }
            Place::Captured { .. } => place.clone(),
        };
        self.visits = MAX_VISITS;
        self.chase(ty, &place, self.limits.depth, MAX_HOPS);
        Ok(())
    }

    pub(super) fn load(&mut self, ty: TypeRef) -> Result<Arc<Type>, TypeError> {
        self.loader.load(ty)
    }

    pub(super) fn view(&mut self, ty: &Type) -> View {
        self.loader.view_of(ty)
    }

    pub(super) fn view_of(&mut self, ty: TypeRef) -> Option<Arc<View>> {
        self.loader.view(ty).ok()
    }

    /// Bytes of the longest block: it must not take the whole record.
    pub(super) fn most(&self) -> u32 {
        u32::try_from(self.limits.record / 2).unwrap_or(u32::MAX)
    }
}

/// Types within types and pointers to pointers that are followed, whatever the depth: damaged debug information can
/// lead in circles.
pub(super) const MAX_HOPS: usize = 48;

/// Bounds the time that a wide type takes.
const MAX_VISITS: usize = 8192;

fn no_field(ty: &Type, field: &str) -> CompileError {
    let hint = match &ty.kind {
        TypeKind::Struct { members, .. } | TypeKind::Union { members } => {
            let names = members
                .iter()
                .map(|member| member.name.strip_prefix("__").unwrap_or(&member.name));
            match hint(field, names) {
                none if none.is_empty() => "; it has none".into(),
                hint => hint,
            }
        }
        TypeKind::Enum { .. } | TypeKind::Enumeration { .. } => {
            "; an enum is shown as a whole".into()
        }
        TypeKind::Pointer { .. } => {
            format!("; write `(*pointer).{field}` for a field of its target")
        }
        _ => String::new(),
    };
    CompileError::NoField {
        field: field.into(),
        ty: ty.name.to_string(),
        hint,
    }
}

impl From<TypeError> for CompileError {
    fn from(error: TypeError) -> Self {
        Self::Type(error)
    }
}
