//! The JSON text of a span, as MLflow keeps it in `spans.content`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::any_value::{separate, unique, write_link_map, write_map};
use super::attributes::Attributes;
use super::python::write_json_string;
use super::unusable::Unusable;
use crate::mlflow::records::SpanStatus;
use crate::otlp::model::Span;
use crate::otlp::model::span::{Event, Link};

/// Identity of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace: u128,
    pub(super) span: u64,
    /// None for a root; an id of zeros is none, too.
    pub(super) parent: Option<u64>,
}

/// Writes the text of a span whose attributes are translated, in a buffer that has been used before or is empty.
///
/// Thousands of texts wait for one transaction: each is copied once, into as much room as it needs.
///
/// # Errors
/// A string that UTF-8 cannot hold.
pub(super) fn write_content(
    out: &mut String,
    span: &Span,
    ids: Ids,
    status: SpanStatus,
    attributes: &Attributes<'_>,
    json_request: bool,
) -> Result<String, Unusable> {
    out.clear();
    out.push_str("{\"trace_id\": \"");
    STANDARD.encode_string(ids.trace.to_be_bytes(), out);
    out.push_str("\", \"span_id\": \"");
    STANDARD.encode_string(ids.span.to_be_bytes(), out);
    out.push_str("\", \"parent_span_id\": ");
    match ids.parent {
        None => out.push_str("null"),
        Some(parent) => {
            out.push('"');
            STANDARD.encode_string(parent.to_be_bytes(), out);
            out.push('"');
        }
    }
    out.push_str(", \"name\": ");
    write_json_string(out, &span.name);
    out.push_str(", \"start_time_unix_nano\": ");
    out.push_str(&span.start_time_unix_nano.to_string());
    out.push_str(", \"end_time_unix_nano\": ");
    out.push_str(&span.end_time_unix_nano.to_string());
    write_events(out, &span.events);
    write_status(out, span, status);
    write_attributes(out, attributes)?;
    write_links(out, &span.links, json_request);
    out.push('}');
    Ok(out.as_str().to_owned())
}

fn write_events(out: &mut String, events: &[Event]) {
    out.push_str(", \"events\": [");
    for (index, event) in events.iter().enumerate() {
        separate(out, index);
        out.push_str("{\"name\": ");
        write_json_string(out, &event.name);
        out.push_str(", \"time_unix_nano\": ");
        out.push_str(&event.time_unix_nano.to_string());
        out.push_str(", \"attributes\": ");
        write_map(out, &unique(&event.attributes));
        out.push('}');
    }
    out.push(']');
}

/// MLflow keeps the message of an error only.
fn write_status(out: &mut String, span: &Span, status: SpanStatus) {
    out.push_str(", \"status\": {\"code\": \"STATUS_CODE_");
    out.push_str(status.as_str());
    out.push_str("\", \"message\": ");
    let message = span.status.as_ref().filter(|_| status == SpanStatus::Error);
    write_json_string(out, message.map_or("", |status| &status.message));
    out.push('}');
}

fn write_attributes(out: &mut String, attributes: &Attributes<'_>) -> Result<(), Unusable> {
    out.push_str(", \"attributes\": {");
    let mut scratch = String::new();
    for (index, (key, content)) in attributes.iter().enumerate() {
        separate(out, index);
        write_json_string(out, key);
        out.push_str(": ");
        content.write_json(key, out, &mut scratch)?;
    }
    out.push('}');
    Ok(())
}

fn write_links(out: &mut String, links: &[Link], json_request: bool) {
    out.push_str(", \"links\": [");
    for (index, link) in links.iter().enumerate() {
        separate(out, index);
        out.push_str("{\"trace_id\": \"tr-");
        write_link_id(out, &link.trace_id, 32, json_request);
        out.push_str("\", \"span_id\": \"");
        write_link_id(out, &link.span_id, 16, json_request);
        out.push_str("\", \"attributes\": ");
        if link.attributes.is_empty() {
            out.push_str("null");
        } else {
            write_link_map(out, &unique(&link.attributes));
        }
        out.push('}');
    }
    out.push(']');
}

/// Writes an id as a number in hex, padded with zeros to a width.
///
/// In a JSON request MLflow takes the hex digits of a link's ids for base64.
fn write_link_id(out: &mut String, id: &[u8], width: usize, json_request: bool) {
    let misread = if json_request { STANDARD.decode(hex(id)).ok() } else { None };
    let digits = hex(misread.as_deref().unwrap_or(id));
    let digits = digits.trim_start_matches('0');
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}
