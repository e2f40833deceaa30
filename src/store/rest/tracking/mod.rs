//! MLflow's tracking API over REST.
//!
//! # What holds when a call is sent again
//!
//! Calls that set, log, read or delete may be repeated without harm, and are while the trouble may
//! pass. Those that create something are different: where the failure leaves open whether MLflow
//! did it (a timeout, a broken connection, a 5xx), what the call makes is looked for before it is
//! sent again:
//!
//! | creates | is taken for ours |
//! |---|---|
//! | an experiment, a registered model | one of this name, which is unique, with our tags |
//! | a run | one with our start in milliseconds, name, user and tags, to which nothing was logged |
//! | a logged model | a pending one with our name, run, parameters and tags |
//! | a version of a model | one newer than the newest before, with our source, run, description and tags |
//! | an assessment | one of our name, source and time |
//!
//! If MLflow stays away until the time for retries is over, the error does not say whether the
//! thing exists.

mod ask;
mod assessments;
mod batch;
mod experiments;
mod inputs;
mod json;
mod models;
mod registry;
mod runs;
mod search;
#[cfg(test)]
mod tests;
mod traces;

use serde_json::{Map, Value};

use super::RestStore;
use crate::mlflow::entities::{
    Assessment, DatasetInput, Experiment, LogBatch, LoggedModel, LoggedModelStatus, Metric, ModelInput,
    ModelOutput, ModelVersion, NewAssessment, NewExperiment, NewLoggedModel, NewModelVersion, NewRun, Page,
    Param, RegisteredModel, Run, RunInfo, RunUpdate, Search, Tag,
};
use crate::store::tracking::{Answer, TrackingStore};

impl TrackingStore for RestStore {
    fn server(&self) -> Option<&RestStore> {
        Some(self)
    }

