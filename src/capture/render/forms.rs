//! Types that `Debug` shows in a way of their own, and those that have no `Debug`.

use super::super::chase::{HEADER_ALIGNMENT, VTABLE_ALIGNMENT};
use super::super::redact::REDACTED;
use super::super::views::{Field, Form, Part, Show, Spot, Style, Test, names};
use super::{Level, Renderer};
use crate::symbols::types::{Member, Type, TypeKind, TypeRef, Variant};

/// Whether a part is shown.
enum Shown {
    Yes,
    No,
    /// It cannot be known; this says why.
    Unknown(String),
}

impl Renderer<'_> {
    pub(super) fn form(&mut self, form: &Form, address: u64, level: Level) {
        let (open, close) = match form.style {
            Style::Joined => {
                for part in &form.parts {
                    let from = self.out.len();
                    if self.shown_part(part, address, level) {
                        self.out.insert_str(from, &part.label);
                    }
                }
                return;
            }
            Style::Struct => (" { ", " }"),
            Style::Open => (" { ", ", .. }"),
            Style::Tuple => ("(", ")"),
        };
        self.put(&form.name);
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put(if form.style == Style::Tuple {
                "(..)"
            } else {
                " { .. }"
            });
        };
        self.put(open);
        let mut first = true;
        for part in &form.parts {
            let from = self.out.len();
            if !self.shown_part(part, address, level.within(depth)) {
                continue;
            }
            let separator = if first { "" } else { ", " };
            let label = match form.style {
                Style::Tuple => separator.to_owned(),
                _ => format!("{separator}{}: ", part.label),
            };
            self.out.insert_str(from, &label);
            first = false;
        }
        self.put(close);
    }

    /// Shows a part; `false` where there is nothing to show.
    fn shown_part(&mut self, part: &Part, address: u64, level: Level) -> bool {
        match part
            .when
            .map_or(Shown::Yes, |test| self.holds(test, address))
        {
            Shown::Yes => {}
            Shown::No => {
                self.put(&part.otherwise);
                return !part.otherwise.is_empty();
            }
            Shown::Unknown(why) => {
                self.put(why);
                return true;
            }
        }
        if self.compiled.redaction.hides_name(&part.label) {
            self.put(REDACTED);
            return true;
        }
        match &part.show {
            Show::Words(text) => self.put(text),
            Show::Value { at, ty } => {
                if let Some(at) = self.at(address, *at) {
                    self.value(*ty, at, level);
                }
            }
            Show::Payload { at, ty, variant } => {
                if let Some(at) = self.at(address, *at) {
                    self.variant_payload(*ty, variant, &part.otherwise, at, level);
                }
            }
            Show::Bits { field, mask, shift } => {
                if let Some(bits) = self.field(*field, address) {
                    let bits = bits & u128::from(*mask);
                    self.put(bits.checked_shr(u32::from(*shift)).unwrap_or(0));
                }
            }
        }
        true
    }

    fn holds(&mut self, test: Test, address: u64) -> Shown {
        let from = self.out.len();
        // A `Weak` that was never given a value points to the end of memory.
        if let Some(pointer) = test.field.at.pointer
            && self.number(address.wrapping_add(pointer)) == Some(u64::MAX)
        {
            return Shown::No;
        }
        self.out.truncate(from);
        let Some(bits) = self.field(test.field, address) else {
            return Shown::Unknown(self.out.split_off(from));
        };
        let bits = bits & u128::from(test.mask);
        if (u128::from(test.first)..=u128::from(test.last)).contains(&bits) {
            Shown::Yes
        } else {
            Shown::No
        }
    }

    /// A number; where it is not there, says so.
    pub(super) fn field(&mut self, field: Field, address: u64) -> Option<u128> {
        let at = self.at(address, field.at)?;
        self.unsigned(field.size.into(), at)
    }

    /// An enum as what its variant holds.
    pub(super) fn payload(&mut self, ty: &Type, address: u64, level: Level) {
        let TypeKind::Enum {
            discriminant,
            variants,
            ..
        } = &ty.kind
        else {
            return;
        };
        let Some(chosen) = self.chosen(discriminant.as_ref(), variants, address) else {
            return;
        };
        self.only_member(&chosen.data, address, level);
    }

    fn variant_payload(
        &mut self,
        ty: TypeRef,
        variant: &str,
        otherwise: &str,
        address: u64,
        level: Level,
    ) {
        let found = self.compiled.types.get(ty);
        let Some(TypeKind::Enum {
            discriminant,
            variants,
            ..
        }) = found.as_deref().map(|ty| &ty.kind)
        else {
            return self.put("..");
        };
        match self.chosen(discriminant.as_ref(), variants, address) {
            Some(chosen) if *chosen.name == *variant => {
                self.only_member(&chosen.data, address, level);
            }
            Some(_) => self.put(otherwise),
            None => {}
        }
    }

    /// The one value that a variant's struct holds.
    fn only_member(&mut self, data: &Member, address: u64, level: Level) {
        let found = self.compiled.types.get(data.ty);
        match found.as_deref().map(|ty| &ty.kind) {
            Some(TypeKind::Struct { members, .. }) if members.len() == 1 => {
                if let [member] = members.as_slice() {
                    let at = address
                        .wrapping_add(data.offset)
                        .wrapping_add(member.offset);
                    self.value(member.ty, at, level);
                }
            }
            _ => self.put(".."),
        }
    }

    /// A pointer to a function, by the function's name.
    pub(super) fn function(&mut self, address: u64) {
        let Some(pointer) = self.number(address) else {
            return;
        };
        match self.names.function(pointer) {
            Some(name) => self.put(format_args!("<fn {name}>")),
            None => self.put(format_args!("{pointer:#x}")),
        }
    }

    /// A trait object, as the value of its concrete type.
    pub(super) fn object(
        &mut self,
        name: TypeRef,
        ty: &Type,
        data: Spot,
        vtable: u64,
        address: u64,
        level: Level,
    ) {
        let Some(object) = self.at(address, data) else {
            return;
        };
        let Some(table) = self.number(address.wrapping_add(vtable)) else {
            return;
        };
        let concrete = self
            .compiled
            .types
            .implementor(name, table)
            .filter(|concrete| self.compiled.types.get(*concrete).is_some());
        match concrete {
            Some(concrete) if data.offset == 0 || self.is_aligned_as_the_header(table) => {
                // No expression names the type that is behind it.
                let level = Level {
                    named: false,
                    ..level
                };
                self.value(concrete, object, level);
            }
            _ => self.put(format_args!(
                "<{} at {object:#x}>",
                names::without_defaults(&ty.name)
            )),
        }
    }

    fn is_aligned_as_the_header(&self, vtable: u64) -> bool {
        let mut alignment = [0; 8];
        let at = vtable.wrapping_add(VTABLE_ALIGNMENT);
        self.record.read(at, &mut alignment).is_ok()
            && u64::from_le_bytes(alignment) <= HEADER_ALIGNMENT
    }

    /// A closure, as what it captured: `{closure#0} { total: 3, order.id: 7 }`.
    pub(super) fn closure(&mut self, ty: &Type, address: u64, level: Level) {
        let TypeKind::Struct { members, .. } = &ty.kind else {
            return;
        };
        self.put(names::without_env(&ty.name));
        if members.is_empty() {
            return;
        }
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put(" { .. }");
        };
        self.put(" { ");
        self.captures(members, "", address, level.within(depth));
        self.put(" }");
    }

    /// Members by the names that the source has for them, after what stands before the first.
    fn captures(&mut self, members: &[Member], mut before: &str, address: u64, level: Level) {
        for member in members {
            let name = names::captured(&member.name);
            self.put(format_args!("{before}{name}: "));
            before = ", ";
            if self.compiled.redaction.hides_name(&name) {
                self.put(REDACTED);
            } else if self.full() {
                return self.put("..");
            } else {
                self.value(member.ty, address.wrapping_add(member.offset), level);
            }
        }
    }

    /// The arguments of an `async` function where it got them: its body moves each into a variable of its own at first, and
    /// what is left stays listed in all states.
    fn moved_arguments(&self, name: &str, variants: &[Variant]) -> Vec<Member> {
        let mut states = variants.iter();
        let first = states.find_map(|variant| {
            let data = self.compiled.types.get(variant.data.ty)?;
            (names::short_name(&data.name) == "Unresumed").then_some(data)
        });
        match first.as_deref().map(|data| &data.kind) {
            Some(TypeKind::Struct { members, .. })
                if names::short_name(name).starts_with("{async_fn_env") =>
            {
                members.clone()
            }
            _ => Vec::new(),
        }
    }

    /// The state of an `async` function or block: `{async fn shop::pay} { awaiting at line 12, order: 7 }`.
    pub(super) fn future(&mut self, ty: &Type, address: u64, level: Level) {
        let TypeKind::Enum {
            discriminant,
            variants,
            ..
        } = &ty.kind
        else {
            return;
        };
        self.put(names::future(&ty.name));
        let Some(depth) = level.depth.checked_sub(1) else {
            return self.put(" { .. }");
        };
        self.put(" { ");
        if let Some(chosen) = self.chosen(discriminant.as_ref(), variants, address) {
            let data = self.compiled.types.get(chosen.data.ty);
            let state = data
                .as_deref()
                .map_or("", |data| names::short_name(&data.name));
            match (state, chosen.line) {
                ("Unresumed", _) => self.put("not started"),
                ("Returned", _) => self.put("done"),
                ("Panicked", _) => self.put("panicked"),
                (_, Some(line)) => self.put(format_args!("awaiting at line {line}")),
                (_, None) => self.put("awaiting"),
            }
            let members = match data.as_deref().map(|data| &data.kind) {
                Some(TypeKind::Struct { members, .. })
                    if !matches!(state, "Returned" | "Panicked") =>
                {
                    members.as_slice()
                }
                _ => &[],
            };
            let moved = match state {
                "Unresumed" => Vec::new(),
                _ => self.moved_arguments(&ty.name, variants),
            };
            // What is awaited, and the compiler's own temporaries, are no variables of the source.
            let mut own: Vec<Member> = Vec::new();
            for member in members {
                let known = own
                    .iter()
                    .chain(&moved)
                    .any(|other| (&other.name, other.offset) == (&member.name, member.offset));
                if !member.name.starts_with("__") && !known {
                    own.push(member.clone());
                }
            }
            let at = address.wrapping_add(chosen.data.offset);
            self.captures(&own, ", ", at, level.within(depth));
        }
        self.put(" }");
    }
}
