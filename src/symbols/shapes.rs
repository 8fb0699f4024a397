//! Types, read one level at a time.

use gimli::{AttributeValue, Dwarf, Reader as _, Unit, UnitOffset, constants as dw};

use super::functions::{self, Entry};
use super::module::{Module, Slice};
use super::types::{DiscriminantRange, Member, Type, TypeError, TypeKind, TypeRef, Variant};

/// How many names of other types a name may be made of, where rustc gives none.
const MAX_NESTING: usize = 16;
/// Members, variants and parameters of one type; rustc itself refuses to compile such types.
const MAX_CHILDREN: usize = 1 << 16;

/// The type that a reference names.
///
/// # Errors
///
/// [`TypeError`] where the module is gone, or there is no type that can be read.
pub fn load(modules: &[Option<Module>], reference: TypeRef) -> Result<Type, TypeError> {
    let module = modules
        .get(reference.module as usize)
        .and_then(Option::as_ref);
    let module = module
        .ok_or_else(|| TypeError("the module of this type is no longer loaded".to_owned()))?;
    let dwarf = module.dwarf();
    let damaged = |error: gimli::Error| TypeError(format!("damaged debug information: {error}"));
    let (unit, offset) = module
        .unit_and_entry(&dwarf, reference.entry)
        .map_err(damaged)?;
    Reader {
        module,
        index: reference.module,
        dwarf: &dwarf,
        unit: &unit,
    }
    .read(offset)
    .map_err(damaged)
}

struct Reader<'u, 'a> {
    module: &'a Module,
    index: u32,
    dwarf: &'u Dwarf<Slice<'a>>,
    unit: &'u Unit<Slice<'a>>,
}

/// What the children of a type's entry are.
#[derive(Default)]
struct Children {
    members: Vec<Member>,
    parameters: Vec<(Box<str>, TypeRef)>,
    variants: Option<Variants>,
    enumerators: Vec<(Box<str>, i128)>,
    /// Elements, for an array.
    count: Option<u64>,
}

#[derive(Default)]
struct Variants {
    discriminant: Option<Member>,
    all: Vec<Variant>,
}

