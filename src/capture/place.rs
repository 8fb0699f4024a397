//! Places: where the bytes of a value can be had while a capture program is compiled.

use super::builder::Builder;
use super::error::CompileError;
use super::program::{Op, Slot, View};
use crate::symbols::place::{Binary, Missing, Piece, Register, Source, Term};
use std::sync::Arc;

/// Where a value is.
#[derive(Clone, Debug)]
pub enum Place<'s> {
    /// In memory.
    Memory {
        /// Holds an address.
        base: Slot,
        /// From there to the value.
        offset: i64,
        /// The register and offset that the base amounts to, if it is in the stack frame.
        frame: Option<(u8, i64)>,
    },
    /// In the pieces of a variable, `offset` bytes into it.
    Pieces { pieces: &'s [Piece], offset: u64 },
    /// In views, each from its first to before its last byte of something; `offset` bytes into that.
    Captured {
        spans: Arc<[(u64, u64, View)]>,
        offset: u64,
    },
}

/// Why the compilation of an expression ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It makes no sense.
    Error(CompileError),
    /// Its value is not there at this address.
    Unavailable(Missing),
}

impl<E: Into<CompileError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl<'s> Place<'s> {
    /// The place of what begins `distance` bytes into this one.
    pub fn at(&self, distance: u64) -> Self {
        match self.clone() {
            Self::Memory {
                base,
                offset,
                frame,
            } => Self::Memory {
                base,
                offset: offset.wrapping_add_unsigned(distance),
                frame,
            },
            Self::Pieces { pieces, offset } => Self::Pieces {
                pieces,
                offset: offset.wrapping_add(distance),
            },
            Self::Captured { spans, offset } => Self::Captured {
                spans,
                offset: offset.wrapping_add(distance),
            },
        }
    }

    /// Memory at the address that a slot holds.
    pub fn pointed(base: Slot) -> Self {
        Self::Memory {
            base,
            offset: 0,
            frame: None,
        }
    }

    /// The view that holds all of `size` bytes, and where in it they begin.
    pub fn captured(&self, size: u64) -> Option<(View, u32)> {
        let Self::Captured { spans, offset } = self else {
            return None;
        };
        let end = offset.checked_add(size)?;
        let (first, _, view) = spans
            .iter()
            .find(|(first, last, _)| first <= offset && end <= *last)?;
        Some((*view, u32::try_from(offset - first).ok()?))
    }

    /// Loads a number of `size` (1 to 8) bytes.
    ///
    /// # Errors
    ///
    /// Where its bytes are not to be had, or the program has no slot left.
    pub fn load(&self, builder: &mut Builder, size: u8) -> Result<Slot, Stop> {
        match self {
            Self::Memory {
                base,
                offset,
                frame,
            } => {
                let to = builder.slot().ok_or(CompileError::TooComplex)?;
                builder.reads(*frame, *offset, u64::from(size));
                builder.push(Op::Memory {
                    to,
                    base: *base,
                    offset: *offset,
                    size,
                });
                Ok(to)
            }
            Self::Captured { .. } => {
                let (from, offset) = self
                    .captured(u64::from(size))
                    .ok_or(CompileError::TooComplex)?;
                let to = builder.slot().ok_or(CompileError::TooComplex)?;
                builder.push(Op::View {
                    to,
                    from,
                    offset,
                    size,
                });
                Ok(to)
            }
            Self::Pieces { pieces, offset } => load_piece(builder, pieces, *offset, size),
        }
    }
}

