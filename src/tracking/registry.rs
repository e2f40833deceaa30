//! Logged models (what MLflow knows of them, not their files), and the registry.

use super::{Client, TrackingError, paging};
use crate::mlflow::entities::{
    LoggedModel, LoggedModelStatus, ModelVersion, NewLoggedModel, NewModelVersion, Param, RegisteredModel,
    Search, Tag,
};

/// Hides prompts, which are registered models as well; MLflow's client does the same.
const NO_PROMPTS: &str = "tags.`mlflow.prompt.is_prompt` != 'true'";

impl Client {
    /// Creates a logged model, whose files are still to come (MLflow 3). Without an experiment it
    /// belongs to the client's own.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn create_logged_model(&self, mut new: NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        if new.experiment_id.is_empty() {
            new.experiment_id = self.default_experiment_id().await?;
        }
        self.store().create_logged_model(new).await
    }

    /// A logged model (MLflow 3).
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none, [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        self.store().get_logged_model(model_id).await
    }

    /// Says that the files of a logged model are there, or did not arrive (MLflow 3).
    ///
    /// # Errors
    ///
    /// As [`Self::get_logged_model`].
    pub async fn finish_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        self.store().finish_logged_model(model_id, status).await
    }

    /// Adds parameters to a logged model (MLflow 3); each can be set once.
    ///
    /// # Errors
    ///
    /// As [`Self::get_logged_model`], and [`TrackingError::Invalid`] for one that is set already.
    pub async fn log_model_params(&self, model_id: &str, params: Vec<Param>) -> Result<(), TrackingError> {
        self.store().log_model_params(model_id, params).await
    }

    /// Sets tags of a logged model (MLflow 3).
    ///
    /// # Errors
    ///
    /// As [`Self::get_logged_model`].
    pub async fn set_logged_model_tags(&self, model_id: &str, tags: Vec<Tag>) -> Result<(), TrackingError> {
        self.store().set_logged_model_tags(model_id, tags).await
    }

    /// All logged models that a search finds (MLflow 3). Without experiments the client's own is
    /// searched.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand,
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn search_logged_models(&self, mut search: Search) -> Result<Vec<LoggedModel>, TrackingError> {
        if search.experiment_ids.is_empty() {
            search.experiment_ids.push(self.default_experiment_id().await?);
        }
        paging::all(search, |search| self.store().search_logged_models(search)).await
    }

    /// Creates a name in the registry.
    ///
    /// # Errors
    ///
    /// [`TrackingError::AlreadyExists`] if a model or a prompt has the name.
    pub async fn create_registered_model(
        &self,
        name: &str,
        description: Option<&str>,
        tags: Vec<Tag>,
    ) -> Result<RegisteredModel, TrackingError> {
        self.store().create_registered_model(name, description, tags).await
    }

    /// A name in the registry.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn get_registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        self.store().get_registered_model(name).await
    }

    /// All registered models that a search finds; prompts are left out unless the filter asks for
    /// them.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand.
    pub async fn search_registered_models(
        &self,
        mut search: Search,
    ) -> Result<Vec<RegisteredModel>, TrackingError> {
        search.filter = Some(match search.filter {
            Some(filter) if filter.contains("mlflow.prompt.is_prompt") => filter,
            Some(filter) => format!("{filter} AND {NO_PROMPTS}"),
            None => NO_PROMPTS.to_owned(),
        });
        paging::all(search, |search| self.store().search_registered_models(search)).await
    }

    /// Sets a tag of a registered model.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such model.
    pub async fn set_registered_model_tag(
        &self,
        name: &str,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        self.store().set_registered_model_tag(name, Tag::new(key, value)).await
    }

    /// Adds a version to a registered model, which has to exist.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such model, [`TrackingError::Invalid`] for a source
    /// that MLflow does not take.
    pub async fn create_model_version(&self, new: NewModelVersion) -> Result<ModelVersion, TrackingError> {
        self.store().create_model_version(new).await
    }

    /// A version of a registered model.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn get_model_version(&self, name: &str, version: &str) -> Result<ModelVersion, TrackingError> {
        self.store().get_model_version(name, version).await
    }

    /// The version that an alias stands for.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if the model has no such alias.
    pub async fn get_model_version_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersion, TrackingError> {
        self.store().get_model_version_by_alias(name, alias).await
    }

    /// All versions that a search finds, such as those of `name = 'my-model'`.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand.
    pub async fn search_model_versions(&self, search: Search) -> Result<Vec<ModelVersion>, TrackingError> {
        paging::all(search, |search| self.store().search_model_versions(search)).await
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such version.
    pub async fn set_model_version_tag(
        &self,
        name: &str,
        version: &str,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        self.store().set_model_version_tag(name, version, Tag::new(key, value)).await
    }

    /// Makes an alias stand for a version.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such version, [`TrackingError::Invalid`] for an
    /// alias that MLflow does not take.
    pub async fn set_alias(&self, name: &str, alias: &str, version: &str) -> Result<(), TrackingError> {
        self.store().set_alias(name, alias, version).await
    }

    /// Removes an alias.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such model.
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        self.store().delete_alias(name, alias).await
    }
}
