//! The rows of a batch, table by table, each in primary-key order.

use rusqlite::{CachedStatement, Connection, Result, params};

use crate::mapping::TraceWrite;
use crate::mlflow::records::{SpanRecord, TraceRecord};
use crate::semconv::otel_mlflow::{END_AWAITED, END_NOT_RECEIVED};
use crate::store::sql::batch::ended;
use crate::store::sql::{keyed, now_ms, random_id};

const INSERT_TRACE: &str = "
    INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview,
        response_preview, db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr,
        input_cost, output_cost, total_cost)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

const UPDATE_TRACE: &str = "
    UPDATE trace_info SET experiment_id = ?2, timestamp_ms = ?3, execution_time_ms = ?4, status = ?5,
        request_preview = ?6, response_preview = ?7, db_payload_generation = ?8, trace_name = ?9, session_id = ?10,
        input_tokens = ?11, output_tokens = ?12, total_tokens = ?13, cache_read_input_tokens = ?14,
        cache_creation_input_tokens = ?15, cache_creation_input_tokens_above_1hr = ?16, input_cost = ?17,
        output_cost = ?18, total_cost = ?19
    WHERE request_id = ?1";

const INSERT_SPAN: &str = "
    INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

const UPSERT_SPAN: &str = "
    INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (trace_id, span_id) DO UPDATE SET experiment_id = excluded.experiment_id,
        parent_span_id = excluded.parent_span_id, name = excluded.name, type = excluded.type, status = excluded.status,
        start_time_unix_nano = excluded.start_time_unix_nano, end_time_unix_nano = excluded.end_time_unix_nano,
        content = excluded.content, input_cost = excluded.input_cost, output_cost = excluded.output_cost,
        total_cost = excluded.total_cost, model_name = excluded.model_name, model_provider = excluded.model_provider";

const UPSERT_TAG: &str = "
    INSERT INTO trace_tags (key, value, request_id) VALUES (?1, ?2, ?3)
    ON CONFLICT (key, request_id) DO UPDATE SET value = excluded.value";

const INSERT_METADATA: &str =
    "INSERT INTO trace_request_metadata (key, value, request_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

const DELETE_MARKS: &str = "DELETE FROM trace_tags WHERE request_id = ?1 AND key IN (?2, ?3)";

const LINK_RUN: &str = "
    INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id,
        created_time)
    VALUES (?1, 'trace', ?2, 'run', ?3, ?4) ON CONFLICT DO NOTHING";

const MOVE_ASSESSMENTS: &str = "UPDATE assessments SET trace_timestamp_ms = ?2 WHERE trace_id = ?1";

/// Writes traces; they come in the order of their ids, each with its spans in the order of theirs.
pub(super) fn all(connection: &Connection, writes: &[TraceWrite<'_>]) -> Result<()> {
    traces(connection, writes)?;
    spans(connection, writes)?;
    let tags = keyed(writes.iter(), |write| &write.tags);
    pairs(connection.prepare_cached(UPSERT_TAG)?, tags)?;
    let metadata = keyed(writes.iter(), |write| &write.metadata);
    pairs(connection.prepare_cached(INSERT_METADATA)?, metadata)?;
    let mut unmark = connection.prepare_cached(DELETE_MARKS)?;
    for trace_id in ended(writes) {
        unmark.execute([trace_id, END_AWAITED, END_NOT_RECEIVED])?;
    }
    links(connection, writes)
}

fn traces(connection: &Connection, writes: &[TraceWrite<'_>]) -> Result<()> {
    let mut insert = connection.prepare_cached(INSERT_TRACE)?;
    let mut update = connection.prepare_cached(UPDATE_TRACE)?;
    let mut move_assessments = connection.prepare_cached(MOVE_ASSESSMENTS)?;
    for write in writes {
        trace(if write.is_new { &mut insert } else { &mut update }, &write.record)?;
        if let Some(start_ms) = write.moved_start_ms {
            move_assessments.execute(params![write.record.trace_id, start_ms])?;
        }
    }
    Ok(())
}

fn trace(statement: &mut CachedStatement<'_>, record: &TraceRecord) -> Result<()> {
    let (tokens, cost) = (&record.tokens, &record.cost);
    statement.execute(params![
        record.trace_id,
        record.experiment_id,
        record.timestamp_ms,
        record.execution_time_ms,
        record.state.as_str(),
        record.request_preview,
        record.response_preview,
        record.db_payload_generation,
        record.trace_name,
        record.session_id,
        tokens.input,
        tokens.output,
        tokens.total,
        tokens.cache_read,
        tokens.cache_creation,
        tokens.cache_creation_above_1hr,
        cost.input,
        cost.output,
        cost.total,
    ])?;
    Ok(())
}

fn spans(connection: &Connection, writes: &[TraceWrite<'_>]) -> Result<()> {
    let mut insert = connection.prepare_cached(INSERT_SPAN)?;
    let mut upsert = connection.prepare_cached(UPSERT_SPAN)?;
    for write in writes {
        // A new trace has no spans that could be in the way.
        let statement = if write.is_new { &mut insert } else { &mut upsert };
        for record in &write.spans {
            span(statement, &write.record, record)?;
        }
    }
    Ok(())
}

fn span(statement: &mut CachedStatement<'_>, trace: &TraceRecord, record: &SpanRecord) -> Result<()> {
    statement.execute(params![
        trace.trace_id,
        trace.experiment_id,
        record.span_id,
        record.parent_span_id,
        record.name,
        record.span_type,
        record.status.as_str(),
        record.start_time_unix_nano,
        record.end_time_unix_nano,
        record.content,
        record.cost.input,
        record.cost.output,
        record.cost.total,
        record.model_name,
        record.model_provider,
    ])?;
    Ok(())
}

fn pairs(mut statement: CachedStatement<'_>, rows: Vec<[&str; 3]>) -> Result<()> {
    for row in rows {
        statement.execute(row)?;
    }
    Ok(())
}

fn links(connection: &Connection, writes: &[TraceWrite<'_>]) -> Result<()> {
    let mut statement = connection.prepare_cached(LINK_RUN)?;
    let now = now_ms();
    for write in writes {
        for run_id in &write.run_ids {
            statement.execute(params![random_id(), write.record.trace_id, run_id, now])?;
        }
    }
    Ok(())
}
