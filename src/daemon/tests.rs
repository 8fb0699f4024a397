//! The calls, against servers on real sockets. Servers and calls share one thread: a call that blocked it would hang.

mod refusals;
mod server;
mod slow;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::Config;
use server::Server;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// As short as no answer is waited for.
const SHORT: Duration = Duration::from_millis(50);

fn daemon(server: &Server) -> Daemon {
    daemon_with(server, None)
}

fn daemon_with(server: &Server, token: Option<&str>) -> Daemon {
    let url = Url::parse(&server.url("http")).unwrap();
    Daemon::new(url, &TlsConfig::default(), token.and_then(Token::new))
}

fn registration() -> Registration {
    Registration::new(&Config::default(), BuildInfo::default(), 40177, 8099)
}

fn unreachable(error: Error) -> String {
    match error {
        Error::DaemonUnreachable { message, .. } => message,
        other => panic!("{other}"),
    }
}

fn failed(error: Error) -> String {
    match error {
        Error::RegistrationFailed(message) => message,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn health_asks_once_and_reads_where_the_daemon_is_reached() {
    let server = Server::json("200 OK", r#"{"status":"ok","advertiseUrl":"https://d"}"#).await;
    let health = daemon_with(&server, Some("t k")).health(PATIENCE).await;
    assert_eq!(health.unwrap().advertise_url.as_deref(), Some("https://d"));
    let request = server.request().await;
    assert_eq!(request.line, "GET /health HTTP/1.1");
    assert_eq!(request.header("host"), Some(server.authority().as_str()));
    assert_eq!(request.header("authorization"), Some("Bearer t k"));
    assert_eq!(request.header("connection"), Some("close"));
}

#[tokio::test]
async fn every_2xx_is_health_whatever_its_body() {
    for answer in [
        "200 OK\r\ncontent-length: 0\r\n\r\n",
        "204 No Content\r\n\r\n",
        "200 OK\r\n\r\n<html>",
        "200 OK\r\ncontent-length: 2\r\n\r\n[]",
        "299 Odd\r\ncontent-length: 19\r\n\r\n{\"advertiseUrl\":\"\"}",
        "200 OK\r\ncontent-length: 18\r\n\r\n{\"advertiseUrl\":1}",
        "200 OK\r\ncontent-length: 99\r\n\r\n{\"advertiseUrl\":\"cut",
    ] {
        let server = Server::raw(format!("HTTP/1.1 {answer}")).await;
        let health = daemon(&server).health(PATIENCE).await.unwrap();
        assert_eq!(health.advertise_url, None, "{answer}");
    }
}

#[tokio::test]
async fn without_a_token_no_call_has_an_authorization() {
    let server = Server::json("200 OK", r#"{"connectionId":"x"}"#).await;
    let daemon = daemon(&server);
    daemon.health(PATIENCE).await.unwrap();
    assert_eq!(server.request().await.header("authorization"), None);
    daemon.register(&registration(), PATIENCE).await.unwrap();
    assert_eq!(server.request().await.header("authorization"), None);
    daemon.unregister("x", PATIENCE).await.unwrap();
    assert_eq!(server.request().await.header("authorization"), None);
}

#[tokio::test]
async fn a_registration_is_posted_and_its_id_read() {
    let server = Server::json(
        "201 Created",
        r#"{"connectionId":"4d20","status":"created","advertiseUrl":"http://d:1"}"#,
    )
    .await;
    let registered = daemon_with(&server, Some("t"))
        .register(&registration(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(registered.connection_id, "4d20");
    assert_eq!(registered.advertise_url.as_deref(), Some("http://d:1"));
    let request = server.request().await;
    assert_eq!(request.line, "POST /api/v1/connections HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    let sent: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(sent, serde_json::to_value(registration()).unwrap());
    assert_eq!(
        (&sent["port"], &sent["language"]),
        (&json!(40177), &json!("rust"))
    );
}

#[tokio::test]
async fn an_answer_in_chunks_is_put_together() {
    let server = Server::raw(
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n\
         9;x=y\r\n{\"connect\r\nb\r\nionId\":\"4d2\r\n3\r\n0\"}\r\n0\r\nt: 1\r\n\r\n",
    )
    .await;
    let registered = daemon(&server).register(&registration(), PATIENCE).await;
    assert_eq!(registered.unwrap().connection_id, "4d20");
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let server = Server::raw(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"connectionId\":\"4d\"}",
    )
    .await;
    let registered = daemon(&server).register(&registration(), PATIENCE).await;
    assert_eq!(registered.unwrap().connection_id, "4d");
}

#[tokio::test]
async fn a_daemon_that_dials_back_while_it_registers_is_served() {
    let debug = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = debug.local_addr().unwrap().port();
    let server = Server::talking(move |mut stream, _| async move {
        server::read_request(&mut stream).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"initialize").await.unwrap();
        client.read_exact(&mut [0; 2]).await.unwrap();
        let answer = server::json("201 Created", r#"{"connectionId":"4d20"}"#);
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let session = async {
        let (mut client, _) = debug.accept().await.unwrap();
        client.read_exact(&mut [0; 10]).await.unwrap();
        client.write_all(b"ok").await.unwrap();
    };
    let daemon = daemon(&server);
    let registration = registration();
    let (registered, ()) = tokio::join!(daemon.register(&registration, PATIENCE), session);
    assert_eq!(registered.unwrap().connection_id, "4d20");
}

#[tokio::test]
async fn unregistering_names_the_id_and_does_not_mind_that_it_is_unknown() {
    for status in ["204 No Content", "200 OK", "404 Not Found"] {
        let server = Server::json(status, "").await;
        let daemon = daemon_with(&server, Some("t"));
        daemon.unregister("4d20", PATIENCE).await.unwrap();
        let request = server.request().await;
        assert_eq!(request.line, "DELETE /api/v1/connections/4d20 HTTP/1.1");
        assert_eq!(request.header("authorization"), Some("Bearer t"));
    }
}

#[tokio::test]
async fn an_odd_id_stays_one_segment_of_the_path() {
    let server = Server::json("204 No Content", "").await;
    let id = "a/../b?c#d ö\r\n";
    daemon(&server).unregister(id, PATIENCE).await.unwrap();
    assert_eq!(
        server.request().await.line,
        "DELETE /api/v1/connections/a%2F..%2Fb%3Fc%23d%20%C3%B6%0D%0A HTTP/1.1"
    );
}

#[tokio::test]
async fn a_prefix_of_the_url_stands_before_each_path() {
    let server = Server::json("200 OK", r#"{"connectionId":"x"}"#).await;
    let url = Url::parse(&format!("{}/detrix/", server.url("http"))).unwrap();
    let daemon = Daemon::new(url, &TlsConfig::default(), None);
    daemon.health(PATIENCE).await.unwrap();
    assert_eq!(server.request().await.line, "GET /detrix/health HTTP/1.1");
    daemon.unregister("x", PATIENCE).await.unwrap();
    assert_eq!(
        server.request().await.line,
        "DELETE /detrix/api/v1/connections/x HTTP/1.1"
    );
}

#[tokio::test]
async fn calls_may_be_made_from_any_task() {
    let server = Server::json("200 OK", r#"{"connectionId":"x"}"#).await;
    let daemon = daemon(&server);
    let other = daemon.clone();
    // Which asks that the futures are `Send`.
    let call = tokio::spawn(async move {
        other.health(PATIENCE).await?;
        other.register(&registration(), PATIENCE).await?;
        other.unregister("x", PATIENCE).await
    });
    call.await.unwrap().unwrap();
    daemon.health(PATIENCE).await.unwrap();
}
