//! Shows records as text.
//!
//! Values look as `{:?}` prints them; a text that is an expression's whole value is a JSON string. What is not there is
//! marked, never guessed:
//!
//! | shown | meaning |
//! |---|---|
//! | `..` | left out by the limits: `Node { .. }`, `Some(..)`, `[..]` |
//! | `[1, 2, .. 98 more]` | left out elements |
//! | `"abc" .. 120 more bytes` | left out text |
//! | `<optimized out>` | the compiler kept it nowhere at this line |
//! | `<optimized out; readable at line 42>` | the same, and where the nearest line is that has it |
//! | `<unreadable 0x10>` | there is no memory to read |
//! | `<index 7 out of bounds, len 3>` | |
//! | `<unwrap of None>` | |
//! | `<arithmetic overflow>`, `<division by zero>` | the program would panic |
//! | `<locked>` after a value | somebody held the lock, and may have been changing it |
//! | `<poisoned>` after a value | a thread panicked while it held the lock |
//! | `<invalid bool 3>` | no value of the type has these bytes |
//! | `<error: …>` | the expression makes no sense here |
//! | `<redacted>` | hidden by its name or its type's, see [`redact`] |

mod collections;
mod forms;
mod known;
mod maps;
mod text;

use super::compile::{Compiled, MAX_HOPS, Outcome};
use super::program::is_pseudo;
use super::record::{Record, Why};
use super::redact::{self, REDACTED};
use super::template::Segment;
use super::views::{self, Spot, View, names, short_name};
use crate::symbols::place::Missing;
use crate::symbols::types::{Member, Type, TypeKind, TypeRef, Variant};
use std::fmt::{Display, Write as _};

/// Bytes after which a value is cut: damaged records can describe more text than memory holds.
const MAX_TEXT: usize = 64 << 10;

/// What else is known of the program while a record is rendered.
pub trait Names {
    /// The function at an address, by its whole path.
    fn function(&self, address: u64) -> Option<String>;
}

/// Functions are shown by their addresses.
impl Names for () {
    fn function(&self, _: u64) -> Option<String> {
        None
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What the template says.
    Text(&'a str),
    /// What an expression says.
    Value(String),
}

/// How an operand's value is shown.
#[derive(Clone, Copy)]
pub(super) struct Showing<'a> {
    /// What else is known of the program.
    pub(super) names: &'a dyn Names,
    /// Elements of each sequence that are shown.
    pub(super) elements: usize,
    /// Whether it is an expression's whole value.
    pub(super) whole: bool,
}

impl Compiled {
    /// The message of one hit in parts: the template with each expression's value. Any bytes can be rendered; what is not
    /// a record of this program shows as left out or not captured.
    pub fn render_parts<'a>(
        &'a self,
        record: &[u8],
        names: &dyn Names,
        mut part: impl FnMut(Part<'a>),
    ) {
        let record = Record::parse(record);
        if let Some(undecided) = self.undecided(&record) {
            return part(Part::Value(undecided));
        }
        let mut outcomes = self.outcomes.iter();
        for segment in self.segments.iter() {
            match segment {
                Segment::Text(text) => part(Part::Text(text)),
                Segment::Expression(_) => {
                    part(Part::Value(match outcomes.next() {
                        Some(Outcome::Value(shown)) => self.shown(&record, shown, names),
                        Some(Outcome::Redacted) => REDACTED.into(),
                        Some(Outcome::Error(error)) => format!("<error: {error}>"),
                        None => String::new(),
                    }));
                }
            }
        }
    }

    /// The text of a value of a type at an address.
    pub(super) fn render_value(
        &self,
        record: &Record<'_>,
        (ty, address): (TypeRef, u64),
        showing: Showing<'_>,
    ) -> String {
        let mut renderer = Renderer::new(self, record, showing);
        renderer.value(ty, address, self.outermost(showing.whole));
        renderer.out
    }

    /// The text of elements that begin at an address.
    pub(super) fn render_elements(
        &self,
        record: &Record<'_>,
        element: TypeRef,
        (address, count): (u64, u64),
        showing: Showing<'_>,
    ) -> String {
        let mut renderer = Renderer::new(self, record, showing);
        renderer.elements(address, count, element, self.outermost(false));
        renderer.out
    }

