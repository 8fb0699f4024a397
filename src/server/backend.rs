//! What the sessions need of the debugger.

use dap::{Limits, SourceMap};

use super::outlet::Outlet;

/// Names one client's session; never used again while its server runs.
pub type SessionId = u64;

/// A file as a client names it; what is set in it replaces what was set in it under the same two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedFile {
    /// Its path, in the client's file system.
    pub path: String,
    /// What it is to be looked for by if no file has that path: what people wrote, before the client made a path of it.
    pub name: Option<String>,
}

/// A breakpoint or logpoint that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// From 1.
    pub line: u64,
    /// From 1, in UTF-16 code units.
    pub column: Option<u64>,
    /// Only where this expression is true; never empty.
    pub condition: Option<String>,
    /// Only for some of the hits; never empty.
    pub hit_condition: Option<String>,
    /// Log this and do not stop; never empty, since an empty message makes a breakpoint.
    pub log_message: Option<String>,
    /// What it may cost, and how long it lives, as far as its client says so.
    pub limits: Limits,
}

/// What became of a [`Wanted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Names it to the client: the same one as long as the line stays wanted.
    pub id: i64,
    /// Whether it is set.
    pub verified: bool,
    /// Why it is not, or what else there is to say.
    pub message: Option<String>,
    /// Where it is, from 1, if that is known.
    pub line: Option<u64>,
    /// The file as the client knows it; `None` for the one that the client named. In a [`Notice`], which belongs to no
    /// request, `None` leaves the file out.
    pub path: Option<String>,
    /// Its address, or the first of them.
    pub instruction: Option<u64>,
}

/// The debugger behind the sessions. All calls come from the thread that serves them, and hold everybody up until they
/// return.
pub trait Backend {
    /// A client is there; `outlet` is the way to it until [`close`](Self::close).
    fn open(&mut self, session: SessionId, wrong: WrongExpressions, outlet: Outlet);

    /// Replaces all breakpoints of `session` in a file, and gives what became of them in the order of `wanted`. The text is
    /// patched when it returns.
    fn set_breakpoints(
        &mut self,
        session: SessionId,
        file: &NamedFile,
        source_map: &SourceMap,
        wanted: &[Wanted],
    ) -> Vec<Placed>;

    /// The program's threads, by number and name.
    fn threads(&mut self) -> Vec<(i64, String)>;

    /// The client is gone, or wants to be: removes everything that the session set, and drops its outlet. The text is
    /// restored when it returns. Called once for each [`open`](Self::open), whatever way a session ends.
    fn close(&mut self, session: SessionId);
}

/// What a client wants of a logpoint with an expression that means nothing at its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongExpressions {
    /// The logpoint is refused: somebody is there to correct it.
    Refuse,
    /// It is set, says so in its message, and the expression's value is the error.
    Show,
}

/// A logpoint was hit: what is said to the client by [`Outlet::log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The logpoint's [`Placed::id`].
    pub breakpoint: i64,
    /// The thread, as [`Backend::threads`] numbers it.
    pub thread: i64,
    /// The file, as the client knows it.
    pub path: &'a str,
    /// The line, from 1.
    pub line: u64,
    /// The message.
    pub parts: &'a [Part<'a>],
}

/// A part of a logpoint's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What the client wrote around its expressions.
    Text(&'a str),
    /// What an expression says: a number, `true` or `false`, a JSON string, any other value as `{:?}` prints it, or, in
    /// angle brackets, why there is none.
    Value(String),
}

/// What else the backend tells a client on its own account, by [`Outlet::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A breakpoint is not what it was when it was answered; the id says which one.
    BreakpointChanged(Placed),
    /// There is something to say of a breakpoint that is still what it was.
    Remark {
        /// The breakpoint.
        about: Placed,
        /// What there is to say, understandable alone.
        text: String,
    },
    /// For people to read; what a program has to know is also in another notice.
    Console(String),
}
