//! What the daemon is told about this process.

use std::env;
use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;

use super::build::BuildInfo;
use crate::config::Config;

/// The body of a registration. The daemon makes the connection's id of name, language, workspace root and host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    host: String,
    port: u16,
    language: &'static str,
    name: String,
    workspace_root: String,
    hostname: String,
    pid: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    safe_mode: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_plane_url: Option<String>,
}

impl Registration {
    /// This process, which serves debug clients on `debug_port` and has its control plane on `control_port`, the two as
    /// they were opened.
    pub fn new(config: &Config, build: BuildInfo, debug_port: u16, control_port: u16) -> Self {
        Self {
            host: advertised(config)
                .unwrap_or_else(|| config.debug_host())
                .to_owned(),
            port: debug_port,
            language: "rust",
            name: config.connection_name(),
            workspace_root: workspace_root(config),
            hostname: hostname(),
            pid: std::process::id(),
            safe_mode: config.safe_mode,
            build_commit: build.commit,
            build_tag: build.tag,
            control_plane_url: control_plane_url(config, control_port),
        }
    }

    /// Where the daemon is asked to connect to, for messages.
    pub fn debug_address(&self) -> String {
        authority(&self.host, self.port)
    }
}

/// Where others reach the control plane that was opened on `port`. `None` when nobody has said: an address that means all
/// of a machine's leads nowhere, and 0 is no port.
pub fn control_plane_url(config: &Config, port: u16) -> Option<String> {
    let host = match advertised(config) {
        Some(host) => host,
        None => {
            let host = config.control_host.as_str();
            let unspecified = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
            (!host.is_empty() && !unspecified).then_some(host)?
        }
    };
    (port != 0).then(|| format!("http://{}", authority(host, port)))
}

fn advertised(config: &Config) -> Option<&str> {
    config
        .advertise_host
        .as_deref()
        .filter(|host| !host.is_empty())
}

fn authority(host: &str, port: u16) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn workspace_root(config: &Config) -> String {
    config
        .workspace_root
        .clone()
        .filter(|root| !root.is_empty())
        .or_else(|| {
            let directory = env::current_dir().ok()?;
            directory.into_os_string().into_string().ok()
        })
        .unwrap_or_else(|| "/unknown".to_owned())
}

/// The name of this host, as uname(2) and gethostname(2) have it.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn json(config: &Config, build: BuildInfo) -> String {
        serde_json::to_string(&Registration::new(config, build, 40177, 8099)).unwrap()
    }

    #[test]
    fn the_daemon_is_told_what_its_table_names_in_that_order() {
        let pid = std::process::id();
        let hostname = hostname();
        let config = Config {
            name: Some("orders".to_owned()),
            workspace_root: Some("/srv/orders".to_owned()),
            ..Config::default()
        };
        assert_eq!(
            json(&config, BuildInfo::default()),
            format!(
                r#"{{"host":"127.0.0.1","port":40177,"language":"rust","name":"orders","workspaceRoot":"/srv/orders","hostname":"{hostname}","pid":{pid},"controlPlaneUrl":"http://127.0.0.1:8099"}}"#
            )
        );
        let config = Config {
            advertise_host: Some("orders.svc".to_owned()),
            safe_mode: true,
            ..config
        };
        let build = BuildInfo {
            commit: Some("c".to_owned()),
            tag: Some("t".to_owned()),
        };
        assert_eq!(
            json(&config, build),
            format!(
                r#"{{"host":"orders.svc","port":40177,"language":"rust","name":"orders","workspaceRoot":"/srv/orders","hostname":"{hostname}","pid":{pid},"safeMode":true,"buildCommit":"c","buildTag":"t","controlPlaneUrl":"http://orders.svc:8099"}}"#
            )
        );
    }

    #[test]
    fn what_nobody_has_set_is_what_the_system_says() {
        let registration = Registration::new(&Config::default(), BuildInfo::default(), 1024, 0);
        assert_eq!(
            registration.name,
            format!("detrix-client-{}", std::process::id())
        );
        let here = env::current_dir().unwrap();
        assert_eq!(registration.workspace_root, here.to_str().unwrap());
        assert_eq!(registration.control_plane_url, None);
        if let Ok(uname) = Command::new("uname").arg("-n").output() {
            let expected = String::from_utf8(uname.stdout).unwrap();
            assert_eq!(registration.hostname, expected.trim());
        }
    }

    #[test]
    fn the_debug_port_may_be_at_an_address_of_its_own() {
        let config = Config {
            debug_host: Some("10.0.0.1".to_owned()),
            ..Config::default()
        };
        let registration = Registration::new(&config, BuildInfo::default(), 1024, 8099);
        assert_eq!(registration.debug_address(), "10.0.0.1:1024");
        let control = registration.control_plane_url.as_deref();
        assert_eq!(control, Some("http://127.0.0.1:8099"));
    }

    #[test]
    fn the_control_plane_is_named_only_where_it_can_be_reached() {
        let url = |control: &str, advertised: Option<&str>, port| {
            let config = Config {
                control_host: control.to_owned(),
                advertise_host: advertised.map(str::to_owned),
                ..Config::default()
            };
            control_plane_url(&config, port)
        };
        assert_eq!(url("::1", None, 8099).as_deref(), Some("http://[::1]:8099"));
        for unspecified in ["0.0.0.0", "::", ""] {
            assert_eq!(url(unspecified, None, 8099), None);
            assert_eq!(url(unspecified, Some(""), 8099), None);
            let named = url(unspecified, Some("pod"), 8099);
            assert_eq!(named.as_deref(), Some("http://pod:8099"));
        }
        let bracketed = url("0.0.0.0", Some("fd00::1"), 8099);
        assert_eq!(bracketed.as_deref(), Some("http://[fd00::1]:8099"));
        assert_eq!(url("127.0.0.1", Some("pod"), 0), None);
    }
}
