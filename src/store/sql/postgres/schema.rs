//! Looks at the database, and creates the tables where it is empty.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient};

use super::error::store_error;
use crate::store::sql::revision::{Contents, SELECT_REVISION, must_create};
use crate::store::sql::{DEFAULT_ARTIFACT_LOCATION, now_ms};
use crate::store::{EmptyDatabase, StoreError};

const SCHEMA: &str = include_str!("../schema/postgresql.sql");

/// Held while the tables are created, so that two gateways may start at once. Any number does, if
/// it is always the same.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7300120946516881953)";

const FIND_DEFAULT: &str = "SELECT 1 FROM experiments WHERE experiment_id = 0";

const INSERT_DEFAULT: &str = "
    INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time,
        workspace)
    VALUES (0, 'Default', $1, 'active', $2, $2, 'default')";

/// Makes sure that the tables are there and known, and that experiment 0 exists.
pub(super) async fn prepare(client: &mut Client, create: bool, shown: &str) -> Result<(), StoreError> {
    let transaction = client.transaction().await.map_err(store_error)?;
    transaction.batch_execute(LOCK).await.map_err(store_error)?;
    let contents = contents(&transaction).await.map_err(store_error)?;
    if must_create(&contents, shown)? {
        if !create {
            return Err(StoreError::fatal(format!(
                "{shown} is empty; create its tables with `mlflow db upgrade`"
            ))
            .caused_by(EmptyDatabase));
        }
        transaction.batch_execute(SCHEMA).await.map_err(store_error)?;
    }
    let default = transaction.query_opt(FIND_DEFAULT, &[]).await.map_err(store_error)?;
    if default.is_none() {
        let values: [&(dyn ToSql + Sync); 2] = [&DEFAULT_ARTIFACT_LOCATION, &now_ms()];
        transaction.execute(INSERT_DEFAULT, &values).await.map_err(store_error)?;
    }
    transaction.commit().await.map_err(store_error)
}

async fn contents(client: &impl GenericClient) -> Result<Contents, tokio_postgres::Error> {
    let tables = "SELECT count(*) > 0, to_regclass('alembic_version') IS NOT NULL, \
                  to_regclass('trace_info') IS NOT NULL OR to_regclass('experiments') IS NOT NULL \
                  FROM pg_catalog.pg_tables WHERE schemaname = current_schema()";
    let row = client.query_one(tables, &[]).await?;
    let (any, versioned, mlflow): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !any {
        return Ok(Contents::Empty);
    }
    let revision = if versioned {
        let row = client.query_opt(SELECT_REVISION, &[]).await?;
        row.map(|row| row.try_get(0)).transpose()?
    } else {
        None
    };
    Ok(Contents::Tables { mlflow, revision })
}
