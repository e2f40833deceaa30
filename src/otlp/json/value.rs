//! Attributes and their values.

use serde_json::Value as Json;

use super::JsonError;
use super::fields::{Fields, bytes, integer};
use super::path::Path;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// The `attributes` of a message.
pub(super) fn attributes(fields: &mut Fields<'_>) -> Result<Vec<KeyValue>, JsonError> {
    let path = fields.path().key("attributes");
    pairs(fields.list("attributes", "attributes")?, &path)
}

fn pairs(elements: Vec<Json>, path: &Path<'_>) -> Result<Vec<KeyValue>, JsonError> {
    let elements = elements.into_iter().enumerate();
    elements.map(|(index, element)| key_value(element, &path.index(index))).collect()
}

fn key_value(element: Json, path: &Path<'_>) -> Result<KeyValue, JsonError> {
    let mut fields = Fields::of(element, path)?;
    let key = fields.string("key", "key")?;
    let value =
        fields.take("value", "value").map(|value| any_value(value, &path.key("value"))).transpose()?;
    Ok(KeyValue { key, value })
}

/// The reader of one variant of [`AnyValue`].
type Variant = fn(Json, &Path<'_>) -> Result<Value, JsonError>;

const VARIANTS: &[(&str, &str, Variant)] = &[
    ("stringValue", "string_value", string),
    ("boolValue", "bool_value", boolean),
    ("intValue", "int_value", |json, path| {
        integer(&json).map(Value::Int).map_err(|reason| path.error(reason))
    }),
    ("doubleValue", "double_value", double),
    ("arrayValue", "array_value", array),
    ("kvlistValue", "kvlist_value", kvlist),
    ("bytesValue", "bytes_value", |json, path| {
        bytes(&json).map(Value::Bytes).map_err(|reason| path.error(reason))
    }),
];

/// An object with one of the variants; an unknown variant is a value that is present but empty.
fn any_value(json: Json, path: &Path<'_>) -> Result<AnyValue, JsonError> {
    let mut fields = Fields::of(json, path)?;
    let mut found = None;
    for (camel, snake, read) in VARIANTS {
        let Some(json) = fields.take(camel, snake) else { continue };
        if found.is_some() {
            return Err(path.error("has more than one value"));
        }
        found = Some(read(json, &path.key(camel))?);
    }
    Ok(AnyValue { value: found })
}

fn string(json: Json, path: &Path<'_>) -> Result<Value, JsonError> {
    match json {
        Json::String(text) => Ok(Value::String(text)),
        _ => Err(path.error("expected a string")),
    }
}

fn boolean(json: Json, path: &Path<'_>) -> Result<Value, JsonError> {
    json.as_bool().map(Value::Bool).ok_or_else(|| path.error("expected true or false"))
}

/// A number, or a text: JSON has no NaN and no infinity.
fn double(json: Json, path: &Path<'_>) -> Result<Value, JsonError> {
    let double = match &json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            // Rust would also read "inf" and "nan", which are no numbers of protobuf's.
            text => text.parse().ok().filter(|double: &f64| double.is_finite()),
        },
        _ => None,
    };
    double.map(Value::Double).ok_or_else(|| path.error("expected a number, NaN, Infinity or -Infinity"))
}

fn array(json: Json, path: &Path<'_>) -> Result<Value, JsonError> {
    let path = path.key("values");
    let elements = values(json, &path)?.into_iter().enumerate();
    let values = elements.map(|(index, element)| match element {
        // A list cannot leave an element out, so here null is an empty value.
        Json::Null => Ok(AnyValue::default()),
        element => any_value(element, &path.index(index)),
    });
    Ok(Value::Array(ArrayValue { values: values.collect::<Result<_, _>>()? }))
}

fn kvlist(json: Json, path: &Path<'_>) -> Result<Value, JsonError> {
    let path = path.key("values");
    Ok(Value::Kvlist(KeyValueList { values: pairs(values(json, &path)?, &path)? }))
}

fn values(json: Json, path: &Path<'_>) -> Result<Vec<Json>, JsonError> {
    Fields::of(json, path)?.list("values", "values")
}
