//! Tracking in MLflow's own database: experiments, runs, models, the registry, assessments.
//!
//! ```text
//! TrackingStore ─> transact(access, arguments, work)
//!                     ├─ SQLite: on the writer's thread, in one go
//!                     └─ PostgreSQL: on a leased connection, again if another writer was in the way
//!                  work: statements over a Session, the same for both
//! ```
//!
//! Rows are those that an MLflow 3.17.2 server writes for the same calls, and one call is one
//! transaction: all of it is kept, or nothing.

mod assessments;
mod checks;
mod experiments;
mod filter;
mod inputs;
mod log;
mod models;
mod names;
mod registry;
mod run_traces;
mod runs;
mod search;
mod searches;
pub(in crate::store::sql) mod session;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod tests;
mod trace_info;
mod traces;
mod unfinished;
mod versions;

use serde_json::{Map, Value};

use super::{Backend, SqlStore, random_id};
use crate::mlflow::entities::{
    Assessment, DatasetInput, Experiment, LogBatch, LoggedModel, LoggedModelStatus, Metric, ModelInput,
    ModelOutput, ModelVersion, NewAssessment, NewExperiment, NewLoggedModel, NewModelVersion, NewRun, Page,
    Param, RegisteredModel, Run, RunInfo, RunUpdate, Search, Tag,
};
use crate::store::tracking::{Answer, TrackingError, TrackingStore};
use session::{Access, Work};
pub use unfinished::Swept;

impl SqlStore {
    /// The run of this id, created if there is none. However many processes ask at once, there is
    /// one run; `new` counts for the one that comes first.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if the id is not 32 lower-case hex digits, and what
    /// [`TrackingStore::create_run`] says.
    pub fn create_run_once<'a>(&'a self, run_id: &'a str, new: NewRun) -> Answer<'a, Run> {
        let creation = runs::Creation { run_id: run_id.to_owned(), or_existing: true, new };
        self.work(Access::Write, creation, |db, creation| Box::pin(runs::create(db, creation)))
    }

    fn work<'a, A, T>(&'a self, access: Access, arguments: A, work: Work<A, T>) -> Answer<'a, T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        Box::pin(async move {
            let outcome = match &self.backend {
                #[cfg(feature = "sqlite")]
                Backend::Sqlite(store) => store.track(access, arguments, work).await,
                #[cfg(feature = "postgres")]
                Backend::Postgres(store) => store.track(access, &arguments, work).await,
            };
            outcome.map_err(TrackingError::from)
        })
    }

    fn read<'a, A, T>(&'a self, arguments: A, work: Work<A, T>) -> Answer<'a, T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.work(Access::Read, arguments, work)
    }

    fn change<'a, A, T>(&'a self, arguments: A, work: Work<A, T>) -> Answer<'a, T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.work(Access::Write, arguments, work)
    }
}

