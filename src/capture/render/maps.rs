//! Maps and sets, as far as they were captured.

use super::super::compile::Compiled;
use super::super::record::{Record, Why};
use super::super::redact::{REDACTED, may_wrap_a_name};
use super::super::typed::Side;
use super::super::views::{Entry, NODE_CAPACITY, Table, Tree, View};
use super::{Level, Renderer, Showing};
use crate::symbols::types::TypeRef;
use std::collections::HashSet;

/// Levels of a tree above which its nodes are not believed: it would have more entries than memory has bytes.
const MAX_HEIGHT: u64 = 24;

/// The entries of a map or set.
struct Entries {
    entry: Entry,
    /// How many there are.
    count: u64,
    /// Where those that were captured have their keys and values.
    found: Vec<(u64, u64)>,
}

impl Compiled {
    /// The text of all keys or all values of a map.
    pub(in super::super) fn render_side(
        &self,
        record: &Record<'_>,
        (ty, address): (TypeRef, u64),
        side: Side,
        showing: Showing<'_>,
    ) -> String {
        let mut renderer = Renderer::new(self, record, showing);
        if let Some(entries) = renderer.entries_of(ty, address) {
            renderer.side(&entries, side, self.outermost(false));
        }
        renderer.out
    }

    /// How many entries a map or set has, and the addresses of the keys or values that were captured.
    ///
    /// # Errors
    ///
    /// What is shown instead.
    pub(in super::super) fn side(
        &self,
        record: &Record<'_>,
        (ty, address): (TypeRef, u64),
        side: Side,
        showing: Showing<'_>,
    ) -> Result<(u64, Vec<u64>), String> {
        let mut renderer = Renderer::new(self, record, showing);
        renderer.limit = u64::MAX;
        let Some(entries) = renderer.entries_of(ty, address) else {
            return Err(renderer.out);
        };
        let hidden = |(key, _): &(u64, u64)| renderer.hides_under(entries.entry.key.1, *key);
        // What is made of all of them would tell of those that are not shown.
        if side == Side::Values && entries.found.iter().any(hidden) {
            return Err(REDACTED.into());
        }
        let found = entries.found.iter().map(|(key, value)| match side {
            Side::Keys => *key,
            Side::Values => *value,
        });
        Ok((entries.count, found.collect()))
    }
}

