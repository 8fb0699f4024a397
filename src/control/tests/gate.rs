//! Who is let in. Peers of other machines are made up: requests are handed to the router as if from there.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::super::routes;
use super::super::server::Ends;
use super::*;

const LOCAL: &str = "127.0.0.1:40000";
const REMOTE: &str = "10.1.2.3:40000";
const HERE: &str = "127.0.0.1:8091";

const ALL: [(&str, &str); 8] = [
    ("GET", "/detrix/health"),
    ("GET", "/detrix/discover"),
    ("GET", "/detrix/status"),
    ("GET", "/detrix/info"),
    ("POST", "/detrix/wake"),
    ("POST", "/detrix/sleep"),
    ("POST", "/detrix/files/read"),
    ("GET", "/unknown"),
];

/// Asks as `peer`, of a control plane at `local`, and tells whether it was let in.
fn admitted(
    service: &Fake,
    (peer, local): (&str, &str),
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
) -> bool {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Ends {
        peer: peer.parse().unwrap(),
        local: local.parse().unwrap(),
    });
    let router = TowerToHyperService::new(routes::router(service.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(router.call(request)).unwrap();
    answer.status() != StatusCode::UNAUTHORIZED
}

fn status_admitted(service: &Fake, ends: (&str, &str), headers: &[(&str, &str)]) -> bool {
    admitted(service, ends, ("GET", "/detrix/status"), headers)
}

#[test]
fn a_request_of_this_machine_needs_no_token() {
    let service = Fake::with(None, &["app.internal", "0.0.0.0", "10.9.9.9", ""]);
    for (peer, here, host) in [
        (LOCAL, HERE, "127.0.0.1:8091"),
        (LOCAL, HERE, "localhost:8091"),
        (LOCAL, HERE, "LocalHost:8091"),
        (LOCAL, HERE, "127.8.8.8:8091"),
        (LOCAL, HERE, "[::1]:8091"),
        (LOCAL, HERE, "[::ffff:127.0.0.1]:8091"),
        (LOCAL, HERE, "app.internal:8091"),
        (LOCAL, HERE, "10.9.9.9:8091"),
        (LOCAL, "10.1.1.1:8091", "10.1.1.1:8091"),
        (LOCAL, "127.0.0.1:80", "127.0.0.1"),
        (LOCAL, "127.0.0.1:80", "localhost"),
        ("127.9.9.9:1", HERE, HERE),
        ("[::1]:1", "[::1]:8091", "[::1]:8091"),
        ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:8091", HERE),
    ] {
        for endpoint in ALL {
            let let_in = admitted(&service, (peer, here), endpoint, &[("host", host)]);
            assert!(let_in, "{peer} {here} {host} {endpoint:?}");
        }
    }
}

#[test]
fn a_host_that_is_not_this_control_plane_needs_the_token() {
    let service = Fake::with(None, &["app.internal", "0.0.0.0", ""]);
    for host in [
        "evil.example",
        "evil.example:8091",
        "localhost",
        "localhost:8092",
        "localhost.evil.example:8091",
        "app.internal",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:080910",
        "127.0.0.1:8091:8091",
        "10.1.2.3:8091",
        "0.0.0.0:8091",
        "[::]:8091",
        "user@127.0.0.1:8091",
        "127.0.0.1:8091@evil.example",
        "127.0.0.1:8091/",
        ":8091",
        "127.0.0.1:",
        "",
        "\u{ff}",
    ] {
        for (method, path) in ALL {
            let let_in = admitted(&service, (LOCAL, HERE), (method, path), &[("host", host)]);
            assert_eq!(let_in, path == "/detrix/health", "{host} {path}");
        }
    }
    // None, two, and two that are one.
    assert!(!status_admitted(&service, (LOCAL, HERE), &[]));
    for other in ["evil.example", HERE] {
        let hosts = [("host", HERE), ("host", other)];
        assert!(!status_admitted(&service, (LOCAL, HERE), &hosts));
    }
    // The request line's counts, and both are looked at.
    for (target, host, let_in) in [
        ("http://127.0.0.1:8091/detrix/status", HERE, true),
        ("http://evil.example/detrix/status", HERE, false),
        ("http://127.0.0.1:8091/detrix/status", "evil.example", false),
    ] {
        let headers = [("host", host)];
        let got = admitted(&service, (LOCAL, HERE), ("GET", target), &headers);
        assert_eq!(got, let_in, "{target} {host}");
    }
}

#[test]
fn a_foreign_origin_needs_the_token() {
    let service = Fake::default();
    for (name, value, let_in) in [
        ("origin", "http://127.0.0.1:8091", true),
        ("origin", "http://localhost:8091", true),
        ("origin", "null", false),
        ("origin", "", false),
        ("origin", "http://evil.example", false),
        ("origin", "http://localhost", false),
        ("origin", "http://localhost:3000", false),
        ("origin", "https://localhost:8091", false),
        ("origin", "http://localhost:8091/", false),
        ("origin", "http://localhost:8091.evil.example", false),
        ("origin", "file://", false),
        ("sec-fetch-site", "same-origin", true),
        ("sec-fetch-site", "none", true),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "cross-site", false),
    ] {
        for (method, path) in ALL {
            let headers = [("host", HERE), (name, value)];
            let got = admitted(&service, (LOCAL, HERE), (method, path), &headers);
            assert_eq!(
                got,
                let_in || path == "/detrix/health",
                "{name}: {value} {path}"
            );
        }
    }
    let two = [
        ("host", HERE),
        ("origin", "http://127.0.0.1:8091"),
        ("origin", "http://evil.example"),
    ];
    assert!(!status_admitted(&service, (LOCAL, HERE), &two));
}

