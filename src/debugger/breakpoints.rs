//! The breakpoints of each client, and which probe belongs to which.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use dap::SourceMap;

use super::limits::Group;
use super::resolve::Resolved;
use super::telling::Told;
use crate::capture::compile::Compiled;
use crate::engine::Account;
use crate::server::backend::{NamedFile, Placed, SessionId, Wanted, WrongExpressions};
use crate::server::outlet::Outlet;

/// A client.
pub struct Session {
    /// The way to it.
    pub outlet: Outlet,
    /// What it wants of expressions that mean nothing.
    pub wrong: WrongExpressions,
    /// Its breakpoints.
    pub files: HashMap<NamedFile, File>,
    /// What they may cost together.
    pub group: Group,
}

impl Session {
    /// All its breakpoints.
    pub fn breakpoints(&self) -> impl Iterator<Item = &Breakpoint> {
        self.files.values().flat_map(|file| &file.breakpoints)
    }
}

/// A client's breakpoints in one file.
#[derive(Default)]
pub struct File {
    /// The client's source map when they were set.
    pub map: SourceMap,
    /// In the client's order.
    pub breakpoints: Vec<Breakpoint>,
}

/// One breakpoint.
pub struct Breakpoint {
    /// What the client asked for.
    pub wanted: Wanted,
    /// What it was told.
    pub placed: Placed,
    /// Its probes, one for each address.
    pub probes: Vec<u32>,
    /// What it may do, and has done.
    pub account: Arc<Account>,
    /// When it has lived as long as it may.
    pub expires: Option<Instant>,
    /// Whether it has; it does not come back unless its client sets another one.
    pub expired: bool,
    /// What the client was told of it.
    pub told: Told,
    pending: bool,
    failures: Vec<String>,
}

impl Breakpoint {
    fn new(id: i64, wanted: Wanted) -> Self {
        Self {
            wanted,
            placed: Placed {
                id,
                ..Placed::default()
            },
            probes: Vec::new(),
            account: Arc::default(),
            expires: None,
            expired: false,
            told: Told::default(),
            pending: true,
            failures: Vec::new(),
        }
    }

    /// Whether it waits to be resolved.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// Has it resolved once more.
    pub fn retry(&mut self) {
        *self = Self::new(self.placed.id, self.wanted.clone());
    }

    /// It cannot be placed.
    pub fn refuse(&mut self, why: String) {
        self.placed.message = Some(why);
        self.pending = false;
    }

    /// Its line is known; its probes are about to be placed.
    pub fn found(&mut self, resolved: &Resolved) {
        self.placed.line = Some(resolved.line);
        self.placed.instruction = resolved.places.first().map(|(place, _)| place.address);
        self.placed.message.clone_from(&resolved.remark);
    }

    /// One of its probes could not be placed.
    pub fn place_failed(&mut self, why: String) {
        self.failures.push(why);
    }

    /// All its probes are placed, or are not.
    pub fn settle(&mut self) {
        if !std::mem::take(&mut self.pending) {
            return;
        }
        let failures = std::mem::take(&mut self.failures);
        self.placed.verified = !self.probes.is_empty();
        if let Some(first) = failures.first() {
            let places = self.probes.len() + failures.len();
            self.placed.message = Some(match places {
                1 => first.clone(),
                _ => format!(
                    "{} of {places} places could not be set: {first}",
                    failures.len()
                ),
            });
        }
    }

    /// It has lost its probes.
    pub fn lose(&mut self, why: &str) {
        self.probes.clear();
        self.placed.verified = false;
        self.placed.message = Some(why.to_owned());
    }

    /// It has lived as long as it may; its probes are to be removed.
    pub fn expire(&mut self, why: &str) {
        self.lose(why);
        self.expired = true;
    }

    /// What the client is told when it did not ask; it then has to know the file.
    pub fn placed_at(&self, path: &str) -> Placed {
        Placed {
            path: Some(path.to_owned()),
            ..self.placed.clone()
        }
    }
}