impl<'a> Reader<'_, 'a> {
    fn read(&self, offset: UnitOffset) -> gimli::Result<Type> {
        let entry = self.unit.entry(offset)?;
        let name = self.name(offset, &entry, 0)?.into_boxed_str();
        let size = number(&entry, dw::DW_AT_byte_size);
        let unknown = |size, what: &str| (size, TypeKind::Unknown(what.into()));
        let target = self.reference(&entry, dw::DW_AT_type);
        let (size, kind) = match entry.tag() {
            _ if entry.attr(dw::DW_AT_declaration).is_some() => {
                unknown(0, "a type that is only declared here")
            }
            dw::DW_TAG_base_type => {
                let size = size.unwrap_or(0);
                (size, base_kind(&entry, size))
            }
            dw::DW_TAG_pointer_type
            | dw::DW_TAG_reference_type
            | dw::DW_TAG_rvalue_reference_type => match target {
                Some(target) => (size.unwrap_or(8), TypeKind::Pointer { target }),
                None => unknown(size.unwrap_or(8), "a pointer to nothing in particular"),
            },
            dw::DW_TAG_structure_type | dw::DW_TAG_class_type => {
                let Children {
                    members,
                    parameters,
                    variants,
                    ..
                } = self.children(offset, false)?;
                let kind = match variants {
                    Some(Variants {
                        discriminant,
                        all: variants,
                    }) => TypeKind::Enum {
                        discriminant,
                        variants,
                        members,
                        parameters,
                    },
                    None => TypeKind::Struct {
                        members,
                        parameters,
                    },
                };
                (size.unwrap_or(0), kind)
            }
            dw::DW_TAG_union_type => (
                size.unwrap_or(0),
                TypeKind::Union {
                    members: self.children(offset, false)?.members,
                },
            ),
            dw::DW_TAG_enumeration_type => {
                let signed = match target {
                    Some(base) => self.is_signed(base)?,
                    None => false,
                };
                let enumerators = self.children(offset, signed)?.enumerators;
                (
                    size.unwrap_or(0),
                    TypeKind::Enumeration {
                        signed,
                        enumerators,
                    },
                )
            }
            dw::DW_TAG_array_type => match (target, self.children(offset, false)?.count) {
                (Some(element), Some(count)) => {
                    let size = match size {
                        Some(size) => Some(size),
                        None => self.load(self.resolve(element)?)?.size.checked_mul(count),
                    };
                    match size {
                        Some(size) => (size, TypeKind::Array { element, count }),
                        None => unknown(0, "an array that is larger than the memory"),
                    }
                }
                _ => unknown(size.unwrap_or(0), "an array of unknown length"),
            },
            dw::DW_TAG_subroutine_type | dw::DW_TAG_subprogram => (0, TypeKind::Function),
            dw::DW_TAG_typedef
            | dw::DW_TAG_const_type
            | dw::DW_TAG_volatile_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_atomic_type => match target {
                Some(target) => {
                    let ty = self.load(self.resolve(target)?)?;
                    (ty.size, ty.kind)
                }
                None => unknown(0, "void"),
            },
            tag => unknown(size.unwrap_or(0), &format!("an entry with tag {tag}")),
        };
        Ok(Type { name, size, kind })
    }

    /// Loads another type of the same module that is no typedef. This cannot go round in circles: of the types that are
    /// read by way of another, typedefs are resolved before, and arrays have a loop of their own.
    fn load(&self, reference: TypeRef) -> gimli::Result<Type> {
        let (unit, offset) = self.module.unit_and_entry(self.dwarf, reference.entry)?;
        let reader = Reader {
            unit: &unit,
            ..*self
        };
        let entry = unit.entry(offset)?;
        if entry.tag() == dw::DW_TAG_array_type && number(&entry, dw::DW_AT_byte_size).is_none() {
            return reader.nested_array(offset);
        }
        if is_alias(&entry) {
            return Ok(Type {
                name: "".into(),
                size: 0,
                kind: TypeKind::Unknown("a circle of types".into()),
            });
        }
        reader.read(offset)
    }

    /// The size of an array of arrays, by a loop.
    fn nested_array(&self, mut offset: UnitOffset) -> gimli::Result<Type> {
        let mut total = 1u64;
        let unknown = |what: &str| {
            Ok(Type {
                name: "".into(),
                size: 0,
                kind: TypeKind::Unknown(what.into()),
            })
        };
        for _ in 0..MAX_NESTING {
            let entry = self.unit.entry(offset)?;
            let count = match entry.tag() {
                dw::DW_TAG_array_type => self.children(offset, false)?.count,
                _ => number(&entry, dw::DW_AT_byte_size),
            };
            let Some(product) = count.and_then(|count| total.checked_mul(count)) else {
                return unknown("an array");
            };
            total = product;
            if entry.tag() != dw::DW_TAG_array_type {
                return Ok(Type {
                    name: "".into(),
                    size: total,
                    kind: TypeKind::Unknown("an array".into()),
                });
            }
            match entry.attr_value(dw::DW_AT_type) {
                Some(AttributeValue::UnitRef(next)) => offset = next,
                _ => return unknown("an array"),
            }
        }
        unknown("an array")
    }

    /// Follows typedefs and qualifiers to a type.
    fn resolve(&self, mut reference: TypeRef) -> gimli::Result<TypeRef> {
        for _ in 0..MAX_NESTING {
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, reference.entry)?;
            let entry = unit.entry(offset)?;
            match entry
                .attr_value(dw::DW_AT_type)
                .filter(|_| is_alias(&entry))
            {
                Some(value) => match functions::section_offset(&unit, value) {
                    Some(entry) => reference.entry = entry,
                    None => break,
                },
                None => break,
            }
        }
        Ok(reference)
    }

    fn children(&self, offset: UnitOffset, signed: bool) -> gimli::Result<Children> {
        let mut out = Children::default();
        let mut raw = self.unit.entries_raw(Some(offset))?;
        let mut entry = Entry::null();
        raw.read_entry(&mut entry)?;
        let top = entry.depth();
        if !entry.has_children() {
            return Ok(out);
        }
        // What the variant part says of its discriminant, and of the variant that is open.
        let mut discriminant: Option<UnitOffset> = None;
        let mut values: Vec<DiscriminantRange> = Vec::new();
        let mut discriminant_size = 0u64;
        let mut count = 0usize;
        while !raw.is_empty() && raw.next_depth() > top && count < MAX_CHILDREN {
            let (offset, depth) = (raw.next_offset(), raw.next_depth());
            if !raw.read_entry(&mut entry)? {
                continue;
            }
            count += 1;
            let level = depth - top;
            match (level, entry.tag()) {
                (1, dw::DW_TAG_member) => out.members.extend(self.member(&entry)?),
                (1, dw::DW_TAG_template_type_parameter) => {
                    let name = self.text(&entry, dw::DW_AT_name)?;
                    out.parameters
                        .extend(name.zip(self.reference(&entry, dw::DW_AT_type)));
                }
                (1, dw::DW_TAG_enumerator) => {
                    let name = self.text(&entry, dw::DW_AT_name)?;
                    out.enumerators
                        .extend(name.zip(enumerator_value(&entry, signed)));
                }
                (1, dw::DW_TAG_subrange_type) => {
                    let upper = || number(&entry, dw::DW_AT_upper_bound)?.checked_add(1);
                    let these = number(&entry, dw::DW_AT_count).or_else(upper);
                    // A further dimension multiplies; rustc nests arrays instead.
                    out.count = match out.count {
                        None => these,
                        Some(before) => these.and_then(|these| before.checked_mul(these)),
                    };
                }
                (1, dw::DW_TAG_variant_part) => {
                    out.variants = Some(Variants::default());
                    if let Some(AttributeValue::UnitRef(member)) = entry.attr_value(dw::DW_AT_discr)
                    {
                        let member = self.unit.entry(member)?;
                        discriminant = Some(member.offset());
                        let member = self.member(&member)?;
                        if let Some(member) = &member {
                            discriminant_size = self.size_of(member.ty)?;
                        }
                        if let Some(variants) = &mut out.variants {
                            variants.discriminant = member;
                        }
                    }
                    continue;
                }
                (2, dw::DW_TAG_variant) => {
                    values = self.discriminants(&entry, discriminant_size)?;
                    continue;
                }
                (3, dw::DW_TAG_member) if Some(offset) != discriminant => {
                    if let (Some(data), Some(variants)) = (self.member(&entry)?, &mut out.variants)
                    {
                        variants.all.push(Variant {
                            name: data.name.clone(),
                            values: std::mem::take(&mut values),
                            data,
                            line: number(&entry, dw::DW_AT_decl_line),
                            file: file(&entry),
                        });
                    }
                }
                _ => {}
            }
            functions::skip_children(&mut raw, depth)?;
        }
        Ok(out)
    }

    /// A member; `None` for bit fields and for what has no constant offset.
    fn member(&self, entry: &Entry<'a>) -> gimli::Result<Option<Member>> {
        if entry.attr(dw::DW_AT_bit_size).is_some() {
            return Ok(None);
        }
        let offset = match entry.attr(dw::DW_AT_data_member_location) {
            Some(attribute) => attribute.udata_value(),
            None => Some(0),
        };
        let name = self.text(entry, dw::DW_AT_name)?.unwrap_or_default();
        let member = offset.zip(self.reference(entry, dw::DW_AT_type));
        Ok(member.map(|(offset, ty)| Member { name, offset, ty }))
    }

    /// The values that select a variant (DWARF 5 section 5.7.10), as they are in the discriminant's bytes.
    fn discriminants(&self, entry: &Entry<'a>, size: u64) -> gimli::Result<Vec<DiscriminantRange>> {
        let mask = match size {
            1..16 => (1u128 << (size * 8)) - 1,
            _ => u128::MAX,
        };
        if let Some(value) = entry.attr(dw::DW_AT_discr_value) {
            let value = wide_value(value).map(|value| value as u128 & mask);
            return Ok(value
                .map(|value| DiscriminantRange {
                    first: value,
                    last: value,
                })
                .into_iter()
                .collect());
        }
        let mut all = Vec::new();
        if let Some(AttributeValue::Block(mut list)) = entry.attr_value(dw::DW_AT_discr_list) {
            while !list.is_empty() {
                let range = list.read_u8()? == dw::DW_DSC_range.0;
                let first = u128::from(list.read_uleb128()?) & mask;
                let last = if range {
                    u128::from(list.read_uleb128()?) & mask
                } else {
                    first
                };
                all.push(DiscriminantRange { first, last });
            }
        }
        Ok(all)
    }

    /// Whether an enumeration's base type is signed.
    fn is_signed(&self, base: TypeRef) -> gimli::Result<bool> {
        let (unit, offset) = self
            .module
            .unit_and_entry(self.dwarf, self.resolve(base)?.entry)?;
        let encoding = unit.entry(offset)?.attr_value(dw::DW_AT_encoding);
        Ok(matches!(
            encoding,
            Some(AttributeValue::Encoding(
                dw::DW_ATE_signed | dw::DW_ATE_signed_char
            ))
        ))
    }

    /// The size of a discriminant's type, which is an integer's.
    fn size_of(&self, ty: TypeRef) -> gimli::Result<u64> {
        let (unit, offset) = self.module.unit_and_entry(self.dwarf, ty.entry)?;
        Ok(number(&unit.entry(offset)?, dw::DW_AT_byte_size).unwrap_or(8))
    }

    /// The name as users write it. rustc gives the path to what has one by namespaces; names of primitive types,
    /// references and tuples, and generic arguments, are complete.
    fn name(&self, offset: UnitOffset, entry: &Entry<'a>, nesting: usize) -> gimli::Result<String> {
        if let Some(name) = self.text(entry, dw::DW_AT_name)? {
            let functions = self.module.functions(self.dwarf, self.unit)?;
            return Ok(functions.prefix(self.dwarf, self.unit, offset) + &name);
        }
        let target = match self
            .reference(entry, dw::DW_AT_type)
            .filter(|_| nesting < MAX_NESTING)
        {
            Some(target) => {
                let (unit, offset) = self.module.unit_and_entry(self.dwarf, target.entry)?;
                let reader = Reader {
                    unit: &unit,
                    ..*self
                };
                reader.name(offset, &unit.entry(offset)?, nesting + 1)?
            }
            None => "()".to_owned(),
        };
        Ok(match entry.tag() {
            dw::DW_TAG_array_type => match self.children(offset, false)?.count {
                Some(count) => format!("[{target}; {count}]"),
                None => format!("[{target}]"),
            },
            dw::DW_TAG_pointer_type => format!("*const {target}"),
            dw::DW_TAG_subroutine_type => "fn(..)".to_owned(),
            dw::DW_TAG_const_type | dw::DW_TAG_volatile_type => target,
            _ => "{unnamed}".to_owned(),
        })
    }

    fn text(&self, entry: &Entry<'a>, name: gimli::DwAt) -> gimli::Result<Option<Box<str>>> {
        let Some(value) = entry.attr_value(name) else {
            return Ok(None);
        };
        let text = self.dwarf.attr_string(self.unit, value)?;
        Ok(Some(text.to_string_lossy().into_owned().into_boxed_str()))
    }

    fn reference(&self, entry: &Entry<'a>, name: gimli::DwAt) -> Option<TypeRef> {
        let entry = functions::section_offset(self.unit, entry.attr_value(name)?)?;
        Some(TypeRef {
            module: self.index,
            entry,
        })
    }
}

