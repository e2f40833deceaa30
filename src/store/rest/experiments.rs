//! Experiments through MLflow's REST API.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Call;
use super::{RestError, RestStore};
use crate::store::{BoxFuture, Experiment, ExperimentDirectory, StoreError};

#[derive(Deserialize)]
struct Found {
    experiment: FoundExperiment,
}

#[derive(Deserialize)]
struct FoundExperiment {
    experiment_id: String,
    name: String,
    artifact_location: Option<String>,
    lifecycle_stage: Option<String>,
}

#[derive(Deserialize)]
struct Created {
    experiment_id: String,
}

impl ExperimentDirectory for RestStore {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Experiment>, StoreError>> {
        Box::pin(async move { Ok(self.find_experiment("get-by-name", "experiment_name", name).await?) })
    }

    fn get(&self, id: i64) -> BoxFuture<'_, Result<Option<Experiment>, StoreError>> {
        Box::pin(async move {
            self.experiment(id, None).await.map_err(|error| match error {
                // Of this one; others may be open to us.
                RestError::Forbidden { .. } => StoreError::reject(error.to_string()),
                error => error.into(),
            })
        })
    }

    fn create<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Experiment, StoreError>> {
        Box::pin(async move { Ok(self.create_experiment(name).await?) })
    }
}

impl RestStore {
    /// The experiment of this id, in a workspace.
    pub(super) async fn experiment(
        &self,
        id: i64,
        workspace: Option<&str>,
    ) -> Result<Option<Experiment>, RestError> {
        let mut call = self.call(Method::GET, "/api/2.0/mlflow/experiments/get", workspace)?;
        call.url.query_pairs_mut().append_pair("experiment_id", &id.to_string());
        self.ask_for_experiment(&call).await
    }

    async fn find_experiment(
        &self,
        route: &str,
        key: &str,
        value: &str,
    ) -> Result<Option<Experiment>, RestError> {
        let mut call = self.call(Method::GET, &format!("/api/2.0/mlflow/experiments/{route}"), None)?;
        call.url.query_pairs_mut().append_pair(key, value);
        self.ask_for_experiment(&call).await
    }

    async fn ask_for_experiment(&self, call: &Call) -> Result<Option<Experiment>, RestError> {
        let client = &self.inner.client;
        let answer = match client.send(call, client.backoff()).await {
            Ok(answer) => answer,
            Err(RestError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let found: Found = answer.json(call.url.as_str())?;
        let experiment = found.experiment;
        Ok(Some(Experiment {
            id: parse_id(&experiment.experiment_id, call)?,
            name: experiment.name,
            artifact_location: experiment.artifact_location,
            deleted: experiment.lifecycle_stage.as_deref() == Some("deleted"),
        }))
    }

    async fn create_experiment(&self, name: &str) -> Result<Experiment, RestError> {
        let mut call = self.call(Method::POST, "/api/2.0/mlflow/experiments/create", None)?;
        call.put_json(&json!({ "name": name }));
        let client = &self.inner.client;
        let created = match client.send(&call, client.backoff()).await {
            Ok(answer) => {
                let created: Created = answer.json(call.url.as_str())?;
                self.experiment(parse_id(&created.experiment_id, &call)?, None).await?
            }
            // Somebody else was faster, or an earlier attempt of ours got through.
            Err(RestError::Refused { code: Some(code), .. }) if code == "RESOURCE_ALREADY_EXISTS" => {
                self.find_experiment("get-by-name", "experiment_name", name).await?
            }
            Err(error) => return Err(error),
        };
        created.ok_or_else(|| RestError::NotFound {
            message: format!("the experiment {name:?} was created, and is gone"),
        })
    }
}

/// Ids are numbers on every server that keeps its experiments in a database.
fn parse_id(text: &str, call: &Call) -> Result<i64, RestError> {
    text.parse().map_err(|_| RestError::NotMlflow {
        url: call.url.to_string(),
        detail: format!("the experiment id {text:?}, which is no number"),
    })
}
