//! What decides whether a hit counts: the condition, then the number of the hit.

use super::Compiler;
use crate::capture::error::CompileError;
use crate::capture::expr::{Expr, Special};
use crate::capture::logpoint::Logpoint;
use crate::capture::place::Stop;
use crate::capture::program::Op;
use crate::capture::typed::{Node, Typed};
use crate::capture::typing;

impl Compiler<'_> {
    /// Has the program begin with it. The first entry of the record is its own: it says what went wrong.
    pub(super) fn decide(&mut self, logpoint: &Logpoint<'_>) -> Result<(), CompileError> {
        let counts = logpoint.hits.is_some() || mentions_hits(logpoint);
        if logpoint.condition.is_none() && !counts {
            return Ok(());
        }
        let mark = self.builder.mark();
        let start = self.builder.push(Op::Condition { end: 0 });
        self.entries = 1;
        let mut counted = false;
        if let Some(source) = logpoint.condition {
            let expr = Expr::parse(source)?;
            let typed = typing::condition(&expr, self.scope, &mut self.loader, &self.redaction)?;
            // What asks how often the line was passed has to count each pass.
            if super::specials(&typed.node).contains(&Special::Hits) {
                self.builder.push(Op::Count);
                counted = true;
            }
            self.keep(&typed).map_err(|stop| match stop {
                Stop::Error(error) => error,
                Stop::Unavailable(_) => CompileError::Undecidable {
                    condition: source.into(),
                },
            })?;
        }
        if counts && !counted {
            self.builder.push(Op::Count);
        }
        if let Some(rule) = logpoint.hits {
            let node = rule.node(Node::Special(Special::Hits));
            let typed = Typed::new(node, Vec::new(), Vec::new());
            self.keep(&typed).map_err(|_| CompileError::TooComplex)?;
        }
        self.builder.patch(start);
        self.builder.release(mark);
        Ok(())
    }

    fn keep(&mut self, typed: &Typed) -> Result<(), Stop> {
        let slot = self.lowered(typed, &typed.node)?;
        self.builder.push(Op::Keep { slot });
        Ok(())
    }
}

/// Whether the number of the hit is asked for. Counting where it is not does no harm.
fn mentions_hits(logpoint: &Logpoint<'_>) -> bool {
    let mut sources = logpoint.message.expressions();
    sources.any(|source| source.contains("$hits"))
}
