//! One client's requests and their answers, without I/O.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dap::{
    AttachArguments, Breakpoint, Capabilities, Command, Conventions, EnvelopeError, Event, Failure,
    FailureId, Incoming, InitializeArguments, Limits, PathError, Request, Response, ResponseBody,
    SetBreakpointsArguments, SourceBreakpoint, SourceMap, Thread,
};
use serde_json::Value;

use super::MAX_CLIENTS;
use super::audit::{Logpoint, Peer, Trail};
use super::backend::{Backend, NamedFile, Notice, Placed, SessionId, Wanted, WrongExpressions};
use super::clients::{Clients, Kind, Seat};
use super::detrix;
use super::outlet::Outlet;
use super::quota::{self, Quota};
use crate::caught::attempted;

/// What this adapter can do.
const CAPABILITIES: Capabilities = Capabilities {
    supports_configuration_done_request: true,
    supports_conditional_breakpoints: true,
    supports_hit_conditional_breakpoints: true,
    supports_log_points: true,
    supports_cancel_request: true,
};

/// The state of one client's session. Dropping it closes it at the backend.
pub struct Session<B: Backend> {
    id: SessionId,
    backend: Rc<RefCell<B>>,
    peer: Peer,
    clients: Clients,
    outlet: Outlet,
    stage: Stage,
    source_map: SourceMap,
    /// What logpoints may cost, and how long they live, where they do not say so themselves.
    limits: Limits,
    quota: Quota,
    /// While it is open at the backend.
    presence: Option<Presence>,
}

/// That the client is there, for those who count and those who write it down.
struct Presence {
    trail: Trail,
    _seat: Seat,
}

enum Stage {
    /// There is no room for it.
    Refused,
    /// Nothing was agreed upon yet.
    New,
    /// Open at the backend. The source map and limits come with `attach`, but clients may set breakpoints before it, as
    /// soon as they see `initialized`; these are kept, by file, to be placed again with both.
    Initialized(BTreeMap<NamedFile, Vec<Wanted>>),
    /// Open at the backend, and the source map and limits are known.
    Attached,
    /// Closed.
    Over,
}

/// What to do with the connection after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Take more.
    Go,
    /// Write what is to be written, and close.
    End,
}

/// What a request led to: its response's body, and events that go after the response.
type Answer = Result<(Option<ResponseBody>, Vec<Event>), Failure>;

impl<B: Backend> Session<B> {
    /// A session for a client that has just connected.
    pub fn new(id: SessionId, peer: Peer, clients: Clients, backend: Rc<RefCell<B>>) -> Self {
        Self::at(Stage::New, id, peer, clients, backend)
    }

    /// A session that answers the first request, whatever it is, with the reason why there is no room, and ends.
    pub fn refused(peer: Peer, clients: Clients, backend: Rc<RefCell<B>>) -> Self {
        Self::at(Stage::Refused, 0, peer, clients, backend)
    }

    fn at(
        stage: Stage,
        id: SessionId,
        peer: Peer,
        clients: Clients,
        backend: Rc<RefCell<B>>,
    ) -> Self {
        Self {
            id,
            backend,
            peer,
            clients,
            outlet: Outlet::new(),
            stage,
            source_map: SourceMap::default(),
            limits: Limits::default(),
            quota: Quota::default(),
            presence: None,
        }
    }

    /// Whether the client has yet to initialize it.
    pub fn is_new(&self) -> bool {
        matches!(self.stage, Stage::New)
    }

