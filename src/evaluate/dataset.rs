//! The examples as MLflow lists them among the inputs of a run: what they look like, not their rows.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Row;
use crate::mlflow::entities::Dataset;

/// Letters of a digest, as MLflow makes it.
const DIGEST: usize = 8;

/// Describes a table in the form of MLflow's datasets.
pub(super) fn describe(name: &str, columns: &[String], rows: &[Row]) -> Dataset {
    let source = json!({"tags": {"mlflow.source.type": "LOCAL"}});
    let profile = json!({"num_rows": rows.len(), "num_elements": rows.len() * columns.len()});
    Dataset {
        name: name.to_owned(),
        digest: digest(rows),
        source_type: "code".to_owned(),
        source: source.to_string(),
        schema: schema(columns, rows).map(|schema| schema.to_string()),
        profile: Some(profile.to_string()),
    }
}

fn digest(rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(Value::Object(row.clone()).to_string());
    }
    let letters: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    letters.chars().take(DIGEST).collect()
}

/// Names and types of the columns; none if MLflow has no name for the type of one of them.
fn schema(columns: &[String], rows: &[Row]) -> Option<Value> {
    let column = |name: &String| {
        let mut values = rows.iter().map(|row| row.get(name));
        let kind = kind(values.next()??)?;
        let same = values.all(|value| value.and_then(self::kind) == Some(kind));
        same.then(|| json!({"type": kind, "name": name, "required": true}))
    };
    Some(json!({"mlflow_colspec": columns.iter().map(column).collect::<Option<Vec<_>>>()?}))
}

fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("double"),
        Value::Number(_) => Some("long"),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_says_what_its_columns_hold() {
        let row = |question: &str, score: Value| {
            Row::from_iter([("q".into(), json!(question)), ("s".into(), score)])
        };
        let columns = ["q".to_owned(), "s".to_owned()];
        let one = describe("d", &columns, &[row("a", json!(1)), row("b", json!(2))]);
        let schema = r#"{"mlflow_colspec":[{"type":"string","name":"q","required":true},{"type":"long","name":"s","required":true}]}"#;
        assert_eq!(one.schema.as_deref(), Some(schema));
        assert_eq!(one.profile.as_deref(), Some(r#"{"num_rows":2,"num_elements":4}"#));
        let other = describe("d", &columns, &[row("a", json!(1)), row("b", Value::Null)]);
        assert_eq!(other.schema, None);
        assert!(one.digest.len() == DIGEST && one.digest != other.digest);
    }
}
