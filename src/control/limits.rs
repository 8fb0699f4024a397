//! What one connection or request may take, so that no client can keep the control plane from the others or fill the
//! application's memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{error, fmt, io};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How many connections are kept at the same time.
pub const CONNECTIONS: usize = 64;

/// How many of them may come from other machines.
pub const REMOTE_CONNECTIONS: usize = 48;

/// How long a connection may be without a request, and how long a client may take to send the head of one.
pub const IDLE: Duration = Duration::from_secs(30);

/// How many bytes the head of a request may have.
pub const HEAD: usize = 16 * 1024;

/// How many headers a request may have.
pub const HEADERS: usize = 64;

/// How many bytes the body of a request may have.
pub const BODY: usize = 64 * 1024;

/// How long a client may take to send a body.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// How long a client may take nothing of an answer that it is sent.
pub const STALL: Duration = Duration::from_secs(30);

/// How long connections may take to finish what they are at when the control plane ends.
pub const GRACE: Duration = Duration::from_secs(1);

/// Why the body of a request could not be had.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than [`BODY`].
    TooLong,
    /// It took longer than [`BODY_TIME`].
    TooSlow,
    /// It ended early, or is no body.
    Broken,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the body is longer than {BODY} bytes"),
            Self::TooSlow => write!(f, "the body took longer than {} s", BODY_TIME.as_secs()),
            Self::Broken => f.write_str("the body cannot be read"),
        }
    }
}

/// The whole body of a request.
///
/// # Errors
///
/// Where it takes more than it may, or the client does not send it.
pub async fn read(body: Body) -> Result<Bytes, BodyError> {
    // One that is announced to be too long is not waited for.
    if body.size_hint().lower() > BODY as u64 {
        return Err(BodyError::TooLong);
    }
    let whole = Limited::new(body, BODY).collect();
    match tokio::time::timeout(BODY_TIME, whole).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if is_length_limit(&*error) => Err(BodyError::TooLong),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

fn is_length_limit(error: &(dyn error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_length_limit)
}

/// A connection that fails when its client takes nothing of what it is sent for [`STALL`].
pub struct Impatient<S> {
    stream: S,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            waiting: None,
        }
    }

    /// What a write came to, or the end of patience with it.
    fn or_stalled(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + STALL));
        let waiting = self.waiting.get_or_insert_with(until);
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take the answer",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_stalled(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.or_stalled(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
