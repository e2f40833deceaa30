//! What people, judges and programs say of traces.

use serde_json::{Map, Value as Json, json};

use super::session::{Fault, Row, Session, values};
use super::traces::no_trace;
use crate::mapping::python;
use crate::mlflow::entities::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, NewAssessment, SourceKind,
};
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;

/// The row of the trace stays as it is until the assessment is there: a span that moves the trace's
/// start also moves its assessments.
const LOCK_TRACE: &str = "
    SELECT experiment_id, timestamp_ms FROM trace_info WHERE request_id = $1 FOR UPDATE";

const INSERT: &str = "
    INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, error, created_timestamp,
        last_updated_timestamp, source_type, source_id, run_id, span_id, rationale, overrides, valid,
        assessment_metadata, experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, $11, $12, $13, TRUE, $14, $15, $16, $17, $18)
    ON CONFLICT (assessment_id) DO NOTHING";

const SET_VALID: &str = "UPDATE assessments SET valid = $3 WHERE trace_id = $1 AND assessment_id = $2";

const OVERRIDDEN: &str = "SELECT overrides FROM assessments WHERE trace_id = $1 AND assessment_id = $2";

const DELETE: &str = "DELETE FROM assessments WHERE trace_id = $1 AND assessment_id = $2";

/// Issues, the third kind, are no assessments to this client.
const OF_TRACE: &str = "
    SELECT assessment_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp, source_type,
        source_id, span_id, rationale, overrides, valid, assessment_metadata, trace_id
    FROM assessments WHERE trace_id = $1 AND assessment_type IN ('feedback', 'expectation')
    ORDER BY created_timestamp, assessment_id";

/// Creates an assessment under an id; if it is there already, it stays as it is.
pub(super) async fn create(
    db: &mut dyn Session,
    (assessment_id, new): &(String, NewAssessment),
) -> Result<Assessment, Fault> {
    let trace = db.query(LOCK_TRACE, values![&new.trace_id]).await?;
    let trace = trace.first().ok_or_else(|| no_trace(&new.trace_id))?;
    if let Some(overridden) = &new.overrides {
        let found = db.execute(SET_VALID, values![&new.trace_id, overridden, false]).await?;
        if found == 0 {
            return Err(TrackingError::not_found(format!(
                "trace {} has no assessment {overridden} that could be replaced",
                new.trace_id
            ))
            .into());
        }
    }
    let mut content = new.clone();
    if content.create_time_ms == 0 {
        content.create_time_ms = now_ms();
    }
    db.execute(INSERT, row(assessment_id, &content, trace)).await?;
    let last_update_time_ms = content.create_time_ms;
    Ok(Assessment { assessment_id: assessment_id.clone(), content, last_update_time_ms, valid: true })
}

fn row(id: &str, new: &NewAssessment, trace: &Row) -> Vec<super::session::Value> {
    let (kind, value, error) = match &new.value {
        AssessmentValue::Feedback { value, error } => ("feedback", value, error.as_ref()),
        AssessmentValue::Expectation { value } => ("expectation", value, None),
    };
    let (aggregate, is_number) = aggregate(value);
    let metadata = (!new.metadata.is_empty()).then(|| text(&Json::Object(new.metadata.clone())));
    values![
        id,
        &new.trace_id,
        &new.name,
        kind,
        text(value),
        error.map(|error| text(&error_json(error))),
        new.create_time_ms,
        new.create_time_ms,
        new.source.kind.as_str(),
        &new.source.id,
        new.span_id.as_ref(),
        new.rationale.as_ref(),
        new.overrides.as_ref(),
        metadata,
        trace.int(0),
        trace.int(1),
        aggregate,
        is_number,
    ]
}

/// An error as MLflow stores it.
pub(super) fn error_json(error: &AssessmentError) -> Json {
    json!({"error_code": error.code, "error_message": error.message, "stack_trace": error.stack_trace})
}

