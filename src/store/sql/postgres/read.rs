//! What the database holds of the traces of a batch, locked.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join3;
use tokio_postgres::{Error, Row};

use super::error::failure;
use super::session::Session;
use crate::mapping::{StoredSpan, StoredTrace};
use crate::mlflow::records::{Cost, TokenUsage, TraceRecord, TraceState};
use crate::store::sql::Failure;
use crate::store::sql::batch::{Experiments, TraceGroup};
use crate::store::sql::revision::check;

/// In the order in which MLflow locks them.
pub(super) const LOCK_TRACES: &str = "
    SELECT request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview, response_preview,
        db_payload_generation, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr,
        input_cost, output_cost, total_cost
    FROM trace_info WHERE request_id = ANY ($1::text[]) ORDER BY request_id FOR UPDATE";

pub(super) const EXPERIMENTS: &str =
    "SELECT experiment_id, artifact_location FROM experiments WHERE experiment_id = ANY ($1::int4[])";

pub(super) const METADATA: &str = "
    SELECT request_id, key = 'mlflow.trace.user' FROM trace_request_metadata
    WHERE key IN ('mlflow.trace.infoFinalized', 'mlflow.trace.user') AND request_id = ANY ($1::text[])";

pub(super) const LOCATIONS: &str = "
    SELECT request_id, value FROM trace_tags
    WHERE key = 'mlflow.trace.spansLocation' AND request_id = ANY ($1::text[])";

/// Totals need the text of those spans only that have usage or cost.
pub(super) const SPANS: &str = "
    SELECT trace_id, span_id, parent_span_id,
        CASE WHEN strpos(content, 'mlflow.chat.tokenUsage') > 0 OR strpos(content, 'mlflow.llm.cost') > 0
            THEN content END
    FROM spans WHERE trace_id = ANY ($1::text[])";

/// The stored traces of a batch by id, and the experiments that its traces would go to.
pub(super) async fn all(
    session: &Session,
    groups: &[TraceGroup<'_>],
) -> Result<(HashMap<String, StoredTrace>, Experiments), Failure> {
    let ids: Vec<&str> = groups.iter().map(TraceGroup::trace_id).collect();
    let wanted: BTreeSet<i32> =
        groups.iter().flat_map(TraceGroup::experiment_ids).filter_map(|id| i32::try_from(id).ok()).collect();
    let wanted: Vec<i32> = wanted.into_iter().collect();
    let (revision, rows, experiments) = try_join3(
        session.client.query_opt(&session.select_revision, &[]),
        session.client.query(&session.lock_traces, &[&ids]),
        session.client.query(&session.select_experiments, &[&wanted]),
    )
    .await
    .map_err(failure)?;
    let revision: Option<&str> = revision.as_ref().map(|row| row.try_get(0)).transpose().map_err(failure)?;
    check(revision).map_err(Failure::Store)?;
    let experiments =
        experiments.iter().map(|row| Ok((i64::from(row.try_get::<_, i32>(0)?), row.try_get(1)?)));
    let experiments = experiments.collect::<Result<_, Error>>().map_err(failure)?;
    let stored = rows.iter().map(|row| {
        let trace = trace(row)?;
        Ok((trace.record.trace_id.clone(), trace))
    });
    let mut stored: HashMap<_, _> = stored.collect::<Result<_, Error>>().map_err(failure)?;
    if !stored.is_empty() {
        details(session, groups, &mut stored).await.map_err(failure)?;
    }
    Ok((stored, experiments))
}

/// Read after the locks are held: a statement sees what was committed before it began.
async fn details(
    session: &Session,
    groups: &[TraceGroup<'_>],
    stored: &mut HashMap<String, StoredTrace>,
) -> Result<(), Error> {
    let existing = groups.iter().filter_map(|group| Some((group, stored.get(group.trace_id())?)));
    let ids: Vec<&str> = existing.clone().map(|(group, _)| group.trace_id()).collect();
    let with_spans: Vec<&str> = existing
        .filter(|(group, trace)| group.needs_stored_spans(trace))
        .map(|(group, _)| group.trace_id())
        .collect();
    let (metadata, locations, spans) = try_join3(
        session.client.query(&session.select_metadata, &[&ids]),
        session.client.query(&session.select_locations, &[&ids]),
        session.client.query(&session.select_spans, &[&with_spans]),
    )
    .await?;
    for row in &metadata {
        if let Some(trace) = stored.get_mut(row.try_get::<_, &str>(0)?) {
            let is_user: bool = row.try_get(1)?;
            trace.has_user |= is_user;
            trace.finalized |= !is_user;
        }
    }
    for row in &locations {
        if let Some(trace) = stored.get_mut(row.try_get::<_, &str>(0)?) {
            trace.spans_location = row.try_get(1)?;
        }
    }
    for row in &spans {
        if let Some(trace) = stored.get_mut(row.try_get::<_, &str>(0)?) {
            trace.spans.push(StoredSpan {
                span_id: row.try_get(1)?,
                parent_span_id: row.try_get(2)?,
                content: row.try_get(3)?,
            });
        }
    }
    Ok(())
}

fn trace(row: &Row) -> Result<StoredTrace, Error> {
    Ok(StoredTrace {
        record: record(row)?,
        finalized: false,
        has_user: false,
        spans_location: None,
        spans: Vec::new(),
    })
}

fn record(row: &Row) -> Result<TraceRecord, Error> {
    Ok(TraceRecord {
        trace_id: row.try_get(0)?,
        experiment_id: row.try_get::<_, i32>(1)?.into(),
        timestamp_ms: row.try_get(2)?,
        execution_time_ms: row.try_get(3)?,
        state: TraceState::from_stored(row.try_get(4)?),
        request_preview: row.try_get(5)?,
        response_preview: row.try_get(6)?,
        db_payload_generation: row.try_get::<_, i32>(7)?.into(),
        trace_name: row.try_get(8)?,
        session_id: row.try_get(9)?,
        tokens: TokenUsage {
            input: row.try_get(10)?,
            output: row.try_get(11)?,
            total: row.try_get(12)?,
            cache_read: row.try_get(13)?,
            cache_creation: row.try_get(14)?,
            cache_creation_above_1hr: row.try_get(15)?,
        },
        cost: Cost { input: row.try_get(16)?, output: row.try_get(17)?, total: row.try_get(18)? },
    })
}
