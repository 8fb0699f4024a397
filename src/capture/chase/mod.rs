//! Captures what a value leads to: targets of references, text, elements.
//!
//! The walk over the types here and the one of [`render`](super::render) agree on what a depth is. They need not agree
//! on more: what was not captured is shown as left out.

mod collections;
mod extents;
mod maps;

use super::compile::Compiler;
use super::place::Place;
use super::program::{Op, Slot};
use super::views::{self, Field, Form, Part, Show, Spot, Style, Test, View};
use crate::symbols::types::{Implementor, Member, Type, TypeKind, TypeRef, Variant};

/// Concrete types of a trait object that are known to rendering: traits like `Debug` have hundreds.
const MAX_IMPLEMENTORS: usize = 1024;
/// Of these, those whose values' pointers are followed.
const MAX_FOLLOWED: usize = 64;
const STRING: &str = "alloc::string::String";
/// Types that are looked at for all of them, shared equally.
const OBJECT_VISITS: usize = 512;
/// Bytes of a trait object that are captured whatever its type.
const OBJECT_BYTES: u32 = 256;
/// Where a table of methods has the size of its type.
const VTABLE_SIZE: u64 = 8;
/// What the header of a shared trait object (`RcInner`, `ArcInner`) aligns its data to. Where the object's own type has
/// a stricter alignment, the data is elsewhere.
pub(super) const HEADER_ALIGNMENT: u64 = 16;
/// Where a table of methods has the alignment of its type: behind the destructor and the size.
pub(super) const VTABLE_ALIGNMENT: u64 = 16;

/// How far the walk still goes.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// Structs, tuples, variants and sequences within each other.
    pub(super) depth: usize,
    /// Types within types and pointers to pointers, see [`MAX_HOPS`](super::compile::MAX_HOPS).
    pub(super) hops: usize,
}

impl Reach {
    /// Within a container; `None` where that is too deep.
    fn inside(self) -> Option<Self> {
        let depth = self.depth.checked_sub(1)?;
        Some(Self { depth, ..self })
    }

    /// As if the container around were none.
    fn outside(self) -> Option<Self> {
        let depth = self.depth.checked_add(1)?;
        Some(Self { depth, ..self })
    }
}

impl<'s> Compiler<'s> {
    /// Captures what a value at a captured place leads to, within the limits.
    pub(super) fn chase(&mut self, ty: TypeRef, place: &Place<'s>, reach: Reach) {
        if self.barren.contains(&(ty, reach.depth)) {
            return;
        }
        if reach.hops == 0 || self.visits == 0 || self.builder.len() > self.soft {
            self.lost += 1;
            return;
        }
        self.visits -= 1;
        let Ok(found) = self.load(ty) else {
            self.lost += 1;
            return;
        };
        let (mark, length, lost) = (self.builder.mark(), self.builder.len(), self.lost);
        // What no container was gone into for is what the expression names on purpose.
        let named = reach.depth >= self.limits.depth && !self.redaction.is_strict();
        if !named && self.redaction.hides_type(&found.name) {
            return;
        }
        let next = Reach {
            hops: reach.hops - 1,
            ..reach
        };
        if self.chase_into(ty, &found, place, next).is_none() {
            self.lost += 1;
        }
        self.builder.release(mark);
        if self.builder.len() == length && self.lost == lost {
            self.barren.insert((ty, reach.depth));
        }
    }

