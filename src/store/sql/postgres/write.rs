//! The rows of a batch, table by table, each in primary-key order.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

use super::copy::Copy;
use super::session::Session;
use crate::mapping::TraceWrite;
use crate::mlflow::records::{SpanRecord, TraceRecord};
use crate::semconv::otel_mlflow::{END_AWAITED, END_NOT_RECEIVED};
use crate::store::sql::batch::ended;
use crate::store::sql::{keyed, now_ms, random_id};

/// Rows of an upsert go in one statement up to this many bytes of span text.
const UPSERT_BYTES: usize = 8 << 20;

type Parameters<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// Writes traces; they come in the order of their ids, each with its spans in the order of theirs.
///
/// What belongs to a new trace cannot be there yet, and nobody else can write it before the trace is committed: it
/// is copied. If another writer has just made the trace, that fails: the merge did not know of its state.
pub(super) async fn all(session: &Session, writes: &[TraceWrite<'_>]) -> Result<(), Error> {
    let (new, old): (Vec<_>, Vec<_>) = writes.iter().partition(|write| write.is_new);
    copy_traces(session, &new).await?;
    update_traces(session, &old).await?;
    copy_spans(session, &new).await?;
    upsert_spans(session, &old).await?;
    copy_pairs(session, &session.copy_tags, &keyed(new.iter().copied(), |write| &write.tags)).await?;
    upsert_pairs(session, &session.upsert_tags, &keyed(old.iter().copied(), |write| &write.tags)).await?;
    copy_pairs(session, &session.copy_metadata, &keyed(new.iter().copied(), |write| &write.metadata)).await?;
    upsert_pairs(session, &session.insert_metadata, &keyed(old.iter().copied(), |write| &write.metadata))
        .await?;
    delete_marks(session, writes).await?;
    link_runs(session, writes).await
}

async fn execute(session: &Session, statement: &Statement, parameters: Parameters<'_>) -> Result<u64, Error> {
    let parameters = parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync));
    session.client.execute_raw(statement, parameters).await
}

async fn copy_traces(session: &Session, new: &[&TraceWrite<'_>]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let mut copy = Copy::start(&session.client, &session.copy_traces, 19).await?;
    for write in new {
        copy_trace(&mut copy, &write.record);
        copy.flush_if_large().await?;
    }
    copy.finish().await
}

fn copy_trace(copy: &mut Copy, trace: &TraceRecord) {
    copy.row()
        .text(&trace.trace_id)
        .int4(int4(trace.experiment_id))
        .int8(trace.timestamp_ms)
        .optional_int8(trace.execution_time_ms)
        .text(trace.state.as_str())
        .optional_text(trace.request_preview.as_deref())
        .optional_text(trace.response_preview.as_deref())
        .int4(int4(trace.db_payload_generation))
        .optional_text(trace.trace_name.as_deref())
        .optional_text(trace.session_id.as_deref())
        .optional_int8(trace.tokens.input)
        .optional_int8(trace.tokens.output)
        .optional_int8(trace.tokens.total)
        .optional_int8(trace.tokens.cache_read)
        .optional_int8(trace.tokens.cache_creation)
        .optional_int8(trace.tokens.cache_creation_above_1hr)
        .optional_float8(trace.cost.input)
        .optional_float8(trace.cost.output)
        .optional_float8(trace.cost.total);
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

async fn copy_pairs(session: &Session, statement: &Statement, rows: &[[&str; 3]]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut copy = Copy::start(&session.client, statement, 3).await?;
    for [key, value, trace_id] in rows {
        copy.row().text(key).text(value).text(trace_id);
        copy.flush_if_large().await?;
    }
    copy.finish().await
}

async fn upsert_pairs(session: &Session, statement: &Statement, rows: &[[&str; 3]]) -> Result<(), Error> {
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
