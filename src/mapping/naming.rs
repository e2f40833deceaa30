//! Names of traces, where MLflow gives them none.

use super::attributes::Attributes;
use super::span::MappedSpan;
use super::update::TraceRepairs;
use crate::semconv::mlflow::SPAN_TYPE;
use crate::semconv::otel::{HTTP_METHOD, HTTP_REQUEST_METHOD, RPC_SYSTEM, RPC_SYSTEM_NAME};

/// Methods of HTTP, with which the names of HTTP spans begin.
const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "HTTP"];

/// What the spans of a trace say about its name: the root's name decides, unless the root is a plain
/// HTTP or RPC call and there is a GenAI span.
pub(super) fn name_trace(spans: &[MappedSpan<'_>], repairs: &mut TraceRepairs) -> Option<String> {
    let named = || spans.iter().filter(|span| !span.span.name.is_empty());
    let root = named().find(|span| span.ids.parent.is_none());
    let name = |span: &MappedSpan<'_>| span.record.name.clone();
    match root {
        Some(root) if is_genai(&root.attributes) || !is_call(&root.attributes) => return Some(name(root)),
        Some(root) => repairs.plain_name = Some(name(root)),
        None => {}
    }
    let genai = named().filter(|span| is_genai(&span.attributes));
    let first = genai.min_by_key(|span| (span.record.start_time_unix_nano, span.ids.span));
    repairs.fallback_name = first.map(name);
    None
}

fn is_genai(attributes: &Attributes<'_>) -> bool {
    attributes.contains(SPAN_TYPE) && !attributes.is_string(SPAN_TYPE, "UNKNOWN")
}

fn is_call(attributes: &Attributes<'_>) -> bool {
    attributes.first_present(&[HTTP_REQUEST_METHOD, HTTP_METHOD, RPC_SYSTEM, RPC_SYSTEM_NAME]).is_some()
}

/// Whether a name has the form of those of HTTP calls (`GET /users`) or RPC calls (`pkg.Service/Method`).
pub(super) fn is_plain_name(name: &str) -> bool {
    let first = name.split([' ', '/']).next().unwrap_or_default();
    METHODS.contains(&first) || (name.contains('/') && !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_calls_are_told_by_their_form() {
        for name in ["GET", "GET /users/{id}", "pkg.Service/Method", "HTTP POST"] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in ["chat gpt-4o", "invoke_agent planner", "GETTER", "a / b"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
