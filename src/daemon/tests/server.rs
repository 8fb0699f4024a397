//! A server that answers as a test says.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    /// The first line.
    pub line: String,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The value of a header, which must not be there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }
}

/// Serves one connection after the other until the test ends.
pub struct Server {
    address: SocketAddr,
    asked: Mutex<mpsc::UnboundedReceiver<Asked>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers each request with `answer`, and closes.
    pub async fn raw(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::talking(move |mut stream, asked| {
            let answer = answer.clone();
            async move {
                // A client that has gone is not waited for.
                if let Some(request) = read_request(&mut stream).await {
                    let _ = asked.send(request);
                    let _ = stream.write_all(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers each request with this status and body, and closes.
    pub async fn json(status: &str, body: &str) -> Self {
        Self::raw(json(status, body)).await
    }

    /// Has `talk` do whatever it does with each connection.
    pub async fn talking<F, T>(talk: F) -> Self
    where
        F: Fn(TcpStream, mpsc::UnboundedSender<Asked>) -> T + Send + 'static,
        T: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ask, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                talk(stream, ask.clone()).await;
            }
        });
        Self {
            address,
            asked: Mutex::new(asked),
            task,
        }
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The next request of those that were made.
    pub async fn request(&self) -> Asked {
        self.asked.lock().await.recv().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with this status and body.
pub fn json(status: &str, body: &str) -> Vec<u8> {
    let length = match (status, body.len()) {
        ("204 No Content", _) => String::new(),
        (_, length) => format!("content-length: {length}\r\n"),
    };
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{length}\r\n{body}").into()
}

/// One request; `None` when the client goes before its end.
pub async fn read_request<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(key, _)| key == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

/// Waits until the client hangs up.
pub async fn hold(mut stream: TcpStream) {
    // An error is an end as well.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
