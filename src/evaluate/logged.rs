//! Logged models as what is evaluated, and the aliases of the registry side by side.

use serde_json::{Map, Value};

use super::{BoxError, EvaluateError, Evaluated, Evaluation, Model, Prediction, Row};
use crate::store::BoxFuture;
use crate::tracking::Client;
use crate::tracking::models::{Endpoint, LoadedModel, ModelInput, ModelsError};

/// A logged model with the endpoint that serves it. Its placeholders are filled from the columns of the same name;
/// a model of one placeholder takes the only column there is, whatever its name.
///
/// # Examples
///
/// ```no_run
/// use opentelemetry_mlflow::evaluate::LoggedModel;
/// use opentelemetry_mlflow::tracking::{Client, models::Endpoint};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let model = LoggedModel::load(&client, "models:/assistant@champion", Endpoint::from_environment).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LoggedModel {
    model: LoadedModel,
    endpoint: Endpoint,
}

impl LoggedModel {
    /// A model that is loaded already.
    pub fn new(model: LoadedModel, endpoint: Endpoint) -> Self {
        Self { model, endpoint }
    }

    /// Loads a model, such as `models:/name/1`, `models:/name@alias`, `models:/m-…`, `runs:/run/path`.
    ///
    /// # Errors
    ///
    /// There is no such model, its files cannot be read, or nothing is known of its endpoint.
    pub async fn load(
        client: &Client,
        uri: &str,
        endpoint: impl Fn(&LoadedModel) -> Result<Endpoint, ModelsError>,
    ) -> Result<Self, ModelsError> {
        let model = client.load_model(uri).await?;
        let endpoint = endpoint(&model)?;
        Ok(Self { model, endpoint })
    }
}

impl Model for LoggedModel {
    fn predict<'a>(&'a self, inputs: &'a Row) -> BoxFuture<'a, Result<Prediction, BoxError>> {
        Box::pin(async move {
            let answers = self.model.predict(&[texts(inputs)], &Map::new(), &self.endpoint).await?;
            let answer = answers.into_iter().next().ok_or("the model gave no answer")?;
            Ok(answer.into())
        })
    }

    fn model_id(&self) -> Option<&str> {
        self.model.model_id.as_deref()
    }
}

/// The columns that a prompt can show.
fn texts(inputs: &Row) -> ModelInput {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    inputs.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

impl Evaluation {
    /// Lets the versions that these aliases of a registered model stand for, such as `champion` and `challenger`,
    /// answer the same rows: one table, as [`Evaluation::compare`] makes it. The endpoint of each comes from the
    /// environment ([`Endpoint::from_environment`]).
    ///
    /// # Errors
    ///
    /// As [`Evaluation::compare`], and [`EvaluateError::Model`] for an alias that cannot be loaded.
    pub async fn compare_aliases(
        &self,
        client: &Client,
        registered_model: &str,
        aliases: &[&str],
    ) -> Result<Evaluated, EvaluateError> {
        let mut models = Vec::new();
        for alias in aliases {
            let uri = format!("models:/{registered_model}@{alias}");
            models.push((*alias, LoggedModel::load(client, &uri, Endpoint::from_environment).await?));
        }
        let models: Vec<(&str, &dyn Model)> =
            models.iter().map(|(alias, model)| (*alias, model as &dyn Model)).collect();
        self.compare(&models).await
    }
}
