//! What the database holds of the traces of a batch.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, Row};

use crate::mapping::{StoredSpan, StoredTrace};
use crate::mlflow::records::{Cost, TokenUsage, TraceRecord, TraceState};
use crate::store::sql::batch::{Experiments, TraceGroup};
use crate::store::sql::revision::SELECT_REVISION;

const TRACE: &str = "
    SELECT request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview, response_preview,
        db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr,
        input_cost, output_cost, total_cost,
        EXISTS (SELECT 1 FROM trace_request_metadata WHERE key = 'mlflow.trace.infoFinalized' AND request_id = ?1),
        EXISTS (SELECT 1 FROM trace_request_metadata WHERE key = 'mlflow.trace.user' AND request_id = ?1),
        (SELECT value FROM trace_tags WHERE key = 'mlflow.trace.spansLocation' AND request_id = ?1)
    FROM trace_info WHERE request_id = ?1";

/// Totals need the text of those spans only that have usage or cost.
const SPANS: &str = "
    SELECT span_id, parent_span_id,
        CASE WHEN instr(content, 'mlflow.chat.tokenUsage') OR instr(content, 'mlflow.llm.cost') THEN content END
    FROM spans WHERE trace_id = ?1";

/// The revision of the schema.
pub(super) fn revision(connection: &Connection) -> Result<Option<String>> {
    connection.prepare_cached(SELECT_REVISION)?.query_row([], |row| row.get(0)).optional()
}

/// The stored traces of a batch, by id.
pub(super) fn stored(
    connection: &Connection,
    groups: &[TraceGroup<'_>],
) -> Result<HashMap<String, StoredTrace>> {
    let mut stored = HashMap::new();
    let mut select_trace = connection.prepare_cached(TRACE)?;
    let mut select_spans = connection.prepare_cached(SPANS)?;
    for group in groups {
        let trace_id = group.trace_id();
        let Some(mut trace) = select_trace.query_row([trace_id], trace).optional()? else { continue };
        if group.needs_stored_spans(&trace) {
            trace.spans = select_spans.query_map([trace_id], span)?.collect::<Result<_>>()?;
        }
        stored.insert(trace_id.to_owned(), trace);
    }
    Ok(stored)
}

/// The experiments that new traces of a batch go to.
pub(super) fn experiments(
    connection: &Connection,
    groups: &[TraceGroup<'_>],
    stored: &HashMap<String, StoredTrace>,
) -> Result<Experiments> {
    let mut experiments = Experiments::new();
    let mut select =
        connection.prepare_cached("SELECT artifact_location FROM experiments WHERE experiment_id = ?1")?;
    for group in groups.iter().filter(|group| !stored.contains_key(group.trace_id())) {
        for id in group.experiment_ids() {
            if !experiments.contains_key(&id)
                && let Some(location) = select.query_row([id], |row| row.get(0)).optional()?
            {
                experiments.insert(id, location);
            }
        }
    }
    Ok(experiments)
}

fn trace(row: &Row<'_>) -> Result<StoredTrace> {
    Ok(StoredTrace {
        record: record(row)?,
        finalized: row.get(19)?,
        has_user: row.get(20)?,
        spans_location: row.get(21)?,
        spans: Vec::new(),
    })
}

fn record(row: &Row<'_>) -> Result<TraceRecord> {
    Ok(TraceRecord {
        trace_id: row.get(0)?,
        experiment_id: row.get(1)?,
        timestamp_ms: row.get(2)?,
        execution_time_ms: row.get(3)?,
        state: TraceState::from_stored(row.get_ref(4)?.as_str()?),
        request_preview: row.get(5)?,
        response_preview: row.get(6)?,
        db_payload_generation: row.get(7)?,
        trace_name: row.get(8)?,
        session_id: row.get(9)?,
        tokens: TokenUsage {
            input: row.get(10)?,
            output: row.get(11)?,
            total: row.get(12)?,
            cache_read: row.get(13)?,
            cache_creation: row.get(14)?,
            cache_creation_above_1hr: row.get(15)?,
        },
        cost: Cost { input: row.get(16)?, output: row.get(17)?, total: row.get(18)? },
    })
}

fn span(row: &Row<'_>) -> Result<StoredSpan> {
    Ok(StoredSpan { span_id: row.get(0)?, parent_span_id: row.get(1)?, content: row.get(2)? })
}
