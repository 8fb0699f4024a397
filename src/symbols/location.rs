//! DWARF expressions (DWARF 5 section 2.5 and 2.6), translated into [`Location`]s.
//!
//! Nothing is evaluated but what is the same at each hit: addresses get the load bias, the frame base and the canonical
//! frame address are put in as formulas. What cannot be said that way becomes [`Source::Missing`], never a guess.

use gimli::{
    AttributeValue, Dwarf, Encoding, Expression, Operation, Unit, UnitOffset, constants as dw,
};

use super::functions::Entry;
use super::module::Slice;
use super::place::{Binary, Formula, Location, Missing, Piece, Register, Source, Term, Unary};
use super::unwind::{Frame, RSP};

/// Longest expression that is translated; LLVM's have a dozen operations.
const MAX_OPERATIONS: usize = 256;

/// Translates expressions that hold at one address.
pub struct Expressions<'u, 'a> {
    unit: Option<(&'u Dwarf<Slice<'a>>, &'u Unit<Slice<'a>>)>,
    encoding: Encoding,
    bias: u64,
    frame: Frame,
    frame_base: Option<Formula>,
}

/// A base type of DWARF's typed expressions, and which numbers it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// DWARF's own: an address-sized integer of no sign.
    Generic,
    Integer {
        size: u8,
        signed: bool,
    },
}

/// One location description that is being read.
#[derive(Default)]
struct Simple {
    terms: Vec<Term>,
    kinds: Vec<Kind>,
    source: Option<Source>,
}

impl<'u, 'a> Expressions<'u, 'a> {
    /// For the variables of a function at an address where `frame` is valid. `function` is the function that has the
    /// code, not one inlined into it.
    pub fn new(
        dwarf: &'u Dwarf<Slice<'a>>,
        unit: &'u Unit<Slice<'a>>,
        bias: u64,
        frame: Frame,
        function: &Entry<'a>,
        address: u64,
    ) -> Self {
        let mut expressions = Self {
            unit: Some((dwarf, unit)),
            encoding: unit.encoding(),
            bias,
            frame,
            frame_base: None,
        };
        let base = function
            .attr_value(dw::DW_AT_frame_base)
            .map(|value| expressions.attribute(value, address));
        // A frame base in a register is the register's value (DWARF 5 section 3.3.5).
        expressions.frame_base = base.and_then(|location| match location.pieces.as_slice() {
            [
                Piece {
                    source:
                        Source::Register {
                            register: Register::General(number),
                            ..
                        },
                    ..
                },
            ] => expressions
                .register(u16::from(*number), 0)
                .map(|term| Formula(vec![term])),
            [
                Piece {
                    source: Source::Memory(formula) | Source::Value(formula),
                    ..
                },
            ] => Some(formula.clone()),
            _ => None,
        });
        expressions
    }

    /// For the expressions of unwind tables.
    pub fn of_unwind(encoding: Encoding) -> Self {
        Self {
            unit: None,
            encoding,
            bias: 0,
            frame: Frame::default(),
            frame_base: None,
        }
    }

    /// The frame that addresses on the stack are relative to.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The place of a variable.
    pub fn variable(&self, entry: &Entry<'a>, address: u64) -> Location {
        if let Some(location) = entry.attr_value(dw::DW_AT_location) {
            return self.attribute(location, address);
        }
        match entry.attr(dw::DW_AT_const_value) {
            Some(value) => Location::whole(constant(value)),
            None => Location::missing(Missing::OptimizedOut),
        }
    }

    /// The address that an expression computes.
    pub fn address(&self, expression: Expression<Slice<'a>>) -> Option<Formula> {
        match self.translate(expression).pieces.pop()?.source {
            Source::Memory(formula) | Source::Value(formula) => Some(formula),
            _ => None,
        }
    }

