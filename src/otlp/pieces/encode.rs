//! A piece as protobuf, written from where its spans are.

use prost::bytes::BufMut;
use prost::{Message, length_delimiter_len};

use super::{Place, by_resource, by_scope};
use crate::otlp::model::{ResourceSpans, ScopeSpans};

/// `ExportTraceServiceRequest.resource_spans`, field 1 with a length.
const RESOURCE_SPANS: u8 = 1 << 3 | 2;
/// `ResourceSpans.resource` and `ScopeSpans.scope`.
const ABOUT: u8 = 1 << 3 | 2;
/// `ResourceSpans.scope_spans` and `ScopeSpans.spans`.
const MEMBERS: u8 = 2 << 3 | 2;
/// `schema_url` of both.
const SCHEMA_URL: u8 = 3 << 3 | 2;

/// What [`request`](super::request) gives, as protobuf, without a copy of each span in between.
pub fn encode(piece: &[Place<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(piece));
    for (resource, places) in by_resource(piece) {
        start(RESOURCE_SPANS, resource_len(resource, places), &mut out);
        message(ABOUT, resource.resource.as_ref(), &mut out);
        for (scope, places) in by_scope(places) {
            start(MEMBERS, scope_len(scope, places), &mut out);
            message(ABOUT, scope.scope.as_ref(), &mut out);
            for place in places {
                message(MEMBERS, Some(place.span), &mut out);
            }
            text(SCHEMA_URL, &scope.schema_url, &mut out);
        }
        text(SCHEMA_URL, &resource.schema_url, &mut out);
    }
    out
}

/// The bytes of [`encode`].
pub fn encoded_len(piece: &[Place<'_>]) -> usize {
    by_resource(piece).map(|(resource, places)| framed(resource_len(resource, places))).sum()
}

fn resource_len(of: &ResourceSpans, places: &[Place<'_>]) -> usize {
    let scopes = by_scope(places).map(|(scope, places)| framed(scope_len(scope, places)));
    about_len(of.resource.as_ref(), &of.schema_url) + scopes.sum::<usize>()
}

fn scope_len(of: &ScopeSpans, places: &[Place<'_>]) -> usize {
    let spans = places.iter().map(|place| framed(place.span.encoded_len()));
    about_len(of.scope.as_ref(), &of.schema_url) + spans.sum::<usize>()
}

fn about_len(about: Option<&impl Message>, schema_url: &str) -> usize {
    let schema_url = if schema_url.is_empty() { 0 } else { framed(schema_url.len()) };
    about.map_or(0, |about| framed(about.encoded_len())) + schema_url
}

/// A field of so many bytes, with its tag and its length.
fn framed(bytes: usize) -> usize {
    1 + length_delimiter_len(bytes) + bytes
}

fn start(tag: u8, bytes: usize, out: &mut Vec<u8>) {
    out.put_u8(tag);
    // Fails only where a buffer is full, which a vector never is.
    let _ = prost::encode_length_delimiter(bytes, out);
}

fn message(tag: u8, message: Option<&impl Message>, out: &mut Vec<u8>) {
    if let Some(message) = message {
        start(tag, message.encoded_len(), out);
        message.encode_raw(out);
    }
}

fn text(tag: u8, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        start(tag, text.len(), out);
        out.put_slice(text.as_bytes());
    }
}
