//! Loading a model that was logged, from Rust or from Python.

use super::address::resolve;
use super::error::ModelsError;
use super::folder::Folder;
use crate::mlflow::model::{MLMODEL, ModelError, OpenAiModel, data_path};
use crate::tracking::Client;

/// A model that was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedModel {
    /// The model.
    pub model: OpenAiModel,
    /// Where its files lie.
    pub artifact_uri: String,
    /// The logged model that it is; none on MLflow 2.
    pub model_id: Option<String>,
}

impl Client {
    /// Loads a model of the `openai` flavor, logged from Rust or from Python: `models:/name/1`,
    /// `models:/name@alias`, `models:/name/latest`, `models:/m-…`, `runs:/run/path`, or the address
    /// of its folder.
    ///
    /// # Errors
    ///
    /// There is no such model, its files cannot be read, or it is of another flavor.
    pub async fn load_model(&self, uri: &str) -> Result<LoadedModel, ModelsError> {
        let place = resolve(self, uri).await?;
        let folder = Folder::open(self, &place.artifact_uri)?;
        let head = text(folder.read(MLMODEL).await?)?;
        let data = text(folder.read(&data_path(&head)?).await?)?;
        // An example is no part of what the model does: one that cannot be read does not matter.
        let example = match head.contains("input_example.json") {
            true => folder.read("input_example.json").await.ok().and_then(|bytes| text(bytes).ok()),
            false => None,
        };
        let model = OpenAiModel::read(&head, &data, example.as_deref())?;
        Ok(LoadedModel { model, artifact_uri: place.artifact_uri, model_id: place.model_id })
    }
}

fn text(bytes: Vec<u8>) -> Result<String, ModelError> {
    String::from_utf8(bytes)
        .map_err(|_| ModelError::Unreadable { reason: "a file is not UTF-8 text".to_owned() })
}
