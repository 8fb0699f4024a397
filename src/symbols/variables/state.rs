//! Variables that optimized code gives no place, read from the coroutine that its function is the body of.
//!
//! rustc describes a coroutine's locals relative to the pointer to the coroutine, which is the body's first argument and
//! has no name. In inlined bodies, and behind the optimizer's work, the descriptions get lost. The pointer itself is
//! hardly ever: it is followed through the code from the function's entry on, or, for a coroutine that another one
//! awaits, it is known where that one keeps it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use gimli::{AttributeValue, UnitOffset, constants as dw};

use super::{Block, Reader};
use crate::symbols::code::{Base, Object, Place, Pointer};
use crate::symbols::coroutine::{self, Coroutine};
use crate::symbols::declaration::Declaration;
use crate::symbols::functions::{self, Entry, Instance};
use crate::symbols::lines::Start;
use crate::symbols::place::{Binary, Formula, Location, Missing, Piece, Register, Source, Term};
use crate::symbols::pointee::{self, LineOf, Waits};
use crate::symbols::scope::Variable;
use crate::symbols::shapes;
use crate::symbols::types::{Member, TypeRef};
use crate::symbols::unwind::RSP;

/// The coroutine that a function, or an inlined call, is the body of.
pub struct State {
    coroutine: Coroutine,
    at: Pointer,
    /// The entry of the body.
    body: UnitOffset,
    /// The types of the locals that the body declares in its blocks, by name.
    names: BTreeMap<Box<str>, Vec<TypeRef>>,
}

/// The rows and inlined calls of a function.
pub struct Lines {
    starts: Arc<Vec<Start>>,
    instances: Vec<Instance>,
}

/// The coroutines of a chain of scopes, one for each function in it, outermost first.
pub fn of_calls(reader: &Reader<'_, '_>, blocks: &[Block]) -> gimli::Result<Vec<Option<State>>> {
    let mut states: Vec<Option<State>> = Vec::new();
    for block in blocks.iter().filter(|block| block.call) {
        let outer = states.last().and_then(Option::as_ref);
        let state = State::of(reader, block, outer)?;
        states.push(state);
    }
    Ok(states)
}

impl State {
    fn of(
        reader: &Reader<'_, '_>,
        block: &Block,
        outer: Option<&Self>,
    ) -> gimli::Result<Option<Self>> {
        let Some((ty, argument)) = reader.environment(block.entry)? else {
            return Ok(None);
        };
        let Some(coroutine) = Coroutine::load(reader.modules, ty) else {
            return Ok(None);
        };
        if !reader.module.is_optimized(reader.unit) {
            return Ok(None);
        }
        let own = argument.and_then(|argument| reader.pointer(&argument));
        let awaited = || {
            let outer = outer?;
            let line = reader.call_line(block.entry)?;
            let offset = outer.coroutine.awaited(line, ty)?;
            outer.at.checked_add(i64::try_from(offset).ok()?)
        };
        let Some(at) = own.or_else(awaited) else {
            return Ok(None);
        };
        let mut names = BTreeMap::new();
        reader.type_names(block.entry, &mut names)?;
        Ok(Some(Self {
            coroutine,
            at,
            body: block.entry,
            names,
        }))
    }

    /// Gives variables of a block of the body that have no place the one in the coroutine.
    pub fn fill(&self, reader: &Reader<'_, '_>, block: &Block, variables: &mut [Variable]) {
        for variable in variables
            .iter_mut()
            .filter(|variable| variable.is_missing())
        {
            let member = if block.entry == self.body {
                self.captured(&variable.name)
            } else {
                self.local(reader, variable)
            };
            self.put(reader, block, variable, member);
        }
    }

