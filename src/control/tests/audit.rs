//! The audit trail.

use serde_json::json;

use super::*;
use crate::collected::Collected;

#[test]
fn who_did_what_is_written_down() {
    let scratch = Scratch::new();
    scratch.write("file", "text");
    let collected = Collected::audit();
    let collecting = collected.clone();
    let service = Fake::with(Some(&scratch.0), &[]);
    let plane = Plane::on("127.0.0.1:0", service, false, move |serve| {
        let _here = collecting.here();
        serve();
    });
    plane.get("/detrix/status");
    plane.get("/detrix/health");
    plane.post("/detrix/wake", r#"{"daemon_url": "http://me:secret@d"}"#);
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
    let trail = collected.take();
    let expected: [(&str, &[&str]); 7] = [
        (
            "INFO",
            &[
                "woke",
                "127.0.0.1:",
                "(local)",
                "http://***@d",
                "status=awake",
            ],
        ),
        ("INFO", &["failed to wake", "(local)", "tracing refused"]),
        ("INFO", &["put to sleep", "(local)", "status=sleeping"]),
        ("INFO", &["read a file", "(local)", "path=\"file\""]),
        ("WARN", &["did not read", "(local)", r#"path="../\nfile""#]),
        ("INFO", &["put to sleep", "(token)"]),
        ("WARN", &["refused", "127.0.0.1:", "POST", "/detrix/sleep"]),
    ];
    assert_eq!(trail.len(), expected.len(), "{trail:#?}");
    for (line, (level, parts)) in trail.iter().zip(expected) {
        assert!(line.starts_with(level), "{line}");
        for part in parts {
            assert!(line.contains(part), "{line}: {part}");
        }
        assert!(!line.contains(TOKEN) && !line.contains("secret"), "{line}");
    }
}
