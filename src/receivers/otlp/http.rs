//! OTLP over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::body::{Compression, collect, drain};
use super::config::HttpConfig;
use super::failure::Failure;
use super::intake::{Intake, RawBody};
use super::metadata::request_metadata;
use crate::otlp::status::{Code, Status};
use crate::otlp::{Encoding, answer};
use crate::receivers::trust::Credentials;

struct Endpoint {
    intake: Intake,
    credentials: Option<Credentials>,
    path: String,
    max_body: usize,
    read_timeout: Duration,
}

/// The service behind every connection.
pub(super) fn service(intake: Intake, config: &HttpConfig, credentials: Option<Credentials>) -> Router {
    let endpoint = Endpoint {
        intake,
        credentials,
        path: config.traces_url_path.clone(),
        max_body: config.max_request_body_size,
        read_timeout: config.read_timeout,
    };
    // One path, which the configuration sets: a router would read braces in it as patterns.
    Router::new().fallback(handle).with_state(Arc::new(endpoint))
}

async fn handle(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let encoding = encoding_of(&head.headers);
    // Who did not say how to be answered gets what can be read without tools.
    let answer_encoding = encoding.unwrap_or(Encoding::Json);
    let known = endpoint.credentials.as_ref().is_none_or(|known| known.accept(&head.headers));
    let response = match (head.uri.path() == endpoint.path, head.method == Method::POST) {
        _ if !known => failed(&endpoint, &Failure::Unauthenticated, answer_encoding),
        (true, false) => method_not_allowed(answer_encoding),
        (on_path, _) => {
            let result = if on_path {
                export(&endpoint, &head.headers, &mut body, encoding).await
            } else {
                Err(Failure::UnknownPath(format!("nothing is here: traces go to {}", endpoint.path)))
            };
            match result {
                Ok(bytes) => return respond(StatusCode::OK, answer_encoding, bytes),
                Err(failure) => failed(&endpoint, &failure, answer_encoding),
            }
        }
    };
    if response.status() != StatusCode::REQUEST_TIMEOUT {
        drain(&mut body, endpoint.max_body).await;
    }
    response
}

async fn export(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: &mut Body,
    encoding: Option<Encoding>,
) -> Result<Vec<u8>, Failure> {
    let encoding = encoding.ok_or_else(|| {
        Failure::Unsupported("the content type must be application/x-protobuf or application/json".to_owned())
    })?;
    let compression = Compression::parse(headers.get(CONTENT_ENCODING))?;
    let metadata = request_metadata(headers)?;
    let mut reservation = endpoint.intake.admit(headers)?;
    let bytes = collect(body, endpoint.max_body, endpoint.read_timeout, &mut reservation).await?;
    let body = RawBody { bytes, compression, encoding, limit: endpoint.max_body };
    let refusals = endpoint.intake.take(body, metadata, reservation).await?;
    Ok(answer(&refusals, encoding))
}

/// The encoding by the media type, of any case and with any parameters.
fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim();
    [Encoding::Protobuf, Encoding::Json]
        .into_iter()
        .find(|encoding| media_type.eq_ignore_ascii_case(encoding.content_type()))
}

fn respond(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    response
}

fn failed(endpoint: &Endpoint, failure: &Failure, encoding: Encoding) -> Response {
    endpoint.intake.metrics.refused_request(failure.reason());
    let mut response = respond(failure.http_status(), encoding, failure.status().encode_as(encoding));
    if let Some(delay) = failure.retry_after() {
        // The header has whole seconds; 0 would mean at once.
        let seconds = delay.as_secs_f64().ceil().max(1.0) as u64;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(failure, Failure::Unsupported(_)) {
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(Compression::ACCEPTED));
    }
    if let (Failure::Unauthenticated, Some(credentials)) = (failure, &endpoint.credentials) {
        for challenge in credentials.challenges() {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

fn method_not_allowed(encoding: Encoding) -> Response {
    let status = Status::new(Code::Unimplemented, "traces are sent with POST", None);
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, encoding, status.encode_as(encoding));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}