/// Puts what is wanted now in the place of what was. A line that stays keeps its id; where it also says the same, it
/// keeps its probes, so that no hit is lost; and what has expired stays so, since clients say again what they want whenever
/// another line of the file changes. Returns the breakpoints and the probes to remove.
pub fn merge(
    old: Vec<Breakpoint>,
    wanted: &[Wanted],
    same_map: bool,
    last_id: &mut i64,
) -> (Vec<Breakpoint>, Vec<u32>) {
    // Those that say the same first, so that none of them is taken for another one's successor. By hash: a client may have
    // a thousand on one line.
    let mut places: HashMap<&Wanted, VecDeque<usize>> = HashMap::new();
    for (place, wanted) in wanted.iter().enumerate() {
        places.entry(wanted).or_default().push_back(place);
    }
    let mut kept: Vec<Option<Breakpoint>> = wanted.iter().map(|_| None).collect();
    let mut by_line: HashMap<(u64, Option<u64>), VecDeque<Breakpoint>> = HashMap::new();
    for breakpoint in old {
        let same = places.get_mut(&breakpoint.wanted);
        let place = same.and_then(VecDeque::pop_front);
        match place.and_then(|place| kept.get_mut(place)) {
            Some(place) => *place = Some(breakpoint),
            None => by_line
                .entry((breakpoint.wanted.line, breakpoint.wanted.column))
                .or_default()
                .push_back(breakpoint),
        }
    }
    let mut remove = Vec::new();
    for (place, wanted) in kept
        .iter_mut()
        .zip(wanted)
        .filter(|(place, _)| place.is_none())
    {
        let others = by_line.get_mut(&(wanted.line, wanted.column));
        *place = others.and_then(VecDeque::pop_front);
    }
    let merged = kept
        .into_iter()
        .zip(wanted)
        .map(|(kept, wanted)| match kept {
            Some(old)
                if old.wanted == *wanted && (old.placed.verified || old.expired) && same_map =>
            {
                old
            }
            Some(old) => {
                remove.extend(old.probes);
                Breakpoint::new(old.placed.id, wanted.clone())
            }
            None => {
                *last_id += 1;
                Breakpoint::new(*last_id, wanted.clone())
            }
        })
        .collect();
    remove.extend(
        by_line
            .into_values()
            .flatten()
            .flat_map(|breakpoint| breakpoint.probes),
    );
    (merged, remove)
}

/// What a probe's records mean, and whose they are.
pub struct Owner {
    /// The client.
    pub session: SessionId,
    /// The breakpoint's id.
    pub breakpoint: i64,
    /// The file, as the client calls it.
    pub path: Arc<str>,
    /// The line that the probe is at.
    pub line: u64,
    /// Renders the records.
    pub compiled: Arc<Compiled>,
}

/// All probes by number. Numbers are not used again before four billion others.
#[derive(Default)]
pub struct Probes {
    owners: HashMap<u32, Owner>,
    last: u32,
}

