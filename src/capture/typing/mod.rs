//! Gives expressions types: which names, fields and methods there are, and what each operator means.
//!
//! Nothing is read here, and no operation of a capture program is made. What makes no sense is told with what would.

mod constant;
mod equality;
mod layouts;
mod made;
mod maps;
mod methods;
mod numbers;
mod operators;
mod patterns;
mod places;
mod sequences;
mod size;
mod thread_locals;

use self::constant::Constant;
use super::error::CompileError;
use super::expr::{Expr, FormatPart, Literal, Special};
use super::format::Format;
use super::number::{Kind, Mode, Number};
use super::redact::{self, Redaction};
use super::typed::{Entries, Node, Operand, Part, Path, Refusal, Run, Typed, Want};
use super::types::Loader;
use super::views::View;
use crate::symbols::scope::Scope;
use crate::symbols::types::{Member, Type, TypeKind, TypeRef};
use std::cell::Cell;
use std::sync::Arc;

/// Types an expression whose value is shown in `format`.
///
/// # Errors
///
/// What is wrong with it.
pub fn shown(
    expr: &Expr,
    format: &Format,
    scope: &Scope,
    loader: &mut Loader<'_>,
    redaction: &Redaction,
) -> Result<Typed, CompileError> {
    let left = Cell::new(size::MAX_SIZE);
    let mut typing = Typing::new(scope, loader, redaction, &left);
    let item = typing.item(expr)?;
    let node = typing.formatted(item, format)?;
    Ok(typing.finish(node))
}

/// Types an expression that decides something.
///
/// # Errors
///
/// What is wrong with it; also where it is no `bool`.
pub fn condition(
    expr: &Expr,
    scope: &Scope,
    loader: &mut Loader<'_>,
    redaction: &Redaction,
) -> Result<Typed, CompileError> {
    let left = Cell::new(size::MAX_SIZE);
    let mut typing = Typing::new(scope, loader, redaction, &left);
    let item = typing.item(expr)?;
    let node = typing.boolean(item)?;
    Ok(typing.finish(node))
}

/// See the module's documentation.
struct Typing<'a, 's> {
    scope: &'a Scope,
    loader: &'a mut Loader<'s>,
    redaction: &'a Redaction,
    /// How much more may be made.
    left: &'a Cell<usize>,
    operands: Vec<Operand>,
    marks: Vec<(Node, &'static str)>,
    /// What the patterns around have bound, the innermost last; `None` for what may be one thing or another.
    bound: Vec<(String, Option<Item>)>,
}

/// What an expression is.
#[derive(Clone, Debug)]
enum Item {
    /// Something in the program.
    Place(Path),
    /// What a lock or a cell guards, of which `unwrap` gives just that.
    Guarded(Path),
    /// An `Option` of something in the program, which is there or not.
    Optional(Path),
    /// A number of a type.
    Number(Node, Kind),
    /// Integer literals, whose type is what they are used with.
    Integer(Constant),
    /// A float literal, whose type is what it is used with.
    Float(String),
    /// Text that is put together or written down.
    Text(Node),
    /// `Some` of a number, or `None`.
    Checked(Node, Kind),
    /// Elements.
    Run(Path, Run),
    /// Keys or values of a map or a set.
    Entries(Path, Entries),
    /// When the hit was.
    Time,
}

impl<'a, 's> Typing<'a, 's> {
    fn new(
        scope: &'a Scope,
        loader: &'a mut Loader<'s>,
        redaction: &'a Redaction,
        left: &'a Cell<usize>,
    ) -> Self {
        Self {
            scope,
            loader,
            redaction,
            left,
            operands: Vec::new(),
            marks: Vec::new(),
            bound: Vec::new(),
        }
    }

    /// For an expression of its own within this one, as an index is.
    fn nested(&mut self) -> Typing<'_, 's> {
        // What was computed here has its operands here.
        let places = self.bound.iter().map(|(name, item)| {
            let item = item.clone();
            let place = item.filter(|item| matches!(item, Item::Place(_) | Item::Guarded(_)));
            (name.clone(), place)
        });
        let bound = places.collect();
        Typing {
            bound,
            ..Typing::new(self.scope, &mut *self.loader, self.redaction, self.left)
        }
    }

