//! Encrypted connections, and whom they trust.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use super::url::Host;
use crate::config::TlsConfig;

/// Makes encrypted connections. Reads no certificate before the first.
#[derive(Clone, Debug)]
pub struct Tls {
    config: TlsConfig,
    client: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Connections that trust whom `config` does.
    pub fn new(config: &TlsConfig) -> Self {
        Self {
            config: config.clone(),
            client: OnceLock::new(),
        }
    }

    /// Encrypts `stream`, which leads to `host`.
    ///
    /// # Errors
    ///
    /// [`Failure::Trust`] when there are no certificates to trust, [`Failure::Tls`], [`Failure::Timeout`].
    pub async fn connect(
        &self,
        host: &Host,
        stream: TcpStream,
        deadline: &Deadline,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let connector = TlsConnector::from(self.client()?);
        let name = match host {
            Host::Ip(ip) => ServerName::IpAddress(IpAddr::from(*ip)),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| Failure::Tls(io::Error::other(error)))?,
        };
        deadline
            .wait(Phase::Handshake, connector.connect(name, stream))
            .await?
            .map_err(Failure::Tls)
    }

    fn client(&self) -> Result<Arc<ClientConfig>, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = Arc::new(client(&self.config)?);
        // Whoever was first has made the same.
        Ok(self.client.get_or_init(|| client).clone())
    }
}

fn client(config: &TlsConfig) -> Result<ClientConfig, Failure> {
    // Named here: the default of the process is the application's to choose.
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Tls(io::Error::other(error)))?;
    let mut client = if config.verify {
        let roots = match &config.ca_bundle {
            Some(path) => bundle(path)?,
            None => system_roots()?,
        };
        builder.with_root_certificates(roots)
    } else {
        tracing::warn!(
            "tls.verify (DETRIX_VERIFY_SSL) is off: whoever is between this process and the Detrix daemon can read \
             the token and answer in its place"
        );
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    }
    .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

fn bundle(path: &Path) -> Result<RootCertStore, Failure> {
    let failed = |why: String| {
        Failure::Trust(format!(
            "tls.ca_bundle (DETRIX_CA_BUNDLE) is {}, {why}; it must be a PEM file with the certificates to trust",
            path.display()
        ))
    };
    let text =
        std::fs::read(path).map_err(|error| failed(format!("which cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate =
            certificate.map_err(|error| failed(format!("which is no PEM file: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| failed(format!("in which a certificate is damaged: {error}")))?;
    }
    if roots.is_empty() {
        return Err(failed("in which there is no certificate".to_owned()));
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system may well have some that are too odd to be of use.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({error})"));
        return Err(Failure::Trust(format!(
            "this system has no certificates to trust{why}; install them (ca-certificates), or name a PEM file in \
             tls.ca_bundle (DETRIX_CA_BUNDLE)"
        )));
    }
    Ok(roots)
}

/// Takes every certificate. Whoever presents it still has to have its key, which protects from nobody in between.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
