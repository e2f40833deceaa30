//! Every field of every span.

use std::fmt::{Result, Write as _};

use super::text::{hex, time, typed};
use crate::otlp::model::span::{Event, Link};
use crate::otlp::model::{ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span};

/// Appends the spans of a request.
pub(super) fn append(text: &mut String, request: &ExportTraceServiceRequest) {
    for (index, resource) in request.resource_spans.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = resource_spans(text, index, resource);
    }
}

fn resource_spans(text: &mut String, index: usize, spans: &ResourceSpans) -> Result {
    writeln!(text, "ResourceSpans #{index}")?;
    writeln!(text, "Resource SchemaURL: {}", spans.schema_url)?;
    if let Some(resource) = &spans.resource {
        attributes(text, "Resource attributes:", "     -> ", &resource.attributes)?;
    }
    spans.scope_spans.iter().enumerate().try_for_each(|(index, spans)| scope_spans(text, index, spans))
}

fn scope_spans(text: &mut String, index: usize, spans: &ScopeSpans) -> Result {
    writeln!(text, "ScopeSpans #{index}")?;
    writeln!(text, "ScopeSpans SchemaURL: {}", spans.schema_url)?;
    if let Some(scope) = &spans.scope {
        writeln!(text, "InstrumentationScope {} {}", scope.name, scope.version)?;
        attributes(text, "InstrumentationScope attributes:", "     -> ", &scope.attributes)?;
    }
    spans.spans.iter().enumerate().try_for_each(|(index, span)| self::span(text, index, span))
}

fn span(text: &mut String, index: usize, span: &Span) -> Result {
    let status = span.status.clone().unwrap_or_default();
    writeln!(text, "Span #{index}")?;
    let mut field = |name: &str, value: &str| writeln!(text, "    {name:<15}: {value}");
    field("Trace ID", &hex(&span.trace_id))?;
    field("Parent ID", &hex(&span.parent_span_id))?;
    field("ID", &hex(&span.span_id))?;
    field("Name", &span.name)?;
    field("Kind", kind(span.kind))?;
    if !span.trace_state.is_empty() {
        field("TraceState", &span.trace_state)?;
    }
    field("Start time", &time(span.start_time_unix_nano))?;
    field("End time", &time(span.end_time_unix_nano))?;
    field("Status code", status_code(status.code))?;
    field("Status message", &status.message)?;
    let dropped = [
        ("DroppedAttributesCount", span.dropped_attributes_count),
        ("DroppedEventsCount", span.dropped_events_count),
        ("DroppedLinksCount", span.dropped_links_count),
    ];
    for (name, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
        field(name, &count.to_string())?;
    }
    attributes(text, "Attributes:", "     -> ", &span.attributes)?;
    if !span.events.is_empty() {
        writeln!(text, "Events:")?;
        span.events.iter().enumerate().try_for_each(|(index, event)| self::event(text, index, event))?;
    }
    if !span.links.is_empty() {
        writeln!(text, "Links:")?;
        span.links.iter().enumerate().try_for_each(|(index, link)| self::link(text, index, link))?;
    }
    Ok(())
}

fn event(text: &mut String, index: usize, event: &Event) -> Result {
    writeln!(text, "SpanEvent #{index}")?;
    writeln!(text, "     -> Name: {}", event.name)?;
    writeln!(text, "     -> Timestamp: {}", time(event.time_unix_nano))?;
    writeln!(text, "     -> DroppedAttributesCount: {}", event.dropped_attributes_count)?;
    attributes(text, "     -> Attributes::", "          -> ", &event.attributes)
}

fn link(text: &mut String, index: usize, link: &Link) -> Result {
    writeln!(text, "SpanLink #{index}")?;
    writeln!(text, "     -> Trace ID: {}", hex(&link.trace_id))?;
    writeln!(text, "     -> ID: {}", hex(&link.span_id))?;
    writeln!(text, "     -> TraceState: {}", link.trace_state)?;
    writeln!(text, "     -> DroppedAttributesCount: {}", link.dropped_attributes_count)?;
    attributes(text, "     -> Attributes::", "          -> ", &link.attributes)
}

fn attributes(text: &mut String, title: &str, prefix: &str, attributes: &[KeyValue]) -> Result {
    if attributes.is_empty() {
        return Ok(());
    }
    writeln!(text, "{title}")?;
    attributes
        .iter()
        .try_for_each(|pair| writeln!(text, "{prefix}{}: {}", pair.key, typed(pair.value.as_ref())))
}

fn kind(kind: i32) -> &'static str {
    match kind {
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "Unspecified",
    }
}

fn status_code(code: i32) -> &'static str {
    match code {
        1 => "Ok",
        2 => "Error",
        _ => "Unset",
    }
}
