//! OTLP/JSON: protobuf's JSON mapping with ids in hexadecimal.
//!
//! Read by hand, because neither prost nor serde's derive does what the OTLP specification asks for:
//! field names in camelCase or as in the `.proto` file, enums as names or numbers, 64-bit integers as
//! texts or numbers, `null` as absent, unknown fields ignored, the last of two equal keys wins.
//! Each span is kept as raw text until its turn, so a broken one fails alone.

mod fields;
mod path;
mod span;
mod value;

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::model::{ExportTraceServiceRequest, InstrumentationScope, Resource, ResourceSpans, ScopeSpans};
use super::refusal::RefusalList;
use super::validate::validate;
use super::{DecodeError, Decoded, elements};
use fields::Fields;
use path::Path;

/// Decodes an OTLP/JSON body. An empty body is a request without spans.
///
/// # Errors
///
/// The JSON around the spans cannot be read, or has too many parts.
pub fn decode_json(body: &[u8]) -> Result<Decoded, DecodeError> {
    elements::check_json(body)?;
    let text = std::str::from_utf8(body).map_err(|error| Path::Root.error(error.to_string()))?;
    let mut refusals = RefusalList::default();
    let mut request = if text.trim_ascii().is_empty() {
        ExportTraceServiceRequest::default()
    } else {
        envelope(text, &mut refusals)?
    };
    validate(&mut request, &mut refusals);
    Ok(Decoded { request, refusals: refusals.finish() })
}

/// What is wrong, and where.
struct JsonError {
    path: String,
    reason: String,
}

impl From<JsonError> for DecodeError {
    fn from(error: JsonError) -> Self {
        Self::Json { path: error.path, reason: error.reason }
    }
}

fn envelope(text: &str, refusals: &mut RefusalList) -> Result<ExportTraceServiceRequest, JsonError> {
    let body = RawObject::parse(text, &Path::Root)?;
    let path = Path::Root.key("resourceSpans");
    let mut resource_spans = Vec::new();
    for (index, raw) in body.list("resourceSpans", "resource_spans", &path)?.into_iter().enumerate() {
        resource_spans.push(resource(raw, &path.index(index), refusals)?);
    }
    Ok(ExportTraceServiceRequest { resource_spans })
}

fn resource(raw: &RawValue, path: &Path<'_>, refusals: &mut RefusalList) -> Result<ResourceSpans, JsonError> {
    let object = RawObject::parse(raw.get(), path)?;
    let scopes_path = path.key("scopeSpans");
    let mut scope_spans = Vec::new();
    for (index, raw) in object.list("scopeSpans", "scope_spans", &scopes_path)?.into_iter().enumerate() {
        scope_spans.push(scope(raw, &scopes_path.index(index), refusals)?);
    }
    let resource = object.fields("resource", &path.key("resource"), |mut fields| {
        Ok(Resource {
            attributes: value::attributes(&mut fields)?,
            dropped_attributes_count: fields.u32("droppedAttributesCount", "dropped_attributes_count")?,
        })
    })?;
    Ok(ResourceSpans { resource, scope_spans, schema_url: object.text("schemaUrl", "schema_url", path)? })
}

fn scope(raw: &RawValue, path: &Path<'_>, refusals: &mut RefusalList) -> Result<ScopeSpans, JsonError> {
    let object = RawObject::parse(raw.get(), path)?;
    let spans_path = path.key("spans");
    let mut spans = Vec::new();
    for (index, raw) in object.list("spans", "spans", &spans_path)?.into_iter().enumerate() {
        match span::span(raw, &spans_path.index(index)) {
            Ok(span) => spans.push(span),
            Err(error) => refusals.push(|| format!("{}: {}", error.path, error.reason)),
        }
    }
    let scope = object.fields("scope", &path.key("scope"), |mut fields| {
        Ok(InstrumentationScope {
            name: fields.string("name", "name")?,
            version: fields.string("version", "version")?,
            attributes: value::attributes(&mut fields)?,
            dropped_attributes_count: fields.u32("droppedAttributesCount", "dropped_attributes_count")?,
        })
    })?;
    Ok(ScopeSpans { scope, spans, schema_url: object.text("schemaUrl", "schema_url", path)? })
}

/// An object of the envelope, whose values are not parsed yet.
struct RawObject<'a>(HashMap<String, &'a RawValue>);

impl<'a> RawObject<'a> {
    fn parse(text: &'a str, path: &Path<'_>) -> Result<Self, JsonError> {
        serde_json::from_str(text).map(Self).map_err(|error| path.error(error.to_string()))
    }

    /// A member by its camelCase or its `.proto` name; `null` is absent.
    fn get(&self, camel: &str, snake: &str) -> Option<&'a RawValue> {
        let found = [camel, snake].into_iter().filter_map(|name| self.0.get(name).copied());
        found.into_iter().find(|raw| raw.get() != "null")
    }

    fn list(&self, camel: &str, snake: &str, path: &Path<'_>) -> Result<Vec<&'a RawValue>, JsonError> {
        match self.get(camel, snake) {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|error| path.error(error.to_string())),
            None => Ok(Vec::new()),
        }
    }

    fn fields<T>(
        &self,
        name: &str,
        path: &Path<'_>,
        read: impl FnOnce(Fields<'_>) -> Result<T, JsonError>,
    ) -> Result<Option<T>, JsonError> {
        let Some(raw) = self.get(name, name) else { return Ok(None) };
        read(Fields::parse(raw, path)?).map(Some)
    }

    fn text(&self, camel: &'static str, snake: &str, path: &Path<'_>) -> Result<String, JsonError> {
        let Some(raw) = self.get(camel, snake) else { return Ok(String::new()) };
        let path = path.key(camel);
        match serde_json::from_str(raw.get()) {
            Ok(Value::String(text)) => Ok(text),
            Ok(_) => Err(path.error("expected a string")),
            Err(error) => Err(path.error(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
