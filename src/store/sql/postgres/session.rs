//! A connection with its statements prepared.

use std::collections::HashMap;

use tokio_postgres::{Client, Statement};

use super::error::store_error;
use super::{read, statements};
use crate::store::StoreError;
use crate::store::sql::revision::SELECT_REVISION;

/// A connection that is ready to write.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) select_revision: Statement,
    pub(super) lock_traces: Statement,
    pub(super) select_experiments: Statement,
    pub(super) select_metadata: Statement,
    pub(super) select_locations: Statement,
    pub(super) select_spans: Statement,
    pub(super) copy_traces: Statement,
    pub(super) update_traces: Statement,
    pub(super) move_assessments: Statement,
    pub(super) copy_spans: Statement,
    pub(super) upsert_spans: Statement,
    pub(super) copy_tags: Statement,
    pub(super) upsert_tags: Statement,
    pub(super) copy_metadata: Statement,
    pub(super) insert_metadata: Statement,
    pub(super) delete_marks: Statement,
    pub(super) link_runs: Statement,
    /// Statements of tracking, prepared when they are first needed.
    pub(super) prepared: HashMap<String, Statement>,
}

impl Session {
    pub(super) async fn prepare(client: Client) -> Result<Self, StoreError> {
        let prepare = async |sql: &str| client.prepare(sql).await.map_err(store_error);
        Ok(Self {
            select_revision: prepare(SELECT_REVISION).await?,
            lock_traces: prepare(read::LOCK_TRACES).await?,
            select_experiments: prepare(read::EXPERIMENTS).await?,
            select_metadata: prepare(read::METADATA).await?,
            select_locations: prepare(read::LOCATIONS).await?,
            select_spans: prepare(read::SPANS).await?,
            copy_traces: prepare(statements::COPY_TRACES).await?,
            update_traces: prepare(statements::UPDATE_TRACES).await?,
            move_assessments: prepare(statements::MOVE_ASSESSMENTS).await?,
            copy_spans: prepare(statements::COPY_SPANS).await?,
            upsert_spans: prepare(statements::UPSERT_SPANS).await?,
            copy_tags: prepare(statements::COPY_TAGS).await?,
            upsert_tags: prepare(statements::UPSERT_TAGS).await?,
            copy_metadata: prepare(statements::COPY_METADATA).await?,
            insert_metadata: prepare(statements::INSERT_METADATA).await?,
            delete_marks: prepare(statements::DELETE_MARKS).await?,
            link_runs: prepare(statements::LINK_RUNS).await?,
            prepared: HashMap::new(),
            client,
        })
    }
}
