//! Experiments.

use serde::Deserialize;
use serde_json::json;

use super::ask::{self, V2};
use super::json::{Int, KeyValue, Text, into_tags, or_default, put, some, tags};
use super::search;
use crate::mlflow::entities::{Experiment, Lifecycle, NewExperiment, Page, Search, Tag};
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;

#[derive(Deserialize)]
struct Created {
    experiment_id: Text,
}

#[derive(Deserialize)]
struct Found {
    experiment: Wire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FoundPage {
    #[serde(deserialize_with = "or_default")]
    experiments: Vec<Wire>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    experiment_id: Text,
    name: String,
    #[serde(deserialize_with = "or_default")]
    artifact_location: String,
    #[serde(deserialize_with = "or_default")]
    lifecycle_stage: String,
    creation_time: Option<Int>,
    last_update_time: Option<Int>,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
}

impl Wire {
    fn into_experiment(self) -> Experiment {
        Experiment {
            experiment_id: self.experiment_id.0,
            name: self.name,
            artifact_location: self.artifact_location,
            lifecycle: Lifecycle::from_stored(&self.lifecycle_stage),
            creation_time_ms: self.creation_time.map(|time| time.0),
            last_update_time_ms: self.last_update_time.map(|time| time.0),
            tags: into_tags(self.tags),
        }
    }
}

pub(super) async fn create(store: &RestStore, new: NewExperiment) -> Result<String, TrackingError> {
    let mut body = json!({ "name": new.name, "tags": tags(&new.tags) });
    if let Some(location) = &new.artifact_location {
        put(Some(&mut body), "artifact_location", json!(location));
    }
    let call = ask::post(store, &format!("{V2}experiments/create"), &body)?;
    // Names are unique, so one that is there after an unclear failure, with our tags, is ours.
    let made = || async {
        let found = find(store, &new.name).await?;
        let ours = found.filter(|found| {
            found.lifecycle == Lifecycle::Active && new.tags.iter().all(|tag| found.tags.contains(tag))
        });
        Ok(ours.map(|found| Created { experiment_id: Text(found.experiment_id) }))
    };
    let created: Created = ask::create(store, &call, made).await?;
    Ok(created.experiment_id.0)
}

pub(super) async fn get(store: &RestStore, experiment_id: &str) -> Result<Experiment, TrackingError> {
    let call = ask::get(store, &format!("{V2}experiments/get"), &[("experiment_id", experiment_id)])?;
    let found: Found = ask::send(store, &call).await?;
    Ok(found.experiment.into_experiment())
}

pub(super) async fn find(store: &RestStore, name: &str) -> Result<Option<Experiment>, TrackingError> {
    let call = ask::get(store, &format!("{V2}experiments/get-by-name"), &[("experiment_name", name)])?;
    let found: Option<Found> = ask::find(store, &call).await?;
    Ok(found.map(|found| found.experiment.into_experiment()))
}

pub(super) async fn search(store: &RestStore, search: Search) -> Result<Page<Experiment>, TrackingError> {
    // MLflow refuses a search without a number.
    let mut body = search::body(&search, 1000);
    put(Some(&mut body), "view_type", json!(search.view.as_str()));
    let call = ask::post(store, &format!("{V2}experiments/search"), &body)?;
    let found: FoundPage = ask::send(store, &call).await?;
    Ok(Page {
        items: found.experiments.into_iter().map(Wire::into_experiment).collect(),
        next_page_token: some(found.next_page_token),
    })
}

pub(super) async fn set_tag(store: &RestStore, experiment_id: &str, tag: Tag) -> Result<(), TrackingError> {
    let body = json!({ "experiment_id": experiment_id, "key": tag.key, "value": tag.value });
    let call = ask::post(store, &format!("{V2}experiments/set-experiment-tag"), &body)?;
    ask::send_only(store, &call).await
}
