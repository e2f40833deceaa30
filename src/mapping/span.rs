//! One span: its row, and what it contributes to its trace.

use std::borrow::Cow;

use super::any_value::to_python;
use super::attributes::Attributes;
use super::content::{Ids, write_content};
use super::details::add_details;
use super::dialects::Events;
use super::enrich::enrich;
use super::limits::{self, cut, fit};
use super::options::{Backend, MapOptions};
use super::preview::postgres_array;
use super::python::Value;
use super::repairs::Repairs;
use super::unusable::Unusable;
use super::update::SpanUsage;
use super::usage::{COST_KEYS, TOKEN_KEYS, Tally};
use crate::mlflow::records::{Cost, SpanRecord, SpanStatus};
use crate::otlp::model::{InstrumentationScope, KeyValue, Resource, Span};
use crate::semconv::mlflow::{
    CHAT_TOKEN_USAGE, LLM_COST, LLM_MODEL, LLM_PROVIDER, SPAN_TYPE, TRACE_REQUEST_ID,
};
use crate::semconv::otel::SERVICE_NAME;

/// A span that is ready to be stored.
#[derive(Debug)]
pub(super) struct MappedSpan<'a> {
    /// The span as it came.
    pub(super) span: &'a Span,
    /// The resource that it came with.
    pub(super) resource: Option<&'a Resource>,
    pub(super) ids: Ids,
    pub(super) record: SpanRecord,
    pub(super) usage: SpanUsage,
    pub(super) attributes: Attributes<'a>,
}

/// Where a span comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) resource: Option<&'a Resource>,
    pub(super) scope: Option<&'a InstrumentationScope>,
    /// The name of the service, if it is one that MLflow knows; a root keeps it.
    pub(super) service: Option<&'static str>,
    /// Whether the request came as JSON and the ids of links are to be misread as MLflow does.
    pub(super) misread_links: bool,
}

/// What of a span is left out, because it cannot be stored.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Keys of attributes.
    pub(super) attributes: Vec<String>,
    /// Inputs and outputs that come as events.
    pub(super) event_content: bool,
}

/// Translates a span; its content is made in a buffer, which several spans may use in turn.
///
/// # Errors
/// Why the span cannot be stored.
pub(super) fn map_span<'a>(
    span: &'a Span,
    origin: Origin<'a>,
    left_out: &LeftOut,
    options: &MapOptions,
    buffer: &mut String,
) -> Result<MappedSpan<'a>, Unusable> {
    let repairs = &options.repairs;
    let ids = ids(span)?;
    let start_time_unix_nano = time(span.start_time_unix_nano, "start time")?;
    let end_time_unix_nano = time(span.end_time_unix_nano, "end time")?;
    let status = match span.status.as_ref().map(|status| status.code) {
        Some(1) => SpanStatus::Ok,
        Some(2) => SpanStatus::Error,
        _ => SpanStatus::Unset,
    };
    let mut attributes = Attributes::of_span(&span.attributes, &left_out.attributes)?;
    attributes.set_quoted(TRACE_REQUEST_ID, trace_id(ids.trace));
    if let Some(service) = origin.service.filter(|_| ids.parent.is_none()) {
        attributes.set_quoted(SERVICE_NAME, service);
    }
    let events = if left_out.event_content { &[] } else { &span.events[..] };
    enrich(&mut attributes, Events(events), options)?;
    if repairs.span_details {
        add_details(&mut attributes, span, origin.scope, status);
    }
    let usage = usage(&attributes, repairs)?;
    let column = |name, text, limit| fit(options.backend, name, text, limit, repairs.unusable_values);
    let name = column("name", Cow::Borrowed(&span.name), usize::MAX)?;
    let record = SpanRecord {
        span_id: format!("{:016x}", ids.span),
        parent_span_id: ids.parent.map(|parent| format!("{parent:016x}")),
        name: name.into_owned(),
        span_type: if repairs.span_types {
            translated_type(&attributes)
        } else {
            received_type(&span.attributes, options.backend)?
        },
        status,
        start_time_unix_nano,
        end_time_unix_nano,
        content: write_content(buffer, span, ids, status, &attributes, origin.misread_links)?,
        cost: cost_columns(&attributes)?,
        model_name: dimension(&attributes, LLM_MODEL, "model", options)?,
        model_provider: dimension(&attributes, LLM_PROVIDER, "provider", options)?,
    };
    Ok(MappedSpan { span, resource: origin.resource, ids, record, usage, attributes })
}

/// What the span adds to the totals of its trace.
fn usage(attributes: &Attributes<'_>, repairs: &Repairs) -> Result<SpanUsage, Unusable> {
    let mut usage = SpanUsage {
        tokens: tally(attributes, CHAT_TOKEN_USAGE, &TOKEN_KEYS),
        cost: tally(attributes, LLM_COST, &COST_KEYS),
    };
    if repairs.unusable_values {
        for (key, tally) in [(CHAT_TOKEN_USAGE, &usage.tokens), (LLM_COST, &usage.cost)] {
            if let Some(member) = tally.as_ref().and_then(|tally| tally.not_a_number) {
                return Err(Unusable::NotANumber { key, member });
            }
        }
    }
    if repairs.usage_totals {
        usage.complete();
    }
    Ok(usage)
}

/// The trace id in MLflow's form.
pub(super) fn trace_id(id: u128) -> String {
    format!("tr-{id:032x}")
}

