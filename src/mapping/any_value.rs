//! OTLP values as MLflow decodes them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::python::{Dict, Int, Value, dumps_into, repr_bytes, write_json_string};
use crate::otlp::model::{AnyValue, KeyValue, any_value};

/// An OTLP value; none is a value that is not set.
pub(super) type Raw<'a> = Option<&'a any_value::Value>;

/// Up to how many pairs comparing each with each is faster than a table.
const FEW: usize = 16;

/// Pairs as a Python dictionary has them: place of the first, value of the last of each key.
pub(super) fn unique(pairs: &[KeyValue]) -> Vec<(&str, Raw<'_>)> {
    let mut unique: Vec<(&str, Raw<'_>)> = Vec::with_capacity(pairs.len() + 4);
    let mut places: HashMap<&str, usize> = HashMap::new();
    for pair in pairs {
        let (key, value) = (pair.key.as_str(), raw(pair.value.as_ref()));
        let place = if pairs.len() <= FEW {
            unique.iter().position(|(known, _)| *known == key)
        } else {
            places.get(key).copied()
        };
        match place.and_then(|place| unique.get_mut(place)) {
            Some(known) => known.1 = value,
            None => {
                if pairs.len() > FEW {
                    places.insert(key, unique.len());
                }
                unique.push((key, value));
            }
        }
    }
    unique
}

fn raw(value: Option<&AnyValue>) -> Raw<'_> {
    value.and_then(|value| value.value.as_ref())
}

/// Appends the value as JSON; bytes as the text of their Python `repr`.
pub(super) fn write_value(out: &mut String, value: Raw<'_>) {
    match value {
        None => out.push_str("null"),
        Some(any_value::Value::String(text)) => write_json_string(out, text),
        Some(any_value::Value::Bool(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(any_value::Value::Int(value)) => out.push_str(&value.to_string()),
        Some(any_value::Value::Double(value)) => {
            let written = dumps_into(out, &Value::Float(*value));
            debug_assert!(written.is_ok(), "a number holds no text");
        }
        Some(any_value::Value::Bytes(bytes)) => write_json_string(out, &repr_bytes(bytes)),
        Some(any_value::Value::Array(array)) => {
            out.push('[');
            for (index, value) in array.values.iter().enumerate() {
                separate(out, index);
                write_value(out, raw(Some(value)));
            }
            out.push(']');
        }
        Some(any_value::Value::Kvlist(list)) => write_map(out, &unique(&list.values)),
    }
}

/// Appends pairs as a JSON object.
pub(super) fn write_map(out: &mut String, pairs: &[(&str, Raw<'_>)]) {
    out.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        separate(out, index);
        write_json_string(out, key);
        out.push_str(": ");
        write_value(out, *value);
    }
    out.push('}');
}

/// Appends the attributes of a link, where bytes are base64 at the top level.
pub(super) fn write_link_map(out: &mut String, pairs: &[(&str, Raw<'_>)]) {
    out.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        separate(out, index);
        write_json_string(out, key);
        out.push_str(": ");
        match value {
            Some(any_value::Value::Bytes(bytes)) => write_json_string(out, &STANDARD.encode(bytes)),
            other => write_value(out, *other),
        }
    }
    out.push('}');
}

/// Appends the separator before an element that is not the first.
pub(super) fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

/// The value as a Python value.
pub(super) fn to_python(value: Raw<'_>) -> Value {
    match value {
        None => Value::None,
        Some(any_value::Value::String(text)) => Value::from(text.as_str()),
        Some(any_value::Value::Bool(value)) => Value::Bool(*value),
        Some(any_value::Value::Int(value)) => Value::Int(Int::from(*value)),
        Some(any_value::Value::Double(value)) => Value::Float(*value),
        Some(any_value::Value::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        Some(any_value::Value::Array(array)) => {
            Value::List(array.values.iter().map(|value| to_python(raw(Some(value)))).collect())
        }
        Some(any_value::Value::Kvlist(list)) => {
            let pairs = unique(&list.values);
            Value::Dict(pairs.into_iter().map(|(key, value)| (key, to_python(value))).collect::<Dict>())
        }
    }
}

/// Whether there are bytes anywhere in the value, which `json.dumps` does not take.
pub(super) fn holds_bytes(value: Raw<'_>) -> bool {
    match value {
        Some(any_value::Value::Bytes(_)) => true,
        Some(any_value::Value::Array(array)) => {
            array.values.iter().any(|value| holds_bytes(raw(Some(value))))
        }
        Some(any_value::Value::Kvlist(list)) => {
            unique(&list.values).into_iter().any(|(_, value)| holds_bytes(value))
        }
        _ => false,
    }
}
