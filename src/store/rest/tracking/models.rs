//! Logged models, which MLflow has had since 3.0.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ask::{self, V2};
use super::batch::params;
use super::json::{Int, KeyValue, Text, into_tags, or_default, put, some, tags};
use crate::mlflow::entities::{
    Lifecycle, LoggedModel, LoggedModelStatus, NewLoggedModel, Page, Param, Search, Tag,
};
use crate::store::rest::RestStore;
use crate::store::rest::client::Call;
use crate::store::tracking::TrackingError;

#[derive(Deserialize)]
struct Found {
    model: Wire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FoundPage {
    #[serde(deserialize_with = "or_default")]
    models: Vec<Wire>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    info: WireInfo,
    #[serde(deserialize_with = "or_default")]
    data: WireData,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInfo {
    model_id: String,
    experiment_id: Text,
    #[serde(deserialize_with = "or_default")]
    name: String,
    creation_timestamp_ms: Int,
    #[serde(deserialize_with = "or_default")]
    artifact_uri: String,
    #[serde(deserialize_with = "or_default")]
    status: Value,
    #[serde(deserialize_with = "or_default")]
    model_type: String,
    #[serde(deserialize_with = "or_default")]
    source_run_id: String,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireData {
    #[serde(deserialize_with = "or_default")]
    params: Vec<KeyValue>,
}

impl Wire {
    fn into_model(self) -> LoggedModel {
        let info = self.info;
        LoggedModel {
            model_id: info.model_id,
            experiment_id: info.experiment_id.0,
            name: info.name,
            artifact_uri: info.artifact_uri,
            status: read_status(&info.status),
            model_type: some(info.model_type),
            source_run_id: some(info.source_run_id),
            creation_time_ms: info.creation_timestamp_ms.0,
            params: (self.data.params.into_iter())
                .map(|param| Param { key: param.key, value: param.value })
                .collect(),
            tags: into_tags(info.tags),
            // MLflow shows those in use alone.
            lifecycle: Lifecycle::Active,
        }
    }
}

/// Some versions give the number instead of the name.
fn read_status(status: &Value) -> LoggedModelStatus {
    let all = [LoggedModelStatus::Pending, LoggedModelStatus::Ready, LoggedModelStatus::UploadFailed];
    all.into_iter()
        .find(|known| status.as_str() == Some(known.as_str()) || status.as_i64() == Some(known.as_stored()))
        .unwrap_or_default()
}

/// Refuses what a server of MLflow 2 would ignore without a word.
pub(super) async fn require(store: &RestStore) -> Result<(), TrackingError> {
    if store.is_mlflow_2().await? {
        return Err(explain(store, TrackingError::unsupported("")).await);
    }
    Ok(())
}

/// Says that MLflow 2 has no logged models.
pub(super) async fn explain(store: &RestStore, error: TrackingError) -> TrackingError {
    ask::since(store, error, "logged models", "3.0", "or keep the model as an artifact of its run").await
}

async fn send<T: DeserializeOwned>(store: &RestStore, call: &Call) -> Result<T, TrackingError> {
    match ask::send(store, call).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(explain(store, error).await),
    }
}

fn path(model_id: &str) -> String {
    format!("{V2}logged-models/{model_id}")
}

/// Creates a logged model. After an unclear failure one that is pending, of the same name, run,
/// parameters and tags, is taken for the one that was asked for.
pub(super) async fn create(store: &RestStore, new: NewLoggedModel) -> Result<LoggedModel, TrackingError> {
    let mut body = json!({
        "experiment_id": new.experiment_id,
        "params": params(&new.params),
        "tags": tags(&new.tags),
    });
    let optional =
        [("name", &new.name), ("model_type", &new.model_type), ("source_run_id", &new.source_run_id)];
    for (key, value) in optional {
        if let Some(value) = value {
            put(Some(&mut body), key, json!(value));
        }
    }
    let call = ask::post(store, &format!("{V2}logged-models"), &body)?;
    match ask::create(store, &call, || made(store, &new)).await {
        Ok(found) => {
            let Found { model } = found;
            Ok(model.into_model())
        }
        Err(error) => Err(explain(store, error).await),
    }
}

async fn made(store: &RestStore, new: &NewLoggedModel) -> Result<Option<Found>, TrackingError> {
    // Without a name and a run nothing tells two models apart; a second one costs nothing then.
    let (Some(name), Some(run)) = (&new.name, &new.source_run_id) else {
        return Ok(None);
    };
    let body = json!({
        "experiment_ids": [new.experiment_id],
        "filter": format!("name = '{name}' AND source_run_id = '{run}'"),
    });
    let call = ask::post(store, &format!("{V2}logged-models/search"), &body)?;
    let found: FoundPage = send(store, &call).await?;
    let same = |had: &[KeyValue], wanted: &[(&str, &str)]| {
        had.len() == wanted.len()
            && wanted.iter().all(|(key, value)| had.iter().any(|had| had.key == *key && had.value == *value))
    };
    let params: Vec<_> = new.params.iter().map(|param| (param.key.as_str(), param.value.as_str())).collect();
    let tags: Vec<_> = new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    let ours = found.models.into_iter().find(|model| {
        read_status(&model.info.status) == LoggedModelStatus::Pending
            && same(&model.data.params, &params)
            && same(&model.info.tags, &tags)
    });
    Ok(ours.map(|model| Found { model }))
}

pub(super) async fn get(store: &RestStore, model_id: &str) -> Result<LoggedModel, TrackingError> {
    let found: Found = send(store, &ask::get(store, &path(model_id), &[])?).await?;
    Ok(found.model.into_model())
}

pub(super) async fn finish(
    store: &RestStore,
    model_id: &str,
    status: LoggedModelStatus,
) -> Result<LoggedModel, TrackingError> {
    let body = json!({ "model_id": model_id, "status": status.as_str() });
    let found: Found = send(store, &ask::with_body(store, Method::PATCH, &path(model_id), &body)?).await?;
    Ok(found.model.into_model())
}

/// Adds parameters. A repetition after an unclear failure is refused as repeated, and then the
/// parameters are there: that counts as done.
pub(super) async fn log_params(
    store: &RestStore,
    model_id: &str,
    new: Vec<Param>,
) -> Result<(), TrackingError> {
    let body = json!({ "model_id": model_id, "params": params(&new) });
    let call = ask::post(store, &format!("{}/params", path(model_id)), &body)?;
    let made = || async {
        let model = get(store, model_id).await?;
        Ok(new.iter().all(|param| model.params.contains(param)).then_some(Value::Null))
    };
    match ask::create::<Value, _>(store, &call, made).await {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(store, error).await),
    }
}

pub(super) async fn set_tags(store: &RestStore, model_id: &str, new: Vec<Tag>) -> Result<(), TrackingError> {
    let body = json!({ "model_id": model_id, "tags": tags(&new) });
    let call = ask::with_body(store, Method::PATCH, &format!("{}/tags", path(model_id)), &body)?;
    send::<Value>(store, &call).await.map(drop)
}

pub(super) async fn search(store: &RestStore, search: Search) -> Result<Page<LoggedModel>, TrackingError> {
    let mut body = json!({ "experiment_ids": search.experiment_ids });
    if let Some(filter) = &search.filter {
        put(Some(&mut body), "filter", json!(filter));
    }
    if let Some(most) = search.max_results {
        put(Some(&mut body), "max_results", json!(most));
    }
    if let Some(token) = &search.page_token {
        put(Some(&mut body), "page_token", json!(token));
    }
    if !search.order_by.is_empty() {
        put(Some(&mut body), "order_by", search.order_by.iter().map(|order| order_by(order)).collect());
    }
    let found: FoundPage =
        send(store, &ask::post(store, &format!("{V2}logged-models/search"), &body)?).await?;
    Ok(Page {
        items: found.models.into_iter().map(Wire::into_model).collect(),
        next_page_token: some(found.next_page_token),
    })
}

/// This search alone wants the order in parts.
fn order_by(text: &str) -> Value {
    let text = text.trim();
    let (field, ascending) = match text.rsplit_once(' ') {
        Some((field, order)) if order.eq_ignore_ascii_case("desc") => (field, false),
        Some((field, order)) if order.eq_ignore_ascii_case("asc") => (field, true),
        _ => (text, true),
    };
    json!({ "field_name": field.trim(), "ascending": ascending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_apart() {
        assert_eq!(order_by("metrics.acc DESC"), json!({ "field_name": "metrics.acc", "ascending": false }));
        assert_eq!(order_by("name asc"), json!({ "field_name": "name", "ascending": true }));
        assert_eq!(order_by("metrics.`a b`"), json!({ "field_name": "metrics.`a b`", "ascending": true }));
    }
}
