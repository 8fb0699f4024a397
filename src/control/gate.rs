//! Who may ask: decided before anything is looked up.
//!
//! A request is let in if it carries the token, or if it really comes from this machine. That the peer's address is
//! one of the loopback interface does not show that:
//!
//! * a reverse proxy on this machine passes on requests of others, and says so in headers;
//! * a browser on this machine runs pages of others. A page that sends a request says where it is from in `Origin`; one
//!   whose name its owner let point to this machine afterwards (DNS rebinding) shows that name in `Host`.
//!
//! Then the token is needed, as from everywhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::routes::{self, DISCOVER, HEALTH, WAKE};
use super::server::Ends;
use super::{AUDIT, Admitted, Caller, Service};

/// What proxies say of a request that they pass on; `X-Forwarded-*` as well.
const PROXY: [HeaderName; 3] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
];

/// What browsers say of where a request is from, beside `Origin`.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware: lets a request in, with its [`Caller`], or refuses it.
pub async fn keep<S: Service>(
    State(service): State<S>,
    mut request: Request,
    next: Next,
) -> Response {
    // Put there with each request; without it nobody knows who asks.
    let Some(ends) = request.extensions().get::<Ends>().copied() else {
        return routes::unauthorized();
    };
    let Some(admitted) = admit(&service, ends, &request) else {
        let (method, path) = (request.method(), request.uri().path());
        tracing::warn!(
            target: AUDIT,
            peer = %ends.peer,
            %method,
            ?path,
            "refused a request to the control plane"
        );
        return routes::unauthorized();
    };
    // The router would take it for a GET.
    if request.method() == Method::HEAD {
        return routes::not_found().await.into_response();
    }
    request.extensions_mut().insert(Caller {
        peer: ends.peer,
        local: ends.local,
        admitted,
    });
    next.run(request).await
}

fn admit<S: Service>(service: &S, ends: Ends, request: &Request) -> Option<Admitted> {
    let headers = request.headers();
    let is_token = |token: Option<Arc<str>>| token.is_some_and(|token| carries(headers, &token));
    // Whoever changed the token wakes with the new one, and a wake reads it anew.
    let renewed = || {
        request.uri().path() == WAKE
            && bearer(headers).is_some()
            && is_token(service.renewed_token())
    };
    if is_token(service.token()) || renewed() {
        return Some(Admitted::Token);
    }
    let origin = Origin {
        hosts: service.hosts(),
        address: ends.local,
    };
    let foreign = origin.is_foreign(headers);
    let local = !ends.is_remote();
    let direct = origin.is_named(request.uri(), headers) && !foreign && !is_passed_on(headers);
    match request.uri().path() {
        HEALTH => Some(Admitted::Public),
        _ if local && direct => Some(Admitted::Local),
        // From elsewhere, where this machine may have any name. A page on this machine is not to learn it.
        DISCOVER if !local && !foreign => Some(Admitted::Public),
        _ => None,
    }
}

/// Whether a request carries the token. Takes as long for each token of the right length.
fn carries(headers: &HeaderMap, token: &Arc<str>) -> bool {
    !token.is_empty()
        && bearer(headers).is_some_and(|presented| presented.ct_eq(token.as_bytes()).into())
}

/// What is presented as the token.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    single(headers, &header::AUTHORIZATION)?
        .as_bytes()
        .strip_prefix(b"Bearer ")
}

/// Whether a proxy says that it passes this request on.
fn is_passed_on(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| PROXY.contains(name) || name.as_str().starts_with("x-forwarded-"))
}

/// This control plane, as URLs name it.
struct Origin {
    hosts: Vec<String>,
    /// Where the connection was made to.
    address: SocketAddr,
}

impl Origin {
    /// Whether it is this control plane that a request names.
    fn is_named(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let host = single(headers, &header::HOST).and_then(|value| value.to_str().ok());
        // The request line may name a host as well, and then that one counts (RFC 9112, 3.2.2).
        let target = uri.authority().map(Authority::as_str).or(host);
        [host, target]
            .iter()
            .all(|name| name.is_some_and(|name| self.is_named_by(name)))
    }

    /// Whether a page of another origin made the request.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let own = |value: &HeaderValue| {
            let authority = value.to_str().ok()?.strip_prefix("http://")?;
            Some(self.is_named_by(authority))
        };
        let origin = |value| own(value) == Some(true);
        // `none` is what a person typed into the address bar.
        let site = |value: &HeaderValue| value == "same-origin" || value == "none";
        !headers.get_all(header::ORIGIN).iter().all(origin)
            || !headers.get_all(&SEC_FETCH_SITE).iter().all(site)
    }

    /// Whether it is this control plane that `host:port` names.
    fn is_named_by(&self, authority: &str) -> bool {
        // Userinfo belongs into neither header.
        let authority = authority
            .parse::<Authority>()
            .ok()
            .filter(|authority| !authority.as_str().contains('@'));
        let Some(authority) = authority else {
            return false;
        };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() == authority.host() => 80,
            // There is a colon, and no port that is one.
            None => return false,
        };
        port == self.address.port() && self.is_host(authority.host())
    }

    fn is_host(&self, host: &str) -> bool {
        let address = ip(host);
        host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| {
                address.is_loopback() || address == self.address.ip().to_canonical()
            })
            || self.hosts.iter().any(|known| match ip(known) {
                // All addresses, which is none.
                Some(known) => !known.is_unspecified() && address == Some(known),
                None => !known.is_empty() && host.eq_ignore_ascii_case(known),
            })
    }
}

/// The address that a host of a URL is, brackets or not.
fn ip(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// A header's value, if there is exactly one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
