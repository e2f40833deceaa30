//! Whether a model was logged before: by this process, one before it, or one beside it.

use super::error::ModelsError;
use super::log::{LogModel, LoggedModelInfo};
use super::{FINGERPRINT_TAG, register};
use crate::mlflow::entities::{LoggedModel, LoggedModelStatus, Search, ViewType};
use crate::mlflow::model::OpenAiModel;
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

impl Client {
    /// Logs a model unless the same (by its [fingerprint](OpenAiModel::fingerprint)) was logged into
    /// this experiment before. One that was logged but not registered yet is registered.
    ///
    /// # Errors
    ///
    /// As [`log_model`](Self::log_model).
    pub async fn log_model_once(
        &self,
        model: &OpenAiModel,
        options: LogModel,
    ) -> Result<LoggedModelInfo, ModelsError> {
        match self.find_model(&options.experiment_id, &model.fingerprint()).await? {
            Some(mut info) => {
                self.registered(model, &mut info, options).await?;
                Ok(info)
            }
            None => self.log_model(model, options).await,
        }
    }

    async fn registered(
        &self,
        model: &OpenAiModel,
        info: &mut LoggedModelInfo,
        mut options: LogModel,
    ) -> Result<(), ModelsError> {
        let Some(name) = options.registered_model_name.clone() else { return Ok(()) };
        let fingerprint = model.fingerprint();
        info.version = register::version(self, &name, &fingerprint).await?;
        if info.version.is_none() {
            options
                .tags
                .push(crate::mlflow::entities::Tag { key: FINGERPRINT_TAG.to_owned(), value: fingerprint });
            register::register(self, info, &options).await?;
        }
        Ok(())
    }

    /// A model of an experiment by its [fingerprint](OpenAiModel::fingerprint), with all its files.
    ///
    /// # Errors
    ///
    /// MLflow does not answer.
    pub async fn find_model(
        &self,
        experiment_id: &str,
        fingerprint: &str,
    ) -> Result<Option<LoggedModelInfo>, ModelsError> {
        let search = Search {
            experiment_ids: vec![experiment_id.to_owned()],
            filter: Some(format!("tags.`{FINGERPRINT_TAG}` = '{fingerprint}'")),
            max_results: Some(50),
            view: ViewType::ActiveOnly,
            ..Search::default()
        };
        match self.store().search_logged_models(search.clone()).await {
            Ok(page) => {
                let is_it = |model: &LoggedModel| model.status == LoggedModelStatus::Ready;
                // The oldest: the one that others found before.
                let found = page.items.into_iter().filter(is_it).min_by_key(|model| model.creation_time_ms);
                Ok(found.map(third))
            }
            Err(TrackingError::Unsupported { .. }) => self.find_second(search).await,
            Err(error) => Err(error.into()),
        }
    }

    /// MLflow 2: by the run that keeps it.
    async fn find_second(&self, search: Search) -> Result<Option<LoggedModelInfo>, ModelsError> {
        let page = self.store().search_runs(search).await?;
        let found = page.items.into_iter().find_map(|run| {
            let history = run.data.tags.iter().find(|tag| tag.key == "mlflow.log-model.history")?;
            let entries: Vec<serde_json::Value> = serde_json::from_str(&history.value).ok()?;
            let path = entries.last()?.get("artifact_path")?.as_str()?.to_owned();
            let run_id = run.info.run_id;
            Some(LoggedModelInfo {
                model_uri: format!("runs:/{run_id}/{path}"),
                model_id: None,
                artifact_uri: format!("{}/{path}", run.info.artifact_uri.trim_end_matches('/')),
                run_id: Some(run_id),
                version: None,
            })
        });
        Ok(found)
    }
}

fn third(model: LoggedModel) -> LoggedModelInfo {
    LoggedModelInfo {
        model_uri: format!("models:/{}", model.model_id),
        model_id: Some(model.model_id),
        run_id: model.source_run_id,
        artifact_uri: model.artifact_uri,
        version: None,
    }
}
