//! Daemons at `https` addresses, with certificates made for the test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::collected::Collected;

/// An authority, and a daemon that it vouches for.
struct Trusted {
    server: Server,
    files: TempDir,
}

impl Trusted {
    /// A daemon that is vouched for under these names.
    async fn named(names: &[&str]) -> Self {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();

        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Server::talking(move |stream, asked| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not trust it hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                if let Some(request) = server::read_request(&mut stream).await {
                    let _ = asked.send(request);
                    let answer = server::json("201 Created", r#"{"connectionId":"x"}"#);
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                }
            }
        })
        .await;
        Self { server, files }
    }

    fn bundle(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    fn daemon(&self, tls: &TlsConfig) -> Daemon {
        let url = Url::parse(&self.server.url("https")).unwrap();
        Daemon::new(url, tls, Token::new("t"))
    }
}

const CARELESS: TlsConfig = TlsConfig {
    verify: false,
    ca_bundle: None,
};

fn trusting(bundle: &Path) -> TlsConfig {
    TlsConfig {
        ca_bundle: Some(bundle.to_owned()),
        ..TlsConfig::default()
    }
}

#[tokio::test]
async fn a_daemon_whose_issuer_is_in_the_bundle_is_spoken_to() {
    let trusted = Trusted::named(&["127.0.0.1"]).await;
    let daemon = trusted.daemon(&trusting(&trusted.bundle()));
    daemon.health(PATIENCE).await.unwrap();
    let request = trusted.server.request().await;
    assert_eq!(request.line, "GET /health HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    daemon.register(&registration(), PATIENCE).await.unwrap();
    daemon.unregister("x", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_daemon_is_verified_by_the_name_that_it_is_called() {
    let trusted = Trusted::named(&["localhost"]).await;
    let tls = trusting(&trusted.bundle());
    let port = Url::parse(&trusted.server.url("https")).unwrap().port();
    let url = Url::parse(&format!("https://localhost:{port}")).unwrap();
    let daemon = Daemon::new(url, &tls, None);
    daemon.health(PATIENCE).await.unwrap();
    let message = unreachable(trusted.daemon(&tls).health(PATIENCE).await.unwrap_err());
    assert!(message.contains("certificate"), "{message}");
}

#[tokio::test]
async fn a_daemon_that_the_system_does_not_know_hears_no_token() {
    let trusted = Trusted::named(&["127.0.0.1"]).await;
    let other = Trusted::named(&["127.0.0.1"]).await;
    let message = unreachable(
        trusted
            .daemon(&trusting(&other.bundle()))
            .health(PATIENCE)
            .await
            .unwrap_err(),
    );
    for part in ["certificate", "DETRIX_CA_BUNDLE"] {
        assert!(message.contains(part), "{message}");
    }
    // With the system's roots as well, whatever they are here.
    let error = trusted
        .daemon(&TlsConfig::default())
        .register(&registration(), PATIENCE)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("DETRIX_CA_BUNDLE"), "{error}");
}

#[tokio::test]
async fn anyone_is_taken_only_when_that_is_asked() {
    let trusted = Trusted::named(&["somewhere.else"]).await;
    let daemon = trusted.daemon(&CARELESS);
    let collected = Collected::warnings();
    let collecting = collected.here();
    daemon.register(&registration(), PATIENCE).await.unwrap();
    daemon.unregister("x", PATIENCE).await.unwrap();
    drop(collecting);
    let warnings = collected.take();
    assert!(warnings[0].contains("DETRIX_VERIFY_SSL"), "{warnings:?}");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[tokio::test]
async fn a_bundle_that_is_none_is_an_error_of_the_configuration() {
    let trusted = Trusted::named(&["127.0.0.1"]).await;
    let file = |name: &str, text: &str| {
        let path = trusted.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let unended = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for (path, reason) in [
        (trusted.files.path().join("nothing.pem"), "cannot be read"),
        (file("empty.pem", ""), "there is no certificate"),
        (
            file("text.pem", "no certificate"),
            "there is no certificate",
        ),
        (file("damaged.pem", damaged), "damaged"),
        (file("unended.pem", unended), "no PEM file"),
    ] {
        let daemon = trusted.daemon(&trusting(&path));
        let health = daemon.health(PATIENCE).await.unwrap_err();
        let register = daemon
            .register(&registration(), PATIENCE)
            .await
            .unwrap_err();
        let unregister = daemon.unregister("x", PATIENCE).await.unwrap_err();
        for error in [health, register, unregister] {
            let Error::ConfigError(text) = error else {
                panic!("{error}");
            };
            assert!(text.contains("DETRIX_CA_BUNDLE"), "{text}");
            assert!(text.contains(reason), "{text}");
        }
    }
}

#[tokio::test]
async fn a_bundle_is_not_read_for_http() {
    let server = Server::json("200 OK", "").await;
    let url = Url::parse(&server.url("http")).unwrap();
    let daemon = Daemon::new(url, &trusting(Path::new("/nowhere.pem")), None);
    daemon.health(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn http_and_https_that_meet_are_told() {
    let plain = Server::talking(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        server::hold(stream).await;
    })
    .await;
    let url = Url::parse(&plain.url("https")).unwrap();
    let daemon = Daemon::new(url, &CARELESS, None);
    let message = unreachable(daemon.health(PATIENCE).await.unwrap_err());
    assert!(message.contains("use an http URL"), "{message}");

    let trusted = Trusted::named(&["127.0.0.1"]).await;
    let url = Url::parse(&trusted.server.url("http")).unwrap();
    let daemon = Daemon::new(url, &TlsConfig::default(), None);
    let message = unreachable(daemon.health(PATIENCE).await.unwrap_err());
    assert!(message.contains("http or https"), "{message}");
}
