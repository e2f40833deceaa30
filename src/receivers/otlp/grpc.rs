//! OTLP over gRPC.
//!
//! The framing of a unary call is read here, not by tonic's server, for three reasons: the body counts
//! towards the limits while it comes in, it has a deadline, and a message that is too large is answered
//! with `RESOURCE_EXHAUSTED` (tonic says `OUT_OF_RANGE`, after which OTLP clients repeat the request).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, BytesMut};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;

use super::body::{Compression, collect};
use super::config::GrpcConfig;
use super::failure::Failure;
use super::intake::{Intake, RawBody};
use super::metadata::request_metadata;
use crate::otlp::{Encoding, answer};
use crate::receivers::trust::Credentials;

/// The compressed flag and the length before a message.
const HEADER_BYTES: usize = 5;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Of the services for metrics, logs and profiles.
const OTHER_SIGNALS: &str = "/opentelemetry.proto.collector.";

struct Endpoint {
    intake: Intake,
    credentials: Option<Credentials>,
    max_message: usize,
    read_timeout: Duration,
}

/// The service behind every connection.
pub(super) fn service(intake: Intake, config: &GrpcConfig, credentials: Option<Credentials>) -> Router {
    let max_message = config.max_message_bytes();
    let endpoint = Endpoint { intake, credentials, max_message, read_timeout: config.read_timeout };
    Router::new().fallback(handle).with_state(Arc::new(endpoint))
}

async fn handle(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        // Not a gRPC client: it reads the status of HTTP.
        let mut response =
            Response::new(Body::from("this port speaks gRPC; OTLP over HTTP has a port of its own\n"));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let known = endpoint.credentials.as_ref().is_none_or(|known| known.accept(request.headers()));
    let result = match request.uri().path() {
        _ if !known => Err(Failure::Unauthenticated),
        EXPORT => export(&endpoint, request).await,
        path => Err(unknown(path)),
    };
    match result {
        Ok(message) => succeeded(message),
        Err(failure) => failed(&endpoint, &failure),
    }
}

async fn export(endpoint: &Endpoint, request: Request) -> Result<Vec<u8>, Failure> {
    let (head, mut body) = request.into_parts();
    let compression = Compression::parse(head.headers.get("grpc-encoding"))?;
    let metadata = request_metadata(&head.headers)?;
    let mut reservation = endpoint.intake.admit(&head.headers)?;
    let limit = endpoint.max_message.saturating_add(HEADER_BYTES);
    let framed = collect(&mut body, limit, endpoint.read_timeout, &mut reservation).await?;
    let (bytes, compression) = message(framed, compression)?;
    let body = RawBody { bytes, compression, encoding: Encoding::Protobuf, limit: endpoint.max_message };
    let refusals = endpoint.intake.take(body, metadata, reservation).await?;
    Ok(answer(&refusals, Encoding::Protobuf))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value == "application/grpc" || value == "application/grpc+proto"
}

fn unknown(path: &str) -> Failure {
    if path.starts_with(OTHER_SIGNALS) {
        Failure::UnknownPath("only traces are taken: send metrics, logs and profiles elsewhere".to_owned())
    } else {
        Failure::UnknownPath("unknown service or method: traces go to TraceService/Export".to_owned())
    }
}

/// Takes the one message of a unary call out of its frame.
fn message(mut framed: Bytes, compression: Compression) -> Result<(Bytes, Compression), Failure> {
    if framed.len() < HEADER_BYTES {
        return Err(Failure::Invalid("the call has no message".to_owned()));
    }
    let (flag, length) = (framed.get_u8(), framed.get_u32());
    if usize::try_from(length) != Ok(framed.len()) {
        let message = format!("the message has {} bytes where its frame says {length}", framed.len());
        return Err(Failure::Invalid(message));
    }
    match (flag, compression) {
        (0, _) => Ok((framed, Compression::Identity)),
        (1, Compression::Identity) => {
            Err(Failure::Internal("the message is compressed, but grpc-encoding does not say how".to_owned()))
        }
        (1, compression) => Ok((framed, compression)),
        (other, _) => Err(Failure::Invalid(format!("the compressed flag is {other}"))),
    }
}

fn succeeded(message: Vec<u8>) -> Response {
    let mut framed = BytesMut::with_capacity(HEADER_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(framed.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn failed(endpoint: &Endpoint, failure: &Failure) -> Response {
    endpoint.intake.metrics.refused_request(failure.reason());
    let status = failure.status();
    let details = status.encode_to_vec().into();
    let mut response =
        tonic::Status::with_details(status.code.into(), status.message, details).into_http::<Body>();
    if matches!(failure, Failure::Unsupported(_)) {
        let accepted = HeaderValue::from_static(Compression::ACCEPTED);
        response.headers_mut().insert("grpc-accept-encoding", accepted);
    }
    if let (Failure::Unauthenticated, Some(credentials)) = (failure, &endpoint.credentials) {
        for challenge in credentials.challenges() {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }
    response
}
