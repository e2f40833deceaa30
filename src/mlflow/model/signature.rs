//! What a model takes and gives, as MLflow writes it into `MLmodel`.

use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::ModelError;

/// Signature of a model.
///
/// MLflow keeps each part as JSON text; see `mlflow.models.ModelSignature`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// Columns of the input.
    pub inputs: Vec<Column>,
    /// Columns of the output.
    pub outputs: Vec<Column>,
    /// Parameters that may be given at inference time, with their defaults.
    pub params: Vec<Parameter>,
}

/// A column of the input or the output.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text. The one column of a model with at most one placeholder has no name.
    Text {
        /// Name of the column: the placeholder.
        name: Option<String>,
    },
    /// Vectors of numbers, as an embedding model gives.
    Vector,
    /// Anything else that MLflow knows, as its JSON.
    Other(Value),
}

/// A parameter that may change at inference time.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name, as OpenAI's API has it.
    pub name: String,
    /// The value where the caller gives none.
    pub default: Value,
    /// MLflow's type: `double`, `long`, `string` or `boolean`.
    pub kind: String,
    /// Whether it is a list.
    pub is_list: bool,
}

impl Column {
    fn to_json(&self) -> Value {
        match self {
            Self::Text { name: None } => json!({"type": "string", "required": true}),
            Self::Text { name: Some(name) } => json!({"type": "string", "name": name, "required": true}),
            Self::Vector => json!({"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}),
            Self::Other(value) => value.clone(),
        }
    }

    fn from_json(value: Value) -> Self {
        let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        for known in [Self::Text { name }, Self::Vector] {
            if known.to_json() == value {
                return known;
            }
        }
        Self::Other(value)
    }
}

impl Parameter {
    /// A parameter with its value as the default; none if MLflow has no type for the value.
    pub fn new(name: impl Into<String>, default: Value) -> Option<Self> {
        let name = name.into();
        let (sample, is_list) = match &default {
            Value::Array(items) => (items.first()?, true),
            single => (single, false),
        };
        let kind = match sample {
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            // A whole number as a temperature is one by chance.
            Value::Number(_) if FRACTIONS.contains(&name.as_str()) => "double",
            Value::Number(number) if number.is_f64() => "double",
            Value::Number(_) => "long",
            _ => return None,
        };
        let default = match (kind, default.as_f64()) {
            ("double", Some(number)) => json!(number),
            _ => default,
        };
        Some(Self { name, default, kind: kind.to_owned(), is_list })
    }

    fn to_json(&self) -> Value {
        let shape = if self.is_list { json!([-1]) } else { Value::Null };
        json!({"name": self.name, "default": self.default, "shape": shape, "type": self.kind})
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            name: value.get("name")?.as_str()?.to_owned(),
            default: value.get("default").cloned().unwrap_or_default(),
            kind: value.get("type").and_then(Value::as_str).unwrap_or("string").to_owned(),
            is_list: value.get("shape").is_some_and(|shape| !shape.is_null()),
        })
    }
}

/// Parameters of OpenAI's API that are fractions, whatever they happen to be.
const FRACTIONS: &[&str] = &["temperature", "top_p", "presence_penalty", "frequency_penalty"];

impl Signature {
    /// As it stands in `MLmodel`: each part JSON text, or null.
    pub(super) fn to_model_file(&self) -> Value {
        let columns = |columns: &[Column]| list(columns.iter().map(Column::to_json).collect::<Vec<_>>());
        let params = list(self.params.iter().map(Parameter::to_json).collect());
        json!({"inputs": columns(&self.inputs), "outputs": columns(&self.outputs), "params": params})
    }

    /// Reads the signature of `MLmodel`.
    ///
    /// # Errors
    ///
    /// A part is not JSON.
    pub(super) fn from_model_file(value: &Value) -> Result<Option<Self>, ModelError> {
        let Some(parts) = value.as_object() else { return Ok(None) };
        let columns = |key| -> Result<Vec<Column>, ModelError> {
            Ok(part(parts, key)?.into_iter().map(Column::from_json).collect())
        };
        let params = part(parts, "params")?.iter().filter_map(Parameter::from_json).collect();
        Ok(Some(Self { inputs: columns("inputs")?, outputs: columns("outputs")?, params }))
    }
}

fn part(parts: &Map<String, Value>, key: &str) -> Result<Vec<Value>, ModelError> {
    match parts.get(key).and_then(Value::as_str) {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| ModelError::yaml(format!("the signature's {key} are not JSON: {error}"))),
    }
}

/// A list as JSON text in Python's form; null if it is empty.
fn list(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::String(dumps(&Value::Array(items))) }
}

/// A value in the form of Python's `json.dumps`.
pub(super) fn dumps(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    // Writing a value into memory has no way to fail.
    drop(value.serialize(&mut writer));
    ascii(&String::from_utf8(bytes).unwrap_or_default())
}

/// Everything beyond ASCII as `\u` escapes.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_ascii() {
            true => escaped.push(letter),
            false => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    escaped
}

/// Python's separators: `, ` and `: `.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, to: &mut W) -> std::io::Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_types_that_mlflow_infers() {
        let cases = [
            (
                "temperature",
                json!(1),
                r#"{"name": "temperature", "default": 1.0, "shape": null, "type": "double"}"#,
            ),
            (
                "max_tokens",
                json!(5),
                r#"{"name": "max_tokens", "default": 5, "shape": null, "type": "long"}"#,
            ),
            (
                "stop",
                json!(["ä"]),
                r#"{"name": "stop", "default": ["\u00e4"], "shape": [-1], "type": "string"}"#,
            ),
        ];
        for (name, default, expected) in cases {
            let parameter = Parameter::new(name, default).unwrap();
            assert_eq!(dumps(&parameter.to_json()), expected);
            assert_eq!(Parameter::from_json(&parameter.to_json()), Some(parameter));
        }
        assert_eq!(Parameter::new("logit_bias", json!({"1": 2})), None);
    }
}
