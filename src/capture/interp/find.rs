//! Keys of maps and sets. Part of the interpreter: allocates nothing, panics never.
//!
//! A hash table is asked as the program does where its hasher is std's own, else looked through bucket by bucket. A tree is
//! descended as the program does, by the order of its keys, which are such that the standard library defines it.

use super::load::{BULK, Bulk, number};
use super::words::Text;
use super::{Machine, Run, Then};
use crate::capture::program::{Keys, Node, Search, Slot, Wanted};
use crate::capture::record::Code;
use crate::capture::views::NODE_CAPACITY;
use core::cmp::Ordering;

/// Levels of a tree above which its nodes are not believed: it would have more entries than memory has bytes.
const MAX_HEIGHT: u64 = 24;

/// A key that is looked for, as far as it can be known beforehand.
pub(super) enum Key {
    Number {
        value: u64,
        size: u8,
        signed: bool,
    },
    Text {
        text: Text,
        data: u64,
        header: u64,
        length: u64,
    },
}

/// Where keys are that may be read together with one of them.
pub(super) struct Span {
    start: u64,
    end: u64,
    /// Whether those before it come next.
    backwards: bool,
}

/// A hash table that may be one.
pub(super) struct Table {
    pub(super) control: u64,
    /// A power of two.
    pub(super) buckets: u64,
    pub(super) stride: u64,
    /// Where the buckets begin.
    bottom: u64,
    /// From a bucket to its key.
    key: u64,
}

impl Table {
    /// The bucket with an index, which is below [`Self::buckets`].
    pub(super) fn bucket(&self, index: u64) -> u64 {
        let end = index.wrapping_add(1).wrapping_mul(self.stride);
        self.control.wrapping_sub(end)
    }

    /// Where the key of a bucket is, and what may be read together with it.
    pub(super) fn key(&self, bucket: u64) -> (u64, Span) {
        let span = Span {
            start: self.bottom,
            end: bucket.wrapping_add(self.stride),
            backwards: true,
        };
        (bucket.wrapping_add(self.key), span)
    }
}

