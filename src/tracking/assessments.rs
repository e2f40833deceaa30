//! Assessments of traces: feedback and expectations (MLflow 3).

use serde_json::Value;

use super::client::now_ms;
use super::{Client, TrackingError};
use crate::mlflow::entities::{Assessment, AssessmentSource, AssessmentValue, NewAssessment, SourceKind};

impl AssessmentSource {
    /// A person.
    pub fn human(id: impl Into<String>) -> Self {
        Self { kind: SourceKind::Human, id: id.into() }
    }

    /// A model that judges.
    pub fn judge(model: impl Into<String>) -> Self {
        Self { kind: SourceKind::LlmJudge, id: model.into() }
    }

    /// A program.
    pub fn code(id: impl Into<String>) -> Self {
        Self { kind: SourceKind::Code, id: id.into() }
    }
}

impl NewAssessment {
    /// An opinion about what the application did, given now.
    pub fn feedback(
        trace_id: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<Value>,
        source: AssessmentSource,
    ) -> Self {
        let value = AssessmentValue::Feedback { value: value.into(), error: None };
        Self::of(trace_id.into(), name.into(), value, source)
    }

    /// What the application should have done, said now.
    pub fn expectation(
        trace_id: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<Value>,
        source: AssessmentSource,
    ) -> Self {
        Self::of(trace_id.into(), name.into(), AssessmentValue::Expectation { value: value.into() }, source)
    }

    fn of(trace_id: String, name: String, value: AssessmentValue, source: AssessmentSource) -> Self {
        Self {
            trace_id,
            span_id: None,
            name,
            source,
            value,
            rationale: None,
            metadata: serde_json::Map::new(),
            create_time_ms: now_ms(),
            overrides: None,
        }
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, rationale: impl Into<String>) -> Self {
        self.rationale = Some(rationale.into());
        self
    }

    /// Says which span it is about: 16 hex digits.
    #[must_use]
    pub fn about_span(mut self, span_id: impl Into<String>) -> Self {
        self.span_id = Some(span_id.into());
        self
    }

    /// Adds a text to what is known about it.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), Value::String(value.into()));
        self
    }

    /// Replaces another one, which no longer holds from then on, but is kept.
    #[must_use]
    pub fn overriding(mut self, assessment_id: impl Into<String>) -> Self {
        self.overrides = Some(assessment_id.into());
        self
    }
}

impl Client {
    /// Adds an assessment to a trace.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown trace, or an unknown assessment that is to be
    /// replaced; [`TrackingError::Unsupported`] on MLflow 2.
    ///
    /// ```no_run
    /// # async fn example(client: opentelemetry_mlflow::tracking::Client, trace_id: &str)
    /// # -> Result<(), opentelemetry_mlflow::tracking::TrackingError> {
    /// use opentelemetry_mlflow::mlflow::entities::{AssessmentSource, NewAssessment};
    ///
    /// let ada = AssessmentSource::human("ada");
    /// let said = NewAssessment::feedback(trace_id, "helpful", true, ada).because("It answers the question.");
    /// client.log_assessment(said).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn log_assessment(&self, new: NewAssessment) -> Result<Assessment, TrackingError> {
        self.store().create_assessment(new).await
    }

    /// The assessments of a trace, those that were replaced included.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown trace; [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn assessments(&self, trace_id: &str) -> Result<Vec<Assessment>, TrackingError> {
        self.store().assessments(trace_id).await
    }

    /// Removes an assessment; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn delete_assessment(&self, trace_id: &str, assessment_id: &str) -> Result<(), TrackingError> {
        self.store().delete_assessment(trace_id, assessment_id).await
    }
}
