//! TLS towards the MLflow server.

use std::path::Path;

use reqwest::{Certificate, ClientBuilder, Identity};

use super::{RestError, TlsConfig};

/// Applies the settings. Over plain `http` the system's certificates are not even looked for: a
/// minimal container has none, and would fail here for nothing.
pub(crate) fn configure(
    builder: ClientBuilder,
    tls: &TlsConfig,
    https: bool,
) -> Result<ClientBuilder, RestError> {
    let insecure = tls.insecure_skip_verify.unwrap_or(false);
    let mut builder = match &tls.ca_file {
        Some(_) if insecure => {
            return Err(RestError::configuration(
                "`tls.ca_file` (or MLFLOW_TRACKING_SERVER_CERT_PATH) and `tls.insecure_skip_verify` (or \
                 MLFLOW_TRACKING_INSECURE_TLS) exclude each other: remove one",
            ));
        }
        Some(path) => builder.tls_certs_only(authorities(path)?),
        None if https => builder,
        None => builder.tls_certs_only([]),
    };
    if let Some(identity) = identity(tls)? {
        builder = builder.identity(identity);
    }
    Ok(builder.tls_danger_accept_invalid_certs(insecure))
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, RestError> {
    let certificates = Certificate::from_pem_bundle(&read("tls.ca_file", path)?)
        .map_err(|error| unusable("tls.ca_file", path, &error))?;
    if certificates.is_empty() {
        return Err(unusable("tls.ca_file", path, &"it has no certificate in PEM form"));
    }
    Ok(certificates)
}

fn identity(tls: &TlsConfig) -> Result<Option<Identity>, RestError> {
    let Some(cert_file) = &tls.cert_file else {
        return match &tls.key_file {
            Some(_) => Err(RestError::configuration("`tls.key_file` needs `tls.cert_file`: give both")),
            None => Ok(None),
        };
    };
    let mut pem = read("tls.cert_file", cert_file)?;
    if let Some(key_file) = &tls.key_file {
        pem.push(b'\n');
        pem.extend(read("tls.key_file", key_file)?);
    }
    Identity::from_pem(&pem).map(Some).map_err(|error| unusable("tls.cert_file", cert_file, &error))
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, RestError> {
    std::fs::read(path).map_err(|error| unusable(key, path, &error))
}

fn unusable(key: &str, path: &Path, error: &dyn std::fmt::Display) -> RestError {
    RestError::configuration(format!("`{key}` {} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::install_crypto_provider;

    fn configured(tls: &TlsConfig) -> Result<ClientBuilder, RestError> {
        install_crypto_provider();
        configure(reqwest::Client::builder(), tls, true)
    }

    #[test]
    fn what_cannot_work_names_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        std::fs::write(&path, "").unwrap();
        let path = Some(path);
        let cases = [
            ("tls.ca_file", TlsConfig { ca_file: path.clone(), ..TlsConfig::default() }),
            ("tls.cert_file", TlsConfig { cert_file: path.clone(), ..TlsConfig::default() }),
            ("tls.cert_file", TlsConfig { key_file: path.clone(), ..TlsConfig::default() }),
            (
                "insecure",
                TlsConfig { ca_file: path, insecure_skip_verify: Some(true), ..TlsConfig::default() },
            ),
        ];
        for (key, tls) in cases {
            let error = configured(&tls).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn plain_http_needs_no_certificates() {
        install_crypto_provider();
        let builder = configure(reqwest::Client::builder(), &TlsConfig::default(), false).unwrap();
        assert!(builder.build().is_ok());
    }
}
