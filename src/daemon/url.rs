//! The address of the daemon.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hyper::Uri;

use crate::error::{Error, Result};

/// The base URL of a daemon, to which the paths of its API are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// What stands before the paths of the API: empty, or from a `/` to no `/`.
    prefix: String,
}

/// How the daemon is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    #[cfg(feature = "tls")]
    Https,
}

/// Where the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address, written out.
    Ip(IpAddr),
    /// A name that has to be looked up.
    Name(String),
}

impl Url {
    /// Reads `http://host[:port][/prefix]`, or the same with `https`. Space around it and slashes at its end mean
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::DaemonUnreachable`], which says what to change: no daemon can be at what is no URL. A password in it is
    /// not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text.trim()).map_err(|message| Error::DaemonUnreachable {
            url: shown(text.trim()),
            message: format!("{message} (daemon_url, DETRIX_DAEMON_URL)"),
        })
    }

    /// How the daemon is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where the daemon is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, also where the URL leaves it to its scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What an HTTP request for `path`, which begins with a slash, names in its first line.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Host and port, as the `Host` header has them: without the port that the scheme implies.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn read(text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty; write http://host:port".to_owned());
        }
        // `Uri` drops it without a word.
        if text.contains('#') {
            return Err(
                "it has a fragment, which a daemon's URL cannot have; leave out the #".to_owned(),
            );
        }
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("it is no URL: {error}; write http://host:port"))?;
        let scheme = match uri.scheme_str() {
            None => return Err("it has no scheme; write http://host:port".to_owned()),
            Some(scheme) => Scheme::read(scheme)?,
        };
        if uri.query().is_some() {
            return Err(
                "it has a query, which a daemon's URL cannot have; leave out the ?".to_owned(),
            );
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(
                "it names a user, which a daemon does not know; leave out what is before the @, and give the token \
                 in DETRIX_TOKEN"
                    .to_owned(),
            );
        }
        let host = uri.host().unwrap_or("");
        let port = match authority.strip_prefix(host) {
            Some("") => scheme.default_port(),
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0)
                .ok_or("its port is none; a port is a number from 1 to 65535")?,
            None => return Err("it has no host; write http://host:port".to_owned()),
        };
        Ok(Self {
            scheme,
            host: Host::read(host)?,
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.name(),
            self.authority(),
            self.prefix
        )
    }
}

impl Scheme {
    fn read(scheme: &str) -> std::result::Result<Self, String> {
        match scheme {
            "http" => Ok(Self::Http),
            #[cfg(feature = "tls")]
            "https" => Ok(Self::Https),
            #[cfg(not(feature = "tls"))]
            "https" => Err(
                "this build of detrix cannot speak https; turn on its feature `tls`, or use an http URL".to_owned(),
            ),
            _ => Err("it is neither http nor https; write http://host:port".to_owned()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            #[cfg(feature = "tls")]
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            #[cfg(feature = "tls")]
            Self::Https => 443,
        }
    }
}

impl Host {
    fn read(host: &str) -> std::result::Result<Self, String> {
        if let Some(literal) = host.strip_prefix('[') {
            return literal
                .strip_suffix(']')
                .and_then(|literal| literal.parse::<Ipv6Addr>().ok())
                .map(|ip| Self::Ip(ip.into()))
                .ok_or_else(|| "what it has in brackets is no IPv6 address".to_owned());
        }
        if host.is_empty() {
            return Err("it has no host; write http://host:port".to_owned());
        }
        Ok(host
            .parse()
            .map_or_else(|_| Self::Name(host.to_owned()), Self::Ip))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A text that may be no URL, fit for a message: short, on one line, and without a password.
pub fn shown(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (before, rest) = text.split_at(start);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let text = match rest[..end].rfind('@') {
        Some(at) => format!("{before}***{}", &rest[at..]),
        None => text.to_owned(),
    };
    super::text::excerpt(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn refused(text: &str) -> (String, String) {
        match Url::parse(text).unwrap_err() {
            Error::DaemonUnreachable { url, message } => (url, message),
            other => panic!("{text}: {other}"),
        }
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = parsed("http://127.0.0.1:8090");
        assert_eq!(url.host(), &Host::Ip([127, 0, 0, 1].into()));
        assert_eq!((url.scheme(), url.port()), (Scheme::Http, 8090));
        assert_eq!(url.target("/health"), "/health");
        assert_eq!(url.authority(), "127.0.0.1:8090");

        let url = parsed(" HTTP://daemon.example \n");
        assert_eq!(url.host(), &Host::Name("daemon.example".to_owned()));
        assert_eq!(
            (url.port(), url.authority().as_str()),
            (80, "daemon.example")
        );
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets() {
        let url = parsed("http://[::1]:8090/");
        assert_eq!(url.host(), &Host::Ip(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(url.authority(), "[::1]:8090");
        assert_eq!(url.to_string(), "http://[::1]:8090");
        refused("http://[::1%25eth0]:8090");
        refused("http://[fe80]");
        refused("http://::1:8090");
    }

    #[test]
    fn a_prefix_stands_before_every_path_and_slashes_at_the_end_do_not_count() {
        for text in ["http://a/detrix", "http://a/detrix/", "http://a/detrix//"] {
            let url = parsed(text);
            assert_eq!(url.target("/health"), "/detrix/health");
            assert_eq!(url.to_string(), "http://a/detrix");
        }
        assert_eq!(parsed("http://a:81/").target("/health"), "/health");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn https_has_its_own_port() {
        let url = parsed("https://daemon.example");
        assert_eq!((url.scheme(), url.port()), (Scheme::Https, 443));
        assert_eq!(parsed("https://a:80").authority(), "a:80");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_is_refused_with_the_feature_that_is_missing() {
        assert!(
            refused("https://daemon.example")
                .1
                .contains("feature `tls`")
        );
    }

    #[test]
    fn what_is_no_url_is_an_error_of_the_daemon_that_says_what_to_change() {
        for (text, reason) in [
            ("", "it is empty"),
            ("nonsense", "no scheme"),
            ("localhost:8090", "no scheme"),
            ("/detrix", "no scheme"),
            ("ftp://a", "neither http nor https"),
            ("http://", "no URL"),
            ("http://:8090", "no host"),
            ("http://a b", "no URL"),
            ("http://a:0", "its port is none"),
            ("http://a:70000", "its port is none"),
            ("http://a:", "its port is none"),
            ("http://a?token=1", "a query"),
            ("http://a/#x", "a fragment"),
            ("http://me@a", "names a user"),
        ] {
            let (_, message) = refused(text);
            assert!(message.contains(reason), "{text}: {message}");
            assert!(message.contains("DETRIX_DAEMON_URL"), "{text}: {message}");
        }
    }

    #[test]
    fn a_message_repeats_no_password_and_no_control_characters() {
        for text in [
            "http://me:hunter2@a:8090",
            "me:hunter2@a",
            "ftp://me:hunter2@a/x",
            "http://me:hunter2@hunter2@a",
        ] {
            let (url, message) = refused(text);
            assert!(
                !format!("{url} {message}").contains("hunter2"),
                "{url} {message}"
            );
        }
        let (url, message) = refused("http://a\r\nb\u{1b}[2J");
        assert!(
            !format!("{url}{message}").contains(char::is_control),
            "{url}"
        );
    }
}
