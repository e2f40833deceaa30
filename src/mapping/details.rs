//! What MLflow loses of a span, kept as attributes.

use super::attributes::{Attributes, Content};
use super::text::Text;
use crate::mlflow::records::SpanStatus;
use crate::otlp::model::{InstrumentationScope, Span};
use crate::semconv::otel::{
    DROPPED_ATTRIBUTES_COUNT, DROPPED_EVENTS_COUNT, DROPPED_LINKS_COUNT, SCOPE_NAME, SCOPE_VERSION,
    SPAN_KIND, STATUS_DESCRIPTION, TRACE_STATE,
};

/// Adds what the span has of kind, scope, trace state, dropped counts and status message; what the
/// sender has set under these names stays.
pub(super) fn add_details<'a>(
    attributes: &mut Attributes<'a>,
    span: &'a Span,
    scope: Option<&'a InstrumentationScope>,
    status: SpanStatus,
) {
    let message = span.status.as_ref().map_or("", |status| &status.message);
    let message = if status == SpanStatus::Error { "" } else { message };
    let (name, version) = scope.map_or(("", ""), |scope| (&scope.name, &scope.version));
    for (key, text) in [
        (SPAN_KIND, kind(span.kind)),
        (SCOPE_NAME, name),
        (SCOPE_VERSION, version),
        (TRACE_STATE, &span.trace_state),
        (STATUS_DESCRIPTION, message),
    ] {
        if !text.is_empty() && !attributes.contains(key) {
            attributes.set_quoted(key, text);
        }
    }
    for (key, count) in [
        (DROPPED_ATTRIBUTES_COUNT, span.dropped_attributes_count),
        (DROPPED_EVENTS_COUNT, span.dropped_events_count),
        (DROPPED_LINKS_COUNT, span.dropped_links_count),
    ] {
        if count > 0 && !attributes.contains(key) {
            attributes.set(key, Content::Text(Text::Verbatim(count.to_string().into())));
        }
    }
}

/// The kind as OpenTelemetry names it for formats without kinds; nothing if it is not set.
fn kind(kind: i32) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "",
    }
}
