//! The tracking side of a store: experiments, runs, models, the registry, assessments.
//!
//! One interface for both ways to MLflow, so that the client, the exporter and `autolog` need not
//! know which of them they were given.

mod error;
pub(crate) mod limits;

use serde_json::{Map, Value};

pub use error::TrackingError;

use super::BoxFuture;
use super::rest::RestStore;
use crate::mlflow::entities::{
    Assessment, DatasetInput, Experiment, LogBatch, LoggedModel, LoggedModelStatus, Metric, ModelInput,
    ModelOutput, ModelVersion, NewAssessment, NewExperiment, NewLoggedModel, NewModelVersion, NewRun, Page,
    Param, RegisteredModel, Run, RunInfo, RunUpdate, Search, Tag,
};

/// What a call gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, TrackingError>>;

/// What MLflow's tracking API can do. A store that cannot do something says
/// [`TrackingError::Unsupported`].
pub trait TrackingStore: Send + Sync + 'static {
    /// The server behind the store, if there is one: the way to artifacts that it serves.
    fn server(&self) -> Option<&RestStore> {
        None
    }

    /// Creates an experiment and gives its id.
    fn create_experiment(&self, new: NewExperiment) -> Answer<'_, String>;
    /// An experiment, active or deleted.
    fn get_experiment<'a>(&'a self, experiment_id: &'a str) -> Answer<'a, Experiment>;
    /// An experiment by its name, active or deleted.
    fn find_experiment<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Experiment>>;
    /// Looks for experiments.
    fn search_experiments(&self, search: Search) -> Answer<'_, Page<Experiment>>;
    /// Sets a tag of an experiment.
    fn set_experiment_tag<'a>(&'a self, experiment_id: &'a str, tag: Tag) -> Answer<'a, ()>;

    /// Creates a run.
    fn create_run(&self, new: NewRun) -> Answer<'_, Run>;
    /// A run, active or deleted.
    fn get_run<'a>(&'a self, run_id: &'a str) -> Answer<'a, Run>;
    /// Changes the head of a run.
    fn update_run<'a>(&'a self, run_id: &'a str, update: RunUpdate) -> Answer<'a, RunInfo>;
    /// Moves a run to the recycle bin, or back.
    fn set_run_deleted<'a>(&'a self, run_id: &'a str, deleted: bool) -> Answer<'a, ()>;
    /// Logs metrics, params and tags, in as many calls as MLflow's limits ask for.
    fn log_batch<'a>(&'a self, run_id: &'a str, batch: LogBatch) -> Answer<'a, ()>;
    /// Removes a tag of a run.
    fn delete_tag<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, ()>;
    /// Everything that was measured of a metric, in MLflow's order.
    fn metric_history<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, Vec<Metric>>;
    /// Looks for runs.
    fn search_runs(&self, search: Search) -> Answer<'_, Page<Run>>;
    /// Notes what a run uses.
    fn log_inputs<'a>(
        &'a self,
        run_id: &'a str,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelInput>,
    ) -> Answer<'a, ()>;
    /// Notes the models that a run made.
    fn log_outputs<'a>(&'a self, run_id: &'a str, models: Vec<ModelOutput>) -> Answer<'a, ()>;

    /// Creates a logged model, whose files are still to come. MLflow 2 has none:
    /// [`TrackingError::Unsupported`].
    fn create_logged_model(&self, new: NewLoggedModel) -> Answer<'_, LoggedModel>;
    /// A logged model.
    fn get_logged_model<'a>(&'a self, model_id: &'a str) -> Answer<'a, LoggedModel>;
    /// Says that the files of a logged model are there, or did not arrive.
    fn finish_logged_model<'a>(
        &'a self,
        model_id: &'a str,
        status: LoggedModelStatus,
    ) -> Answer<'a, LoggedModel>;
    /// Adds parameters to a logged model.
    fn log_model_params<'a>(&'a self, model_id: &'a str, params: Vec<Param>) -> Answer<'a, ()>;
    /// Sets tags of a logged model.
    fn set_logged_model_tags<'a>(&'a self, model_id: &'a str, tags: Vec<Tag>) -> Answer<'a, ()>;
    /// Looks for logged models.
    fn search_logged_models(&self, search: Search) -> Answer<'_, Page<LoggedModel>>;

    /// Creates a name in the registry. Prompts are registered models with MLflow's own tags.
    fn create_registered_model<'a>(
        &'a self,
        name: &'a str,
        description: Option<&'a str>,
        tags: Vec<Tag>,
    ) -> Answer<'a, RegisteredModel>;
    /// A name in the registry.
    fn get_registered_model<'a>(&'a self, name: &'a str) -> Answer<'a, RegisteredModel>;
    /// Looks for names in the registry.
    fn search_registered_models(&self, search: Search) -> Answer<'_, Page<RegisteredModel>>;
    /// Sets a tag of a registered model.
    fn set_registered_model_tag<'a>(&'a self, name: &'a str, tag: Tag) -> Answer<'a, ()>;
    /// Adds a version to a registered model.
    fn create_model_version(&self, new: NewModelVersion) -> Answer<'_, ModelVersion>;
    /// A version of a registered model.
    fn get_model_version<'a>(&'a self, name: &'a str, version: &'a str) -> Answer<'a, ModelVersion>;
    /// The version that an alias stands for.
    fn get_model_version_by_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ModelVersion>;
    /// Looks for versions.
    fn search_model_versions(&self, search: Search) -> Answer<'_, Page<ModelVersion>>;
    /// Sets a tag of a version.
    fn set_model_version_tag<'a>(&'a self, name: &'a str, version: &'a str, tag: Tag) -> Answer<'a, ()>;
    /// Makes an alias stand for a version.
    fn set_alias<'a>(&'a self, name: &'a str, alias: &'a str, version: &'a str) -> Answer<'a, ()>;
    /// Removes an alias.
    fn delete_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ()>;

    /// Links traces to a run, any number of them. Neither side is checked.
    fn link_traces<'a>(&'a self, run_id: &'a str, trace_ids: &'a [String]) -> Answer<'a, ()>;
    /// Sets a tag of a trace.
    fn set_trace_tag<'a>(&'a self, trace_id: &'a str, tag: Tag) -> Answer<'a, ()>;
    /// Removes a tag of a trace; one that is not there is no error.
    fn delete_trace_tag<'a>(&'a self, trace_id: &'a str, key: &'a str) -> Answer<'a, ()>;
    /// Notes which versions of prompts, by name and number, a trace used, where the store keeps
    /// that. Every reader of MLflow knows the trace's tag `mlflow.linkedPrompts` as well, so a store
    /// that keeps nothing is no error.
    fn link_prompts<'a>(&'a self, trace_id: &'a str, prompts: &'a [(String, String)]) -> Answer<'a, ()>;
    /// A trace as MLflow's API gives it: `info` and `spans`.
    fn get_trace<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Map<String, Value>>;
    /// Notes on a trace which logged model it used (`mlflow.modelId`).
    fn link_trace_to_model<'a>(&'a self, trace_id: &'a str, model_id: &'a str) -> Answer<'a, ()>;
    /// Looks for traces; each as MLflow's API gives its info.
    fn search_traces(&self, search: Search) -> Answer<'_, Page<Map<String, Value>>>;
    /// Adds an assessment to a trace.
    fn create_assessment(&self, new: NewAssessment) -> Answer<'_, Assessment>;
    /// The assessments of a trace.
    fn assessments<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Vec<Assessment>>;
    /// Removes an assessment; one that is not there is no error.
    fn delete_assessment<'a>(&'a self, trace_id: &'a str, assessment_id: &'a str) -> Answer<'a, ()>;
}
