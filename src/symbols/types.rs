//! Types of the program, read from DWARF one level at a time.

use std::fmt;

/// Names one type of the program: a debugging information entry of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeRef {
    /// Index of the module in the list of modules.
    pub module: u32,
    /// Offset of the entry in the module's `.debug_info`.
    pub entry: u64,
}

/// A type; the types that it mentions are named, not contained.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// The whole path as a Rust user writes it, arguments included: `alloc::vec::Vec<u8, alloc::alloc::Global>`.
    /// Primitive types, references and tuples have no path: `u32`, `&str`, `(i32, bool)`.
    pub name: Box<str>,
    /// Size in bytes.
    pub size: u64,
    /// What it is.
    pub kind: TypeKind,
}

/// What a [`Type`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `u8` to `u128`, `usize`.
    Unsigned,
    /// `i8` to `i128`, `isize`.
    Signed,
    /// `f16` to `f128`.
    Float,
    /// `bool`.
    Bool,
    /// `char`.
    Char,
    /// `()`, and any other base type without bytes.
    Unit,
    /// A thin pointer or reference: `&T`, `*const T`, `Box<T>` as rustc describes it. A fat one is a [`Self::Struct`]
    /// with the members `data_ptr` and `length` (`&str`, `&[T]`) or `pointer` and `vtable` (`&dyn T`).
    Pointer {
        /// What it points to.
        target: TypeRef,
    },
    /// A function; only behind pointers.
    Function,
    /// Structs, tuples (members `__0`, `__1`), closures (members named after what they capture).
    Struct {
        /// In the order of the declaration.
        members: Vec<Member>,
        /// The generic arguments, by name: `T`, `A`.
        parameters: Vec<(Box<str>, TypeRef)>,
    },
    /// A union: each member is one reading of the same bytes.
    Union {
        /// In the order of the declaration.
        members: Vec<Member>,
    },
    /// An enum with data, an `Option` in a niche, a coroutine: DWARF's variant part.
    Enum {
        /// Where the discriminant is; `None` where only one variant can exist.
        discriminant: Option<Member>,
        /// All variants.
        variants: Vec<Variant>,
        /// Members outside of the variant part (a coroutine's captures).
        members: Vec<Member>,
        /// The generic arguments, by name: `T`, `E`.
        parameters: Vec<(Box<str>, TypeRef)>,
    },
    /// An enum without data.
    Enumeration {
        /// Whether the values are signed.
        signed: bool,
        /// Names and values; an unsigned value is zero-extended, a signed one sign-extended.
        enumerators: Vec<(Box<str>, i128)>,
    },
    /// `[T; N]`; also DWARF's description of a string's or slice's target where it has a count.
    Array {
        /// The type of an element.
        element: TypeRef,
        /// How many.
        count: u64,
    },
    /// Something that this reader does not understand, and what it is.
    Unknown(Box<str>),
}

/// A member of a struct, a union or a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// As in the source; `__0` for a tuple's first.
    pub name: Box<str>,
    /// Offset of its first byte.
    pub offset: u64,
    /// Its type.
    pub ty: TypeRef,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// `Some`.
    pub name: Box<str>,
    /// The discriminant's values that select it, zero-extended from the discriminant's size; empty for the one that is
    /// selected by all values that select no other (`DW_AT_discr_value` absent).
    pub values: Vec<DiscriminantRange>,
    /// The struct of this variant's data, which starts at [`Member::offset`] within the enum.
    pub data: Member,
    /// The line that it stands for: where a coroutine waits.
    pub line: Option<u64>,
    /// The file of that line, by its number in the type's unit.
    pub file: Option<u64>,
}

/// Discriminants from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DiscriminantRange {
    pub first: u128,
    pub last: u128,
}

/// Why a type could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError(pub String);

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TypeError {}

/// A type that implements a trait, and is used as a trait object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Implementor {
    /// Address of its table of methods in the running process.
    pub vtable: u64,
    /// The type.
    pub ty: TypeRef,
}

/// Reads types on demand.
pub trait TypeSource {
    /// The type that `entry` names, one level deep.
    ///
    /// # Errors
    ///
    /// [`TypeError`] where the debug information is damaged or has no type there.
    fn load(&self, entry: TypeRef) -> Result<Type, TypeError>;

    /// The version of a package that a module was built with, where the debug information has one and only one; none by
    /// default.
    fn package_version(&self, module: u32, package: &str) -> Option<[u32; 3]> {
        let _ = (module, package);
        None
    }

    /// The types of a module whose values are used as trait objects of the trait with this path, as far as the debug
    /// information tells; none by default.
    fn implementors(&self, module: u32, trait_path: &str) -> Vec<Implementor> {
        let _ = (module, trait_path);
        Vec::new()
    }
}
