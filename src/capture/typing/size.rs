//! How large items are. A name that stands for what is computed stands for a copy of it, and a few bytes of patterns within
//! patterns for any number of copies.

use super::constant::Constant;
use super::{Item, Typing};
use crate::capture::error::CompileError;
use crate::capture::typed::{Key, Node, Path, Run, Step, Typed, Want};

/// How many nodes and steps an item may have, and all that is made of an expression together.
pub(super) const MAX_SIZE: usize = 4096;

impl Typing<'_, '_> {
    /// Counts what is made.
    pub(super) fn count(&self, size: usize) {
        self.left.set(self.left.get().saturating_sub(size));
    }

    /// An error where too much was made.
    pub(super) fn bounded(&self) -> Result<(), CompileError> {
        match self.left.get() {
            0 => Err(CompileError::TooComplex),
            _ => Ok(()),
        }
    }
}

pub(super) fn of_item(item: &Item) -> usize {
    match item {
        Item::Place(path) | Item::Guarded(path) | Item::Optional(path) | Item::Entries(path, _) => {
            of_path(path)
        }
        Item::Number(node, _) | Item::Text(node) | Item::Checked(node, _) => of_node(node),
        Item::Integer(constant) => of_constant(constant),
        Item::Run(path, run) => of_path(path).saturating_add(of_run(run)),
        Item::Float(_) | Item::Time => 1,
    }
}

pub(super) fn of_path(path: &Path) -> usize {
    let steps = path.steps.iter().map(|step| match step {
        Step::Element { run, index, .. } => {
            let index = index.as_deref().map_or(1, of_typed);
            index.saturating_add(of_run(run))
        }
        Step::Entry { key, .. } => match &**key {
            Key::Number(typed, _) | Key::Text(typed, _) => of_typed(typed),
        },
        Step::At(_) | Step::Follow | Step::Variant { .. } => 1,
    });
    steps.fold(1, usize::saturating_add)
}

fn of_typed(typed: &Typed) -> usize {
    let operands = typed.operands.iter();
    let operands = operands.map(|operand| of_operand(&operand.path, &operand.want));
    operands.fold(of_node(&typed.node), usize::saturating_add)
}

pub(super) fn of_operand(path: &Path, want: &Want) -> usize {
    let run = match want {
        Want::Run(run) | Want::Count(run) | Want::Folded(run, _) => of_run(run),
        Want::Nothing | Want::Value | Want::Presence | Want::Number(_) | Want::Entries(_) => 0,
    };
    of_path(path).saturating_add(run)
}

fn of_run(run: &Run) -> usize {
    let ends = run.start.iter().chain(&run.end);
    ends.map(|end| of_typed(end)).fold(0, usize::saturating_add)
}

fn of_node(node: &Node) -> usize {
    let mut size: usize = 0;
    node.walk(&mut |_| size = size.saturating_add(1));
    size
}

fn of_constant(constant: &Constant) -> usize {
    let within = match constant {
        Constant::Literal(_) | Constant::Large(_) => 0,
        Constant::Unary(_, inner) => of_constant(inner),
        Constant::Binary(_, left, right) => of_constant(left).saturating_add(of_constant(right)),
    };
    within.saturating_add(1)
}