/// JSON as Python's `json.dumps` writes it.
pub(super) fn text(value: &Json) -> String {
    let plain = value.to_string();
    python::loads(&plain).map_or(plain, |value| python::adumps(&value))
}

/// What MLflow's charts add up: yes and no count as 1 and 0, but not as numbers.
fn aggregate(value: &Json) -> (Option<f64>, bool) {
    match value {
        Json::Bool(value) => (Some(f64::from(u8::from(*value))), false),
        Json::Number(number) => {
            let number = number.as_f64().filter(|number| number.is_finite());
            (number, number.is_some())
        }
        Json::String(text) => match text.trim().to_lowercase().as_str() {
            "yes" => (Some(1.0), false),
            "no" => (Some(0.0), false),
            _ => (None, false),
        },
        _ => (None, false),
    }
}

pub(super) async fn of_trace(db: &mut dyn Session, trace_id: &String) -> Result<Vec<Assessment>, Fault> {
    Ok(db.query(OF_TRACE, values![trace_id]).await?.iter().map(assessment).collect())
}

fn assessment(row: &Row) -> Assessment {
    let parsed = |column| row.optional_text(column).and_then(|text| serde_json::from_str(&text).ok());
    let value = parsed(3).unwrap_or(Json::Null);
    let value = if row.text(2) == "expectation" {
        AssessmentValue::Expectation { value }
    } else {
        AssessmentValue::Feedback { value, error: parsed(4).map(|error| error_of(&error)) }
    };
    let content = NewAssessment {
        trace_id: row.text(14),
        span_id: row.optional_text(9),
        name: row.text(1),
        source: AssessmentSource { kind: SourceKind::from_stored(&row.text(7)), id: row.text(8) },
        value,
        rationale: row.optional_text(10),
        metadata: parsed(13).and_then(object).unwrap_or_default(),
        create_time_ms: row.int(5),
        overrides: row.optional_text(11),
    };
    let (last_update_time_ms, valid) = (row.int(6), row.flag(12));
    Assessment { assessment_id: row.text(0), content, last_update_time_ms, valid }
}

fn object(value: Json) -> Option<Map<String, Json>> {
    match value {
        Json::Object(object) => Some(object),
        _ => None,
    }
}

fn error_of(stored: &Json) -> AssessmentError {
    let part = |name: &str| stored.get(name).and_then(Json::as_str).map(str::to_owned);
    AssessmentError {
        code: part("error_code").unwrap_or_default(),
        message: part("error_message"),
        stack_trace: part("stack_trace"),
    }
}

pub(super) async fn delete(
    db: &mut dyn Session,
    (trace_id, assessment_id): &(String, String),
) -> Result<(), Fault> {
    let found = db.query(OVERRIDDEN, values![trace_id, assessment_id]).await?;
    let Some(row) = found.first() else { return Ok(()) };
    if let Some(overridden) = row.optional_text(0) {
        db.execute(SET_VALID, values![trace_id, overridden, true]).await?;
    }
    db.execute(DELETE, values![trace_id, assessment_id]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_no_and_numbers_have_an_aggregate() {
        for (value, expected) in [
            (json!(true), (Some(1.0), false)),
            (json!(" YES "), (Some(1.0), false)),
            (json!("no"), (Some(0.0), false)),
            (json!("maybe"), (None, false)),
            (json!(0.9), (Some(0.9), true)),
            (json!(3), (Some(3.0), true)),
            (json!(null), (None, false)),
            (json!([1]), (None, false)),
        ] {
            assert_eq!(aggregate(&value), expected, "{value}");
        }
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        assert_eq!(text(&json!({"a": [1, 2.0, "ä"]})), r#"{"a": [1, 2.0, "\u00e4"]}"#);
        assert_eq!(text(&json!("yes")), "\"yes\"");
        assert_eq!(text(&Json::Null), "null");
    }
}
