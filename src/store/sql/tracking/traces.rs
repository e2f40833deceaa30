//! What tracking does with traces: links to runs, and tags.

use std::collections::BTreeSet;

use super::checks;
use super::session::{Fault, Session, values};
use crate::mlflow::entities::Tag;
use crate::semconv::mlflow::{ARTIFACT_LOCATION, SPANS_LOCATION, TRACE_NAME};
use crate::store::sql::{now_ms, random_id};
use crate::store::tracking::TrackingError;
use crate::store::tracking::limits::prepare_tag;

const LINK: &str = "
    INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id,
        created_time)
    VALUES ($1, 'trace', $2, 'run', $3, $4) ON CONFLICT DO NOTHING";

const LINK_PROMPT: &str = "
    INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id,
        created_time)
    VALUES ($1, 'trace', $2, 'prompt_version', $3, $4) ON CONFLICT DO NOTHING";

const EXISTS: &str = "SELECT request_id FROM trace_info WHERE request_id = $1";

const SET_NAME: &str = "UPDATE trace_info SET trace_name = $2 WHERE request_id = $1";

const DELETE_NAME: &str = "UPDATE trace_info SET trace_name = NULL WHERE request_id = $1";

const DELETE_TAG: &str = "DELETE FROM trace_tags WHERE request_id = $1 AND key = $2";

const SET_TAG: &str = "
    INSERT INTO trace_tags (key, value, request_id) VALUES ($1, $2, $3)
    ON CONFLICT (key, request_id) DO UPDATE SET value = excluded.value";

const LINK_MODEL: &str = "
    INSERT INTO trace_request_metadata (key, value, request_id) VALUES ('mlflow.modelId', $1, $2)
    ON CONFLICT (key, request_id) DO NOTHING";

/// Tags that only MLflow itself may change.
const IMMUTABLE: &[&str] = &[
    "mlflow.user",
    ARTIFACT_LOCATION,
    SPANS_LOCATION,
    "mlflow.trace.archiveLocation",
    "mlflow.trace.archivalFailure",
];

const NAME: usize = 4096;

/// Any number of traces; neither they nor the run are looked up, as in MLflow.
pub(super) async fn link(
    db: &mut dyn Session,
    (run_id, trace_ids): &(String, Vec<String>),
) -> Result<(), Fault> {
    checks::at_most("the id of a run", run_id, 36)?;
    let now = now_ms();
    let trace_ids: BTreeSet<_> = trace_ids.iter().collect();
    let rows = trace_ids.into_iter().map(|trace_id| values![random_id(), trace_id, run_id, now]);
    db.execute_all(LINK, rows.collect()).await?;
    Ok(())
}

pub(super) async fn set_tag(db: &mut dyn Session, (trace_id, tag): &(String, Tag)) -> Result<(), Fault> {
    changeable(&tag.key)?;
    let tag = prepare_tag(tag.clone())?;
    exists(db, trace_id).await?;
    if tag.key == TRACE_NAME {
        checks::at_most("the name of a trace", &tag.value, NAME)?;
        db.execute(SET_NAME, values![trace_id, tag.value]).await?;
    } else {
        db.execute(SET_TAG, values![tag.key, tag.value, trace_id]).await?;
    }
    Ok(())
}

/// A tag that is not there is removed already.
pub(super) async fn delete_tag(
    db: &mut dyn Session,
    (trace_id, key): &(String, String),
) -> Result<(), Fault> {
    changeable(key)?;
    exists(db, trace_id).await?;
    match key.as_str() {
        TRACE_NAME => db.execute(DELETE_NAME, values![trace_id]).await?,
        key => db.execute(DELETE_TAG, values![trace_id, key]).await?,
    };
    Ok(())
}

/// Versions of prompts, by name and number; whether there are such is not looked up, as in MLflow.
pub(super) async fn link_prompts(
    db: &mut dyn Session,
    (trace_id, prompts): &(String, Vec<(String, String)>),
) -> Result<(), Fault> {
    exists(db, trace_id).await?;
    let now = now_ms();
    let prompts: BTreeSet<_> = prompts.iter().map(|(name, version)| format!("{name}/{version}")).collect();
    let rows = prompts.into_iter().map(|prompt| values![random_id(), trace_id, prompt, now]);
    db.execute_all(LINK_PROMPT, rows.collect()).await?;
    Ok(())
}

pub(super) async fn link_to_model(
    db: &mut dyn Session,
    (trace_id, model_id): &(String, String),
) -> Result<(), Fault> {
    exists(db, trace_id).await?;
    db.execute(LINK_MODEL, values![model_id, trace_id]).await?;
    Ok(())
}

fn changeable(key: &str) -> Result<(), TrackingError> {
    match IMMUTABLE.contains(&key) {
        true => Err(TrackingError::invalid(format!("the tag {key:?} of a trace cannot be changed"))),
        false => Ok(()),
    }
}

async fn exists(db: &mut dyn Session, trace_id: &String) -> Result<(), Fault> {
    match db.query(EXISTS, values![trace_id]).await?.is_empty() {
        true => Err(no_trace(trace_id).into()),
        false => Ok(()),
    }
}

pub(super) fn no_trace(trace_id: &str) -> TrackingError {
    TrackingError::not_found(format!("there is no trace with id {trace_id}"))
}
