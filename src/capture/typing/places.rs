//! Variables, fields, elements, and what pointers lead to.

use super::layouts::{self, Way};
use super::methods::is_of_std;
use super::{CHECKED, Item, Typing, literal_item};
use crate::capture::compile::MAX_HOPS;
use crate::capture::error::{CompileError, hint};
use crate::capture::expr::{Bounds, Expr, Literal};
use crate::capture::number::{Binary, Kind, Mode, Number};
use crate::capture::typed::{Layout, Node, Path, Refusal, Run, Step, Typed, Want};
use crate::capture::views::{Pointed, Ring, View};
use crate::symbols::scope::{Scope, Unclear, Variable};
use crate::symbols::types::{Member, Type, TypeKind, TypeRef};

impl Typing<'_, '_> {
    pub(super) fn variable(&mut self, name: &str) -> Result<Path, CompileError> {
        let last = name.rsplit("::").next().unwrap_or(name);
        self.refuse_hidden(last)?;
        let scope = self.scope;
        let visible = || {
            scope
                .variables
                .iter()
                .enumerate()
                .filter(|(_, it)| self.is_named(it))
        };
        let found = visible().find(|(_, variable)| *variable.name == *name);
        if found.is_none_or(|(_, variable)| variable.depth > scope.depth) {
            self.refuse_captured(name)?;
        }
        let unclear = scope.unclear.iter().find(|unclear| unclear.name == name);
        match (found, unclear) {
            (Some((index, variable)), _) => self.of_thread(Path {
                variable: index,
                steps: Vec::new(),
                ty: variable.ty,
            }),
            (None, Some(Unclear { name, why })) => Err(CompileError::UnclearStatic {
                name: name.clone(),
                why: why.clone(),
            }),
            (None, None) if is_constant(last) => Err(CompileError::NoStatic { name: name.into() }),
            (None, None) => Err(CompileError::UnknownName {
                name: name.into(),
                hint: hint(name, visible().map(|(_, variable)| &*variable.name)),
            }),
        }
    }

    /// Whether a variable can be meant by its name: of the functions that this one is inlined into not one of a library's,
    /// and none whose name means something else further in, as that of a variable does before its `let`.
    fn is_named(&self, variable: &Variable) -> bool {
        let scope = self.scope;
        let index = |depth| usize::try_from(depth).unwrap_or(usize::MAX);
        let (here, of) = (index(scope.depth), index(variable.depth));
        // What is of none is a static.
        let (true, Some(function)) = (of > here, scope.functions.get(of)) else {
            return true;
        };
        let further_in = scope.declared.get(here..of).unwrap_or_default();
        !is_of_std(function) && !further_in.iter().any(|it| it.contains(&variable.name))
    }

    /// `point.x` where that is all of `point` that the closure has captured: it is a variable `point__x` there.
    pub(super) fn captured(&mut self, expr: &Expr) -> Result<Option<Path>, CompileError> {
        let Some(names) =
            chain(expr).filter(|names| !names.iter().take(1).any(|first| self.is_bound(first)))
        else {
            return Ok(None);
        };
        let scope = self.scope;
        let named = |name: &str| captures(scope).find(|known| *known.name == *name);
        let whole = names.first().and_then(|first| named(first));
        let (None, Some(found)) = (whole, named(&names.join("__"))) else {
            return Ok(None);
        };
        for name in &names {
            self.refuse_hidden(name)?;
        }
        let mut all = scope.variables.iter();
        let index = all.position(|known| std::ptr::eq(known, found));
        Ok(index.map(|variable| Path {
            variable,
            steps: Vec::new(),
            ty: found.ty,
        }))
    }

    /// What an outer function calls by this name is not what the closure does.
    fn refuse_captured(&self, name: &str) -> Result<(), CompileError> {
        let mut parts: Vec<String> = captures(self.scope)
            .filter_map(|known| known.name.strip_prefix(name)?.strip_prefix("__"))
            .map(|fields| format!("`{name}.{}`", fields.replace("__", ".")))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        parts.sort_unstable();
        Err(CompileError::Captured {
            name: name.into(),
            parts: parts.join(", "),
        })
    }

    /// An expression that has to be something in the program.
    pub(super) fn place(&mut self, expr: &Expr, operator: &str) -> Result<Path, CompileError> {
        let item = self.item(expr)?;
        self.placed(item, operator)
    }

    /// An item that has to be something in the program.
    pub(super) fn placed(&mut self, item: Item, operator: &str) -> Result<Path, CompileError> {
        match item {
            Item::Place(path) | Item::Guarded(path) => Ok(path),
            Item::Integer(_) | Item::Float(_) => Err(on_a_literal(operator)),
            other => Err(CompileError::NoOperator {
                operator: operator.into(),
                ty: self.name_of(&other),
            }),
        }
    }

