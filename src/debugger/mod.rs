//! The debugger while awake: joins sessions, symbols, capture programs and the engine.
//!
//! * A `setBreakpoints` comes in by [`Backend::set_breakpoints`]: [`resolve`] finds the line's addresses and compiles
//!   the message for each, the engine patches them.
//! * A hit comes in by the [`mod@pump`]: the engine's record is rendered and goes out by the session's outlet.

mod breakpoints;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod limits;
mod notices;
mod pump;
mod resolve;
mod roster;
mod telling;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dap::SourceMap;
use tokio::sync::Notify;

use crate::capture::logpoint::Knowledge;
use crate::capture::redact::Redaction;
use crate::config::Config;
use crate::engine::{self, Account, Budget, Engine, EngineError, Placement};
use crate::error::{Error, Result};
use crate::server::backend::{
    Backend, NamedFile, Notice, Placed, SessionId, Wanted, WrongExpressions,
};
use crate::server::outlet::Outlet;
use crate::symbols::Symbols;
use breakpoints::{Breakpoint, File, Probes, Session};
use limits::{Allowed, Group};
use resolve::Resolved;

pub use pump::pump;
pub use roster::Roster;

/// Opens the debug information.
///
/// # Errors
///
/// [`Error::DebugInfoMissing`] where the executable has none that can be read.
pub fn load_symbols() -> Result<Symbols> {
    let symbols = Symbols::load().map_err(|error| Error::DebugInfoMissing(error.to_string()))?;
    for module in symbols.missing_info() {
        tracing::debug!(
            module = module.module,
            "no logpoints there: {}",
            module.reason
        );
    }
    Ok(symbols)
}

/// What went wrong since the start that nobody had asked about: why all logpoints are gone.
pub type Trouble = Arc<Mutex<Option<String>>>;

/// What is said to whoever wants to hold a thread that must not be held.
const SAFE_MODE: &str = "this process is in safe mode (safe_mode, DETRIX_SAFE_MODE), which refuses breakpoints that would \
                         stop a thread; give it a log message";

/// Why there is nothing in a library, for the second until libraries are looked at again.
const LIBRARIES_MOVE: &str =
    "libraries were loaded or unloaded just then; it is set as soon as its library is there";

/// See the module's documentation. Dropping it restores the program's code.
pub struct Debugger {
    symbols: Symbols,
    knowledge: Knowledge,
    engine: Engine,
    sessions: HashMap<SessionId, Session>,
    probes: Probes,
    last_id: i64,
    /// What logpoints may cost, and how long they live, at the most.
    allowed: Allowed,
    roster: Roster,
    /// Whether nothing may hold a thread.
    safe_mode: bool,
    /// What went wrong last, for whoever asks on whatever thread.
    trouble: Trouble,
    /// Told when breakpoints changed, and with them what the pump has to wait for.
    changed: Rc<Notify>,
}

impl Debugger {
    /// Tries whether this process can be traced.
    ///
    /// # Errors
    ///
    /// [`Error::TracingRefused`], with what to change.
    pub fn start(config: &Config, symbols: Symbols) -> Result<Self> {
        let budget = Budget {
            total_share: config.total_budget,
        };
        let engine = Engine::start(budget).map_err(|error| match error {
            EngineError::Resources(error) => Error::IoError(error),
            error => Error::TracingRefused(error.to_string()),
        })?;
        Ok(Self {
            symbols,
            knowledge: Knowledge {
                views: config.views.as_slice().into(),
                redaction: Arc::new(Redaction::new(&config.redact, config.redact_strict)),
            },
            roster: Roster::new(engine.total(), engine.backlog()),
            engine,
            sessions: HashMap::new(),
            probes: Probes::default(),
            last_id: 0,
            allowed: Allowed::new(config),
            safe_mode: config.safe_mode,
            trouble: Trouble::default(),
            changed: Rc::default(),
        })
    }