    /// As [`Self::finish`], of an expression within another one, where nothing could be said of it.
    fn finish_unmarked(self, node: Node) -> Result<Typed, CompileError> {
        if !self.marks.is_empty() {
            return Err(CompileError::Unsupported {
                what: "what a lock guards as an index, a bound or a key".into(),
                why: "it could not be told whether somebody held the lock; log both by themselves",
            });
        }
        Ok(self.finish(node))
    }

    fn finish(self, node: Node) -> Typed {
        Typed::new(node, self.operands, self.marks)
    }

    fn item(&mut self, expr: &Expr) -> Result<Item, CompileError> {
        self.count(1);
        let item = self.item_of(expr)?;
        // What is computed of one thing several times may have grown unseen.
        if size::of_item(&item) > size::MAX_SIZE {
            return Err(CompileError::TooComplex);
        }
        self.bounded()?;
        Ok(item)
    }

    fn item_of(&mut self, expr: &Expr) -> Result<Item, CompileError> {
        match expr {
            Expr::Literal(literal) => literal_item(literal),
            Expr::Reference(inner) => self.item(inner),
            Expr::Name(name) => self.named(name),
            Expr::Path(segments) => self.path(segments),
            Expr::Special(Special::Time) => Ok(Item::Time),
            Expr::Special(special) => Ok(Item::Number(Node::Special(*special), Kind::unsigned(64))),
            Expr::Deref(inner) => match (&**inner, self.item(inner)?) {
                // `*&x` is `x`.
                (Expr::Reference(_), item) => Ok(item),
                // What it refers to is the place itself here, and that of a raw pointer would be one too far.
                (inner, Item::Place(path))
                    if places::gives_reference(inner) && self.is_raw(&path)? =>
                {
                    Ok(Item::Place(path))
                }
                (inner, Item::Place(path)) => match self.deref(path.clone()) {
                    // What a method or a pattern refers to is the place itself here: there may be one `*` too many.
                    Err(CompileError::NotAPointer { .. })
                        if is_of_method(inner)
                            || matches!(inner, Expr::Name(name) if self.is_bound(name)) =>
                    {
                        Ok(Item::Place(path))
                    }
                    target => target.map(Item::Place),
                },
                (_, Item::Guarded(path)) => Ok(Item::Place(path)),
                (_, item @ (Item::Number(..) | Item::Text(_) | Item::Run(..))) => Ok(item),
                (_, Item::Integer(_) | Item::Float(_)) => Err(places::on_a_literal("*")),
                (_, item) => Err(CompileError::NotAPointer {
                    ty: self.name_of(&item),
                }),
            },
            Expr::Field(inner, field) => match (&**inner, field) {
                (Expr::Struct(fields), field) => {
                    let found = fields.iter().find(|(name, _)| name == field);
                    let (_, value) = found.ok_or_else(|| CompileError::NoField {
                        field: field.clone(),
                        ty: "this struct".into(),
                        hint: "; it has none of that name here".into(),
                    })?;
                    self.item(value)
                }
                _ => {
                    if let Some(captured) = self.captured(expr)? {
                        return Ok(Item::Place(captured));
                    }
                    let base = self.place(inner, ".")?;
                    self.field(base, field).map(Item::Place)
                }
            },
            Expr::Index(inner, index) => {
                let path = match self.item(inner)? {
                    Item::Run(path, run) => self.element_of(path, run, index, false),
                    item => {
                        let base = self.placed(item, "[")?;
                        self.element(base, index)
                    }
                };
                path.map(Item::Place)
            }
            Expr::Slice(inner, bounds) => {
                let (path, run) = match self.item(inner)? {
                    Item::Run(path, run) => self.part(path, run, bounds)?,
                    Item::Text(_) => return Err(places::part_of_text()),
                    item => {
                        let base = self.placed(item, "[")?;
                        self.slice(base, bounds)?
                    }
                };
                Ok(Item::Run(path, run))
            }
            Expr::Unary(op, inner) => {
                let item = self.item(inner)?;
                self.unary(*op, item)
            }
            Expr::Binary(op, left, right) => self.binary(*op, left, right),
            Expr::And(left, right) => self.logic(left, right, Node::And),
            Expr::Or(left, right) => self.logic(left, right, Node::Or),
            Expr::Cast(inner, kind) => {
                let item = self.item(inner)?;
                self.cast(item, *kind)
            }
            Expr::Method(receiver, name, arguments) => self.method(receiver, name, arguments),
            Expr::Matches(value, pattern, guard) => {
                let item = self.item(value)?;
                let around = self.bound.len();
                let mut node = self.pattern(&item, pattern)?;
                if let Some(guard) = guard {
                    let guard = self.item(guard)?;
                    node = Node::And(Box::new(node), Box::new(self.boolean(guard)?));
                }
                self.bound.truncate(around);
                Ok(Item::Number(node, Kind::Bool))
            }
            Expr::Format(parts) => self.format(parts).map(Item::Text),
            Expr::Call(path, _) => Err(CompileError::Unsupported {
                what: format!("the function call `{}(..)`", path.join("::")),
                why: "it would run code of the program",
            }),
            Expr::Struct(_) => Err(CompileError::Unsupported {
                what: "building a value".into(),
                why: "only a field of it can be read, as in `Foo { a: 1 }.a`",
            }),
        }
    }