impl TrackingStore for SqlStore {
    fn create_experiment(&self, new: NewExperiment) -> Answer<'_, String> {
        self.change(new, |db, new| Box::pin(experiments::create(db, new)))
    }

    fn get_experiment<'a>(&'a self, experiment_id: &'a str) -> Answer<'a, Experiment> {
        self.read(experiment_id.to_owned(), |db, id| Box::pin(experiments::get(db, id)))
    }

    fn find_experiment<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Experiment>> {
        self.read(name.to_owned(), |db, name| Box::pin(experiments::find(db, name)))
    }

    fn search_experiments(&self, search: Search) -> Answer<'_, Page<Experiment>> {
        self.read(search, |db, search| Box::pin(searches::experiments(db, search)))
    }

    fn set_experiment_tag<'a>(&'a self, experiment_id: &'a str, tag: Tag) -> Answer<'a, ()> {
        self.change((experiment_id.to_owned(), tag), |db, tag| Box::pin(experiments::set_tag(db, tag)))
    }

    fn create_run(&self, new: NewRun) -> Answer<'_, Run> {
        let creation = runs::Creation { run_id: random_id(), or_existing: false, new };
        self.change(creation, |db, creation| Box::pin(runs::create(db, creation)))
    }

    fn get_run<'a>(&'a self, run_id: &'a str) -> Answer<'a, Run> {
        self.read(run_id.to_owned(), |db, id| Box::pin(runs::get(db, id)))
    }

    fn update_run<'a>(&'a self, run_id: &'a str, update: RunUpdate) -> Answer<'a, RunInfo> {
        self.change((run_id.to_owned(), update), |db, update| Box::pin(runs::update(db, update)))
    }

    fn set_run_deleted<'a>(&'a self, run_id: &'a str, deleted: bool) -> Answer<'a, ()> {
        self.change((run_id.to_owned(), deleted), |db, run| Box::pin(runs::set_deleted(db, run)))
    }

    fn log_batch<'a>(&'a self, run_id: &'a str, batch: LogBatch) -> Answer<'a, ()> {
        self.change((run_id.to_owned(), batch), |db, batch| Box::pin(log::batch(db, batch)))
    }

    fn delete_tag<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, ()> {
        self.change((run_id.to_owned(), key.to_owned()), |db, tag| Box::pin(log::delete_tag(db, tag)))
    }

    fn metric_history<'a>(&'a self, run_id: &'a str, key: &'a str) -> Answer<'a, Vec<Metric>> {
        self.read((run_id.to_owned(), key.to_owned()), |db, of| Box::pin(log::history(db, of)))
    }

    fn search_runs(&self, search: Search) -> Answer<'_, Page<Run>> {
        self.read(search, |db, search| Box::pin(searches::runs(db, search)))
    }

    fn log_inputs<'a>(
        &'a self,
        run_id: &'a str,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelInput>,
    ) -> Answer<'a, ()> {
        let inputs = inputs::Inputs { run_id: run_id.to_owned(), datasets, models };
        self.change(inputs, |db, inputs| Box::pin(inputs::log(db, inputs)))
    }

    fn log_outputs<'a>(&'a self, run_id: &'a str, models: Vec<ModelOutput>) -> Answer<'a, ()> {
        self.change((run_id.to_owned(), models), |db, models| Box::pin(inputs::log_outputs(db, models)))
    }

    fn create_logged_model(&self, new: NewLoggedModel) -> Answer<'_, LoggedModel> {
        let id = format!("m-{}", random_id());
        self.change((id, new), |db, new| Box::pin(models::create(db, new)))
    }

    fn get_logged_model<'a>(&'a self, model_id: &'a str) -> Answer<'a, LoggedModel> {
        self.read(model_id.to_owned(), |db, id| Box::pin(models::get(db, id)))
    }

    fn finish_logged_model<'a>(
        &'a self,
        model_id: &'a str,
        status: LoggedModelStatus,
    ) -> Answer<'a, LoggedModel> {
        self.change((model_id.to_owned(), status), |db, status| Box::pin(models::finish(db, status)))
    }

    fn log_model_params<'a>(&'a self, model_id: &'a str, params: Vec<Param>) -> Answer<'a, ()> {
        self.change((model_id.to_owned(), params), |db, params| Box::pin(models::log_params(db, params)))
    }

    fn set_logged_model_tags<'a>(&'a self, model_id: &'a str, tags: Vec<Tag>) -> Answer<'a, ()> {
        self.change((model_id.to_owned(), tags), |db, tags| Box::pin(models::set_tags(db, tags)))
    }

    fn search_logged_models(&self, search: Search) -> Answer<'_, Page<LoggedModel>> {
        self.read(search, |db, search| Box::pin(searches::models(db, search)))
    }

    fn create_registered_model<'a>(
        &'a self,
        name: &'a str,
        description: Option<&'a str>,
        tags: Vec<Tag>,
    ) -> Answer<'a, RegisteredModel> {
        let description = description.map(str::to_owned);
        let creation = registry::Creation { name: name.to_owned(), description, tags };
        self.change(creation, |db, creation| Box::pin(registry::create(db, creation)))
    }

    fn get_registered_model<'a>(&'a self, name: &'a str) -> Answer<'a, RegisteredModel> {
        self.read(name.to_owned(), |db, name| Box::pin(registry::get(db, name)))
    }

    fn search_registered_models(&self, search: Search) -> Answer<'_, Page<RegisteredModel>> {
        self.read(search, |db, search| Box::pin(searches::registered(db, search)))
    }

    fn set_registered_model_tag<'a>(&'a self, name: &'a str, tag: Tag) -> Answer<'a, ()> {
        self.change((name.to_owned(), tag), |db, tag| Box::pin(registry::set_tag(db, tag)))
    }

    fn create_model_version(&self, new: NewModelVersion) -> Answer<'_, ModelVersion> {
        self.change(new, |db, new| Box::pin(versions::create(db, new)))
    }

    fn get_model_version<'a>(&'a self, name: &'a str, version: &'a str) -> Answer<'a, ModelVersion> {
        let version = (name.to_owned(), version.to_owned());
        self.read(version, |db, version| Box::pin(versions::get(db, version)))
    }

    fn get_model_version_by_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ModelVersion> {
        let alias = (name.to_owned(), alias.to_owned());
        self.read(alias, |db, alias| Box::pin(versions::by_alias(db, alias)))
    }

    fn search_model_versions(&self, search: Search) -> Answer<'_, Page<ModelVersion>> {
        self.read(search, |db, search| Box::pin(searches::versions(db, search)))
    }

    fn set_model_version_tag<'a>(&'a self, name: &'a str, version: &'a str, tag: Tag) -> Answer<'a, ()> {
        let tag = (name.to_owned(), version.to_owned(), tag);
        self.change(tag, |db, tag| Box::pin(versions::set_tag(db, tag)))
    }

    fn set_alias<'a>(&'a self, name: &'a str, alias: &'a str, version: &'a str) -> Answer<'a, ()> {
        let alias = (name.to_owned(), alias.to_owned(), version.to_owned());
        self.change(alias, |db, alias| Box::pin(registry::set_alias(db, alias)))
    }

    fn delete_alias<'a>(&'a self, name: &'a str, alias: &'a str) -> Answer<'a, ()> {
        let alias = (name.to_owned(), alias.to_owned());
        self.change(alias, |db, alias| Box::pin(registry::delete_alias(db, alias)))
    }

    fn link_traces<'a>(&'a self, run_id: &'a str, trace_ids: &'a [String]) -> Answer<'a, ()> {
        self.change((run_id.to_owned(), trace_ids.to_vec()), |db, links| Box::pin(traces::link(db, links)))
    }

    fn set_trace_tag<'a>(&'a self, trace_id: &'a str, tag: Tag) -> Answer<'a, ()> {
        self.change((trace_id.to_owned(), tag), |db, tag| Box::pin(traces::set_tag(db, tag)))
    }

    fn delete_trace_tag<'a>(&'a self, trace_id: &'a str, key: &'a str) -> Answer<'a, ()> {
        let tag = (trace_id.to_owned(), key.to_owned());
        self.change(tag, |db, tag| Box::pin(traces::delete_tag(db, tag)))
    }

    fn link_prompts<'a>(&'a self, trace_id: &'a str, prompts: &'a [(String, String)]) -> Answer<'a, ()> {
        let links = (trace_id.to_owned(), prompts.to_vec());
        self.change(links, |db, links| Box::pin(traces::link_prompts(db, links)))
    }

    fn link_trace_to_model<'a>(&'a self, trace_id: &'a str, model_id: &'a str) -> Answer<'a, ()> {
        self.change((trace_id.to_owned(), model_id.to_owned()), |db, link| {
            Box::pin(traces::link_to_model(db, link))
        })
    }

    fn get_trace<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Map<String, Value>> {
        self.read(trace_id.to_owned(), |db, id| Box::pin(trace_info::get(db, id)))
    }

    fn search_traces(&self, search: Search) -> Answer<'_, Page<Map<String, Value>>> {
        self.read(search, |db, search| Box::pin(searches::traces(db, search)))
    }

    fn create_assessment(&self, new: NewAssessment) -> Answer<'_, Assessment> {
        let id = format!("a-{}", random_id());
        self.change((id, new), |db, new| Box::pin(assessments::create(db, new)))
    }

    fn assessments<'a>(&'a self, trace_id: &'a str) -> Answer<'a, Vec<Assessment>> {
        self.read(trace_id.to_owned(), |db, id| Box::pin(assessments::of_trace(db, id)))
    }

    fn delete_assessment<'a>(&'a self, trace_id: &'a str, assessment_id: &'a str) -> Answer<'a, ()> {
        let ids = (trace_id.to_owned(), assessment_id.to_owned());
        self.change(ids, |db, ids| Box::pin(assessments::delete(db, ids)))
    }
}
