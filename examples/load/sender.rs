//! One connection to a receiver.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use opentelemetry_mlflow::otlp::model::ExportTraceServiceResponse;
use opentelemetry_mlflow::otlp::status::Status as OtlpStatus;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::{Code, Status};

use crate::Protocol;

type AnyError = Box<dyn Error + Send + Sync>;

/// What the receiver said.
pub(crate) enum Answer {
    /// Kept, but for this many spans.
    Accepted {
        /// Spans that were not kept.
        rejected: u64,
    },
    /// Try again.
    Refused {
        /// The status of HTTP, or the code of gRPC.
        status: String,
        /// How long to wait, if the receiver said so.
        after: Option<Duration>,
    },
}

/// A connection of either protocol.
pub(crate) enum Sender {
    Http { client: reqwest::Client, url: String, headers: reqwest::header::HeaderMap },
    Grpc { client: Box<tonic::client::Grpc<tonic::transport::Channel>>, metadata: MetadataMap },
}

impl Sender {
    /// Opens a connection to the receiver at a base URL.
    pub(crate) async fn connect(
        protocol: Protocol,
        endpoint: &str,
        headers: &[String],
        gzip: bool,
    ) -> Result<Self, AnyError> {
        let pairs = headers
            .iter()
            .map(|header| {
                header.split_once(": ").ok_or_else(|| format!("a header is `name: value`, not `{header}`"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        match protocol {
            Protocol::Http => {
                let mut named = reqwest::header::HeaderMap::new();
                named.insert("content-type", "application/x-protobuf".parse()?);
                if gzip {
                    named.insert("content-encoding", "gzip".parse()?);
                }
                for (name, value) in pairs {
                    named.insert(reqwest::header::HeaderName::try_from(name)?, value.parse()?);
                }
                // The client wants TLS set up although nothing here uses it.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
                Ok(Self::Http {
                    client,
                    url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
                    headers: named,
                })
            }
            Protocol::Grpc if gzip => Err("--compression gzip is for --protocol http".into()),
            Protocol::Grpc => {
                let mut metadata = MetadataMap::new();
                for (name, value) in pairs {
                    metadata.insert(name.parse::<MetadataKey<_>>()?, value.parse()?);
                }
                let channel = tonic::transport::Endpoint::try_from(endpoint.to_owned())?.connect().await?;
                Ok(Self::Grpc { client: Box::new(tonic::client::Grpc::new(channel)), metadata })
            }
        }
    }

    /// Sends one body and waits for the answer.
    ///
    /// # Errors
    ///
    /// Any answer that is neither success nor a wish for a retry.
    pub(crate) async fn send(&mut self, body: Bytes) -> Result<Answer, AnyError> {
        match self {
            Self::Http { client, url, headers } => {
                let answer = client.post(url.as_str()).headers(headers.clone()).body(body).send().await?;
                match answer.status().as_u16() {
                    200 => accepted(answer.bytes().await?),
                    status @ (429 | 503) => {
                        let said = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                        let after = said.and_then(|value| value.parse().ok()).map(Duration::from_secs);
                        // A connection is used again only once its answer is read.
                        answer.bytes().await?;
                        Ok(Answer::Refused { status: status.to_string(), after })
                    }
                    status => Err(format!("status {status}: {}", answer.text().await?).into()),
                }
            }
            Self::Grpc { client, metadata } => {
                client.ready().await?;
                let mut request = tonic::Request::new(body);
                request.metadata_mut().clone_from(metadata);
                let path = http::uri::PathAndQuery::from_static(
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                );
                match client.unary(request, path, RawCodec).await {
                    Ok(answer) => accepted(answer.into_inner()),
                    Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                        let details = OtlpStatus::decode(status.details()).ok();
                        Ok(Answer::Refused {
                            status: format!("{:?}", status.code()),
                            after: details.and_then(|details| details.retry_after()),
                        })
                    }
                    Err(status) => Err(status.into()),
                }
            }
        }
    }
}

fn accepted(body: Bytes) -> Result<Answer, AnyError> {
    let answer = ExportTraceServiceResponse::decode(body)?;
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    Ok(Answer::Accepted { rejected: u64::try_from(rejected)? })
}

/// Passes bodies through as bytes: encoding them anew for each request would measure the sender.
#[derive(Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
