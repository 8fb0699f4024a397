//! What detrix says by `tracing`, kept for tests.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Keeps what is wanted as lines of text: the level, the message, then `name=value` of each field.
#[derive(Clone)]
pub struct Collected {
    wanted: fn(&Metadata<'_>) -> bool,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Collected {
    /// Of the audit trail.
    pub fn audit() -> Self {
        Self::of(|metadata| metadata.target() == "detrix::audit")
    }

    /// Of the warnings.
    #[cfg(feature = "tls")]
    pub fn warnings() -> Self {
        Self::of(|metadata| *metadata.level() == tracing::Level::WARN)
    }

    fn of(wanted: fn(&Metadata<'_>) -> bool) -> Self {
        Self {
            wanted,
            lines: Arc::default(),
        }
    }

    /// Keeps what this thread says from now on, until the guard is dropped.
    ///
    /// A second subscriber is alive all the while. With a single one, an event that another thread is the first to come by
    /// is judged by that thread's subscriber alone, and then dropped for good in all threads.
    pub fn here(&self) -> DefaultGuard {
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&SECOND);
        tracing::subscriber::set_default(self.clone())
    }

    /// Takes the lines that were kept until now.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber for Collected {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (self.wanted)(metadata)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}