    /// `None` where something had to be left out.
    fn chase_into(
        &mut self,
        name: TypeRef,
        ty: &Type,
        place: &Place<'s>,
        reach: Reach,
    ) -> Option<()> {
        match &*self.view_of(name)? {
            View::Reference { target } => self.reference(*target, place, reach)?,
            View::Text { data, length } => {
                let data = Spot {
                    pointer: Some(*data),
                    offset: 0,
                };
                self.bytes(place, data, *length)?;
            }
            View::Bytes { data, length, .. } => self.bytes(place, *data, *length)?,
            View::Sequence {
                data,
                length,
                element,
            } => {
                let data = Spot {
                    pointer: Some(*data),
                    offset: 0,
                };
                self.sequence(place, data, *length, *element, reach.inside()?)?;
            }
            View::Run {
                data,
                length,
                element,
            } => self.sequence(place, *data, *length, *element, reach.inside()?)?,
            View::Inner { offset, ty } => self.chase(*ty, &place.at(*offset), reach),
            View::Form(form) => self.form(form, place, reach)?,
            // What holds the payload is not shown, and takes no depth.
            View::Payload => self.plain(ty, place, reach.outside()?)?,
            View::Ring(ring) => self.ring(*ring, place, reach.inside()?)?,
            View::List(list) => self.list(*list, place, reach.inside()?)?,
            View::Small(small) => self.small(*small, place, reach.inside()?)?,
            View::Table(table) => self.table(*table, place, reach.inside()?)?,
            View::Tree(tree) => self.tree(*tree, place, reach.inside()?)?,
            View::Dynamic { data, vtable } => {
                self.object(name, ty, *data, *vtable, place, reach)?;
            }
            View::Address | View::Wide { .. } | View::Code | View::Known { .. } | View::Name => {}
            View::Plain | View::Closure | View::Future => self.plain(ty, place, reach)?,
        }
        Some(())
    }

    /// Loads the types that rendering needs where nothing can be captured.
    fn types_only(&mut self, ty: TypeRef, reach: Reach) {
        let nowhere = Place::Pieces {
            pieces: &[],
            offset: 0,
        };
        self.chase(ty, &nowhere, reach);
    }

    fn reference(&mut self, target: TypeRef, place: &Place<'s>, reach: Reach) -> Option<()> {
        if self.load(target).ok()?.size == 0 {
            // Nothing to capture, but its type is needed.
            self.types_only(target, reach);
            return Some(());
        }
        let spot = Spot {
            pointer: Some(0),
            offset: 0,
        };
        self.value_at(place, spot, target, reach)
    }

    /// Captures a value behind a pointer, and what a value leads to.
    fn value_at(&mut self, place: &Place<'s>, at: Spot, ty: TypeRef, reach: Reach) -> Option<()> {
        match self.at(place, at) {
            Some(there @ Place::Memory { .. }) if at.pointer.is_some() => {
                let there = self.capture_value(&there, ty);
                self.chase(ty, &there, reach);
            }
            Some(there) => self.chase(ty, &there, reach),
            None => {
                self.types_only(ty, reach);
                return None;
            }
        }
        Some(())
    }

