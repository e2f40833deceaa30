//! Reading MLflow's JSON, which is protobuf's: an int64 is a number or a text, a float that JSON
//! cannot write is a text, and what is empty is left out.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::mlflow::entities::Tag;

/// An int64: `5` or `"5"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Int(pub(super) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            Value::String(text) => text.trim().parse().ok(),
            // Some versions write times as floats.
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            _ => None,
        };
        read.map(Self).ok_or_else(|| serde::de::Error::custom(format!("{value} where an integer belongs")))
    }
}

/// The integer that a float stands for, if it stands for one.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and a float cast saturates")]
fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
}

/// A float: a number, or `"NaN"`, `"Infinity"`, `"-Infinity"`, or a number as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Float(pub(super) f64);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = match &value {
            // Rust reads `NaN`, `Infinity` and `-Infinity` in any case.
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        read.map(Self).ok_or_else(|| serde::de::Error::custom(format!("{value} where a number belongs")))
    }
}

/// A float as protobuf's JSON has it.
pub(super) fn float(value: f64) -> Value {
    if value.is_nan() {
        Value::from("NaN")
    } else if value.is_infinite() {
        Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        Value::from(value)
    }
}

/// A text that may be an integer: ids and version numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(serde::de::Error::custom(format!("{other} where a text belongs"))),
        }
    }
}

/// Null as if the field was left out.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A key with its value: a tag, a parameter. What is empty is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    #[serde(deserialize_with = "or_default")]
    pub(super) key: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) value: String,
}

/// Tags, as they are read.
pub(super) fn into_tags(tags: Vec<KeyValue>) -> Vec<Tag> {
    tags.into_iter().map(|tag| Tag { key: tag.key, value: tag.value }).collect()
}

/// Tags, as they are sent.
pub(super) fn tags(tags: &[Tag]) -> Value {
    tags.iter().map(|tag| serde_json::json!({ "key": tag.key, "value": tag.value })).collect()
}

/// Sets a field of an object.
pub(super) fn put(object: Option<&mut Value>, key: &str, value: Value) {
    if let Some(fields) = object.and_then(Value::as_object_mut) {
        fields.insert(key.to_owned(), value);
    }
}

/// Empty texts stand for none.
pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Option<i64> {
        serde_json::from_str::<Int>(text).ok().map(|int| int.0)
    }

    fn read_float(text: &str) -> Option<f64> {
        serde_json::from_str::<Float>(text).ok().map(|float| float.0)
    }

    #[test]
    fn integers_are_numbers_or_texts() {
        let cases = [
            ("5", Some(5)),
            ("\"1700000000001\"", Some(1_700_000_000_001)),
            ("1.7e12", Some(1_700_000_000_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(int(text), expected, "{text}");
        }
        for text in ["1.5", "\"x\"", "null", "1e300"] {
            assert_eq!(int(text), None, "{text}");
        }
    }

    #[test]
    fn floats_that_json_cannot_write_are_texts() {
        for value in [0.1, -1e-7, 1e300, 0.0, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(read_float(&float(value).to_string()), Some(value));
        }
        assert!(read_float(&float(f64::NAN).to_string()).unwrap().is_nan());
        assert_eq!(float(f64::INFINITY), "Infinity");
        assert_eq!(read_float("true"), None);
    }

    #[test]
    fn what_is_missing_or_null_is_empty() {
        let read: KeyValue = serde_json::from_str(r#"{"key": "k", "value": null}"#).unwrap();
        assert_eq!((read.key.as_str(), read.value.as_str()), ("k", ""));
        let read: KeyValue = serde_json::from_str("{}").unwrap();
        assert_eq!(read.key, "");
        assert_eq!(serde_json::from_str::<Text>("3").unwrap().0, "3");
    }
}