impl Renderer<'_> {
    pub(super) fn table(&mut self, table: Table, address: u64, level: Level) {
        if let Some(entries) = self.table_entries(table, address) {
            self.entries(&entries, level);
        }
    }

    pub(super) fn tree(&mut self, tree: Tree, address: u64, level: Level) {
        if let Some(entries) = self.tree_entries(tree, address) {
            self.entries(&entries, level);
        }
    }

    /// Where what cannot be known is, says so.
    fn entries_of(&mut self, name: TypeRef, address: u64) -> Option<Entries> {
        let ty = self.compiled.types.get(name)?;
        match *self.compiled.types.view(name, &ty) {
            View::Table(table) => self.table_entries(table, address),
            View::Tree(tree) => self.tree_entries(tree, address),
            _ => None,
        }
    }

    fn table_entries(&mut self, table: Table, address: u64) -> Option<Entries> {
        let items = self.number(address.wrapping_add(table.items))?;
        let mask = self.number(address.wrapping_add(table.mask))?;
        let mut entries = Entries {
            entry: table.entry,
            count: items,
            found: Vec::new(),
        };
        if items == 0 {
            return Some(entries);
        }
        let buckets = mask.checked_add(1).filter(|count| count.is_power_of_two());
        let Some(buckets) = buckets.filter(|buckets| items <= *buckets) else {
            self.put(format_args!("<invalid table of {items} entries>"));
            return None;
        };
        let control = self.pointer(address.wrapping_add(table.control))?;
        let mut next = 0;
        self.collect(&mut entries, |renderer| {
            while next < buckets {
                let mut byte = [0];
                let at = control.checked_add(next)?;
                renderer.record.read(at, &mut byte).ok()?;
                next += 1;
                if byte[0] < 0x80 {
                    let bucket = control.checked_sub(next.checked_mul(table.stride)?)?;
                    let value = table.entry.value.map_or(0, |(offset, _)| offset);
                    return Some((
                        bucket.wrapping_add(table.entry.key.0),
                        bucket.wrapping_add(value),
                    ));
                }
            }
            None
        });
        Some(entries)
    }

    fn tree_entries(&mut self, tree: Tree, address: u64) -> Option<Entries> {
        let length = self.number(address.wrapping_add(tree.length))?;
        let mut entries = Entries {
            entry: tree.entry,
            count: length,
            found: Vec::new(),
        };
        if length == 0 {
            return Some(entries);
        }
        let height = self.number(address.wrapping_add(tree.height))?;
        let root = self.pointer(address.wrapping_add(tree.root))?;
        if height > MAX_HEIGHT {
            self.put(format_args!("<invalid tree of height {height}>"));
            return None;
        }
        let (key, value) = (tree.entry.key, tree.entry.value.unwrap_or(tree.entry.key));
        let (key_size, value_size) = (self.size(key.1), self.size(value.1));
        // Nodes from the root down, each with the number of its next entry.
        let mut path: Vec<(u64, u64)> = Vec::new();
        let mut down = Some(root);
        // A node that comes again is damage, and might come without end.
        let mut seen = HashSet::new();
        self.collect(&mut entries, |renderer| {
            while let Some(node) = down.take() {
                if !seen.insert(node) {
                    return None;
                }
                path.push((node, 0));
                if path.len() as u64 <= height {
                    down = Some(renderer.quiet_pointer(node.wrapping_add(tree.node.edges.into()))?);
                }
            }
            loop {
                let (node, index) = path.last_mut()?;
                let count = renderer.short(node.wrapping_add(tree.node.length.into()))?;
                if *index >= count || count > NODE_CAPACITY {
                    path.pop();
                    continue;
                }
                let found = (
                    node.wrapping_add(key.0)
                        .wrapping_add(index.wrapping_mul(key_size)),
                    node.wrapping_add(value.0)
                        .wrapping_add(index.wrapping_mul(value_size)),
                );
                *index += 1;
                let edge = u64::from(tree.node.edges).wrapping_add(index.wrapping_mul(8));
                let child = node.wrapping_add(edge);
                if path.len() as u64 <= height {
                    // Where it was not captured, the entry itself is shown all the same.
                    match renderer.quiet_pointer(child) {
                        Some(child) => down = Some(child),
                        None => path.clear(),
                    }
                }
                return Some(found);
            }
        });
        Some(entries)
    }

    /// Collects the entries that were captured and may be shown; `find` gives each one's key and value, in order.
    fn collect(
        &mut self,
        entries: &mut Entries,
        mut find: impl FnMut(&mut Self) -> Option<(u64, u64)>,
    ) {
        while self.goes_on(entries.found.len() as u64, entries.count) {
            let Some((key, value)) = find(self) else {
                break;
            };
            if self.there(key, entries.entry.key.1) == Err(Why::NotCaptured) {
                break;
            }
            entries.found.push((key, value));
        }
    }

    /// Entries in braces.
    fn entries(&mut self, entries: &Entries, level: Level) {
        if entries.count == 0 {
            return self.put("{}");
        }
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put("{..}");
        };
        self.put('{');
        let mut shown = 0;
        for (key, value) in &entries.found {
            if self.full() {
                break;
            }
            if shown > 0 {
                self.put(", ");
            }
            let hidden =
                entries.entry.value.is_some() && self.hides_under(entries.entry.key.1, *key);
            self.value(entries.entry.key.1, *key, level.within(depth));
            if let Some((_, ty)) = entries.entry.value {
                self.put(": ");
                if hidden {
                    self.put(REDACTED);
                } else {
                    self.value(ty, *value, level.within(depth));
                }
            }
            shown += 1;
        }
        self.more(shown, entries.count);
        self.put('}');
    }

    /// Keys or values in brackets.
    fn side(&mut self, entries: &Entries, side: Side, level: Level) {
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put("[..]");
        };
        self.put('[');
        let mut shown = 0;
        for (key, value) in &entries.found {
            if self.full() {
                break;
            }
            if shown > 0 {
                self.put(", ");
            }
            match (side, entries.entry.value) {
                (Side::Values, Some(_)) if self.hides_under(entries.entry.key.1, *key) => {
                    self.put(REDACTED);
                }
                (Side::Values, Some((_, ty))) => self.value(ty, *value, level.within(depth)),
                _ => self.value(entries.entry.key.1, *key, level.within(depth)),
            }
            shown += 1;
        }
        self.more(shown, entries.count);
        self.put(']');
    }

    /// Whether a key, as a text, a variant or what wraps one, names a secret, or may: a text that cannot be read whole may be
    /// any name.
    pub(super) fn hides_under(&mut self, key: TypeRef, address: u64) -> bool {
        let types = &self.compiled.types;
        let hides_anything = self.compiled.redaction.hides_anything();
        let Some(ty) = types.get(key).filter(|_| hides_anything) else {
            return false;
        };
        let view = types.view(key, &ty);
        let is_text = matches!(*view, View::Text { .. } | View::Bytes { .. });
        let wraps_name = !is_text && may_wrap_a_name(&ty);
        if !wraps_name && matches!(*view, View::Plain) {
            return false;
        }
        let start = self.out.len();
        self.value(key, address, self.compiled.outermost(false));
        let name = self.out.split_off(start);
        let hides = self.compiled.redaction.hides_name(&name);
        let is_quoted = name.starts_with('"') || name.starts_with("b\"");
        if wraps_name {
            hides || name.contains('<') || name.contains(" more ")
        } else if is_quoted {
            hides || !name.ends_with('"')
        } else {
            is_text || name.starts_with('<')
        }
    }

    fn short(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 2];
        self.record.read(address, &mut bytes).ok()?;
        Some(u16::from_le_bytes(bytes).into())
    }
}
