//! Variables that the compiler has in the environment of a coroutine or closure, and the order of names of one function.
//!
//! 1. The variables of a function that may be visible at its line are found by its blocks: see
//!    [`Tree`](super::coroutine::Tree).
//! 2. Those without a place get the one that they have in the environment, whose address is the function's first
//!    parameter, which has no name. A variable that has a place of its own keeps that.
//! 3. Only bytes that certainly hold the variable are taken: see [`stack`](super::stack).
//! 4. A name means the innermost of these variables even if that has no place, rather than one that it hides.

use std::ops::Range;

use gimli::{AttributeValue, Unit, UnitOffset, constants as dw};

use super::coroutine::{Declared, Environment, Field, Tree};
use super::functions::{self, Entry};
use super::module::Slice;
use super::place::{Binary, Formula, Location, Missing, Piece, Register, Source, Term};
use super::scope::Variable;
use super::shapes;
use super::stack::{self, Coroutine, Object};
use super::trace::{Base, Value};
use super::types::{TypeKind, TypeRef};
use super::variables::{Block, Reader, is_variable, optimized_out};

/// How deep blocks may be nested; more is damage.
const MAX_DEPTH: usize = 512;

/// Where an environment is.
enum Home {
    /// At an address.
    Pointed(Formula),
    /// In places of its own.
    Here(Location),
}