#[test]
fn a_request_that_a_proxy_passes_on_needs_the_token() {
    let service = Fake::default();
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Real-IP",
        "Via",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "x-forwarded-for",
    ] {
        for value in ["127.0.0.1", "10.0.0.1", ""] {
            for (method, path) in ALL {
                let headers = [("host", HERE), (name, value)];
                let let_in = admitted(&service, (LOCAL, HERE), (method, path), &headers);
                assert_eq!(let_in, path == "/detrix/health", "{name}: {value} {path}");
            }
        }
    }
}

#[test]
fn another_machine_needs_the_token() {
    let service = Fake::with(None, &["app.internal"]);
    let ends = (REMOTE, "10.1.1.1:8091");
    for host in [
        "10.1.1.1:8091",
        "app.internal:8091",
        "localhost:8091",
        "other",
    ] {
        for (method, path) in ALL {
            let let_in = admitted(&service, ends, (method, path), &[("host", host)]);
            let public = ["/detrix/health", "/detrix/discover"].contains(&path);
            assert_eq!(let_in, public, "{host} {path}");
        }
    }
    let page = [("host", "other"), ("origin", "http://evil.example")];
    assert!(!admitted(
        &service,
        ends,
        ("GET", "/detrix/discover"),
        &page
    ));
    assert!(admitted(&service, ends, ("GET", "/detrix/health"), &page));
}

#[test]
fn with_the_token_everything_else_is_fine() {
    let service = Fake::default();
    let authorization = format!("Bearer {TOKEN}");
    for ends in [(LOCAL, HERE), (REMOTE, "10.1.1.1:8091")] {
        for endpoint in ALL {
            let headers = [
                ("authorization", authorization.as_str()),
                ("host", "evil.example"),
                ("origin", "null"),
                ("x-forwarded-for", "10.0.0.1"),
            ];
            assert!(admitted(&service, ends, endpoint, &headers), "{endpoint:?}");
            assert!(
                admitted(&service, ends, endpoint, &headers[..1]),
                "{endpoint:?}"
            );
        }
    }
}

#[test]
fn only_the_very_token_is_the_token() {
    let service = Fake::default();
    let ends = (REMOTE, "10.1.1.1:8091");
    let let_in =
        |value: &str| status_admitted(&service, ends, &[("host", "x"), ("authorization", value)]);
    assert!(let_in(&format!("Bearer {TOKEN}")));
    for wrong in [
        TOKEN.to_owned(),
        format!("bearer {TOKEN}"),
        format!("BEARER {TOKEN}"),
        format!("Bearer  {TOKEN}"),
        format!("Bearer\t{TOKEN}"),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {}", TOKEN.to_uppercase()),
        format!("Basic {TOKEN}"),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        String::new(),
    ] {
        assert!(!let_in(&wrong), "{wrong}");
    }
    let right = format!("Bearer {TOKEN}");
    let twice = [
        ("authorization", right.as_str()),
        ("authorization", "Bearer other"),
    ];
    assert!(!status_admitted(&service, ends, &twice));
    // This machine needs none, and so may have a wrong one.
    let stale = [("host", HERE), ("authorization", "Bearer old")];
    assert!(status_admitted(&service, (LOCAL, HERE), &stale));
}

#[test]
fn the_token_is_the_one_of_now_and_none_lets_nobody_in() {
    let service = Fake::default();
    let ends = (REMOTE, "10.1.1.1:8091");
    let let_in = |token: &str| {
        status_admitted(
            &service,
            ends,
            &[("authorization", &format!("Bearer {token}"))],
        )
    };
    service.set_token(Some("other"));
    assert!(let_in("other") && !let_in(TOKEN));
    for none in [None, Some("")] {
        service.set_token(none);
        assert!(!let_in("") && !let_in("other") && !let_in(TOKEN));
    }
}

#[test]
fn a_refusal_says_what_it_is() {
    let plane = Plane::start(Fake::default());
    for path in ["/detrix/status", "/unknown"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        let answer = plane.connect().ask(request);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json(), serde_json::json!({"error": "unauthorized"}));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // Without a Host, as HTTP/1.0 allows.
    let answer = plane.connect().ask("GET /detrix/status HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 401);
    let answer = plane.connect().ask("GET /detrix/health HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn an_ipv6_listener_knows_itself() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        detrix_test_support::skip("an_ipv6_listener_knows_itself");
        return;
    }
    let plane = Plane::on("[::1]:0", Fake::default(), false, |serve| serve());
    assert_eq!(plane.get("/detrix/status").status, 200);
}

#[test]
fn a_wake_with_a_new_token_has_it_read() {
    let plane = Plane::start(Fake::default());
    *lock(&plane.service.0.new_token) = Some("another".into());
    let ask = |path: &str, token: &str| {
        let headers = format!("Authorization: Bearer {token}\r\nOrigin: null\r\n");
        plane
            .connect()
            .ask(plane.posting(path, &headers, ""))
            .status
    };
    // Only a wake reads it.
    assert_eq!(ask("/detrix/sleep", "another"), 401);
    assert_eq!(ask("/detrix/wake", "another"), 200);
    assert_eq!(ask("/detrix/sleep", "another"), 200);
    assert_eq!(ask("/detrix/wake", TOKEN), 401);
}
