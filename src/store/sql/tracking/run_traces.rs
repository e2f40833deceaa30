//! The traces of a run, for the exporter that computes what the run holds.

use serde_json::Value as Json;

use super::SqlStore;
use super::assessments;
use super::session::{Fault, Row, Session, values};
use crate::mapping::runs::{StoredRunTrace, TRACE_TAGS, TraceVersion};
use crate::mlflow::entities::{Assessment, NewAssessment};
use crate::mlflow::records::{Cost, TokenUsage, TraceState};
use crate::semconv::otel_mlflow::RUN_KEY;
use crate::store::tracking::Answer;

const OF_RUN: &str = "
    SELECT t.request_id, t.db_payload_generation
    FROM entity_associations a JOIN trace_info t ON t.request_id = a.source_id
    WHERE a.destination_type = 'run' AND a.destination_id = $1 AND a.source_type = 'trace'";

const TRACE: &str = "
    SELECT request_id, timestamp_ms, execution_time_ms, status, request_preview, response_preview,
        input_tokens, output_tokens, total_tokens, cache_read_input_tokens, input_cost, output_cost, total_cost
    FROM trace_info WHERE request_id = $1";

const TAGS: &str = "SELECT key, value FROM trace_tags WHERE request_id = $1";

const SPANS: &str = "SELECT content FROM spans WHERE trace_id = $1";

/// As many as an exporter keeps open.
const OPEN: &str = "
    SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid
    WHERE t.key = $1 AND r.status = 'RUNNING' AND r.lifecycle_stage = 'active'
    ORDER BY r.start_time DESC LIMIT $2";

impl SqlStore {
    /// The traces that are linked to a run, each with the number of writes it has seen.
    ///
    /// # Errors
    ///
    /// As any call of the tracking interface.
    pub fn run_traces<'a>(&'a self, run_id: &'a str) -> Answer<'a, Vec<TraceVersion>> {
        self.read(run_id.to_owned(), |db, id| Box::pin(of_run(db, id)))
    }

    /// Traces with their spans; one that is gone is left out.
    ///
    /// # Errors
    ///
    /// As any call of the tracking interface.
    pub fn stored_run_traces(&self, trace_ids: Vec<String>) -> Answer<'_, Vec<StoredRunTrace>> {
        self.read(trace_ids, |db, ids| Box::pin(stored(db, ids)))
    }

    /// The latest runs that gateways have made and not ended, at most so many.
    ///
    /// # Errors
    ///
    /// As any call of the tracking interface.
    pub fn open_gateway_runs(&self, most: i64) -> Answer<'_, Vec<String>> {
        self.read(most, |db, most| Box::pin(open(db, *most)))
    }

    /// The assessment of this id, created if there is none: however often it comes, it is there once.
    ///
    /// # Errors
    ///
    /// As [`create_assessment`](crate::store::tracking::TrackingStore::create_assessment).
    pub fn create_assessment_once(&self, id: String, new: NewAssessment) -> Answer<'_, Assessment> {
        self.change((id, new), |db, new| Box::pin(assessments::create(db, new)))
    }
}

async fn of_run(db: &mut dyn Session, run_id: &str) -> Result<Vec<TraceVersion>, Fault> {
    let rows = db.query(OF_RUN, values![run_id]).await?;
    let version = |row: &Row| TraceVersion { trace_id: row.text(0), version: row.int(1).unsigned_abs() };
    Ok(rows.iter().map(version).collect())
}

async fn stored(db: &mut dyn Session, trace_ids: &[String]) -> Result<Vec<StoredRunTrace>, Fault> {
    let mut traces = Vec::with_capacity(trace_ids.len());
    for trace_id in trace_ids {
        if let Some(row) = db.query(TRACE, values![trace_id]).await?.first() {
            let tags = db.query(TAGS, values![trace_id]).await?;
            let spans = db.query(SPANS, values![trace_id]).await?;
            traces.push(trace(row, &tags, &spans));
        }
    }
    Ok(traces)
}

fn trace(row: &Row, tags: &[Row], spans: &[Row]) -> StoredRunTrace {
    let wanted = tags.iter().filter(|tag| TRACE_TAGS.contains(&tag.text(0).as_str()));
    StoredRunTrace {
        trace_id: row.text(0),
        start_ms: row.int(1),
        duration_ms: row.optional_int(2),
        state: TraceState::from_stored(&row.text(3)),
        request: row.optional_text(4),
        response: row.optional_text(5),
        tokens: TokenUsage {
            input: row.optional_int(6),
            output: row.optional_int(7),
            total: row.optional_int(8),
            cache_read: row.optional_int(9),
            ..TokenUsage::default()
        },
        cost: Cost {
            input: row.optional_real(10),
            output: row.optional_real(11),
            total: row.optional_real(12),
        },
        tags: wanted.map(|tag| (tag.text(0), tag.text(1))).collect(),
        spans: spans.iter().map(|span| serde_json::from_str(&span.text(0)).unwrap_or(Json::Null)).collect(),
    }
}

async fn open(db: &mut dyn Session, most: i64) -> Result<Vec<String>, Fault> {
    let rows = db.query(OPEN, values![RUN_KEY, most]).await?;
    Ok(rows.iter().map(|row| row.text(0)).collect())
}
