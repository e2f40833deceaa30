//! OTLP over HTTP, in protobuf.

use std::io::Write as _;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response};
use secrecy::ExposeSecret as _;

use super::answer::{failure, success, with_sources};
use super::config::{Compression, OtlpHttpExporterConfig, TlsConfig};
use super::{BadSetting, Transport, tls};
use crate::hints;
use crate::otlp::{Encoding, Refusal};
use crate::pipeline::ExportError;

/// The most of an answer that is read; an answer of OTLP has a few hundred bytes.
const MAX_ANSWER: usize = 64 << 10;

pub(super) struct HttpTransport {
    client: Client,
    url: String,
    compression: Compression,
}

impl HttpTransport {
    /// Prepares the client, which connects with the first request.
    pub(super) fn new(config: &OtlpHttpExporterConfig) -> Result<Self, BadSetting> {
        // reqwest takes the installed provider.
        tls::provider();
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let invalid = || ("headers", format!("`{name}` or its value is not a header"));
            let name = HeaderName::try_from(name).map_err(|_| invalid())?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = config.url();
        let builder = Client::builder()
            .default_headers(headers)
            .timeout(config.timeout)
            // A redirected POST would arrive as a GET, without its spans.
            .redirect(reqwest::redirect::Policy::none());
        let builder = secured(builder, &config.tls, url.starts_with("https://"))?;
        let client = builder.build().map_err(|error| ("tls", format!("no client can be made: {error}")))?;
        Ok(Self { client, url, compression: config.compression })
    }
}

fn secured(builder: ClientBuilder, tls: &TlsConfig, https: bool) -> Result<ClientBuilder, BadSetting> {
    let mut builder = match &tls.ca_file {
        Some(path) => {
            let authorities = Certificate::from_pem_bundle(&tls::read("tls.ca_file", path)?);
            builder.tls_certs_only(authorities.map_err(|error| ("tls.ca_file", error.to_string()))?)
        }
        // A minimal container has no certificates; over plain HTTP nobody needs them.
        None if !https => builder.tls_certs_only([]),
        None => builder,
    };
    if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let mut pem = tls::read("tls.cert_file", certificate)?;
        pem.push(b'\n');
        pem.extend(tls::read("tls.key_file", key)?);
        builder =
            builder.identity(Identity::from_pem(&pem).map_err(|error| ("tls.cert_file", error.to_string()))?);
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify))
}

impl Transport for HttpTransport {
    async fn send(&self, body: Bytes) -> Result<Vec<Refusal>, ExportError> {
        let passing = |error: reqwest::Error| {
            ExportError::retry(format!(
                "the backend cannot be reached: {}",
                with_sources(&error.without_url())
            ))
        };
        let request = self.client.post(&self.url).header(CONTENT_TYPE, Encoding::Protobuf.content_type());
        let request = match self.compression {
            Compression::None => request.body(body),
            Compression::Gzip => request.header(CONTENT_ENCODING, "gzip").body(compressed(gzip(&body))?),
            Compression::Zstd => request.header(CONTENT_ENCODING, "zstd").body(compressed(zstd(&body))?),
        };
        let response = request.send().await.map_err(passing)?;
        let status = response.status();
        let content_type = header(&response, CONTENT_TYPE);
        let retry_after = hints::retry_after(&header(&response, RETRY_AFTER), SystemTime::now());
        let answer = read(response).await;
        if status.is_success() {
            // The spans are kept, whatever became of the rest of the answer.
            return Ok(success(&content_type, &answer));
        }
        Err(failure(status, &content_type, &answer, retry_after))
    }
}

fn header(response: &Response, name: HeaderName) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_owned()
}

/// Reads an answer as far as it comes, within the limit.
async fn read(mut response: Response) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ANSWER.saturating_sub(bytes.len());
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() >= MAX_ANSWER {
            break;
        }
    }
    bytes.freeze()
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn zstd(body: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::encode_all(body, zstd::DEFAULT_COMPRESSION_LEVEL)
}

/// Compressing in memory fails only where memory does.
fn compressed(result: std::io::Result<Vec<u8>>) -> Result<Vec<u8>, ExportError> {
    result.map_err(|error| ExportError::retry(format!("the request cannot be compressed: {error}")))
}
