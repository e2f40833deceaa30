//! Logged models: what they are made from, and whether their files are there.

use std::collections::BTreeMap;

use super::session::{Fault, Row, Session, values};
use super::{checks, experiments, names};
use crate::mlflow::entities::{Lifecycle, LoggedModel, LoggedModelStatus, NewLoggedModel, Param, Tag};
use crate::store::sql::artifacts::append_to_uri_path;
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;

const INSERT: &str = "
    INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,
        last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message)
    VALUES ($1, $2, $3, $4, $5, $5, $6, 'active', $7, $8, NULL) ON CONFLICT (model_id) DO NOTHING";

const BY_ID: &str = "
    SELECT model_id, experiment_id, name, artifact_location, status, model_type, source_run_id, creation_timestamp_ms,
        lifecycle_stage
    FROM logged_models WHERE model_id = $1 AND lifecycle_stage <> 'deleted'";

const LOCK: &str = "SELECT experiment_id FROM logged_models WHERE model_id = $1 FOR UPDATE";

const SET_STATUS: &str =
    "UPDATE logged_models SET status = $2, last_updated_timestamp_ms = $3 WHERE model_id = $1";

const INSERT_PARAM: &str = "
    INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING";

const UPSERT_TAG: &str = "
    INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) VALUES ($1, $2, $3, $4)
    ON CONFLICT (model_id, tag_key) DO UPDATE SET tag_value = excluded.tag_value";

const PARAMS: &str =
    "SELECT param_key, param_value FROM logged_model_params WHERE model_id = $1 ORDER BY param_key";

const TAGS: &str = "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = $1 ORDER BY tag_key";

const KEY: usize = 255;

/// Creates a model under an id.
pub(super) async fn create(
    db: &mut dyn Session,
    (model_id, new): &(String, NewLoggedModel),
) -> Result<LoggedModel, Fault> {
    new.name.as_deref().map_or(Ok(()), checks::logged_model_name)?;
    let experiment = experiments::active(db, &new.experiment_id).await?;
    let experiment_id = checks::experiment_id(&experiment.experiment_id)?;
    let place = append_to_uri_path(&experiment.artifact_location, &format!("models/{model_id}/artifacts"));
    let name = new.name.clone().unwrap_or_else(names::random_name);
    let status = LoggedModelStatus::Pending.as_stored();
    // A server stores what is not given as an empty text.
    let kind = new.model_type.as_deref().unwrap_or_default();
    let run_id = new.source_run_id.as_deref().unwrap_or_default();
    let row = values![model_id, experiment_id, name, place, now_ms(), status, kind, run_id];
    db.execute(INSERT, row).await?;
    add_params(db, model_id, experiment_id, &new.params).await?;
    put_tags(db, model_id, experiment_id, &new.tags).await?;
    get(db, model_id).await
}

pub(super) async fn get(db: &mut dyn Session, model_id: &String) -> Result<LoggedModel, Fault> {
    let rows = db.query(BY_ID, values![model_id]).await?;
    let row = rows.first().ok_or_else(|| no_model(model_id))?;
    complete(db, row).await
}

fn no_model(model_id: &str) -> TrackingError {
    TrackingError::not_found(format!("there is no logged model with id {model_id}"))
}

/// The model of a row of [`BY_ID`].
pub(super) async fn complete(db: &mut dyn Session, row: &Row) -> Result<LoggedModel, Fault> {
    let model_id = row.text(0);
    let params = db.query(PARAMS, values![&model_id]).await?;
    let tags = db.query(TAGS, values![&model_id]).await?;
    Ok(LoggedModel {
        model_id,
        experiment_id: row.int(1).to_string(),
        name: row.text(2),
        artifact_uri: row.text(3),
        status: status(row.int(4)),
        model_type: row.filled_text(5),
        source_run_id: row.filled_text(6),
        creation_time_ms: row.int(7),
        params: params.iter().map(|row| Param { key: row.text(0), value: row.text(1) }).collect(),
        tags: tags.iter().map(experiments::tag).collect(),
        lifecycle: Lifecycle::from_stored(&row.text(8)),
    })
}

fn status(stored: i64) -> LoggedModelStatus {
    [LoggedModelStatus::Ready, LoggedModelStatus::UploadFailed]
        .into_iter()
        .find(|status| status.as_stored() == stored)
        .unwrap_or_default()
}

/// The experiment of a model, which no other writer changes until the transaction ends.
async fn lock(db: &mut dyn Session, model_id: &str) -> Result<i64, Fault> {
    let rows = db.query(LOCK, values![model_id]).await?;
    Ok(rows.first().ok_or_else(|| no_model(model_id))?.int(0))
}

pub(super) async fn finish(
    db: &mut dyn Session,
    (model_id, status): &(String, LoggedModelStatus),
) -> Result<LoggedModel, Fault> {
    lock(db, model_id).await?;
    db.execute(SET_STATUS, values![model_id, status.as_stored(), now_ms()]).await?;
    get(db, model_id).await
}

pub(super) async fn log_params(
    db: &mut dyn Session,
    (model_id, params): &(String, Vec<Param>),
) -> Result<(), Fault> {
    let experiment_id = lock(db, model_id).await?;
    add_params(db, model_id, experiment_id, params).await
}

async fn add_params(
    db: &mut dyn Session,
    model_id: &str,
    experiment_id: i64,
    params: &[Param],
) -> Result<(), Fault> {
    params.iter().try_for_each(|param| checks::at_most("the name of a model's param", &param.key, KEY))?;
    let wanted: BTreeMap<_, _> = params.iter().map(|param| (&param.key, &param.value)).collect();
    let rows = wanted.iter().map(|(key, value)| values![model_id, experiment_id, *key, *value]);
    let added = db.execute_all(INSERT_PARAM, rows.collect()).await?;
    if added == params.len() as u64 {
        return Ok(());
    }
    for row in db.query(PARAMS, values![model_id]).await? {
        let (key, stored) = (row.text(0), row.text(1));
        if params.iter().any(|param| param.key == key && param.value != stored) {
            return Err(TrackingError::invalid(format!(
                "param {key:?} of model {model_id} is {stored:?} and cannot be changed; a param is set once"
            ))
            .into());
        }
    }
    Ok(())
}

pub(super) async fn set_tags(
    db: &mut dyn Session,
    (model_id, tags): &(String, Vec<Tag>),
) -> Result<(), Fault> {
    let experiment_id = lock(db, model_id).await?;
    put_tags(db, model_id, experiment_id, tags).await
}

async fn put_tags(
    db: &mut dyn Session,
    model_id: &str,
    experiment_id: i64,
    tags: &[Tag],
) -> Result<(), Fault> {
    tags.iter().try_for_each(|tag| checks::at_most("the name of a model's tag", &tag.key, KEY))?;
    let tags: BTreeMap<_, _> = tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
    let rows = tags.into_iter().map(|(key, value)| values![model_id, experiment_id, key, value]);
    db.execute_all(UPSERT_TAG, rows.collect()).await?;
    Ok(())
}

/// Replaces a tag by what `change` makes of its value; nobody changes it in between.
pub(super) async fn change_tag(
    db: &mut dyn Session,
    model_id: &str,
    key: &str,
    change: impl Fn(Option<String>) -> String + Send,
) -> Result<(), Fault> {
    let experiment_id = lock(db, model_id).await?;
    let tags = db.query(TAGS, values![model_id]).await?;
    let value = tags.iter().find(|row| row.text(0) == key).map(|row| row.text(1));
    put_tags(db, model_id, experiment_id, &[Tag::new(key, change(value))]).await
}
