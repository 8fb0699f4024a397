//! Keys of maps and sets: the operations that look for one at a hit.

use super::Compiler;
use crate::capture::error::CompileError;
use crate::capture::place::{Place, Stop};
use crate::capture::program::{Keys, Search, Slot, Wanted};
use crate::capture::typed::{Key, Map};

impl<'s> Compiler<'s> {
    /// Looks for a key: a slot that says whether it is there, and where that part of its entry is then.
    pub(super) fn found(
        &mut self,
        place: &Place<'s>,
        map: &Map,
        key: &Key,
        (offset, stride): (u64, u64),
    ) -> Result<(Slot, Place<'s>), Stop> {
        let wanted = match key {
            Key::Number(typed, kind) => Wanted::Number {
                slot: self.lowered(typed, &typed.node)?,
                size: kind.size(),
                signed: kind.is_signed(),
            },
            Key::Text(typed, text) => Wanted::Text {
                words: self.words(typed, &typed.node)?,
                data: narrow(text.data)?,
                header: narrow(text.header)?,
                length: narrow(text.length)?,
            },
        };
        let (key, key_type) = map.entry().key;
        let (root, extent, items, keys) = match map {
            Map::Table(table, hasher) => {
                let mut load = |at| place.at(at).load(&mut self.builder, 8);
                let hasher = match hasher {
                    Some((k0, k1)) => Some((load(*k0)?, load(*k1)?)),
                    None => None,
                };
                let keys = Keys::Table {
                    stride: narrow(table.stride)?,
                    hasher,
                };
                (table.control, table.mask, table.items, keys)
            }
            Map::Tree(tree) => {
                let keys = Keys::Tree {
                    node: tree.node,
                    key_stride: narrow(self.load(key_type)?.size)?,
                    stride: narrow(stride)?,
                };
                (tree.root, tree.height, tree.length, keys)
            }
        };
        // An empty tree has no root: only the number of entries has to be known.
        let mut load = |at| place.at(at).load(&mut self.builder, 8);
        let (items, root, extent) = (load(items)?, load(root)?, load(extent)?);
        let mut slot = || self.builder.slot().ok_or(CompileError::TooComplex);
        let (to, found) = (slot()?, slot()?);
        let search = Search {
            to,
            found,
            root,
            extent,
            items,
            wanted,
            key: narrow(key)?,
            keys,
        };
        self.builder.find(search).ok_or(CompileError::TooComplex)?;
        Ok((found, Place::pointed(to).at(offset)))
    }
}

fn narrow(value: u64) -> Result<u32, CompileError> {
    u32::try_from(value).map_err(|_| CompileError::TooComplex)
}
