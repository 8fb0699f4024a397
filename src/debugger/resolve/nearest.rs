//! Where else in its function an expression has a value that it has not at a place.
//!
//! 1. The lines of that copy of the function are taken one by one, the nearest ones first: those where the debug
//!    information has a place for what is missing.
//! 2. A line counts where at each of its places in that copy the same variables are meant, not others of their names, and
//!    the expression compiles to a program that finds all of its operands. So whoever sets it there sees it.
//! 3. What has been looked at is counted: a function may be large, and a line may be in a thousand places.

use std::ops::Range;

use super::{Statics, visible};
use crate::capture::compile::compile;
use crate::capture::logpoint::{Knowledge, Limits, Logpoint};
use crate::symbols::Symbols;
use crate::symbols::lookup::{Around, LineAddress, SourceFile};
use crate::symbols::scope::Scope;

/// Bytes of code that are read for all expressions of a breakpoint. A megabyte takes some 50 ms.
const MOST_CODE: u64 = 256 << 10;

/// As how many bytes each place counts at least.
const LEAST_CODE: u64 = 2 << 10;

/// Lines of which an expression is compiled before it is given up.
const MOST_TRIES: u32 = 4;

/// Searches for all places of a breakpoint.
pub struct Nearest<'s, 'f> {
    symbols: &'s Symbols,
    knowledge: &'s Knowledge,
    file: &'s SourceFile<'f>,
    /// The breakpoint's.
    line: u64,
    /// The function that was searched last.
    around: Option<Around<'s, 'f>>,
    /// Bytes of code that may still be read.
    left: u64,
}

/// What is searched for.
struct Wanted<'w> {
    logpoint: &'w Logpoint<'w>,
    names: Vec<String>,
    /// For each variable that is missing, where else it may be.
    elsewhere: Vec<&'w [Range<u64>]>,
    tries: u32,
    line: Option<u64>,
}

impl<'s, 'f> Nearest<'s, 'f> {
    /// Around a line of a file.
    pub fn new(
        symbols: &'s Symbols,
        knowledge: &'s Knowledge,
        file: &'s SourceFile<'f>,
        line: u64,
    ) -> Self {
        Self {
            symbols,
            knowledge,
            file,
            line,
            around: None,
            left: MOST_CODE,
        }
    }

    /// For each of some logpoints that lack a value at a place, the nearest line where they do not. `here` is what is
    /// visible at the place.
    pub fn lines(
        &mut self,
        at: &LineAddress,
        here: &Scope,
        statics: &mut Statics<'_>,
        logpoints: &[Logpoint<'_>],
    ) -> Vec<Option<u64>> {
        let wanted = logpoints.iter().map(|logpoint| Wanted::new(logpoint, here));
        let mut wanted: Vec<Wanted<'_>> = wanted.collect();
        if self.left > 0 && wanted.iter().any(Wanted::is_open) && self.go_to(at) {
            self.search(here, statics, &mut wanted);
        }
        wanted.into_iter().map(|wanted| wanted.line).collect()
    }

    fn go_to(&mut self, at: &LineAddress) -> bool {
        let near = self.around.as_mut();
        if near.is_some_and(|around| around.moved_to(at)) {
            return true;
        }
        self.around = self.file.around(at);
        if let Some(around) = &self.around {
            self.left = self.left.saturating_sub(around.size());
        }
        self.around.is_some()
    }

    fn search(&mut self, here: &Scope, statics: &mut Statics<'_>, wanted: &mut [Wanted<'_>]) {
        let Some(around) = &self.around else {
            return;
        };
        let cost = around.size().saturating_add(LEAST_CODE);
        for line in around.lines(self.line) {
            if self.left == 0 || !wanted.iter().any(Wanted::is_open) {
                return;
            }
            self.left = self.left.saturating_sub(LEAST_CODE);
            let places = around.places(line).unwrap_or_default();
            let may_be = |wanted: &Wanted<'_>| {
                wanted.is_open() && places.iter().all(|place| wanted.may_be_at(place.address))
            };
            if places.is_empty() || !wanted.iter().any(may_be) {
                continue;
            }
            let read = cost.saturating_mul(places.len() as u64);
            self.left = self.left.saturating_sub(read);
            let there: Result<Vec<_>, _> = places
                .iter()
                .map(|place| visible(self.symbols, statics, place))
                .collect();
            let Ok(there) = there else { continue };
            for wanted in wanted.iter_mut().filter(|wanted| may_be(wanted)) {
                let all = || there.iter().map(|(_, scope)| scope);
                if !all().all(|there| wanted.may_be_in(here, there)) {
                    continue;
                }
                wanted.tries += 1;
                if all().all(|there| self.is_readable(wanted.logpoint, there)) {
                    wanted.line = Some(line);
                }
            }
        }
    }

    fn is_readable(&self, logpoint: &Logpoint<'_>, scope: &Scope) -> bool {
        let limits = Limits {
            depth: 1,
            ..Limits::default()
        };
        compile(logpoint, scope, self.symbols, &limits, self.knowledge).is_ok_and(|compiled| {
            compiled.errors.is_empty() && compiled.unavailable().next().is_none()
        })
    }
}

impl<'w> Wanted<'w> {
    fn new(logpoint: &'w Logpoint<'w>, here: &'w Scope) -> Self {
        let names = logpoint.names();
        let variables = names.iter().filter_map(|name| here.named(name));
        let missing = variables.filter(|variable| variable.is_missing());
        Self {
            logpoint,
            elsewhere: missing.map(|variable| &*variable.elsewhere).collect(),
            names,
            tries: 0,
            line: None,
        }
    }

    fn is_open(&self) -> bool {
        let nowhere = self.elsewhere.iter().any(|ranges| ranges.is_empty());
        !nowhere && self.line.is_none() && self.tries < MOST_TRIES
    }

    /// Whether all that is missing here may be at an address.
    fn may_be_at(&self, address: u64) -> bool {
        let mut missing = self.elsewhere.iter();
        missing.all(|ranges| ranges.iter().any(|range| range.contains(&address)))
    }

    /// Whether the names mean the same there as here, and what is missing here is there.
    fn may_be_in(&self, here: &Scope, there: &Scope) -> bool {
        self.names
            .iter()
            .all(|name| match (here.named(name), there.named(name)) {
                (Some(here), Some(there)) => {
                    here.entry == there.entry && !(here.is_missing() && there.is_missing())
                }
                (here, there) => here.is_none() && there.is_none(),
            })
    }
}
