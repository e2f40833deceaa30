//! Traces as MLflow's API shows them, from their rows.

use serde_json::{Map, Value as Json, json};

use super::assessments;
use super::session::{Fault, Row, Session, values};
use super::traces::no_trace;
use crate::dates::{to_duration, to_rfc3339};
use crate::mapping::{COST_KEYS, TOKEN_KEYS};
use crate::mlflow::entities::{Assessment, AssessmentValue};
use crate::semconv::mlflow::{TRACE_NAME, TRACE_SESSION};
use crate::store::tracking::TrackingError;

const BY_ID: &str = "
    SELECT request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id, request_preview,
        response_preview, trace_name, session_id, input_tokens, output_tokens, total_tokens, cache_read_input_tokens,
        cache_creation_input_tokens, cache_creation_input_tokens_above_1hr, input_cost, output_cost, total_cost
    FROM trace_info WHERE request_id = $1";

const TAGS: &str = "SELECT key, value FROM trace_tags WHERE request_id = $1 ORDER BY key";

const METADATA: &str = "SELECT key, value FROM trace_request_metadata WHERE request_id = $1 ORDER BY key";

/// The root first, then by start.
const SPANS: &str = "
    SELECT content FROM spans WHERE trace_id = $1
    ORDER BY CASE WHEN parent_span_id IS NULL THEN 0 ELSE 1 END, start_time_unix_nano, span_id";

/// Metadata that MLflow 3.17.2 keeps in columns, and shows as metadata all the same.
const TOKENS: &str = "mlflow.trace.tokenUsage";
const COST: &str = "mlflow.trace.cost";

/// `info`, and `spans` as they are stored: attributes are JSON texts by name.
pub(super) async fn get(db: &mut dyn Session, trace_id: &String) -> Result<Map<String, Json>, Fault> {
    let rows = db.query(BY_ID, values![trace_id]).await?;
    let row = rows.first().ok_or_else(|| no_trace(trace_id))?;
    let info = info(db, row).await?;
    let contents = db.query(SPANS, values![trace_id]).await?;
    let spans = contents.iter().map(|row| span(trace_id, &row.text(0))).collect::<Result<Vec<_>, _>>()?;
    let trace = [("info", Json::Object(info)), ("spans", Json::Array(spans))];
    Ok(trace.map(|(name, part)| (name.to_owned(), part)).into_iter().collect())
}

fn span(trace_id: &str, content: &str) -> Result<Json, TrackingError> {
    if content.is_empty() {
        return Err(TrackingError::unsupported(format!(
            "the spans of trace {trace_id} are in the archive; read it through an MLflow server's http:// URI"
        )));
    }
    // What Python wrote may hold NaN, which is no JSON to others.
    Ok(serde_json::from_str(content).unwrap_or_else(|_| Json::String(content.to_owned())))
}

/// The info of a row of [`BY_ID`].
pub(super) async fn info(db: &mut dyn Session, row: &Row) -> Result<Map<String, Json>, Fault> {
    let trace_id = row.text(0);
    let tags = db.query(TAGS, values![&trace_id]).await?;
    let metadata = db.query(METADATA, values![&trace_id]).await?;
    let assessments = assessments::of_trace(db, &trace_id).await?;
    let experiment = json!({ "experiment_id": row.int(1).to_string() });
    let mut info = Map::new();
    let mut set = |name: &str, value: Json| info.insert(name.to_owned(), value);
    set("trace_id", trace_id.into());
    set("trace_location", json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": experiment }));
    set("request_time", to_rfc3339(row.int(2)).into());
    set("state", row.text(4).into());
    set("trace_metadata", Json::Object(metadata_of(&metadata, row)));
    set("tags", Json::Object(tags_of(&tags, row)));
    if let Some(duration) = row.optional_int(3) {
        set("execution_duration", to_duration(duration).into());
    }
    for (name, column) in [("client_request_id", 5), ("request_preview", 6), ("response_preview", 7)] {
        if let Some(text) = row.optional_text(column) {
            set(name, text.into());
        }
    }
    if !assessments.is_empty() {
        set("assessments", assessments.iter().map(assessment).collect());
    }
    Ok(info)
}

fn pairs(rows: &[Row]) -> Map<String, Json> {
    rows.iter().map(|row| (row.text(0), row.text(1).into())).collect()
}

fn tags_of(rows: &[Row], trace: &Row) -> Map<String, Json> {
    let mut tags = pairs(rows);
    tags.remove(TRACE_NAME);
    if let Some(name) = trace.optional_text(8) {
        tags.insert(TRACE_NAME.to_owned(), name.into());
    }
    tags
}

fn metadata_of(rows: &[Row], trace: &Row) -> Map<String, Json> {
    let mut metadata = pairs(rows);
    for name in [TRACE_SESSION, TOKENS, COST] {
        metadata.remove(name);
    }
    if let Some(session) = trace.optional_text(9) {
        metadata.insert(TRACE_SESSION.to_owned(), session.into());
    }
    let count = |column| trace.optional_int(column).map(Json::from);
    let cost = |column| trace.optional_real(column).map(Json::from);
    for (name, object) in [(TOKENS, known(&TOKEN_KEYS, 10, count)), (COST, known(&COST_KEYS, 16, cost))] {
        if !object.is_empty() {
            metadata.insert(name.to_owned(), assessments::text(&Json::Object(object)).into());
        }
    }
    metadata
}

/// The columns from `first` on that have a value, under their names.
fn known(names: &[&str], first: usize, value: impl Fn(usize) -> Option<Json>) -> Map<String, Json> {
    let named = names.iter().enumerate();
    named.filter_map(|(at, name)| Some(((*name).to_owned(), value(first + at)?))).collect()
}

fn assessment(of: &Assessment) -> Json {
    let content = &of.content;
    let source = json!({ "source_type": content.source.kind.as_str(), "source_id": content.source.id });
    let mut shown = json!({
        "assessment_id": of.assessment_id,
        "assessment_name": content.name,
        "trace_id": content.trace_id,
        "source": source,
        "create_time": to_rfc3339(content.create_time_ms),
        "last_update_time": to_rfc3339(of.last_update_time_ms),
        "valid": of.valid,
    });
    let Some(object) = shown.as_object_mut() else { return shown };
    match &content.value {
        AssessmentValue::Feedback { value, error: None } => {
            object.insert("feedback".to_owned(), json!({ "value": value }));
        }
        AssessmentValue::Feedback { value, error: Some(error) } => {
            let error = assessments::error_json(error);
            object.insert("feedback".to_owned(), json!({ "value": value, "error": error }));
        }
        AssessmentValue::Expectation { value } => {
            object.insert("expectation".to_owned(), json!({ "value": value }));
        }
    }
    let texts =
        [("span_id", &content.span_id), ("rationale", &content.rationale), ("overrides", &content.overrides)];
    for (name, text) in texts {
        if let Some(text) = text {
            object.insert(name.to_owned(), text.as_str().into());
        }
    }
    if !content.metadata.is_empty() {
        object.insert("metadata".to_owned(), Json::Object(content.metadata.clone()));
    }
    shown
}
