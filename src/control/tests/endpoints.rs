//! What each endpoint answers, and how it listens.

use serde_json::json;

use super::*;

#[test]
fn health_discover_status_and_info() {
    let plane = Plane::start(Fake::default());
    assert_eq!(
        plane.get("/detrix/health").json(),
        json!({"service": "detrix-client", "status": "ok"})
    );
    assert_eq!(
        plane.get("/detrix/discover").json(),
        json!({"control_plane_url": "http://127.0.0.1:1", "daemon_url": "http://127.0.0.1:8090", "name": "fake"})
    );
    let status = plane.get("/detrix/status").json();
    assert_eq!(
        (&status["state"], &status["name"], &status["debug_port"]),
        (&json!("sleeping"), &json!("fake"), &json!(0))
    );
    assert!(status.get("connection_id").is_none(), "absent, not null");
    let info = plane.get("/detrix/info?verbose=1").json();
    assert_eq!(info["pid"], std::process::id());
    assert_eq!(
        (&info["name"], &info["build_commit"]),
        (&json!("fake"), &json!("c0ffee"))
    );
    assert!(info.get("build_tag").is_none(), "absent, not null");
    let preflight = &info["preflight"];
    assert_eq!(preflight["ready"], true);
    assert_eq!(
        preflight["debug_info"],
        json!({"ok": true, "detail": "looked at"})
    );
    assert_eq!(preflight["build_id"]["fix"], "link it with one");
}

#[test]
fn a_wake_takes_its_daemon_from_a_body_that_names_one() {
    let plane = Plane::start(Fake::default());
    let awake = json!({"status": "awake", "debug_port": 4711, "connection_id": "id"});
    let url = Some("http://10.0.0.1:8090".to_owned());
    for (body, expected) in [
        ("", None),
        ("{}", None),
        ("not JSON", None),
        ("[]", None),
        ("\"daemon_url\"", None),
        (r#"{"daemon_url": null}"#, None),
        (r#"{"daemon_url": ""}"#, None),
        (r#"{"daemon_url": 5}"#, None),
        (r#"{"daemon_url": "http://10.0.0.1:8090"}"#, url.clone()),
        (r#"{"more": [], "daemon_url": "http://10.0.0.1:8090"}"#, url),
    ] {
        let answer = plane.post("/detrix/wake", body);
        assert_eq!(
            (answer.status, answer.json()),
            (200, awake.clone()),
            "{body}"
        );
        assert_eq!(plane.service.wakes().last().unwrap().0, expected, "{body}");
    }
    // Without any word about a body.
    let request = format!("{}\r\n", plane.head("POST", "/detrix/wake"));
    assert_eq!(plane.connect().ask(request).status, 200);
}

#[test]
fn a_body_in_chunks_is_a_body() {
    let plane = Plane::start(Fake::default());
    let head = plane.head("POST", "/detrix/wake");
    let chunks = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n8\r\n{{\"daemon\r\n12;x=y\r\n_url\": \"http://d\"}}\r\n0\r\n\r\n"
    );
    assert_eq!(plane.connect().ask(chunks).status, 200);
    assert_eq!(plane.service.wakes()[0].0.as_deref(), Some("http://d"));
}

#[test]
fn errors_are_told_by_their_kind() {
    let plane = Plane::start(Fake::default());
    let unreachable = || Error::DaemonUnreachable {
        url: "http://d".to_owned(),
        message: "refused".to_owned(),
    };
    for (error, status) in [
        (unreachable(), 503),
        (Error::RegistrationFailed("no".to_owned()), 503),
        (Error::TracingRefused("no".to_owned()), 500),
        (Error::ConfigError("the daemon's name".to_owned()), 500),
        (Error::ControlPlaneError("no".to_owned()), 500),
    ] {
        let text = error.to_string();
        plane.service.fail(error);
        let answer = plane.post("/detrix/wake", "");
        assert_eq!(
            (answer.status, answer.json()),
            (status, json!({"error": text}))
        );
    }
    plane.service.fail(Error::WakeInProgress);
    let answer = plane.post("/detrix/wake", "");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("try again"), "{}", answer.text());
    plane.service.fail(Error::NotInitialized);
    let answer = plane.post("/detrix/sleep", "");
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.json(),
        json!({"error": Error::NotInitialized.to_string()})
    );
    let answer = plane.post("/detrix/sleep", "{}");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "sleeping"}))
    );
}