    /// What waits to be sent to this client.
    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Takes one message; what it leads to is in the outlet afterwards.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`]: end the connection.
    pub fn receive(&mut self, message: Value) -> Result<Next, EnvelopeError> {
        let Incoming::Request(request) = Incoming::from_value(message)? else {
            return Ok(Next::Go);
        };
        let (result, events) = match self.answer(&request) {
            Ok((body, events)) => (Ok(body), events),
            Err(failure) => (Err(failure), Vec::new()),
        };
        self.outlet.push_response(&Response::new(&request, result));
        for event in events {
            self.outlet.push_event(&event);
        }
        Ok(match self.stage {
            Stage::Refused | Stage::Over => Next::End,
            _ => Next::Go,
        })
    }

    /// Removes everything that this session set; the text is restored when it returns. What the backend sends while it
    /// does so still goes out.
    pub fn close(&mut self) {
        let before = std::mem::replace(&mut self.stage, Stage::Over);
        if matches!(before, Stage::Initialized(_) | Stage::Attached) {
            self.outlet.expect_the_rest();
            self.backend.borrow_mut().close(self.id);
        }
        if let Some(presence) = self.presence.take() {
            presence.trail.detached();
        }
        self.outlet.close();
    }

    /// Tells the client that debugging is over, because the server ends: the last word.
    pub fn terminated(&self) {
        self.outlet.push_event(&Event::Terminated);
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if let Stage::Refused = self.stage {
            let text =
                format!("{MAX_CLIENTS} debug clients are connected already: close one first");
            return Err(Failure::new(FailureId::TooManyClients, text));
        }
        let body = match (Command::parse(request)?, &self.stage) {
            (Command::Initialize(arguments), Stage::New) => return self.initialize(&arguments),
            (Command::Initialize(_), _) => {
                let text = "the session is initialized already".to_owned();
                return Err(Failure::new(FailureId::AlreadyInitialized, text));
            }
            // Not harmful, and all that a client can do that was refused at `initialize`.
            (Command::Disconnect, _) => {
                self.close();
                None
            }
            (_, Stage::New) => {
                let text = format!("`initialize` must come before `{}`", request.command);
                return Err(Failure::new(FailureId::NotInitialized, text));
            }
            (Command::Attach(arguments), _) => return self.attach(arguments),
            (Command::SetBreakpoints(arguments), _) => Some(self.set_breakpoints(arguments)?),
            (Command::Threads, _) => Some(self.threads()),
            // Requests are answered one after the other, so what a client wants to cancel is answered already.
            (Command::ConfigurationDone | Command::Cancel, _) => None,
            (Command::Pause, _) => {
                let text = "no thread is stopped here; set a logpoint (a breakpoint with a `logMessage`) to see values while the program runs";
                return Err(Failure::new(FailureId::CannotStop, text.to_owned()));
            }
            (_, _) => {
                let text = format!("`{}` needs a stopped thread", request.command);
                return Err(Failure::new(FailureId::NotStopped, text));
            }
        };
        Ok((body, Vec::new()))
    }

    fn initialize(&mut self, arguments: &InitializeArguments) -> Answer {
        let conventions = Conventions::of(arguments).map_err(bad_path)?;
        self.outlet.set_conventions(conventions);
        let client = arguments.client_id();
        let (kind, wrong) = match detrix::is_daemon(client) {
            true => {
                self.outlet.set_daemon();
                (Kind::Daemon, WrongExpressions::Show)
            }
            false => (Kind::Other, WrongExpressions::Refuse),
        };
        self.presence = Some(Presence {
            trail: Trail::attached(self.id, self.peer, client),
            _seat: self.clients.seat(kind),
        });
        self.stage = Stage::Initialized(BTreeMap::new());
        let outlet = self.outlet.clone();
        self.backend.borrow_mut().open(self.id, wrong, outlet);
        // Not later: there are clients that wait for `initialized` before they attach.
        let body = ResponseBody::Initialize(CAPABILITIES);
        Ok((Some(body), vec![Event::Initialized]))
    }

    fn attach(&mut self, arguments: AttachArguments) -> Answer {
        let conventions = self.outlet.conventions();
        let source_map = conventions
            .source_map_from_client(arguments.source_map)
            .map_err(bad_path)?;
        let admitted = self.quota.admit_map(&source_map);
        admitted.map_err(|why| Failure::new(FailureId::BadArguments, why))?;
        self.source_map = source_map;
        self.limits = arguments.limits;
        if let Stage::Initialized(early) = std::mem::replace(&mut self.stage, Stage::Attached)
            && !(self.source_map.is_empty() && self.limits == Limits::default())
        {
            self.place_again(early);
        }
        Ok((None, Vec::new()))
    }

    /// Places breakpoints anew that were set before the source map and the limits were known, and tells what became of them.
    fn place_again(&mut self, early: BTreeMap<NamedFile, Vec<Wanted>>) {
        for (file, mut wanted) in early {
            for wanted in &mut wanted {
                wanted.limits = wanted.limits.or(&self.limits);
            }
            for mut placed in self.place(&file, &wanted) {
                placed.path.get_or_insert_with(|| file.path.clone());
                self.outlet.send(Notice::BreakpointChanged(placed));
            }
        }
    }

    /// Has the backend place what is wanted of a file, and writes it down.
    fn place(&mut self, file: &NamedFile, wanted: &[Wanted]) -> Vec<Placed> {
        let mut backend = self.backend.borrow_mut();
        let placed = backend.set_breakpoints(self.id, file, &self.source_map, wanted);
        drop(backend);
        if let Some(presence) = &mut self.presence {
            let all = wanted.iter().zip(&placed);
            let set = all.filter(|(_, placed)| placed.verified);
            let set = set.map(|(wanted, _)| logpoint(wanted)).collect();
            presence.trail.set(file, set);
        }
        placed
    }

    fn set_breakpoints(
        &mut self,
        arguments: SetBreakpointsArguments,
    ) -> Result<ResponseBody, Failure> {
        let conventions = self.outlet.conventions();
        let path = conventions.path_from_client(&arguments.source);
        let path = path.map_err(bad_path)?;
        let file = match self.outlet.is_daemon() {
            true => detrix::file(&arguments.source, path),
            false => NamedFile { path, name: None },
        };
        check_path(&file)?;
        let asked = arguments.into_breakpoints();
        if asked.len() > quota::IN_ANSWER {
            return Err(too_many(asked.len()));
        }
        // It may be left out, and would be in each of them.
        let paths = asked.len().saturating_mul(file.path.len());
        let path = (paths <= quota::ANSWERED_PATHS).then_some(&*file.path);
        let asked = asked
            .into_iter()
            .map(|breakpoint| wanted(breakpoint, conventions, &self.limits));
        let asked = self.quota.admit(&file, asked);
        let wanted: Vec<Wanted> = asked.iter().flatten().cloned().collect();
        let mut placed = self.place(&file, &wanted).into_iter();
        let breakpoints = asked
            .into_iter()
            .map(|asked| {
                let over = || "the session is over".to_owned();
                match asked.and_then(|_| placed.next().ok_or_else(over)) {
                    Ok(placed) => self.outlet.breakpoint(placed, path),
                    Err(why) => Breakpoint {
                        message: Some(why),
                        source: path.map(|path| conventions.source_to_client(path)),
                        ..Breakpoint::default()
                    },
                }
            })
            .collect();
        if let Stage::Initialized(early) = &mut self.stage {
            match wanted.is_empty() {
                true => early.remove(&file),
                false => early.insert(file, wanted),
            };
        }
        Ok(ResponseBody::SetBreakpoints { breakpoints })
    }

    fn threads(&self) -> ResponseBody {
        let threads = self.backend.borrow_mut().threads();
        ResponseBody::Threads {
            threads: threads
                .into_iter()
                .map(|(id, name)| Thread { id, name })
                .collect(),
        }
    }
}

impl<B: Backend> Drop for Session<B> {
    /// A panic may be what drops it, and whatever panics here on top of that, a subscriber of `tracing` or rendering, would
    /// end the program. What [`Session::close`] does it takes before it does it, so the next attempt goes on behind that.
    fn drop(&mut self) {
        const PARTS: usize = 3;
        let _ = (0..=PARTS).any(|_| attempted(|| self.close()).is_ok());
    }
}

fn wanted(
    breakpoint: SourceBreakpoint,
    conventions: Conventions,
    limits: &Limits,
) -> Result<Wanted, String> {
    let line = conventions.line_from_client(breakpoint.line);
    let own = Limits {
        hit_limit: breakpoint.hit_limit,
        ttl: breakpoint.ttl,
        ..Limits::default()
    };
    // Clients leave an empty text in a field that their user cleared.
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Wanted {
        line: line.ok_or("there is no such line")?,
        column: breakpoint
            .column
            .and_then(|column| conventions.column_from_client(column)),
        condition: filled(breakpoint.condition),
        hit_condition: filled(breakpoint.hit_condition),
        log_message: filled(breakpoint.log_message),
        limits: own.or(limits),
    })
}

/// Long paths are refused, since each breakpoint of the answer has one.
fn check_path(file: &NamedFile) -> Result<(), Failure> {
    let longest = file
        .path
        .len()
        .max(file.name.as_ref().map_or(0, String::len));
    match longest <= quota::PATH_BYTES {
        true => Ok(()),
        false => Err(Failure::new(
            FailureId::BadPath,
            format!(
                "the source's path or name has {longest} bytes, and may have {}: give the file's own path",
                quota::PATH_BYTES
            ),
        )),
    }
}

fn too_many(asked: usize) -> Failure {
    let text = format!(
        "the request has {asked} breakpoints, of which a file can have {}, and a client {}: send fewer",
        quota::IN_REQUEST,
        quota::IN_SESSION
    );
    Failure::new(FailureId::BadArguments, text)
}

fn logpoint(wanted: &Wanted) -> Logpoint {
    (wanted.line, wanted.log_message.clone().unwrap_or_default())
}

fn bad_path(error: PathError) -> Failure {
    Failure::new(FailureId::BadPath, error.to_string())
}
