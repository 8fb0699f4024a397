//! The argument of [`wake_with_url`](crate::wake_with_url).

/// Which daemon a wake is for: the configured one, or one at another address.
///
/// Made from `&str`, `String`, `&String`, `Option<String>` and a bare `None`, which is the configured daemon:
///
/// ```
/// # use detrix::DaemonUrl;
/// # fn wake_with_url(daemon_url: impl Into<DaemonUrl>) {}
/// wake_with_url("http://10.1.2.3:8090");
/// wake_with_url(std::env::var("AGENT_URL").ok());
/// wake_with_url(None);
/// ```
///
/// There is no conversion from `Option<&str>`: with a second kind of option the compiler could not tell which `None` is
/// meant. `.map(String::from)` makes one that converts. A type of an application's own converts with
/// `impl From<Own> for DaemonUrl`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonUrl(Option<String>);

impl DaemonUrl {
    /// The other address, if there is one. Whether it is a URL has not been looked at.
    pub fn into_option(self) -> Option<String> {
        self.0
    }
}

// Exactly one conversion from an option may exist: it is what gives a bare `None` its type.
impl From<Option<String>> for DaemonUrl {
    fn from(url: Option<String>) -> Self {
        Self(url)
    }
}

impl From<String> for DaemonUrl {
    fn from(url: String) -> Self {
        Self(Some(url))
    }
}

impl From<&String> for DaemonUrl {
    fn from(url: &String) -> Self {
        Self(Some(url.clone()))
    }
}

impl From<&str> for DaemonUrl {
    fn from(url: &str) -> Self {
        Self(Some(url.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(url: impl Into<DaemonUrl>) -> Option<String> {
        url.into().into_option()
    }

    #[test]
    fn every_way_to_give_a_url_compiles_and_arrives() {
        let url = "http://a:1".to_owned();
        assert_eq!(given(None), None);
        assert_eq!(given(None::<String>), None);
        assert_eq!(given(DaemonUrl::default()), None);
        assert_eq!(given(Some(url.clone())), Some(url.clone()));
        assert_eq!(given("http://a:1"), Some(url.clone()));
        assert_eq!(given(&url), Some(url.clone()));
        assert_eq!(given(url.clone()), Some(url.clone()));
        let borrowed: Option<&str> = Some("http://a:1");
        assert_eq!(given(borrowed.map(String::from)), Some(url));
    }
}
