use super::*;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the audit trail as lines of text.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    /// Takes the lines that were kept until now.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
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

fn logpoint(line: u64, text: &str) -> Logpoint {
    (line, text.to_owned())
}

#[test]
fn each_step_of_a_client_is_told_once() {
    let kept = Kept::default();
    let told = kept.clone();
    tracing::subscriber::with_default(kept, || {
        let peer = Peer {
            address: "127.0.0.1:5000".parse().unwrap(),
            user: Some(1000),
        };
        let who = r#"session=3 peer=127.0.0.1:5000 uid=1000 client="detrix""#;
        let file = &NamedFile {
            path: "/a.rs".to_owned(),
            name: None,
        };
        let mut trail = Trail::attached(3, peer, Some("detrix"));
        assert_eq!(told.take(), [format!("INFO debug client attached {who}")]);
        trail.set(file, vec![logpoint(7, "x"), logpoint(8, "a\"b")]);
        assert_eq!(
            told.take(),
            [
                format!(r#"INFO logpoint set {who} file="/a.rs" line=7 log_message="x""#),
                format!(r#"INFO logpoint set {who} file="/a.rs" line=8 log_message="a\"b""#),
            ]
        );
        trail.set(file, vec![logpoint(8, "a\"b"), logpoint(7, "x")]);
        assert_eq!(told.take(), [] as [String; 0]);
        trail.set(
            file,
            vec![logpoint(8, "a\"b"), logpoint(8, "a\"b"), logpoint(7, "y")],
        );
        assert_eq!(told.take().len(), 3);
        trail.detached();
        let told = told.take();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("INFO logpoint removed"), "{told:?}");
        assert_eq!(told[3], format!("INFO debug client detached {who}"));
    });
}

#[test]
fn refusals_are_warnings() {
    let kept = Kept::default();
    let told = kept.clone();
    tracing::subscriber::with_default(kept, || {
        refused("10.0.0.7:5000".parse().unwrap(), &Refusal::User(7), 3);
    });
    let told = told.take().remove(0);
    assert!(
        told.starts_with("WARN debug client refused: user 7 is neither"),
        "{told}"
    );
    assert!(told.ends_with("peer=10.0.0.7:5000 refused=3"), "{told}");
}
