//! Running a loaded model, through a client that is traced.

use std::collections::BTreeMap;

use async_openai::error::OpenAIError;
use async_openai::middleware::retry::OpenAIRetryLayer;
use async_openai::middleware::{HttpRequestFactory, ReqwestService};
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tower::{Layer, Service};

use super::error::ModelsError;
use super::load::LoadedModel;
use crate::instrument::Instrumentation;
use crate::instrument::openai::OpenAiLayer;
use crate::mlflow::model::{Azure, Task};

/// One input: a value for each placeholder. For a model with at most one placeholder any name will do.
pub type ModelInput = BTreeMap<String, String>;

/// Requests that are under way at a time.
const TOGETHER: usize = 8;

/// Where a model is served.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: String,
    key: SecretString,
    azure: Option<Azure>,
}

impl Endpoint {
    /// An endpoint that speaks OpenAI's API, such as `https://api.openai.com/v1`.
    pub fn new(base: impl Into<String>, key: impl Into<String>) -> Self {
        Self { base: base.into(), key: SecretString::from(key.into()), azure: None }
    }

    /// A deployment at Azure.
    pub fn azure(azure: Azure, key: impl Into<String>) -> Self {
        let base = azure.endpoint.clone();
        Self { base, key: SecretString::from(key.into()), azure: Some(azure) }
    }