    /// What `*` gives.
    pub(super) fn deref(&mut self, path: Path) -> Result<Path, CompileError> {
        let found = self.load(path.ty)?;
        let view = self.view(path.ty)?;
        // The target of text or a sequence is shown as the pointer to it is.
        if view.text().is_some() || view.elements().is_some() {
            return Ok(path);
        }
        match (&*view, &found.kind) {
            (View::Address, TypeKind::Pointer { target }) => match self.load(*target)?.kind {
                TypeKind::Function => Err(not_a_pointer(&found)),
                _ => Ok(path.then(Step::Follow, *target)),
            },
            _ => match self.followed(&path, &found)? {
                Some(target) => Ok(target),
                None => Err(not_a_pointer(&found)),
            },
        }
    }

    /// Whether a value is a raw pointer.
    pub(super) fn is_raw(&mut self, path: &Path) -> Result<bool, CompileError> {
        Ok(matches!(*self.view(path.ty)?, View::Address))
    }

    /// What is behind a reference or an owner; `None` for other values.
    pub(super) fn followed(
        &mut self,
        path: &Path,
        ty: &Type,
    ) -> Result<Option<Path>, CompileError> {
        if let View::Reference { target } = *self.view(path.ty)? {
            return Ok(Some(path.clone().then(Step::Follow, target)));
        }
        match self.way(path, ty, layouts::OWNERS) {
            None => self.lazy(path, ty),
            owned => Ok(owned),
        }
    }

    /// Goes through references and owners, as Rust does before a field, an index or a method.
    pub(super) fn auto_deref(&mut self, mut path: Path) -> Result<Path, CompileError> {
        for _ in 0..MAX_HOPS {
            let found = self.load(path.ty)?;
            match self.followed(&path, &found)? {
                Some(target) => path = target,
                None => return Ok(path),
            }
        }
        Err(CompileError::TooComplex)
    }

    /// The way of a table that leads on from a value of the type, if there is one.
    pub(super) fn way(&mut self, path: &Path, ty: &Type, table: &[Way]) -> Option<Path> {
        let ways = table.iter().filter(|way| way.fits(&ty.name));
        ways.flat_map(|way| way.fields)
            .find_map(|fields| self.along(path.clone(), fields))
    }

    /// How far into a value of a type the way of a table leads that goes through no pointer, and to what.
    pub(super) fn within(
        &mut self,
        ty: TypeRef,
        table: &[Way],
    ) -> Result<Option<(u64, TypeRef)>, CompileError> {
        let found = self.load(ty)?;
        let start = Path {
            variable: 0,
            steps: Vec::new(),
            ty,
        };
        let end = self.way(&start, &found, table);
        Ok(end.and_then(|end| match *end.steps {
            [] => Some((0, end.ty)),
            [Step::At(distance)] => Some((distance, end.ty)),
            _ => None,
        }))
    }

    /// Goes along members, and through pointers where it says `*`.
    fn along(&mut self, mut path: Path, fields: &str) -> Option<Path> {
        for field in fields.split('.') {
            let found = self.load(path.ty).ok()?;
            path = match &found.kind {
                TypeKind::Pointer { target } if field == "*" => path.then(Step::Follow, *target),
                TypeKind::Struct { members, .. } | TypeKind::Union { members } => {
                    let member = members.iter().find(|member| *member.name == *field)?;
                    path.then(Step::At(member.offset), member.ty)
                }
                _ => return None,
            };
        }
        Some(path)
    }

    pub(super) fn field(&mut self, path: Path, field: &str) -> Result<Path, CompileError> {
        self.refuse_hidden(field)?;
        let tuple_field = format!("__{field}");
        let wanted = |member: &&Member| *member.name == *field || *member.name == *tuple_field;
        let mut path = path;
        let mut first = None;
        for _ in 0..MAX_HOPS {
            let found = self.load(path.ty)?;
            // A reference's or owner's own fields are not what Rust code sees.
            if let Some(target) = self.followed(&path, &found)? {
                path = target;
                continue;
            }
            if let TypeKind::Struct { members, .. } | TypeKind::Union { members } = &found.kind
                && let Some(member) = members.iter().find(wanted)
            {
                self.refuse_second(members, member)?;
                return Ok(path.then(Step::At(member.offset), member.ty));
            }
            return Err(no_field(first.get_or_insert(found), field));
        }
        Err(CompileError::TooComplex)
    }