impl Probes {
    /// Gives a new probe its number.
    pub fn add(
        &mut self,
        session: SessionId,
        breakpoint: &Placed,
        path: &str,
        line: u64,
        compiled: Arc<Compiled>,
    ) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.owners.contains_key(&self.last) {
                break;
            }
        }
        let owner = Owner {
            session,
            breakpoint: breakpoint.id,
            path: path.into(),
            line,
            compiled,
        };
        self.owners.insert(self.last, owner);
        self.last
    }

    /// Forgets a probe; records of it that are still on their way are nobody's.
    pub fn remove(&mut self, probe: u32) {
        self.owners.remove(&probe);
    }

    /// All probes of a session.
    pub fn of(&self, session: SessionId) -> Vec<u32> {
        let owners = self.owners.iter();
        let owned = owners.filter(|(_, owner)| owner.session == session);
        owned.map(|(probe, _)| *probe).collect()
    }

    /// Whose a record is.
    pub fn owner(&self, probe: u32) -> Option<&Owner> {
        self.owners.get(&probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: u64, message: &str) -> Wanted {
        Wanted {
            line,
            column: None,
            condition: None,
            hit_condition: None,
            log_message: Some(message.to_owned()),
            limits: dap::Limits::default(),
        }
    }

    fn ids(breakpoints: &[Breakpoint]) -> Vec<i64> {
        breakpoints
            .iter()
            .map(|breakpoint| breakpoint.placed.id)
            .collect()
    }

    /// As if each had found one address, with a probe of the number of its id.
    fn placed(mut breakpoints: Vec<Breakpoint>) -> Vec<Breakpoint> {
        for breakpoint in &mut breakpoints {
            if breakpoint.is_pending() {
                breakpoint.probes.push(breakpoint.placed.id as u32);
                breakpoint.settle();
            }
        }
        breakpoints
    }

    #[test]
    fn a_line_keeps_its_id_and_what_says_the_same_its_probes() {
        let mut last = 0;
        let (first, _) = merge(
            Vec::new(),
            &[wanted(1, "a"), wanted(2, "b"), wanted(3, "c")],
            true,
            &mut last,
        );
        assert_eq!(ids(&first), [1, 2, 3]);
        // Another order, one edited, one gone, one new.
        let again = [wanted(3, "c"), wanted(9, "n"), wanted(2, "edited")];
        let (second, remove) = merge(placed(first), &again, true, &mut last);
        assert_eq!(ids(&second), [3, 4, 2]);
        assert_eq!(
            second
                .iter()
                .map(Breakpoint::is_pending)
                .collect::<Vec<_>>(),
            [false, true, true]
        );
        let mut remove = remove;
        remove.sort_unstable();
        assert_eq!(remove, [1, 2]);
    }

    #[test]
    fn what_has_expired_stays_so_until_it_is_wanted_anew() {
        let mut last = 0;
        let (first, _) = merge(Vec::new(), &[wanted(1, "a")], true, &mut last);
        let mut first = placed(first);
        first[0].expire("why");
        let again = [wanted(1, "a"), wanted(2, "b")];
        let (second, remove) = merge(first, &again, true, &mut last);
        assert!(second[0].expired && !second[0].is_pending() && remove.is_empty());
        let (third, _) = merge(second, &[wanted(1, "edited")], true, &mut last);
        assert!(!third[0].expired && third[0].is_pending());
    }

    #[test]
    fn two_on_one_line_stay_apart() {
        let mut last = 0;
        let (first, _) = merge(
            Vec::new(),
            &[wanted(1, "a"), wanted(1, "b")],
            true,
            &mut last,
        );
        let (second, remove) = merge(
            placed(first),
            &[wanted(1, "b"), wanted(1, "x")],
            true,
            &mut last,
        );
        assert_eq!(ids(&second), [2, 1]);
        assert_eq!(remove, [1]);
        assert!(!second[0].is_pending() && second[1].is_pending());
    }

    #[test]
    fn many_on_one_line_are_not_compared_each_with_each() {
        // What a request may have: 50 GB of texts would be compared.
        let number = |number: usize| wanted(1, &format!("{}{number}", "x".repeat(1 << 10)));
        let all: Vec<Wanted> = (0..10_000).map(number).collect();
        let mut last = 0;
        let (first, _) = merge(Vec::new(), &all, true, &mut last);
        let again: Vec<Wanted> = all.into_iter().rev().collect();
        let (second, remove) = merge(placed(first), &again, true, &mut last);
        assert!(ids(&second).into_iter().eq((1..=10_000).rev()));
        assert!(remove.is_empty());
    }

    #[test]
    fn another_source_map_resolves_all_anew() {
        let mut last = 0;
        let (first, _) = merge(Vec::new(), &[wanted(1, "a")], true, &mut last);
        let (second, remove) = merge(placed(first), &[wanted(1, "a")], false, &mut last);
        assert!(second[0].is_pending());
        assert_eq!((ids(&second), remove), (vec![1], vec![1]));
    }
}
