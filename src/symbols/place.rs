//! Where a variable's bytes are at one address of the program.
//!
//! A DWARF location is evaluated when a logpoint is set, not when it is hit: what is left of it is a list of
//! [`Piece`]s whose [`Formula`]s know registers, constants and memory only. The canonical frame address and the frame
//! base are already replaced by their own formulas.

/// One value, put together of pieces. Bytes that no piece covers are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pieces, by rising [`Piece::offset`], without overlap.
    pub pieces: Vec<Piece>,
}

impl Location {
    /// A value in one piece.
    pub fn whole(source: Source) -> Self {
        Self {
            pieces: vec![Piece {
                offset: 0,
                size: None,
                source,
            }],
        }
    }

    /// A value that is nowhere.
    pub fn missing(why: Missing) -> Self {
        Self::whole(Source::Missing(why))
    }
}

/// A run of bytes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte within the value.
    pub offset: u64,
    /// How many bytes; `None` for "the rest of the value".
    pub size: Option<u64>,
    /// Where they are.
    pub source: Source,
}

/// Where the bytes of a [`Piece`] come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In memory, at the address that the formula gives.
    Memory(Formula),
    /// In a register, its low bytes first, from byte `skip` on.
    Register {
        /// Which one.
        register: Register,
        /// Bytes of the register to leave out.
        skip: u8,
    },
    /// The formula's result itself, as 8 little-endian bytes (`DW_OP_stack_value`).
    Value(Formula),
    /// These bytes (`DW_OP_implicit_value`).
    Bytes(Box<[u8]>),
    /// Nowhere, and why.
    Missing(Missing),
}

/// Why a value, or a part of it, is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The compiler kept no place for it at this address.
    OptimizedOut,
    /// Known only as what the caller passed (`DW_OP_entry_value`), which rustc gives no way to look up.
    EntryValue,
    /// A thread-local that has no place that is known: of a shared library, or one that the optimizer has taken apart.
    ThreadLocal,
    /// Described with an operation that is not understood here.
    Unsupported,
}

/// A register, by its number in the System V x86-64 psABI, figure 3.36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Register {
    /// rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, the program counter as 16, and [`THREAD_POINTER`].
    General(u8),
    /// xmm0 to xmm15 (16 bytes each).
    Vector(u8),
}

/// The number of `fs.base`, behind which a thread's own storage ends.
pub const THREAD_POINTER: u8 = 58;

impl Register {
    /// Whether a general register has this number.
    pub fn is_general(number: u8) -> bool {
        number <= 16 || number == THREAD_POINTER
    }
}

/// A computation of 64-bit numbers in postfix order; it leaves exactly one on the stack.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Formula(pub Vec<Term>);

/// One step of a [`Formula`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Pushes a constant.
    Constant(u64),
    /// Pushes a general register (its [`Register::General`] number) plus an offset.
    Register(u8, i64),
    /// Pops an address and pushes the zero-extended `size` (1 to 8) bytes there.
    Load(u8),
    /// Pops one number and pushes the result.
    Unary(Unary),
    /// Pops the right, then the left operand and pushes the result.
    Binary(Binary),
    /// Pushes a copy of the number that is `n` below the top.
    Pick(u8),
    /// Pops the top.
    Drop,
    /// Swaps the two topmost.
    Swap,
}

/// Operations on one number, as DWARF 5 section 2.5.1.4 defines them on 64-bit untyped values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Abs,
    Neg,
    Not,
    /// Keeps the low bits: truncation to an unsigned type of this many bytes (`DW_OP_convert`).
    ZeroExtend(u8),
    /// Keeps the low bits and repeats the sign.
    SignExtend(u8),
}

/// Operations on two numbers, as DWARF 5 section 2.5.1.4 defines them on 64-bit untyped values (wrapping; signed
/// division and comparison; a division by zero makes the value unavailable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}
