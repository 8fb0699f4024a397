//! The client of the Detrix daemon: what it is told about this process, and with which token.

mod build;
mod git;
mod registration;
mod text;
mod token;
mod url;

pub use build::BuildInfo;
pub use registration::{Registration, control_plane_url};
pub use token::Token;
pub use url::Url;
