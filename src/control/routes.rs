//! The endpoints.

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, on};
use serde::Serialize;
use serde_json::{Value, json};

use super::limits::{self, BodyError};
use super::{AUDIT, Caller, Service, files, gate};
use crate::error::{Error, ErrorKind};

pub const HEALTH: &str = "/detrix/health";
pub const DISCOVER: &str = "/detrix/discover";
pub const WAKE: &str = "/detrix/wake";

/// All endpoints behind the [`gate`]. Each request needs its [`super::server::Ends`].
pub fn router<S: Service>(service: S) -> Router {
    let get = MethodFilter::GET;
    let post = MethodFilter::POST;
    Router::new()
        .route(HEALTH, on(get, health))
        .route(DISCOVER, on(get, discover::<S>))
        .route("/detrix/status", on(get, status::<S>))
        .route("/detrix/info", on(get, info::<S>))
        .route(WAKE, on(post, wake::<S>))
        .route("/detrix/sleep", on(post, sleep::<S>))
        .route("/detrix/files/read", on(post, files::read::<S>))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(from_fn_with_state(service.clone(), gate::keep::<S>))
        .layer(map_response(harden))
        .with_state(service)
}

async fn health() -> Response<Body> {
    let health = json!({"service": "detrix-client", "status": "ok"});
    json(StatusCode::OK, &health)
}

async fn discover<S: Service>(State(service): State<S>) -> Response<Body> {
    json(StatusCode::OK, &service.discover().await)
}

async fn status<S: Service>(State(service): State<S>) -> Response<Body> {
    json(StatusCode::OK, &service.status())
}

async fn info<S: Service>(State(service): State<S>) -> Response<Body> {
    json(StatusCode::OK, &service.info().await)
}

async fn wake<S: Service>(
    State(service): State<S>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let body = match limits::read(request.into_body()).await {
        Ok(body) => body,
        Err(why) => return error(body_status(&why), &why.to_string()),
    };
    let daemon_url = daemon_url(&body);
    let woken = to_the_end(async move {
        // A password in it is for nobody's log.
        let shown = daemon_url.as_deref().map(crate::daemon::shown);
        let woken = service.wake(daemon_url, caller).await;
        match &woken {
            Ok(woken) => tracing::info!(
                target: AUDIT,
                %caller,
                daemon_url = ?shown,
                status = %woken.status,
                "woke over the control plane"
            ),
            Err(why) => tracing::info!(
                target: AUDIT,
                %caller,
                daemon_url = ?shown,
                error = %why,
                "failed to wake over the control plane"
            ),
        }
        woken
    });
    answer(woken.await)
}

async fn sleep<S: Service>(
    State(service): State<S>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    let slept = to_the_end(async move {
        let slept = service.sleep(caller).await;
        match &slept {
            Ok(slept) => tracing::info!(
                target: AUDIT,
                %caller,
                status = %slept.status,
                "put to sleep over the control plane"
            ),
            Err(why) => tracing::info!(
                target: AUDIT,
                %caller,
                error = %why,
                "failed to put to sleep over the control plane"
            ),
        }
        slept
    });
    answer(slept.await)
}

pub async fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "not found")
}

pub fn unauthorized() -> Response<Body> {
    let mut answer = error(StatusCode::UNAUTHORIZED, "unauthorized");
    let scheme = HeaderValue::from_static("Bearer");
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, scheme);
    answer
}

/// What becomes of a request whose body could not be had.
pub fn body_status(error: &BodyError) -> StatusCode {
    match error {
        BodyError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken => StatusCode::BAD_REQUEST,
    }
}

/// The daemon that a wake's body names, if it names one: a body that is none of that is like no body.
fn daemon_url(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body)
        .ok()?
        .get_mut("daemon_url")?
        .take()
    {
        Value::String(url) if !url.is_empty() => Some(url),
        _ => None,
    }
}

/// Carries `work` out also where its client hangs up, which ends what a connection waits for.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    // Fails where the work panicked, or detrix's thread ends.
    tokio::spawn(work).await.map_err(|_| Error::ThreadEnded)?
}

fn answer<T: Serialize>(result: Result<T, Error>) -> Response<Body> {
    match result {
        Ok(done) => json(StatusCode::OK, &done),
        Err(why @ Error::WakeInProgress) => {
            let text = format!("{why}: others wait for their turn already; try again later");
            error(StatusCode::SERVICE_UNAVAILABLE, &text)
        }
        Err(why) => {
            let status = match why.kind() {
                ErrorKind::Daemon => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, &why.to_string())
        }
    }
}

fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &json!({"error": text}))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, body).into_response()
        }
        // Only maps with keys that are no strings fail, and nothing of ours has any.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Keeps browsers from taking source text for something else, and everybody from keeping an answer.
async fn harden(mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
