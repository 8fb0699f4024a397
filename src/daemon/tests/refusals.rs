//! Daemons that say no, and what is none.

use tokio::net::TcpSocket;

use super::*;

#[tokio::test]
async fn nobody_there_is_told_with_the_address_and_what_to_check() {
    // It has the port, and does not listen there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let daemon = Daemon::new(url, &TlsConfig::default(), None);
    let health = daemon.health(PATIENCE).await.unwrap_err();
    let text = health.to_string();
    assert!(
        text.starts_with(&format!("daemon not reachable at http://{address}: ")),
        "{text}"
    );
    for part in ["refused", "DETRIX_DAEMON_URL"] {
        assert!(text.contains(part), "{text}");
    }
    unreachable(
        daemon
            .register(&registration(), PATIENCE)
            .await
            .unwrap_err(),
    );
    unreachable(daemon.unregister("x", PATIENCE).await.unwrap_err());
}

#[tokio::test]
async fn a_daemon_that_is_not_well_is_not_reachable() {
    let server = Server::json("503 Service Unavailable", r#"{"error":"starting"}"#).await;
    let message = unreachable(daemon(&server).health(PATIENCE).await.unwrap_err());
    assert!(
        message.contains("503 Service Unavailable: starting;"),
        "{message}"
    );
}

#[tokio::test]
async fn a_refused_registration_repeats_the_daemons_reason() {
    for (status, body, reason) in [
        (
            "500 Internal Server Error",
            r#"{"error":"port 80 is reserved","errorCode":9001,"retryable":false}"#,
            "500 Internal Server Error: port 80 is reserved; see the daemon's log",
        ),
        (
            "422 Unprocessable Entity",
            "missing field `host`\n",
            "422 Unprocessable Entity: missing field `host`; it wants something else",
        ),
        (
            "404 Not Found",
            r#"{"error":"not found"}"#,
            "404 Not Found: not found; check that a Detrix daemon is there",
        ),
        ("400 Bad Request", "", "400 Bad Request; see"),
        (
            "500 Internal Server Error",
            "a\r\nb\u{1b}",
            r"a\r\nb\u{1b}; see",
        ),
        (
            "500 Internal Server Error",
            r#"{"error":7}"#,
            r#"{"error":7}; see"#,
        ),
    ] {
        let server = Server::json(status, body).await;
        let error = daemon(&server).register(&registration(), PATIENCE).await;
        let message = failed(error.unwrap_err());
        assert!(message.contains(reason), "{message}");
    }
    let server = Server::json("500 Internal Server Error", &"x".repeat(10_000)).await;
    let error = daemon(&server).register(&registration(), PATIENCE).await;
    assert!(failed(error.unwrap_err()).len() < 500);
}

#[tokio::test]
async fn a_daemon_that_wants_a_token_says_where_it_is_looked_for() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let server = Server::json(status, "").await;
        let without = failed(
            daemon(&server)
                .register(&registration(), PATIENCE)
                .await
                .unwrap_err(),
        );
        let with = failed(
            daemon_with(&server, Some("hunter2"))
                .register(&registration(), PATIENCE)
                .await
                .unwrap_err(),
        );
        assert!(without.contains("it asks for a token"), "{without}");
        assert!(with.contains("does not take the token"), "{with}");
        for text in [without, with] {
            for place in ["DETRIX_TOKEN", "auth-token", "DETRIX_HOME", "~/detrix"] {
                assert!(text.contains(place), "{text}");
            }
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://d.example/\r\ncontent-length: 0\r\n\r\n";
    let server = Server::raw(answer).await;
    let daemon = daemon_with(&server, Some("t"));
    let health = unreachable(daemon.health(PATIENCE).await.unwrap_err());
    let register = failed(
        daemon
            .register(&registration(), PATIENCE)
            .await
            .unwrap_err(),
    );
    for message in [health, register] {
        for part in [
            "redirects to https://d.example/",
            "not followed",
            "DETRIX_DAEMON_URL",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_an_id_is_no_registration() {
    for body in [
        "",
        "ok",
        "{}",
        "[]",
        r#"{"connectionId":""}"#,
        r#"{"connectionId":7}"#,
    ] {
        let server = Server::json("201 Created", body).await;
        let error = daemon(&server).register(&registration(), PATIENCE).await;
        let message = failed(error.unwrap_err());
        assert!(
            message.contains("201 Created without a connectionId"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_as_such() {
    let server = Server::raw("SSH-2.0-OpenSSH_9.2\r\n").await;
    let daemon = daemon(&server);
    let health = unreachable(daemon.health(PATIENCE).await.unwrap_err());
    let register = failed(
        daemon
            .register(&registration(), PATIENCE)
            .await
            .unwrap_err(),
    );
    for message in [health, register] {
        for part in ["no HTTP", "DETRIX_DAEMON_URL"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let unregister = daemon.unregister("x", PATIENCE).await.unwrap_err();
    assert!(matches!(&unregister, Error::HttpError(text) if text.contains("no HTTP")));
}

#[tokio::test]
async fn who_speaks_before_being_asked_is_no_daemon() {
    let server = Server::talking(|mut stream, _| async move {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        server::hold(stream).await;
    })
    .await;
    let message = unreachable(daemon(&server).health(PATIENCE).await.unwrap_err());
    assert!(message.contains("DETRIX_DAEMON_URL"), "{message}");
}

#[tokio::test]
async fn an_answer_that_ends_early_is_told_as_such() {
    for answer in [
        "",
        "HTTP/1.1 201 Cre",
        "HTTP/1.1 201 Created\r\ncontent-length: 99\r\n\r\n{\"connectionId\":\"x\"}",
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"connectionId\":\"x\"}",
    ] {
        let server = Server::raw(answer).await;
        let error = daemon(&server).register(&registration(), PATIENCE).await;
        let message = failed(error.unwrap_err());
        assert!(
            message.contains("closed the connection before"),
            "{answer}: {message}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_read_to_a_limit() {
    let mut longest = r#"{"connectionId":"x"}"#.to_owned();
    longest.push_str(&" ".repeat(http::LONGEST - longest.len()));
    let server = Server::json("201 Created", &longest).await;
    daemon(&server)
        .register(&registration(), PATIENCE)
        .await
        .unwrap();
    let server = Server::json("201 Created", &format!("{longest} ")).await;
    let error = daemon(&server).register(&registration(), PATIENCE).await;
    let message = failed(error.unwrap_err());
    assert!(message.contains("longer than 1048576 bytes"), "{message}");
}

#[tokio::test]
async fn a_body_without_an_end_is_read_to_the_same_limit() {
    let server = Server::talking(|mut stream, _| async move {
        let _ = server::read_request(&mut stream).await;
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut written = stream.write_all(head.as_bytes()).await;
        while written.is_ok() {
            written = stream.write_all(chunk.as_bytes()).await;
        }
    })
    .await;
    let daemon = daemon(&server);
    daemon.health(PATIENCE).await.unwrap();
    let message = failed(
        daemon
            .register(&registration(), PATIENCE)
            .await
            .unwrap_err(),
    );
    assert!(message.contains("longer than"), "{message}");
}

#[tokio::test]
async fn a_daemon_that_cannot_unregister_is_an_error_to_be_logged() {
    let server = Server::json("500 Internal Server Error", r#"{"error":"unknown id"}"#).await;
    let error = daemon(&server).unregister("x", PATIENCE).await.unwrap_err();
    let Error::HttpError(text) = error else {
        panic!("{error}");
    };
    for part in [server.url("http").as_str(), "500", "unknown id"] {
        assert!(text.contains(part), "{text}");
    }
}