    /// What went wrong last, now and later.
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Resolves the breakpoints that are `pending`, places their probes while it removes those of `remove`, and writes
    /// down what became of each.
    fn place(
        &mut self,
        session: SessionId,
        file: &NamedFile,
        map: &SourceMap,
        pending: &mut [Breakpoint],
        remove: &[u32],
    ) {
        let wrong = match self.sessions.get(&session) {
            Some(session) => session.wrong,
            None => return,
        };
        let resolved = self.resolve(file, map, wrong, pending);
        let Some(owner) = self.sessions.get_mut(&session) else {
            return;
        };
        let mut placements = Vec::new();
        let mut owners = Vec::new();
        for (index, resolved) in resolved {
            let Some(breakpoint) = pending.get_mut(index) else {
                continue;
            };
            match resolved {
                Err(why) => breakpoint.refuse(why),
                Ok(resolved) => {
                    breakpoint.found(&resolved);
                    let wanted = &breakpoint.wanted.limits;
                    let (limits, ttl) = self.allowed.limits(wanted, &mut owner.group);
                    breakpoint.account = Arc::new(Account::new(&limits));
                    breakpoint.expires = ttl.and_then(|ttl| Instant::now().checked_add(ttl));
                    for (place, compiled) in resolved.places {
                        let program = compiled.program.clone();
                        let about = &breakpoint.placed;
                        let line = resolved.line;
                        let path = &file.path;
                        let probe = self.probes.add(session, about, path, line, compiled);
                        placements.push(Placement {
                            probe,
                            address: place.address,
                            text: place.text,
                            origin: None,
                            program,
                            account: breakpoint.account.clone(),
                        });
                        owners.push((index, probe));
                    }
                }
            }
        }
        engine::locate(&mut placements);
        if !self.symbols.are_current() {
            // What was located may be another thing in a library's place.
            let sites = owners.into_iter().zip(placements);
            let (stay, may_be_gone): (Vec<_>, Vec<_>) =
                sites.partition(|(_, placement)| self.symbols.is_in_executable(placement.address));
            for ((index, probe), _) in may_be_gone {
                self.probes.remove(probe);
                if let Some(breakpoint) = pending.get_mut(index) {
                    breakpoint.place_failed(LIBRARIES_MOVE.to_owned());
                }
            }
            (owners, placements) = stay.into_iter().unzip();
        }
        let results = self.engine.change(remove, placements);
        self.forget(remove);
        for ((index, probe), result) in owners.into_iter().zip(results) {
            let Some(breakpoint) = pending.get_mut(index) else {
                continue;
            };
            if let Err(error) = &result {
                self.probes.remove(probe);
                breakpoint.place_failed(error.to_string());
            } else {
                breakpoint.probes.push(probe);
            }
        }
        for breakpoint in pending.iter_mut() {
            breakpoint.settle();
        }
    }

    /// Resolves those of a file's breakpoints that wait for it: by index, what was found, or why nothing was.
    fn resolve(
        &self,
        file: &NamedFile,
        map: &SourceMap,
        wrong: WrongExpressions,
        breakpoints: &[Breakpoint],
    ) -> Vec<(usize, std::result::Result<Resolved, String>)> {
        let lookup = |path: &str| {
            let program_path = map.to_program(path);
            self.symbols.file(program_path.as_deref().unwrap_or(path))
        };
        // Once for all of its lines, and not at all where none waits.
        let file = std::cell::LazyCell::new(|| {
            lookup(&file.path).or_else(|error| match &file.name {
                Some(name) => lookup(name),
                None => Err(error),
            })
        });
        let pending = breakpoints.iter().enumerate();
        pending
            .filter(|(_, breakpoint)| breakpoint.is_pending())
            .map(|(index, breakpoint)| {
                let wanted = &breakpoint.wanted;
                let resolved = match wanted.log_message {
                    None if self.safe_mode => Err(SAFE_MODE.to_owned()),
                    _ => {
                        let file = file.as_ref().map_err(ToString::to_string);
                        resolve::resolve(&self.symbols, &self.knowledge, file, wanted, wrong)
                    }
                };
                (index, resolved)
            })
            .collect()
    }

