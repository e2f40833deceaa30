//! Metrics that a model judges: it gives a score from 1 to 5 and says why.
//!
//! Names, scale and columns are those of MLflow's `mlflow.metrics.genai`; the prompts are this crate's own. The judge
//! is the caller's: any client of any model, as a closure by [`judge_fn`].

mod prompt;
mod reply;

use std::marker::PhantomData;
use std::sync::Arc;

use super::{BoxError, EvaluationMetric, Sample, Score};
use crate::store::BoxFuture;

/// A model that judges.
pub trait Judge: Send + Sync {
    /// Answers a prompt.
    ///
    /// # Errors
    ///
    /// Whatever kept it from answering; the row has no score of the metric then.
    fn ask<'a>(&'a self, request: JudgeRequest) -> BoxFuture<'a, Result<String, BoxError>>;
}

/// What a judge is asked, with the parameters that MLflow sends along.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JudgeRequest {
    /// The prompt, for one message of the user.
    pub prompt: String,
    /// `temperature`: 0, for the same score every time.
    pub temperature: f32,
    /// `max_tokens`: 200.
    pub max_tokens: u32,
    /// `top_p`: 1.
    pub top_p: f32,
}

impl JudgeRequest {
    fn new(prompt: String) -> Self {
        Self { prompt, temperature: 0.0, max_tokens: 200, top_p: 1.0 }
    }
}

/// A closure as a judge.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::evaluate::{JudgeRequest, judge, judge_fn};
///
/// let strict = judge_fn(|request: JudgeRequest| async move {
///     // Send `request.prompt` to a model.
///     Ok::<_, std::io::Error>(String::from("score: 3\njustification: It is half of the answer."))
/// });
/// let metric = judge::answer_correctness(strict);
/// ```
pub fn judge_fn<F, R, E>(ask: F) -> impl Judge
where
    F: Fn(JudgeRequest) -> R + Send + Sync,
    R: Future<Output = Result<String, E>> + Send,
    E: Into<BoxError>,
{
    Closure(ask, PhantomData)
}

/// Names the future, so that it outlives what borrows the closure.
struct Closure<F, R>(F, PhantomData<fn() -> R>);

impl<F, R, E> Judge for Closure<F, R>
where
    F: Fn(JudgeRequest) -> R + Send + Sync,
    R: Future<Output = Result<String, E>> + Send,
    E: Into<BoxError>,
{
    fn ask<'a>(&'a self, request: JudgeRequest) -> BoxFuture<'a, Result<String, BoxError>> {
        let answer = self.0(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

impl<J: Judge + ?Sized> Judge for Arc<J> {
    fn ask<'a>(&'a self, request: JudgeRequest) -> BoxFuture<'a, Result<String, BoxError>> {
        (**self).ask(request)
    }
}

/// Does the answer mean what the target means? `answer_similarity/v1`; needs targets.
pub fn answer_similarity(judge: impl Judge + 'static) -> JudgedMetric {
    prompt::ANSWER_SIMILARITY.metric(judge)
}

/// Is the answer right, by the target? `answer_correctness/v1`; needs targets.
pub fn answer_correctness(judge: impl Judge + 'static) -> JudgedMetric {
    prompt::ANSWER_CORRECTNESS.metric(judge)
}

/// Does the answer keep to the question? `answer_relevance/v1`.
pub fn answer_relevance(judge: impl Judge + 'static) -> JudgedMetric {
    prompt::ANSWER_RELEVANCE.metric(judge)
}

/// Does the answer keep to the question and the context? `relevance/v1`; reads the column `context`.
pub fn relevance(judge: impl Judge + 'static) -> JudgedMetric {
    prompt::RELEVANCE.metric(judge)
}

/// Does everything in the answer follow from the context? `faithfulness/v1`; reads the column `context`.
pub fn faithfulness(judge: impl Judge + 'static) -> JudgedMetric {
    prompt::FAITHFULNESS.metric(judge)
}

/// A metric that a model judges: one of the functions of [`judge`](self), or one's own by [`JudgedMetric::new`].
pub struct JudgedMetric {
    judge: Box<dyn Judge>,
    name: String,
    version: Option<String>,
    definition: String,
    rubric: String,
    input: Option<String>,
    context: Option<String>,
    with_target: bool,
}

impl JudgedMetric {
    /// A metric of one's own: what it means, and what earns which score. The judge sees the answer, and whatever is
    /// added by the other functions.
    pub fn new(
        name: impl Into<String>,
        definition: impl Into<String>,
        rubric: impl Into<String>,
        judge: impl Judge + 'static,
    ) -> Self {
        Self {
            judge: Box::new(judge),
            name: name.into(),
            version: None,
            definition: definition.into(),
            rubric: rubric.into(),
            input: None,
            context: None,
            with_target: false,
        }
    }

    /// A version, such as `v1`, which the names of the scores then contain.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Shows the judge this column as the question.
    #[must_use]
    pub fn input(mut self, column: impl Into<String>) -> Self {
        self.input = Some(column.into());
        self
    }

    /// Shows the judge this column as what the model knew.
    #[must_use]
    pub fn context(mut self, column: impl Into<String>) -> Self {
        self.context = Some(column.into());
        self
    }

    /// Shows the judge the target.
    #[must_use]
    pub fn with_target(mut self) -> Self {
        self.with_target = true;
        self
    }
}

impl EvaluationMetric for JudgedMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    fn columns(&self) -> Vec<&str> {
        self.input.iter().chain(&self.context).map(String::as_str).collect()
    }

    fn score<'a>(&'a self, sample: Sample<'a>) -> BoxFuture<'a, Result<Score, BoxError>> {
        Box::pin(async move {
            if self.with_target && sample.target.is_none() {
                return Err("the judge needs targets; name their column".into());
            }
            let answer = self.judge.ask(JudgeRequest::new(self.prompt(&sample))).await?;
            Ok(reply::read(&answer)?)
        })
    }
}

impl std::fmt::Debug for JudgedMetric {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JudgedMetric").field("name", &self.name).finish_non_exhaustive()
    }
}