    fn create_experiment(&self, new: NewExperiment) -> Answer<'_, String> {
        Box::pin(experiments::create(self, new))
    }

    fn get_experiment<'a>(&'a self, experiment_id: &'a str) -> Answer<'a, Experiment> {
        Box::pin(experiments::get(self, experiment_id))
    }

    fn find_experiment<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Experiment>> {
        Box::pin(experiments::find(self, name))
    }

    fn search_experiments(&self, search: Search) -> Answer<'_, Page<Experiment>> {
        Box::pin(experiments::search(self, search))
    }

    fn set_experiment_tag<'a>(&'a self, experiment_id: &'a str, tag: Tag) -> Answer<'a, ()> {
        Box::pin(experiments::set_tag(self, experiment_id, tag))
    }

    fn create_run(&self, new: NewRun) -> Answer<'_, Run> {
        Box::pin(runs::create(self, new))
    }

    fn get_run<'a>(&'a self, run_id: &'a str) -> Answer<'a, Run> {
        Box::pin(runs::get(self, run_id))
    }

    fn update_run<'a>(&'a self, run_id: &'a str, update: RunUpdate) -> Answer<'a, RunInfo> {
        Box::pin(runs::update(self, run_id, update))
    }

    fn set_run_deleted<'a>(&'a self, run_id: &'a str, deleted: bool) -> Answer<'a, ()> {
        Box::pin(runs::set_deleted(self, run_id, deleted))
    }

    fn log_batch<'a>(&'a self, run_id: &'a str, batch: LogBatch) -> Answer<'a, ()> {
        Box::pin(batch::log(self, run_id, batch))
    }

    fn delete_tag<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, ()> {
        Box::pin(runs::delete_tag(self, run_id, key))
    }

    fn metric_history<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, Vec<Metric>> {
        Box::pin(runs::metric_history(self, run_id, key))
    }

    fn search_runs(&self, search: Search) -> Answer<'_, Page<Run>> {
        Box::pin(runs::search(self, search))
    }

    fn log_inputs<'a>(
        &'a self,
        run_id: &'a str,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelInput>,
    ) -> Answer<'a, ()> {
        Box::pin(inputs::log(self, run_id, datasets, models))
    }

    fn log_outputs<'a>(&'a self, run_id: &'a str, models: Vec<ModelOutput>) -> Answer<'a, ()> {
        Box::pin(inputs::log_outputs(self, run_id, models))
    }

    fn create_logged_model(&self, new: NewLoggedModel) -> Answer<'_, LoggedModel> {
        Box::pin(models::create(self, new))
    }

    fn get_logged_model<'a>(&'a self, model_id: &'a str) -> Answer<'a, LoggedModel> {
        Box::pin(models::get(self, model_id))
    }

    fn finish_logged_model<'a>(
        &'a self,
        model_id: &'a str,
        status: LoggedModelStatus,
    ) -> Answer<'a, LoggedModel> {
        Box::pin(models::finish(self, model_id, status))
    }

    fn log_model_params<'a>(&'a self, model_id: &'a str, params: Vec<Param>) -> Answer<'a, ()> {
        Box::pin(models::log_params(self, model_id, params))
    }

    fn set_logged_model_tags<'a>(&'a self, model_id: &'a str, tags: Vec<Tag>) -> Answer<'a, ()> {
        Box::pin(models::set_tags(self, model_id, tags))
    }

    fn search_logged_models(&self, search: Search) -> Answer<'_, Page<LoggedModel>> {
        Box::pin(models::search(self, search))
    }

    fn create_registered_model<'a>(
        &'a self,
        name: &'a str,
        description: Option<&'a str>,
        tags: Vec<Tag>,
    ) -> Answer<'a, RegisteredModel> {
        Box::pin(registry::create_model(self, name, description, tags))
    }

    fn get_registered_model<'a>(&'a self, name: &'a str) -> Answer<'a, RegisteredModel> {
        Box::pin(registry::get_model(self, name))
    }

    fn search_registered_models(&self, search: Search) -> Answer<'_, Page<RegisteredModel>> {
        Box::pin(registry::search_models(self, search))
    }

    fn set_registered_model_tag<'a>(&'a self, name: &'a str, tag: Tag) -> Answer<'a, ()> {
        Box::pin(registry::set_model_tag(self, name, tag))
    }

    fn create_model_version(&self, new: NewModelVersion) -> Answer<'_, ModelVersion> {
        Box::pin(registry::create_version(self, new))
    }

    fn get_model_version<'a>(&'a self, name: &'a str, version: &'a str) -> Answer<'a, ModelVersion> {
        Box::pin(registry::get_version(self, name, version))
    }

    fn get_model_version_by_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ModelVersion> {
        Box::pin(registry::get_version_by_alias(self, name, alias))
    }

    fn search_model_versions(&self, search: Search) -> Answer<'_, Page<ModelVersion>> {
        Box::pin(registry::search_versions(self, search))
    }

    fn set_model_version_tag<'a>(&'a self, name: &'a str, version: &'a str, tag: Tag) -> Answer<'a, ()> {
        Box::pin(registry::set_version_tag(self, name, version, tag))
    }

    fn set_alias<'a>(&'a self, name: &'a str, alias: &'a str, version: &'a str) -> Answer<'a, ()> {
        Box::pin(registry::set_alias(self, name, alias, version))
    }

    fn delete_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ()> {
        Box::pin(registry::delete_alias(self, name, alias))
    }

    fn link_traces<'a>(&'a self, run_id: &'a str, trace_ids: &'a [String]) -> Answer<'a, ()> {
        Box::pin(traces::link(self, run_id, trace_ids))
    }

    fn set_trace_tag<'a>(&'a self, trace_id: &'a str, tag: Tag) -> Answer<'a, ()> {
        Box::pin(traces::set_tag(self, trace_id, tag))
    }

    fn delete_trace_tag<'a>(&'a self, trace_id: &'a str, key: &'a str) -> Answer<'a, ()> {
        Box::pin(traces::delete_tag(self, trace_id, key))
    }

    fn link_trace_to_model<'a>(&'a self, trace_id: &'a str, model_id: &'a str) -> Answer<'a, ()> {
        Box::pin(traces::link_to_model(self, trace_id, model_id))
    }

    fn link_prompts<'a>(&'a self, trace_id: &'a str, prompts: &'a [(String, String)]) -> Answer<'a, ()> {
        Box::pin(traces::link_prompts(self, trace_id, prompts))
    }

    fn get_trace<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Map<String, Value>> {
        Box::pin(traces::get(self, trace_id))
    }

    fn search_traces(&self, search: Search) -> Answer<'_, Page<Map<String, Value>>> {
        Box::pin(traces::search(self, search))
    }

    fn create_assessment(&self, new: NewAssessment) -> Answer<'_, Assessment> {
        Box::pin(assessments::create(self, new))
    }

    fn assessments<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Vec<Assessment>> {
        Box::pin(assessments::list(self, trace_id))
    }

    fn delete_assessment<'a>(&'a self, trace_id: &'a str, assessment_id: &'a str) -> Answer<'a, ()> {
        Box::pin(assessments::delete(self, trace_id, assessment_id))
    }
}
