//! The result of decoding, and the choice of the decoder.

use super::model::ExportTraceServiceRequest;
use super::{Encoding, Refusal, decode_json, decode_protobuf};

/// A decoded request: the spans that can be kept, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The request without the refused spans.
    pub request: ExportTraceServiceRequest,
    /// The spans that were left out.
    pub refusals: Vec<Refusal>,
}

impl Decoded {
    /// The number of spans that can be kept.
    pub fn accepted_spans(&self) -> usize {
        let scopes = self.request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    }

    /// The number of spans that were left out.
    pub fn refused_spans(&self) -> usize {
        self.refusals.iter().map(|refusal| refusal.spans).sum()
    }
}

/// Why nothing of a body can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes around the spans are not protobuf.
    #[error("the body is not an ExportTraceServiceRequest in protobuf: {}", brief(.0))]
    Protobuf(#[source] prost::DecodeError),
    /// The text around the spans is not OTLP/JSON.
    #[error("the body is not an ExportTraceServiceRequest in OTLP/JSON: {path}: {reason}")]
    Json {
        /// Where, such as `resourceSpans[0].resource`.
        path: String,
        /// What is wrong there.
        reason: String,
    },
    /// The body is made of so many parts that decoding it would need a multiple of its size.
    #[error("the body has more than {limit} parts (spans, events, attributes, values): send smaller batches")]
    TooManyElements {
        /// The most parts that one body may have.
        limit: usize,
    },
}

/// Decodes a body in either encoding. An empty body is a request without spans.
///
/// # Errors
///
/// The envelope around the spans cannot be read, or has too many parts.
pub fn decode(body: &[u8], encoding: Encoding) -> Result<Decoded, DecodeError> {
    match encoding {
        Encoding::Protobuf => decode_protobuf(body),
        Encoding::Json => decode_json(body),
    }
}

/// The end of prost's message, where the cause stands: before it comes every level of the nesting.
pub(super) fn brief(error: &prost::DecodeError) -> String {
    const BYTES: usize = 160;
    let text = error.to_string();
    let start = text.ceil_char_boundary(text.len().saturating_sub(BYTES));
    match text.get(start..) {
        Some(tail) if start > 0 => format!("…{tail}"),
        _ => text,
    }
}
