//! What the environment of a coroutine or closure holds, and which of a function's variables a line means.
//!
//! rustc keeps the locals of an `async` function that live across an `await` in the coroutine's state, from their
//! initialization to their end: there is no other place. LLVM forgets that they are there. The type of the state says it
//! still:
//!
//! 1. `Unresumed` has what the coroutine captured: the arguments of an `async fn`, the variables of a block.
//! 2. Each `SuspendN` has the locals that are alive while its `await` waits, then the captures again. A local has the
//!    same offset in all of them; different locals may share bytes if they are never alive at once.
//! 3. A capture by reference is called `_ref__name`, and holds a pointer. Arguments are moved into locals of the same
//!    name first.
//!
//! Which local a name means at a line is told by the function's blocks. Each `let` opens one, so a variable whose block is
//! in another's was declared in its scope. Blocks have no lines of their own: one has certainly ended where something
//! was declared outside of it, further down but not below the line.

use std::collections::BTreeSet;
use std::ops::Range;

use super::module::Module;
use super::shapes;
use super::types::{Member, TypeKind, TypeRef};

/// Where a coroutine keeps its locals, or a closure its captures.
#[derive(Debug, Default)]
pub struct Environment {
    /// Where the coroutine's state is; `None` for a closure.
    pub state: Option<u64>,
    /// What has a name.
    pub fields: Vec<Field>,
}

/// A variable in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the source.
    pub name: Box<str>,
    /// The type of what is there.
    pub ty: TypeRef,
    /// Its first byte.
    pub offset: u64,
    /// How many bytes there are.
    pub size: u64,
    /// Whether it was captured.
    pub captured: bool,
    /// Whether there is a pointer to the variable instead.
    pub by_reference: bool,
    /// The states in which it is alive.
    pub saved: BTreeSet<u64>,
    /// Whether its bytes are another local's at other times.
    pub shared: bool,
}

impl Field {
    fn bytes(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.size)
    }
}

impl Environment {
    /// Reads the type of an environment; `None` for any other.
    pub fn read(modules: &[Option<Module>], ty: TypeRef) -> Option<Self> {
        let found = shapes::load(modules, ty).ok()?;
        let name = found.name.rsplit("::").next().unwrap_or_default();
        if !name.contains("_env#") {
            return None;
        }
        let size = |ty| shapes::load(modules, ty).map_or(0, |ty| ty.size);
        match found.kind {
            TypeKind::Struct { members, .. } => {
                let fields = members
                    .iter()
                    .map(|member| capture(member, 0, size(member.ty)));
                Some(Self {
                    state: None,
                    fields: fields.collect(),
                })
            }
            TypeKind::Enum {
                discriminant,
                variants,
                ..
            } => {
                let mut environment = Self {
                    state: Some(discriminant?.offset),
                    fields: Vec::new(),
                };
                let mut captured: Vec<Field> = Vec::new();
                for variant in &variants {
                    let data = shapes::load(modules, variant.data.ty).ok()?;
                    let TypeKind::Struct { members, .. } = data.kind else {
                        return None;
                    };
                    let [state] = variant.values.as_slice() else {
                        return None;
                    };
                    let state = u64::try_from(state.first).ok()?;
                    let variant_name = data.name.rsplit("::").next().unwrap_or_default();
                    let suspended = variant_name.starts_with("Suspend");
                    let fields = members
                        .iter()
                        .map(|member| capture(member, variant.data.offset, size(member.ty)));
                    if variant_name == "Unresumed" {
                        captured = fields.collect();
                    } else if suspended {
                        let locals = members.len().checked_sub(captured.len())?;
                        for (index, field) in fields.enumerate() {
                            environment.add(field, index >= locals, state);
                        }
                    }
                }
                environment.mark_shared(&captured);
                Some(environment)
            }
            _ => None,
        }
    }

    fn add(&mut self, mut field: Field, captured: bool, state: u64) {
        let known = self.fields.iter_mut().find(|known| {
            known.name == field.name && known.offset == field.offset && known.ty == field.ty
        });
        match known {
            // An argument that was moved into a local is listed as a capture as well, alive or not.
            Some(known) if captured && !known.captured => {}
            Some(known) => {
                known.saved.insert(state);
            }
            None => {
                field.captured = captured;
                field.by_reference &= captured;
                field.saved.insert(state);
                self.fields.push(field);
            }
        }
    }

    /// Marks the fields whose bytes are another's at times, one of those that were captured before the start included.
    fn mark_shared(&mut self, captured: &[Field]) {
        let all: Vec<(Box<str>, Range<u64>)> = self
            .fields
            .iter()
            .chain(captured)
            .map(|field| (field.name.clone(), field.bytes()))
            .collect();
        for field in &mut self.fields {
            let bytes = field.bytes();
            field.shared = all.iter().any(|(name, other)| {
                let same = *name == field.name && *other == bytes;
                !same && other.start < bytes.end && bytes.start < other.end
            });
        }
    }

