//! What runs use and make: datasets and models.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{self, V2};
use super::json::{KeyValue, into_tags, or_default, put, some, tags};
use crate::mlflow::entities::{Dataset, DatasetInput, ModelInput, ModelOutput, RunInputs};
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;

/// MLflow takes no more datasets in one call.
const MAX_DATASETS: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    #[serde(deserialize_with = "or_default")]
    dataset_inputs: Vec<WireInput>,
    #[serde(deserialize_with = "or_default")]
    model_inputs: Vec<WireModel>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInput {
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
    dataset: WireDataset,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireDataset {
    name: String,
    digest: String,
    #[serde(deserialize_with = "or_default")]
    source_type: String,
    #[serde(deserialize_with = "or_default")]
    source: String,
    #[serde(deserialize_with = "or_default")]
    schema: String,
    #[serde(deserialize_with = "or_default")]
    profile: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireModel {
    model_id: String,
}

impl Wire {
    pub(super) fn into_inputs(self) -> RunInputs {
        RunInputs {
            datasets: self.dataset_inputs.into_iter().map(WireInput::into_input).collect(),
            models: self
                .model_inputs
                .into_iter()
                .map(|model| ModelInput { model_id: model.model_id })
                .collect(),
        }
    }
}

impl WireInput {
    fn into_input(self) -> DatasetInput {
        let dataset = self.dataset;
        DatasetInput {
            dataset: Dataset {
                name: dataset.name,
                digest: dataset.digest,
                source_type: dataset.source_type,
                source: dataset.source,
                schema: some(dataset.schema),
                profile: some(dataset.profile),
            },
            tags: into_tags(self.tags),
        }
    }
}

fn dataset(input: &DatasetInput) -> Value {
    let dataset = &input.dataset;
    let mut fields = json!({
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
    });
    if let Some(schema) = &dataset.schema {
        put(Some(&mut fields), "schema", json!(schema));
    }
    if let Some(profile) = &dataset.profile {
        put(Some(&mut fields), "profile", json!(profile));
    }
    json!({ "tags": tags(&input.tags), "dataset": fields })
}

/// Notes what a run uses. Repeating it changes nothing: MLflow keeps one row for each input.
pub(super) async fn log(
    store: &RestStore,
    run_id: &str,
    datasets: Vec<DatasetInput>,
    models: Vec<ModelInput>,
) -> Result<(), TrackingError> {
    for part in datasets.chunks(MAX_DATASETS) {
        let part: Vec<Value> = part.iter().map(dataset).collect();
        let body = json!({ "run_id": run_id, "datasets": part });
        ask::send_only(store, &ask::post(store, &format!("{V2}runs/log-inputs"), &body)?).await?;
    }
    if models.is_empty() {
        return Ok(());
    }
    // A server that does not know the field would ignore it and answer 200.
    super::models::require(store).await?;
    let models: Vec<Value> = models.iter().map(|model| json!({ "model_id": model.model_id })).collect();
    let body = json!({ "run_id": run_id, "models": models });
    ask::send_only(store, &ask::post(store, &format!("{V2}runs/log-inputs"), &body)?).await
}

/// Notes the models that a run made.
pub(super) async fn log_outputs(
    store: &RestStore,
    run_id: &str,
    models: Vec<ModelOutput>,
) -> Result<(), TrackingError> {
    let models: Vec<Value> =
        models.iter().map(|model| json!({ "model_id": model.model_id, "step": model.step })).collect();
    let body = json!({ "run_id": run_id, "models": models });
    let call = ask::post(store, &format!("{V2}runs/outputs"), &body)?;
    match ask::send_only(store, &call).await {
        Ok(()) => Ok(()),
        Err(error) => Err(super::models::explain(store, error).await),
    }
}
