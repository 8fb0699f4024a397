//! Variants: which one a value is, what is in it, and whether it matches a pattern.

use super::methods::of_a_lock;
use super::operators::{bits, no_operator};
use super::{CHECKED, Item, Typing, kind_of, literal_item, size};
use crate::capture::error::{CompileError, hint};
use crate::capture::expr::{Literal, Pattern, TuplePattern};
use crate::capture::number::{Binary, Kind, Number, Unary};
use crate::capture::typed::{Comparison, Node, Path, Refusal, Step, Want};
use crate::capture::views::{self, short_name};
use crate::symbols::types::{Member, Type, TypeKind, Variant};

/// A variant of a value.
pub(super) struct Chosen {
    /// Whether the value is of this variant.
    pub(super) test: Node,
    /// What is in it.
    pub(super) data: Path,
    /// Its fields.
    pub(super) members: Vec<Member>,
}

impl Typing<'_, '_> {
    /// The variant of that name of a value that is an enum with data; `None` where the value is something else.
    ///
    /// `refusal` is what to say where it is unwrapped and is another variant.
    pub(super) fn variant(
        &mut self,
        path: &Path,
        name: &str,
        refusal: Refusal,
    ) -> Result<Option<Chosen>, CompileError> {
        let found = self.load(path.ty)?;
        let TypeKind::Enum {
            discriminant,
            variants,
            ..
        } = &found.kind
        else {
            return Ok(None);
        };
        let Some(variant) = variants.iter().find(|variant| *variant.name == *name) else {
            return Err(no_variant(&found, name));
        };
        let members = match &self.load(variant.data.ty)?.kind {
            TypeKind::Struct { members, .. } => members.clone(),
            _ => Vec::new(),
        };
        let at = Step::At(variant.data.offset);
        let (test, step) = match self.decided(variants, variant) {
            Some(yes) => {
                let never_or_always = u64::from(!yes);
                let step = Step::Variant {
                    discriminant: None,
                    ranges: vec![(never_or_always, never_or_always)],
                    negated: false,
                    refusal,
                    optional: false,
                };
                (Node::Number(Number::boolean(yes)), step)
            }
            None => {
                let Some(discriminant) = discriminant else {
                    return Err(CompileError::Unsupported {
                        what: format!("asking for a variant of `{}`", found.name),
                        why: "its debug information does not tell them apart",
                    });
                };
                self.told_apart(path, (&found, discriminant, variants), variant, refusal)?
            }
        };
        Ok(Some(Chosen {
            test,
            data: path.clone().then(step, path.ty).then(at, variant.data.ty),
            members,
        }))
    }

