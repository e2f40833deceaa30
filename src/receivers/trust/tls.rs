//! TLS of a listener.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use super::config::{ServerTlsConfig, TlsVersion};
use super::{TrustError, read};

const CERT_FILE: &str = "tls.cert_file";
const KEY_FILE: &str = "tls.key_file";
const CLIENT_CA_FILE: &str = "tls.client_ca_file";

/// Certificates in use.
pub(crate) struct ServerTls {
    pub(crate) acceptor: TlsAcceptor,
    /// Which clients are let in: a digest of their authorities, or `None` for all.
    pub(super) clients: Option<[u8; 32]>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clients = self.clients.is_some();
        formatter.debug_struct("ServerTls").field("asks_clients", &clients).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the files; `protocols` is what is spoken inside, for ALPN.
    ///
    /// # Errors
    ///
    /// A file cannot be read, holds nothing usable, or key and certificate do not belong together.
    pub(super) fn load(config: &ServerTlsConfig, protocols: &[&[u8]]) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[&rustls::SupportedProtocolVersion] = match config.min_version {
            TlsVersion::V1_2 => rustls::DEFAULT_VERSIONS,
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let (verifier, clients) = match &config.client_ca_file {
            Some(path) => {
                let pem = read(CLIENT_CA_FILE, path)?;
                (Some(client_verifier(path, &pem, &provider)?), Some(Sha256::digest(&pem).into()))
            }
            None => (None, None),
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| TrustError::unusable("tls.min_version", error.to_string()))?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let chain = certificates(CERT_FILE, &config.cert_file, &read(CERT_FILE, &config.cert_file)?)?;
        let misfit = |error: rustls::Error| {
            let paths = (config.cert_file.display(), config.key_file.display());
            let reason = format!("{} and {} do not fit together: {error}", paths.0, paths.1);
            TrustError::unusable(KEY_FILE, reason)
        };
        let mut server = builder.with_single_cert(chain, private_key(&config.key_file)?).map_err(misfit)?;
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), clients })
    }
}

fn client_verifier(
    path: &Path,
    pem: &[u8],
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CLIENT_CA_FILE, path, pem)? {
        // Leaving one out in silence would lock its clients out.
        roots.add(certificate).map_err(|error| unusable(CLIENT_CA_FILE, path, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().map_err(|error| unusable(CLIENT_CA_FILE, path, &error))
}

fn certificates(
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(key, path, &"it has no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(key, path, &error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TrustError> {
    // What the parser says of a broken key may repeat a part of it.
    PrivateKeyDer::from_pem_slice(&read(KEY_FILE, path)?)
        .map_err(|_| unusable(KEY_FILE, path, &"it has no private key in PEM form without a password"))
}

fn unusable(key: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TrustError {
    TrustError::unusable(key, format!("{} cannot be used: {reason}", path.display()))
}
