//! The content of a stored span, whichever way it was read.
//!
//! MLflow's database has attributes as an object of JSON texts; its server answers with OTLP's JSON.

use serde_json::Value;

/// A stored span.
pub(super) struct Content<'a>(pub(super) &'a Value);

impl<'a> Content<'a> {
    /// The value of an attribute, decoded. A text that is no JSON stands for itself.
    pub(super) fn attribute(&self, key: &str) -> Option<Value> {
        self.attributes().find(|(name, _)| *name == key).map(|(_, value)| decode(value))
    }

    /// An attribute that is text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.attribute(key)? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// All attributes whose name has this prefix: the name without it, and the value as people read it.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let named = self.attributes().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
        named.map(|(name, value)| (name.to_owned(), shown(&decode(value)))).collect()
    }

    /// Whether the operation failed.
    pub(super) fn failed(&self) -> bool {
        let code = self.0.get("status").and_then(|status| status.get("code"));
        match code {
            Some(Value::String(code)) => code.ends_with("ERROR"),
            Some(code) => code.as_i64() == Some(2),
            None => false,
        }
    }

    /// The span's own id and its parent's, as they are written.
    pub(super) fn ids(&self) -> (Option<&'a str>, Option<&'a str>) {
        let text = |key: &str| self.0.get(key).and_then(Value::as_str).filter(|id| !id.is_empty());
        (text("span_id"), text("parent_span_id"))
    }

    /// When the operation ended, in milliseconds since the Unix epoch.
    pub(super) fn end_ms(&self) -> Option<i64> {
        let end = self.0.get("end_time_unix_nano")?;
        let nanos = end.as_i64().or_else(|| end.as_str()?.parse().ok())?;
        Some(nanos / 1_000_000)
    }

    fn attributes(&self) -> Box<dyn Iterator<Item = (&'a str, &'a Value)> + 'a> {
        match self.0.get("attributes") {
            Some(Value::Object(members)) => {
                Box::new(members.iter().map(|(name, value)| (name.as_str(), value)))
            }
            Some(Value::Array(pairs)) => Box::new(
                pairs.iter().filter_map(|pair| Some((pair.get("key")?.as_str()?, pair.get("value")?))),
            ),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// The value below a JSON text, or below OTLP's wrapper.
fn decode(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        Value::Object(members) => match members.iter().next() {
            Some((kind, inner)) if members.len() == 1 && kind.ends_with("alue") => unwrap(kind, inner),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn unwrap(kind: &str, inner: &Value) -> Value {
    match (kind, inner) {
        ("intValue" | "int_value", Value::String(digits)) => {
            digits.parse::<i64>().map_or_else(|_| inner.clone(), Value::from)
        }
        ("arrayValue" | "array_value", _) => {
            let values = inner.get("values").and_then(Value::as_array);
            Value::Array(values.into_iter().flatten().map(decode).collect())
        }
        ("kvlistValue" | "kvlist_value", _) => {
            let pairs = inner.get("values").and_then(Value::as_array);
            let members = pairs
                .into_iter()
                .flatten()
                .filter_map(|pair| Some((pair.get("key")?.as_str()?.to_owned(), decode(pair.get("value")?))));
            Value::Object(members.collect())
        }
        _ => inner.clone(),
    }
}

/// A value as a parameter shows it: texts without quotes, everything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_span_say_the_same() {
        let stored = json!({"span_id": "AQ==", "parent_span_id": null, "end_time_unix_nano": 5_000_000,
            "status": {"code": "STATUS_CODE_ERROR"},
            "attributes": {"r.model": "\"m\"", "r.top_p": "0.5", "r.stop": "[\"a\"]", "plain": "no json"}});
        let served = json!({"span_id": "AQ==", "end_time_unix_nano": "5000000", "status": {"code": "STATUS_CODE_ERROR"},
            "attributes": [{"key": "r.model", "value": {"string_value": "m"}},
                {"key": "r.top_p", "value": {"double_value": 0.5}},
                {"key": "r.stop", "value": {"array_value": {"values": [{"string_value": "a"}]}}},
                {"key": "plain", "value": {"string_value": "no json"}}]});
        for span in [&stored, &served] {
            let content = Content(span);
            let pairs = [("model", "m"), ("top_p", "0.5"), ("stop", "[\"a\"]")];
            assert_eq!(
                content.with_prefix("r."),
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))
            );
            assert_eq!(content.text("plain").as_deref(), Some("no json"));
            assert_eq!(
                (content.ids(), content.end_ms(), content.failed()),
                ((Some("AQ=="), None), Some(5), true)
            );
        }
    }
}