    /// What a pattern around has bound, or else a variable.
    fn named(&mut self, name: &str) -> Result<Item, CompileError> {
        let mut bound = self.bound.iter().rev();
        match bound.find(|(known, _)| known == name) {
            Some((_, Some(item))) => Ok(item.clone()),
            Some((_, None)) => Err(CompileError::Unsupported {
                what: format!("`{name}` of a pattern here"),
                why: "`|` may bind it to one thing or another, and an index cannot be what is computed; write the cases as `matches!` of their own",
            }),
            None => self.variable(name).map(Item::Place),
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|(known, _)| known == name)
    }

    /// A path with `::`: an associated constant of a number, or a static, which the scope has by that name.
    fn path(&mut self, segments: &[String]) -> Result<Item, CompileError> {
        if let [ty, constant] = segments
            && let Some(kind) = Kind::named(ty)
            && let Some(number) = operators::constant(kind, constant)
        {
            return Ok(Item::Number(Node::Number(number), number.kind));
        }
        match self.variable(&segments.join("::")) {
            Err(CompileError::UnknownName { .. }) => Err(CompileError::Unsupported {
                what: format!("the path `{}`", segments.join("::")),
                why: "there is no such static; variants stand in a comparison or in `matches!`",
            }),
            found => found.map(Item::Place),
        }
    }

    fn format(&mut self, parts: &[FormatPart]) -> Result<Node, CompileError> {
        let mut typed = Vec::new();
        for part in parts {
            typed.push(match part {
                FormatPart::Text(text) => Part::Words(text.clone()),
                FormatPart::Value(value, spec) => {
                    let format = Format::parse_display(spec)?;
                    let item = self.item(value)?;
                    let plain = matches!(
                        item,
                        Item::Number(..) | Item::Integer(_) | Item::Float(_) | Item::Text(_)
                    );
                    if format.is_display() && !plain && !self.is_primitive(&item)? {
                        return Err(CompileError::Unsupported {
                            what: format!("`{{}}` of `{}`", self.name_of(&item)),
                            why: "its `Display` is code of the program; write `{:?}`",
                        });
                    }
                    Part::Value(self.formatted(item, &format)?, format)
                }
            });
        }
        Ok(Node::Format(typed))
    }