    /// A sequence's elements: where they are, and their type; `None` where it is no sequence.
    pub(super) fn sequence(
        &mut self,
        path: &Path,
    ) -> Result<Option<(Layout, TypeRef, u64)>, CompileError> {
        let found = self.load(path.ty)?;
        let view = self.view(path.ty)?;
        let (layout, element) = match (view.elements(), &*view, &found.kind) {
            (Some((pointed, element)), ..) => (Layout::Pointed(pointed), element),
            (None, View::Plain, TypeKind::Array { element, count }) => {
                (Layout::Array(*count), *element)
            }
            (None, View::Small(small), _) => (Layout::Small(*small), small.element),
            _ => return Ok(None),
        };
        Ok(Some((layout, element, self.loader.load(element)?.size)))
    }

    /// As [`Self::sequence`], of which the elements are in two pieces.
    pub(super) fn ring(
        &mut self,
        path: &Path,
    ) -> Result<Option<(Layout, TypeRef, u64)>, CompileError> {
        let View::Ring(ring) = *self.view(path.ty)? else {
            return Ok(None);
        };
        let size = self.loader.load(ring.element)?.size;
        Ok(Some((Layout::Ring(ring), ring.element, size)))
    }

    /// `base[index]`, of a sequence or a map.
    pub(super) fn element(&mut self, base: Path, index: &Expr) -> Result<Path, CompileError> {
        let path = self.auto_deref(base)?;
        let elements = match self.sequence(&path)? {
            None => self.ring(&path)?,
            elements => elements,
        };
        if let Some(elements) = elements {
            return self.element_of(path, Run::all(elements), index, false);
        }
        match self.map(&path)? {
            Some((path, map)) => self.entry(path, map, index, Refusal::Key),
            None => Err(CompileError::NotIndexable {
                ty: self.type_name(path.ty),
            }),
        }
    }

    /// The element with an index; `optional` for `get(index)`.
    pub(super) fn element_of(
        &mut self,
        path: Path,
        run: Run,
        index: &Expr,
        optional: bool,
    ) -> Result<Path, CompileError> {
        if let (Layout::Array(count), Expr::Literal(Literal::Integer(index, _)), false) =
            (run.layout, index, optional)
            && run.is_whole()
            && !u64::try_from(*index).is_ok_and(|index| index < count)
        {
            return Err(CompileError::OutOfBounds {
                index: *index,
                ty: self.type_name(path.ty),
                count,
            });
        }
        let index = Some(Box::new(self.index(index)?));
        let element = run.element;
        let step = Step::Element {
            run: Box::new(run),
            index,
            optional,
        };
        Ok(path.then(step, element))
    }

    /// The first element, or the last one.
    pub(super) fn end(path: Path, run: Run, last: bool) -> Path {
        let first = Node::Number(Number::new(Kind::USIZE, 0));
        let index = match last {
            true => None,
            false => Some(Box::new(Typed::new(first, Vec::new(), Vec::new()))),
        };
        let element = run.element;
        let step = Step::Element {
            run: Box::new(run),
            index,
            optional: true,
        };
        path.then(step, element)
    }

    /// How many elements a sequence, or a part of one, has.
    pub(super) fn length(&mut self, path: &Path, run: &Run) -> Node {
        if !run.is_whole() {
            return Node::Count(self.operand(path.clone(), Want::Count(run.clone())));
        }
        match run.layout {
            Layout::Array(count) => Node::Number(Number::new(Kind::USIZE, u128::from(count))),
            Layout::Pointed(Pointed { length, .. }) | Layout::Ring(Ring { length, .. }) => {
                self.word(path, length)
            }
            // What counts those that are inside has how many there is room for outside, where there are more.
            Layout::Small(small) => {
                let inside = self.word(path, small.capacity);
                let outside = self.word(path, small.length);
                let room = Node::Number(Number::new(Kind::USIZE, small.room.into()));
                let [inside, outside, room] = [inside, outside, room].map(Box::new);
                let is_outside = Node::Binary(Binary::Gt, CHECKED, inside.clone(), room);
                let is_outside = Box::new(Node::Cast(Box::new(is_outside), Kind::USIZE));
                let wrapping =
                    |op, left, right| Box::new(Node::Binary(op, Mode::Wrapping, left, right));
                let more = wrapping(Binary::Sub, outside, inside.clone());
                let more = wrapping(Binary::Mul, is_outside, more);
                *wrapping(Binary::Add, inside, more)
            }
        }
    }

    /// A number of 64 bits so many bytes from the end of a path.
    fn word(&mut self, path: &Path, offset: u64) -> Node {
        let path = path.clone().then(Step::At(offset), path.ty);
        Node::Load(self.operand(path, Want::Number(Kind::USIZE)), Kind::USIZE)
    }

