//! Records: what a hit leaves behind.
//!
//! All numbers are little-endian and unaligned.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | number of expressions |
//! | 17 each | per expression: [`Code`], whose bit 7 says that the record had no room for all of it; two numbers |
//! | 16 + n each | blocks of captured memory: address (8), bytes that were asked for (4), n (4), the n bytes that could be read |
//!
//! A byte is valid if a block covers it. What lies in no memory has a block at a pseudo-address, see
//! [`PSEUDO`](super::program::PSEUDO).

use super::program::{is_pseudo, pseudo};

const ENTRY: usize = 17;
const BLOCK: usize = 16;
const CUT: u8 = 0x80;

/// How an expression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It was not reached.
    Absent = 0,
    /// Its value is at the address that the first number gives.
    Ok = 1,
    /// The way to it leads through the address that the first number gives, where nothing can be read.
    Unreadable = 2,
    /// The first number, an index, is not below the second one, the length.
    OutOfBounds = 3,
    /// As above, with a negative index.
    Negative = 4,
    /// The second number, a length, is more than fits into memory.
    InvalidLength = 5,
    /// The place could not be computed.
    Incomputable = 6,
    /// There is nothing, where there may be nothing.
    Nothing = 7,
    /// It was unwrapped, and was something else; the first number says what.
    Refused = 8,
    /// A computation does not fit its type.
    Overflow = 9,
    /// Something was divided by zero.
    DivisionByZero = 10,
    /// Only so many elements could be looked at, the first number says, of as many as the second one says.
    Unfinished = 11,
    /// A range, which begins at the first number and ends at the second one, before that.
    Backwards = 12,
}

/// Bytes that the head of a record takes.
pub const fn head(expressions: u8) -> usize {
    1 + ENTRY * expressions as usize
}

/// Writes a record. Part of the interpreter: allocates nothing, panics never.
pub struct Writer<'a> {
    out: &'a mut [u8],
    used: usize,
    limit: usize,
    expressions: u8,
}

impl<'a> Writer<'a> {
    /// Begins a record in `out`; `None` where not even its head fits.
    pub fn new(out: &'a mut [u8], expressions: u8) -> Option<Self> {
        let used = head(expressions);
        out.get_mut(..used)?.fill(0);
        *out.first_mut()? = expressions;
        let limit = out.len();
        Some(Self {
            out,
            used,
            limit,
            expressions,
        })
    }

    /// Bytes written so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Gives the next expression an equal share of what is left for `remaining` expressions.
    pub fn share(&mut self, remaining: u8) {
        let free = self.out.len().saturating_sub(self.used);
        let share = free.checked_div(usize::from(remaining)).unwrap_or(free);
        self.limit = self.used.saturating_add(share);
    }

    /// Sets how an expression ended.
    pub fn set(&mut self, expression: u8, code: Code, a: u64, b: u64) {
        let Some(entry) = self.entry(expression) else {
            return;
        };
        let bytes = [code as u8]
            .into_iter()
            .chain(a.to_le_bytes())
            .chain(b.to_le_bytes());
        entry
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
    }

    /// Notes that there was no room for all of an expression.
    pub fn cut(&mut self, expression: u8) {
        if let Some(code) = self.entry(expression).and_then(|entry| entry.first_mut()) {
            *code |= CUT;
        }
    }

    fn entry(&mut self, expression: u8) -> Option<&mut [u8]> {
        if expression >= self.expressions {
            return None;
        }
        let start = head(expression);
        self.out.get_mut(start..start + ENTRY)
    }

