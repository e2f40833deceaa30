//! What the layer reads from a request, and the little that it may change.

use opentelemetry::propagation::Injector;
use opentelemetry::trace::{Span, TraceContextExt};
use opentelemetry::{Context, global};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::multipart;
use super::route::Api;
use crate::genai::Json;

/// Headers that hold keys.
const SECRET_HEADERS: &[&str] = &["api-key", "x-api-key", "ocp-apim-subscription-key", "x-goog-api-key"];

/// The keys of the request, so that they can be kept out of everything that is recorded.
pub(super) fn secrets(request: &reqwest::Request) -> Vec<String> {
    let mut secrets = address_secrets(request.url());
    for (name, value) in request.headers() {
        let Ok(value) = value.to_str() else { continue };
        if name == AUTHORIZATION {
            secrets.push(value.rsplit(' ').next().unwrap_or(value).to_owned());
        } else if SECRET_HEADERS.contains(&name.as_str()) {
            secrets.push(value.to_owned());
        }
    }
    secrets
}

/// Keys that the address itself holds.
pub(super) fn address_secrets(url: &Url) -> Vec<String> {
    let query = url.query_pairs().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        ["key", "token", "secret", "sig", "password"].iter().any(|part| name.contains(part))
    });
    query.map(|(_, value)| value.into_owned()).chain(url.password().map(ToOwned::to_owned)).collect()
}

/// Reads the form that the request is, if it is one.
pub(super) fn form_reader(request: &reqwest::Request) -> Option<multipart::Reader> {
    let content_type = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    content_type.starts_with("multipart/form-data").then(|| multipart::Reader::new(content_type)).flatten()
}

/// Tells the server which trace the call belongs to.
pub(super) fn inject_trace(request: &mut reqwest::Request, parent: &Context, span: &global::BoxedSpan) {
    let context = parent.with_remote_span_context(span.span_context().clone());
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(request.headers_mut()));
    });
}

struct Headers<'h>(&'h mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Asks for usage in a stream whose caller did not. Says whether it did.
pub(super) fn ask_for_usage(api: Api, request: &mut reqwest::Request) -> bool {
    if !matches!(api, Api::Chat | Api::Completions) {
        return false;
    }
    let Some(bytes) = request.body().and_then(reqwest::Body::as_bytes) else { return false };
    let Ok(body) = Json::parse_without(&["messages", "tools"], bytes) else { return false };
    let streams = body.get("stream").and_then(Json::as_bool) == Some(true);
    // Also `null` is something that the caller said.
    let options = body.get("stream_options").is_some();
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'}').filter(|_| streams && !options) else {
        return false;
    };
    // The caller's own text stays as it is; of two members of one name the last counts.
    let mut changed = bytes.get(..end).unwrap_or_default().to_vec();
    changed.extend_from_slice(br#","stream_options":{"include_usage":true}}"#);
    *request.body_mut() = Some(changed.into());
    true
}
