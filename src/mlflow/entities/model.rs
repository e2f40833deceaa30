//! Logged models, and the registry of models and their versions.

use super::run::{Lifecycle, Param, Tag};

/// State of a logged model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoggedModelStatus {
    /// Its files are on their way.
    #[default]
    Pending,
    /// Complete.
    Ready,
    /// Its files did not arrive.
    UploadFailed,
}

impl LoggedModelStatus {
    /// The name that MLflow's API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// The number that the database holds.
    pub fn as_stored(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::Ready => 2,
            Self::UploadFailed => 3,
        }
    }
}

/// A logged model (MLflow 3): files of a model, with what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedModel {
    /// `m-` and 32 hex digits.
    pub model_id: String,
    /// The experiment that it belongs to.
    pub experiment_id: String,
    /// Name.
    pub name: String,
    /// Where its files live.
    pub artifact_uri: String,
    /// State.
    pub status: LoggedModelStatus,
    /// Kind, such as `chat`.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub creation_time_ms: i64,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Whether it is in the recycle bin.
    pub lifecycle: Lifecycle,
}

/// What to create a logged model with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// The experiment that it belongs to.
    pub experiment_id: String,
    /// Name, without `/ : . % " '`.
    pub name: Option<String>,
    /// Kind, such as `chat`.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A name in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredModel {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub creation_time_ms: i64,
    /// When it or one of its versions was last changed, in milliseconds since the Unix epoch.
    pub last_updated_time_ms: i64,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Aliases, each with the version that it stands for.
    pub aliases: Vec<(String, String)>,
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// Name of the model.
    pub name: String,
    /// Number of the version.
    pub version: String,
    /// Where it was registered from.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// State, such as `READY`.
    pub status: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub creation_time_ms: i64,
    /// Tags.
    pub tags: Vec<Tag>,
    /// Aliases that stand for it.
    pub aliases: Vec<String>,
}

/// What to create a version with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewModelVersion {
    /// Name of the registered model.
    pub name: String,
    /// Where its files are: `models:/<model_id>`, `runs:/<run>/<path>`, or the address of a folder.
    pub source: String,
    /// The run that made it; needed for `runs:/`.
    pub run_id: Option<String>,
    /// The logged model that it is; needed for `models:/`.
    pub model_id: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}