/// Identity of a span: ids are numbers to MLflow, whatever their length.
///
/// # Errors
/// An id that is missing or too large.
pub(super) fn ids(span: &Span) -> Result<Ids, Unusable> {
    if span.trace_id.is_empty() {
        return Err(Unusable::NoId("trace id"));
    }
    if span.span_id.is_empty() {
        return Err(Unusable::NoId("span id"));
    }
    Ok(Ids {
        trace: u128::from_be_bytes(number(&span.trace_id, "trace id")?),
        span: u64::from_be_bytes(number(&span.span_id, "span id")?),
        parent: Some(u64::from_be_bytes(number(&span.parent_span_id, "parent span id")?))
            .filter(|parent| *parent != 0),
    })
}

/// The bytes of a big-endian number, padded with zeros.
fn number<const N: usize>(bytes: &[u8], name: &'static str) -> Result<[u8; N], Unusable> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let mut number = [0; N];
    let start = N.checked_sub(digits.len()).ok_or(Unusable::LongId { name, bytes: N })?;
    if let Some(end) = number.get_mut(start..) {
        end.copy_from_slice(digits);
    }
    Ok(number)
}

fn time(unix_nano: u64, name: &'static str) -> Result<i64, Unusable> {
    i64::try_from(unix_nano).map_err(|_| Unusable::Time(name))
}

/// The column `type` as it should be: the type that the content has.
fn translated_type(attributes: &Attributes<'_>) -> Option<String> {
    let text = attributes.usable(SPAN_TYPE)?.as_string()?;
    Some(cut(&text, limits::SPAN_TYPE).to_owned()).filter(|text| !text.is_empty())
}

/// The column `type`: MLflow takes it from the attribute as it was received, not from the
/// translated one.
fn received_type(pairs: &[KeyValue], backend: Backend) -> Result<Option<String>, Unusable> {
    let Some(pair) = pairs.iter().rev().find(|pair| pair.key == SPAN_TYPE) else { return Ok(None) };
    let value = to_python(pair.value.as_ref().and_then(|value| value.value.as_ref()));
    let text = match (&value, backend) {
        (Value::None, _) => return Ok(None),
        (Value::Str(text), _) => text.to_utf8_lossy(),
        (Value::Bytes(bytes), _) => super::python::repr_bytes(bytes),
        (Value::Int(value), _) => value.to_string(),
        (Value::Bool(value), Backend::Sqlite) => u8::from(*value).to_string(),
        (Value::Bool(value), Backend::Postgres) => value.to_string(),
        (Value::Float(value), Backend::Sqlite) if value.is_nan() => return Ok(None),
        (Value::Float(value), Backend::Sqlite) => sqlite_real(*value),
        (Value::Float(value), Backend::Postgres) => value.to_string(),
        (Value::List(values), Backend::Postgres) => {
            postgres_array(values).ok_or_else(|| Unusable::Kind(SPAN_TYPE.to_owned()))?
        }
        (Value::List(_) | Value::Dict(_), _) => return Err(Unusable::Kind(SPAN_TYPE.to_owned())),
    };
    backend.check("span type", &text, limits::SPAN_TYPE)?;
    Ok(Some(text))
}

/// The text that SQLite makes of a float in a text column: 15 digits, and always a point.
fn sqlite_real(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    let value = value + 0.0; // not minus zero
    let scientific = format!("{value:.14e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..15).contains(&exponent) {
        let decimals = usize::try_from(14 - exponent).unwrap_or_default();
        return with_point(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", with_point(mantissa), exponent.abs())
}

/// Drops the zeros at the end, but for one after the point.
fn with_point(number: &str) -> String {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let decimals = decimals.trim_end_matches('0');
    format!("{whole}.{}", if decimals.is_empty() { "0" } else { decimals })
}

/// The columns of a span's own cost.
fn cost_columns(attributes: &Attributes<'_>) -> Result<Cost, Unusable> {
    if attributes.get(LLM_COST).is_none() {
        return Ok(Cost::default());
    }
    let members = attributes.object(LLM_COST).ok_or(Unusable::NotAnObject(LLM_COST))?;
    let [input, output, total] = COST_KEYS.map(|key| finite(members.get(key)?));
    Ok(Cost { input, output, total })
}

/// Python's `float(value)`, if that is finite.
fn finite(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Int(value) => value.to_f64()?,
        Value::Float(value) => *value,
        Value::Str(text) => super::python::float_from_str(text.as_utf8()?)?,
        _ => return None,
    };
    Some(number).filter(|number| number.is_finite())
}

/// The columns `model_name` and `model_provider`.
fn dimension(
    attributes: &Attributes<'_>,
    key: &str,
    name: &'static str,
    options: &MapOptions,
) -> Result<Option<String>, Unusable> {
    let Some(text) = attributes.get(key) else { return Ok(None) };
    let plain = text.plain().map_err(|error| Unusable::surrogate(key, error))?;
    let kept = Cow::Borrowed(cut(&plain, limits::DIMENSION));
    let repair = options.repairs.unusable_values;
    Ok(Some(fit(options.backend, name, kept, limits::DIMENSION, repair)?.into_owned()))
}

/// The numbers of usage or cost, if the attribute is an object.
fn tally(attributes: &Attributes<'_>, key: &str, keys: &[&'static str]) -> Option<Box<Tally>> {
    attributes.object(key).map(|members| Box::new(Tally::from_dict(&members, keys)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_texts_as_sqlite_has_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (2.5, "2.5"),
            (0.1, "0.1"),
            (-0.0001, "-0.0001"),
            (1e-7, "1.0e-07"),
            (1e16, "1.0e+16"),
            (5e-324, "4.94065645841247e-324"),
            (f64::INFINITY, "Inf"),
        ] {
            assert_eq!(sqlite_real(value), text);
        }
    }
}
