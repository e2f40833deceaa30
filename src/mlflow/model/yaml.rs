//! The YAML of a model's files, read as PyYAML's `safe_load` does for what MLflow writes.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use super::ModelError;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// The most values that are read.
const MAX_VALUES: usize = 50_000;

/// Reads one YAML document.
///
/// # Errors
///
/// Text that is not YAML, uses aliases, or is larger than a model's file ever is.
pub(super) fn read(text: &str) -> Result<Value, ModelError> {
    let mut open: Vec<Frame> = Vec::new();
    let mut root = None;
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| ModelError::yaml(error.to_string()))?;
        values += 1;
        if open.len() > MAX_DEPTH || values > MAX_VALUES {
            return Err(ModelError::yaml("it is larger or deeper than a model's file can be"));
        }
        let done = match event {
            Event::Scalar(text, style, _, tag) => match style {
                ScalarStyle::Plain if tag.is_none() => resolved(&text),
                _ => Value::String(text.into_owned()),
            },
            Event::SequenceStart(..) => {
                open.push(Frame::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Frame::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Frame::List(items)) => Value::Array(items),
                Some(Frame::Map(map, _)) => Value::Object(map),
                None => continue,
            },
            Event::Alias(_) => return Err(ModelError::yaml("aliases are not supported")),
            _ => continue,
        };
        match open.last_mut() {
            None => root = Some(done),
            Some(Frame::List(items)) => items.push(done),
            Some(Frame::Map(map, key)) => match key.take() {
                None => *key = Some(done.as_str().map_or_else(|| done.to_string(), str::to_owned)),
                Some(key) => drop(map.insert(key, done)),
            },
        }
    }
    Ok(root.unwrap_or(Value::Null))
}

enum Frame {
    List(Vec<Value>),
    /// With the key whose value is to come.
    Map(Map<String, Value>, Option<String>),
}

/// A plain scalar, by the rules that YAML 1.1 and 1.2 share.
fn resolved(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let digits = text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit());
    let number = (digits && text.contains('.')).then(|| text.parse::<f64>().ok()).flatten();
    number.and_then(Number::from_f64).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mlflow::yaml::to_yaml;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "a": {"b": [1, -2.5, 1e-7, true, null, "x"], "empty": {}, "none": []},
            "list": [{"role": "user", "content": "{a}: \"q\"\n\tü 😀 #no"}, [["deep"]], []],
            "text": ["on", "No", "null", "3.17.2", "1", " x", "x ", "a: b", "- a", "", "-r requirements.txt"],
        });
        assert_eq!(read(&to_yaml(&value)).unwrap(), value, "{}", to_yaml(&value));
    }

    #[test]
    fn what_python_writes_is_read() {
        let text =
            "a: '3.10'\nb: 3.17.2\nc: null\nd:\n- x=1\n- {e: [1, 2.0]}\nf: 'long\n  line'\ng: 2026-11-20\n";
        let expected = json!({"a": "3.10", "b": "3.17.2", "c": null, "d": ["x=1", {"e": [1, 2.0]}],
            "f": "long line", "g": "2026-11-20"});
        assert_eq!(read(text).unwrap(), expected);
        assert!(read("a: &x 1\nb: *x").is_err() && read("a: [").is_err());
    }
}
