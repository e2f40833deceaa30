//! What the tracking API deals in: experiments, runs, datasets, models, prompts, assessments.
//!
//! The types hold what MLflow's own client shows of them, whichever way they were read: over REST
//! or from the database. Times are milliseconds since the Unix epoch.

mod assessment;
mod dataset;
mod experiment;
mod model;
mod run;
mod search;

pub use assessment::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, NewAssessment, SourceKind,
};
pub use dataset::{Dataset, DatasetInput, ModelInput, ModelOutput, RunInputs};
pub use experiment::{Experiment, NewExperiment};
pub use model::{
    LoggedModel, LoggedModelStatus, ModelVersion, NewLoggedModel, NewModelVersion, RegisteredModel,
};
pub use run::{Lifecycle, LogBatch, Metric, NewRun, Param, Run, RunData, RunInfo, RunStatus, RunUpdate, Tag};
pub use search::{Page, Search, ViewType};
