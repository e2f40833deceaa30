//! Attribute values: from a configuration, and as text.

use serde_json::Value as Json;

use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// The value that a configuration spells.
pub(super) fn of_json(json: &Json) -> AnyValue {
    let value = match json {
        Json::Null => None,
        Json::Bool(boolean) => Some(Value::Bool(*boolean)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Some(Value::Int(integer)),
            (None, double) => double.map(Value::Double),
        },
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Array(items) => Some(Value::Array(ArrayValue { values: items.iter().map(of_json).collect() })),
        Json::Object(members) => {
            let pairs = members.iter();
            let pairs = pairs.map(|(key, value)| KeyValue { key: key.clone(), value: Some(of_json(value)) });
            Some(Value::Kvlist(KeyValueList { values: pairs.collect() }))
        }
    };
    AnyValue { value }
}

/// A value as a person would write it.
pub(super) fn to_text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(boolean)) => boolean.to_string(),
        Some(Value::Int(integer)) => integer.to_string(),
        Some(Value::Double(double)) => double.to_string(),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Array(array)) => array.values.iter().map(to_text).collect::<Vec<_>>().join(","),
        Some(Value::Kvlist(pairs)) => {
            let texts = pairs
                .values
                .iter()
                .map(|pair| format!("{}={}", pair.key, pair.value.as_ref().map(to_text).unwrap_or_default()));
            texts.collect::<Vec<_>>().join(",")
        }
    }
}

/// The value of an attribute; of a key that repeats, the first.
pub(super) fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()
}

/// The text of an attribute.
pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match find(attributes, key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The number of an attribute, also where it is spelled as text.
pub(super) fn number(attributes: &[KeyValue], key: &str) -> Option<f64> {
    match find(attributes, key)? {
        Value::Int(integer) => Some(*integer as f64),
        Value::Double(double) => Some(*double),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An id as 16 bytes: shorter and longer ones are the same number.
pub(super) fn sixteen(id: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().rev().zip(id.iter().rev()) {
        *to = *from;
    }
    bytes
}