    fn outermost(&self, whole: bool) -> Level {
        Level {
            depth: self.limits.depth,
            hops: MAX_HOPS,
            whole,
            named: true,
        }
    }
}

/// What stands for an expression that is unavailable; `readable` is the nearest line where it is not.
pub(super) fn missing(why: Missing, readable: Option<u64>) -> String {
    let why = match why {
        Missing::OptimizedOut => "optimized out",
        Missing::EntryValue => "optimized out: only the caller had it",
        Missing::ThreadLocal => {
            "unavailable: a thread-local of a shared library, or one that the optimizer took apart"
        }
        Missing::Unsupported => {
            "unavailable: its place is described in a way that is not understood"
        }
    };
    match readable {
        Some(line) => format!("<{why}; readable at line {line}>"),
        None => format!("<{why}>"),
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where in a value something stands.
#[derive(Clone, Copy)]
struct Level {
    /// Values within values that may still be shown.
    depth: usize,
    /// Types that may still be gone through.
    hops: usize,
    /// Whether it is an expression's whole value.
    whole: bool,
    /// Whether an expression names it on purpose, and not what it is within.
    named: bool,
}

impl Level {
    fn within(self, depth: usize) -> Self {
        Self {
            depth,
            whole: false,
            named: false,
            ..self
        }
    }
}

struct Renderer<'a> {
    compiled: &'a Compiled,
    record: &'a Record<'a>,
    names: &'a dyn Names,
    /// Elements of a sequence that are shown.
    limit: u64,
    out: String,
}

impl<'a> Renderer<'a> {
    fn new(compiled: &'a Compiled, record: &'a Record<'a>, showing: Showing<'a>) -> Self {
        Self {
            compiled,
            record,
            names: showing.names,
            limit: showing.elements as u64,
            out: String::new(),
        }
    }

    fn value(&mut self, name: TypeRef, address: u64, level: Level) {
        let found = self.compiled.types.get(name);
        let (Some(ty), Some(hops), false) = (found, level.hops.checked_sub(1), self.full()) else {
            self.out.push_str("..");
            return;
        };
        let level = Level { hops, ..level };
        let redaction = &self.compiled.redaction;
        if (!level.named || redaction.is_strict()) && redaction.hides_type(&ty.name) {
            return self.put(REDACTED);
        }
        match &*self.compiled.types.view(name, &ty) {
            View::Plain => self.plain(&ty, address, level),
            View::Inner { offset, ty } => self.value(*ty, address.wrapping_add(*offset), level),
            View::Address => {
                if let Some(pointer) = self.number(address) {
                    self.put(format_args!("{pointer:#x}"));
                }
            }
            View::Wide {
                data,
                metadata,
                object,
            } => {
                let mut word = |offset: u64| self.number(address.wrapping_add(offset));
                let (Some(pointer), Some(metadata)) = (word(*data), word(*metadata)) else {
                    return;
                };
                match object {
                    true => self.put(format_args!(
                        "Pointer {{ addr: {pointer:#x}, metadata: DynMetadata({metadata:#x}) }}"
                    )),
                    false => self.put(format_args!(
                        "Pointer {{ addr: {pointer:#x}, metadata: {metadata} }}"
                    )),
                }
            }
            View::Code => self.function(address),
            View::Dynamic { data, vtable } => {
                self.object(name, &ty, *data, *vtable, address, level);
            }
            View::Reference { target } => {
                if let Some(pointer) = self.pointer(address) {
                    self.value(*target, pointer, level);
                }
            }
            View::Text { data, length } => {
                let data = Spot {
                    pointer: Some(*data),
                    offset: 0,
                };
                self.text(address, data, *length, level.whole);
            }
            View::Bytes {
                data,
                length,
                quoting,
            } => self.quoted(address, *data, *length, *quoting, level.whole),
            View::Sequence {
                data,
                length,
                element,
            } => {
                let data = Spot {
                    pointer: Some(*data),
                    offset: 0,
                };
                self.sequence(address, data, *length, *element, level);
            }
            View::Run {
                data,
                length,
                element,
            } => self.sequence(address, *data, *length, *element, level),
            View::Form(form) => self.form(form, address, level),
            View::Payload => self.payload(&ty, address, level),
            View::Known { known, fields } => self.known(*known, fields, address),
            View::Name => self.put(names::from_short(&names::without_defaults(&ty.name))),
            View::Ring(ring) => self.ring(*ring, address, level),
            View::List(list) => self.list(*list, address, level),
            View::Small(small) => self.small(*small, address, level),
            View::Table(table) => self.table(*table, address, level),
            View::Tree(tree) => self.tree(*tree, address, level),
            View::Closure => self.closure(&ty, address, level),
            View::Future => self.future(&ty, address, level),
        }
    }

    /// The address of a spot of the value at `address`; where it cannot be known, says so.
    fn at(&mut self, address: u64, at: Spot) -> Option<u64> {
        let base = match at.pointer {
            Some(pointer) => self.pointer(address.wrapping_add(pointer))?,
            None => address,
        };
        Some(base.wrapping_add(at.offset))
    }

    fn plain(&mut self, ty: &Type, address: u64, level: Level) {
        match &ty.kind {
            TypeKind::Unsigned => self.integer(ty, address, false),
            TypeKind::Signed => self.integer(ty, address, true),
            TypeKind::Float => self.float(ty, address),
            TypeKind::Bool => match self.bytes(address) {
                Some([0]) => self.put("false"),
                Some([1]) => self.put("true"),
                Some([other]) => self.put(format_args!("<invalid bool {other}>")),
                None => {}
            },
            TypeKind::Char => {
                let Some(bits) = self.bytes(address).map(u32::from_le_bytes) else {
                    return;
                };
                match char::from_u32(bits) {
                    Some(c) => self.put(format_args!("{c:?}")),
                    None => self.put(format_args!("<invalid char {bits:#x}>")),
                }
            }
            TypeKind::Unit => self.put("()"),
            TypeKind::Function => self.put(format_args!("{address:#x}")),
            // Views show pointers.
            TypeKind::Pointer { .. } => {}
            TypeKind::Struct { members, .. } if ty.name.starts_with('(') => {
                self.members("", members, address, level)
            }
            TypeKind::Struct { members, .. } => {
                self.members(short_name(&ty.name), members, address, level)
            }
            TypeKind::Union { members } => {
                self.put("union ");
                self.members(short_name(&ty.name), members, address, level);
            }
            TypeKind::Enum {
                discriminant,
                variants,
                ..
            } => {
                self.variant(discriminant.as_ref(), variants, address, level);
            }
            TypeKind::Enumeration {
                signed,
                enumerators,
            } => {
                let Some(bits) = self.unsigned(ty.size, address) else {
                    return;
                };
                let value = if *signed {
                    sign_extend(bits, ty.size)
                } else {
                    bits.cast_signed()
                };
                match enumerators.iter().find(|(_, known)| *known == value) {
                    Some((name, _)) => self.put(name),
                    None => self.put(format_args!("<invalid discriminant {value}>")),
                }
            }
            TypeKind::Array { element, count } => self.elements(address, *count, *element, level),
            TypeKind::Unknown(what) => self.put(format_args!("<unknown type: {what}>")),
        }
    }

    fn integer(&mut self, ty: &Type, address: u64, signed: bool) {
        if let Some(bits) = self.unsigned(ty.size, address) {
            if signed {
                self.put(sign_extend(bits, ty.size))
            } else {
                self.put(bits)
            }
        }
    }

    fn float(&mut self, ty: &Type, address: u64) {
        let Some(bits) = self.unsigned(ty.size, address) else {
            return;
        };
        match ty.size {
            4 => self.put(format_args!("{:?}", f32::from_bits(bits as u32))),
            8 => self.put(format_args!("{:?}", f64::from_bits(bits as u64))),
            // Rust has no stable type that would print these.
            _ => self.put(format_args!("<{} {bits:#x}>", ty.name)),
        }
    }

    /// A struct's, tuple's or variant's name and members, as `derive(Debug)` prints them.
    fn members(&mut self, name: &str, members: &[Member], address: u64, level: Level) {
        let tuple = members.iter().all(|member| is_tuple_field(&member.name));
        let (open, close) = if tuple { ("(", ")") } else { (" { ", " }") };
        self.put(name);
        if members.is_empty() {
            if name.is_empty() {
                self.put("()");
            }
            return;
        }
        self.put(open);
        match level.depth.checked_sub(1) {
            None => self.put(".."),
            Some(depth) => {
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        self.put(", ");
                    }
                    if self.full() {
                        self.put("..");
                        break;
                    }
                    if !tuple {
                        self.put(format_args!("{}: ", member.name));
                    }
                    if self.compiled.redaction.hides_name(&member.name)
                        || redact::names_of(members, member)
                            .any(|name| self.hides_second(name, address))
                    {
                        self.put(REDACTED);
                        continue;
                    }
                    self.value(
                        member.ty,
                        address.wrapping_add(member.offset),
                        level.within(depth),
                    );
                }
                if name.is_empty() && members.len() == 1 {
                    self.put(',');
                }
            }
        }
        self.put(close);
    }

