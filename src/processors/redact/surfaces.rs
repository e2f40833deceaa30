//! Every place of a request that holds a text.

use super::super::value;
use super::rules::Rules;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, ExportTraceServiceRequest, KeyValue, ScopeSpans, Span};

/// Masks a whole request.
pub(super) fn request(rules: &Rules, body: &mut ExportTraceServiceRequest) {
    for resource_spans in &mut body.resource_spans {
        text(rules, &mut resource_spans.schema_url);
        if let Some(resource) = &mut resource_spans.resource {
            attributes(rules, &mut resource.attributes);
        }
        resource_spans.scope_spans.iter_mut().for_each(|scope| scope_spans(rules, scope));
    }
}

fn scope_spans(rules: &Rules, scope_spans: &mut ScopeSpans) {
    text(rules, &mut scope_spans.schema_url);
    if let Some(scope) = &mut scope_spans.scope {
        text(rules, &mut scope.name);
        text(rules, &mut scope.version);
        attributes(rules, &mut scope.attributes);
    }
    scope_spans.spans.iter_mut().for_each(|each| span(rules, each));
}

fn span(rules: &Rules, span: &mut Span) {
    text(rules, &mut span.name);
    text(rules, &mut span.trace_state);
    if let Some(status) = &mut span.status {
        text(rules, &mut status.message);
    }
    attributes(rules, &mut span.attributes);
    for event in &mut span.events {
        text(rules, &mut event.name);
        attributes(rules, &mut event.attributes);
    }
    for link in &mut span.links {
        text(rules, &mut link.trace_state);
        attributes(rules, &mut link.attributes);
    }
}

/// Attributes of the request itself, some of which the settings may except.
fn attributes(rules: &Rules, attributes: &mut [KeyValue]) {
    attributes.iter_mut().filter(|each| !rules.ignores(&each.key)).for_each(|each| pair(rules, each));
}

fn pair(rules: &Rules, pair: &mut KeyValue) {
    if rules.blocks_key(&pair.key) {
        pair.value = Some(AnyValue { value: Some(Value::String(rules.mask.clone())) });
    } else if let Some(of_pair) = &mut pair.value {
        any_value(rules, of_pair);
    }
    if let Some(key) = rules.plain(&pair.key) {
        pair.key = key;
    }
}

fn any_value(rules: &Rules, any: &mut AnyValue) {
    let is_scalar = matches!(any.value, Some(Value::Bool(_) | Value::Int(_) | Value::Double(_)));
    if is_scalar && rules.finds(&value::to_text(any)) {
        any.value = Some(Value::String(rules.mask.clone()));
        return;
    }
    match &mut any.value {
        Some(Value::String(of_value)) => text(rules, of_value),
        Some(Value::Array(array)) => array.values.iter_mut().for_each(|each| any_value(rules, each)),
        Some(Value::Kvlist(pairs)) => pairs.values.iter_mut().for_each(|each| pair(rules, each)),
        Some(Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(readable) => {
                if let Some(masked) = rules.text(readable) {
                    *bytes = masked.into_bytes();
                }
            }
            Err(_) if rules.finds(&String::from_utf8_lossy(bytes)) => {
                *bytes = rules.mask.clone().into_bytes()
            }
            Err(_) => {}
        },
        _ => {}
    }
}

fn text(rules: &Rules, text: &mut String) {
    if let Some(masked) = rules.text(text) {
        *text = masked;
    }
}
