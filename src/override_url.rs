//! stub
/// stub
pub struct DaemonUrl(Option<String>);
impl DaemonUrl {
    /// stub
    pub fn into_option(self) -> Option<String> {
        self.0
    }
}
impl From<&str> for DaemonUrl {
    fn from(s: &str) -> Self {
        Self(Some(s.into()))
    }
}
