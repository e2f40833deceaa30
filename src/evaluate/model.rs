//! What is evaluated: anything that answers a row of the table.

use std::marker::PhantomData;

use serde_json::{Map, Value};

use super::BoxError;
use crate::mapping::prices::PriceCatalogue;
use crate::store::BoxFuture;

/// A row of a table: column to value.
pub type Row = Map<String, Value>;

/// Something that answers rows: a closure by [`model_fn`], or a type of one's own.
pub trait Model: Send + Sync {
    /// Answers a row: the columns of the examples without the targets.
    ///
    /// # Errors
    ///
    /// Whatever kept it from answering. The row has no scores then, and the error's text in the column `error`.
    fn predict<'a>(&'a self, inputs: &'a Row) -> BoxFuture<'a, Result<Prediction, BoxError>>;

    /// The logged model that this is, which the run then names among its inputs.
    fn model_id(&self) -> Option<&str> {
        None
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// What was answered, mostly text.
    pub output: Value,
    /// What it cost in US dollars, where that is known; the metric [`cost`](super::metrics::cost) reads it.
    pub cost: Option<f64>,
}

impl Prediction {
    /// Adds what the tokens of the call cost, by the price list of this crate; a model that is not in it adds
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_mlflow::evaluate::Prediction;
    ///
    /// let answer = Prediction::from("Paris.").with_usage("gpt-4o-mini", 1_000_000, 0);
    /// assert_eq!(answer.cost, Some(0.15));
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no call has 2^53 tokens")]
    pub fn with_usage(mut self, model: &str, input_tokens: u64, output_tokens: u64) -> Self {
        if let Some(rates) = PriceCatalogue::bundled().rates(model, None) {
            let [input, output] = [rates.input, rates.output].map(Option::unwrap_or_default);
            self.cost = Some(input_tokens as f64 * input + output_tokens as f64 * output);
        }
        self
    }
}

impl From<String> for Prediction {
    fn from(text: String) -> Self {
        Self::from(Value::String(text))
    }
}

impl From<&str> for Prediction {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Value> for Prediction {
    fn from(output: Value) -> Self {
        Self { output, cost: None }
    }
}

/// A closure as a model.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::evaluate::{Row, model_fn};
///
/// let echo = model_fn(|row: Row| async move {
///     let question = row.get("inputs").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
///     Ok::<_, std::io::Error>(question)
/// });
/// ```
pub fn model_fn<F, R, P, E>(answer: F) -> impl Model
where
    F: Fn(Row) -> R + Send + Sync,
    R: Future<Output = Result<P, E>> + Send,
    P: Into<Prediction>,
    E: Into<BoxError>,
{
    Closure(answer, PhantomData)
}

/// Names the future, so that it outlives what borrows the closure.
struct Closure<F, R>(F, PhantomData<fn() -> R>);

impl<F, R, P, E> Model for Closure<F, R>
where
    F: Fn(Row) -> R + Send + Sync,
    R: Future<Output = Result<P, E>> + Send,
    P: Into<Prediction>,
    E: Into<BoxError>,
{
    fn predict<'a>(&'a self, inputs: &'a Row) -> BoxFuture<'a, Result<Prediction, BoxError>> {
        let answer = self.0(inputs.clone());
        Box::pin(async move { answer.await.map(Into::into).map_err(Into::into) })
    }
}
