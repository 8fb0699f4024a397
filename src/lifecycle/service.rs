//! stub
use crate::config::Config;
use std::sync::Arc;
pub struct Service(super::orders::Orders, Arc<super::state::State>);
impl Service {
    pub fn new(_: &Config, o: super::orders::Orders, s: Arc<super::state::State>) -> Self {
        Self(o, s)
    }
}
