//! MLflow's `openai` flavor: a model of OpenAI's API with its prompt and parameters, as the files
//! that `mlflow.pyfunc.load_model` takes.
//!
//! What MLflow 3.17.2 can load decides what is written: tasks `chat.completions`, `completions` and
//! `embeddings`. It cannot load the Responses API, so a call of that API becomes a chat model with
//! the same instructions, tools and parameters, and `metadata.openai_api: responses` says so.

mod call;
mod error;
mod example;
mod files;
mod read;
mod responses;
mod signature;
mod template;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub use call::{ApiCall, CallApi, CallOptions};
pub use error::ModelError;
pub use example::InputExample;
pub use files::{Environment, ModelFile, Stamp};
pub use read::data_path;
pub use signature::{Column, Parameter, Signature};

/// Name of the file that says what a model is.
pub const MLMODEL: &str = "MLmodel";

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Chat completions.
    Chat,
    /// Legacy completions.
    Completions,
    /// Embeddings.
    Embeddings,
}

impl Task {
    /// The name that MLflow and OpenAI's Python client use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat.completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Chat, Self::Completions, Self::Embeddings].into_iter().find(|task| task.as_str() == name)
    }
}

/// Where a model of Azure OpenAI is served. The key is never part of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Azure {
    /// `https://<resource>.openai.azure.com`.
    pub endpoint: String,
    /// Version of the API, such as `2024-10-21`.
    pub api_version: String,
    /// Name of the deployment.
    pub deployment: String,
}

/// A model of OpenAI's API, with the prompt and parameters that it is used with.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::mlflow::model::OpenAiModel;
///
/// let model = OpenAiModel::chat("gpt-4o-mini")
///     .message("system", "You are terse.")
///     .message("user", "Tell me about {topic} in {lang}.")
///     .inference_param("temperature", 0.2);
/// assert_eq!(model.variables()?, ["lang", "topic"]);
/// # Ok::<(), opentelemetry_mlflow::mlflow::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiModel {
    /// Name of the model.
    pub model: String,
    /// What it does.
    pub task: Task,
    /// The messages of a chat, with `{placeholders}`; each `{"role", "content"}`. Braces that are
    /// meant as such are doubled.
    pub messages: Vec<Value>,
    /// The prompt of a completion, with `{placeholders}`.
    pub prompt: Option<String>,
    /// Parameters that belong to the model. MLflow keeps them but, unlike this crate, does not send
    /// them when it predicts.
    pub params: Map<String, Value>,
    /// Parameters that may change at inference time, with their defaults.
    pub inference_params: Vec<Parameter>,
    /// Where it is served, if at Azure.
    pub azure: Option<Azure>,
    /// An example of an input.
    pub input_example: Option<InputExample>,
    /// What else is to be known of it.
    pub metadata: Map<String, Value>,
    /// The signature that it was read with, if it was.
    signature: Option<Signature>,
}

impl OpenAiModel {
    fn new(model: impl Into<String>, task: Task) -> Self {
        Self {
            model: model.into(),
            task,
            messages: Vec::new(),
            prompt: None,
            params: Map::new(),
            inference_params: Vec::new(),
            azure: None,
            input_example: None,
            metadata: Map::new(),
            signature: None,
        }
    }

    /// A model for chats.
    #[must_use]
    pub fn chat(model: impl Into<String>) -> Self {
        Self::new(model, Task::Chat)
    }