    /// Whether the first of a pair is the name of a secret: lists of headers and of settings are pairs.
    fn hides_second(&mut self, first: &Member, address: u64) -> bool {
        self.hides_under(first.ty, address.wrapping_add(first.offset))
    }

    /// The variant that a value has; where it cannot be known, says so.
    fn chosen<'v>(
        &mut self,
        discriminant: Option<&Member>,
        variants: &'v [Variant],
        address: u64,
    ) -> Option<&'v Variant> {
        match (discriminant, variants) {
            (_, []) => self.put("<value of a type without values>"),
            (None, _) => {
                let types = &self.compiled.types;
                let only = views::only_variant(variants, &mut |ty| types.get(ty));
                if only.is_none() {
                    self.put("<unknown variant>");
                }
                return only;
            }
            (Some(discriminant), _) => {
                let size = self
                    .compiled
                    .types
                    .get(discriminant.ty)
                    .map_or(0, |ty| ty.size);
                let bits = self.unsigned(size, address.wrapping_add(discriminant.offset))?;
                let types = &self.compiled.types;
                let selects = |variant: &&Variant| {
                    let mut values = variant.values.iter();
                    values.any(|range| (range.first..=range.last).contains(&bits))
                        && views::is_possible(variant, &mut |ty| types.get(ty))
                };
                let mut others = variants.iter().filter(|variant| variant.values.is_empty());
                match (variants.iter().find(selects), others.next(), others.next()) {
                    (Some(chosen), ..) | (None, Some(chosen), None) => return Some(chosen),
                    (None, None, _) => self.put(format_args!("<invalid discriminant {bits}>")),
                    (None, Some(_), Some(_)) => self.put("<unknown variant>"),
                }
            }
        }
        None
    }

    fn variant(
        &mut self,
        discriminant: Option<&Member>,
        variants: &[Variant],
        address: u64,
        level: Level,
    ) {
        let Some(chosen) = self.chosen(discriminant, variants, address) else {
            return;
        };
        match self
            .compiled
            .types
            .get(chosen.data.ty)
            .as_deref()
            .map(|ty| &ty.kind)
        {
            // No expression names what is in a variant, as one names a field on purpose.
            Some(TypeKind::Struct { members, .. })
                if !members.is_empty() && self.compiled.redaction.hides_name(&chosen.name) =>
            {
                self.put(format_args!("{}({REDACTED})", chosen.name));
            }
            Some(TypeKind::Struct { members, .. }) => {
                self.members(
                    &chosen.name,
                    members,
                    address.wrapping_add(chosen.data.offset),
                    level,
                );
            }
            _ => self.put(format_args!("{}(..)", chosen.name)),
        }
    }

    /// Reads a pointer that is to be followed.
    fn pointer(&mut self, address: u64) -> Option<u64> {
        let pointer = self.number(address)?;
        // A wild pointer must not lead to where the record keeps registers.
        if is_pseudo(pointer) {
            self.put(format_args!("<unreadable {pointer:#x}>"));
            return None;
        }
        Some(pointer)
    }

    fn number(&mut self, address: u64) -> Option<u64> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    fn unsigned(&mut self, size: u64, address: u64) -> Option<u128> {
        let mut bytes = [0; 16];
        let Some(wanted) = usize::try_from(size)
            .ok()
            .and_then(|size| bytes.get_mut(..size))
        else {
            self.put(format_args!("<number of {size} bytes>"));
            return None;
        };
        match self.record.read(address, wanted) {
            Ok(()) => Some(u128::from_le_bytes(bytes)),
            Err(why) => {
                self.why(why, address);
                None
            }
        }
    }

    /// Reads bytes; where they are missing, says so.
    fn bytes<const N: usize>(&mut self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.record.read(address, &mut bytes) {
            Ok(()) => Some(bytes),
            Err(why) => {
                self.why(why, address);
                None
            }
        }
    }

    fn why(&mut self, why: Why, address: u64) {
        match why {
            Why::NotCaptured => self.put(".."),
            Why::OptimizedOut => self.put("<optimized out>"),
            Why::Unreadable if is_pseudo(address) => self.put("<unreadable>"),
            Why::Unreadable => self.put(format_args!("<unreadable {address:#x}>")),
        }
    }

    fn put(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{text}");
    }

    fn full(&self) -> bool {
        self.out.len() > MAX_TEXT
    }
}

fn is_tuple_field(name: &str) -> bool {
    name.strip_prefix("__")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn sign_extend(bits: u128, size: u64) -> i128 {
    let unused = 128u32.saturating_sub(u32::try_from(size.saturating_mul(8)).unwrap_or(128));
    bits.cast_signed().checked_shl(unused).unwrap_or(0) >> unused.min(127)
}
