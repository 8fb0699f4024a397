//! The debugger while awake: joins sessions, symbols, capture programs and the engine.
//!
//! * A `setBreakpoints` comes in by [`Backend::set_breakpoints`]: [`resolve`] finds the line's addresses and compiles
//!   the message for each, the engine patches them.
//! * A hit comes in by the [`mod@pump`]: the engine's record is rendered and goes out by the session's outlet.

mod breakpoints;
mod pump;
mod resolve;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use dap::SourceMap;
use tokio::sync::Notify;

use crate::capture::compile::Knowledge;
use crate::capture::redact::Redaction;
use crate::config::Config;
use crate::engine::{Budget, Engine, EngineError, Placement};
use crate::error::{Error, Result};
use crate::server::backend::{Backend, Notice, Placed, SessionId, Wanted};
use crate::server::outlet::Outlet;
use crate::symbols::Symbols;
use breakpoints::{Breakpoint, File, Probes, Session};
use resolve::Resolved;

pub use pump::pump;

/// See the module's documentation. Dropping it restores the program's code.
pub struct Debugger {
    symbols: Symbols,
    knowledge: Knowledge,
    engine: Engine,
    sessions: HashMap<SessionId, Session>,
    probes: Probes,
    last_id: i64,
    /// Told when breakpoints changed, and with them what the pump has to wait for.
    changed: Rc<Notify>,
}

impl Debugger {
    /// Opens the debug information and tries whether this process can be traced.
    pub fn start(config: &Config) -> Result<Self> {
        let symbols =
            Symbols::load().map_err(|error| Error::DebugInfoMissing(error.to_string()))?;
        for module in symbols.missing_info() {
            tracing::debug!(
                module = module.module,
                "no logpoints there: {}",
                module.reason
            );
        }
        let budget = Budget {
            site_share: config.logpoint_budget,
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
            engine,
            sessions: HashMap::new(),
            probes: Probes::default(),
            last_id: 0,
            changed: Rc::default(),
        })
    }

    /// Resolves the breakpoints that are `pending`, places their probes while it removes those of `remove`, and writes
    /// down what became of each.
    fn place(
        &mut self,
        session: SessionId,
        path: &str,
        map: &SourceMap,
        pending: &mut [Breakpoint],
        remove: &[u32],
    ) {
        let resolved = self.resolve(path, map, pending);
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
                    for (place, compiled) in resolved.places {
                        let program = compiled.program.clone();
                        let probe = self.probes.add(session, path, resolved.line, compiled);
                        placements.push(Placement {
                            probe,
                            address: place.address,
                            text: place.text,
                            program,
                        });
                        owners.push((index, probe));
                    }
                }
            }
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
        path: &str,
        map: &SourceMap,
        breakpoints: &[Breakpoint],
    ) -> Vec<(usize, std::result::Result<Resolved, String>)> {
        let program_path = map.to_program(path);
        let path = program_path.as_deref().unwrap_or(path);
        // Once for all of its lines, and not at all where none waits.
        let file = std::cell::LazyCell::new(|| self.symbols.file(path));
        let pending = breakpoints.iter().enumerate();
        pending
            .filter(|(_, breakpoint)| breakpoint.is_pending())
            .map(|(index, breakpoint)| {
                let find = |line| match &*file {
                    Ok(file) => file.line(line).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let resolved =
                    resolve::resolve(&self.symbols, &self.knowledge, find, &breakpoint.wanted);
                (index, resolved)
            })
            .collect()
    }

    /// Forgets probes that the engine has removed, after their last records are delivered.
    fn forget(&mut self, removed: &[u32]) {
        self.deliver(usize::MAX);
        for probe in removed {
            self.probes.remove(*probe);
        }
    }

    /// Tries again what was not found, after libraries came or went; tells the clients what changed.
    fn modules_changed(&mut self) {
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in sessions {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            let outlet = session.outlet.clone();
            for (path, mut file) in std::mem::take(&mut session.files) {
                let mut remove = Vec::new();
                let before: Vec<Placed> = file
                    .breakpoints
                    .iter()
                    .map(|breakpoint| breakpoint.placed.clone())
                    .collect();
                for breakpoint in &mut file.breakpoints {
                    let gone = |probe: &u32| {
                        self.engine
                            .address(*probe)
                            .is_none_or(|at| self.symbols.text_at(at).is_none())
                    };
                    if !breakpoint.placed.verified || breakpoint.probes.iter().any(gone) {
                        remove.append(&mut breakpoint.probes);
                        breakpoint.retry();
                    }
                }
                self.place(id, &path, &file.map.clone(), &mut file.breakpoints, &remove);
                for (breakpoint, before) in file.breakpoints.iter().zip(before) {
                    if breakpoint.placed != before {
                        outlet.send(Notice::BreakpointChanged(breakpoint.placed_at(&path)));
                    }
                }
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.files.insert(path, file);
                }
            }
        }
    }
}

impl Backend for Debugger {
    fn open(&mut self, session: SessionId, outlet: Outlet) {
        self.sessions.insert(
            session,
            Session {
                outlet,
                files: HashMap::new(),
            },
        );
    }

    fn set_breakpoints(
        &mut self,
        session: SessionId,
        path: &str,
        source_map: &SourceMap,
        wanted: &[Wanted],
    ) -> Vec<Placed> {
        if self.symbols.refresh() {
            self.modules_changed();
        }
        let Some(state) = self.sessions.get_mut(&session) else {
            return Vec::new();
        };
        let old = state.files.remove(path).unwrap_or_default();
        let same_map = old.map == *source_map;
        let (mut breakpoints, remove) =
            breakpoints::merge(old.breakpoints, wanted, same_map, &mut self.last_id);
        self.place(session, path, source_map, &mut breakpoints, &remove);
        self.changed.notify_one();
        let placed = breakpoints
            .iter()
            .map(|breakpoint| breakpoint.placed.clone())
            .collect();
        if let Some(state) = self.sessions.get_mut(&session)
            && !breakpoints.is_empty()
        {
            state.files.insert(
                path.to_owned(),
                File {
                    map: source_map.clone(),
                    breakpoints,
                },
            );
        }
        placed
    }

    fn threads(&mut self) -> Vec<(i64, String)> {
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
        let Some(state) = self.sessions.get(&session) else {
            return;
        };
        let breakpoints = state.files.values().flat_map(|file| &file.breakpoints);
        let probes: Vec<u32> = breakpoints
            .flat_map(|breakpoint| &breakpoint.probes)
            .copied()
            .collect();
        self.engine.change(&probes, Vec::new());
        self.forget(&probes);
        self.sessions.remove(&session);
    }
}
