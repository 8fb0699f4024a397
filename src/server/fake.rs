//! A server on a real socket with a debugger that is made up: every logpoint is hit once, as soon as it is set.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc;

use dap::SourceMap;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use super::Drained;
use super::backend::{Backend, Hit, NamedFile, Part, Placed, SessionId, Wanted, WrongExpressions};
use super::clients::Clients;
use super::outlet::Outlet;
use crate::collected::Collected;
use crate::config::allow::Allow;
use detrix_test_support::rows::{Target, WAIT};

/// The one line that has no code.
pub const BAD_LINE: u64 = 13;

/// What the server asked of the debugger.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Open(SessionId, WrongExpressions),
    Set {
        session: SessionId,
        file: NamedFile,
        source_map: SourceMap,
        wanted: Vec<Wanted>,
    },
    Threads,
    Close(SessionId),
}

type Action = Box<dyn FnOnce(&mut FakeBackend) + Send>;

pub struct FakeBackend {
    calls: mpsc::Sender<Call>,
    pub outlets: BTreeMap<SessionId, Outlet>,
    /// How many hits are reported when a session is closed.
    pub last_hits: usize,
    ids: BTreeMap<(SessionId, String, u64), i64>,
}

impl FakeBackend {
    fn record(&self, call: Call) {
        // A test that looks at no calls has dropped the other end.
        let _ = self.calls.send(call);
    }
}

impl Backend for FakeBackend {
    fn open(&mut self, session: SessionId, wrong: WrongExpressions, outlet: Outlet) {
        self.outlets.insert(session, outlet);
        self.record(Call::Open(session, wrong));
    }

    fn set_breakpoints(
        &mut self,
        session: SessionId,
        file: &NamedFile,
        source_map: &SourceMap,
        wanted: &[Wanted],
    ) -> Vec<Placed> {
        self.record(Call::Set {
            session,
            file: file.clone(),
            source_map: source_map.clone(),
            wanted: wanted.to_vec(),
        });
        let path = &file.path;
        let mut placed = Vec::new();
        for wanted in wanted {
            let next = self.ids.len() as i64 + 1;
            let key = (session, path.clone(), wanted.line);
            let id = *self.ids.entry(key).or_insert(next);
            let plain = wanted.condition.is_none() && wanted.hit_condition.is_none();
            let verified = plain && wanted.log_message.is_some() && wanted.line != BAD_LINE;
            if let Some(text) = wanted.log_message.as_deref().filter(|_| verified) {
                self.outlets[&session].log(&Hit {
                    breakpoint: id,
                    path,
                    line: wanted.line,
                    ..hit(&[Part::Text(text)])
                });
            }
            placed.push(Placed {
                id,
                verified,
                message: (!verified).then(|| "not here".to_owned()),
                line: verified.then_some(wanted.line),
                path: None,
                instruction: verified.then_some(0x1000 + wanted.line),
            });
        }
        placed
    }

    fn threads(&mut self) -> Vec<(i64, String)> {
        self.record(Call::Threads);
        vec![(1, "main".to_owned())]
    }

    fn close(&mut self, session: SessionId) {
        let outlet = self.outlets.remove(&session);
        let outlet = outlet.expect("closed once, after it was opened");
        for _ in 0..self.last_hits {
            outlet.log(&hit(&[Part::Text("the last hit")]));
        }
        self.record(Call::Close(session));
    }
}

/// A hit somewhere.
pub fn hit<'a>(parts: &'a [Part<'a>]) -> Hit<'a> {
    Hit {
        breakpoint: 1,
        thread: 42,
        path: "/src/main.rs",
        line: 7,
        parts,
    }
}

pub struct FakeServer {
    pub target: Target,
    pub clients: Clients,
    pub audit: Collected,
    calls: mpsc::Receiver<Call>,
    actions: tokio_mpsc::UnboundedSender<Action>,
    stop: oneshot::Sender<()>,
    ended: mpsc::Receiver<Drained>,
}

impl FakeServer {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1", &[])
    }

    /// Listens on `host`, for those that `allow` lists.
    pub fn start_at(host: &str, allow: &[&str]) -> Self {
        let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
        let allow = Allow::parse(&allow).unwrap();
        let (clients, audit) = (Clients::new(), Collected::audit());
        let (calls_sender, calls) = mpsc::channel();
        let (actions, mut actions_receiver) = tokio_mpsc::unbounded_channel::<Action>();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let listener = std::net::TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let target = Target {
            address: listener.local_addr().unwrap(),
            path: "/src/main.rs".to_owned(),
            lines: [7, 9],
            bad_line: BAD_LINE,
        };
        let (counting, kept) = (clients.clone(), audit.clone());
        std::thread::spawn(move || {
            let _kept = kept.here();
            let backend = Rc::new(RefCell::new(FakeBackend {
                calls: calls_sender,
                outlets: BTreeMap::new(),
                last_hits: 1,
                ids: BTreeMap::new(),
            }));
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            let acting = Rc::clone(&backend);
            let drained = tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::task::spawn_local(async move {
                    while let Some(action) = actions_receiver.recv().await {
                        action(&mut acting.borrow_mut());
                    }
                });
                super::serve(listener, backend, allow, counting, async move {
                    // A test that is over has dropped the other end.
                    let _ = stopped.await;
                })
                .await
                .end()
                .await
            });
            // A test that does not stop the server has dropped the other end.
            let _ = end.send(drained);
        });
        Self {
            target,
            clients,
            audit,
            calls,
            actions,
            stop,
            ended,
        }
    }

    /// Waits for the next call that the server makes.
    pub fn next_call(&self) -> Call {
        self.calls.recv_timeout(WAIT).unwrap()
    }

    /// The calls that were made until now.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.try_iter().collect()
    }

    /// Does something in the debugger, on the server's thread, and waits until it is done.
    pub fn act(&self, action: impl FnOnce(&mut FakeBackend) + Send + 'static) {
        let (done, wait) = mpsc::channel();
        let action = move |backend: &mut FakeBackend| {
            action(backend);
            done.send(()).unwrap();
        };
        assert!(self.actions.send(Box::new(action)).is_ok());
        wait.recv_timeout(WAIT).unwrap();
    }

    /// Ends the server, and waits until it has.
    pub fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.ended.recv_timeout(WAIT).unwrap()
    }
}