    /// How many bytes the next block may have.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.used).saturating_sub(BLOCK)
    }

    /// Where the next block's bytes go; empty where there is no room for `size`.
    pub fn next(&mut self, size: usize) -> &mut [u8] {
        if size > self.room() {
            return &mut [];
        }
        let start = self.used.saturating_add(BLOCK);
        self.out
            .get_mut(start..start.saturating_add(size))
            .unwrap_or(&mut [])
    }

    /// Ends the block whose bytes were written to [`Self::next`]; returns where its bytes begin.
    pub fn commit(&mut self, address: u64, requested: u32, captured: u32) -> u32 {
        let start = self.used.saturating_add(BLOCK);
        let Some(head) = self.out.get_mut(self.used..start) else {
            return 0;
        };
        let bytes = address
            .to_le_bytes()
            .into_iter()
            .chain(requested.to_le_bytes())
            .chain(captured.to_le_bytes());
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        self.used = start.saturating_add(captured as usize).min(self.out.len());
        start as u32
    }

    /// Where the bytes of memory begin that one block has all of.
    pub fn find(&self, address: u64, size: u32) -> Option<u32> {
        let mut at = head(self.expressions);
        while at < self.used {
            let block = self.out.get(at..)?;
            let (first, captured) = (read_u64(block, 0)?, read_u64(block, 8)? >> 32);
            let within = address.checked_sub(first).filter(|skip| {
                skip.checked_add(u64::from(size))
                    .is_some_and(|end| end <= captured)
            });
            let start = at.checked_add(BLOCK)?;
            if let Some(skip) = within {
                return u32::try_from(start.checked_add(usize::try_from(skip).ok()?)?).ok();
            }
            at = start.checked_add(usize::try_from(captured).ok()?)?;
        }
        None
    }

    /// Bytes that were written.
    pub fn bytes(&self, start: u32, size: usize) -> Option<&[u8]> {
        let start = start as usize;
        self.out.get(start..start.checked_add(size)?)
    }
}

/// Why bytes are not in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The limits left them out.
    NotCaptured,
    /// Memory could not be read.
    Unreadable,
    /// The compiler kept no place for them.
    OptimizedOut,
}

/// A record, read back. Any bytes are a record, if perhaps an empty one.
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    entries: &'a [u8],
    blocks: Vec<Block<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    address: u64,
    requested: u64,
    bytes: &'a [u8],
}

/// How an expression ended, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How.
    pub code: Code,
    /// Its numbers, see [`Code`].
    pub numbers: (u64, u64),
    /// Whether the record had no room for all of it.
    pub cut: bool,
}

impl<'a> Record<'a> {
    /// Reads a record; what is damaged at its end is left out.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let split = bytes
            .first()
            .and_then(|count| bytes.split_at_checked(head(*count)));
        let Some((head, mut rest)) = split else {
            return Self::default();
        };
        let mut blocks = Vec::new();
        while let Some((block, tail)) = parse_block(rest) {
            blocks.push(block);
            rest = tail;
        }
        Self {
            entries: head.get(1..).unwrap_or_default(),
            blocks,
        }
    }

    /// How an expression ended.
    pub fn entry(&self, expression: usize) -> Entry {
        let start = expression.saturating_mul(ENTRY);
        let bytes = self
            .entries
            .get(start..start.saturating_add(ENTRY))
            .unwrap_or_default();
        let code = bytes.first().copied().unwrap_or(0);
        let number = |at: usize| read_u64(bytes, at).unwrap_or(0);
        Entry {
            code: match code & !CUT {
                1 => Code::Ok,
                2 => Code::Unreadable,
                3 => Code::OutOfBounds,
                4 => Code::Negative,
                5 => Code::InvalidLength,
                6 => Code::Incomputable,
                7 => Code::Nothing,
                8 => Code::Refused,
                9 => Code::Overflow,
                10 => Code::DivisionByZero,
                11 => Code::Unfinished,
                12 => Code::Backwards,
                _ => Code::Absent,
            },
            numbers: (number(1), number(9)),
            cut: code & CUT != 0,
        }
    }

    /// Copies captured memory, put together of as many blocks as it takes.
    ///
    /// # Errors
    ///
    /// Why the first byte that is missing is missing.
    pub fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Why> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = address.checked_add(done as u64).ok_or(Why::NotCaptured)?;
            let found = self
                .blocks
                .iter()
                .find_map(|block| block.from(at))
                .ok_or_else(|| self.why(at))?;
            rest.iter_mut()
                .zip(found)
                .for_each(|(to, from)| *to = *from);
            done += found.len();
        }
        Ok(())
    }

    /// The captured memory from `address` on, up to `size` bytes, and why there is no more.
    pub fn read_up_to(&self, address: u64, size: usize) -> (Vec<u8>, Result<(), Why>) {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let Some(at) = address.checked_add(bytes.len() as u64) else {
                return (bytes, Err(Why::NotCaptured));
            };
            match self.blocks.iter().find_map(|block| block.from(at)) {
                Some(found) => bytes.extend(found.iter().take(size - bytes.len())),
                None => return (bytes, Err(self.why(at))),
            }
        }
        (bytes, Ok(()))
    }

    fn why(&self, address: u64) -> Why {
        if self.blocks.iter().any(|block| block.wanted(address)) {
            Why::Unreadable
        } else if is_pseudo(address) && !self.is_cut_at(address) {
            Why::OptimizedOut
        } else {
            Why::NotCaptured
        }
    }

    fn is_cut_at(&self, address: u64) -> bool {
        let expression = u8::try_from((address - pseudo(0)) >> 32).unwrap_or(u8::MAX);
        self.entry(usize::from(expression)).cut
    }
}

