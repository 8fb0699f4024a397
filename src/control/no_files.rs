//! `files/read` on platforms where files cannot be opened beneath a directory.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;

use super::Service;

/// The endpoint.
pub async fn read<S: Service>(State(service): State<S>) -> Response<Body> {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let root = service.workspace_root();
    let why = format!(
        "files below {} can be read on Linux on x86-64 only; this program was built for {}",
        root.as_deref()
            .map_or("the working directory".into(), |root| root
                .to_string_lossy()),
        std::env::consts::OS
    );
    (StatusCode::INTERNAL_SERVER_ERROR, kind, why).into_response()
}