    /// Takes out the variables of blocks without code of their own whose scope the address is in: those that it has a
    /// place for. `block` is the body.
    pub fn recover(
        &self,
        reader: &Reader<'_, '_>,
        block: &Block,
        lost: &mut Vec<Variable>,
    ) -> Vec<Variable> {
        let line = reader.line_in(self.body);
        let mut found = Vec::new();
        lost.retain_mut(|variable| {
            let alike = |ty| reader.same(ty, variable.ty);
            let last = self.coroutine.last_line(&variable.name, alike);
            let inside = line.zip(last).is_some_and(|(line, last)| {
                variable.line != 0 && variable.line < line && line <= last
            });
            if inside {
                let member = self.local(reader, variable);
                self.put(reader, block, variable, member);
            }
            let keep = variable.is_missing();
            if !keep {
                found.push(variable.clone());
            }
            keep
        });
        found.sort_by_key(|variable| std::cmp::Reverse(variable.line));
        found
    }

    fn put(
        &self,
        reader: &Reader<'_, '_>,
        block: &Block,
        variable: &mut Variable,
        member: Option<Member>,
    ) {
        let Some(member) = member.filter(|member| reader.same(member.ty, variable.ty)) else {
            return;
        };
        match self.place(reader, block, &member) {
            Some(location) => variable.location = location,
            None => variable.elsewhere = reader.at_runtime(&reader.function),
        }
    }

    /// An argument of an `async fn` is not it: the body moves it to a local of its own.
    fn captured(&self, name: &str) -> Option<Member> {
        if self.names.contains_key(name) {
            return None;
        }
        self.coroutine.capture(name)
    }

    /// The place of a local, if the body declares no other of its name and type.
    fn local(&self, reader: &Reader<'_, '_>, variable: &Variable) -> Option<Member> {
        let alike = |ty| reader.same(ty, variable.ty);
        let declared = self.names.get(&variable.name)?.iter();
        if declared.filter(|ty| alike(**ty)).count() != 1 {
            return None;
        }
        let name = &variable.name;
        self.coroutine.local(reader.modules, name, alike)
    }

    fn place(&self, reader: &Reader<'_, '_>, block: &Block, member: &Member) -> Option<Location> {
        let code = reader.code()?;
        let body = reader.body(self.body)?;
        let size = shapes::load(reader.modules, member.ty).ok()?.size;
        let start = self.at.checked_add(i64::try_from(member.offset).ok()?)?;
        let object = Object {
            start,
            size,
            scope: &block.ranges,
        };
        let (at, states) = self.coroutine.alive(member);
        let at = self.at.checked_add(i64::try_from(at).ok()?)?;
        if size > 0 && !pointee::holds(code, &object, &Waits { at, states }, &body) {
            return None;
        }
        let (place, held) = code.registers.find(start.base)?;
        let by = start.offset.checked_sub(held.offset)?;
        let formula = match place {
            Place::Register(number) => vec![Term::Register(number, by)],
            Place::Frame(at) => {
                let rsp = code.registers.get(u8::try_from(RSP).ok()?)?;
                let at = at
                    .checked_sub(rsp.offset)
                    .filter(|_| rsp.base == Base::Frame)?;
                vec![
                    Term::Register(u8::try_from(RSP).ok()?, at),
                    Term::Load(8),
                    Term::Constant(by.cast_unsigned()),
                    Term::Binary(Binary::Add),
                ]
            }
        };
        Some(Location::whole(Source::Memory(Formula(formula))))
    }
}

