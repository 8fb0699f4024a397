//! The HTTP side.

use detrix_standin::{Options, Registrations, Standin, Status, call};
use serde_json::{Value, json};

use crate::adapter::{Adapter, Manner};
use crate::{Pair, delete, file, get, post, register, registration};

#[test]
fn health_tells_of_links() {
    let standin = Standin::start(Options {
        advertise_url: Some("https://detrix.example".to_owned()),
        ..Options::default()
    })
    .expect("a free port");
    let reply = get(&standin, "/health");
    assert_eq!(reply.status, 200);
    let health = reply.json();
    assert_eq!(health["service"], "detrix");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["adapterConnected"], false);
    assert_eq!(health["advertiseUrl"], "https://detrix.example");

    let adapter = Adapter::start();
    let reply = post(&standin, "/api/v1/connections", &registration(adapter.port));
    assert_eq!(reply.json()["advertiseUrl"], "https://detrix.example");
    assert_eq!(get(&standin, "/health").json()["adapterConnected"], true);
}

#[test]
fn an_identity_has_one_id_for_ever() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let (first, second) = (Adapter::start(), Adapter::start());
    let mut body = registration(first.port);
    body["somethingElse"] = json!([1]);
    let reply = post(&standin, "/api/v1/connections", &body);
    assert_eq!(reply.status, 201);
    let answer = reply.json();
    // The first 32 digits that `printf 'bot|rust|/srv/app|host-1' | sha256sum` prints.
    assert_eq!(answer["connectionId"], "3bfe5785a1241df047180162c1599862");
    assert_eq!(answer["status"], "created");
    assert_eq!(answer["connection"]["status"], Status::Connected as i32);
    assert_eq!(answer["connection"]["port"], first.port);

    // Connected: answered at once, without a look at the new port.
    let id = register(&standin, &registration(second.port));
    assert_eq!((first.connections(), second.connections()), (1, 0));
    assert_eq!(standin.connection(&id).expect("stored").port, first.port);
    delete(&standin, &format!("/api/v1/connections/{id}"));
    assert_eq!(register(&standin, &registration(second.port)), id);
    assert_eq!((first.connections(), second.connections()), (1, 1));
    assert_eq!(standin.connection(&id).expect("stored").port, second.port);

    let mut other = registration(first.port);
    other["hostname"] = json!("host-2");
    assert_ne!(register(&standin, &other), id);
    assert_eq!(standin.connections().len(), 2);
}

#[test]
fn registrations_are_checked() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let cases: [(&str, Value, u16); 9] = [
        ("host", Value::Null, 422),
        ("port", json!("80"), 422),
        ("port", json!(70_000), 422),
        ("port", json!(80), 500),
        ("language", json!("cobol"), 400),
        ("host", json!(""), 500),
        ("name", json!(""), 500),
        ("workspaceRoot", json!(""), 500),
        ("hostname", json!(""), 500),
    ];
    for (field, value, status) in cases {
        let mut body = registration(4711);
        body[field] = value;
        let reply = post(&standin, "/api/v1/connections", &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        if status != 422 {
            let error = reply.json();
            assert!(
                error["error"].is_string() && error["errorCode"].is_i64(),
                "{error}"
            );
            assert!(error["category"].is_string() && error["retryable"].is_boolean());
            let kind = if status == 400 {
                "CONFIG_INVALID"
            } else {
                "INTERNAL_ERROR"
            };
            assert_eq!(error["errorType"], kind);
        }
    }
    for field in [
        "host",
        "port",
        "language",
        "name",
        "workspaceRoot",
        "hostname",
    ] {
        let mut body = registration(4711);
        body.as_object_mut().expect("an object").remove(field);
        let reply = post(&standin, "/api/v1/connections", &body);
        let text = format!("missing field `{field}`");
        assert_eq!((reply.status, reply.body), (422, text));
    }
    assert!(standin.connections().is_empty());
}

