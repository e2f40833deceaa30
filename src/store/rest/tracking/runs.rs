//! Runs, and what is logged to them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{self, V2};
use super::json::{Float, Int, KeyValue, Text, into_tags, or_default, put, some, tags};
use super::{inputs, search};
use crate::mlflow::entities::{
    Lifecycle, Metric, NewRun, Page, Param, Run, RunData, RunInfo, RunStatus, RunUpdate, Search, Tag,
};
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;

#[derive(Deserialize)]
struct Found {
    run: Wire,
}

#[derive(Deserialize)]
struct Updated {
    run_info: WireInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FoundPage {
    #[serde(deserialize_with = "or_default")]
    runs: Vec<Wire>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    info: WireInfo,
    #[serde(deserialize_with = "or_default")]
    data: WireData,
    #[serde(deserialize_with = "or_default")]
    inputs: inputs::Wire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInfo {
    run_id: Text,
    experiment_id: Text,
    #[serde(deserialize_with = "or_default")]
    run_name: String,
    #[serde(deserialize_with = "or_default")]
    user_id: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    start_time: Int,
    end_time: Option<Int>,
    #[serde(deserialize_with = "or_default")]
    artifact_uri: String,
    #[serde(deserialize_with = "or_default")]
    lifecycle_stage: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireData {
    #[serde(deserialize_with = "or_default")]
    metrics: Vec<WireMetric>,
    #[serde(deserialize_with = "or_default")]
    params: Vec<KeyValue>,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMetric {
    key: String,
    value: Float,
    timestamp: Int,
    step: Int,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct History {
    #[serde(deserialize_with = "or_default")]
    metrics: Vec<WireMetric>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

impl WireMetric {
    fn into_metric(self) -> Metric {
        Metric { key: self.key, value: self.value.0, timestamp_ms: self.timestamp.0, step: self.step.0 }
    }
}

impl WireInfo {
    fn into_info(self) -> RunInfo {
        RunInfo {
            run_id: self.run_id.0,
            experiment_id: self.experiment_id.0,
            name: self.run_name,
            user_id: self.user_id,
            // A status that a newer MLflow may add is none that says that the run is over.
            status: RunStatus::from_stored(&self.status).unwrap_or_default(),
            start_time_ms: self.start_time.0,
            // An older MLflow says 0 for a run that has not ended.
            end_time_ms: self.end_time.map(|time| time.0).filter(|time| *time != 0),
            artifact_uri: self.artifact_uri,
            lifecycle: Lifecycle::from_stored(&self.lifecycle_stage),
        }
    }
}

impl Wire {
    fn into_run(self) -> Run {
        let params = self.data.params.into_iter().map(|param| Param { key: param.key, value: param.value });
        Run {
            info: self.info.into_info(),
            data: RunData {
                metrics: self.data.metrics.into_iter().map(WireMetric::into_metric).collect(),
                params: params.collect(),
                tags: into_tags(self.data.tags),
            },
            inputs: self.inputs.into_inputs(),
        }
    }
}

/// Creates a run.
///
/// After an unclear failure the run is looked for by everything that it was created with; its start
/// in milliseconds is part of that, so that two runs are taken for one only if two programs start
/// runs of the same name, user and tags in the same millisecond.
pub(super) async fn create(store: &RestStore, new: NewRun) -> Result<Run, TrackingError> {
    let mut body = json!({
        "experiment_id": new.experiment_id,
        "start_time": new.start_time_ms,
        "tags": tags(&new.tags),
    });
    if let Some(name) = &new.name {
        put(Some(&mut body), "run_name", json!(name));
    }
    if let Some(user_id) = &new.user_id {
        put(Some(&mut body), "user_id", json!(user_id));
    }
    let call = ask::post(store, &format!("{V2}runs/create"), &body)?;
    let made = || made(store, &new);
    let found: Found = ask::create(store, &call, made).await?;
    Ok(found.run.into_run())
}

/// The run that an unanswered call made, if it did.
async fn made(store: &RestStore, new: &NewRun) -> Result<Option<Found>, TrackingError> {
    let body = json!({
        "experiment_ids": [new.experiment_id],
        "filter": format!("attributes.start_time = {}", new.start_time_ms),
        "run_view_type": "ACTIVE_ONLY",
        "max_results": 100,
    });
    let call = ask::post(store, &format!("{V2}runs/search"), &body)?;
    let found: FoundPage = ask::send(store, &call).await?;
    let ours = found.runs.into_iter().find(|run| is_untouched(run, new));
    Ok(ours.map(|run| Found { run }))
}

/// Whether a run is as it is right after its creation from this.
fn is_untouched(run: &Wire, new: &NewRun) -> bool {
    let named = |tag: &&KeyValue| tag.key == "mlflow.runName";
    let has = |tag: &Tag| run.data.tags.iter().any(|had| had.key == tag.key && had.value == tag.value);
    run.info.status == "RUNNING"
        && run.info.start_time.0 == new.start_time_ms
        && new.name.as_ref().is_none_or(|name| *name == run.info.run_name)
        && new.user_id.as_ref().is_none_or(|user| *user == run.info.user_id)
        && run.data.metrics.is_empty()
        && run.data.params.is_empty()
        && new.tags.iter().all(has)
        && run.data.tags.iter().filter(|tag| !named(tag)).count()
            == new.tags.iter().filter(|tag| tag.key != "mlflow.runName").count()
}

pub(super) async fn get(store: &RestStore, run_id: &str) -> Result<Run, TrackingError> {
    let call = ask::get(store, &format!("{V2}runs/get"), &[("run_id", run_id)])?;
    let found: Found = ask::send(store, &call).await?;
    Ok(found.run.into_run())
}

pub(super) async fn update(
    store: &RestStore,
    run_id: &str,
    update: RunUpdate,
) -> Result<RunInfo, TrackingError> {
    let mut body = json!({ "run_id": run_id });
    if let Some(status) = update.status {
        put(Some(&mut body), "status", json!(status.as_str()));
    }
    if let Some(end_time) = update.end_time_ms {
        put(Some(&mut body), "end_time", json!(end_time));
    }
    if let Some(name) = update.name {
        put(Some(&mut body), "run_name", json!(name));
    }
    let call = ask::post(store, &format!("{V2}runs/update"), &body)?;
    let updated: Updated = ask::send(store, &call).await?;
    Ok(updated.run_info.into_info())
}

pub(super) async fn set_deleted(store: &RestStore, run_id: &str, deleted: bool) -> Result<(), TrackingError> {
    let verb = if deleted { "delete" } else { "restore" };
    let call = ask::post(store, &format!("{V2}runs/{verb}"), &json!({ "run_id": run_id }))?;
    match ask::send_only(store, &call).await {
        // Deleting twice is an error in MLflow, and what was asked for.
        Err(TrackingError::Deleted { .. }) if deleted => Ok(()),
        Err(TrackingError::Invalid { message }) if message.contains("must be in the 'deleted' state") => {
            Ok(())
        }
        done => done,
    }
}

pub(super) async fn delete_tag(store: &RestStore, run_id: &str, key: &str) -> Result<(), TrackingError> {
    let body = json!({ "run_id": run_id, "key": key });
    let call = ask::post(store, &format!("{V2}runs/delete-tag"), &body)?;
    ask::send_only(store, &call).await
}

/// All pages: MLflow gives everything in one, Databricks does not.
pub(super) async fn metric_history(
    store: &RestStore,
    run_id: &str,
    key: &str,
) -> Result<Vec<Metric>, TrackingError> {
    let mut metrics = Vec::new();
    let mut token = String::new();
    loop {
        let mut query = vec![("run_id", run_id), ("metric_key", key)];
        if !token.is_empty() {
            query.push(("page_token", &token));
        }
        let call = ask::get(store, &format!("{V2}metrics/get-history"), &query)?;
        let found: History = ask::send(store, &call).await?;
        metrics.extend(found.metrics.into_iter().map(WireMetric::into_metric));
        if found.next_page_token.is_empty() || found.next_page_token == token {
            return Ok(metrics);
        }
        token = found.next_page_token;
    }
}

pub(super) async fn search(store: &RestStore, search: Search) -> Result<Page<Run>, TrackingError> {
    let mut body: Value = search::body(&search, 1000);
    put(Some(&mut body), "experiment_ids", json!(search.experiment_ids));
    put(Some(&mut body), "run_view_type", json!(search.view.as_str()));
    let call = ask::post(store, &format!("{V2}runs/search"), &body)?;
    let found: FoundPage = ask::send(store, &call).await?;
    Ok(Page {
        items: found.runs.into_iter().map(Wire::into_run).collect(),
        next_page_token: some(found.next_page_token),
    })
}