    /// The only field that a variable can be.
    pub fn field(&self, declared: &Declared, captured: bool) -> Option<&Field> {
        let mut fields = self.fields.iter().filter(|field| {
            field.name == declared.name
                && field.captured == captured
                && (field.by_reference || field.ty == declared.ty)
        });
        fields.next().filter(|_| fields.next().is_none())
    }
}

fn capture(member: &Member, base: u64, size: u64) -> Field {
    let name = member.name.strip_prefix("_ref__");
    Field {
        name: name.unwrap_or(&member.name).into(),
        ty: member.ty,
        offset: base.saturating_add(member.offset),
        size,
        captured: true,
        by_reference: name.is_some(),
        saved: BTreeSet::new(),
        shared: false,
    }
}

/// The variables that a function declares, block by block.
#[derive(Debug, Default)]
pub struct Tree {
    /// The block that each is in; the first is the function itself.
    pub parents: Vec<usize>,
    /// All variables, in the order of the debug information.
    pub declared: Vec<Declared>,
}

/// A variable that a function declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub ty: TypeRef,
    /// The line of its declaration.
    pub line: u64,
    /// Its block.
    pub block: usize,
}

impl Tree {
    /// The variables that names can mean at a line: for each name the innermost that may be visible there, if the names in
    /// between have ended.
    pub fn visible(&self, line: u64) -> Vec<&Declared> {
        let mut visible: Vec<&Declared> = Vec::new();
        let mut alive: Vec<&Declared> = self
            .declared
            .iter()
            .filter(|declared| declared.line < line && !self.has_ended(declared, line))
            .collect();
        alive
            .sort_by_key(|declared| std::cmp::Reverse((self.depth(declared.block), declared.line)));
        for declared in alive {
            if visible.iter().all(|other| other.name != declared.name) {
                visible.push(declared);
            }
        }
        visible
    }

    fn has_ended(&self, declared: &Declared, line: u64) -> bool {
        self.declared.iter().any(|other| {
            declared.line < other.line
                && other.line <= line
                && !self.is_inside(other.block, declared.block)
        })
    }

    /// Whether a block is another one, or in it.
    pub fn is_inside(&self, mut block: usize, outer: usize) -> bool {
        while block != outer {
            match self.parents.get(block) {
                // Blocks come after those that they are in.
                Some(&parent) if parent < block => block = parent,
                _ => return false,
            }
        }
        true
    }

    fn depth(&self, mut block: usize) -> usize {
        let mut depth = 0;
        while let Some(&parent) = self.parents.get(block).filter(|parent| **parent < block) {
            (block, depth) = (parent, depth + 1);
        }
        depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: TypeRef = TypeRef {
        module: 0,
        entry: 1,
    };

    /// A function's variables as `(name, line, block)`, its blocks as the ones that they are in.
    fn tree(parents: &[usize], declared: &[(&str, u64, usize)]) -> Tree {
        Tree {
            parents: parents.to_vec(),
            declared: declared
                .iter()
                .map(|&(name, line, block)| Declared {
                    name: name.into(),
                    ty: INT,
                    line,
                    block,
                })
                .collect(),
        }
    }

    fn lines(tree: &Tree, line: u64) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = tree
            .visible(line)
            .iter()
            .map(|declared| (&*declared.name, declared.line))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_name_means_the_innermost_that_has_not_ended() {
        // 1: let x; 2: if .. { 3: let x; 4: let y; 5: } else { 6: let z; 7: } 8: let w; 9: let x
        let tree = tree(
            &[0, 0, 1, 2, 1, 1, 5],
            &[
                ("x", 1, 1),
                ("x", 3, 2),
                ("y", 4, 3),
                ("z", 6, 4),
                ("w", 8, 5),
                ("x", 9, 6),
            ],
        );
        assert_eq!(lines(&tree, 1), []);
        assert_eq!(lines(&tree, 2), [("x", 1)]);
        assert_eq!(lines(&tree, 4), [("x", 3)]);
        // The block may have ended here, or not.
        assert_eq!(lines(&tree, 5), [("x", 3), ("y", 4)]);
        // By here it has.
        assert_eq!(lines(&tree, 7), [("x", 1), ("z", 6)]);
        assert_eq!(lines(&tree, 9), [("w", 8), ("x", 1)]);
        assert_eq!(lines(&tree, 10), [("w", 8), ("x", 9)]);
    }

    #[test]
    fn a_field_is_a_variable_only_where_no_other_can_be() {
        let field = |name: &str, offset, captured| Field {
            name: name.into(),
            ty: INT,
            offset,
            size: 8,
            captured,
            by_reference: false,
            saved: BTreeSet::new(),
            shared: false,
        };
        let environment = Environment {
            state: Some(0),
            fields: vec![
                field("x", 8, false),
                field("x", 16, false),
                field("y", 8, false),
                field("y", 24, true),
            ],
        };
        let declared = |name: &str| Declared {
            name: name.into(),
            ty: INT,
            line: 1,
            block: 1,
        };
        assert_eq!(environment.field(&declared("x"), false), None);
        let offset = |captured| {
            environment
                .field(&declared("y"), captured)
                .map(|field| field.offset)
        };
        assert_eq!((offset(false), offset(true)), (Some(8), Some(24)));
    }
}
