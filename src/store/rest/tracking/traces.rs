//! Traces: reading, searching, tags, and links to runs.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ask::{self, V2, V3};
use super::json::{or_default, put, some};
use super::search;
use crate::mlflow::entities::{Page, Search, Tag};
use crate::store::rest::RestStore;
use crate::store::rest::links::RunLink;
use crate::store::tracking::TrackingError;

/// Metadata of a trace: the logged model that it used.
const MODEL_ID: &str = "mlflow.modelId";

#[derive(Deserialize)]
struct Found {
    trace: FoundTrace,
}

#[derive(Deserialize)]
struct FoundTrace {
    trace_info: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FoundPage {
    #[serde(deserialize_with = "or_default")]
    traces: Vec<Map<String, Value>>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

/// The head of a trace, with its assessments.
pub(super) async fn info(store: &RestStore, trace_id: &str) -> Result<Map<String, Value>, TrackingError> {
    let call = ask::get(store, &format!("{V3}traces/{trace_id}"), &[])?;
    match ask::send::<Found>(store, &call).await {
        Ok(found) => Ok(found.trace.trace_info),
        Err(error) => Err(explain(store, error, "3.2").await),
    }
}

pub(super) async fn get(store: &RestStore, trace_id: &str) -> Result<Map<String, Value>, TrackingError> {
    let call = ask::get(store, &format!("{V3}traces/get"), &[("trace_id", trace_id)])?;
    match ask::send::<Found>(store, &call).await {
        Ok(found) => {
            let mut trace = Map::new();
            trace.insert("info".to_owned(), Value::Object(found.trace.trace_info));
            trace.insert("spans".to_owned(), Value::Array(found.trace.spans));
            Ok(trace)
        }
        Err(error) => Err(explain(store, error, "3.7").await),
    }
}

/// Says from which release on traces are read this way.
pub(super) async fn explain(store: &RestStore, error: TrackingError, release: &str) -> TrackingError {
    ask::since(store, error, "such trace API", release, "or look at its traces in its UI").await
}

pub(super) async fn search(
    store: &RestStore,
    search: Search,
) -> Result<Page<Map<String, Value>>, TrackingError> {
    let mut body = search::body(&search, 100);
    let location =
        |id: &String| json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": id } });
    put(Some(&mut body), "locations", search.experiment_ids.iter().map(location).collect());
    let call = ask::post(store, &format!("{V3}traces/search"), &body)?;
    match ask::send::<FoundPage>(store, &call).await {
        Ok(found) => Ok(Page { items: found.traces, next_page_token: some(found.next_page_token) }),
        Err(error) => Err(explain(store, error, "3.2").await),
    }
}

pub(super) async fn set_tag(store: &RestStore, trace_id: &str, tag: Tag) -> Result<(), TrackingError> {
    let body = json!({ "key": tag.key, "value": tag.value });
    let path = format!("{V2}traces/{trace_id}/tags");
    ask::send_only(store, &ask::with_body(store, Method::PATCH, &path, &body)?).await
}

pub(super) async fn delete_tag(store: &RestStore, trace_id: &str, key: &str) -> Result<(), TrackingError> {
    let path = format!("{V2}traces/{trace_id}/tags");
    let call = ask::with_body(store, Method::DELETE, &path, &json!({ "key": key }))?;
    match ask::send_only(store, &call).await {
        // What is not there needs no removal, and a repeated call finds nothing.
        Err(TrackingError::NotFound { .. }) => Ok(()),
        done => done,
    }
}

pub(super) async fn link(store: &RestStore, run_id: &str, trace_ids: &[String]) -> Result<(), TrackingError> {
    let links: Vec<_> = trace_ids
        .iter()
        .map(|trace_id| RunLink { trace_id: trace_id.clone(), run_id: run_id.to_owned() })
        .collect();
    // Servers without the route refuse, too.
    super::models::require(store).await?;
    match store.link(None, links.iter()).await?.into_iter().next() {
        Some(refusal) => Err(TrackingError::invalid(refusal.reason)),
        None => Ok(()),
    }
}

/// Notes on a trace which logged model it used. MLflow changes the metadata of a trace only together
/// with its head, which is sent again as it is; so not before the trace has ended.
pub(super) async fn link_to_model(
    store: &RestStore,
    trace_id: &str,
    model_id: &str,
) -> Result<(), TrackingError> {
    let info = info(store, trace_id).await?;
    let has = info.get("trace_metadata").and_then(|metadata| metadata.get(MODEL_ID)).is_some();
    if has {
        return Ok(());
    }
    if info.get("state").and_then(Value::as_str) == Some("IN_PROGRESS") {
        return Err(TrackingError::not_found(format!("the trace {trace_id} has not ended")));
    }
    let mut head = Map::new();
    for key in
        ["trace_id", "client_request_id", "trace_location", "request_time", "execution_duration", "state"]
    {
        if let Some(value) = info.get(key) {
            head.insert(key.to_owned(), value.clone());
        }
    }
    head.insert("trace_metadata".to_owned(), json!({ MODEL_ID: model_id }));
    let body = json!({ "trace": { "trace_info": head } });
    ask::send_only(store, &ask::post(store, &format!("{V3}traces"), &body)?).await
}

/// Notes in MLflow's table of associations which prompts a trace used. Servers before 3.8 or so do
/// not have the route, and go by the trace's tag alone.
pub(super) async fn link_prompts(
    store: &RestStore,
    trace_id: &str,
    prompts: &[(String, String)],
) -> Result<(), TrackingError> {
    let versions: Vec<Value> =
        prompts.iter().map(|(name, version)| json!({ "name": name, "version": version })).collect();
    let body = json!({ "trace_id": trace_id, "prompt_versions": versions });
    match ask::send_only(store, &ask::post(store, &format!("{V2}traces/link-prompts"), &body)?).await {
        Err(TrackingError::Unsupported { .. }) => Ok(()),
        done => done,
    }
}