    /// `base[start..end]`.
    pub(super) fn slice(
        &mut self,
        base: Path,
        bounds: &Bounds,
    ) -> Result<(Path, Run), CompileError> {
        let path = self.auto_deref(base)?;
        let Some(elements) = self.sequence(&path)? else {
            if self.text(&Item::Place(path.clone()))?.is_some() {
                return Err(part_of_text());
            }
            return Err(CompileError::NotIndexable {
                ty: self.type_name(path.ty),
            });
        };
        self.part(path, Run::all(elements), bounds)
    }

    /// `base[start..end]`, of elements that are known.
    pub(super) fn part(
        &mut self,
        path: Path,
        all: Run,
        bounds: &Bounds,
    ) -> Result<(Path, Run), CompileError> {
        if !all.is_whole() {
            return Err(CompileError::Unsupported {
                what: "a part of a part".into(),
                why: "write both as one range",
            });
        }
        let start = bounds.start.as_deref().map(|it| self.index(it));
        let end = bounds.end.as_deref().map(|it| self.index(it));
        let run = Run {
            start: start.transpose()?.map(Box::new),
            end: end.transpose()?.map(Box::new),
            inclusive: bounds.inclusive,
            ..all
        };
        Ok((path, run))
    }

    /// An index, which is computed at the hit: an integer, negative ones only to be told that they are none.
    fn index(&mut self, index: &Expr) -> Result<Typed, CompileError> {
        let mut typing = self.nested();
        let item = match index {
            Expr::Literal(literal) => literal_item(literal)?,
            other => typing.item(other)?,
        };
        let ty = typing.name_of(&item);
        let node = match item {
            Item::Integer(constant) => {
                let signed = Kind::Integer {
                    signed: true,
                    bits: 64,
                };
                let node = constant.of(Kind::USIZE).or_else(|_| constant.of(signed));
                node.map_err(|error| match error {
                    CompileError::OutOfRange { literal, .. } => {
                        CompileError::NotAnIndex { ty: literal }
                    }
                    other => other,
                })?
            }
            item => match typing.number(item) {
                Ok((node, kind)) if kind.is_integer() && kind.size() <= 8 => node,
                Ok(_) | Err(CompileError::NotANumber { .. }) => {
                    return Err(CompileError::NotAnIndex { ty });
                }
                Err(error) => return Err(error),
            },
        };
        typing.finish_unmarked(node)
    }
}

/// The variables of the line's own function, if that is a closure.
fn captures(scope: &Scope) -> impl Iterator<Item = &Variable> {
    let function = usize::try_from(scope.depth).ok();
    let function = function.and_then(|depth| scope.functions.get(depth));
    let is_closure = function.is_some_and(|function| {
        let last = function.rfind("::{").and_then(|at| function.get(at + 2..));
        last.is_some_and(|last| last.starts_with("{closure") || last.starts_with("{async"))
    });
    let own = scope.variables.iter();
    own.filter(move |variable| is_closure && variable.depth == scope.depth)
}

/// `a.b.c` as its names.
fn chain(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Name(name) => Some(vec![name]),
        Expr::Field(base, field) => {
            let mut names = chain(base)?;
            names.push(field);
            Some(names)
        }
        _ => None,
    }
}

/// Whether a method gives a reference to what it finds, where it finds something.
pub(super) fn gives_reference(expr: &Expr) -> bool {
    let Expr::Method(receiver, name, arguments) = expr else {
        return false;
    };
    let is_of = |names: &[&str]| matches!(&**receiver, Expr::Method(_, name, _) if names.contains(&name.as_str()));
    match (name.as_str(), &arguments[..]) {
        ("unwrap", []) | ("expect" | "unwrap_or", [_]) => gives_reference(receiver),
        ("first" | "last" | "front" | "back", []) => !is_of(&["copied", "cloned"]),
        ("next", []) | ("nth", [_]) => is_of(&["iter"]),
        // Without an argument that of a `Cell` gives what it holds.
        ("get", [_]) => true,
        ("as_ref" | "as_mut" | "borrow" | "borrow_mut" | "lock" | "read" | "write", []) => true,
        _ => false,
    }
}

pub(super) fn on_a_literal(operator: &str) -> CompileError {
    CompileError::Unsupported {
        what: format!("`{operator}` on a literal"),
        why: "only values of the program have fields, elements and targets",
    }
}

pub(super) fn part_of_text() -> CompileError {
    CompileError::Unsupported {
        what: "a part of a text".into(),
        why: "write `{text:.3}` for its first characters, `text.as_bytes()[..3]` for bytes of one that is no `Cow`",
    }
}

fn not_a_pointer(ty: &Type) -> CompileError {
    CompileError::NotAPointer {
        ty: ty.name.to_string(),
    }
}

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
            "; an enum is shown as a whole, and asked by `matches!` or `unwrap`".into()
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

/// Whether a name is written as those of constants and statics are, and not as those of types and variants.
fn is_constant(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_'))
}