fn load_piece(
    builder: &mut Builder,
    pieces: &[Piece],
    offset: u64,
    size: u8,
) -> Result<Slot, Stop> {
    let end = offset.saturating_add(u64::from(size));
    let piece = pieces.iter().rev().find(|piece| piece.offset <= offset);
    let piece = piece.ok_or(Stop::Unavailable(Missing::OptimizedOut))?;
    // A number that is itself split over pieces does not occur where it is worth the operations to put it together.
    if piece
        .size
        .is_some_and(|length| end > piece.offset.saturating_add(length))
    {
        return Err(Stop::Unavailable(Missing::Unsupported));
    }
    let within = offset - piece.offset;
    let outside = Stop::Unavailable(Missing::OptimizedOut);
    match &piece.source {
        Source::Missing(why) => Err(Stop::Unavailable(*why)),
        Source::Memory(formula) => {
            let base = builder
                .formula(formula, &[])
                .ok_or(CompileError::TooComplex)?;
            let offset = i64::try_from(within).map_err(|_| outside)?;
            Place::Memory {
                base,
                offset,
                frame: None,
            }
            .load(builder, size)
        }
        Source::Register { register, skip } => {
            let skip = u64::from(*skip).saturating_add(within);
            if skip.saturating_add(u64::from(size)) > width(*register) {
                return Err(outside);
            }
            let to = builder.slot().ok_or(CompileError::TooComplex)?;
            let skip = u8::try_from(skip).map_err(|_| outside)?;
            builder.push(Op::Register {
                to,
                register: *register,
                skip,
                size,
            });
            Ok(to)
        }
        Source::Value(formula) => {
            if within.saturating_add(u64::from(size)) > 8 {
                return Err(outside);
            }
            let shift = [Term::Constant(within * 8), Term::Binary(Binary::Shr)];
            let extend = Term::Unary(crate::symbols::place::Unary::ZeroExtend(size));
            let more = [shift[0], shift[1], extend];
            Ok(builder
                .formula(formula, &more)
                .ok_or(CompileError::TooComplex)?)
        }
        Source::Bytes(bytes) => {
            let start = usize::try_from(within).map_err(|_| outside.clone())?;
            let found = bytes
                .get(start..start.saturating_add(usize::from(size)))
                .ok_or(outside)?;
            let mut value = [0; 8];
            value
                .iter_mut()
                .zip(found)
                .for_each(|(to, from)| *to = *from);
            Ok(builder
                .constant(u64::from_le_bytes(value))
                .ok_or(CompileError::TooComplex)?)
        }
    }
}

/// Bytes of a register.
fn width(register: Register) -> u64 {
    match register {
        Register::General(_) => 8,
        Register::Vector(_) => 16,
    }
}

/// Captures what there is of bytes `from` to `from + size` of a variable in pieces, each at the expression's
/// pseudo-address plus its offset in the variable.
///
/// # Errors
///
/// [`Stop::Unavailable`] where there is none of it.
pub fn capture_pieces(
    builder: &mut Builder,
    pieces: &[Piece],
    from: u64,
    size: u64,
    most: u32,
) -> Result<(), Stop> {
    let end = from.saturating_add(size);
    let mut found = size == 0;
    let mut missing = None;
    for (index, piece) in pieces.iter().enumerate() {
        let next = pieces.get(index + 1).map_or(u64::MAX, |next| next.offset);
        let last = piece
            .size
            .map_or(next, |size| piece.offset.saturating_add(size))
            .min(next)
            .min(end);
        let first = piece.offset.max(from);
        if first >= last {
            continue;
        }
        let within = first - piece.offset;
        let length = last - first;
        let Ok(at) = u32::try_from(first) else {
            continue;
        };
        match &piece.source {
            Source::Missing(why) => {
                missing.get_or_insert(*why);
                continue;
            }
            Source::Memory(formula) => {
                let base = builder
                    .formula(formula, &[])
                    .ok_or(CompileError::TooComplex)?;
                let offset = i64::try_from(within).unwrap_or(i64::MAX);
                let size = u32::try_from(length).unwrap_or(most).min(most);
                builder.push(Op::PieceMemory {
                    at,
                    base,
                    offset,
                    size,
                });
            }
            Source::Register { register, skip } => {
                let skip = u64::from(*skip).saturating_add(within);
                let Some((skip, size)) = part(skip, length, width(*register)) else {
                    continue;
                };
                builder.push(Op::PieceRegister {
                    at,
                    register: *register,
                    skip,
                    size,
                });
            }
            Source::Value(formula) => {
                let Some((skip, size)) = part(within, length, 8) else {
                    continue;
                };
                let slot = builder
                    .formula(formula, &[])
                    .ok_or(CompileError::TooComplex)?;
                builder.push(Op::PieceNumber {
                    at,
                    slot,
                    skip,
                    size,
                });
            }
            Source::Bytes(bytes) => {
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                let length = usize::try_from(length.min(u64::from(most))).unwrap_or(0);
                let rest = bytes.get(start..).unwrap_or_default();
                let bytes = rest.get(..length).unwrap_or(rest);
                if bytes.is_empty() {
                    continue;
                }
                let bytes = builder.bytes(bytes).ok_or(CompileError::TooComplex)?;
                builder.push(Op::PieceBytes { at, bytes });
            }
        }
        found = true;
    }
    if found {
        Ok(())
    } else {
        Err(Stop::Unavailable(missing.unwrap_or(Missing::OptimizedOut)))
    }
}

/// The part of `width` bytes that begins at `skip`, at most `length` long; `None` if it is empty.
fn part(skip: u64, length: u64, width: u64) -> Option<(u8, u8)> {
    let size = width.checked_sub(skip)?.min(length);
    if size == 0 {
        return None;
    }
    Some((u8::try_from(skip).ok()?, u8::try_from(size).ok()?))
}
