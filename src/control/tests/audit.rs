//! The audit trail.

use std::fmt::Write as _;

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;

/// Keeps what goes to the audit trail.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Trail {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "detrix::audit"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        lock(&self.0).push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn who_did_what_is_written_down() {
    let scratch = Scratch::new();
    scratch.write("file", "text");
    let trail = Trail::default();
    let kept = trail.clone();
    let service = Fake::with(Some(&scratch.0), &[]);
    let plane = Plane::on("127.0.0.1:0", service, false, move |serve| {
        tracing::subscriber::with_default(kept, serve);
    });
    plane.get("/detrix/status");
    plane.get("/detrix/health");
    plane.post("/detrix/wake", r#"{"daemon_url": "http://d"}"#);
    plane.service.fail(Error::TracingRefused("no".to_owned()));
    plane.post("/detrix/wake", "");
    plane.post("/detrix/sleep", "");
    plane.post("/detrix/files/read", json!({"path": "file"}).to_string());
    plane.post(
        "/detrix/files/read",
        json!({"path": "../\nfile"}).to_string(),
    );
    let token = format!("Authorization: Bearer {TOKEN}\r\nOrigin: null\r\n");
    plane
        .connect()
        .ask(plane.posting("/detrix/sleep", &token, ""));
    plane
        .connect()
        .ask(plane.posting("/detrix/sleep", "Origin: null\r\n", ""));
    plane.stop();
    let trail = lock(&trail.0);
    let expected: [(Level, &[&str]); 7] = [
        (
            Level::INFO,
            &["woke", "127.0.0.1:", "(local)", "http://d", "status=awake"],
        ),
        (
            Level::INFO,
            &["failed to wake", "(local)", "tracing refused"],
        ),
        (Level::INFO, &["put to sleep", "(local)", "status=sleeping"]),
        (Level::INFO, &["read a file", "(local)", "path=\"file\""]),
        (
            Level::WARN,
            &["did not read", "(local)", r#"path="../\nfile""#],
        ),
        (Level::INFO, &["put to sleep", "(token)"]),
        (
            Level::WARN,
            &["refused", "127.0.0.1:", "POST", "/detrix/sleep"],
        ),
    ];
    assert_eq!(trail.len(), expected.len(), "{trail:#?}");
    for ((level, line), (expected_level, parts)) in trail.iter().zip(expected) {
        assert_eq!(*level, expected_level, "{line}");
        for part in parts {
            assert!(line.contains(part), "{line}: {part}");
        }
        assert!(!line.contains(TOKEN), "{line}");
    }
}