    /// Whether something is a number or text, which `{}` shows without code of the program.
    fn is_primitive(&mut self, item: &Item) -> Result<bool, CompileError> {
        match item {
            Item::Place(path) | Item::Guarded(path) => {
                let path = self.auto_deref(path.clone())?;
                let found = self.load(path.ty)?;
                Ok(kind_of(&found).is_some()
                    || self.view(path.ty)?.text().is_some()
                    || self.text(&Item::Place(path))?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// What shows an item in a format; numbers as such where the format asks for them.
    fn formatted(&mut self, item: Item, format: &Format) -> Result<Node, CompileError> {
        let ty = self.name_of(&item);
        let misfit = || CompileError::Format {
            format: format.source().into(),
            why: format!("`{ty}` has none such"),
        };
        if !format.wants_number() && !format.is_bare() && !format.goes_to_parts() {
            return self.node(item);
        }
        if !format.wants_number()
            && let Some(text) = self.text(&item)?
        {
            return Ok(text);
        }
        match self.number(item.clone()) {
            Ok((node, kind)) if format.fits(kind) => Ok(node),
            Err(CompileError::NotANumber { .. }) if format.goes_to_parts() => {
                Err(CompileError::Format {
                    format: format.source().into(),
                    why: format!(
                        "with `?`, a width or precision is one of each part of `{}`; write it for a part, or without `?`",
                        self.name_of(&item)
                    ),
                })
            }
            Err(CompileError::NotANumber { .. })
                if !format.wants_number() && !format.has_precision() =>
            {
                self.node(item)
            }
            Ok(_) | Err(CompileError::NotANumber { .. }) => Err(misfit()),
            Err(error) => Err(error),
        }
    }

    fn node(&mut self, item: Item) -> Result<Node, CompileError> {
        Ok(match item {
            Item::Place(path) | Item::Guarded(path) => Node::Value(self.operand(path, Want::Value)),
            Item::Optional(path) => {
                let operand = self.operand(path, Want::Value);
                Node::Optional(operand, Box::new(Node::Value(operand)))
            }
            Item::Number(node, _) | Item::Text(node) => node,
            Item::Integer(_) | Item::Float(_) => self.number(item)?.0,
            Item::Checked(node, _) => Node::Checked(Box::new(node)),
            Item::Run(path, run) => Node::Value(self.operand(path, Want::Run(run))),
            Item::Entries(path, entries) => Node::Value(self.operand(path, Want::Entries(entries))),
            Item::Time => Node::Special(Special::Time),
        })
    }

    fn operand(&mut self, path: Path, want: Want) -> usize {
        self.count(size::of_operand(&path, &want));
        self.operands.push(Operand { path, want });
        self.operands.len() - 1
    }

    /// An item as a number; a literal without a type gets the one that Rust gives it.
    fn number(&mut self, item: Item) -> Result<(Node, Kind), CompileError> {
        match item {
            Item::Number(node, kind) => Ok((node, kind)),
            Item::Integer(constant) => constant.alone(),
            Item::Float(digits) => Ok((operators::float(&digits, Kind::F64)?, Kind::F64)),
            Item::Place(path) | Item::Guarded(path) => {
                let path = self.auto_deref(path)?;
                let found = self.load(path.ty)?;
                match kind_of(&found) {
                    Some(kind) => Ok((
                        Node::Load(self.operand(path, Want::Number(kind)), kind),
                        kind,
                    )),
                    None => Err(CompileError::NotANumber {
                        ty: found.name.to_string(),
                    }),
                }
            }
            other => Err(CompileError::NotANumber {
                ty: self.name_of(&other),
            }),
        }
    }

    fn boolean(&mut self, item: Item) -> Result<Node, CompileError> {
        let ty = self.name_of(&item);
        match self.number(item) {
            Ok((node, Kind::Bool)) => Ok(node),
            Ok((_, kind)) => Err(CompileError::NotABool {
                ty: kind.name().into(),
            }),
            Err(CompileError::NotANumber { .. }) => Err(CompileError::NotABool { ty }),
            Err(error) => Err(error),
        }
    }

    /// An item as text; `None` where it is none.
    fn text(&mut self, item: &Item) -> Result<Option<Node>, CompileError> {
        match item {
            Item::Text(node) => Ok(Some(node.clone())),
            Item::Place(path) | Item::Guarded(path) => {
                let path = self.auto_deref(path.clone())?;
                let found = self.load(path.ty)?;
                // How these are compared is code of the program.
                let is_own = self.loader.is_shown_by_users(&found);
                if !is_own && found.name.starts_with("alloc::borrow::Cow<str") {
                    return self.borrowed_or_owned(&path);
                }
                if is_own || self.view(path.ty)?.text().is_none() {
                    return Ok(None);
                }
                Ok(Some(Node::Text(self.operand(path, Want::Value))))
            }
            _ => Ok(None),
        }
    }

    /// The text of a `Cow<str>`.
    fn borrowed_or_owned(&mut self, path: &Path) -> Result<Option<Node>, CompileError> {
        let mut texts = Vec::new();
        for variant in ["Borrowed", "Owned"] {
            let Some((_, text)) = self.payload(path, variant, Refusal::None)? else {
                return Ok(None);
            };
            texts.push(self.text(&Item::Place(text.optional(true)))?);
        }
        Ok(match texts.as_slice() {
            [Some(Node::Text(borrowed)), Some(owned)] => Some(Node::Either(
                *borrowed,
                Box::new(Node::Text(*borrowed)),
                Box::new(owned.clone()),
            )),
            _ => None,
        })
    }

    /// What an item is called in an error.
    fn name_of(&mut self, item: &Item) -> String {
        match item {
            Item::Place(path) | Item::Guarded(path) => self.type_name(path.ty),
            Item::Optional(path) => format!("Option<{}>", self.type_name(path.ty)),
            Item::Number(_, kind) => kind.name().into(),
            Item::Checked(_, kind) => format!("Option<{}>", kind.name()),
            Item::Integer(_) => "integer".into(),
            Item::Float(_) => "float".into(),
            Item::Text(_) => "String".into(),
            Item::Run(_, run) => format!("[{}]", self.type_name(run.element)),
            Item::Entries(_, entries) => format!("[{}]", self.type_name(entries.ty)),
            Item::Time => "$time".into(),
        }
    }

    fn type_name(&mut self, ty: TypeRef) -> String {
        self.loader.load(ty).map_or_else(
            |_| "a type that cannot be read".into(),
            |found| found.name.to_string(),
        )
    }

    /// A type on the way. Strict redaction leaves no way to, or through, a value of a hidden one.
    fn load(&mut self, ty: TypeRef) -> Result<Arc<Type>, CompileError> {
        let found = self.loader.load(ty)?;
        if self.redaction.is_strict() && self.redaction.hides_type(&found.name) {
            return Err(CompileError::Redacted);
        }
        Ok(found)
    }

    /// Strict redaction leaves no way to what has such a name.
    fn refuse_hidden(&self, name: &str) -> Result<(), CompileError> {
        if self.redaction.is_strict() && self.redaction.hides_name(name) {
            return Err(CompileError::Redacted);
        }
        Ok(())
    }

    /// What only the first of its pair can tell to be a secret.
    fn refuse_second(&mut self, members: &[Member], member: &Member) -> Result<(), CompileError> {
        if !self.redaction.is_strict() || !self.redaction.hides_anything() {
            return Ok(());
        }
        for name in redact::names_of(members, member) {
            let found = self.load(name.ty)?;
            let is_text = matches!(
                *self.view(name.ty)?,
                View::Text { .. } | View::Bytes { .. } | View::Reference { .. }
            );
            if is_text || redact::may_wrap_a_name(&found) {
                return Err(CompileError::Redacted);
            }
        }
        Ok(())
    }

    fn view(&mut self, ty: TypeRef) -> Result<Arc<View>, CompileError> {
        Ok(self.loader.view(ty)?)
    }
}

/// Whether a method gives this, perhaps behind references.
fn is_of_method(expr: &Expr) -> bool {
    match expr {
        Expr::Method(..) => true,
        Expr::Deref(inner) => is_of_method(inner),
        _ => false,
    }
}

/// The primitive type that a type is.
fn kind_of(ty: &Type) -> Option<Kind> {
    let bits = u8::try_from(ty.size.checked_mul(8)?).ok()?;
    let kind = match ty.kind {
        TypeKind::Unsigned => Kind::unsigned(bits),
        TypeKind::Signed => Kind::Integer { signed: true, bits },
        TypeKind::Float if bits == 32 => Kind::F32,
        TypeKind::Float if bits == 64 => Kind::F64,
        TypeKind::Bool => Kind::Bool,
        TypeKind::Char => Kind::Char,
        _ => return None,
    };
    (u64::from(kind.size()) == ty.size && (1..=16).contains(&ty.size)).then_some(kind)
}

fn literal_item(literal: &Literal) -> Result<Item, CompileError> {
    Ok(match literal {
        Literal::Integer(value, None) => Item::Integer(Constant::Literal(*value)),
        Literal::Integer(value, Some(kind)) => {
            let number = operators::integer(*value, *kind)?;
            Item::Number(Node::Number(number), *kind)
        }
        Literal::Large(value, None) => Item::Integer(Constant::Large(*value)),
        Literal::Large(value, Some(kind)) => {
            Item::Number(Constant::Large(*value).of(*kind)?, *kind)
        }
        Literal::Float(digits, None) => Item::Float(digits.clone()),
        Literal::Float(digits, Some(kind)) => Item::Number(operators::float(digits, *kind)?, *kind),
        Literal::Bool(value) => Item::Number(Node::Number(Number::boolean(*value)), Kind::Bool),
        Literal::Char(value) => {
            let number = Number::new(Kind::Char, u128::from(u32::from(*value)));
            Item::Number(Node::Number(number), Kind::Char)
        }
        Literal::Text(text) => Item::Text(Node::Words(text.clone())),
    })
}

/// A computation whose overflow is a fault, as it is in a program with overflow checks.
const CHECKED: Mode = Mode::Checked;