    /// Whether a value is of the variant, where that is known without a look at the value: only one has values.
    fn decided(&mut self, variants: &[Variant], variant: &Variant) -> Option<bool> {
        let mut others = variants.iter().filter(|it| it.name != variant.name);
        match (
            self.is_possible(variant),
            others.any(|it| self.is_possible(it)),
        ) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            // All of them are alike, as far as types were looked at.
            _ if variants.len() == 1 => Some(true),
            _ => None,
        }
    }

    fn is_possible(&mut self, variant: &Variant) -> bool {
        let loader = &mut *self.loader;
        views::is_possible(variant, &mut |ty| loader.load(ty).ok())
    }

    /// How the discriminant tells a variant from the others.
    fn told_apart(
        &mut self,
        path: &Path,
        (ty, discriminant, variants): (&Type, &Member, &[Variant]),
        variant: &Variant,
        refusal: Refusal,
    ) -> Result<(Node, Step), CompileError> {
        let size = self.load(discriminant.ty)?.size;
        let too_wide = || CompileError::Unsupported {
            what: format!("asking for a variant of `{}`", ty.name),
            why: "its discriminant has more than 64 bits",
        };
        let bits = bits(size).filter(|bits| *bits <= 64).ok_or_else(too_wide)?;
        let negated = variant.values.is_empty();
        let ranges = |variant: &Variant| {
            let values = variant.values.iter();
            values
                .map(|range| (range.first, range.last))
                .collect::<Vec<_>>()
        };
        let ranges: Vec<(u128, u128)> = if negated {
            let others = variants.iter().filter(|it| self.is_possible(it));
            others.flat_map(ranges).collect()
        } else {
            ranges(variant)
        };
        let kind = Kind::unsigned(bits);
        let number = path
            .clone()
            .then(Step::At(discriminant.offset), discriminant.ty);
        let number = Node::Load(self.operand(number, Want::Number(kind)), kind);
        let narrow = |(first, last): &(u128, u128)| {
            let first = u64::try_from(*first).ok()?;
            Some((first, u64::try_from(*last).unwrap_or(u64::MAX)))
        };
        let step = Step::Variant {
            discriminant: Some((discriminant.offset, bits / 8)),
            ranges: ranges.iter().filter_map(narrow).collect(),
            negated,
            refusal,
            optional: false,
        };
        Ok((Node::Within(Box::new(number), ranges, negated), step))
    }

    /// The one value in a variant like `Some`.
    pub(super) fn payload(
        &mut self,
        path: &Path,
        name: &str,
        refusal: Refusal,
    ) -> Result<Option<(Node, Path)>, CompileError> {
        let Some(chosen) = self.variant(path, name, refusal)? else {
            return Ok(None);
        };
        match chosen.members.as_slice() {
            [only] => Ok(Some((
                chosen.test,
                chosen.data.then(Step::At(only.offset), only.ty),
            ))),
            _ => Ok(None),
        }
    }

    /// Whether a value is what a pattern describes.
    pub(super) fn pattern(&mut self, item: &Item, pattern: &Pattern) -> Result<Node, CompileError> {
        self.count(size::of_item(item));
        self.bounded()?;
        match (pattern, item) {
            (Pattern::Any, _) => Ok(always()),
            (Pattern::Binding(name), _) => Ok(self.bind(name, item)),
            (Pattern::Or(cases), _) => {
                let around = self.bound.len();
                let mut cases = cases.iter();
                let mut node = match cases.next() {
                    Some(first) => self.pattern(item, first)?,
                    None => return Ok(always()),
                };
                for case in cases {
                    let next = self.pattern(item, case)?;
                    node = Node::Or(Box::new(node), Box::new(next));
                }
                for (_, bound) in self.bound.iter_mut().skip(around) {
                    *bound = None;
                }
                Ok(node)
            }
            (Pattern::Literal(literal), _) => self.is_literal(Binary::Eq, item, literal),
            (Pattern::Range(first, last, inclusive), _) => {
                let least = first
                    .as_ref()
                    .map(|first| self.is_literal(Binary::Ge, item, first));
                let op = if *inclusive { Binary::Le } else { Binary::Lt };
                let most = last.as_ref().map(|last| self.is_literal(op, item, last));
                Ok(match (least.transpose()?, most.transpose()?) {
                    (Some(least), Some(most)) => both(least, most),
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => always(),
                })
            }
            (_, Item::Guarded(_)) => Err(of_a_lock("a pattern")),
            (_, Item::Place(path)) => {
                let path = self.auto_deref(path.clone())?;
                self.place_pattern(path, pattern)
            }
            (Pattern::Path(name), _) if is_variable(name) => Ok(self.bind(&name.concat(), item)),
            (_, Item::Optional(path)) => match pattern {
                Pattern::Path(path_) if is(path_, "None") => {
                    let operand = self.operand(path.clone(), Want::Value);
                    Ok(not(Node::Present(operand)))
                }
                Pattern::Tuple(name, fields) if is(name, "Some") => {
                    let operand = self.operand(path.clone(), Want::Value);
                    let inner = Item::Place(path.clone().optional(false));
                    let node = self.only_field(&inner, fields)?;
                    Ok(both(Node::Present(operand), node))
                }
                _ => Err(no_option_pattern()),
            },
            (_, Item::Checked(node, kind)) => match pattern {
                Pattern::Path(path) if is(path, "None") => {
                    Ok(not(Node::Fits(Box::new(node.clone()))))
                }
                Pattern::Tuple(name, fields) if is(name, "Some") => {
                    let inner = Item::Number(node.clone(), *kind);
                    let inner = self.only_field(&inner, fields)?;
                    Ok(both(Node::Fits(Box::new(node.clone())), inner))
                }
                _ => Err(no_option_pattern()),
            },
            (_, other) => Err(CompileError::Unsupported {
                what: format!("this pattern for `{}`", self.name_of(other)),
                why: "write a literal or a range",
            }),
        }
    }

    /// Has a guard know what a name of the pattern stands for. It binds whatever is there.
    fn bind(&mut self, name: &str, item: &Item) -> Node {
        self.bound.push((name.to_owned(), Some(item.clone())));
        always()
    }

    fn only_field(&mut self, inner: &Item, fields: &TuplePattern) -> Result<Node, CompileError> {
        let last = fields.last.as_deref();
        match (fields.first.as_slice(), last.unwrap_or_default()) {
            ([only], []) | ([], [only]) => self.pattern(inner, only),
            ([], []) if last.is_some() => Ok(always()),
            _ => Err(no_option_pattern()),
        }
    }

    fn place_pattern(&mut self, path: Path, pattern: &Pattern) -> Result<Node, CompileError> {
        let found = self.load(path.ty)?;
        match (&found.kind, pattern) {
            (kind, Pattern::Path(name)) if is_variable(name) && !has_variant(kind, name) => {
                Ok(self.bind(&name.concat(), &Item::Place(path)))
            }
            (TypeKind::Enum { .. }, Pattern::Path(name)) => {
                let name = self.variant_name(&found, name)?;
                Ok(match self.variant(&path, &name, Refusal::None)? {
                    Some(chosen) => chosen.test,
                    None => always(),
                })
            }
            (TypeKind::Enum { .. }, Pattern::Tuple(name, fields)) => {
                let name = self.variant_name(&found, name)?;
                let Some(chosen) = self.variant(&path, &name, Refusal::None)? else {
                    return Ok(always());
                };
                let inner = self.tuple(&chosen.data, &chosen.members, fields, &found)?;
                Ok(both(chosen.test, inner))
            }
            (TypeKind::Enum { .. }, Pattern::Struct(name, fields)) => {
                let name = self.variant_name(&found, name)?;
                let Some(chosen) = self.variant(&path, &name, Refusal::None)? else {
                    return Ok(always());
                };
                let inner = self.fields(&chosen.data, fields)?;
                Ok(both(chosen.test, inner))
            }
            (TypeKind::Enumeration { .. }, Pattern::Path(name)) => {
                let name = self.variant_name(&found, name)?;
                self.enumerator(&path, &found, &name)
            }
            (TypeKind::Struct { members, .. }, Pattern::Tuple(_, fields)) => {
                self.tuple(&path, members, fields, &found)
            }
            (TypeKind::Struct { .. }, Pattern::Struct(_, fields)) => self.fields(&path, fields),
            (TypeKind::Struct { members, .. }, Pattern::Path(name))
                if members.is_empty() && is(name, short_name(&found.name)) =>
            {
                Ok(always())
            }
            (_, Pattern::Path(name)) => Err(CompileError::Unsupported {
                what: format!("`{}` in a pattern", name.join("::")),
                why: "a constant leaves nothing in the program that could be compared with; write its value",
            }),
            _ => Err(CompileError::Unsupported {
                what: format!("this pattern for `{}`", found.name),
                why: "a value of this type does not look like that",
            }),
        }
    }

    fn tuple(
        &mut self,
        data: &Path,
        members: &[Member],
        fields: &TuplePattern,
        ty: &Type,
    ) -> Result<Node, CompileError> {
        let last = fields.last.as_deref().unwrap_or_default();
        let given = fields.first.len() + last.len();
        let fits = match fields.last {
            Some(_) => given <= members.len(),
            None => given == members.len(),
        };
        if !fits {
            return Err(CompileError::Arguments {
                what: format!("the pattern for `{}`", ty.name),
                wanted: members.len(),
                found: given,
            });
        }
        let front = members.iter().zip(&fields.first);
        let back = members.iter().skip(members.len() - last.len()).zip(last);
        let mut node = always();
        for (member, pattern) in front.chain(back) {
            if !matches!(pattern, Pattern::Any) {
                self.refuse_second(members, member)?;
            }
            let field = Item::Place(data.clone().then(Step::At(member.offset), member.ty));
            node = both(node, self.pattern(&field, pattern)?);
        }
        Ok(node)
    }

    fn fields(&mut self, data: &Path, fields: &[(String, Pattern)]) -> Result<Node, CompileError> {
        let mut node = always();
        for (name, pattern) in fields {
            let field = Item::Place(self.field(data.clone(), name)?);
            node = both(node, self.pattern(&field, pattern)?);
        }
        Ok(node)
    }

    fn is_literal(
        &mut self,
        op: Binary,
        item: &Item,
        literal: &Literal,
    ) -> Result<Node, CompileError> {
        let literal = literal_item(literal)?;
        if let (Some(x), Some(y)) = (self.text(item)?, self.text(&literal)?) {
            let order = Comparison::Order(op);
            return Ok(Node::Compare(order, Box::new(x), Box::new(y)));
        }
        let (x, y, kind) = self.alike(op, item.clone(), literal)?;
        match self.combined(op, CHECKED, x, y, kind)? {
            Item::Number(node, _) => Ok(node),
            other => Err(no_operator("==", &self.name_of(&other))),
        }
    }

    pub(super) fn enumerator(
        &mut self,
        path: &Path,
        ty: &Type,
        name: &str,
    ) -> Result<Node, CompileError> {
        let TypeKind::Enumeration {
            signed,
            enumerators,
        } = &ty.kind
        else {
            return Err(no_variant(ty, name));
        };
        let value = enumerators.iter().find(|(known, _)| **known == *name);
        let (Some((_, value)), Some(bits)) = (value, bits(ty.size)) else {
            return Err(no_variant(ty, name));
        };
        let kind = Kind::Integer {
            signed: *signed,
            bits,
        };
        let number = Number::new(kind, value.cast_unsigned());
        let load = Node::Load(self.operand(path.clone(), Want::Number(kind)), kind);
        Ok(Node::Binary(
            Binary::Eq,
            CHECKED,
            Box::new(load),
            Box::new(Node::Number(number)),
        ))
    }

    /// The variant that a path names, if it can be one of this type: `Buy`, `Side::Buy`, `Self::Buy`.
    pub(super) fn variant_name(
        &mut self,
        ty: &Type,
        path: &[String],
    ) -> Result<String, CompileError> {
        let short = short_name(&ty.name);
        match path {
            [name] => Ok(name.clone()),
            [.., owner, name] if owner == short || owner == "Self" => Ok(name.clone()),
            _ => Err(CompileError::Mismatched {
                operator: "==".into(),
                left: ty.name.to_string(),
                right: path.join("::"),
            }),
        }
    }
}

