//! Logging a model.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::error::ModelsError;
use super::folder::Folder;
use super::{FINGERPRINT_TAG, register};
use crate::mlflow::entities::{
    LogBatch, LoggedModel, LoggedModelStatus, ModelOutput, ModelVersion, NewLoggedModel, NewRun, Param, Run,
    RunStatus, RunUpdate, Tag,
};
use crate::mlflow::model::{MLMODEL, OpenAiModel, Stamp};
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// The version of MLflow that a model asks for when a server of MLflow 2 keeps it.
const MLFLOW_2: &str = "2.22.2";
/// Parameters of logged models are for search; longer ones are no use there. In bytes.
const MAX_PARAM: usize = 500;
/// Tag of a run: the models that it logged (MLflow 2).
const HISTORY_TAG: &str = "mlflow.log-model.history";

/// How and where a model is logged.
#[derive(Clone, Debug)]
pub struct LogModel {
    /// Name of the logged model; on MLflow 2 the folder below the run's artifacts.
    pub name: String,
    /// The experiment.
    pub experiment_id: String,
    /// The run that made it. On MLflow 2 a model needs a run: without one, one is made for it.
    pub run_id: Option<String>,
    /// Step of the run at which it was made.
    pub step: i64,
    /// The name to register it under; none leaves it unregistered.
    pub registered_model_name: Option<String>,
    /// Tags of the logged model, and of the version.
    pub tags: Vec<Tag>,
}

impl LogModel {
    /// Logs into an experiment, by the name `model`.
    #[must_use]
    pub fn new(experiment_id: impl Into<String>) -> Self {
        Self {
            name: "model".to_owned(),
            experiment_id: experiment_id.into(),
            run_id: None,
            step: 0,
            registered_model_name: None,
            tags: Vec::new(),
        }
    }

    /// Names the logged model.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Says which run made it.
    #[must_use]
    pub fn run(mut self, run_id: impl Into<String>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// Registers it as the next version of a registered model, which is created if there is none.
    #[must_use]
    pub fn register_as(mut self, name: impl Into<String>) -> Self {
        self.registered_model_name = Some(name.into());
        self
    }
}

/// What became of a model that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedModelInfo {
    /// Where to load it from: `models:/m-…`, on MLflow 2 `runs:/…`.
    pub model_uri: String,
    /// The logged model; none on MLflow 2.
    pub model_id: Option<String>,
    /// The run that made it, if any.
    pub run_id: Option<String>,
    /// Where its files lie.
    pub artifact_uri: String,
    /// The version in the registry, if it was registered.
    pub version: Option<ModelVersion>,
}

