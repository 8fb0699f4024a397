//! `files/read` on platforms where files cannot be opened beneath a directory.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;

use super::Service;

/// The endpoint.
pub async fn read<S: Service>() -> Response<Body> {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let why = format!(
        "files can be read on Linux on x86-64 only; this program was built for {}",
        std::env::consts::OS
    );
    (StatusCode::INTERNAL_SERVER_ERROR, kind, why).into_response()
}