    /// An expression, or the entry of a location list that is valid at an address of the file.
    fn attribute(&self, value: AttributeValue<Slice<'a>>, address: u64) -> Location {
        if let AttributeValue::Exprloc(expression) = value {
            return self.translate(expression);
        }
        let unsupported = || Location::missing(Missing::Unsupported);
        let Some((dwarf, unit)) = self.unit else {
            return unsupported();
        };
        let Ok(Some(mut list)) = dwarf.attr_locations(unit, value) else {
            return unsupported();
        };
        loop {
            match list.next() {
                Ok(Some(entry)) if entry.range.begin <= address && address < entry.range.end => {
                    return self.translate(entry.data);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Location::missing(Missing::OptimizedOut),
                Err(_) => return unsupported(),
            }
        }
    }

    /// Translates a location description.
    pub fn translate(&self, expression: Expression<Slice<'a>>) -> Location {
        let unsupported = || Location::missing(Missing::Unsupported);
        let mut operations = expression.operations(self.encoding);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut offset = 0u64;
        let mut simple = Simple::default();
        for _ in 0..MAX_OPERATIONS {
            match operations.next() {
                Ok(Some(Operation::Piece {
                    size_in_bits,
                    bit_offset,
                })) => {
                    let source = simple.finish();
                    simple = Simple::default();
                    // Where pieces do not end at bytes, none of what follows has a byte offset.
                    if !size_in_bits.is_multiple_of(8) {
                        return unsupported();
                    }
                    let size = size_in_bits / 8;
                    let source = source.after_bits(bit_offset.unwrap_or(0));
                    pieces.push(Piece {
                        offset,
                        size: Some(size),
                        source,
                    });
                    let Some(next) = offset.checked_add(size) else {
                        return unsupported();
                    };
                    offset = next;
                }
                Ok(Some(operation)) => {
                    if let Err(missing) = self.apply(&mut simple, operation) {
                        simple.source = Some(Source::Missing(missing));
                    }
                }
                Ok(None) if pieces.is_empty() => return Location::whole(simple.finish()),
                Ok(None) => return Location { pieces },
                Err(_) => return unsupported(),
            }
        }
        unsupported()
    }

    fn apply(&self, to: &mut Simple, operation: Operation<Slice<'a>>) -> Result<(), Missing> {
        if let Some(source) = &to.source {
            // Whatever is done to a missing value, it stays missing; a register or constant is a whole description.
            return if matches!(source, Source::Missing(_)) {
                Ok(())
            } else {
                Err(Missing::Unsupported)
            };
        }
        match operation {
            Operation::Nop => {}
            Operation::Register { register } if to.terms.is_empty() => {
                let register = match u8::try_from(register.0).map_err(|_| Missing::Unsupported)? {
                    number @ 0..=15 => Register::General(number),
                    number @ 17..=32 => Register::Vector(number - 17),
                    _ => return Err(Missing::Unsupported),
                };
                // Its own value is not what LLVM means where rsp is off.
                if register == Register::General(RSP as u8) && self.frame.rsp_shift != 0 {
                    return Err(Missing::Unsupported);
                }
                to.source = Some(Source::Register { register, skip: 0 });
            }
            Operation::RegisterOffset {
                register,
                offset,
                base_type,
            } => {
                let kind = self.kind(base_type)?;
                to.push(
                    self.register(register.0, offset)
                        .ok_or(Missing::Unsupported)?,
                    Kind::Generic,
                );
                to.convert(kind)?;
            }
            Operation::FrameOffset { offset } => {
                to.push_formula(self.frame_base.as_ref().ok_or(Missing::Unsupported)?);
                to.add(offset as u64);
            }
            Operation::CallFrameCFA => {
                to.push_formula(self.frame.cfa.as_ref().ok_or(Missing::Unsupported)?)
            }
            Operation::Address { address } => to.push(
                Term::Constant(address.wrapping_add(self.bias)),
                Kind::Generic,
            ),
            Operation::AddressIndex { index } => {
                let (dwarf, unit) = self.unit.ok_or(Missing::Unsupported)?;
                let address = dwarf
                    .address(unit, index)
                    .map_err(|_| Missing::Unsupported)?;
                to.push(
                    Term::Constant(address.wrapping_add(self.bias)),
                    Kind::Generic,
                );
            }
            Operation::UnsignedConstant { value } => to.push(Term::Constant(value), Kind::Generic),
            Operation::SignedConstant { value } => {
                to.push(Term::Constant(value as u64), Kind::Generic)
            }
            Operation::PlusConstant { value } => {
                to.integers(1)?;
                to.add(value);
            }
            Operation::Deref {
                base_type,
                size,
                space: false,
            } if (1..=8).contains(&size) => {
                let kind = self.kind(base_type)?;
                to.integers(1)?;
                to.kinds.pop();
                to.push(Term::Load(size), Kind::Generic);
                to.convert(kind)?;
            }
            Operation::Convert { base_type } => {
                let kind = self.kind(base_type)?;
                to.kinds.last().ok_or(Missing::Unsupported)?;
                to.convert(kind)?;
            }
            Operation::TypedLiteral { base_type, value } => {
                let kind = self.kind(base_type)?;
                let mut bytes = [0; 8];
                bytes
                    .get_mut(..value.len())
                    .ok_or(Missing::Unsupported)?
                    .copy_from_slice(value.slice());
                to.push(Term::Constant(u64::from_le_bytes(bytes)), Kind::Generic);
                to.convert(kind)?;
            }
            Operation::StackValue => {
                let formula = to.formula().ok_or(Missing::Unsupported)?;
                to.source = Some(Source::Value(formula));
            }
            Operation::ImplicitValue { data } if to.terms.is_empty() => {
                to.source = Some(Source::Bytes(data.slice().into()));
            }
            Operation::Drop => {
                to.kinds.pop().ok_or(Missing::Unsupported)?;
                to.terms.push(Term::Drop);
            }
            Operation::Swap => {
                let (a, b) = (
                    to.kinds.pop().ok_or(Missing::Unsupported)?,
                    to.kinds.pop().ok_or(Missing::Unsupported)?,
                );
                to.kinds.extend([a, b]);
                to.terms.push(Term::Swap);
            }
            Operation::Pick { index } => {
                let below = to
                    .kinds
                    .len()
                    .checked_sub(1 + usize::from(index))
                    .ok_or(Missing::Unsupported)?;
                let kind = to.kinds.get(below).copied().ok_or(Missing::Unsupported)?;
                to.push(Term::Pick(index), kind);
            }
            Operation::EntryValue { .. } | Operation::ParameterRef { .. } => {
                return Err(Missing::EntryValue);
            }
            Operation::ImplicitPointer { .. } => return Err(Missing::OptimizedOut),
            arithmetic => {
                let term = term(&arithmetic).ok_or(Missing::Unsupported)?;
                let operands = if matches!(term, Term::Unary(_)) { 1 } else { 2 };
                to.integers(operands)?;
                to.signless(operands, term)?;
                to.kinds.truncate(to.kinds.len() - operands);
                to.push(term, Kind::Generic);
            }
        }
        Ok(())
    }

    /// A general register's value, rsp as it is in the function's body.
    fn register(&self, number: u16, offset: i64) -> Option<Term> {
        let shift = if number == RSP {
            self.frame.rsp_shift
        } else {
            0
        };
        let number = u8::try_from(number).ok().filter(|number| *number < 16)?;
        Some(Term::Register(number, offset.checked_add(shift)?))
    }

    fn kind(&self, base_type: UnitOffset) -> Result<Kind, Missing> {
        if base_type.0 == 0 {
            return Ok(Kind::Generic);
        }
        let read = || {
            let entry = self.unit?.1.entry(base_type).ok()?;
            let size = entry.attr(dw::DW_AT_byte_size)?.udata_value()?;
            let signed = match entry.attr_value(dw::DW_AT_encoding)? {
                AttributeValue::Encoding(dw::DW_ATE_signed | dw::DW_ATE_signed_char) => true,
                AttributeValue::Encoding(
                    dw::DW_ATE_unsigned
                    | dw::DW_ATE_unsigned_char
                    | dw::DW_ATE_boolean
                    | dw::DW_ATE_UTF,
                ) => false,
                _ => return None,
            };
            let size = u8::try_from(size)
                .ok()
                .filter(|size| (1..=8).contains(size))?;
            Some(Kind::Integer { size, signed })
        };
        read().ok_or(Missing::Unsupported)
    }
}

impl Simple {
    fn push(&mut self, term: Term, kind: Kind) {
        self.terms.push(term);
        self.kinds.push(kind);
    }

