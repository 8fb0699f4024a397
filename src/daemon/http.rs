//! One request and its answer, on a connection of its own.

use std::convert::Infallible;
use std::future::pending;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::LOCATION;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::deadline::Deadline;
use super::failure::{Failure, Phase};

/// The longest answer that is read, in bytes; a daemon's have some hundred.
pub const LONGEST: usize = 1 << 20;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status. Redirects are not followed.
    pub status: StatusCode,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The body, or why it could not be read to its end.
    pub body: Result<Vec<u8>, Failure>,
}

/// Sends `request` over `stream`, and reads the answer to its end.
///
/// # Errors
///
/// [`Failure::Exchange`], [`Failure::Timeout`].
pub async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    deadline: &Deadline,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = deadline
        .wait(Phase::Answer, http1::handshake(TokioIo::new(stream)))
        .await??;
    let talk = async {
        let head = deadline
            .wait(Phase::Answer, sender.send_request(request))
            .await??;
        let status = head.status();
        let location = head
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .map(str::to_owned);
        let body = deadline.wait(Phase::Body, read(head.into_body())).await;
        let body = body.and_then(std::convert::identity);
        Ok(Answer {
            status,
            location,
            body,
        })
    };
    // The connection moves the bytes. What is wrong with it is told to `talk` as well, which alone ends the exchange.
    let connection = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = talk => answer,
        never = connection => match never {},
    }
}

/// A body, copied together: its pieces would keep more memory than they have bytes.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // What is no data is trailers.
        if let Ok(data) = frame?.into_data() {
            if data.len() > LONGEST - bytes.len() {
                return Err(Failure::TooLong(LONGEST));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
