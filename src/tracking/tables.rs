//! Artifacts and tables of runs and logged models, through the client.

use serde_json::{Value, json};

use super::artifacts::Artifacts;
use super::client::Client;
use super::json;
use super::table::Table;
use crate::mlflow::entities::{LogBatch, Run, Search, Tag};
use crate::store::tracking::TrackingError;

/// Run tag: which artifacts are tables and images, as JSON.
const LOGGED_ARTIFACTS: &str = "mlflow.loggedArtifacts";
/// MLflow keeps this much of a tag's value.
const MAX_TAG_VALUE: usize = 8000;

/// Which tables to load, and what to add to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadTable {
    run_ids: Vec<String>,
    extra_columns: Vec<String>,
}

impl LoadTable {
    /// The tables of all runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only the tables of these runs.
    #[must_use]
    pub fn run_ids<S: Into<String>>(mut self, run_ids: impl IntoIterator<Item = S>) -> Self {
        self.run_ids = run_ids.into_iter().map(Into::into).collect();
        self
    }

    /// Columns to add from the run of each row: `run_id`, `experiment_id`, `status`, `artifact_uri`,
    /// `start_time` and `end_time` (milliseconds), `params.<name>`, `metrics.<name>`, `tags.<name>`.
    #[must_use]
    pub fn extra_columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.extra_columns = columns.into_iter().map(Into::into).collect();
        self
    }
}

impl Client {
    /// The artifacts of a run.
    ///
    /// # Errors
    ///
    /// If the run does not exist, or its artifacts cannot be reached from here ([`Artifacts::open`]).
    pub async fn run_artifacts(&self, run_id: &str) -> Result<Artifacts, TrackingError> {
        let run = self.store().get_run(run_id).await?;
        self.artifacts_at(&run.info.artifact_uri)
    }

    /// The artifacts of a logged model.
    ///
    /// # Errors
    ///
    /// If the model does not exist, or its artifacts cannot be reached from here ([`Artifacts::open`]).
    pub async fn model_artifacts(&self, model_id: &str) -> Result<Artifacts, TrackingError> {
        let model = self.store().get_logged_model(model_id).await?;
        self.artifacts_at(&model.artifact_uri)
    }

    /// The artifacts at a URI, such as the `artifact_uri` of a run or a logged model.
    ///
    /// # Errors
    ///
    /// As [`Artifacts::open`].
    pub fn artifacts_at(&self, uri: &str) -> Result<Artifacts, TrackingError> {
        Artifacts::open(uri, self.store().server())
    }

    /// Writes a table to a run, as MLflow's `log_table`: a JSON file, which a second call for the same
    /// file appends to, and the tag `mlflow.loggedArtifacts`, by which it is found again. Two writers
    /// that append to the same file at the same time may lose rows: the file is rewritten.
    ///
    /// # Errors
    ///
    /// If the path does not end with `.json`, the run does not exist, or the artifacts cannot be written.
    pub async fn log_table(&self, run_id: &str, table: &Table, path: &str) -> Result<(), TrackingError> {
        check_path(path)?;
        let run = self.store().get_run(run_id).await?;
        let artifacts = self.artifacts_at(&run.info.artifact_uri)?;
        let text = match artifacts.read(path).await {
            Ok(existing) => {
                let mut whole = Table::from_json(&existing)?;
                whole.append(table.clone());
                whole.to_json()
            }
            Err(TrackingError::NotFound { .. }) => table.to_json(),
            Err(error) => return Err(error),
        };
        artifacts.log_text(text, path).await?;
        match tag_with(run.tag(LOGGED_ARTIFACTS), path)? {
            Some(value) => {
                let batch = LogBatch { tags: vec![Tag::new(LOGGED_ARTIFACTS, value)], ..LogBatch::default() };
                self.store().log_batch(run_id, batch).await
            }
            None => Ok(()),
        }
    }

    /// Reads the table of that path of all runs of an experiment, or of some of them, into one, the
    /// newest run first. Runs without that table are left out.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if no run has the table, and if MLflow or the artifacts fail.
    pub async fn load_table(
        &self,
        experiment_id: &str,
        path: &str,
        options: LoadTable,
    ) -> Result<Table, TrackingError> {
        check_path(path)?;
        let runs = self.runs_with_table(experiment_id, path, &options).await?;
        if runs.is_empty() {
            return Err(TrackingError::not_found(format!(
                "no run of experiment {experiment_id} has the table {path}"
            )));
        }
        if !options.run_ids.is_empty() && options.run_ids.len() != runs.len() {
            tracing::warn!(%path, "not all of the runs have the table; those without it are left out");
        }
        let mut whole = Table::default();
        for run in &runs {
            let bytes = self.artifacts_at(&run.info.artifact_uri)?.read(path).await?;
            let mut table = Table::from_json(&bytes)?;
            for column in &options.extra_columns {
                table.add_constant(column, &value_of(run, column)?);
            }
            whole.append(table);
        }
        Ok(whole)
    }

