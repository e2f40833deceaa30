//! What the answer of a backend means for the request.

use std::time::Duration;

use http::StatusCode;
use prost::Message as _;
use serde_json::Value;

use crate::otlp::Refusal;
use crate::otlp::model::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use crate::otlp::status::Status;
use crate::pipeline::ExportError;

/// The longest text of a backend that is repeated, in characters.
const EXCERPT: usize = 200;

/// The refusals in a successful answer.
pub(super) fn refusals(response: ExportTraceServiceResponse) -> Vec<Refusal> {
    let Some(partial) = response.partial_success else { return Vec::new() };
    match usize::try_from(partial.rejected_spans) {
        Ok(spans) if spans > 0 => vec![Refusal { spans, reason: partial.error_message }],
        _ => {
            if !partial.error_message.is_empty() {
                tracing::warn!(warning = %partial.error_message, "the backend kept everything, but warns");
            }
            Vec::new()
        }
    }
}

/// Reads the body of a successful answer over HTTP. A body that is none of OTLP counts as empty:
/// the status has said that the spans are kept.
pub(super) fn success(content_type: &str, body: &[u8]) -> Vec<Refusal> {
    if is_json(content_type) { json_refusals(body) } else { refusals(decode(body)) }
}

fn decode(body: &[u8]) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse::decode(body).unwrap_or_default()
}

fn json_refusals(body: &[u8]) -> Vec<Refusal> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial_success = body.get("partialSuccess").map(|partial| ExportTracePartialSuccess {
        // A 64-bit integer is a text in protobuf's JSON mapping, but not every backend knows.
        rejected_spans: partial
            .get("rejectedSpans")
            .and_then(|rejected| rejected.as_i64().or_else(|| rejected.as_str()?.parse().ok()))
            .unwrap_or(0),
        error_message: text(partial, "errorMessage"),
    });
    refusals(ExportTraceServiceResponse { partial_success })
}

fn text(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What an unsuccessful answer over HTTP means, by the OTLP specification: 429, 502, 503 and 504 may
/// be repeated. Where credentials or the URL are wrong, the data is not at fault.
pub(super) fn failure(
    status: StatusCode,
    content_type: &str,
    body: &[u8],
    retry_after: Option<Duration>,
) -> ExportError {
    let message = if is_json(content_type) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        text(&body, "message")
    } else if content_type.starts_with("application/x-protobuf") {
        Status::decode(body).map(|status| status.message).unwrap_or_default()
    } else {
        String::from_utf8_lossy(body).trim().to_owned()
    };
    let reason = explain(&format!("the backend answered {status}"), &message);
    match status.as_u16() {
        429 | 502 | 503 | 504 => ExportError::Retry { after: retry_after, reason },
        300..=399 => ExportError::fatal(format!("{reason}: set the endpoint to where it redirects to")),
        401 | 403 => ExportError::fatal(format!("{reason}: set headers with valid credentials")),
        404 | 405 => ExportError::fatal(format!("{reason}: the endpoint is not one of OTLP over HTTP")),
        _ => ExportError::Reject { reason },
    }
}

/// What an unsuccessful call over gRPC means, by the OTLP specification.
pub(super) fn grpc_failure(status: &tonic::Status) -> ExportError {
    use tonic::Code;
    let hint = Status::decode(status.details()).ok().and_then(|status| status.retry_after());
    let code = status.code();
    // A status with a source was made here, of an error of the connection.
    let connection = std::error::Error::source(status);
    let reason = match connection {
        Some(error) => explain("the backend cannot be reached", &with_sources(error)),
        None => explain(&format!("the backend answered {code:?}"), status.message()),
    };
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => ExportError::Retry { after: hint, reason },
        Code::ResourceExhausted if hint.is_some() => ExportError::Retry { after: hint, reason },
        Code::Unknown | Code::Internal if connection.is_some() => ExportError::Retry { after: None, reason },
        Code::Unauthenticated | Code::PermissionDenied => {
            ExportError::fatal(format!("{reason}: set headers with valid credentials"))
        }
        Code::Unimplemented => {
            ExportError::fatal(format!("{reason}: the endpoint is not one of OTLP over gRPC"))
        }
        _ => ExportError::Reject { reason },
    }
}

fn explain(what: &str, text: &str) -> String {
    let excerpt: String = text.chars().take(EXCERPT).collect();
    if excerpt.is_empty() { what.to_owned() } else { format!("{what}: {excerpt}") }
}

/// An error and everything that caused it: the libraries say what is wrong in the sources only.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn is_json(content_type: &str) -> bool {
    content_type.starts_with("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::status::Code as RpcCode;
    use crate::otlp::{Encoding, answer};

    #[test]
    fn refusals_are_read_in_both_encodings() {
        let refused = vec![Refusal { spans: 3, reason: "poison".to_owned() }];
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            assert_eq!(success(encoding.content_type(), &answer(&refused, encoding)), refused);
            assert_eq!(success(encoding.content_type(), &answer(&[], encoding)), []);
            assert_eq!(success(encoding.content_type(), b"<html>"), []);
        }
        let warning = br#"{"partialSuccess":{"errorMessage":"slow down"}}"#;
        assert_eq!(success("application/json", warning), []);
    }

    #[test]
    fn the_status_of_http_decides_what_is_repeated() {
        let after = Some(Duration::from_secs(7));
        let answer =
            |status: u16| failure(StatusCode::from_u16(status).unwrap(), "text/plain", b"why", after);
        for status in [429, 502, 503, 504] {
            let reason = answer(status).to_string();
            assert!(reason.ends_with(": why"), "{reason}");
            assert_eq!(answer(status), ExportError::Retry { after, reason });
        }
        for status in [400, 413, 415, 422, 500] {
            assert!(matches!(answer(status), ExportError::Reject { .. }), "{status}");
        }
        for status in [302, 401, 403, 404, 405] {
            assert!(matches!(answer(status), ExportError::Fatal { .. }), "{status}");
        }
    }

    #[test]
    fn a_status_in_the_body_is_repeated() {
        let status = Status::new(RpcCode::InvalidArgument, "no trace_id", None);
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let body = status.encode_as(encoding);
            let error = failure(StatusCode::BAD_REQUEST, encoding.content_type(), &body, None);
            assert_eq!(error.to_string(), "the backend answered 400 Bad Request: no trace_id");
        }
    }

    #[test]
    fn the_code_of_grpc_decides_what_is_repeated() {
        use tonic::Code;
        let after = Some(Duration::from_millis(1_500));
        let status = |code: Code, hint| {
            let status = Status::new(RpcCode::Internal, "why", hint);
            grpc_failure(&tonic::Status::with_details(code, "why", status.encode_to_vec().into()))
        };
        for code in [Code::Unavailable, Code::ResourceExhausted, Code::OutOfRange] {
            assert!(matches!(status(code, after), ExportError::Retry { after: hint, .. } if hint == after));
        }
        assert!(matches!(status(Code::Unavailable, None), ExportError::Retry { after: None, .. }));
        for code in [Code::ResourceExhausted, Code::InvalidArgument, Code::Internal, Code::Unknown] {
            assert!(matches!(status(code, None), ExportError::Reject { .. }), "{code:?}");
        }
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented] {
            assert!(matches!(status(code, None), ExportError::Fatal { .. }), "{code:?}");
        }
    }
}