impl<'a> Reader<'_, 'a> {
    /// The coroutine type that a function is the body of, and the entry of the argument that points to it, where this
    /// copy has one.
    fn environment(
        &self,
        function: UnitOffset,
    ) -> gimli::Result<Option<(TypeRef, Option<Entry<'a>>)>> {
        let mut argument = None;
        self.children(self.unit, function, |_, entry| {
            if argument.is_none() && entry.tag() == dw::DW_TAG_formal_parameter {
                argument = Some(entry.clone());
            }
            Ok(())
        })?;
        // A copy may have lost it; its origin has not.
        let entry = self.unit.entry(function)?;
        let mut ty = None;
        if let Some(origin) = self.origin(self.unit, &entry) {
            let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
            let mut first = true;
            self.children(&unit, offset, |at, entry| {
                if std::mem::take(&mut first)
                    && entry.tag() == dw::DW_TAG_formal_parameter
                    && entry.attr(dw::DW_AT_name).is_none()
                {
                    ty = entry
                        .attr_value(dw::DW_AT_type)
                        .and_then(|value| functions::section_offset(&unit, value));
                    let at = functions::entry_offset(&unit, at);
                    argument = argument
                        .take()
                        .filter(|argument| self.origin(self.unit, argument) == Some(at));
                }
                Ok(())
            })?;
        } else if let Some(argument) = &argument
            && argument.attr(dw::DW_AT_name).is_none()
        {
            ty = argument
                .attr_value(dw::DW_AT_type)
                .and_then(|value| functions::section_offset(self.unit, value));
        }
        let pinned = ty.and_then(|entry| {
            let ty = TypeRef {
                module: self.index,
                entry,
            };
            coroutine::pinned(self.modules, ty)
        });
        Ok(pinned.map(|ty| (ty, argument)))
    }

    /// What a pointer argument points to, here or as it was at the function's entry.
    fn pointer(&self, argument: &Entry<'a>) -> Option<Pointer> {
        let code = self.code()?;
        let here = self.expressions.variable(argument, self.address);
        let held = |number: u8, by: i64| code.registers.get(number)?.checked_add(by);
        let known = match simple(&here)? {
            (Some(number), by) => held(number, by),
            (None, _) => None,
        };
        let entry = self.function.first()?.start;
        let passed = || {
            let (number, by) = simple(&self.expressions.variable(argument, entry))?;
            let base = Base::Argument(number?);
            Pointer { base, offset: 0 }.checked_add(by)
        };
        known
            .or_else(passed)
            .filter(|pointer| pointer.base != Base::Frame)
    }

    fn call_line(&self, call: UnitOffset) -> Option<u64> {
        let entry = self.unit.entry(call).ok()?;
        entry.attr(dw::DW_AT_call_line)?.udata_value()
    }

    /// Lists the types of the locals of a function's blocks by name; its own variables, outside of all blocks, are captures.
    fn type_names(
        &self,
        function: UnitOffset,
        names: &mut BTreeMap<Box<str>, Vec<TypeRef>>,
    ) -> gimli::Result<()> {
        let entry = self.unit.entry(function)?;
        let origin = match self.origin(self.unit, &entry) {
            Some(origin) => origin,
            None => functions::entry_offset(self.unit, function),
        };
        let (unit, offset) = self.module.unit_and_entry(self.dwarf, origin)?;
        let mut raw = unit.entries_raw(Some(offset))?;
        let mut entry = Entry::null();
        raw.read_entry(&mut entry)?;
        let top = entry.depth();
        while !raw.is_empty() && raw.next_depth() > top {
            let depth = raw.next_depth();
            if !raw.read_entry(&mut entry)? {
                continue;
            }
            match entry.tag() {
                dw::DW_TAG_variable if depth > top + 1 => {
                    let at = functions::entry_offset(&unit, entry.offset());
                    let unknown = Location::missing(Missing::OptimizedOut);
                    if let Some((_, variable)) = self.variable(at, unknown, 0)? {
                        names.entry(variable.name).or_default().push(variable.ty);
                    }
                }
                dw::DW_TAG_lexical_block | dw::DW_TAG_variable => {}
                _ => functions::skip_children(&mut raw, depth)?,
            }
        }
        Ok(())
    }

    /// Whether two entries describe one type, perhaps from two units.
    fn same(&self, one: TypeRef, other: TypeRef) -> bool {
        let name = |ty| shapes::load(self.modules, ty).map(|ty| (ty.name, ty.size));
        one == other || matches!((name(one), name(other)), (Ok(one), Ok(other)) if one == other)
    }

    /// The line that the address is at in a function or inlined call, if it is known.
    pub fn line_in(&self, function: UnitOffset) -> Option<u64> {
        let body = self.body(function)?;
        body.line_of(self.address).filter(|line| *line != 0)
    }

    pub fn body(&self, function: UnitOffset) -> Option<Body<'_>> {
        let lines = self.lines()?;
        let mut instances = lines.instances.iter();
        let declaration = Declaration::read(self.module, self.dwarf, self.unit, function).ok()?;
        // Files are numbered by unit.
        let unit = self.unit.header.offset().0 as u64;
        let (_, file) = declaration.file.filter(|(of, _)| *of == unit)?;
        Some(Body {
            lines,
            body: instances.position(|instance| instance.entry == function)?,
            file,
        })
    }

    fn lines(&self) -> Option<&Lines> {
        let read = || {
            let root = self.unit.entry(self.unit.header.root_offset()).ok()?;
            let Some(AttributeValue::DebugLineRef(table)) = root.attr_value(dw::DW_AT_stmt_list)
            else {
                return None;
            };
            let functions = self.module.functions(self.dwarf, self.unit).ok()?;
            let (function, _) = functions.at(self.address)?;
            Some(Lines {
                starts: self.module.starts(self.dwarf, table).ok()?,
                instances: functions::instances(self.dwarf, self.unit, function).ok()?,
            })
        };
        self.lines.get_or_init(read).as_ref()
    }
}

