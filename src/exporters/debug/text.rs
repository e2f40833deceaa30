//! Values, ids and times as text.

use std::fmt::Write as _;

use crate::dates::date_from_days;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, KeyValue};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// An id in hexadecimal.
pub(super) fn hex(id: &[u8]) -> String {
    id.iter().fold(String::with_capacity(2 * id.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A value with its type, such as `Str(text)`.
pub(super) fn typed(value: Option<&AnyValue>) -> String {
    let name = match value.and_then(|value| value.value.as_ref()) {
        None => return "Empty()".to_owned(),
        Some(Value::String(_)) => "Str",
        Some(Value::Bool(_)) => "Bool",
        Some(Value::Int(_)) => "Int",
        Some(Value::Double(_)) => "Double",
        Some(Value::Array(_)) => "Slice",
        Some(Value::Kvlist(_)) => "Map",
        Some(Value::Bytes(_)) => "Bytes",
    };
    format!("{name}({})", plain(value))
}

/// A value without its type: a text as it is, a list or a map as JSON.
pub(super) fn plain(value: Option<&AnyValue>) -> String {
    match json(value) {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn json(value: Option<&AnyValue>) -> serde_json::Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => serde_json::Value::Null,
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Bool(boolean)) => (*boolean).into(),
        Some(Value::Int(integer)) => (*integer).into(),
        Some(Value::Double(double)) if double.is_finite() => (*double).into(),
        Some(Value::Double(double)) => double.to_string().into(),
        Some(Value::Array(array)) => array.values.iter().map(|value| json(Some(value))).collect(),
        Some(Value::Kvlist(list)) => {
            list.values.iter().map(|pair| (pair.key.clone(), json(pair.value.as_ref()))).collect()
        }
        Some(Value::Bytes(bytes)) => hex(bytes).into(),
    }
}

/// Attributes as ` key=value` each.
pub(super) fn inline(attributes: &[KeyValue]) -> String {
    attributes.iter().map(|pair| format!(" {}={}", pair.key, plain(pair.value.as_ref()))).collect()
}

/// A time as Go prints it, such as `2023-11-09 13:49:49.143 +0000 UTC`.
pub(super) fn time(unix_nano: u64) -> String {
    let (seconds, nanos) = (unix_nano / NANOS_PER_SECOND, unix_nano % NANOS_PER_SECOND);
    let (year, month, day) = date_from_days(seconds / SECONDS_PER_DAY);
    let second = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let fraction = format!("{nanos:09}");
    let fraction = match fraction.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (nanos, text) in [
            (0, "1970-01-01 00:00:00 +0000 UTC"),
            (1_699_537_789_143_000_000, "2023-11-09 13:49:49.143 +0000 UTC"),
            (951_782_400_000_000_001, "2000-02-29 00:00:00.000000001 +0000 UTC"),
            (u64::MAX, "2554-07-21 23:34:33.709551615 +0000 UTC"),
        ] {
            assert_eq!(time(nanos), text);
        }
    }
}
