//! The client of the Detrix daemon: whether it is there, registering with it, and taking leave.
//!
//! A call opens a connection of its own, and everything about it has to be over in the call's time: looking up the name,
//! connecting, TLS, the request, the whole answer. No call blocks its thread, so the daemon can debug this process while
//! it answers. The connection goes straight to the daemon: `http_proxy` and its kind are not looked at.

mod build;
mod connect;
mod deadline;
mod failure;
mod git;
mod http;
mod registration;
mod text;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod url;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use serde_json::Value;

pub use build::BuildInfo;
pub use registration::{Registration, control_plane_url};
pub use token::Token;
pub use url::{Url, shown};

use crate::config::TlsConfig;
use crate::error::{Error, Result};
use deadline::Deadline;
use failure::Failure;
use http::Answer;

/// A daemon, and how it is spoken to. Clones are cheap, and of one kind with the original.
#[derive(Clone, Debug)]
pub struct Daemon(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    url: Url,
    #[cfg(feature = "tls")]
    tls: tls::Tls,
    token: Option<Token>,
}

/// What a daemon says that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its own word for where it is reached.
    pub advertise_url: Option<String>,
}

/// What a daemon says that has attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name for this process; never empty.
    pub connection_id: String,
    /// Its own word for where it is reached.
    pub advertise_url: Option<String>,
}

