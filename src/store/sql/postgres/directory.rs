//! Experiments in PostgreSQL.

use tokio_postgres::{Error, Row};

use super::error::store_error;
use super::session::Session;
use crate::store::sql::artifacts::beside;
use crate::store::sql::now_ms;
use crate::store::{Experiment, StoreError};

const BY_NAME: &str = "
    SELECT experiment_id, name, artifact_location, lifecycle_stage FROM experiments
    WHERE name = $1 AND workspace = 'default'";

const BY_ID: &str = "SELECT experiment_id, name, artifact_location, lifecycle_stage FROM experiments WHERE experiment_id = $1";

/// Returns no row if the name exists, even if another process is about to commit it.
const INSERT: &str = "
    INSERT INTO experiments (name, lifecycle_stage, creation_time, last_update_time, workspace)
    VALUES ($1, 'active', $2, $2, 'default') ON CONFLICT DO NOTHING RETURNING experiment_id";

pub(super) async fn find(session: &Session, name: &str) -> Result<Option<Experiment>, StoreError> {
    let row = session.client.query_opt(BY_NAME, &[&name]).await.map_err(store_error)?;
    row.as_ref().map(experiment).transpose().map_err(store_error)
}

pub(super) async fn get(session: &Session, id: i64) -> Result<Option<Experiment>, StoreError> {
    let Ok(id) = i32::try_from(id) else { return Ok(None) };
    let row = session.client.query_opt(BY_ID, &[&id]).await.map_err(store_error)?;
    row.as_ref().map(experiment).transpose().map_err(store_error)
}

pub(super) async fn create(session: &mut Session, name: &str) -> Result<Experiment, StoreError> {
    if let Some(created) = insert(session, name).await.map_err(store_error)? {
        return Ok(created);
    }
    let found = find(session, name).await?;
    found.ok_or_else(|| {
        StoreError::retry(format!("experiment '{name}' was created and removed by another process"))
    })
}

/// The id is part of the artifact location, so the row is written in two steps, as MLflow does.
async fn insert(session: &mut Session, name: &str) -> Result<Option<Experiment>, Error> {
    let transaction = session.client.transaction().await?;
    let Some(row) = transaction.query_opt(INSERT, &[&name, &now_ms()]).await? else { return Ok(None) };
    let id: i32 = row.try_get(0)?;
    let default = transaction.query_opt(BY_ID, &[&0]).await?;
    let default: Option<String> = default.map(|row| row.try_get(2)).transpose()?.flatten();
    let location = beside(default.as_deref(), id.into());
    let update = "UPDATE experiments SET artifact_location = $2 WHERE experiment_id = $1";
    transaction.execute(update, &[&id, &location]).await?;
    transaction.commit().await?;
    Ok(Some(Experiment {
        id: id.into(),
        name: name.to_owned(),
        artifact_location: Some(location),
        deleted: false,
    }))
}

fn experiment(row: &Row) -> Result<Experiment, Error> {
    let stage: Option<&str> = row.try_get(3)?;
    Ok(Experiment {
        id: row.try_get::<_, i32>(0)?.into(),
        name: row.try_get(1)?,
        artifact_location: row.try_get(2)?,
        deleted: stage == Some("deleted"),
    })
}