impl<'a> Reader<'_, 'a> {
    /// Gives the variables of one function their places in its environment, and puts first what its names mean at a line.
    pub(super) fn settle(
        &self,
        call: &Block,
        line: u64,
        variables: &mut Vec<Variable>,
    ) -> gimli::Result<()> {
        let tree = self.tree(call)?;
        let environment = self.environment(call)?;
        for declared in tree.visible(line) {
            let is_it = |variable: &Variable| {
                variable.name == declared.name
                    && variable.line == declared.line
                    && variable.ty == declared.ty
            };
            let Some(at) = variables.iter().position(is_it) else {
                continue;
            };
            if let Some((home, environment)) = &environment
                && let Some(variable) = variables
                    .get_mut(at)
                    .filter(|variable| is_gone(&variable.location))
                && let Some(field) = environment.field(declared, declared.block == 0)
            {
                variable.location = self.in_environment(home, environment, field);
            }
            let first = variables
                .iter()
                .position(|variable| variable.name == declared.name);
            if let Some(first) = first.filter(|first| *first < at)
                && !variables
                    .get(first)
                    .is_some_and(|first| tree.hides(first, declared))
            {
                let variable = variables.remove(at);
                variables.insert(first, variable);
            }
        }
        Ok(())
    }

    /// The blocks and variables of a function, as its origin has them.
    fn tree(&self, call: &Block) -> gimli::Result<Tree> {
        let entry = self.unit.entry(call.entry)?;
        let file = functions::declaration(self.module, self.dwarf, self.unit, call.entry)?.file;
        let mut tree = Tree {
            parents: vec![0],
            ..Tree::default()
        };
        match self.origin(self.unit, &entry) {
            Some(origin) => {
                let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
                self.block(&unit, offset, 0, file, 0, &mut tree)?;
            }
            None => self.block(self.unit, call.entry, 0, file, 0, &mut tree)?,
        }
        Ok(tree)
    }

    fn block(
        &self,
        unit: &Unit<Slice<'a>>,
        entry: UnitOffset,
        block: usize,
        file: Option<(u64, u64)>,
        nesting: usize,
        tree: &mut Tree,
    ) -> gimli::Result<()> {
        let mut inner = Vec::new();
        self.children(unit, entry, |offset, entry| {
            if is_variable(entry) {
                let at = unit.header.offset().0.saturating_add(offset.0) as u64;
                // What a macro of another file declares has lines of that.
                let own = match (entry.attr_value(dw::DW_AT_decl_file), file) {
                    (Some(AttributeValue::FileIndex(index)), Some(file)) => {
                        file == (unit.header.offset().0 as u64, index)
                    }
                    _ => true,
                };
                let variable = self.variable(at, optimized_out(), 0)?.filter(|_| own);
                tree.declared
                    .extend(variable.map(|(line, variable)| Declared {
                        name: variable.name,
                        ty: variable.ty,
                        line,
                        block,
                    }));
            } else if entry.tag() == dw::DW_TAG_lexical_block {
                inner.push(offset);
            }
            Ok(())
        })?;
        for offset in inner.into_iter().filter(|_| nesting < MAX_DEPTH) {
            let index = tree.parents.len();
            tree.parents.push(block);
            self.block(unit, offset, index, file, nesting + 1, tree)?;
        }
        Ok(())
    }

    /// The environment of a coroutine or closure, and where it is.
    fn environment(&self, call: &Block) -> gimli::Result<Option<(Home, Environment)>> {
        let mut parameter = None;
        self.children(self.unit, call.entry, |offset, entry| {
            if parameter.is_none() && entry.tag() == dw::DW_TAG_formal_parameter {
                parameter = Some((self.type_of_unnamed(offset)?, self.location(entry, call)));
            }
            Ok(())
        })?;
        let Some((Some(ty), location)) = parameter else {
            return Ok(None);
        };
        let (target, pointed) = self.pointed(ty);
        let Some(environment) = Environment::read(self.modules, target) else {
            return Ok(None);
        };
        let home = if pointed {
            address(&location).map(Home::Pointed)
        } else {
            Some(Home::Here(location))
        };
        Ok(home.map(|home| (home, environment)))
    }

    /// Where a variable is, on the stack only as far as it is kept there.
    fn location(&self, entry: &Entry<'a>, scope: &Block) -> Location {
        let location = self.expressions.variable(entry, self.address);
        match entry.attr_value(dw::DW_AT_location) {
            Some(AttributeValue::Exprloc(_)) => self.kept_bytes_of(location, 8, &scope.ranges),
            _ => location,
        }
    }

    /// The type of a parameter that has no name.
    fn type_of_unnamed(&self, entry: UnitOffset) -> gimli::Result<Option<TypeRef>> {
        let mut next = Some(self.unit.header.offset().0.saturating_add(entry.0) as u64);
        for _ in 0..functions::MAX_REFERENCES {
            let Some(offset) = next else { break };
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, offset)?;
            let entry = unit.entry(offset)?;
            if entry.attr(dw::DW_AT_name).is_some() {
                return Ok(None);
            }
            if let Some(value) = entry.attr_value(dw::DW_AT_type) {
                let entry = functions::section_offset(&unit, value);
                return Ok(entry.map(|entry| TypeRef {
                    module: self.index,
                    entry,
                }));
            }
            next = self.origin(&unit, &entry);
        }
        Ok(None)
    }

    /// What a reference, or a pinned one, points to; and any other type as it is.
    fn pointed(&self, ty: TypeRef) -> (TypeRef, bool) {
        let Ok(found) = shapes::load(self.modules, ty) else {
            return (ty, false);
        };
        match &found.kind {
            TypeKind::Pointer { target } => (*target, true),
            TypeKind::Struct { members, .. } if found.name.starts_with("core::pin::Pin<") => {
                match members.as_slice() {
                    [pointer] => self.pointed(pointer.ty),
                    _ => (ty, false),
                }
            }
            _ => (ty, false),
        }
    }

    /// The place of a field, as far as its bytes are there for certain.
    fn in_environment(&self, home: &Home, environment: &Environment, field: &Field) -> Location {
        match home {
            Home::Here(location) => {
                let field_location = part(location, field.offset, field.size);
                match address(&field_location) {
                    Some(target) if field.by_reference => whole(Source::Memory(target)),
                    None if field.by_reference => optimized_out(),
                    _ => field_location,
                }
            }
            Home::Pointed(formula) => {
                let found = self.in_memory(formula, environment, field);
                found.unwrap_or_else(optimized_out)
            }
        }
    }

    fn in_memory(
        &self,
        home: &Formula,
        environment: &Environment,
        field: &Field,
    ) -> Option<Location> {
        let (trace, at) = self.trace()?;
        let offset = i64::try_from(field.offset).ok()?;
        let base = match *home.0.as_slice() {
            [Term::Register(register, by)] => trace.register(at, register)?.plus(by)?,
            [Term::Register(register, by), Term::Load(8)] => {
                match trace.register(at, register)?.plus(by)? {
                    Value {
                        base: Base::Frame,
                        offset,
                    } => trace.slot(at, offset)?,
                    _ => return None,
                }
            }
            _ => return None,
        };
        let start = base.plus(offset)?;
        let formula = |from: u64| plus(home, field.offset.checked_add(from)?);
        if field.by_reference && start.base != Base::Frame {
            // The pointer is set when the environment is made, and never changes. If nothing read it, it might not have
            // been set.
            if !trace.reads(start, 8) {
                return None;
            }
            let mut target = formula(0)?;
            target.0.push(Term::Load(8));
            return Some(whole(Source::Memory(target)));
        }
        if field.captured
            && !field.by_reference
            && environment.state.is_some()
            && !self.is_plain(field.ty)
        {
            // It may have been moved out.
            return None;
        }
        let coroutine = environment.state.map(|state| Coroutine {
            state: base.offset.saturating_add_unsigned(state),
            saved: &field.saved,
            shared: field.shared,
        });
        let object = Object {
            base: start.base,
            start: start.offset,
            size: field.size.max(1),
            scope: &self.function,
            coroutine,
        };
        let runs = stack::valid(trace, at, &object, &|callee| self.returns_in_memory(callee));
        if field.by_reference {
            if runs.first() != Some(&(0..field.size)) {
                return None;
            }
            let mut target = formula(0)?;
            target.0.push(Term::Load(8));
            return Some(whole(Source::Memory(target)));
        }
        if runs.first() == Some(&(0..field.size)) {
            return Some(whole(Source::Memory(formula(0)?)));
        }
        pieces(field.size, &runs, |from| {
            Some(Source::Memory(formula(from)?))
        })
    }

    /// Whether values of a type are numbers all through, which stay what they were when they are moved.
    fn is_plain(&self, ty: TypeRef) -> bool {
        shapes::load(self.modules, ty).is_ok_and(|ty| match ty.kind {
            TypeKind::Unsigned
            | TypeKind::Signed
            | TypeKind::Float
            | TypeKind::Bool
            | TypeKind::Char
            | TypeKind::Unit
            | TypeKind::Enumeration { .. } => true,
            TypeKind::Pointer { .. } => ty.name.starts_with('&') && !ty.name.starts_with("&mut "),
            _ => false,
        })
    }
}

