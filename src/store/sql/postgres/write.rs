//! The rows of a batch, table by table, each in primary-key order.

use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::copy::Copy;
use super::error::failure;
use super::session::Session;
use crate::mapping::TraceWrite;
use crate::mlflow::records::{SpanRecord, TraceRecord};
use crate::semconv::otel_mlflow::{END_AWAITED, END_NOT_RECEIVED};
use crate::store::sql::batch::ended;
use crate::store::sql::{Failure, keyed, now_ms, random_id};

pub(super) const INSERT_TRACES: &str = "
    INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview,
        response_preview, db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr,
        input_cost, output_cost, total_cost)
    SELECT * FROM UNNEST($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[],
        $8::int4[], $9::text[], $10::text[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[],
        $16::int8[], $17::float8[], $18::float8[], $19::float8[])
    ON CONFLICT (request_id) DO NOTHING";

pub(super) const UPDATE_TRACES: &str = "
    UPDATE trace_info SET experiment_id = n.experiment_id, timestamp_ms = n.timestamp_ms,
        execution_time_ms = n.execution_time_ms, status = n.status, request_preview = n.request_preview,
        response_preview = n.response_preview, db_payload_generation = n.db_payload_generation,
        trace_name = n.trace_name, session_id = n.session_id, input_tokens = n.input_tokens,
        output_tokens = n.output_tokens, total_tokens = n.total_tokens,
        cache_read_input_tokens = n.cache_read_input_tokens,
        cache_creation_input_tokens = n.cache_creation_input_tokens,
        cache_creation_input_tokens_above_1hr = n.cache_creation_input_tokens_above_1hr,
        input_cost = n.input_cost, output_cost = n.output_cost, total_cost = n.total_cost
    FROM UNNEST($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[],
        $8::int4[], $9::text[], $10::text[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[],
        $16::int8[], $17::float8[], $18::float8[], $19::float8[]) AS n (request_id, experiment_id, timestamp_ms,
        execution_time_ms, status, request_preview, response_preview, db_payload_generation, trace_name, session_id,
        input_tokens, output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens,
        cache_creation_input_tokens_above_1hr, input_cost, output_cost, total_cost)
    WHERE trace_info.request_id = n.request_id";

pub(super) const MOVE_ASSESSMENTS: &str = "
    UPDATE assessments SET trace_timestamp_ms = n.start_ms
    FROM UNNEST($1::text[], $2::int8[]) AS n (trace_id, start_ms) WHERE assessments.trace_id = n.trace_id";

pub(super) const COPY_SPANS: &str = "
    COPY spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    FROM STDIN (FORMAT binary)";

pub(super) const UPSERT_SPANS: &str = "
    INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
        end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
    SELECT * FROM UNNEST($1::text[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::int8[], $9::int8[], $10::text[], $11::float8[], $12::float8[], $13::float8[], $14::text[], $15::text[])
    ON CONFLICT (trace_id, span_id) DO UPDATE SET experiment_id = excluded.experiment_id,
        parent_span_id = excluded.parent_span_id, name = excluded.name, type = excluded.type, status = excluded.status,
        start_time_unix_nano = excluded.start_time_unix_nano, end_time_unix_nano = excluded.end_time_unix_nano,
        content = excluded.content, input_cost = excluded.input_cost, output_cost = excluded.output_cost,
        total_cost = excluded.total_cost, model_name = excluded.model_name, model_provider = excluded.model_provider";

pub(super) const COPY_TAGS: &str = "COPY trace_tags (key, value, request_id) FROM STDIN (FORMAT binary)";

pub(super) const UPSERT_TAGS: &str = "
    INSERT INTO trace_tags (key, value, request_id) SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[])
    ON CONFLICT (key, request_id) DO UPDATE SET value = excluded.value";

pub(super) const INSERT_METADATA: &str = "
    INSERT INTO trace_request_metadata (key, value, request_id)
    SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING";

pub(super) const DELETE_MARKS: &str =
    "DELETE FROM trace_tags WHERE key = ANY ($1::text[]) AND request_id = ANY ($2::text[])";

pub(super) const LINK_RUNS: &str = "
    INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id,
        created_time)
    SELECT association_id, 'trace', source_id, 'run', destination_id, $4
    FROM UNNEST($1::text[], $2::text[], $3::text[]) AS n (association_id, source_id, destination_id)
    ON CONFLICT DO NOTHING";

/// Rows of an upsert go in one statement up to this many bytes of span text.
const UPSERT_BYTES: usize = 8 << 20;

type Parameters<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// Writes traces; they come in the order of their ids, each with its spans in the order of theirs.
pub(super) async fn all(session: &Session, writes: &[TraceWrite<'_>]) -> Result<(), Failure> {
    let (new, old): (Vec<_>, Vec<_>) = writes.iter().partition(|write| write.is_new);
    insert_traces(session, &new).await?;
    update_traces(session, &old).await.map_err(failure)?;
    copy_spans(session, &new).await.map_err(failure)?;
    upsert_spans(session, &old).await.map_err(failure)?;
    copy_tags(session, &new).await.map_err(failure)?;
    upsert_tags(session, &old).await.map_err(failure)?;
    insert_metadata(session, writes).await.map_err(failure)?;
    delete_marks(session, writes).await.map_err(failure)?;
    link_runs(session, writes).await.map_err(failure)
}

async fn execute(
    session: &Session,
    statement: &tokio_postgres::Statement,
    parameters: Parameters<'_>,
) -> Result<u64, Error> {
    let parameters = parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync));
    session.client.execute_raw(statement, parameters).await
}