    /// What MLflow reads of the environment: `OPENAI_API_KEY`, `OPENAI_API_BASE` or
    /// `OPENAI_BASE_URL`; with `OPENAI_API_TYPE=azure` also `OPENAI_API_VERSION` and
    /// `OPENAI_DEPLOYMENT_NAME`. Where it says nothing of Azure, the model may.
    ///
    /// # Errors
    ///
    /// There is no key, or too little is known of Azure.
    pub fn from_environment(model: &LoadedModel) -> Result<Self, ModelsError> {
        Self::from_variables(model, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(
        model: &LoadedModel,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ModelsError> {
        let missing = |name: &str| ModelsError::Endpoint { message: format!("{name} is not set") };
        let key = variable("OPENAI_API_KEY").ok_or_else(|| missing("OPENAI_API_KEY"))?;
        let base = variable("OPENAI_API_BASE").or_else(|| variable("OPENAI_BASE_URL"));
        let kind = variable("OPENAI_API_TYPE");
        let own = model.model.azure.clone().filter(|_| kind.is_none());
        if own.is_none() && !kind.as_deref().is_some_and(|kind| kind.starts_with("azure")) {
            return Ok(Self::new(base.unwrap_or_else(|| "https://api.openai.com/v1".to_owned()), key));
        }
        let own = own.unwrap_or_default();
        let known = |value: Option<String>, own: String, name| {
            value.or_else(|| (!own.is_empty()).then_some(own)).ok_or_else(|| missing(name))
        };
        let azure = Azure {
            endpoint: known(base, own.endpoint, "OPENAI_API_BASE")?,
            api_version: known(variable("OPENAI_API_VERSION"), own.api_version, "OPENAI_API_VERSION")?,
            deployment: known(variable("OPENAI_DEPLOYMENT_NAME"), own.deployment, "OPENAI_DEPLOYMENT_NAME")?,
        };
        Ok(Self::azure(azure, key))
    }

    fn url(&self, path: &str) -> String {
        let base = self.base.trim_end_matches('/');
        match &self.azure {
            None => format!("{base}/{path}"),
            Some(Azure { deployment, api_version, .. }) => {
                format!("{base}/openai/deployments/{deployment}/{path}?api-version={api_version}")
            }
        }
    }
}

impl LoadedModel {
    /// Predicts for texts, with a model of at most one placeholder.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub async fn predict_texts(
        &self,
        texts: &[&str],
        params: &Map<String, Value>,
        endpoint: &Endpoint,
    ) -> Result<Vec<Value>, ModelsError> {
        let inputs: Vec<_> =
            texts.iter().map(|text| ModelInput::from([("text".to_owned(), (*text).to_owned())])).collect();
        self.predict(&inputs, params, endpoint).await
    }

    /// Predicts: a text per input from a chat or a completion, a vector from embeddings. `params` go
    /// before what the signature has as defaults, and that before what belongs to the model.
    ///
    /// The calls are traced as any other, through [`Instrumentation::global`].
    ///
    /// # Errors
    ///
    /// An input lacks a placeholder, or the endpoint refuses or does not answer.
    pub async fn predict(
        &self,
        inputs: &[ModelInput],
        params: &Map<String, Value>,
        endpoint: &Endpoint,
    ) -> Result<Vec<Value>, ModelsError> {
        crate::tls::install_crypto_provider();
        let retrying = OpenAIRetryLayer::default().layer(ReqwestService::new(reqwest::Client::new()));
        let service = OpenAiLayer::new(&Instrumentation::global()).layer(retrying);
        let bodies = inputs.iter().map(|input| self.request(input, params)).collect::<Result<Vec<_>, _>>()?;
        let path = match self.model.task {
            Task::Chat => "chat/completions",
            Task::Completions => "completions",
            Task::Embeddings => "embeddings",
        };
        let calls = bodies.into_iter().map(|body| {
            let factory = request(endpoint, path, &body);
            let sent = service.clone().call(factory);
            async move { self.prediction(sent.await).await }
        });
        stream::iter(calls).buffered(TOGETHER).try_collect().await
    }

    fn request(&self, input: &ModelInput, params: &Map<String, Value>) -> Result<Value, ModelsError> {
        let model = &self.model;
        let mut body = model.params.clone();
        body.extend(model.inference_params.iter().map(|one| (one.name.clone(), one.default.clone())));
        body.extend(params.clone());
        body.insert("model".to_owned(), json!(model.model));
        let mut values = input.clone();
        let variables = model.variables()?;
        if let ([only], Some(value)) = (variables.as_slice(), input.values().next())
            && !input.contains_key(only)
        {
            values.insert(only.clone(), value.clone());
        }
        match model.task {
            Task::Chat => drop(body.insert("messages".to_owned(), json!(model.render_messages(&values)?))),
            Task::Completions => drop(body.insert("prompt".to_owned(), json!(model.render_prompt(&values)?))),
            Task::Embeddings => drop(body.insert("input".to_owned(), json!(input.values().next()))),
        }
        Ok(Value::Object(body))
    }

    async fn prediction(&self, sent: Result<reqwest::Response, OpenAIError>) -> Result<Value, ModelsError> {
        let failed = |message: String, source: Option<Box<dyn std::error::Error + Send + Sync>>| {
            ModelsError::Prediction { message, source }
        };
        let response = sent.map_err(|error| failed(error.to_string(), Some(Box::new(error))))?;
        let status = response.status();
        let answer =
            response.bytes().await.map_err(|error| failed(error.to_string(), Some(Box::new(error))))?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if !status.is_success() {
            let said = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("no message");
            return Err(failed(format!("{status}: {said}"), None));
        }
        let place = match self.model.task {
            Task::Chat => "/choices/0/message/content",
            Task::Completions => "/choices/0/text",
            Task::Embeddings => "/data/0/embedding",
        };
        let found = answer.pointer(place).cloned();
        found.ok_or_else(|| failed("the answer is not one of OpenAI's API".to_owned(), None))
    }
}

fn request(endpoint: &Endpoint, path: &str, body: &Value) -> HttpRequestFactory {
    let (url, key, is_azure) = (endpoint.url(path), endpoint.key.clone(), endpoint.azure.is_some());
    let body = body.to_string();
    HttpRequestFactory::new(move || {
        let request =
            reqwest::Client::new().post(&url).header("content-type", "application/json").body(body.clone());
        let key = key.expose_secret();
        let request = if is_azure { request.header("api-key", key) } else { request.bearer_auth(key) };
        async move { request.build().map_err(OpenAIError::Reqwest) }
    })
}