fn is_alias(entry: &Entry<'_>) -> bool {
    matches!(
        entry.tag(),
        dw::DW_TAG_typedef
            | dw::DW_TAG_const_type
            | dw::DW_TAG_volatile_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_atomic_type
    )
}

fn base_kind(entry: &Entry<'_>, size: u64) -> TypeKind {
    match entry.attr_value(dw::DW_AT_encoding) {
        _ if size == 0 => TypeKind::Unit,
        Some(AttributeValue::Encoding(encoding)) => match encoding {
            dw::DW_ATE_unsigned | dw::DW_ATE_unsigned_char => TypeKind::Unsigned,
            dw::DW_ATE_signed | dw::DW_ATE_signed_char => TypeKind::Signed,
            dw::DW_ATE_float => TypeKind::Float,
            dw::DW_ATE_boolean => TypeKind::Bool,
            dw::DW_ATE_UTF => TypeKind::Char,
            other => TypeKind::Unknown(format!("a base type with encoding {other}").into()),
        },
        _ => TypeKind::Unknown("a base type without encoding".into()),
    }
}

fn number(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u64> {
    entry.attr(name)?.udata_value()
}

fn file(entry: &Entry<'_>) -> Option<u64> {
    match entry.attr_value(dw::DW_AT_decl_file)? {
        AttributeValue::FileIndex(index) => Some(index),
        _ => None,
    }
}

/// A constant of up to 16 bytes.
fn wide_value(attribute: &gimli::Attribute<Slice<'_>>) -> Option<i128> {
    match attribute.value() {
        AttributeValue::Block(bytes) => {
            let mut wide = [0; 16];
            wide.get_mut(..bytes.len())?.copy_from_slice(bytes.slice());
            Some(i128::from_le_bytes(wide))
        }
        AttributeValue::Data16(value) => Some(value as i128),
        AttributeValue::Sdata(value) => Some(value.into()),
        _ => attribute.udata_value().map(i128::from),
    }
}

fn enumerator_value(entry: &Entry<'_>, signed: bool) -> Option<i128> {
    let attribute = entry.attr(dw::DW_AT_const_value)?;
    // A form that does not tell the sign is as wide as the value.
    match attribute.value() {
        AttributeValue::Data1(value) if signed => Some((value as i8).into()),
        AttributeValue::Data2(value) if signed => Some((value as i16).into()),
        AttributeValue::Data4(value) if signed => Some((value as i32).into()),
        AttributeValue::Data8(value) if signed => Some((value as i64).into()),
        AttributeValue::Sdata(value) if !signed => Some((value as u64).into()),
        _ => wide_value(attribute),
    }
}
