//! Assessments of traces, which MLflow has had since 3.2.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ask::{self, V3};
use super::json::{or_default, put, some};
use super::traces;
use crate::dates;
use crate::mlflow::entities::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, NewAssessment, SourceKind,
};
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;

#[derive(Deserialize)]
struct Created {
    assessment: Wire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    assessment_id: String,
    assessment_name: String,
    trace_id: String,
    #[serde(deserialize_with = "or_default")]
    span_id: String,
    #[serde(deserialize_with = "or_default")]
    source: WireSource,
    #[serde(deserialize_with = "or_default")]
    create_time: String,
    #[serde(deserialize_with = "or_default")]
    last_update_time: String,
    feedback: Option<WireFeedback>,
    expectation: Option<WireExpectation>,
    #[serde(deserialize_with = "or_default")]
    rationale: String,
    #[serde(deserialize_with = "or_default")]
    metadata: Map<String, Value>,
    #[serde(deserialize_with = "or_default")]
    overrides: String,
    valid: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireSource {
    source_type: String,
    #[serde(deserialize_with = "or_default")]
    source_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireFeedback {
    value: Value,
    error: Option<WireError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireError {
    #[serde(deserialize_with = "or_default")]
    error_code: String,
    #[serde(deserialize_with = "or_default")]
    error_message: String,
    #[serde(deserialize_with = "or_default")]
    stack_trace: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireExpectation {
    value: Value,
    serialized_value: Option<WireSerialized>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireSerialized {
    value: String,
}

impl Wire {
    /// None for what is neither a feedback nor an expectation, such as an issue.
    fn into_assessment(self) -> Option<Assessment> {
        let value = match (self.feedback, self.expectation) {
            (Some(feedback), _) => AssessmentValue::Feedback {
                value: feedback.value,
                error: feedback.error.map(|error| AssessmentError {
                    code: error.error_code,
                    message: some(error.error_message),
                    stack_trace: some(error.stack_trace),
                }),
            },
            (None, Some(expectation)) => AssessmentValue::Expectation { value: expected(expectation) },
            (None, None) => return None,
        };
        let time = |text: &str| dates::from_rfc3339(text).unwrap_or(0);
        Some(Assessment {
            assessment_id: self.assessment_id,
            last_update_time_ms: time(&self.last_update_time),
            valid: self.valid.unwrap_or(true),
            content: NewAssessment {
                trace_id: self.trace_id,
                span_id: some(self.span_id),
                name: self.assessment_name,
                source: AssessmentSource {
                    kind: SourceKind::from_stored(&self.source.source_type),
                    id: self.source.source_id,
                },
                value,
                rationale: some(self.rationale),
                metadata: self.metadata,
                create_time_ms: time(&self.create_time),
                overrides: some(self.overrides),
            },
        })
    }
}

fn expected(expectation: WireExpectation) -> Value {
    match expectation.serialized_value {
        Some(text) => serde_json::from_str(&text.value).unwrap_or(Value::String(text.value)),
        None => expectation.value,
    }
}

fn body(new: &NewAssessment) -> Value {
    let mut assessment = json!({
        "assessment_name": new.name,
        "trace_id": new.trace_id,
        "source": { "source_type": new.source.kind.as_str(), "source_id": new.source.id },
        "create_time": dates::to_rfc3339(new.create_time_ms),
        "last_update_time": dates::to_rfc3339(new.create_time_ms),
        "valid": true,
    });
    match &new.value {
        AssessmentValue::Feedback { value, error } => {
            put(Some(&mut assessment), "feedback", json!({ "value": value }));
            if let Some(error) = error {
                put(assessment.get_mut("feedback"), "error", error_body(error));
            }
        }
        // Protobuf's values know neither integers nor the order of keys, so MLflow sends lists and
        // objects as text.
        AssessmentValue::Expectation { value } if value.is_array() || value.is_object() => {
            put(
                Some(&mut assessment),
                "expectation",
                json!({
                    "serialized_value": { "serialization_format": "JSON_FORMAT", "value": value.to_string() },
                }),
            );
        }
        AssessmentValue::Expectation { value } => {
            put(Some(&mut assessment), "expectation", json!({ "value": value }))
        }
    }
    let optional = [("span_id", &new.span_id), ("rationale", &new.rationale), ("overrides", &new.overrides)];
    for (key, value) in optional {
        if let Some(value) = value {
            put(Some(&mut assessment), key, json!(value));
        }
    }
    if !new.metadata.is_empty() {
        put(Some(&mut assessment), "metadata", Value::Object(new.metadata.clone()));
    }
    json!({ "assessment": assessment })
}

fn error_body(error: &AssessmentError) -> Value {
    let mut body = json!({ "error_code": error.code });
    if let Some(message) = &error.message {
        put(Some(&mut body), "error_message", json!(message));
    }
    if let Some(trace) = &error.stack_trace {
        put(Some(&mut body), "stack_trace", json!(trace));
    }
    body
}

/// Adds an assessment. After an unclear failure one of the same name, source, time and value is
/// the one that was sent.
pub(super) async fn create(store: &RestStore, new: NewAssessment) -> Result<Assessment, TrackingError> {
    let path = format!("{V3}traces/{}/assessments", new.trace_id);
    let call = ask::post(store, &path, &body(&new))?;
    let made = || async {
        let found = wires(store, &new.trace_id).await?;
        let same = |wire: &Wire| {
            wire.assessment_name == new.name
                && wire.source.source_id == new.source.id
                && dates::from_rfc3339(&wire.create_time) == Some(new.create_time_ms)
        };
        Ok(found.into_iter().find(same).map(|assessment| Created { assessment }))
    };
    let created: Created = match ask::create(store, &call, made).await {
        Ok(created) => created,
        Err(error) => return Err(traces::explain(store, error, "3.2").await),
    };
    created.assessment.into_assessment().ok_or_else(|| {
        TrackingError::unsupported("MLflow made neither a feedback nor an expectation of the assessment")
    })
}

async fn wires(store: &RestStore, trace_id: &str) -> Result<Vec<Wire>, TrackingError> {
    let mut info = traces::info(store, trace_id).await?;
    let listed = info.remove("assessments").and_then(|listed| match listed {
        Value::Array(listed) => Some(listed),
        _ => None,
    });
    Ok(listed.unwrap_or_default().into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

pub(super) async fn list(store: &RestStore, trace_id: &str) -> Result<Vec<Assessment>, TrackingError> {
    Ok(wires(store, trace_id).await?.into_iter().filter_map(Wire::into_assessment).collect())
}

pub(super) async fn delete(
    store: &RestStore,
    trace_id: &str,
    assessment_id: &str,
) -> Result<(), TrackingError> {
    let path = format!("{V3}traces/{trace_id}/assessments/{assessment_id}");
    let body = json!({ "trace_id": trace_id, "assessment_id": assessment_id });
    let call = ask::with_body(store, Method::DELETE, &path, &body)?;
    match ask::send_only(store, &call).await {
        Ok(()) | Err(TrackingError::NotFound { .. }) => Ok(()),
        Err(error) => Err(traces::explain(store, error, "3.2").await),
    }
}
