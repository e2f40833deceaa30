//! `sslmode` and its companions, as libpq reads them.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::mlflow::tracking_uri::percent_decode;
use crate::store::StoreError;

/// What is demanded of the connection: libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// `disable`.
    NoTls,
    /// `allow` and `prefer`, the default.
    IfOffered,
    /// `require`.
    Nothing,
    /// `verify-ca`.
    Chain,
    /// `verify-full`.
    ChainAndHost,
}

/// The TLS parameters of a URL, which the driver does not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TlsParameters {
    pub(super) verify: Verify,
    root_certificates: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
}

impl TlsParameters {
    /// Takes the TLS parameters out of a URL.
    pub(super) fn split_off(url: &str) -> Result<(String, Self), StoreError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut found = Self {
            verify: Verify::IfOffered,
            root_certificates: None,
            client_certificate: None,
            client_key: None,
        };
        let mut rest = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "sslmode" => found.verify = mode(value)?,
                "sslrootcert" => found.root_certificates = Some(percent_decode(value)),
                "sslcert" => found.client_certificate = Some(percent_decode(value)),
                "sslkey" => found.client_key = Some(percent_decode(value)),
                _ => rest.push(parameter),
            }
        }
        // libpq, too, checks the chain once it is told whom to trust.
        if found.verify == Verify::Nothing && found.root_certificates.is_some() {
            found.verify = Verify::Chain;
        }
        let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        Ok((url, found))
    }
}

fn mode(value: &str) -> Result<Verify, StoreError> {
    match value {
        "disable" => Ok(Verify::NoTls),
        "allow" | "prefer" => Ok(Verify::IfOffered),
        "require" => Ok(Verify::Nothing),
        "verify-ca" => Ok(Verify::Chain),
        "verify-full" => Ok(Verify::ChainAndHost),
        _ => Err(StoreError::fatal(
            "unknown sslmode in the tracking URI; use disable, allow, prefer, require, verify-ca or verify-full",
        )),
    }
}

/// The configuration of rustls for these parameters.
pub(super) fn client_config(parameters: &TlsParameters) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match parameters.verify {
        Verify::NoTls | Verify::IfOffered | Verify::Nothing => {
            Arc::new(Lenient { chain: None, provider: Arc::clone(&provider) })
        }
        Verify::Chain => {
            let chain = Some(chain_verifier(parameters, &provider)?);
            Arc::new(Lenient { chain, provider: Arc::clone(&provider) })
        }
        Verify::ChainAndHost => chain_verifier(parameters, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::fatal("TLS cannot be set up").caused_by(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&parameters.client_certificate, &parameters.client_key) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("sslkey", key, &error))?;
            builder
                .with_client_auth_cert(certificates("sslcert", certificate)?, key)
                .map_err(|error| StoreError::fatal("sslcert and sslkey do not fit together").caused_by(error))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(StoreError::fatal("sslcert and sslkey have to be given together")),
    }
}

fn chain_verifier(
    parameters: &TlsParameters,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, StoreError> {
    let Some(file) = parameters.root_certificates.as_ref() else {
        return Err(StoreError::fatal(
            "sslmode=verify-ca and verify-full need sslrootcert=/path/to/ca.pem in the tracking URI",
        ));
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("sslrootcert", file)?);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().map_err(
        |error| StoreError::fatal(format!("sslrootcert {file} holds no certificate")).caused_by(error),
    )
}

fn certificates(parameter: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(parameter, file, &error))
}

fn unreadable(parameter: &str, file: &str, error: &rustls::pki_types::pem::Error) -> StoreError {
    StoreError::fatal(format!("{parameter} {file} cannot be read: {error}"))
}

/// Checks less than rustls does, where libpq's modes ask for less: not the host, or nothing at all.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, server, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_parameters_are_taken_out_of_the_url() {
        let url = "postgresql://db/x?sslmode=verify-full&application_name=a&sslrootcert=%2Fetc%2Fca.pem";
        let (plain, parameters) = TlsParameters::split_off(url).unwrap();
        assert_eq!(plain, "postgresql://db/x?application_name=a");
        assert_eq!(parameters.verify, Verify::ChainAndHost);
        assert_eq!(parameters.root_certificates.as_deref(), Some("/etc/ca.pem"));
    }

    #[test]
    fn a_trusted_root_makes_require_check_the_chain() {
        let (_, parameters) =
            TlsParameters::split_off("postgresql://db/x?sslmode=require&sslrootcert=ca").unwrap();
        assert_eq!(parameters.verify, Verify::Chain);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert!(
            TlsParameters::split_off("postgresql://db/x?sslmode=on")
                .unwrap_err()
                .to_string()
                .contains("sslmode")
        );
        for (query, part) in [
            ("sslmode=verify-full", "need sslrootcert"),
            ("sslmode=verify-ca&sslrootcert=/nowhere/ca.pem", "sslrootcert /nowhere/ca.pem"),
            ("sslcert=a", "together"),
        ] {
            let (_, parameters) = TlsParameters::split_off(&format!("postgresql://db/x?{query}")).unwrap();
            let error = client_config(&parameters).unwrap_err().to_string();
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