impl Daemon {
    /// The daemon at `url`, to which every call presents `token`. Connects to nobody, and reads no certificate yet.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub fn new(url: Url, tls: &TlsConfig, token: Option<Token>) -> Self {
        Self(Arc::new(Shared {
            url,
            #[cfg(feature = "tls")]
            tls: tls::Tls::new(tls),
            token,
        }))
    }

    /// The same, to which calls present another token from now on; none if they presented none before.
    pub fn with_token(&self, token: Option<Token>) -> Self {
        Self(Arc::new(Shared {
            url: self.0.url.clone(),
            #[cfg(feature = "tls")]
            tls: self.0.tls.clone(),
            token: self.0.token.as_ref().and(token),
        }))
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// Asks whether the daemon is there. Every 2xx says that it is, whatever else it says.
    ///
    /// # Errors
    ///
    /// [`Error::DaemonUnreachable`]; [`Error::ConfigError`] when there is no certificate to trust.
    pub async fn health(&self, timeout: Duration) -> Result<Health> {
        let answer = self
            .call(Method::GET, "/health", None, timeout)
            .await
            .map_err(|failure| {
                let longer = "raise health_check_timeout (DETRIX_HEALTH_CHECK_TIMEOUT)";
                self.unreachable(failure, longer)
            })?;
        if !answer.status.is_success() {
            return Err(Error::DaemonUnreachable {
                url: self.url().to_string(),
                message: self.refusal(&answer),
            });
        }
        let body = answer.body.ok();
        let body = body.and_then(|body| serde_json::from_slice(&body).ok());
        Ok(Health {
            advertise_url: advertise_url(&body.unwrap_or(Value::Null)),
        })
    }

    /// Tells the daemon that this process can be debugged. It attaches before it answers: serve it meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::RegistrationFailed`]; [`Error::DaemonUnreachable`] when there is nobody to tell;
    /// [`Error::ConfigError`] when there is no certificate to trust.
    pub async fn register(
        &self,
        registration: &Registration,
        timeout: Duration,
    ) -> Result<Registered> {
        let longer = || {
            format!(
                "the daemon answers when it has connected to {}: see that it can, or raise register_timeout \
                 (DETRIX_REGISTER_TIMEOUT)",
                registration.debug_address()
            )
        };
        let failed = |failure: Failure| {
            if failure.before_the_request() {
                self.unreachable(failure, "")
            } else {
                Error::RegistrationFailed(advised(failure, &longer()))
            }
        };
        let body = serde_json::to_vec(registration)?;
        let answer = self
            .call(Method::POST, "/api/v1/connections", Some(body), timeout)
            .await
            .map_err(failed)?;
        if !answer.status.is_success() {
            return Err(Error::RegistrationFailed(self.refusal(&answer)));
        }
        let body = answer.body.map_err(failed)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        match body.get("connectionId").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => Ok(Registered {
                connection_id: id.to_owned(),
                advertise_url: advertise_url(&body),
            }),
            _ => Err(Error::RegistrationFailed(format!(
                "{} answered {} without a connectionId; check that it is a Detrix daemon, and daemon_url \
                 (DETRIX_DAEMON_URL)",
                self.url(),
                answer.status
            ))),
        }
    }

    /// Tells the daemon that connection `id` is over. That it knows of none is fine.
    ///
    /// # Errors
    ///
    /// [`Error::DaemonUnreachable`], [`Error::Timeout`], [`Error::HttpError`], [`Error::ConfigError`]. There is nothing
    /// to be done about them: the daemon notices by itself that the debug port is closed.
    pub async fn unregister(&self, id: &str, timeout: Duration) -> Result<()> {
        let path = format!("/api/v1/connections/{}", path_segment(id));
        let answer = self
            .call(Method::DELETE, &path, None, timeout)
            .await
            .map_err(|failure| {
                let longer = "raise unregister_timeout (DETRIX_UNREGISTER_TIMEOUT)";
                if failure.before_the_request() {
                    return self.unreachable(failure, longer);
                }
                let timeout = matches!(failure, Failure::Timeout { .. });
                let text = format!(
                    "unregistering from {}: {}",
                    self.url(),
                    advised(failure, longer)
                );
                if timeout {
                    Error::Timeout(text)
                } else {
                    Error::HttpError(text)
                }
            })?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(Error::HttpError(format!(
            "unregistering from {}: {}",
            self.url(),
            self.refusal(&answer)
        )))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        timeout: Duration,
    ) -> std::result::Result<Answer, Failure> {
        let Shared { url, token, .. } = &*self.0;
        let deadline = Deadline::within(timeout);
        let mut request = Request::builder()
            .method(method)
            .uri(url.target(path))
            .header(HOST, url.authority())
            .header(CONNECTION, "close")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("detrix/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = token {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(hyper::http::Error::from)?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;

        let stream = connect::connect(url.host(), url.port(), &deadline).await?;
        match url.scheme() {
            url::Scheme::Http => http::exchange(stream, request, &deadline).await,
            #[cfg(feature = "tls")]
            url::Scheme::Https => {
                let stream = self.0.tls.connect(url.host(), stream, &deadline).await?;
                http::exchange(stream, request, &deadline).await
            }
        }
    }

    fn unreachable(&self, failure: Failure, longer: &str) -> Error {
        match failure {
            #[cfg(feature = "tls")]
            Failure::Trust(message) => Error::ConfigError(message),
            failure => Error::DaemonUnreachable {
                url: self.url().to_string(),
                message: advised(failure, longer),
            },
        }
    }

    /// What an answer that is no success says, and what to change.
    fn refusal(&self, answer: &Answer) -> String {
        let advice = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.0.token.is_some() => format!(
                "it does not take the token of this process, which is the first of {}",
                token::PLACES
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("it asks for a token, and there is none in {}", token::PLACES)
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "check that a Detrix daemon is there, and daemon_url (DETRIX_DAEMON_URL)".to_owned()
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                "it wants something else than this version of detrix tells; update the older of the two".to_owned()
            }
            status if status.is_redirection() => {
                let target = answer.location.as_deref().map_or_else(
                    || "elsewhere".to_owned(),
                    |location| format!("to {}", text::excerpt(location)),
                );
                format!(
                    "it redirects {target}, which is not followed; set daemon_url (DETRIX_DAEMON_URL) to where the \
                     daemon is"
                )
            }
            _ => "see the daemon's log".to_owned(),
        };
        let said = answer
            .body
            .as_ref()
            .map_or_else(|_| String::new(), |body| error_text(body));
        let said = if said.is_empty() {
            said
        } else {
            format!(": {said}")
        };
        format!("it answered {}{said}; {advice}", answer.status)
    }
}

/// The failure, and for a timeout what to do about it.
fn advised(failure: Failure, longer: &str) -> String {
    match failure {
        Failure::Timeout { .. } => format!("{failure}; {longer}"),
        failure => failure.to_string(),
    }
}

/// The daemon's word about an error: the `error` of its JSON, or else the text that it is.
fn error_text(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    match json.as_ref().and_then(|json| json.get("error")?.as_str()) {
        Some(error) => text::excerpt(error),
        None => text::excerpt(&String::from_utf8_lossy(body)),
    }
}

fn advertise_url(body: &Value) -> Option<String> {
    let url = body.get("advertiseUrl")?.as_str()?;
    (!url.is_empty()).then(|| url.to_owned())
}

/// `text` as one segment of a path (RFC 3986, section 2.3).
fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