/// Whether a path is a name as variables have it. What is written otherwise is a variant or a constant.
fn is_variable(path: &[String]) -> bool {
    let [name] = path else { return false };
    let first = name.trim_start_matches('_').chars().next();
    first.is_some_and(|first| !first.is_uppercase())
}

fn has_variant(kind: &TypeKind, path: &[String]) -> bool {
    match kind {
        TypeKind::Enum { variants, .. } => variants.iter().any(|known| is(path, &known.name)),
        TypeKind::Enumeration { enumerators, .. } => {
            enumerators.iter().any(|(known, _)| is(path, known))
        }
        _ => false,
    }
}

/// Whether a path ends in that name.
fn is(path: &[String], variant: &str) -> bool {
    path.last().is_some_and(|last| last == variant)
}

pub(super) fn not(node: Node) -> Node {
    Node::Unary(Unary::Not, CHECKED, Box::new(node))
}

fn always() -> Node {
    Node::Number(Number::boolean(true))
}

/// Both, where neither is known.
pub(super) fn both(left: Node, right: Node) -> Node {
    if left == always() {
        right
    } else if right == always() {
        left
    } else {
        Node::And(Box::new(left), Box::new(right))
    }
}

fn no_option_pattern() -> CompileError {
    CompileError::Unsupported {
        what: "this pattern for an `Option`".into(),
        why: "write `Some(..)` or `None`",
    }
}

fn no_variant(ty: &Type, name: &str) -> CompileError {
    let names: Vec<&str> = match &ty.kind {
        TypeKind::Enum { variants, .. } => variants.iter().map(|variant| &*variant.name).collect(),
        TypeKind::Enumeration { enumerators, .. } => {
            enumerators.iter().map(|(name, _)| &**name).collect()
        }
        _ => Vec::new(),
    };
    CompileError::NoVariant {
        variant: name.into(),
        ty: ty.name.to_string(),
        hint: hint(name, names.into_iter()),
    }
}

/// The primitive type of a value at the end of a path.
impl Typing<'_, '_> {
    pub(super) fn kind_at(&mut self, path: &Path) -> Result<Option<Kind>, CompileError> {
        Ok(kind_of(&*self.load(path.ty)?))
    }
}
