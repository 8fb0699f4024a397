//! stub
#![allow(missing_docs)]
use crate::{
    Config, TlsConfig,
    error::{Error, Result},
};
use std::time::Duration;
#[derive(Clone)]
pub struct Token;
impl Token {
    pub fn discover(_: &Config) -> Option<Self> {
        None
    }
}
pub struct Url;
impl Url {
    pub fn parse(_: &str) -> Result<Self> {
        Ok(Self)
    }
}
#[derive(Clone)]
pub struct Daemon;
pub struct Health {
    pub advertise_url: Option<String>,
}
pub struct Registered {
    pub advertise_url: Option<String>,
    pub connection_id: String,
}
pub struct BuildInfo;
impl BuildInfo {
    pub fn detect(_: &Config) -> Self {
        Self
    }
}
pub struct Registration;
impl Registration {
    pub fn new(_: &Config, _: u16, _: u16, _: BuildInfo) -> Self {
        Self
    }
}
impl Daemon {
    pub fn new(_: Url, _: &TlsConfig, _: Option<Token>) -> Result<Self> {
        Ok(Self)
    }
    pub async fn health(&self, _: Duration) -> Result<Health> {
        Err(Error::WakeInProgress)
    }
    pub async fn register(&self, _: &Registration, _: Duration) -> Result<Registered> {
        Err(Error::WakeInProgress)
    }
    pub async fn unregister(&self, _: &str, _: Duration) -> Result<()> {
        Err(Error::WakeInProgress)
    }
}
