//! Experiments in SQLite.

use rusqlite::{Connection, OptionalExtension, Result, Row, TransactionBehavior};

use super::error::store_error;
use super::open::Database;
use crate::store::sql::artifacts::beside;
use crate::store::sql::now_ms;
use crate::store::{Experiment, StoreError};

const BY_NAME: &str = "
    SELECT experiment_id, name, artifact_location, lifecycle_stage = 'deleted' FROM experiments
    WHERE name = ?1 AND workspace = 'default'";

const BY_ID: &str = "
    SELECT experiment_id, name, artifact_location, lifecycle_stage = 'deleted' FROM experiments
    WHERE experiment_id = ?1";

pub(super) fn find(database: &Database, name: &str) -> Result<Option<Experiment>, StoreError> {
    by_name(&database.connection, name).map_err(store_error)
}

pub(super) fn get(database: &Database, id: i64) -> Result<Option<Experiment>, StoreError> {
    database.connection.query_row(BY_ID, [id], experiment).optional().map_err(store_error)
}

/// Under the write lock, so that no other process creates the same name in between.
pub(super) fn create(database: &mut Database, name: &str) -> Result<Experiment, StoreError> {
    database.check_unmoved()?;
    let transaction =
        database.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
    if let Some(found) = by_name(&transaction, name).map_err(store_error)? {
        return Ok(found);
    }
    let created = insert(&transaction, name).map_err(store_error)?;
    transaction.commit().map_err(store_error)?;
    Ok(created)
}

fn by_name(connection: &Connection, name: &str) -> Result<Option<Experiment>> {
    connection.query_row(BY_NAME, [name], experiment).optional()
}

/// The id is part of the artifact location, so the row is written in two steps, as MLflow does.
fn insert(connection: &Connection, name: &str) -> Result<Experiment> {
    let default: Option<Option<String>> = connection
        .query_row("SELECT artifact_location FROM experiments WHERE experiment_id = 0", [], |row| row.get(0))
        .optional()?;
    connection.execute(
        "INSERT INTO experiments (name, lifecycle_stage, creation_time, last_update_time, workspace) \
         VALUES (?1, 'active', ?2, ?2, 'default')",
        (name, now_ms()),
    )?;
    let id = connection.last_insert_rowid();
    let location = beside(default.flatten().as_deref(), id);
    connection
        .execute("UPDATE experiments SET artifact_location = ?2 WHERE experiment_id = ?1", (id, &location))?;
    Ok(Experiment { id, name: name.to_owned(), artifact_location: Some(location), deleted: false })
}

fn experiment(row: &Row<'_>) -> Result<Experiment> {
    let deleted: Option<bool> = row.get(3)?;
    Ok(Experiment {
        id: row.get(0)?,
        name: row.get(1)?,
        artifact_location: row.get(2)?,
        deleted: deleted.unwrap_or_default(),
    })
}
