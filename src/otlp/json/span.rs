//! Spans, their events, links and status.

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::JsonError;
use super::fields::Fields;
use super::path::Path;
use super::value::attributes;
use crate::otlp::model::span::{Event, Link};
use crate::otlp::model::{Span, Status};

const KINDS: &[(&str, i32)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

const STATUS_CODES: &[(&str, i32)] =
    &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

/// Reads one span.
pub(super) fn span(raw: &RawValue, path: &Path<'_>) -> Result<Span, JsonError> {
    let mut fields = Fields::parse(raw, path)?;
    let status_path = path.key("status");
    let status = fields.take("status", "status").map(|json| status(json, &status_path)).transpose()?;
    Ok(Span {
        trace_id: fields.id("traceId", "trace_id")?,
        span_id: fields.id("spanId", "span_id")?,
        trace_state: fields.string("traceState", "trace_state")?,
        parent_span_id: fields.id("parentSpanId", "parent_span_id")?,
        name: fields.string("name", "name")?,
        kind: fields.enumeration("kind", KINDS)?,
        start_time_unix_nano: fields.u64("startTimeUnixNano", "start_time_unix_nano")?,
        end_time_unix_nano: fields.u64("endTimeUnixNano", "end_time_unix_nano")?,
        attributes: attributes(&mut fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount", "dropped_attributes_count")?,
        events: each(fields.list("events", "events")?, &path.key("events"), event)?,
        dropped_events_count: fields.u32("droppedEventsCount", "dropped_events_count")?,
        links: each(fields.list("links", "links")?, &path.key("links"), link)?,
        dropped_links_count: fields.u32("droppedLinksCount", "dropped_links_count")?,
        status,
        flags: fields.u32("flags", "flags")?,
    })
}

fn each<T>(
    elements: Vec<Json>,
    path: &Path<'_>,
    read: fn(Fields<'_>) -> Result<T, JsonError>,
) -> Result<Vec<T>, JsonError> {
    let elements = elements.into_iter().enumerate();
    elements.map(|(index, element)| read(Fields::of(element, &path.index(index))?)).collect()
}

fn event(mut fields: Fields<'_>) -> Result<Event, JsonError> {
    Ok(Event {
        time_unix_nano: fields.u64("timeUnixNano", "time_unix_nano")?,
        name: fields.string("name", "name")?,
        attributes: attributes(&mut fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount", "dropped_attributes_count")?,
    })
}

/// The ids stay as the sender wrote them, in hexadecimal. MLflow misreads them as base64; who has to
/// store what MLflow stores can do the same with what is read here.
fn link(mut fields: Fields<'_>) -> Result<Link, JsonError> {
    Ok(Link {
        trace_id: fields.link_id("traceId", "trace_id")?,
        span_id: fields.link_id("spanId", "span_id")?,
        trace_state: fields.string("traceState", "trace_state")?,
        attributes: attributes(&mut fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount", "dropped_attributes_count")?,
        flags: fields.u32("flags", "flags")?,
    })
}

fn status(json: Json, path: &Path<'_>) -> Result<Status, JsonError> {
    let mut fields = Fields::of(json, path)?;
    Ok(Status {
        message: fields.string("message", "message")?,
        code: fields.enumeration("code", STATUS_CODES)?,
    })
}