    /// Forgets probes that the engine has removed, after their last records are delivered.
    fn forget(&mut self, removed: &[u32]) {
        self.deliver_before(usize::MAX);
        for probe in removed {
            self.probes.remove(*probe);
        }
    }

    /// Tries again what was not found or is not in the code any more, after libraries came or went; tells the clients what
    /// changed.
    fn modules_changed(&mut self) {
        self.engine.modules_changed();
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in sessions {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            let outlet = session.outlet.clone();
            for (name, mut file) in std::mem::take(&mut session.files) {
                let mut remove = Vec::new();
                let before: Vec<Placed> = file
                    .breakpoints
                    .iter()
                    .map(|breakpoint| breakpoint.placed.clone())
                    .collect();
                for breakpoint in &mut file.breakpoints {
                    let gone = |probe: &u32| {
                        self.engine.is_silent(*probe)
                            || self
                                .engine
                                .address(*probe)
                                .is_none_or(|at| self.symbols.text_at(at).is_none())
                    };
                    if breakpoint.expired {
                        continue;
                    }
                    if !breakpoint.placed.verified || breakpoint.probes.iter().any(gone) {
                        remove.append(&mut breakpoint.probes);
                        breakpoint.retry();
                    }
                }
                self.place(id, &name, &file.map.clone(), &mut file.breakpoints, &remove);
                for (breakpoint, before) in file.breakpoints.iter().zip(before) {
                    if breakpoint.placed != before {
                        outlet.send(Notice::BreakpointChanged(breakpoint.placed_at(&name.path)));
                    }
                }
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.files.insert(name, file);
                }
            }
        }
        self.publish_roster();
    }
}

impl Backend for Debugger {
    fn open(&mut self, session: SessionId, wrong: WrongExpressions, outlet: Outlet) {
        self.sessions.insert(
            session,
            Session {
                outlet,
                wrong,
                files: HashMap::new(),
                group: Group::default(),
            },
        );
    }

    fn set_breakpoints(
        &mut self,
        session: SessionId,
        file: &NamedFile,
        source_map: &SourceMap,
        wanted: &[Wanted],
    ) -> Vec<Placed> {
        if self.symbols.refresh() {
            self.modules_changed();
        }
        let Some(state) = self.sessions.get_mut(&session) else {
            return Vec::new();
        };
        let old = state.files.remove(file).unwrap_or_default();
        let same_map = old.map == *source_map;
        let (mut breakpoints, remove) =
            breakpoints::merge(old.breakpoints, wanted, same_map, &mut self.last_id);
        self.place(session, file, source_map, &mut breakpoints, &remove);
        self.changed.notify_one();
        let placed = breakpoints
            .iter()
            .map(|breakpoint| breakpoint.placed.clone())
            .collect();
        if let Some(state) = self.sessions.get_mut(&session)
            && !breakpoints.is_empty()
        {
            state.files.insert(
                file.clone(),
                File {
                    map: source_map.clone(),
                    breakpoints,
                },
            );
        }
        self.publish_roster();
        placed
    }

    fn threads(&mut self) -> Vec<(i64, String)> {
        // Who asks has what was logged before, and knows it by the answer; of a flood the first of it.
        self.deliver_before(pump::BATCH);
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
            return Vec::new();
        };
        let tids = tasks
            .flatten()
            .filter_map(|task| task.file_name().to_str()?.parse::<i32>().ok());
        let mut threads: Vec<(i64, String)> = tids
            .filter(|tid| !self.engine.is_own_thread(*tid))
            .filter_map(|tid| {
                let name = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm")).ok()?;
                Some((tid.into(), name.trim_end().to_owned()))
            })
            .collect();
        threads.sort_unstable();
        threads
    }

    fn close(&mut self, session: SessionId) {
        // Those as well that a panic left without a breakpoint.
        let probes = self.probes.of(session);
        self.engine.change(&probes, Vec::new());
        self.forget(&probes);
        self.sessions.remove(&session);
        self.publish_roster();
    }
}