#[test]
fn a_token_is_asked_for() {
    let standin = Standin::start(Options {
        token: Some("s3cret".to_owned()),
        ..Options::default()
    })
    .expect("a free port");
    assert_eq!(get(&standin, "/health").status, 200);
    let url = format!("{}/api/v1/connections", standin.url());
    for token in [None, Some("other"), Some("s3cret ")] {
        let reply = call("GET", &url, token, None).expect("it answers");
        let denied = (reply.status, reply.body.as_str());
        // Trailing blanks are no part of a header's value.
        let expected = if token == Some("s3cret ") {
            (200, "[]")
        } else {
            (401, "")
        };
        assert_eq!(denied, expected, "{token:?}");
    }
}

#[test]
fn unregistering_keeps_the_row() {
    let pair = Pair::new();
    let path = format!("/api/v1/connections/{}", pair.id);
    assert_eq!(delete(&pair.standin, &path).status, 204);
    assert_eq!(delete(&pair.standin, &path).status, 204);
    assert_eq!(
        get(&pair.standin, &path).json()["status"],
        Status::Disconnected as i32
    );
    assert_eq!(
        delete(&pair.standin, "/api/v1/connections/0123").status,
        500
    );
    assert!(pair.adapter.requests_of("disconnect").is_empty());
}

#[test]
fn registrations_can_be_refused() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let adapter = Adapter::start();
    standin.set_registrations(Registrations::Refused);
    let reply = post(&standin, "/api/v1/connections", &registration(adapter.port));
    assert_eq!((reply.status, adapter.connections()), (500, 0));
}

#[test]
fn one_metric_a_line() {
    let pair = Pair::new();
    let first = pair.metric("a", 3, &["x"]);
    assert_eq!(
        pair.metric("b", 3, &["y"]),
        first,
        "the old one answers for the new one"
    );
    assert_ne!(pair.metric("b", 4, &["y"]), first);
    let metrics = get(&pair.standin, "/api/v1/metrics").json();
    assert_eq!(metrics["total"], 2);
    assert_eq!(metrics["metrics"][0]["name"], "a");

    let replacing = json!({
        "name": "c", "connectionId": pair.id, "location": {"file": file(), "line": 3},
        "expressions": ["z"], "enabled": true, "replace": true,
    });
    let reply = post(&pair.standin, "/api/v1/metrics", &replacing);
    assert_eq!(reply.status, 201);
    assert_ne!(reply.json()["metricId"], first);
}

/// A logpoint without code is a warning, and the metric stays.
#[test]
fn what_is_not_verified_is_a_warning() {
    let pair = Pair::new();
    pair.adapter
        .set_manner("setBreakpoints", Manner::VerifiesNothing);
    let metric = json!({
        "name": "m", "connectionId": pair.id, "location": {"file": file(), "line": 3},
        "expressions": ["x"], "enabled": true,
    });
    let reply = post(&pair.standin, "/api/v1/metrics", &metric);
    assert_eq!(reply.status, 201);
    let warning = reply.json()["warnings"][0].to_string();
    assert!(warning.contains("no code there"), "{warning}");
    assert_eq!(get(&pair.standin, "/api/v1/metrics").json()["total"], 1);
}

#[test]
fn metrics_that_cannot_be() {
    let pair = Pair::new();
    let path = file();
    let path = path.to_str().expect("a path in UTF-8");
    let add = |id: &str, name: &str, path: &str| {
        let added = pair.standin.add_metric(id, name, (path, 1), &["x"]);
        added.expect_err("refused")
    };
    assert!(add("0123", "m", path).starts_with("404"));
    assert!(add(&pair.id, "m", "/no/such.rs").contains("no source file /no/such.rs"));
    for name in ["", "7th", "a b", "a--b", "a__b", "a.b"] {
        assert!(add(&pair.id, name, path).starts_with("400"), "{name}");
    }
    // What the adapter refuses is taken back.
    pair.adapter.set_manner("setBreakpoints", Manner::Refuses);
    assert!(add(&pair.id, "m", path).contains("not today"));
    assert_eq!(get(&pair.standin, "/api/v1/metrics").json()["total"], 0);
}
