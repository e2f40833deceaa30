//! Experiments and their tags.

use super::checks;
use super::session::{Fault, Row, Session, values};
use crate::mlflow::entities::{Experiment, Lifecycle, NewExperiment, Tag};
use crate::store::sql::artifacts::{beside, has_scheme};
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;

const BY_ID: &str = "
    SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time FROM experiments
    WHERE experiment_id = $1 AND workspace = 'default'";

const BY_NAME: &str = "
    SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time FROM experiments
    WHERE name = $1 AND workspace = 'default'";

/// Returns no row if the name exists, even if another process is about to commit it.
const INSERT: &str = "
    INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time, workspace)
    VALUES ($1, $2, 'active', $3, $3, 'default') ON CONFLICT DO NOTHING RETURNING experiment_id";

const PLACE: &str = "UPDATE experiments SET artifact_location = $2 WHERE experiment_id = $1";

const TAGS: &str = "SELECT key, value FROM experiment_tags WHERE experiment_id = $1 ORDER BY key";

const SET_TAG: &str = "
    INSERT INTO experiment_tags (key, value, experiment_id) VALUES ($1, $2, $3)
    ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value";

pub(super) async fn create(db: &mut dyn Session, new: &NewExperiment) -> Result<String, Fault> {
    checks::experiment_name(&new.name)?;
    new.tags.iter().try_for_each(checks::experiment_tag)?;
    let given = new.artifact_location.as_deref().filter(|location| !location.is_empty()).map(absolute);
    let inserted = db.query(INSERT, values![&new.name, given.clone(), now_ms()]).await?;
    let Some(row) = inserted.first() else { return Err(already_there(db, &new.name).await?.into()) };
    let id = row.int(0);
    if given.is_none() {
        let default = db.query(BY_ID, values![0_i64]).await?;
        let location = beside(default.first().and_then(|row| row.optional_text(2)).as_deref(), id);
        db.execute(PLACE, values![id, location]).await?;
    }
    let tags = new.tags.iter().map(|tag| values![&tag.key, &tag.value, id]).collect();
    db.execute_all(SET_TAG, tags).await?;
    Ok(id.to_string())
}

/// A path of the local file system as MLflow stores it: in full.
fn absolute(location: &str) -> String {
    if has_scheme(location) {
        return location.to_owned();
    }
    std::path::absolute(location).map_or_else(|_| location.to_owned(), |path| path.display().to_string())
}

async fn already_there(db: &mut dyn Session, name: &str) -> Result<TrackingError, Fault> {
    let found = find(db, name).await?;
    let advice = match found.map(|experiment| experiment.lifecycle) {
        Some(Lifecycle::Deleted) => "it is in the recycle bin: restore it, or remove it with `mlflow gc`",
        _ => "use it, or choose another name",
    };
    Ok(TrackingError::AlreadyExists {
        message: format!("an experiment named {name:?} exists already; {advice}"),
    })
}

pub(super) async fn find(db: &mut dyn Session, name: &str) -> Result<Option<Experiment>, Fault> {
    let rows = db.query(BY_NAME, values![name]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(with_tags(db, row).await?))
}

pub(super) async fn get(db: &mut dyn Session, experiment_id: &str) -> Result<Experiment, Fault> {
    let rows = db.query(BY_ID, values![checks::experiment_id(experiment_id)?]).await?;
    let row = rows
        .first()
        .ok_or_else(|| TrackingError::not_found(format!("there is no experiment with id {experiment_id}")))?;
    with_tags(db, row).await
}

/// An experiment that takes new things.
pub(super) async fn active(db: &mut dyn Session, experiment_id: &str) -> Result<Experiment, Fault> {
    let experiment = get(db, experiment_id).await?;
    if experiment.lifecycle == Lifecycle::Deleted {
        let message = format!("experiment {experiment_id} is deleted; restore it, or use another");
        return Err(TrackingError::Deleted { message }.into());
    }
    Ok(experiment)
}

/// The experiment of a row of [`BY_ID`].
pub(super) async fn with_tags(db: &mut dyn Session, row: &Row) -> Result<Experiment, Fault> {
    let tags = db.query(TAGS, values![row.int(0)]).await?;
    Ok(Experiment {
        experiment_id: row.int(0).to_string(),
        name: row.text(1),
        artifact_location: row.text(2),
        lifecycle: Lifecycle::from_stored(&row.text(3)),
        creation_time_ms: row.optional_int(4),
        last_update_time_ms: row.optional_int(5),
        tags: tags.iter().map(tag).collect(),
    })
}

/// A tag of a row of key and value.
pub(super) fn tag(row: &Row) -> Tag {
    Tag { key: row.text(0), value: row.text(1) }
}

pub(super) async fn set_tag(db: &mut dyn Session, (id, tag): &(String, Tag)) -> Result<(), Fault> {
    checks::experiment_tag(tag)?;
    active(db, id).await?;
    db.execute(SET_TAG, values![&tag.key, &tag.value, checks::experiment_id(id)?]).await?;
    Ok(())
}
