//! `files/read`: source text for a daemon that is on another machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::{Frame, SizeHint};
use serde_json::Value;

use super::beneath::{Denied, Root};
use super::{AUDIT, Caller, Service, limits, routes};

/// How many bytes a file may have.
pub const LONGEST: u64 = 10 * 1024 * 1024;

/// How many bytes are read at a time: detrix's thread has more to do.
const CHUNK: usize = 64 * 1024;

const NO_DIRECTORY: &str =
    "the workspace root is no directory; set workspace_root or DETRIX_WORKSPACE_ROOT to one";

/// Why there is no text.
#[derive(Debug)]
pub enum Refusal {
    /// The request's root is not at or below the configured one.
    Root,
    /// There is no configured root, and the working directory is `/`.
    NoRoot,
    /// The file is not below the root.
    Outside,
    /// There is no such file, or it is none.
    Missing,
    /// It is longer than [`LONGEST`].
    TooLong,
    /// What the system says to it, or why it is not asked.
    Failed(String),
}

/// The endpoint.
pub async fn read<S: Service>(
    State(service): State<S>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    // Files are opened with the rights of this process, which another user of this machine may not have.
    if !service.trusts(&caller) {
        tracing::warn!(target: AUDIT, %caller, "another user has to send the token to read files");
        return routes::unauthorized();
    }
    let body = match limits::read(request.into_body()).await {
        Ok(body) => body,
        Err(why) => return text(routes::body_status(&why), why.to_string()),
    };
    let Ok(wanted) = serde_json::from_slice::<Value>(&body) else {
        return text(StatusCode::BAD_REQUEST, "Invalid JSON body");
    };
    // An empty one counts as none.
    let field = |name| Some(wanted.get(name)?.as_str()?).filter(|value| !value.is_empty());
    let Some(path) = field("path") else {
        return text(StatusCode::BAD_REQUEST, "Missing or empty 'path' field");
    };
    // A directory at or below the workspace root, which stands for it.
    let root = field("workspace_root");
    match open(service.workspace_root(), root, path) {
        Ok(body) => {
            tracing::info!(target: AUDIT, %caller, ?path, ?root, "read a file");
            text(StatusCode::OK, body)
        }
        Err(why) => {
            tracing::warn!(target: AUDIT, %caller, ?path, ?root, ?why, "did not read a file");
            why.into_response()
        }
    }
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, body.into()).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Root => text(
                StatusCode::FORBIDDEN,
                "Workspace root escapes trust boundary",
            ),
            Self::NoRoot => text(
                StatusCode::FORBIDDEN,
                "Workspace root escapes trust boundary: the working directory is /; set workspace_root or \
                 DETRIX_WORKSPACE_ROOT",
            ),
            Self::Outside => text(StatusCode::FORBIDDEN, "Path not within workspace"),
            Self::Missing => StatusCode::NOT_FOUND.into_response(),
            Self::TooLong => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the file is longer than {LONGEST} bytes"),
            ),
            Self::Failed(why) => text(StatusCode::INTERNAL_SERVER_ERROR, why),
        }
    }
}

/// Opens a file below `wanted`, which is at or below `configured`.
fn open(configured: Option<PathBuf>, wanted: Option<&str>, path: &str) -> Result<Body, Refusal> {
    let configured = configured.filter(|root| !root.as_os_str().is_empty());
    let boundary = match &configured {
        Some(root) => Root::open(root),
        None => Root::open(Path::new(".")),
    };
    let boundary = boundary.map_err(|denied| match denied {
        Denied::Failed(why) => Refusal::Failed(why),
        Denied::Missing | Denied::Outside => Refusal::Failed(NO_DIRECTORY.to_owned()),
    })?;
    if configured.is_none() && boundary.is_everything() {
        return Err(Refusal::NoRoot);
    }
    let root = match wanted {
        None => boundary,
        // One word for what is not there and what is elsewhere: nobody is to learn what there is outside.
        Some(wanted) => boundary
            .directory(Path::new(wanted))
            .map_err(|_| Refusal::Root)?,
    };
    let (file, size) = root.file(Path::new(path)).map_err(|denied| match denied {
        Denied::Outside => Refusal::Outside,
        Denied::Missing => Refusal::Missing,
        Denied::Failed(why) => Refusal::Failed(why),
    })?;
    if size > LONGEST {
        return Err(Refusal::TooLong);
    }
    Ok(Body::new(Contents { file, left: size }))
}

/// A file as a body, read as its client takes it. What is appended meanwhile is not sent; where it shrinks
/// meanwhile, the answer breaks off.
struct Contents {
    file: File,
    left: u64,
}

impl HttpBody for Contents {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = self.left.min(CHUNK as u64);
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut self.file).take(wanted).read_to_end(&mut chunk);
        Poll::Ready(Some(match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.left = self.left.saturating_sub(read as u64);
                Ok(Frame::data(chunk.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}
