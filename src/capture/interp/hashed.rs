//! Hash tables whose hasher is known, asked as the program asks them: hashbrown's `RawTable`. Part of the interpreter:
//! allocates nothing, panics never.

use super::find::{Key, Table};
use super::load::Bulk;
use super::{Machine, Run, Then};
use crate::capture::program::Slot;
use crate::capture::sip::Sip13;

/// Control bytes that are looked at together: those of one SSE2 register (hashbrown's `Group::WIDTH`). The first ones follow
/// the last ones once more, so that as many can be read from everywhere.
const GROUP: usize = 16;

/// The control byte of a bucket that was never full since the table was made.
const EMPTY: u8 = 0xff;

/// Entries whose hashes have to be where they belong before an answer is believed.
const WITNESSES: u32 = 3;

impl<M: Machine> Run<'_, M> {
    /// The bucket of a key, `Some(None)` where there is none; `None` where the table is not hashed as it should be, as one
    /// of an unknown version may be.
    pub(super) fn asked(
        &mut self,
        table: &Table,
        (k0, k1): (Slot, Slot),
        wanted: &Key,
    ) -> Result<Option<Option<u64>>, Then> {
        let (k0, k1) = (self.needed(k0)?, self.needed(k1)?);
        let hash = self.hash_of(Sip13::new(k0, k1), wanted)?;
        let mask = table.buckets.wrapping_sub(1);
        let (mut position, mut stride) = (hash & mask, 0u64);
        let mut keys = Bulk::default();
        while stride < table.buckets {
            let group = self.group(table.control.wrapping_add(position))?;
            let mut ends = false;
            for (index, byte) in (0u64..).zip(group) {
                ends |= byte == EMPTY;
                if byte != tag(hash) {
                    continue;
                }
                let bucket = table.bucket(position.wrapping_add(index) & mask);
                let (key, span) = table.key(bucket);
                if self.against(wanted, key, &mut keys, &span)?.is_eq() {
                    return Ok(Some(Some(bucket)));
                }
            }
            if ends {
                break;
            }
            stride = stride.wrapping_add(GROUP as u64);
            position = position.wrapping_add(stride) & mask;
        }
        let known = self.is_hashed_so(table, (k0, k1), wanted)?;
        Ok(known.then_some(None))
    }

    /// Whether entries that are there have the hashes that they should have.
    fn is_hashed_so(
        &mut self,
        table: &Table,
        (k0, k1): (u64, u64),
        like: &Key,
    ) -> Result<bool, Then> {
        let (mut at, mut witnesses) = (0u64, 0u32);
        let mut keys = Bulk::default();
        while at < table.buckets && witnesses < WITNESSES {
            let group = self.group(table.control.wrapping_add(at))?;
            for (index, byte) in (at..table.buckets).zip(group) {
                if byte >= 0x80 || witnesses == WITNESSES {
                    continue;
                }
                let (at, span) = table.key(table.bucket(index));
                let key = match *like {
                    Key::Number { size, signed, .. } => Key::Number {
                        value: self.key_number(at, size, &mut keys, &span)?,
                        size,
                        signed,
                    },
                    Key::Text {
                        data,
                        header,
                        length,
                        ..
                    } => {
                        let bytes = at.wrapping_add(length);
                        let bytes = self.key_number(bytes, 8, &mut keys, &span)?;
                        let data_at = at.wrapping_add(data);
                        let pointer = self.key_number(data_at, 8, &mut keys, &span)?;
                        Key::Text {
                            text: self.text_at(pointer.wrapping_add(header), bytes)?,
                            data,
                            header,
                            length,
                        }
                    }
                };
                if tag(self.hash_of(Sip13::new(k0, k1), &key)?) != byte {
                    return Ok(false);
                }
                witnesses = witnesses.wrapping_add(1);
            }
            at = at.wrapping_add(GROUP as u64);
        }
        // Of a table with fewer entries, these are all.
        Ok(true)
    }

    fn group(&mut self, address: u64) -> Result<[u8; GROUP], Then> {
        let mut bytes = [0; GROUP];
        if self.peek(address, &mut bytes)? < GROUP {
            return Err(self.unreadable(address));
        }
        Ok(bytes)
    }

    /// As the `Hash` of integers, `bool` and `char` has it, which is their bytes, and of `str`, which is its bytes and one
    /// that no text has.
    fn hash_of(&mut self, mut hash: Sip13, key: &Key) -> Result<u64, Then> {
        match *key {
            Key::Number { value, size, .. } => {
                let bytes = value.to_le_bytes();
                hash.write(bytes.get(..usize::from(size)).unwrap_or_default());
            }
            Key::Text { text, .. } => {
                self.pieces(text, |piece| hash.write(piece))?;
                hash.write(&[0xff]);
            }
        }
        Ok(hash.finish())
    }
}

/// What the control byte of a full bucket says of its hash: its topmost seven bits.
fn tag(hash: u64) -> u8 {
    (hash >> 57) as u8
}
