//! Examples of a model's input, in the forms that MLflow stores.

use serde_json::{Map, Value, json};

use super::signature::dumps;

/// An example of what a model is given.
#[derive(Clone, Debug, PartialEq)]
pub enum InputExample {
    /// Texts, for a model with at most one placeholder.
    Texts(Vec<String>),
    /// Values of several placeholders.
    Records(Vec<Map<String, Value>>),
    /// A table, as a pandas `DataFrame` is stored.
    Table {
        /// Names of the columns.
        columns: Vec<String>,
        /// Rows, each with a value per column.
        rows: Vec<Vec<Value>>,
    },
}

impl InputExample {
    /// `input_example.json`.
    pub(super) fn stored(&self) -> String {
        dumps(&self.value())
    }

    /// `serving_input_example.json`: the body of a request to MLflow's scoring server.
    pub(super) fn serving(&self) -> String {
        let key = match self {
            Self::Table { .. } => "dataframe_split",
            _ => "inputs",
        };
        // Printing a value has no way to fail.
        serde_json::to_string_pretty(&json!({key: self.value()})).unwrap_or_default()
    }

    /// What `MLmodel` says of the example.
    pub(super) fn info(&self) -> Value {
        let mut info = Map::new();
        info.insert("artifact_path".to_owned(), "input_example.json".into());
        if matches!(self, Self::Table { .. }) {
            info.insert("pandas_orient".to_owned(), "split".into());
        }
        info.insert("serving_input_path".to_owned(), "serving_input_example.json".into());
        let kind = if matches!(self, Self::Table { .. }) { "dataframe" } else { "json_object" };
        info.insert("type".to_owned(), kind.into());
        Value::Object(info)
    }

    fn value(&self) -> Value {
        match self {
            Self::Texts(texts) => json!(texts),
            Self::Records(records) => json!(records),
            Self::Table { columns, rows } => json!({"columns": columns, "data": rows}),
        }
    }

    /// From `input_example.json`; none for a form of another kind of model.
    pub(super) fn from_stored(value: &Value) -> Option<Self> {
        if let Some(items) = value.as_array() {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            let records = || items.iter().map(|item| item.as_object().cloned()).collect::<Option<Vec<_>>>();
            return texts.map(Self::Texts).or_else(|| records().map(Self::Records));
        }
        let names = value.get("columns")?.as_array()?;
        let columns = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        let rows = value.get("data")?.as_array()?.iter().map(|row| row.as_array().cloned());
        Some(Self::Table { columns, rows: rows.collect::<Option<_>>()? })
    }
}