impl<M: Machine> Run<'_, M> {
    pub(super) fn find(&mut self, search: u16) -> Then {
        let Some(search) = self.program.search(search) else {
            return Then::Cut;
        };
        let mut seen = 0;
        match self.holder(search, &mut seen) {
            Ok(holder) => {
                self.put(search.to, holder);
                self.put(search.found, Some(u64::from(holder.is_some())));
                Then::Next
            }
            Err(Then::Cut) => self.unfinished(seen, search.items),
            Err(then) => then,
        }
    }

    /// What holds the key, if anything does; counts the keys that it was compared to.
    fn holder(&mut self, search: &Search, seen: &mut u64) -> Result<Option<u64>, Then> {
        let wanted = match search.wanted {
            Wanted::Number { slot, size, signed } => Key::Number {
                value: self.needed(slot)?,
                size,
                signed,
            },
            Wanted::Text {
                words,
                data,
                header,
                length,
            } => Key::Text {
                text: self.resolve(words)?,
                data: data.into(),
                header: header.into(),
                length: length.into(),
            },
        };
        match search.keys {
            Keys::Table { stride, hasher } => {
                let items = self.needed(search.items)?;
                if items == 0 {
                    return Ok(None);
                }
                let table = self.table(search, stride.into(), items)?;
                let asked = match hasher {
                    Some(keys) => self.asked(&table, keys, &wanted)?,
                    None => None,
                };
                match asked {
                    Some(answer) => Ok(answer),
                    None => self.searched(&table, items, &wanted, seen),
                }
            }
            Keys::Tree {
                node,
                key_stride,
                stride,
            } => self.in_tree(search, node, (key_stride, stride), &wanted, seen),
        }
    }

    /// A table, as far as it can be one.
    fn table(&mut self, search: &Search, stride: u64, items: u64) -> Result<Table, Then> {
        let (control, mask) = (self.needed(search.root)?, self.needed(search.extent)?);
        let buckets = mask
            .checked_add(1)
            .filter(|buckets| buckets.is_power_of_two() && items <= *buckets);
        let bottom = buckets
            .and_then(|buckets| buckets.checked_mul(stride))
            .and_then(|bytes| control.checked_sub(bytes));
        let (Some(buckets), Some(bottom)) = (buckets, bottom) else {
            return Err(self.invalid(items));
        };
        Ok(Table {
            control,
            buckets,
            stride,
            bottom,
            key: search.key.into(),
        })
    }

    /// Looks through all buckets.
    fn searched(
        &mut self,
        table: &Table,
        items: u64,
        wanted: &Key,
        seen: &mut u64,
    ) -> Result<Option<u64>, Then> {
        let (mut controls, mut keys) = (Bulk::default(), Bulk::default());
        let mut at = 0u64;
        while at < table.buckets && *seen < items {
            let byte = table.control.wrapping_add(at);
            if controls.get(byte, 1).is_none() {
                self.fill(&mut controls, byte, table.buckets.wrapping_sub(at))?;
            }
            let Some([state]) = controls.get(byte, 1) else {
                return Err(self.unreadable(byte));
            };
            let bucket = table.bucket(at);
            at = at.wrapping_add(1);
            if *state >= 0x80 {
                continue;
            }
            let (key, span) = table.key(bucket);
            if self.against(wanted, key, &mut keys, &span)?.is_eq() {
                return Ok(Some(bucket));
            }
            *seen = seen.wrapping_add(1);
        }
        // A table that is just being changed, by another thread, may have fewer than it says.
        if *seen < items {
            return Err(Then::Cut);
        }
        Ok(None)
    }

    fn in_tree(
        &mut self,
        search: &Search,
        layout: Node,
        (key_stride, stride): (u32, u32),
        wanted: &Key,
        seen: &mut u64,
    ) -> Result<Option<u64>, Then> {
        let items = self.needed(search.items)?;
        if items == 0 {
            return Ok(None);
        }
        let (mut node, height) = (self.needed(search.root)?, self.needed(search.extent)?);
        if height > MAX_HEIGHT {
            return Err(self.invalid(items));
        }
        let mut keys = Bulk::default();
        for level in (0..=height).rev() {
            let count = self.read_number(node.wrapping_add(layout.length.into()), 2)?;
            if count > NODE_CAPACITY {
                return Err(self.invalid(count));
            }
            let first = node.wrapping_add(search.key.into());
            let span = Span {
                start: first,
                end: first.wrapping_add(count.wrapping_mul(key_stride.into())),
                backwards: false,
            };
            let (mut before, mut after) = (0u64, count);
            while before < after {
                let middle = before.midpoint(after);
                let distance = middle.wrapping_mul(key_stride.into());
                let key = first.wrapping_add(distance);
                let order = self.against(wanted, key, &mut keys, &span)?;
                *seen = seen.wrapping_add(1);
                match order {
                    Ordering::Less => before = middle.wrapping_add(1),
                    Ordering::Equal => {
                        let distance = middle.wrapping_mul(stride.into());
                        return Ok(Some(node.wrapping_add(distance)));
                    }
                    Ordering::Greater => after = middle,
                }
            }
            if level > 0 {
                let edge = u64::from(layout.edges).wrapping_add(before.wrapping_mul(8));
                node = self.read_number(node.wrapping_add(edge), 8)?;
            }
        }
        Ok(None)
    }

    /// How the key at an address compares to the one that is looked for.
    pub(super) fn against(
        &mut self,
        wanted: &Key,
        at: u64,
        keys: &mut Bulk,
        span: &Span,
    ) -> Result<Ordering, Then> {
        match *wanted {
            Key::Number {
                value,
                size,
                signed,
            } => {
                let found = self.key_number(at, size, keys, span)?;
                let comparable = |value: u64| match signed {
                    true => extended(value, size).wrapping_sub(i64::MIN).cast_unsigned(),
                    false => value,
                };
                Ok(comparable(found).cmp(&comparable(value)))
            }
            Key::Text {
                text,
                data,
                header,
                length,
            } => {
                let bytes = self.key_number(at.wrapping_add(length), 8, keys, span)?;
                // In a table, only equality counts.
                if span.backwards && bytes != text.length {
                    return Ok(Ordering::Less);
                }
                let pointer = self.key_number(at.wrapping_add(data), 8, keys, span)?;
                let found = self.text_at(pointer.wrapping_add(header), bytes)?;
                let common = bytes.min(text.length);
                let order = self.order(found, 0, text, common)?;
                Ok(order.then(bytes.cmp(&text.length)))
            }
        }
    }

    /// A number of a key, read together with others of the span.
    pub(super) fn key_number(
        &mut self,
        at: u64,
        size: u8,
        keys: &mut Bulk,
        span: &Span,
    ) -> Result<u64, Then> {
        if keys.get(at, size).is_none() {
            let all = span.end.saturating_sub(span.start) <= BULK as u64;
            let start = match span.backwards {
                _ if all => span.start,
                // A bucket may be larger than what is read at once.
                true => at.min(span.end.saturating_sub(BULK as u64).max(span.start)),
                false => at,
            };
            self.fill(keys, start, span.end.saturating_sub(start))?;
        }
        let found = keys.get(at, size).and_then(|bytes| number(bytes, size));
        match found {
            Some(found) => Ok(found),
            None => Err(self.unreadable(at)),
        }
    }

    fn read_number(&mut self, address: u64, size: u8) -> Result<u64, Then> {
        let mut bytes = [0; 8];
        let Some(wanted) = bytes.get_mut(..usize::from(size)) else {
            return Err(Then::Cut);
        };
        if self.peek(address, wanted)? < usize::from(size) {
            return Err(self.unreadable(address));
        }
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn unreadable(&mut self, address: u64) -> Then {
        self.writer
            .set(self.expression, Code::Unreadable, address, 0);
        Then::Over
    }

    fn invalid(&mut self, count: u64) -> Then {
        self.writer
            .set(self.expression, Code::InvalidLength, 0, count);
        Then::Over
    }

    /// Not all could be looked at.
    pub(super) fn unfinished(&mut self, seen: u64, items: Slot) -> Then {
        let items = self.slot(items).unwrap_or(0);
        self.writer
            .set(self.expression, Code::Unfinished, seen, items);
        Then::Over
    }
}

/// A signed number of `size` bytes.
fn extended(value: u64, size: u8) -> i64 {
    let unused = 64u32.saturating_sub(u32::from(size).saturating_mul(8));
    value
        .wrapping_shl(unused)
        .cast_signed()
        .wrapping_shr(unused)
}
