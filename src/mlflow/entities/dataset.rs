//! What a run used and made: datasets and models.

use super::run::Tag;

/// A dataset, of which MLflow keeps where it is and what it looks like, not its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// Name.
    pub name: String,
    /// Fingerprint: at most 36 characters.
    pub digest: String,
    /// Kind of source, such as `local`, `http`, `code`.
    pub source_type: String,
    /// Where it comes from, as JSON text.
    pub source: String,
    /// Its columns, as JSON text.
    pub schema: Option<String>,
    /// Its size and statistics, as JSON text.
    pub profile: Option<String>,
}

/// A dataset as the input of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetInput {
    /// The dataset.
    pub dataset: Dataset,
    /// What it was used for: the tag `mlflow.data.context`, such as `training` or `eval`, and others.
    pub tags: Vec<Tag>,
}

/// A logged model as the input of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInput {
    /// `m-` and 32 hex digits.
    pub model_id: String,
}

/// A logged model that a run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOutput {
    /// `m-` and 32 hex digits.
    pub model_id: String,
    /// Position in the run.
    pub step: i64,
}

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInputs {
    /// Datasets.
    pub datasets: Vec<DatasetInput>,
    /// Models.
    pub models: Vec<ModelInput>,
}