/// A register plus a number, where that is what a variable's value is.
fn simple(location: &Location) -> Option<(Option<u8>, i64)> {
    let [
        Piece {
            size: None, source, ..
        },
    ] = location.pieces.as_slice()
    else {
        return None;
    };
    Some(match source {
        Source::Register {
            register: Register::General(number),
            skip: 0,
        } => (Some(*number), 0),
        Source::Value(Formula(terms)) => match terms.as_slice() {
            [Term::Register(number, by)] => (Some(*number), *by),
            _ => (None, 0),
        },
        _ => (None, 0),
    })
}

/// The lines of one function, or inlined call.
pub struct Body<'l> {
    lines: &'l Lines,
    body: usize,
    file: u64,
}

impl Body<'_> {
    /// The calls that were inlined into it at lines of its file below one, and those that were inlined into these; of the latter
    /// with the one that they are in.
    pub fn calls_below(&self, line: u64) -> impl Iterator<Item = (&Instance, Option<&Instance>)> {
        let instances = &self.lines.instances;
        let is_below = move |instance: &Instance| {
            let called = instance.call;
            called.is_some_and(|(file, at)| file == self.file && at > line)
        };
        instances.iter().filter_map(move |call| {
            let parent = call.parent?;
            if parent == self.body {
                return is_below(call).then_some((call, None));
            }
            let by = instances.get(parent)?;
            (by.parent == Some(self.body) && is_below(by)).then_some((call, Some(by)))
        })
    }

    /// The lines of the instructions of a block.
    pub fn lines_in(&self, block: &Range<u64>) -> impl Iterator<Item = u64> {
        let starts = &self.lines.starts;
        let first = starts.partition_point(|start| start.address <= block.start);
        let inside = starts.get(first..).unwrap_or_default().iter();
        let inside = inside
            .map(|start| start.address)
            .take_while(|at| *at < block.end);
        let all = std::iter::once(block.start).chain(inside);
        all.filter_map(|address| self.line_of(address))
    }
}

impl LineOf for Body<'_> {
    fn line_of(&self, address: u64) -> Option<u64> {
        let instances = &self.lines.instances;
        let mut at = functions::innermost(instances, address)?;
        let mut called = None;
        while at != self.body {
            let instance = instances.get(at)?;
            called = Some(match instance.call {
                Some((file, line)) if file == self.file => line,
                _ => 0,
            });
            at = instance.parent?;
        }
        let row = || {
            let starts = &self.lines.starts;
            let after = starts.partition_point(|start| start.address <= address);
            let start = starts.get(after.checked_sub(1)?)?;
            (u64::from(start.file) == self.file).then_some(u64::from(start.line))
        };
        called.or_else(row).or(Some(0))
    }
}