    fn push_formula(&mut self, formula: &Formula) {
        self.terms.extend_from_slice(&formula.0);
        self.kinds.push(Kind::Generic);
    }

    /// Adds to the topmost number.
    fn add(&mut self, value: u64) {
        match self.terms.last_mut() {
            Some(Term::Constant(constant)) => *constant = constant.wrapping_add(value),
            Some(Term::Register(_, offset)) => *offset = offset.wrapping_add(value as i64),
            _ => self
                .terms
                .extend([Term::Constant(value), Term::Binary(Binary::Add)]),
        }
    }

    /// Makes the topmost number one of a type: LLVM's way to say truncation and extension.
    fn convert(&mut self, kind: Kind) -> Result<(), Missing> {
        if let Kind::Integer { size, signed } = kind {
            let unary = if signed {
                Unary::SignExtend(size)
            } else {
                Unary::ZeroExtend(size)
            };
            if size < 8 {
                self.terms.push(Term::Unary(unary));
            }
        }
        *self.kinds.last_mut().ok_or(Missing::Unsupported)? = kind;
        Ok(())
    }

    /// Checks that so many numbers are there, and that they are of no narrower type, in which arithmetic would wrap
    /// elsewhere.
    fn integers(&self, count: usize) -> Result<(), Missing> {
        let first = self
            .kinds
            .len()
            .checked_sub(count)
            .ok_or(Missing::Unsupported)?;
        let wide = |kind: &Kind| matches!(kind, Kind::Generic | Kind::Integer { size: 8, .. });
        if self
            .kinds
            .get(first..)
            .is_some_and(|kinds| kinds.iter().all(wide))
        {
            Ok(())
        } else {
            Err(Missing::Unsupported)
        }
    }