    /// The place of a spot; behind a pointer it is memory that was not captured yet.
    fn at(&mut self, place: &Place<'s>, at: Spot) -> Option<Place<'s>> {
        let Some(pointer) = at.pointer else {
            return Some(place.at(at.offset));
        };
        let base = place.at(pointer).load(&mut self.builder, 8).ok()?;
        Some(Place::pointed(base).at(at.offset))
    }

    fn form(&mut self, form: &Form, place: &Place<'s>, reach: Reach) -> Option<()> {
        let reach = match form.style {
            Style::Joined => reach,
            Style::Struct | Style::Open | Style::Tuple => reach.inside()?,
        };
        let mut all = Some(());
        for part in &form.parts {
            let done = self.part(part, place, reach);
            all = all.and(done);
        }
        all
    }

    fn part(&mut self, part: &Part, place: &Place<'s>, reach: Reach) -> Option<()> {
        let (at, ty) = match &part.show {
            Show::Value { at, ty } | Show::Payload { at, ty, .. } => (*at, *ty),
            Show::Bits { field, .. } => {
                self.load(field.ty).ok()?;
                self.numbered(place, *field)?;
                return self.tested(part.when, place);
            }
            Show::Words(_) => return self.tested(part.when, place),
        };
        if self.redaction.hides_name(&part.label) {
            return Some(());
        }
        let mark = self.builder.mark();
        let choose = match part.when {
            None => None,
            // A number that is not looked at as a whole cannot be tested at the hit.
            Some(test) if test.mask != !0 => {
                self.types_only(ty, reach);
                return None;
            }
            Some(Test {
                field, first, last, ..
            }) => {
                let Some(place) = self.numbered(place, field) else {
                    self.types_only(ty, reach);
                    return None;
                };
                let Ok(slot) = place.load(&mut self.builder, field.size) else {
                    self.types_only(ty, reach);
                    return None;
                };
                let ranges = self.builder.ranges([(first, last)])?;
                Some(self.builder.push(Op::Match {
                    slot,
                    ranges,
                    negated: false,
                    otherwise: 0,
                }))
            }
        };
        let before = self.builder.len();
        let done = self.value_at(place, at, ty, reach);
        if let Some(choose) = choose {
            let needed = part
                .when
                .is_some_and(|test| test.field.at.pointer.is_some());
            if self.builder.len() > before || needed {
                self.builder.patch(choose);
            } else {
                self.builder.rewind(mark);
            }
        }
        done
    }

    /// Captures what a test needs.
    fn tested(&mut self, test: Option<Test>, place: &Place<'s>) -> Option<()> {
        match test {
            Some(test) if test.field.at.pointer.is_some() => {
                self.numbered(place, test.field).map(|_| ())
            }
            _ => Some(()),
        }
    }

    /// Where a number is had, after it was captured.
    fn numbered(&mut self, place: &Place<'s>, field: Field) -> Option<Place<'s>> {
        let there = self.at(place, field.at)?;
        Some(match field.at.pointer {
            Some(_) => self.capture_value(&there, field.ty),
            None => there,
        })
    }

    /// Captures what a trait object is, as far as its concrete type is among those that the program has.
    fn object(
        &mut self,
        name: TypeRef,
        ty: &Type,
        data: Spot,
        vtable: u64,
        place: &Place<'s>,
        reach: Reach,
    ) -> Option<()> {
        // Text first: of a trait that everybody has, it is what says nothing where its pointer is not followed.
        let mut implementors = self.loader.implementors(name, &ty.name).to_vec();
        implementors.sort_by_cached_key(|implementor| {
            let text = self.load(implementor.ty).map(|ty| *ty.name == *STRING);
            !text.unwrap_or(false)
        });
        let table = place.at(vtable).load(&mut self.builder, 8).ok();
        let object = self.at(place, data);
        if data.offset > 0 {
            // Rendering has to see it as well.
            let to = self.builder.view()?;
            self.builder.push(Op::Capture {
                to,
                base: table?,
                offset: VTABLE_ALIGNMENT.cast_signed(),
                size: 8,
            });
        }
        let known = implementors.len().min(MAX_IMPLEMENTORS);
        let share = OBJECT_VISITS.checked_div(known).unwrap_or(0).max(4);
        let visits = self.visits;
        let mut ends = Vec::new();
        let followed = table.zip(object.as_ref());
        if let Some((table, Place::Memory { base, offset, .. })) = followed {
            self.object_bytes(table, *base, *offset)?;
        }
        for (index, Implementor { vtable, ty }) in implementors.iter().take(known).enumerate() {
            self.visits = share.min(visits);
            let mark = self.builder.mark();
            let ranges = match followed {
                Some(_) if index < MAX_FOLLOWED => self.builder.ranges([(*vtable, *vtable)]),
                _ => None,
            };
            let (Some((slot, object)), Some(ranges)) = (followed, ranges) else {
                self.types_only(*ty, reach);
                continue;
            };
            let choose = self.builder.push(Op::Match {
                slot,
                ranges,
                negated: false,
                otherwise: 0,
            });
            let captured = self.capture_value(object, *ty);
            self.chase(*ty, &captured, reach);
            ends.push(self.builder.push(Op::Jump { to: 0 }));
            self.builder.patch(choose);
            self.builder.release(mark);
        }
        self.visits = visits.saturating_sub(OBJECT_VISITS.min(share * known));
        for end in ends {
            self.builder.patch(end);
        }
        (implementors.len() <= MAX_FOLLOWED).then_some(())
    }

    /// Captures the first bytes of an object, as many as its table of methods says that it has.
    fn object_bytes(&mut self, table: Slot, object: Slot, offset: i64) -> Option<()> {
        let (one, address, size) = (
            self.builder.constant(1)?,
            self.builder.slot()?,
            self.builder.slot()?,
        );
        let to = self.builder.view()?;
        self.builder.push(Op::Scale {
            to: address,
            base: object,
            index: one,
            stride: offset.cast_unsigned(),
        });
        self.builder.push(Op::Memory {
            to: size,
            base: table,
            offset: VTABLE_SIZE.cast_signed(),
            size: 8,
        });
        self.builder.push(Op::CaptureCounted {
            to,
            base: address,
            count: size,
            stride: 1,
            limit: OBJECT_BYTES.min(self.most()),
        });
        Some(())
    }

    fn plain(&mut self, ty: &Type, place: &Place<'s>, reach: Reach) -> Option<()> {
        match &ty.kind {
            TypeKind::Struct { members, .. } => {
                let reach = reach.inside()?;
                for member in members {
                    if !self.redaction.hides_name(&member.name) {
                        self.chase(member.ty, &place.at(member.offset), reach);
                    }
                }
            }
            TypeKind::Enum {
                discriminant,
                variants,
                ..
            } => {
                self.variants(discriminant.as_ref(), variants, place, reach)?;
            }
            TypeKind::Array { element, count } => {
                self.array(*element, *count, place, reach.inside()?)?
            }
            // Which member of a union is meant is not known, so no pointer in it is followed; but the types are needed.
            TypeKind::Union { members } => {
                let reach = reach.inside()?;
                for member in members {
                    self.types_only(member.ty, reach);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn variants(
        &mut self,
        discriminant: Option<&Member>,
        variants: &[Variant],
        place: &Place<'s>,
        reach: Reach,
    ) -> Option<()> {
        let body = |compiler: &mut Self, variant: &Variant| {
            let before = compiler.builder.len();
            compiler.chase(variant.data.ty, &place.at(variant.data.offset), reach);
            compiler.builder.len() > before
        };
        let (Some(discriminant), [_, _, ..]) = (discriminant, variants) else {
            let loader = &mut self.loader;
            if let Some(only) = views::only_variant(variants, &mut |ty| loader.load(ty).ok()) {
                body(self, only);
            }
            return Some(());
        };
        let at = place.at(discriminant.offset);
        let size = self.load(discriminant.ty).map_or(0, |ty| ty.size);
        let mark = self.builder.mark();
        let Some((slot, guard)) = self.discriminant(&at, size) else {
            // The types of the variants are needed all the same.
            self.builder.rewind(mark);
            for variant in variants {
                self.types_only(variant.data.ty, reach);
            }
            return None;
        };
        let loader = &mut self.loader;
        let variants: Vec<&Variant> = variants
            .iter()
            .filter(|variant| views::is_possible(variant, &mut |ty| loader.load(ty).ok()))
            .collect();
        let (mut ends, mut any) = (Vec::new(), false);
        for variant in &variants {
            let before = self.builder.mark();
            let negated = variant.values.is_empty();
            let ranges: Vec<(u64, u64)> = if negated {
                variants.iter().copied().flat_map(narrow).collect()
            } else {
                narrow(variant).collect()
            };
            let Some(ranges) = self.builder.ranges(ranges) else {
                self.lost += 1;
                break;
            };
            let choose = self.builder.push(Op::Match {
                slot,
                ranges,
                negated,
                otherwise: 0,
            });
            if body(self, variant) {
                any = true;
                ends.push(self.builder.push(Op::Jump { to: 0 }));
                self.builder.patch(choose);
            } else {
                self.builder.rewind(before);
            }
        }
        ends.extend(guard);
        if !any {
            self.builder.rewind(mark);
            return Some(());
        }
        for end in ends {
            self.builder.patch(end);
        }
        Some(())
    }

    /// Loads a discriminant. One of 16 bytes, as an enum with a `u128` has, is a small number in a wide place: the
    /// operation that is returned with it jumps where it is not.
    fn discriminant(&mut self, at: &Place<'s>, size: u64) -> Option<(Slot, Option<usize>)> {
        if size == 16 {
            let high = at.at(8).load(&mut self.builder, 8).ok()?;
            let low = at.load(&mut self.builder, 8).ok()?;
            let ranges = self.builder.ranges([(0, 0)])?;
            let guard = self.builder.push(Op::Match {
                slot: high,
                ranges,
                negated: false,
                otherwise: 0,
            });
            return Some((low, Some(guard)));
        }
        let size = u8::try_from(size)
            .ok()
            .filter(|size| (1..=8).contains(size))?;
        Some((at.load(&mut self.builder, size).ok()?, None))
    }
}

/// A variant's discriminants, as far as 64 bits hold them.
fn narrow(variant: &Variant) -> impl Iterator<Item = (u64, u64)> {
    variant.values.iter().filter_map(|range| {
        let first = u64::try_from(range.first).ok()?;
        Some((first, u64::try_from(range.last).unwrap_or(u64::MAX)))
    })
}
