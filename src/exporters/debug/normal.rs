//! One line per resource, scope and span.

use std::fmt::Write as _;

use super::text::{hex, inline};
use crate::otlp::model::ExportTraceServiceRequest;

/// Appends the spans of a request.
pub(super) fn append(text: &mut String, request: &ExportTraceServiceRequest) {
    for (index, resource) in request.resource_spans.iter().enumerate() {
        let attributes =
            resource.resource.as_ref().map(|resource| inline(&resource.attributes)).unwrap_or_default();
        let _ = writeln!(text, "ResourceTraces #{index}{}{attributes}", schema(&resource.schema_url));
        for (index, spans) in resource.scope_spans.iter().enumerate() {
            let scope = spans.scope.clone().unwrap_or_default();
            let version =
                if scope.version.is_empty() { String::new() } else { format!("@{}", scope.version) };
            let name = if scope.name.is_empty() { String::new() } else { format!(" {}", scope.name) };
            let attributes = inline(&scope.attributes);
            let _ = writeln!(
                text,
                "ScopeTraces #{index}{name}{version}{}{attributes}",
                schema(&spans.schema_url)
            );
            for span in &spans.spans {
                let (trace, id, attributes) =
                    (hex(&span.trace_id), hex(&span.span_id), inline(&span.attributes));
                let _ = writeln!(text, "{} {trace} {id}{attributes}", span.name);
            }
        }
    }
}

fn schema(url: &str) -> String {
    if url.is_empty() { String::new() } else { format!(" [{url}]") }
}