    /// A model for legacy completions of a prompt.
    #[must_use]
    pub fn completions(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), ..Self::new(model, Task::Completions) }
    }

    /// A model for embeddings.
    #[must_use]
    pub fn embeddings(model: impl Into<String>) -> Self {
        Self::new(model, Task::Embeddings)
    }

    /// Adds a message of text with `{placeholders}`.
    #[must_use]
    pub fn message(mut self, role: &str, content: impl Into<String>) -> Self {
        self.messages.push(json!({"role": role, "content": content.into()}));
        self
    }

    /// Adds a parameter that belongs to the model.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Adds a parameter that may change at inference time, with its default. A value that MLflow
    /// has no type for (an object, null) becomes one that belongs to the model.
    #[must_use]
    pub fn inference_param(mut self, name: impl Into<String>, default: impl Into<Value>) -> Self {
        let (name, default) = (name.into(), default.into());
        match Parameter::new(&name, default.clone()) {
            Some(parameter) => self.inference_params.push(parameter),
            None => drop(self.params.insert(name, default)),
        }
        self
    }

    /// Says where at Azure it is served.
    #[must_use]
    pub fn azure(mut self, azure: Azure) -> Self {
        self.azure = Some(azure);
        self
    }

    /// Adds an example of an input.
    #[must_use]
    pub fn example(mut self, example: InputExample) -> Self {
        self.input_example = Some(example);
        self
    }

    /// The placeholders, sorted. A chat without any takes what the user says as `content`, and a
    /// completion without a prompt takes `prompt`, as in MLflow.
    ///
    /// # Errors
    ///
    /// A template has a brace that is neither doubled nor part of a placeholder.
    pub fn variables(&self) -> Result<Vec<String>, ModelError> {
        let mut found = BTreeSet::new();
        match self.task {
            Task::Chat => {
                for message in &self.messages {
                    collect(message, &mut found)?;
                }
                if found.is_empty() {
                    found.insert("content".to_owned());
                }
            }
            Task::Completions => found = template::fields(self.template())?,
            Task::Embeddings => {}
        }
        Ok(found.into_iter().collect())
    }

    fn template(&self) -> &str {
        self.prompt.as_deref().filter(|prompt| !prompt.is_empty()).unwrap_or("{prompt}")
    }

    /// The signature: text in, one column per placeholder where there are several, and text out, or
    /// vectors from embeddings.
    ///
    /// # Errors
    ///
    /// As [`variables`](Self::variables).
    pub fn signature(&self) -> Result<Signature, ModelError> {
        if let Some(signature) = &self.signature {
            return Ok(signature.clone());
        }
        let variables = self.variables()?;
        let inputs = match variables.len() {
            0 | 1 => vec![Column::Text { name: None }],
            _ => variables.into_iter().map(|name| Column::Text { name: Some(name) }).collect(),
        };
        let outputs = match self.task {
            Task::Embeddings => vec![Column::Vector],
            _ => vec![Column::Text { name: None }],
        };
        Ok(Signature { inputs, outputs, params: self.inference_params.clone() })
    }

    /// The messages of a chat with the placeholders filled.
    ///
    /// # Errors
    ///
    /// A placeholder has no value, or a template is broken.
    pub fn render_messages(&self, values: &BTreeMap<String, String>) -> Result<Vec<Value>, ModelError> {
        let mut messages = self.messages.clone();
        let mut found = BTreeSet::new();
        for message in &messages {
            collect(message, &mut found)?;
        }
        if found.is_empty() {
            messages.push(json!({"role": "user", "content": "{content}"}));
        }
        for message in &mut messages {
            fill(message, values)?;
        }
        Ok(messages)
    }

    /// The prompt of a completion with the placeholders filled.
    ///
    /// # Errors
    ///
    /// A placeholder has no value, or the template is broken.
    pub fn render_prompt(&self, values: &BTreeMap<String, String>) -> Result<String, ModelError> {
        template::render(self.template(), values)
    }

    /// What MLflow would refuse or could not load.
    ///
    /// # Errors
    ///
    /// A broken template, a message without role or content, a parameter that is said twice.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.variables()?;
        let complete = |message: &Value| message.get("role").is_some() && message.get("content").is_some();
        if !self.messages.iter().all(complete) {
            return Err(ModelError::Message);
        }
        for parameter in &self.inference_params {
            if parameter.name == "model" || self.params.contains_key(&parameter.name) {
                return Err(ModelError::Twice { name: parameter.name.clone() });
            }
        }
        Ok(())
    }
}

/// The placeholders of a message, in contents of parts too.
fn collect(value: &Value, found: &mut BTreeSet<String>) -> Result<(), ModelError> {
    match value {
        Value::String(text) => found.extend(template::fields(text)?),
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, found))?,
        Value::Object(map) => map.values().try_for_each(|value| collect(value, found))?,
        _ => {}
    }
    Ok(())
}

fn fill(value: &mut Value, values: &BTreeMap<String, String>) -> Result<(), ModelError> {
    match value {
        Value::String(text) => *text = template::render(text, values)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, values))?,
        Value::Object(map) => map.values_mut().try_for_each(|value| fill(value, values))?,
        _ => {}
    }
    Ok(())
}
