//! OTLP over gRPC.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::HeaderName;
use http::uri::PathAndQuery;
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::answer::{grpc_failure, refusals, with_sources};
use super::config::{Compression, OtlpExporterConfig, TlsConfig};
use super::{BadSetting, Transport, tls};
use crate::otlp::Refusal;
use crate::otlp::model::ExportTraceServiceResponse;
use crate::pipeline::ExportError;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

pub(super) struct GrpcTransport {
    channel: Channel,
    compression: Option<CompressionEncoding>,
    metadata: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>,
}

impl GrpcTransport {
    /// Prepares the connection, which is made with the first request and again when it breaks.
    pub(super) fn new(config: &OtlpExporterConfig) -> Result<Self, BadSetting> {
        let url = config.url();
        let unusable = |error: &dyn std::fmt::Display| ("endpoint", format!("`{url}` is unusable: {error}"));
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| unusable(&error))?;
        let endpoint = endpoint.timeout(config.timeout).connect_timeout(config.timeout).tcp_nodelay(true);
        let endpoint = if url.starts_with("https://") { secured(endpoint, &config.tls)? } else { endpoint };
        let compression = match config.compression {
            Compression::Gzip => Some(CompressionEncoding::Gzip),
            Compression::Zstd => Some(CompressionEncoding::Zstd),
            Compression::None => None,
        };
        let headers = config.headers.iter();
        let metadata =
            headers.map(|(name, value)| entry(name, value.expose_secret())).collect::<Result<_, _>>()?;
        Ok(Self { channel: endpoint.connect_lazy(), compression, metadata })
    }
}

fn entry(name: &str, value: &str) -> Result<(MetadataKey<Ascii>, MetadataValue<Ascii>), BadSetting> {
    let invalid = || ("headers", format!("`{name}` or its value is not metadata of gRPC"));
    let name = HeaderName::try_from(name).map_err(|_| invalid())?;
    let key = MetadataKey::from_bytes(name.as_str().as_bytes()).map_err(|_| invalid())?;
    Ok((key, value.parse().map_err(|_| invalid())?))
}

fn secured(endpoint: Endpoint, tls: &TlsConfig) -> Result<Endpoint, BadSetting> {
    let mut config = ClientTlsConfig::new();
    if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let certificate = tls::read("tls.cert_file", certificate)?;
        config = config.identity(Identity::from_pem(certificate, tls::read("tls.key_file", key)?));
    }
    let provider = tls::provider();
    let secured = if tls.insecure_skip_verify {
        endpoint.tls_config_with_verifier(config, Arc::new(tls::AnyCertificate(provider)))
    } else if let Some(path) = &tls.ca_file {
        endpoint.tls_config(config.ca_certificate(Certificate::from_pem(tls::read("tls.ca_file", path)?)))
    } else {
        endpoint.tls_config(config.with_native_roots())
    };
    secured.map_err(|error| ("tls", with_sources(&error)))
}

impl Transport for GrpcTransport {
    async fn send(&self, body: Bytes) -> Result<Vec<Refusal>, ExportError> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        if let Some(compression) = self.compression {
            client = client.send_compressed(compression);
        }
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            client = client.accept_compressed(encoding);
        }
        let unreachable = |error: &dyn std::error::Error| {
            ExportError::retry(format!("the backend cannot be reached: {}", with_sources(error)))
        };
        client.ready().await.map_err(|error| unreachable(&error))?;
        let mut request = Request::new(body);
        for (key, value) in &self.metadata {
            request.metadata_mut().insert(key.clone(), value.clone());
        }
        match client.unary(request, PathAndQuery::from_static(EXPORT), RequestCodec).await {
            Ok(response) => Ok(refusals(response.into_inner())),
            Err(status) => Err(grpc_failure(&status)),
        }
    }
}

/// Sends a request that is already encoded, and decodes the answer.
#[derive(Clone, Copy, Debug, Default)]
struct RequestCodec;

impl Codec for RequestCodec {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RequestCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RequestCodec {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ExportTraceServiceResponse>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        // The call has succeeded: an answer that cannot be read must not repeat it.
        Ok(Some(ExportTraceServiceResponse::decode(bytes).unwrap_or_default()))
    }
}