impl<'a> Block<'a> {
    /// The bytes from an address on; not empty.
    fn from(&self, address: u64) -> Option<&'a [u8]> {
        let offset = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes.get(offset..).filter(|bytes| !bytes.is_empty())
    }

    fn wanted(&self, address: u64) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|offset| offset < self.requested)
    }
}

fn parse_block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(BLOCK)?;
    let sizes = read_u64(head, 8)?;
    let (requested, captured) = (sizes & u64::from(u32::MAX), sizes >> 32);
    let (bytes, rest) = rest.split_at_checked(usize::try_from(captured).ok()?)?;
    Some((
        Block {
            address: read_u64(head, 0)?,
            requested,
            bytes,
        },
        rest,
    ))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(writer: &mut Writer<'_>, address: u64, requested: u32, bytes: &[u8]) {
        writer.next(bytes.len()).copy_from_slice(bytes);
        writer.commit(address, requested, bytes.len() as u32);
    }

    fn sample(out: &mut [u8]) -> &[u8] {
        let mut writer = Writer::new(out, 2).unwrap();
        writer.set(0, Code::Ok, 0x1000, 0);
        writer.set(1, Code::OutOfBounds, 7, 3);
        block(&mut writer, 0x1000, 4, &[1, 2, 3, 4]);
        block(&mut writer, 0x1004, 8, &[5, 6]);
        block(&mut writer, pseudo(0) + 8, 1, &[9]);
        let used = writer.used();
        &out[..used]
    }

    #[test]
    fn what_was_written_is_read() {
        let mut out = [0xff; 256];
        let record = Record::parse(sample(&mut out));
        assert_eq!(
            record.entry(0),
            Entry {
                code: Code::Ok,
                numbers: (0x1000, 0),
                cut: false
            }
        );
        assert_eq!(
            record.entry(1),
            Entry {
                code: Code::OutOfBounds,
                numbers: (7, 3),
                cut: false
            }
        );
        assert_eq!(record.entry(2).code, Code::Absent);
        let mut bytes = [0; 6];
        assert_eq!(record.read(0x1000, &mut bytes), Ok(()));
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6]);
        assert_eq!(
            record.read_up_to(0x1003, 9),
            (vec![4, 5, 6], Err(Why::Unreadable))
        );
    }

    #[test]
    fn what_is_missing_says_why() {
        let mut out = [0; 256];
        let record = Record::parse(sample(&mut out));
        let read = |address| record.read(address, &mut [0]);
        assert_eq!(read(0x1006), Err(Why::Unreadable));
        assert_eq!(read(0x100c), Err(Why::NotCaptured));
        assert_eq!(read(0xfff), Err(Why::NotCaptured));
        assert_eq!(read(pseudo(0)), Err(Why::OptimizedOut));
        assert_eq!(record.read(u64::MAX, &mut [0; 2]), Err(Why::NotCaptured));
    }

    #[test]
    fn what_was_cut_is_not_called_optimized_out() {
        let mut out = [0; 64];
        let mut writer = Writer::new(&mut out, 1).unwrap();
        writer.set(0, Code::Ok, pseudo(0), 0);
        writer.cut(0);
        let record = Record::parse(&out);
        assert!(record.entry(0).cut);
        assert_eq!(record.read(pseudo(0), &mut [0]), Err(Why::NotCaptured));
    }

    #[test]
    fn expressions_share_the_room() {
        let mut out = [0; 19 + 200];
        let mut writer = Writer::new(&mut out, 1).unwrap();
        writer.share(2);
        assert_eq!(writer.room(), 100 - BLOCK);
        assert!(writer.next(101 - BLOCK).is_empty());
        block(&mut writer, 0, 10, &[0; 10]);
        writer.share(1);
        assert_eq!(writer.room(), 201 - 10 - 2 * BLOCK);
        assert!(Writer::new(&mut [0; 17], 1).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record(bytes in prop::collection::vec(any::<u8>(), 0..200), address: u64) {
            let record = Record::parse(&bytes);
            let _ = record.entry(usize::from(address as u8));
            let _ = record.read(address, &mut [0; 9]);
            let _ = record.read_up_to(address, 9);
        }
    }
}
