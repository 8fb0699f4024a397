//! Methods, as reads: each is what it would return, found without running it.

use super::layouts;
use super::operators::no_operator;
use super::patterns::not;
use super::{CHECKED, Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::expr::Expr;
use crate::capture::format::Format;
use crate::capture::number::{Binary, Kind, Number};
use crate::capture::typed::{Comparison, Node, Part, Path, Refusal, Step, Want};
use crate::capture::views::View;
use crate::symbols::types::{Type, TypeKind};

impl Typing<'_, '_> {
    pub(super) fn method(
        &mut self,
        receiver: &Expr,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Item, CompileError> {
        let item = self.item(receiver)?;
        if let Item::Guarded(path) = &item {
            return self.of_guarded(path, name, arguments);
        }
        if let Some(found) = self.same(&item, name, arguments)? {
            return Ok(found);
        }
        let found = match &item {
            Item::Place(path) => self.of_place(path.clone(), name, arguments)?,
            Item::Optional(path) => self.of_optional(path.clone(), name, arguments)?,
            Item::Checked(node, kind) => self.of_checked(node.clone(), *kind, name, arguments)?,
            Item::Run(path, run) => self.of_run(path.clone(), run.clone(), name, arguments)?,
            Item::Entries(path, entries) => {
                self.of_entries(path.clone(), *entries, name, arguments)?
            }
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if let ("as_bytes" | "bytes", []) = (name, arguments)
            && let Some(bytes) = self.bytes_of(&item)?
        {
            return Ok(bytes);
        }
        if let Some(text) = self.text(&item)?
            && let Some(found) = self.of_text(text, name, arguments)?
        {
            return Ok(found);
        }
        let is_number = match &item {
            Item::Number(..) | Item::Integer(_) | Item::Float(_) => true,
            Item::Place(path) => {
                let path = self.auto_deref(path.clone())?;
                self.kind_at(&path)?.is_some()
            }
            _ => false,
        };
        if is_number && let Some(found) = self.of_number(item.clone(), name, arguments)? {
            return Ok(found);
        }
        Err(CompileError::NoMethod {
            method: name.into(),
            ty: self.name_of(&item),
        })
    }

    /// Methods that give what they are called on, or look at it in another way.
    fn same(
        &mut self,
        item: &Item,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        if !arguments.is_empty() {
            return Ok(None);
        }
        let known = match name {
            // A copy, as a derived `Clone` makes it.
            "clone" | "to_owned" => true,
            "as_ref" | "as_mut" | "deref" => self.is_of_library(item, true)?,
            "as_deref" | "as_deref_mut" | "as_str" | "as_slice" | "as_mut_slice" | "as_path"
            | "as_os_str" | "cloned" | "copied" | "to_vec" | "into" | "iter" | "by_ref" => {
                self.is_of_library(item, false)?
            }
            _ => false,
        };
        if known {
            return Ok(Some(item.clone()));
        }
        if name == "to_string" {
            if let Some(text) = self.text(item)? {
                return Ok(Some(Item::Text(text)));
            }
            if let Ok((node, _)) = self.number(item.clone()) {
                let part = Part::Value(node, Format::display());
                return Ok(Some(Item::Text(Node::Format(vec![part]))));
            }
        }
        Ok(None)
    }

    /// Whether a method that looks at a value in another way is a library's, and not code of the program: that of the
    /// type behind all references, and, of a method that owners have, of the owner.
    fn is_of_library(&mut self, item: &Item, of_owners: bool) -> Result<bool, CompileError> {
        let Item::Place(path) = item else {
            return Ok(true);
        };
        let mut path = path.clone();
        for _ in 0..crate::capture::compile::MAX_HOPS {
            let found = self.load(path.ty)?;
            let is_reference = found.name.starts_with('&');
            match self.followed(&path, &found)? {
                Some(target) if is_reference || !of_owners => path = target,
                Some(_) => return Ok(true),
                None => {
                    let is_known = !matches!(*self.view(path.ty)?, View::Plain)
                        && !self.loader.is_shown_by_users(&found);
                    return Ok(is_known || is_built_in(&found));
                }
            }
        }
        Err(CompileError::TooComplex)
    }

    /// What `lock` and the like give, of which the value is had by `unwrap`.
    fn of_guarded(
        &mut self,
        path: &Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Item, CompileError> {
        match (name, arguments) {
            ("unwrap", []) | ("expect", [_]) => Ok(Item::Place(path.clone())),
            _ => Err(of_a_lock(&format!("`{name}`"))),
        }
    }

    fn of_place(
        &mut self,
        path: Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        // A method of the outermost type that has it, as Rust looks for it.
        let mut path = path;
        loop {
            let found = self.load(path.ty)?;
            if let Some(item) = self.of_value(&path, name, arguments)? {
                return Ok(Some(item));
            }
            match self.followed(&path, &found)? {
                Some(target) if path.steps.len() < crate::capture::compile::MAX_HOPS => {
                    path = target;
                }
                _ => return Ok(None),
            }
        }
    }

    fn of_value(
        &mut self,
        path: &Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        match (name, arguments) {
            (
                "lock" | "read" | "write" | "borrow" | "borrow_mut" | "get" | "load" | "into_inner"
                | "get_mut",
                _,
            ) => {
                if let Some(item) = self.guarded(path, name, arguments)? {
                    return Ok(Some(item));
                }
                if let ("get", []) = (name, arguments)
                    && let Some(item) = self.once_made(path, &found)?
                {
                    return Ok(Some(item));
                }
            }
            (
                "is_some" | "is_none" | "is_ok" | "is_err" | "unwrap" | "expect" | "unwrap_err"
                | "expect_err" | "ok" | "err" | "unwrap_or" | "unwrap_or_default",
                _,
            ) => {
                if let Some(item) = self.of_sum(path, name, arguments)? {
                    return Ok(Some(item));
                }
            }
            ("capacity", []) => {
                if self.is_of_nothing(&found)? {
                    let most = Number::new(Kind::USIZE, u128::from(u64::MAX));
                    return Ok(Some(Item::Number(Node::Number(most), Kind::USIZE)));
                }
                if let Some(found) = self.way(path, &found, layouts::CAPACITIES) {
                    return self
                        .number(Item::Place(found))
                        .map(|(node, kind)| Some(Item::Number(node, kind)));
                }
            }
            (
                "as_secs" | "subsec_nanos" | "as_millis" | "as_micros" | "as_nanos" | "as_secs_f64"
                | "as_secs_f32" | "subsec_millis" | "subsec_micros" | "is_zero",
                [],
            ) => {
                if let Some(item) = self.duration(path, name)? {
                    return Ok(Some(item));
                }
            }
            _ => {}
        }
        self.of_sequence(path, name, arguments)
    }

    /// Whether it is a vector or a queue of what has no size, of which as many fit as can be counted.
    fn is_of_nothing(&mut self, ty: &Type) -> Result<bool, CompileError> {
        let TypeKind::Struct { parameters, .. } = &ty.kind else {
            return Ok(false);
        };
        let has_capacity = layouts::CAPACITIES.iter().any(|way| way.fits(&ty.name));
        let element = parameters.iter().find(|(name, _)| **name == *"T");
        match element.filter(|_| has_capacity) {
            Some((_, element)) => Ok(self.load(*element)?.size == 0),
            None => Ok(false),
        }
    }

    /// What a lock, a cell or an atomic holds, read without taking it.
    fn guarded(
        &mut self,
        path: &Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        let number = match (name, arguments.len()) {
            // The ordering says nothing about a value that is read at a stop.
            ("load", 1) | ("get" | "into_inner", 0) => self.way(path, &found, layouts::NUMBERS),
            _ => None,
        };
        if let Some(number) = number {
            let (node, kind) = self.number(Item::Place(number))?;
            let node = if found.name.ends_with("AtomicBool") || found.name.ends_with("Atomic<bool>")
            {
                let zero = Node::Number(Number::new(kind, 0));
                let (node, zero) = (Box::new(node), Box::new(zero));
                return Ok(Some(Item::Number(
                    Node::Binary(Binary::Ne, CHECKED, node, zero),
                    Kind::Bool,
                )));
            } else {
                node
            };
            return Ok(Some(Item::Number(node, kind)));
        }
        if !arguments.is_empty() {
            return Ok(None);
        }
        let cell = self.way(path, &found, layouts::CELLS).map(Item::Place);
        let item = match cell {
            Some(cell) => Some(cell),
            None => self.way(path, &found, layouts::GUARDED).map(Item::Guarded),
        };
        if item.is_some() {
            self.mark_held(path)?;
            self.mark_poisoned(path)?;
        }
        Ok(item)
    }

    /// Has what is shown say whether the lock was held.
    fn mark_held(&mut self, path: &Path) -> Result<(), CompileError> {
        let found = self.load(path.ty)?;
        let fitting = layouts::HELD
            .iter()
            .filter(|held| held.way.fits(&found.name));
        for held in fitting {
            let Some(state) = self.way(path, &found, std::slice::from_ref(&held.way)) else {
                continue;
            };
            let (node, kind) = self.number(Item::Place(state))?;
            let constant = |bits: u64| Box::new(Node::Number(Number::new(kind, u128::from(bits))));
            let masked = Node::Binary(Binary::And, CHECKED, Box::new(node), constant(held.mask));
            let op = if held.negated { Binary::Ne } else { Binary::Eq };
            let is_held = Node::Binary(op, CHECKED, Box::new(masked), constant(held.bits));
            self.marks.push((is_held, "<locked>"));
            return Ok(());
        }
        Ok(())
    }

    /// Has what is shown say whether a thread panicked with the lock in its hands: `unwrap` would panic here.
    fn mark_poisoned(&mut self, path: &Path) -> Result<(), CompileError> {
        let found = self.load(path.ty)?;
        if let Some(flag) = self.way(path, &found, layouts::POISONED) {
            let (node, kind) = self.number(Item::Place(flag))?;
            let zero = Box::new(Node::Number(Number::new(kind, 0)));
            let is_poisoned = Node::Binary(Binary::Ne, CHECKED, Box::new(node), zero);
            self.marks.push((is_poisoned, "<poisoned>"));
        }
        Ok(())
    }

    /// `Option` and `Result`.
    fn of_sum(
        &mut self,
        path: &Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        let (good, refusal) = if found.name.starts_with("core::option::Option<") {
            ("Some", Refusal::None)
        } else if found.name.starts_with("core::result::Result<") {
            ("Ok", Refusal::Err)
        } else {
            return Ok(None);
        };
        let is_result = good == "Ok";
        let (variant, refusal) = match name {
            "err" | "unwrap_err" | "expect_err" | "is_err" => ("Err", Refusal::Ok),
            _ => (good, refusal),
        };
        let belongs = match name {
            "is_some" | "is_none" => !is_result,
            "is_ok" | "is_err" | "ok" | "err" | "unwrap_err" | "expect_err" => is_result,
            _ => true,
        };
        if !belongs {
            return Ok(None);
        }
        let Some((test, payload)) = self.payload(path, variant, refusal)? else {
            return Ok(None);
        };
        Ok(match (name, arguments) {
            ("is_some" | "is_ok" | "is_err", []) => Some(Item::Number(test, Kind::Bool)),
            ("is_none", []) => Some(Item::Number(not(test), Kind::Bool)),
            ("unwrap" | "unwrap_err", []) | ("expect" | "expect_err", [_]) => {
                Some(Item::Place(payload))
            }
            ("ok" | "err", []) => Some(Item::Optional(payload.optional(true))),
            ("unwrap_or", [default]) => {
                let default = self.item(default)?;
                Some(self.either(payload.optional(true), default)?)
            }
            ("unwrap_or_default", []) => {
                let default = self.default_at(&payload)?;
                Some(self.either(payload.optional(true), default)?)
            }
            _ => None,
        })
    }

    fn of_optional(
        &mut self,
        path: Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let present = |typing: &mut Self, path| Node::Present(typing.operand(path, Want::Presence));
        Ok(match (name, arguments) {
            ("is_some", []) => Some(Item::Number(present(self, path), Kind::Bool)),
            ("is_none", []) => Some(Item::Number(not(present(self, path)), Kind::Bool)),
            ("unwrap", []) | ("expect", [_]) => Some(Item::Place(path.optional(false))),
            ("unwrap_or", [default]) => {
                let default = self.item(default)?;
                Some(self.either(path, default)?)
            }
            ("unwrap_or_default", []) => {
                let default = self.default_at(&path)?;
                Some(self.either(path, default)?)
            }
            _ => None,
        })
    }

    /// What there is, or else a default of the same type.
    fn either(&mut self, path: Path, default: Item) -> Result<Item, CompileError> {
        let inner = self.auto_deref(path.clone())?;
        let operand_is_number = self.kind_at(&inner)?;
        if let Some(kind) = operand_is_number {
            let operand = self.operand(inner, Want::Number(kind));
            let default = self.in_place_of(kind, default)?;
            let load = Box::new(Node::Load(operand, kind));
            return Ok(Item::Number(
                Node::Either(operand, load, Box::new(default)),
                kind,
            ));
        }
        let inner_item = Item::Place(path.clone());
        if let (Some(text), Some(default)) = (self.text(&inner_item)?, self.text(&default)?)
            && let Node::Text(operand) = text
        {
            let text = Box::new(Node::Text(operand));
            return Ok(Item::Text(Node::Either(operand, text, Box::new(default))));
        }
        Err(CompileError::Unsupported {
            what: format!("`unwrap_or` of `{}`", self.type_name(path.ty)),
            why: "only a number or text can stand in for what is not there",
        })
    }

    /// A default as a number of the type that it stands in for.
    fn in_place_of(&mut self, kind: Kind, default: Item) -> Result<Node, CompileError> {
        let (default, other) = self.settled(default, kind)?;
        if other != kind {
            return Err(CompileError::Mismatched {
                operator: "unwrap_or".into(),
                left: kind.name().into(),
                right: other.name().into(),
            });
        }
        Ok(default)
    }

    /// What `Default` gives for the type at the end of a path, where that is no code of the program.
    fn default_at(&mut self, path: &Path) -> Result<Item, CompileError> {
        let path = self.auto_deref(path.clone())?;
        if let Some(kind) = self.kind_at(&path)? {
            return Ok(Item::Number(Node::Number(Number::new(kind, 0)), kind));
        }
        let found = self.load(path.ty)?;
        let is_of_library = *found.name == *"&str" || is_of_std(&found.name);
        match self.view(path.ty)?.text() {
            Some(_) if is_of_library => Ok(Item::Text(Node::Words(String::new()))),
            _ => Err(CompileError::Unsupported {
                what: format!("`unwrap_or_default` of `{}`", found.name),
                why: "only of a number or text of the standard library the default is known",
            }),
        }
    }

    fn of_checked(
        &mut self,
        node: Node,
        kind: Kind,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        Ok(match (name, arguments) {
            ("is_some", []) => Some(Item::Number(Node::Fits(Box::new(node)), Kind::Bool)),
            ("is_none", []) => Some(Item::Number(not(Node::Fits(Box::new(node))), Kind::Bool)),
            ("unwrap", []) | ("expect", [_]) => Some(Item::Number(node, kind)),
            ("unwrap_or", [default]) => {
                let default = self.item(default)?;
                let default = self.in_place_of(kind, default)?;
                let (node, default) = (Box::new(node), Box::new(default));
                Some(Item::Number(Node::Fallback(kind, node, default), kind))
            }
            ("unwrap_or_default", []) => {
                let zero = Box::new(Node::Number(Number::new(kind, 0)));
                let node = Node::Fallback(kind, Box::new(node), zero);
                Some(Item::Number(node, kind))
            }
            _ => None,
        })
    }

    fn of_text(
        &mut self,
        text: Node,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let comparison = match (name, arguments) {
            ("len", []) | ("is_empty", []) => {
                // The number of bytes is the text's own, however much of it is shown.
                let Some(length) = self.text_length(&text)? else {
                    return Ok(None);
                };
                return Ok(Some(match name {
                    "len" => Item::Number(length, Kind::USIZE),
                    _ => is_zero(length, Kind::USIZE),
                }));
            }
            ("starts_with", [_]) => Comparison::StartsWith,
            ("ends_with", [_]) => Comparison::EndsWith,
            ("contains", [_]) => Comparison::Contains,
            _ => return Ok(None),
        };
        let [argument] = arguments else {
            return Ok(None);
        };
        let other = self.item(argument)?;
        let other = match (&other, self.text(&other)?) {
            (_, Some(other)) => other,
            (Item::Number(Node::Number(number), Kind::Char), _) => {
                let c = u32::try_from(number.bits()).ok().and_then(char::from_u32);
                Node::Words(c.map(String::from).unwrap_or_default())
            }
            _ => {
                let ty = self.name_of(&other);
                return Err(no_operator(name, &ty));
            }
        };
        let node = Node::Compare(comparison, Box::new(text), Box::new(other));
        Ok(Some(Item::Number(node, Kind::Bool)))
    }

    fn text_length(&mut self, text: &Node) -> Result<Option<Node>, CompileError> {
        let operand = match text {
            Node::Text(operand) => *operand,
            Node::Words(text) => {
                let length = Number::new(Kind::USIZE, text.len() as u128);
                return Ok(Some(Node::Number(length)));
            }
            Node::Either(operand, text, other) => {
                let lengths = self.text_length(text)?.zip(self.text_length(other)?);
                return Ok(lengths.map(|(length, other)| {
                    Node::Either(*operand, Box::new(length), Box::new(other))
                }));
            }
            _ => return Ok(None),
        };
        let Some(path) = self
            .operands
            .get(operand)
            .map(|operand| operand.path.clone())
        else {
            return Ok(None);
        };
        let Some(text) = self.view(path.ty)?.text() else {
            return Ok(None);
        };
        let ty = path.ty;
        let length = path.then(Step::At(text.length), ty);
        let operand = self.operand(length, Want::Number(Kind::USIZE));
        Ok(Some(Node::Load(operand, Kind::USIZE)))
    }
}

/// Whether a type is the language's own or the standard library's.
fn is_built_in(ty: &Type) -> bool {
    let is_defined = matches!(
        ty.kind,
        TypeKind::Struct { .. }
            | TypeKind::Union { .. }
            | TypeKind::Enum { .. }
            | TypeKind::Enumeration { .. }
    );
    is_of_std(&ty.name) || !is_defined
}

/// Whether a path begins in the standard library.
pub(super) fn is_of_std(path: &str) -> bool {
    ["core::", "alloc::", "std::", "hashbrown::"]
        .iter()
        .any(|krate| path.starts_with(krate))
}

pub(super) fn of_a_lock(what: &str) -> CompileError {
    CompileError::Unsupported {
        what: format!("{what} of what a lock gives"),
        why: "it is a `Result`, of which the guarded value is all that can be had; write `.unwrap()` before",
    }
}

pub(super) fn is_zero(node: Node, kind: Kind) -> Item {
    let zero = Box::new(Node::Number(Number::new(kind, 0)));
    Item::Number(
        Node::Binary(Binary::Eq, CHECKED, Box::new(node), zero),
        Kind::Bool,
    )
}
