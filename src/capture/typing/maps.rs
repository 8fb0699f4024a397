//! Maps and sets: their entries by key, their keys, their values.

use super::sequences::fold_named;
use super::{Item, Typing, kind_of, layouts};
use crate::capture::error::CompileError;
use crate::capture::expr::Expr;
use crate::capture::number::Kind;
use crate::capture::typed::{Entries, Key, Map, Node, Path, Refusal, Side, Step, Want};
use crate::capture::views::{Pointed, View};
use crate::symbols::types::TypeRef;

/// How keys are compared.
enum Compared {
    Number(Kind),
    /// By the texts that are there.
    Text(Pointed),
}

impl Typing<'_, '_> {
    /// What at the end of a path, or within it, holds entries, and how; `None` where it is neither map nor set.
    pub(super) fn map(&mut self, path: &Path) -> Result<Option<(Path, Map)>, CompileError> {
        let mut path = path.clone();
        let found = self.load(path.ty)?;
        // std's hash maps and sets have one of hashbrown within.
        if found.name.starts_with("std::collections::hash::")
            && let View::Inner { offset, ty } = *self.view(path.ty)?
        {
            path = path.then(Step::At(offset), ty);
        }
        Ok(match *self.view(path.ty)? {
            View::Table(table) => {
                let hasher = self.hasher(&path)?;
                Some((path, Map::Table(table, hasher)))
            }
            View::Tree(tree) => Some((path, Map::Tree(tree))),
            _ => None,
        })
    }

    /// Where a hash map or set has the two keys of its hasher; `None` where that is not std's own.
    fn hasher(&mut self, path: &Path) -> Result<Option<(u64, u64)>, CompileError> {
        let Some((at, state)) = self.within(path.ty, layouts::HASHERS)? else {
            return Ok(None);
        };
        let k0 = self.within(state, layouts::FIRST_KEY)?;
        let k1 = self.within(state, layouts::SECOND_KEY)?;
        Ok(k0
            .zip(k1)
            .and_then(|((k0, _), (k1, _))| Some((at.checked_add(k0)?, at.checked_add(k1)?))))
    }

    pub(super) fn of_map(
        &mut self,
        path: Path,
        map: Map,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let entry = map.entry();
        let side = |side, ty| Entries {
            side,
            ty,
            numbers: false,
        };
        Ok(Some(match (name, arguments, entry.value) {
            ("get", [key], _) => {
                let found = self.entry(path, map, key, Refusal::None)?;
                Item::Optional(found.optional(true))
            }
            ("contains_key", [key], Some(_)) | ("contains", [key], None) => {
                let found = self.entry(path, map, key, Refusal::None)?;
                let operand = self.operand(found.optional(true), Want::Presence);
                Item::Number(Node::Present(operand), Kind::Bool)
            }
            ("keys", [], Some(_)) => Item::Entries(path, side(Side::Keys, entry.key.1)),
            ("values", [], Some((_, ty))) => Item::Entries(path, side(Side::Values, ty)),
            (name, [], None) => match fold_named(name) {
                Some(fold) => {
                    let keys = Want::Entries(side(Side::Keys, entry.key.1));
                    self.fold(fold, (path, keys), entry.key.1, None)?
                }
                None => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    pub(super) fn of_entries(
        &mut self,
        path: Path,
        entries: Entries,
        name: &str,
        arguments: &[Expr],
    ) -> Result<Option<Item>, CompileError> {
        let found = self.load(path.ty)?;
        Ok(match (name, arguments) {
            ("len" | "count", []) => match self.way(&path, &found, layouts::LENGTHS) {
                Some(length) => {
                    let (node, kind) = self.number(Item::Place(length))?;
                    Some(Item::Number(node, kind))
                }
                None => None,
            },
            (name, []) => match fold_named(name) {
                Some(fold) => {
                    let ty = entries.ty;
                    Some(self.fold(fold, (path, Want::Entries(entries)), ty, None)?)
                }
                None => None,
            },
            _ => None,
        })
    }

    /// What belongs to a key, or in a set the key itself; it must be there, or else the `refusal` says so.
    pub(super) fn entry(
        &mut self,
        path: Path,
        map: Map,
        key: &Expr,
        refusal: Refusal,
    ) -> Result<Path, CompileError> {
        let entry = map.entry();
        let key = Box::new(self.key(entry.key.1, key)?);
        let (offset, ty) = entry.value.unwrap_or(entry.key);
        let stride = self.loader.load(ty)?.size;
        let step = Step::Entry {
            map,
            key,
            part: (offset, stride),
            refusal,
            optional: false,
        };
        Ok(path.then(step, ty))
    }

    /// A key of a type whose equality and order the standard library defines.
    fn key(&mut self, ty: TypeRef, key: &Expr) -> Result<Key, CompileError> {
        let found = self.load(ty)?;
        let kind = kind_of(&found).filter(|kind| !kind.is_float() && kind.size() <= 8);
        let text = match self.loader.is_shown_by_users(&found) {
            true => None,
            false => self.view(ty)?.text(),
        };
        let compared = match (kind, text) {
            (Some(kind), _) => Compared::Number(kind),
            (None, Some(text)) => Compared::Text(text),
            (None, None) => {
                return Err(CompileError::Unsupported {
                    what: format!("looking for a key of type `{}`", found.name),
                    why: "only integers of at most 64 bits, `bool`, `char` and text are compared as the program does",
                });
            }
        };
        let strict = self.redaction.is_strict();
        let mut typing = self.nested();
        let item = typing.item(key)?;
        let given = typing.name_of(&item);
        let mismatch = |given: String| CompileError::Mismatched {
            operator: "==".into(),
            left: found.name.to_string(),
            right: given,
        };
        let text = match compared {
            Compared::Text(text) => text,
            Compared::Number(kind) => {
                let (node, other) = typing.settled(item, kind)?;
                if other != kind {
                    return Err(mismatch(other.name().into()));
                }
                return Ok(Key::Number(typing.finish_unmarked(node)?, kind));
            }
        };
        let node = typing.text(&item)?.ok_or_else(|| mismatch(given))?;
        if strict {
            let Node::Words(name) = &node else {
                return Err(CompileError::Unsupported {
                    what: "a key that is not written out".into(),
                    why: "strict redaction has to know which entry it is",
                });
            };
            typing.refuse_hidden(name)?;
        }
        Ok(Key::Text(typing.finish_unmarked(node)?, text))
    }
}
