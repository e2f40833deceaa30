//! Datasets, as MLflow describes them: where the rows are, not the rows.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::json::to_python_line;
use crate::mlflow::entities::{Dataset, DatasetInput, Tag};

/// Tag of an input: what the dataset was used for.
const CONTEXT: &str = "mlflow.data.context";
/// How many hex digits of the fingerprint MLflow keeps.
const DIGEST_LENGTH: usize = 8;

/// Where the rows of a dataset are.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetSource {
    /// MLflow's name of the kind: `http`, `local`, `s3`, `hugging_face`, `code`, …
    pub kind: String,
    /// Where, in the form of the kind.
    pub place: Value,
}

impl DatasetSource {
    /// A file on the web.
    pub fn http(url: impl Into<String>) -> Self {
        Self { kind: "http".to_owned(), place: json!({ "url": url.into() }) }
    }

    /// A file of this machine, or of a file system that it sees.
    pub fn local(path: impl Into<String>) -> Self {
        Self { kind: "local".to_owned(), place: json!({ "uri": path.into() }) }
    }

    /// An object of S3: `s3://bucket/key`.
    pub fn s3(uri: impl Into<String>) -> Self {
        Self { kind: "s3".to_owned(), place: json!({ "uri": uri.into() }) }
    }

    /// Made by a program, of which the tags say which.
    pub fn code<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tags: serde_json::Map<_, _> =
            tags.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        Self { kind: "code".to_owned(), place: json!({ "tags": tags }) }
    }
}

impl Dataset {
    /// A dataset that is described by name, source and columns, with the digest that MLflow's
    /// `MetaDataset` gives it: the first 8 hex digits of the SHA-256 of that description.
    ///
    /// `columns` are in the form of MLflow's schemas: `[{"type": "string", "name": "question",
    /// "required": true}]`.
    ///
    /// ```
    /// use opentelemetry_mlflow::mlflow::entities::{Dataset, DatasetInput};
    /// use opentelemetry_mlflow::tracking::DatasetSource;
    ///
    /// let source = DatasetSource::http("https://example.org/questions.csv");
    /// let input = DatasetInput::used_for("eval", Dataset::described("questions", &source, None));
    /// assert_eq!(input.dataset.digest.len(), 8);
    /// ```
    pub fn described(name: impl Into<String>, source: &DatasetSource, columns: Option<&Value>) -> Self {
        let name = name.into();
        let place = to_python_line(&source.place);
        let description = json!({
            "name": name,
            "source": place,
            "source_type": source.kind,
            "schema": columns.cloned().unwrap_or_else(|| Value::from("")),
        });
        let hash = Sha256::digest(to_python_line(&description));
        let digest: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            name,
            digest: digest.chars().take(DIGEST_LENGTH).collect(),
            source_type: source.kind.clone(),
            source: place,
            schema: columns.map(|columns| to_python_line(&json!({ "mlflow_colspec": columns }))),
            profile: None,
        }
    }
}

impl DatasetInput {
    /// A dataset with what it was used for, such as `training` or `eval`.
    pub fn used_for(context: &str, dataset: Dataset) -> Self {
        Self { dataset, tags: vec![Tag::new(CONTEXT, context)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_mlflow() {
        // What MLflow 3.17.2 logged: the exchange `log-inputs` of its client.
        let dataset = Dataset::described("meta", &DatasetSource::http("https://x/y.csv"), None);
        assert_eq!(dataset.digest, "782dd025");
        assert_eq!(dataset.source, r#"{"url": "https://x/y.csv"}"#);
        assert_eq!((dataset.source_type.as_str(), dataset.schema), ("http", None));
    }

    #[test]
    fn columns_are_part_of_the_digest() {
        let columns = json!([{ "type": "string", "name": "q", "required": true }]);
        let source = DatasetSource::code([("mlflow.source.name", "x.rs")]);
        let dataset = Dataset::described("d", &source, Some(&columns));
        assert_ne!(dataset.digest, Dataset::described("d", &source, None).digest);
        let schema = r#"{"mlflow_colspec": [{"type": "string", "name": "q", "required": true}]}"#;
        assert_eq!(dataset.schema.as_deref(), Some(schema));
        assert_eq!(dataset.source, r#"{"tags": {"mlflow.source.name": "x.rs"}}"#);
    }
}