    /// Checks that unsigned numbers meet no operation that [`Binary`] defines for signed ones.
    fn signless(&self, count: usize, term: Term) -> Result<(), Missing> {
        use Binary::{Div, Ge, Gt, Le, Lt};
        let signed = matches!(
            term,
            Term::Binary(Div | Ge | Gt | Le | Lt) | Term::Unary(Unary::Abs)
        );
        let unsigned = |kind: &Kind| matches!(kind, Kind::Integer { signed: false, .. });
        if signed && self.kinds.iter().rev().take(count).any(unsigned) {
            Err(Missing::Unsupported)
        } else {
            Ok(())
        }
    }

    fn formula(&mut self) -> Option<Formula> {
        (self.kinds.len() == 1).then(|| Formula(std::mem::take(&mut self.terms)))
    }

    fn finish(mut self) -> Source {
        if let Some(source) = self.source {
            return source;
        }
        if self.terms.is_empty() {
            return Source::Missing(Missing::OptimizedOut);
        }
        self.formula()
            .map_or(Source::Missing(Missing::Unsupported), Source::Memory)
    }
}

impl Source {
    /// What is left of a place from a bit on (`DW_OP_bit_piece`); within a byte there is no place.
    fn after_bits(self, bit: u64) -> Self {
        if bit == 0 {
            return self;
        }
        match (self, u8::try_from(bit / 8)) {
            (missing @ Self::Missing(_), _) => missing,
            (Self::Register { register, .. }, Ok(skip)) if bit.is_multiple_of(8) => {
                Self::Register { register, skip }
            }
            _ => Self::Missing(Missing::Unsupported),
        }
    }
}

fn constant(attribute: &gimli::Attribute<Slice<'_>>) -> Source {
    let number = |value| Source::Value(Formula(vec![Term::Constant(value)]));
    match attribute.value() {
        AttributeValue::Block(bytes) => Source::Bytes(bytes.slice().into()),
        AttributeValue::Sdata(value) => number(value as u64),
        _ => attribute
            .udata_value()
            .map_or(Source::Missing(Missing::Unsupported), number),
    }
}

fn term(operation: &Operation<Slice<'_>>) -> Option<Term> {
    Some(match operation {
        Operation::Abs => Term::Unary(Unary::Abs),
        Operation::Neg => Term::Unary(Unary::Neg),
        Operation::Not => Term::Unary(Unary::Not),
        Operation::And => Term::Binary(Binary::And),
        Operation::Div => Term::Binary(Binary::Div),
        Operation::Minus => Term::Binary(Binary::Sub),
        Operation::Mod => Term::Binary(Binary::Mod),
        Operation::Mul => Term::Binary(Binary::Mul),
        Operation::Or => Term::Binary(Binary::Or),
        Operation::Plus => Term::Binary(Binary::Add),
        Operation::Shl => Term::Binary(Binary::Shl),
        Operation::Shr => Term::Binary(Binary::Shr),
        Operation::Shra => Term::Binary(Binary::Sar),
        Operation::Xor => Term::Binary(Binary::Xor),
        Operation::Eq => Term::Binary(Binary::Eq),
        Operation::Ge => Term::Binary(Binary::Ge),
        Operation::Gt => Term::Binary(Binary::Gt),
        Operation::Le => Term::Binary(Binary::Le),
        Operation::Lt => Term::Binary(Binary::Lt),
        Operation::Ne => Term::Binary(Binary::Ne),
        _ => return None,
    })
}