impl Client {
    /// Logs a model: its files, on MLflow 3 as a logged model that is linked to the run, and its
    /// version in the registry if one is asked for.
    ///
    /// # Errors
    ///
    /// MLflow could not load the model, or does not take it. Nothing is registered then, and a
    /// logged model that was begun is marked as failed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use opentelemetry_mlflow::mlflow::model::OpenAiModel;
    /// use opentelemetry_mlflow::tracking::{Client, models::LogModel};
    ///
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let model = OpenAiModel::chat("gpt-4o-mini").message("user", "Tell me a joke about {animal}.");
    /// let info = client.log_model(&model, LogModel::new("0").register_as("jokes")).await?;
    /// println!("{}", info.model_uri);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn log_model(
        &self,
        model: &OpenAiModel,
        options: LogModel,
    ) -> Result<LoggedModelInfo, ModelsError> {
        model.validate()?;
        let fingerprint = Tag { key: FINGERPRINT_TAG.to_owned(), value: model.fingerprint() };
        let mut options = options;
        options.tags.push(fingerprint);
        let new = NewLoggedModel {
            experiment_id: options.experiment_id.clone(),
            name: Some(options.name.clone()),
            model_type: None,
            source_run_id: options.run_id.clone(),
            params: params(model),
            tags: options.tags.clone(),
        };
        match self.store().create_logged_model(new).await {
            Ok(created) => self.log_third(model, options, created).await,
            Err(TrackingError::Unsupported { .. }) => self.log_second(model, options).await,
            Err(error) => Err(error.into()),
        }
    }

    /// MLflow 3.
    async fn log_third(
        &self,
        model: &OpenAiModel,
        options: LogModel,
        created: LoggedModel,
    ) -> Result<LoggedModelInfo, ModelsError> {
        let model_id = created.model_id.clone();
        let logged = self.upload_third(model, &options, &created).await;
        let status = if logged.is_ok() { LoggedModelStatus::Ready } else { LoggedModelStatus::UploadFailed };
        let finished = self.store().finish_logged_model(&model_id, status).await;
        logged?;
        finished?;
        let mut info = LoggedModelInfo {
            model_uri: format!("models:/{model_id}"),
            model_id: Some(model_id),
            run_id: options.run_id.clone(),
            artifact_uri: created.artifact_uri,
            version: None,
        };
        register::register(self, &mut info, &options).await?;
        Ok(info)
    }

    async fn upload_third(
        &self,
        model: &OpenAiModel,
        options: &LogModel,
        created: &LoggedModel,
    ) -> Result<(), ModelsError> {
        if let Some(run_id) = &options.run_id {
            let output = ModelOutput { model_id: created.model_id.clone(), step: options.step };
            self.store().log_outputs(run_id, vec![output]).await?;
        }
        let stamp = Stamp {
            time_us: now_us(),
            uuid: created.model_id.clone(),
            model_id: Some(created.model_id.clone()),
            run_id: options.run_id.clone(),
            artifact_path: Some(created.artifact_uri.clone()),
            ..Stamp::default()
        };
        self.upload(model, &stamp, &created.artifact_uri).await
    }

    /// MLflow 2: into a run.
    async fn log_second(
        &self,
        model: &OpenAiModel,
        options: LogModel,
    ) -> Result<LoggedModelInfo, ModelsError> {
        let (run, is_ours) = match &options.run_id {
            Some(run_id) => (self.store().get_run(run_id).await?, false),
            None => (self.create_model_run(&options).await?, true),
        };
        let logged = self.upload_second(model, &options, &run).await;
        if is_ours {
            let status = if logged.is_ok() { RunStatus::Finished } else { RunStatus::Failed };
            let update = RunUpdate {
                status: Some(status),
                end_time_ms: Some(now_us() / 1_000),
                ..RunUpdate::default()
            };
            self.store().update_run(&run.info.run_id, update).await?;
        }
        let mut info = logged?;
        register::register(self, &mut info, &options).await?;
        Ok(info)
    }

    async fn create_model_run(&self, options: &LogModel) -> Result<Run, ModelsError> {
        let new = NewRun {
            experiment_id: options.experiment_id.clone(),
            start_time_ms: now_us() / 1_000,
            tags: options.tags.clone(),
            ..NewRun::default()
        };
        Ok(self.store().create_run(new).await?)
    }

    async fn upload_second(
        &self,
        model: &OpenAiModel,
        options: &LogModel,
        run: &Run,
    ) -> Result<LoggedModelInfo, ModelsError> {
        let run_id = &run.info.run_id;
        let mut stamp = Stamp {
            time_us: now_us(),
            uuid: format!("{:032x}", rand::random::<u128>()),
            run_id: Some(run_id.clone()),
            artifact_path: Some(options.name.clone()),
            ..Stamp::default()
        };
        stamp.environment.mlflow = MLFLOW_2.to_owned();
        let artifact_uri = format!("{}/{}", run.info.artifact_uri.trim_end_matches('/'), options.name);
        self.upload(model, &stamp, &artifact_uri).await?;
        let known = run.data.tags.iter().find(|tag| tag.key == HISTORY_TAG).map(|tag| tag.value.as_str());
        let mut history: Vec<Value> =
            known.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        history.push(model.history_entry(&stamp));
        let mut tags = options.tags.clone();
        tags.push(Tag { key: HISTORY_TAG.to_owned(), value: json!(history).to_string() });
        self.store().log_batch(run_id, LogBatch { tags, ..LogBatch::default() }).await?;
        Ok(LoggedModelInfo {
            model_uri: format!("runs:/{run_id}/{}", options.name),
            model_id: None,
            run_id: Some(run_id.clone()),
            artifact_uri,
            version: None,
        })
    }

    async fn upload(&self, model: &OpenAiModel, stamp: &Stamp, uri: &str) -> Result<(), ModelsError> {
        let folder = Folder::open(self, uri)?;
        let (head, others): (Vec<_>, Vec<_>) =
            model.files(stamp)?.into_iter().partition(|(path, _)| *path == MLMODEL);
        // Last what makes the folder a model.
        for (path, bytes) in others.into_iter().chain(head) {
            folder.write(path, bytes).await?;
        }
        Ok(())
    }
}

/// What a logged model can be searched by.
fn params(model: &OpenAiModel) -> Vec<Param> {
    let own = [("model", json!(model.model)), ("task", json!(model.task.as_str()))];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    let fixed = model.params.iter().map(|(key, value)| (key.clone(), value.clone()));
    let changing = model.inference_params.iter().map(|one| (one.name.clone(), one.default.clone()));
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    own.chain(fixed)
        .chain(changing)
        .map(|(key, value)| Param { key, value: text(value) })
        .filter(|param| param.value.len() <= MAX_PARAM)
        .collect()
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
