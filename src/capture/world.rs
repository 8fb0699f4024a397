//! A program made by hand: its types, variables, memory and registers.

mod many_types;

use crate::capture::compile::{Compiled, compile};
use crate::capture::interp::{self, Machine, Ran};
use crate::capture::logpoint::{Knowledge, Limits, Logpoint};
use crate::capture::render::Part;
use crate::capture::template::Template;
use crate::symbols::place::{Formula, Location, Piece, Register, Source, Term};
use crate::symbols::scope::{Scope, Variable};
use crate::symbols::types::{
    DiscriminantRange, Member, Type, TypeError, TypeKind, TypeRef, TypeSource, Variant,
};
use std::collections::{BTreeMap, HashMap};

/// Where the values of variables go.
pub const STACK: u64 = 0x7fff_0000_1000;

/// A variant: its name, its discriminants from first to last, its members.
pub type VariantSketch<'a> = (&'a str, &'a [(u128, u128)], &'a [(&'a str, u64, TypeRef)]);

#[derive(Default)]
pub struct Types(Vec<Type>);

impl TypeSource for Types {
    fn load(&self, entry: TypeRef) -> Result<Type, TypeError> {
        let found = self.0.get(entry.entry as usize).cloned();
        found.ok_or_else(|| TypeError("no such type".into()))
    }
}

impl Types {
    pub fn add(&mut self, name: &str, size: u64, kind: TypeKind) -> TypeRef {
        self.0.push(Type {
            name: name.into(),
            size,
            kind,
        });
        TypeRef {
            module: 0,
            entry: self.0.len() as u64 - 1,
        }
    }

    /// A type that comes to be later: for types that mention themselves.
    pub fn declare(&mut self) -> TypeRef {
        self.add("?", 0, TypeKind::Unit)
    }

    pub fn define(&mut self, declared: TypeRef, like: TypeRef) {
        self.0[declared.entry as usize] = self.0[like.entry as usize].clone();
    }

    pub fn get(&self, ty: TypeRef) -> &Type {
        &self.0[ty.entry as usize]
    }

    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// `u8`, `i128`, `f64`, `bool`, `char`, `()`.
    pub fn base(&mut self, name: &str) -> TypeRef {
        let (kind, bits) = match name.split_at(1) {
            _ if name == "bool" => (TypeKind::Bool, 8),
            _ if name == "char" => (TypeKind::Char, 32),
            _ if name == "()" => (TypeKind::Unit, 0),
            ("u", "size") => (TypeKind::Unsigned, 64),
            ("i", "size") => (TypeKind::Signed, 64),
            ("u", bits) => (TypeKind::Unsigned, bits.parse().unwrap()),
            ("i", bits) => (TypeKind::Signed, bits.parse().unwrap()),
            ("f", bits) => (TypeKind::Float, bits.parse().unwrap()),
            _ => panic!("{name}"),
        };
        self.add(name, bits / 8, kind)
    }

    pub fn pointer(&mut self, name: &str, target: TypeRef) -> TypeRef {
        self.add(name, 8, TypeKind::Pointer { target })
    }

    pub fn reference(&mut self, target: TypeRef) -> TypeRef {
        let name = format!("&{}", self.get(target).name);
        self.pointer(&name, target)
    }

    pub fn boxed(&mut self, target: TypeRef) -> TypeRef {
        let name = format!(
            "alloc::boxed::Box<{}, alloc::alloc::Global>",
            self.get(target).name
        );
        self.pointer(&name, target)
    }

    pub fn structure(
        &mut self,
        name: &str,
        size: u64,
        members: &[(&str, u64, TypeRef)],
    ) -> TypeRef {
        self.add(
            name,
            size,
            TypeKind::Struct {
                members: self::members(members),
                parameters: Vec::new(),
            },
        )
    }

    pub fn array(&mut self, element: TypeRef, count: u64) -> TypeRef {
        let Type { name, size, .. } = self.get(element).clone();
        self.add(
            &format!("[{name}; {count}]"),
            size * count,
            TypeKind::Array { element, count },
        )
    }

    pub fn fat(&mut self, name: &str, element: TypeRef) -> TypeRef {
        let element_name = self.get(element).name.clone();
        let data = self.pointer(&format!("*const {element_name}"), element);
        let length = self.base("usize");
        self.structure(name, 16, &[("data_ptr", 0, data), ("length", 8, length)])
    }

    pub fn text(&mut self) -> TypeRef {
        let byte = self.base("u8");
        self.fat("&str", byte)
    }

    pub fn slice(&mut self, element: TypeRef) -> TypeRef {
        let name = format!("&[{}]", self.get(element).name);
        self.fat(&name, element)
    }

    /// An `Arc` or an `Rc` of `str` or of `[T]`, whose elements stand behind two counters.
    pub fn shared(&mut self, owner: &str, target: &str, element: TypeRef) -> TypeRef {
        let word = self.base("usize");
        let tail = match owner {
            "alloc::sync::Arc" => "data",
            _ => "value",
        };
        let inner = self.structure(
            &format!("{owner}Inner<{target}>"),
            16,
            &[("strong", 0, word), ("weak", 8, word), (tail, 16, element)],
        );
        let data = self.pointer(&format!("*mut {owner}Inner"), inner);
        let fat = self.structure(
            &format!("*const {owner}Inner<{target}>"),
            16,
            &[("data_ptr", 0, data), ("length", 8, word)],
        );
        let pointer = self.structure(
            &format!("core::ptr::non_null::NonNull<{owner}Inner<{target}>>"),
            16,
            &[("pointer", 0, fat)],
        );
        self.structure(
            &format!("{owner}<{target}, alloc::alloc::Global>"),
            16,
            &[("ptr", 0, pointer)],
        )
    }

    /// As rustc 1.95 lays it out: capacity, pointer, length.
    pub fn vec(&mut self, element: TypeRef) -> TypeRef {
        let name = self.get(element).name.clone();
        let byte = self.base("u8");
        let word = self.base("usize");
        let raw = self.pointer("*const u8", byte);
        let non_null = self.structure(
            "core::ptr::non_null::NonNull<u8>",
            8,
            &[("pointer", 0, raw)],
        );
        let unique = self.structure(
            "core::ptr::unique::Unique<u8>",
            8,
            &[("pointer", 0, non_null)],
        );
        let inner = self.structure(
            "alloc::raw_vec::RawVecInner<A>",
            16,
            &[("ptr", 8, unique), ("cap", 0, word)],
        );
        let buf = self.structure(
            &format!("alloc::raw_vec::RawVec<{name}, A>"),
            16,
            &[("inner", 0, inner)],
        );
        let kind = TypeKind::Struct {
            members: members(&[("buf", 0, buf), ("len", 16, word)]),
            parameters: vec![("T".into(), element)],
        };
        self.add(
            &format!("alloc::vec::Vec<{name}, alloc::alloc::Global>"),
            24,
            kind,
        )
    }

    pub fn string(&mut self) -> TypeRef {
        let byte = self.base("u8");
        let vec = self.vec(byte);
        self.structure("alloc::string::String", 24, &[("vec", 0, vec)])
    }

    /// Variants: name, discriminants, members.
    pub fn enumeration(
        &mut self,
        name: &str,
        size: u64,
        discriminant: Option<(u64, TypeRef)>,
        variants: &[VariantSketch<'_>],
    ) -> TypeRef {
        let variants = variants.iter().map(|(variant, values, members)| Variant {
            name: (*variant).into(),
            values: values
                .iter()
                .map(|(first, last)| DiscriminantRange {
                    first: *first,
                    last: *last,
                })
                .collect(),
            data: Member {
                name: (*variant).into(),
                offset: 0,
                ty: self.structure(&format!("{name}::{variant}"), size, members),
            },
            line: None,
            file: None,
        });
        let variants = variants.collect();
        let discriminant = discriminant.map(|(offset, ty)| Member {
            name: "".into(),
            offset,
            ty,
        });
        let kind = TypeKind::Enum {
            discriminant,
            variants,
            members: Vec::new(),
            parameters: Vec::new(),
        };
        self.add(name, size, kind)
    }

    /// An `Option` whose `None` is 0 in the first `u64`: of a reference or a box.
    pub fn niche_option(&mut self, payload: TypeRef) -> TypeRef {
        let Type { name, size, .. } = self.get(payload).clone();
        let tag = self.base("u64");
        let some: VariantSketch<'_> = ("Some", &[], &[("__0", 0, payload)]);
        self.enumeration(
            &format!("core::option::Option<{name}>"),
            size,
            Some((0, tag)),
            &[("None", &[(0, 0)], &[]), some],
        )
    }
}

pub fn members(members: &[(&str, u64, TypeRef)]) -> Vec<Member> {
    members
        .iter()
        .map(|(name, offset, ty)| Member {
            name: (*name).into(),
            offset: *offset,
            ty: *ty,
        })
        .collect()
}

#[derive(Default)]
pub struct Memory {
    regions: BTreeMap<u64, Vec<u8>>,
    registers: HashMap<Register, [u8; 16]>,
    pub reads: usize,
    /// Hits that were counted.
    pub counted: u64,
}

impl Memory {
    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        self.regions.insert(address, bytes.to_vec());
    }

    pub fn set(&mut self, register: Register, value: u128) {
        self.registers.insert(register, value.to_le_bytes());
    }
}

impl Machine for Memory {
    fn register(&mut self, register: Register) -> Option<[u8; 16]> {
        self.registers.get(&register).copied()
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        self.reads += 1;
        for (done, byte) in out.iter_mut().enumerate() {
            let Some(at) = address.checked_add(done as u64) else {
                return done;
            };
            let region = self.regions.range(..=at).next_back();
            match region.and_then(|(start, bytes)| bytes.get((at - start) as usize)) {
                Some(found) => *byte = *found,
                None => return done,
            }
        }
        out.len()
    }

    fn count(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    fn thread(&self) -> u64 {
        77
    }

    fn time(&self) -> u64 {
        1_000_000_000_000_000_123
    }
}

/// Everything.
#[derive(Default)]
pub struct World {
    pub types: Types,
    pub memory: Memory,
    pub scope: Scope,
    pub limits: Limits,
    pub knowledge: Knowledge,
    next: u64,
}

impl World {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts bytes somewhere on the heap.
    pub fn heap(&mut self, bytes: &[u8]) -> u64 {
        let address = 0x5555_0000_0000 + self.next;
        self.next += (bytes.len() as u64 + 64) & !15;
        self.memory.put(address, bytes);
        address
    }

    /// Declares a variable with its bytes in memory.
    pub fn variable(&mut self, name: &str, ty: TypeRef, bytes: &[u8]) {
        let address = STACK + 0x1000 * self.scope.variables.len() as u64;
        self.memory.put(address, bytes);
        self.located(name, ty, memory(Formula(vec![Term::Constant(address)])));
    }

    /// Declares a variable.
    pub fn located(&mut self, name: &str, ty: TypeRef, location: Location) {
        self.scope.variables.push(Variable {
            name: name.into(),
            ty,
            entry: 0,
            location,
            elsewhere: Vec::new(),
            line: 0,
            argument: false,
            depth: 0,
        });
    }

    pub fn compile(&self, message: &str) -> Compiled {
        let message = Template::parse(message).unwrap();
        compile(
            &Logpoint::new(&message),
            &self.scope,
            &self.types,
            &self.limits,
            &self.knowledge,
        )
        .unwrap()
    }

    /// Whether a hit with that condition counts; where that cannot be decided, why.
    pub fn decide(&mut self, condition: &str) -> Result<bool, String> {
        let message = Template::parse("").unwrap();
        let logpoint = Logpoint {
            condition: Some(condition),
            ..Logpoint::new(&message)
        };
        let compiled = compile(
            &logpoint,
            &self.scope,
            &self.types,
            &self.limits,
            &self.knowledge,
        )
        .map_err(|error| error.to_string())?;
        let mut record = vec![0xaa; self.limits.record];
        match interp::run(&compiled.program, &mut self.memory, &mut record) {
            Ran::Recorded(_) => Ok(true),
            Ran::Passed => Ok(false),
            Ran::Undecided(used) => Err(compiled.render(&record[..used])),
        }
    }

    pub fn show(&mut self, message: &str) -> String {
        let compiled = self.compile(message);
        let mut record = vec![0xaa; self.limits.record];
        let ran = interp::run(&compiled.program, &mut self.memory, &mut record);
        compiled.render(&record[..used(ran)])
    }

    /// A `&str`'s or slice's two words.
    pub fn fat(&mut self, bytes: &[u8], length: u64) -> Vec<u8> {
        let address = self.heap(bytes);
        words(&[address, length])
    }

    /// The two words of an `Arc` or an `Rc` of `str` or of `[T]`.
    pub fn counted(&mut self, bytes: &[u8], length: u64) -> Vec<u8> {
        self.fat(&[&words(&[1, 1]), bytes].concat(), length)
    }

    /// A `Vec`'s or `String`'s three words.
    pub fn vector(&mut self, bytes: &[u8], length: u64) -> Vec<u8> {
        let address = self.heap(bytes);
        words(&[length, address, length])
    }
}

/// Bytes of a record.
pub fn used(ran: Ran) -> usize {
    match ran {
        Ran::Recorded(used) | Ran::Undecided(used) => used,
        Ran::Passed => 0,
    }
}

pub fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn memory(formula: Formula) -> Location {
    Location::whole(Source::Memory(formula))
}

pub fn pieces(pieces: Vec<(u64, u64, Source)>) -> Location {
    let piece = |(offset, size, source)| Piece {
        offset,
        size: Some(size),
        source,
    };
    Location {
        pieces: pieces.into_iter().map(piece).collect(),
    }
}

impl Compiled {
    /// The whole message of one hit.
    pub fn render(&self, record: &[u8]) -> String {
        let mut message = String::new();
        self.render_parts(record, &(), |part| match part {
            Part::Text(text) => message.push_str(text),
            Part::Value(value) => message.push_str(&value),
        });
        message
    }
}
