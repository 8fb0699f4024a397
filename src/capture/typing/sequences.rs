//! Elements in a row: how many there are, single ones, and what all of them together give.

use super::methods::is_zero;
use super::{Item, Typing, kind_of, layouts, operators};
use crate::capture::error::CompileError;
use crate::capture::expr::Expr;
use crate::capture::fold::Fold;
use crate::capture::number::Kind;
use crate::capture::typed::{Folding, Layout, Node, Path, Run, Want};
use crate::symbols::types::{Type, TypeKind, TypeRef};

impl Typing<'_, '_> {
    pub(super) fn of_sequence(
        &mut self,
        path: &Path,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        if let Some(elements) = self.sequence(path)? {
            let run = Run::all(elements);
            return self.of_run(path.clone(), run, name, arguments);
        }
        if let Some(elements) = self.ring(path)? {
            return self.of_ring(path.clone(), Run::all(elements), name, arguments);
        }
        let counted = match self.way(path, &found, layouts::LENGTHS) {
            Some(length) => Some(self.number(Item::Place(length))?),
            None => None,
        };
        match (name, arguments, counted) {
            ("len" | "count", [], Some((node, kind))) => Ok(Some(Item::Number(node, kind))),
            ("is_empty", [], Some((node, kind))) => Ok(Some(is_zero(node, kind))),
            _ => match self.map(path)? {
                Some((path, map)) => self.of_map(path, map, name, arguments),
                None => Ok(None),
            },
        }
    }

    /// Elements in two pieces, which are had one by one.
    fn of_ring(
        &mut self,
        path: Path,
        run: Run,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        Ok(Some(match (name, arguments) {
            ("len" | "count", []) => Item::Number(self.length(&path, &run), Kind::USIZE),
            ("is_empty", []) => is_zero(self.length(&path, &run), Kind::USIZE),
            ("front" | "back" | "next" | "last", []) => {
                let last = matches!(name, "back" | "last");
                Item::Optional(Self::end(path, run, last))
            }
            ("get" | "nth", [index]) => Item::Optional(self.element_of(path, run, index, true)?),
            _ => return Ok(None),
        }))
    }

    /// Elements in a row: all of a sequence, or a part.
    pub(super) fn of_run(
        &mut self,
        path: Path,
        run: Run,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let item = match (name, arguments) {
            ("len" | "count", []) => Item::Number(self.length(&path, &run), Kind::USIZE),
            ("is_empty", []) => is_zero(self.length(&path, &run), Kind::USIZE),
            ("first" | "last" | "next", []) => Item::Optional(Self::end(path, run, name == "last")),
            ("get" | "nth", [index]) => Item::Optional(self.element_of(path, run, index, true)?),
            ("contains", [wanted]) => self.contains(path, run, wanted)?,
            (name, []) => match fold_named(name) {
                Some(fold) => {
                    let element = run.element;
                    self.fold(fold, (path, Want::Run(run)), element, None)?
                }
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(item))
    }

    fn contains(&mut self, path: Path, run: Run, wanted: &Expr) -> Result<Item, CompileError> {
        let element = self.load(run.element)?;
        let kind = super::kind_of(&element).ok_or_else(|| CompileError::Unsupported {
            what: format!("searching elements of type `{}`", element.name),
            why: "only numbers, `bool` and `char` are compared as the program does",
        })?;
        let wanted = self.item(wanted)?;
        let (wanted, found) = self.settled(wanted, kind)?;
        if found != kind {
            return Err(CompileError::Mismatched {
                operator: "contains".into(),
                left: kind.name().into(),
                right: found.name().into(),
            });
        }
        let element = run.element;
        self.fold(
            Fold::Contains,
            (path, Want::Run(run)),
            element,
            Some(wanted),
        )
    }

    /// The bytes of a text.
    pub(super) fn bytes_of(&mut self, item: &Item) -> Result<Option<Item>, CompileError> {
        let (Item::Place(path) | Item::Guarded(path)) = item else {
            return Ok(None);
        };
        let path = self.auto_deref(path.clone())?;
        let Some(text) = self.view(path.ty)?.text() else {
            return Ok(None);
        };
        let found = self.load(path.ty)?;
        let byte = match self.way(&path, &found, layouts::STRINGS) {
            Some(vector) => self.sequence(&vector)?.map(|(_, element, _)| element),
            None => match self.way(&path, &found, layouts::SHARED_TEXTS) {
                Some(byte) => Some(byte.ty),
                None => self.pointed_at(&found, text.data)?,
            },
        };
        let Some(byte) = byte else { return Ok(None) };
        let layout = Layout::Pointed(text);
        Ok(match super::kind_of(&*self.load(byte)?) {
            Some(kind) if kind == Kind::unsigned(8) => {
                Some(Item::Run(path, Run::all((layout, byte, 1))))
            }
            _ => None,
        })
    }

    /// What the pointer at an offset of a struct points to.
    fn pointed_at(&mut self, ty: &Type, offset: u64) -> Result<Option<TypeRef>, CompileError> {
        let TypeKind::Struct { members, .. } = &ty.kind else {
            return Ok(None);
        };
        let Some(member) = members.iter().find(|member| member.offset == offset) else {
            return Ok(None);
        };
        Ok(match self.load(member.ty)?.kind {
            TypeKind::Pointer { target } => Some(target),
            _ => None,
        })
    }

    /// A fold over numbers of a type; `wanted` is what is searched for.
    pub(super) fn fold(
        &mut self,
        fold: Fold,
        (path, want): (Path, Want),
        element: TypeRef,
        wanted: Option<Node>,
    ) -> Result<Item, CompileError> {
        let element = self.load(element)?;
        let kind = kind_of(&element).ok_or_else(|| CompileError::NotANumber {
            ty: element.name.to_string(),
        })?;
        let fits = match fold {
            Fold::Sum | Fold::Product => kind.is_integer() || kind.is_float(),
            // As in Rust, where floats have no order of all of them.
            Fold::Min | Fold::Max => !kind.is_float(),
            Fold::Contains => true,
        };
        if !fits {
            return Err(operators::no_operator("this method", kind.name()));
        }
        let known = match &wanted {
            None => Some(None),
            Some(Node::Number(wanted)) => Some(Some(*wanted)),
            Some(_) => None,
        };
        let want = match (want, known) {
            (Want::Run(run), Some(wanted)) if kind.size() <= 8 => {
                Want::Folded(run, Folding { fold, kind, wanted })
            }
            (want, _) => want.of_numbers(),
        };
        let operand = self.operand(path, want);
        let node = Node::Fold(fold, operand, kind, wanted.map(Box::new));
        Ok(match fold {
            Fold::Sum | Fold::Product => Item::Number(node, kind),
            Fold::Min | Fold::Max => Item::Checked(node, kind),
            Fold::Contains => Item::Number(node, Kind::Bool),
        })
    }
}

/// The fold that a method without arguments stands for.
pub(super) fn fold_named(name: &str) -> Option<Fold> {
    Some(match name {
        "sum" => Fold::Sum,
        "product" => Fold::Product,
        "min" => Fold::Min,
        "max" => Fold::Max,
        _ => return None,
    })
}
