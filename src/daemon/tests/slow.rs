//! Daemons that take too long, at each point of a call.

use super::*;

/// Accepts, reads the request if there is to be any, writes `begin`, and says no more.
async fn stuck_after(begin: &'static str) -> Server {
    Server::talking(move |mut stream, _| async move {
        let _ = server::read_request(&mut stream).await;
        let _ = stream.write_all(begin.as_bytes()).await;
        server::hold(stream).await;
    })
    .await
}

#[tokio::test]
async fn each_call_names_the_setting_of_its_time() {
    let server = stuck_after("").await;
    let daemon = daemon(&server);
    let health = unreachable(daemon.health(SHORT).await.unwrap_err());
    assert!(health.contains("no answer within 50ms"), "{health}");
    assert!(health.contains("DETRIX_HEALTH_CHECK_TIMEOUT"), "{health}");

    let register = failed(daemon.register(&registration(), SHORT).await.unwrap_err());
    assert!(register.contains("no answer within 50ms"), "{register}");
    assert!(register.contains("DETRIX_REGISTER_TIMEOUT"), "{register}");
    assert!(register.contains("127.0.0.1:40177"), "{register}");

    let unregister = daemon.unregister("x", SHORT).await.unwrap_err();
    let Error::Timeout(unregister) = unregister else {
        panic!("{unregister}");
    };
    assert!(
        unregister.contains("DETRIX_UNREGISTER_TIMEOUT"),
        "{unregister}"
    );
}

#[tokio::test]
async fn an_answer_that_stops_on_its_way_is_not_waited_for() {
    for begin in [
        "HTTP/1.1 201 Created\r\n",
        "HTTP/1.1 201 Created\r\ncontent-length: 20\r\n\r\n{\"connectionId\":\"x\"",
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"connectionId\":\"x\"}\r\n",
    ] {
        let server = stuck_after(begin).await;
        let error = daemon(&server).register(&registration(), SHORT).await;
        let message = failed(error.unwrap_err());
        assert!(message.contains("no answer within"), "{begin}: {message}");
    }
}

#[tokio::test]
async fn bytes_that_trickle_in_do_not_extend_the_time() {
    let server = Server::talking(|mut stream, _| async move {
        let _ = server::read_request(&mut stream).await;
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while written.is_ok() {
            pace.tick().await;
            written = stream.write_all(b"x").await;
        }
    })
    .await;
    let message = unreachable(daemon(&server).health(SHORT).await.unwrap_err());
    assert!(message.contains("no answer within"), "{message}");
}

#[tokio::test]
async fn a_listener_that_never_accepts_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let daemon = Daemon::new(Url::parse(&url).unwrap(), &TlsConfig::default(), None);
    let message = unreachable(daemon.health(SHORT).await.unwrap_err());
    assert!(message.contains("no answer within"), "{message}");
}

#[tokio::test]
async fn a_call_that_is_given_up_hangs_up() {
    let (gone, mut left) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::talking(move |stream, _| {
        let gone = gone.clone();
        async move {
            server::hold(stream).await;
            gone.send(()).unwrap();
        }
    })
    .await;
    unreachable(daemon(&server).health(SHORT).await.unwrap_err());
    left.recv().await.unwrap();
}

#[tokio::test]
async fn a_time_that_no_clock_can_express_is_for_ever() {
    let server = Server::json("200 OK", "").await;
    daemon(&server).health(Duration::MAX).await.unwrap();
}