#[test]
fn other_paths_and_methods_are_not_found() {
    let plane = Plane::start(Fake::default());
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/detrix"),
        ("GET", "/detrix/"),
        ("GET", "/detrix/status/"),
        ("GET", "//detrix/status"),
        ("GET", "/detrix/./status"),
        ("GET", "/detrix/x/../status"),
        ("GET", "/detrix/%73tatus"),
        ("GET", "/detrix%2fstatus"),
        ("GET", "/Detrix/Status"),
        ("GET", "/detrix/wake"),
        ("GET", "/detrix/sleep"),
        ("GET", "/detrix/files/read"),
        ("PUT", "/detrix/wake"),
        ("DELETE", "/detrix/status"),
        ("POST", "/detrix/health"),
        ("POST", "/detrix/status"),
        ("OPTIONS", "/detrix/status"),
        ("OPTIONS", "*"),
        ("TRACE", "/detrix/status"),
        ("WAKE", "/detrix/wake"),
    ] {
        let request = format!("{}\r\n", plane.head(method, path));
        let answer = plane.connect().ask(request);
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(
            answer.json(),
            json!({"error": "not found"}),
            "{method} {path}"
        );
    }
    let mut client = plane.connect();
    client.send(format!(
        "{}Connection: close\r\n\r\n",
        plane.head("HEAD", "/detrix/status")
    ));
    let mut answer = String::new();
    client.0.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert!(plane.service.wakes().is_empty());
}

#[test]
fn no_answer_is_kept_or_taken_for_something_else() {
    let plane = Plane::start(Fake::default());
    for path in ["/detrix/status", "/nothing"] {
        let headers = plane.get(path).headers;
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
    }
}

#[test]
fn a_wake_goes_on_when_its_client_hangs_up() {
    let plane = Plane::start(Fake::default());
    let begins = plane.service.hold();
    let mut client = plane.connect();
    client.send(plane.posting("/detrix/wake", "", ""));
    begins.recv_timeout(PATIENCE).unwrap();
    client
        .0
        .get_ref()
        .shutdown(std::net::Shutdown::Both)
        .unwrap();
    drop(client);
    // Other requests are answered meanwhile.
    assert_eq!(plane.get("/detrix/status").status, 200);
    assert!(plane.service.wakes().is_empty());
    plane.service.release();
    let service = plane.service.clone();
    let end = std::time::Instant::now() + PATIENCE;
    while service.wakes().is_empty() {
        assert!(std::time::Instant::now() < end, "it was given up");
        thread::yield_now();
    }
}

#[test]
fn what_is_under_way_is_finished_at_the_end_and_the_port_is_free() {
    let plane = Plane::start(Fake::default());
    let begins = plane.service.hold();
    let (mut waking, mut idle) = (plane.connect(), plane.connect());
    assert_eq!(
        idle.ask(format!("{}\r\n", plane.head("GET", "/detrix/health")))
            .status,
        200
    );
    waking.send(plane.posting("/detrix/wake", "", ""));
    begins.recv_timeout(PATIENCE).unwrap();
    let (service, address) = (plane.service.clone(), plane.address);
    let ended = thread::spawn(move || plane.stop());
    assert!(idle.is_closed());
    service.release();
    assert_eq!(waking.answer().status, 200);
    assert!(waking.is_closed());
    ended.join().unwrap();
    drop(std::net::TcpListener::bind(address).unwrap());
}

#[test]
fn an_end_does_not_wait_for_a_wake_that_hangs() {
    let plane = Plane::start_in_a_hurry(Fake::default());
    let begins = plane.service.hold();
    // In such a hurry it may not wait for what is sent.
    let mut asked = (0..100).map(|_| {
        let mut client = plane.connect();
        client.send(plane.posting("/detrix/wake", "", ""));
        let begun = begins.recv_timeout(Duration::from_secs(1));
        begun.is_ok().then_some(client)
    });
    let mut client = asked.find_map(|client| client).unwrap();
    drop(asked);
    let service = plane.service.clone();
    plane.stop();
    assert!(client.is_closed());
    assert!(service.wakes().is_empty());
}