impl Tree {
    /// Whether a variable that has code of its own is declared inside of the block of another.
    fn hides(&self, variable: &Variable, other: &Declared) -> bool {
        !is_gone(&variable.location)
            && self.declared.iter().any(|declared| {
                declared.name == variable.name
                    && declared.line == variable.line
                    && declared.ty == variable.ty
                    && declared.block != other.block
                    && self.is_inside(declared.block, other.block)
            })
    }
}

/// Whether nothing of a variable is there.
fn is_gone(location: &Location) -> bool {
    location
        .pieces
        .iter()
        .all(|piece| matches!(piece.source, Source::Missing(_)))
}

/// The number that a place holds, as a formula: an address, where it is a pointer's.
fn address(location: &Location) -> Option<Formula> {
    let [
        Piece {
            offset: 0,
            size: None | Some(8),
            source,
        },
    ] = location.pieces.as_slice()
    else {
        return None;
    };
    match source {
        Source::Register {
            register: Register::General(number),
            skip: 0,
        } => Some(Formula(vec![Term::Register(*number, 0)])),
        Source::Value(formula) => Some(formula.clone()),
        Source::Memory(formula) => {
            let mut formula = formula.clone();
            formula.0.push(Term::Load(8));
            Some(formula)
        }
        _ => None,
    }
}

/// The sum of an address and a number.
fn plus(formula: &Formula, by: u64) -> Option<Formula> {
    let mut sum = formula.clone();
    match sum.0.as_mut_slice() {
        _ if by == 0 => {}
        [Term::Register(_, offset)] => *offset = offset.checked_add_unsigned(by)?,
        _ => sum
            .0
            .extend([Term::Constant(by), Term::Binary(Binary::Add)]),
    }
    Some(sum)
}

/// The place of some bytes of a value.
fn part(location: &Location, start: u64, size: u64) -> Location {
    let end = start.saturating_add(size);
    let mut pieces = Vec::new();
    for piece in &location.pieces {
        let piece_end = piece
            .size
            .map_or(u64::MAX, |size| piece.offset.saturating_add(size));
        let (from, to) = (start.max(piece.offset), end.min(piece_end));
        if from >= to {
            continue;
        }
        let skip = from - piece.offset;
        let source = match &piece.source {
            source if skip == 0 => Some(source.clone()),
            Source::Memory(formula) => plus(formula, skip).map(Source::Memory),
            Source::Register {
                register,
                skip: before,
            } => u8::try_from(u64::from(*before) + skip)
                .ok()
                .map(|skip| Source::Register {
                    register: *register,
                    skip,
                }),
            _ => None,
        };
        pieces.push(Piece {
            offset: from - start,
            size: Some(to - from),
            source: source.unwrap_or(Source::Missing(Missing::Unsupported)),
        });
    }
    if pieces.is_empty() {
        return optimized_out();
    }
    Location { pieces }
}

/// A value of which some runs of bytes are there; `None` where none are.
fn pieces(
    size: u64,
    runs: &[Range<u64>],
    source: impl Fn(u64) -> Option<Source>,
) -> Option<Location> {
    if runs.is_empty() {
        return None;
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    let missing = || Source::Missing(Missing::OptimizedOut);
    for run in runs {
        if at < run.start {
            pieces.push(Piece {
                offset: at,
                size: Some(run.start - at),
                source: missing(),
            });
        }
        pieces.push(Piece {
            offset: run.start,
            size: Some(run.end.saturating_sub(run.start)),
            source: source(run.start)?,
        });
        at = run.end;
    }
    if at < size {
        pieces.push(Piece {
            offset: at,
            size: Some(size - at),
            source: missing(),
        });
    }
    Some(Location { pieces })
}

fn whole(source: Source) -> Location {
    Location {
        pieces: vec![Piece {
            offset: 0,
            size: None,
            source,
        }],
    }
}
