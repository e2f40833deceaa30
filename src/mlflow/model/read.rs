//! A model from its files.

use serde_json::{Map, Value};

use super::signature::Signature;
use super::{Azure, InputExample, ModelError, OpenAiModel, Task, yaml};

/// The path of the file, below the model's folder, that holds the model's data.
///
/// # Errors
///
/// `MLmodel` is not YAML, or the model is of another flavor.
pub fn data_path(mlmodel: &str) -> Result<String, ModelError> {
    data_path_of(&yaml::read(mlmodel)?)
}

fn data_path_of(head: &Value) -> Result<String, ModelError> {
    let flavors = head.get("flavors").and_then(Value::as_object);
    let Some(flavor) = flavors.and_then(|flavors| flavors.get("openai")) else {
        let names: Vec<_> = flavors.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let reason = format!(
            "only models of the flavor `openai` can be loaded, and this one has {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        return Err(ModelError::Unsupported { reason });
    };
    Ok(flavor.get("data").and_then(Value::as_str).unwrap_or("model.yaml").to_owned())
}

impl OpenAiModel {
    /// Reads a model from the text of `MLmodel`, of the file that [`data_path`] names, and of
    /// `input_example.json` where there is one.
    ///
    /// # Errors
    ///
    /// A text is not YAML, the model is of another flavor, or of a task that MLflow cannot load.
    pub fn read(mlmodel: &str, data: &str, example: Option<&str>) -> Result<Self, ModelError> {
        let head = yaml::read(mlmodel)?;
        data_path_of(&head)?;
        let Value::Object(mut data) = yaml::read(data)? else {
            return Err(ModelError::yaml("the model's data is not a map"));
        };
        let name = take_text(&mut data, "task").unwrap_or_default();
        let task = Task::parse(&name).ok_or_else(|| ModelError::Unsupported {
            reason: format!(
                "the task `{name}` cannot be run; there are chat.completions, completions, embeddings"
            ),
        })?;
        let Some(model) = take_text(&mut data, "model") else {
            return Err(ModelError::yaml("the model's data names no model"));
        };
        let mut read = Self::new(model, task);
        read.prompt = take_text(&mut data, "prompt");
        if let Some(Value::Array(messages)) = data.remove("messages") {
            read.messages = messages;
        }
        read.params = data;
        read.signature = head.get("signature").map(Signature::from_model_file).transpose()?.flatten();
        read.inference_params = read.signature.as_ref().map(|known| known.params.clone()).unwrap_or_default();
        read.metadata = head.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        read.azure = Azure::take(&mut read.metadata);
        read.input_example = example
            .and_then(|text| serde_json::from_str(text).ok())
            .and_then(|value| InputExample::from_stored(&value));
        read.validate()?;
        Ok(read)
    }
}

impl Azure {
    /// What the metadata of a model says of Azure, and no longer the metadata.
    fn take(metadata: &mut Map<String, Value>) -> Option<Self> {
        let mut taken = Self::VARIABLES.map(|(_, key)| take_text(metadata, key).unwrap_or_default());
        let [kind, endpoint, api_version, deployment] = taken.each_mut().map(std::mem::take);
        (kind == "azure").then_some(Self { endpoint, api_version, deployment })
    }
}

fn take_text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    match map.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