async fn insert_traces(session: &Session, new: &[&TraceWrite<'_>]) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let inserted = execute(session, &session.insert_traces, traces(new)).await.map_err(failure)?;
    if inserted == new.len() as u64 {
        return Ok(());
    }
    // The merge did not know of their state.
    Err(Failure::Conflict("another writer has just written traces of this batch".to_owned()))
}

async fn update_traces(session: &Session, old: &[&TraceWrite<'_>]) -> Result<(), Error> {
    if old.is_empty() {
        return Ok(());
    }
    execute(session, &session.update_traces, traces(old)).await?;
    let (ids, starts): (Vec<&str>, Vec<i64>) =
        old.iter().filter_map(|write| Some((write.record.trace_id.as_str(), write.moved_start_ms?))).unzip();
    if !ids.is_empty() {
        session.client.execute(&session.move_assessments, &[&ids, &starts]).await?;
    }
    Ok(())
}

/// The parameters of a statement over whole rows of `trace_info`.
fn traces<'a>(writes: &[&'a TraceWrite<'_>]) -> Parameters<'a> {
    let rows: Vec<&TraceRecord> = writes.iter().map(|write| &write.record).collect();
    vec![
        column(&rows, |row| row.trace_id.as_str()),
        column(&rows, |row| int4(row.experiment_id)),
        column(&rows, |row| row.timestamp_ms),
        column(&rows, |row| row.execution_time_ms),
        column(&rows, |row| row.state.as_str()),
        column(&rows, |row| row.request_preview.as_deref()),
        column(&rows, |row| row.response_preview.as_deref()),
        column(&rows, |row| int4(row.db_payload_generation)),
        column(&rows, |row| row.trace_name.as_deref()),
        column(&rows, |row| row.session_id.as_deref()),
        column(&rows, |row| row.tokens.input),
        column(&rows, |row| row.tokens.output),
        column(&rows, |row| row.tokens.total),
        column(&rows, |row| row.tokens.cache_read),
        column(&rows, |row| row.tokens.cache_creation),
        column(&rows, |row| row.tokens.cache_creation_above_1hr),
        column(&rows, |row| row.cost.input),
        column(&rows, |row| row.cost.output),
        column(&rows, |row| row.cost.total),
    ]
}

/// One column of all rows, as an array.
fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Box<dyn ToSql + Sync + Send + 'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(|row| value(row)).collect::<Vec<T>>())
}

/// Ids and counters that came from such a column fit in it again.
fn int4(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A new trace has no spans that could be in the way.
async fn copy_spans(session: &Session, new: &[&TraceWrite<'_>]) -> Result<(), Error> {
    if new.iter().all(|write| write.spans.is_empty()) {
        return Ok(());
    }
    let mut copy = Copy::start(&session.client, &session.copy_spans, 15).await?;
    for write in new {
        for span in &write.spans {
            copy_span(&mut copy, &write.record, span);
            copy.flush_if_large().await?;
        }
    }
    copy.finish().await
}

fn copy_span(copy: &mut Copy, trace: &TraceRecord, span: &SpanRecord) {
    copy.row()
        .text(&trace.trace_id)
        .int4(int4(trace.experiment_id))
        .text(&span.span_id)
        .optional_text(span.parent_span_id.as_deref())
        .text(&span.name)
        .optional_text(span.span_type.as_deref())
        .text(span.status.as_str())
        .int8(span.start_time_unix_nano)
        .int8(span.end_time_unix_nano)
        .text(&span.content)
        .optional_float8(span.cost.input)
        .optional_float8(span.cost.output)
        .optional_float8(span.cost.total)
        .optional_text(span.model_name.as_deref())
        .optional_text(span.model_provider.as_deref());
}

async fn upsert_spans(session: &Session, old: &[&TraceWrite<'_>]) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    for write in old {
        for span in &write.spans {
            rows.push((&write.record, *span));
            bytes += span.content.len();
            if bytes >= UPSERT_BYTES {
                execute(session, &session.upsert_spans, spans(&rows)).await?;
                rows.clear();
                bytes = 0;
            }
        }
    }
    if !rows.is_empty() {
        execute(session, &session.upsert_spans, spans(&rows)).await?;
    }
    Ok(())
}

fn spans<'a>(rows: &[(&'a TraceRecord, &'a SpanRecord)]) -> Parameters<'a> {
    let traces: Vec<&TraceRecord> = rows.iter().map(|(trace, _)| *trace).collect();
    let spans: Vec<&SpanRecord> = rows.iter().map(|(_, span)| *span).collect();
    vec![
        column(&traces, |row| row.trace_id.as_str()),
        column(&traces, |row| int4(row.experiment_id)),
        column(&spans, |row| row.span_id.as_str()),
        column(&spans, |row| row.parent_span_id.as_deref()),
        column(&spans, |row| row.name.as_str()),
        column(&spans, |row| row.span_type.as_deref()),
        column(&spans, |row| row.status.as_str()),
        column(&spans, |row| row.start_time_unix_nano),
        column(&spans, |row| row.end_time_unix_nano),
        column(&spans, |row| row.content.as_str()),
        column(&spans, |row| row.cost.input),
        column(&spans, |row| row.cost.output),
        column(&spans, |row| row.cost.total),
        column(&spans, |row| row.model_name.as_deref()),
        column(&spans, |row| row.model_provider.as_deref()),
    ]
}

async fn copy_tags(session: &Session, new: &[&TraceWrite<'_>]) -> Result<(), Error> {
    let rows = keyed(new.iter().copied(), |write| &write.tags);
    if rows.is_empty() {
        return Ok(());
    }
    let mut copy = Copy::start(&session.client, &session.copy_tags, 3).await?;
    for [key, value, trace_id] in rows {
        copy.row().text(key).text(value).text(trace_id);
        copy.flush_if_large().await?;
    }
    copy.finish().await
}

async fn upsert_tags(session: &Session, old: &[&TraceWrite<'_>]) -> Result<(), Error> {
    pairs(session, &session.upsert_tags, &keyed(old.iter().copied(), |write| &write.tags)).await
}

async fn insert_metadata(session: &Session, writes: &[TraceWrite<'_>]) -> Result<(), Error> {
    pairs(session, &session.insert_metadata, &keyed(writes.iter(), |write| &write.metadata)).await
}

async fn pairs(
    session: &Session,
    statement: &tokio_postgres::Statement,
    rows: &[[&str; 3]],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = rows.iter().map(|[key, _, _]| *key).collect();
    let values: Vec<&str> = rows.iter().map(|[_, value, _]| *value).collect();
    let trace_ids: Vec<&str> = rows.iter().map(|[_, _, trace_id]| *trace_id).collect();
    session.client.execute(statement, &[&keys, &values, &trace_ids]).await.map(|_| ())
}

async fn delete_marks(session: &Session, writes: &[TraceWrite<'_>]) -> Result<(), Error> {
    let trace_ids = ended(writes);
    if trace_ids.is_empty() {
        return Ok(());
    }
    let keys = [END_AWAITED, END_NOT_RECEIVED];
    session.client.execute(&session.delete_marks, &[&&keys[..], &trace_ids]).await.map(|_| ())
}

async fn link_runs(session: &Session, writes: &[TraceWrite<'_>]) -> Result<(), Error> {
    let links = writes.iter().flat_map(|write| {
        let trace_id = write.record.trace_id.as_str();
        write.run_ids.iter().map(move |run_id| (trace_id, *run_id))
    });
    let (trace_ids, run_ids): (Vec<&str>, Vec<&str>) = links.unzip();
    if trace_ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = trace_ids.iter().map(|_| random_id()).collect();
    session.client.execute(&session.link_runs, &[&ids, &trace_ids, &run_ids, &now_ms()]).await.map(|_| ())
}