    async fn runs_with_table(
        &self,
        experiment_id: &str,
        path: &str,
        options: &LoadTable,
    ) -> Result<Vec<Run>, TrackingError> {
        // The condition of MLflow's client. The tag is JSON, in which spaces may be or not.
        let entry = format!(r#""path"%:%"{path}",%"type"%:%"table""#);
        let mut filter = format!("tags.{LOGGED_ARTIFACTS} LIKE '%{}%'", entry.replace('\'', "_"));
        if !options.run_ids.is_empty() {
            let quoted: Vec<String> = options.run_ids.iter().map(|id| format!("'{id}'")).collect();
            filter.push_str(&format!(" and attributes.run_id IN ({})", quoted.join(",")));
        }
        let mut search = Search {
            experiment_ids: vec![experiment_id.to_owned()],
            filter: Some(filter),
            ..Search::default()
        };
        let mut runs = Vec::new();
        loop {
            let page = self.store().search_runs(search.clone()).await?;
            // `_` and `%` of the path match anything in LIKE.
            runs.extend(page.items.into_iter().filter(|run| has_table(run, path)));
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) => search.page_token = Some(token),
                None => return Ok(runs),
            }
        }
    }
}

fn check_path(path: &str) -> Result<(), TrackingError> {
    if path.ends_with(".json") {
        return Ok(());
    }
    let message = if path.ends_with(".parquet") {
        format!("{path}: Parquet tables are not supported, use a path that ends with .json")
    } else {
        format!("{path}: a table needs a path that ends with .json")
    };
    Err(TrackingError::invalid(message))
}

fn entries(tag: Option<&str>) -> Vec<Value> {
    tag.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn entry(path: &str) -> Value {
    json!({"path": path, "type": "table"})
}

fn has_table(run: &Run, path: &str) -> bool {
    entries(run.tag(LOGGED_ARTIFACTS)).contains(&entry(path))
}

/// The tag's value with the table in it; nothing if it is there already.
fn tag_with(tag: Option<&str>, path: &str) -> Result<Option<String>, TrackingError> {
    let mut entries = entries(tag);
    let new = entry(path);
    if entries.contains(&new) {
        return Ok(None);
    }
    entries.push(new);
    let value = json::to_python_line(&Value::Array(entries));
    if value.len() > MAX_TAG_VALUE {
        return Err(TrackingError::invalid(format!(
            "{path} is written, but MLflow's list of tables has no room for it: its {LOGGED_ARTIFACTS} tag may \
             have {MAX_TAG_VALUE} characters; use fewer files or shorter paths"
        )));
    }
    Ok(Some(value))
}

/// A column of MLflow's table of runs.
fn value_of(run: &Run, column: &str) -> Result<Value, TrackingError> {
    let named = |prefix: &str| column.strip_prefix(prefix);
    let value = match column {
        "run_id" => json!(run.info.run_id),
        "experiment_id" => json!(run.info.experiment_id),
        "status" => json!(run.info.status.as_str()),
        "artifact_uri" => json!(run.info.artifact_uri),
        "start_time" => json!(run.info.start_time_ms),
        "end_time" => json!(run.info.end_time_ms),
        _ => match (named("params."), named("metrics."), named("tags.")) {
            (Some(name), _, _) => json!(run.param(name)),
            (_, Some(name), _) => json!(run.metric(name)),
            (_, _, Some(name)) => json!(run.tag(name)),
            _ => return Err(TrackingError::invalid(format!("runs have no column {column}"))),
        },
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_lists_each_table_once_as_mlflow_writes_it() {
        let first = tag_with(None, "tables/t.json").unwrap().unwrap();
        assert_eq!(first, r#"[{"path": "tables/t.json", "type": "table"}]"#);
        assert_eq!(tag_with(Some(&first), "tables/t.json").unwrap(), None);
        let second = tag_with(Some(&first), "ü.json").unwrap().unwrap();
        assert!(second.ends_with(r#", {"path": "\u00fc.json", "type": "table"}]"#), "{second}");
    }

    #[test]
    fn a_tag_that_is_too_long_for_mlflow_is_an_error() {
        let full = json!([entry(&"x".repeat(7990))]).to_string();
        assert!(tag_with(Some(&full), "t.json").is_err());
    }

    #[test]
    fn a_table_is_a_json_file() {
        assert!(check_path("a.json").is_ok());
        assert!(check_path("a.parquet").unwrap_err().to_string().contains("Parquet"));
        assert!(check_path("a.csv").is_err());
    }
}
