//! MLflow's own database: SQLite or PostgreSQL.
//!
//! ```text
//! write(updates) ─> Batch: sorted by trace ─> a transaction, which calls share in SQLite:
//!                        ^                      lock and read what is stored
//!                        │                      merge (mapping)
//!                        └── halved, if the ─── write in bulk, in primary-key order
//!                            data is refused    commit
//! ```
//!
//! Takes the locks in the order in which an MLflow server takes them, so that both may write to
//! one database, as may a second gateway.

mod artifacts;
mod batch;
#[cfg(feature = "postgres")]
mod postgres;
mod revision;
#[cfg(test)]
mod samples;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod tests;
mod tracking;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::mapping::{TraceUpdate, TraceWrite};
use crate::mlflow::tracking_uri::TrackingUri;

use super::{BoxFuture, Experiment, ExperimentDirectory, StoreError};
use batch::Batch;
pub use tracking::Swept;

/// Where MLflow's server keeps the artifacts of the default experiment unless it is told otherwise.
const DEFAULT_ARTIFACT_LOCATION: &str = "mlflow-artifacts:/0";

/// How often a transaction that lost a race is tried again before the caller has to.
#[cfg(feature = "postgres")]
const ATTEMPTS: usize = 5;

/// How to use the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlOptions {
    /// Whether to create the tables in an empty database, and a missing SQLite file.
    pub create: bool,
    /// How many connections to a database server are open at most; SQLite has one writer.
    pub connections: usize,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self { create: true, connections: 4 }
    }
}

/// An update of the caller's list that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedUpdate {
    /// Index of the update in the list given to [`SqlStore::write`].
    pub index: usize,
    /// How many spans it had.
    pub spans: usize,
    /// Why, for the sender's developer to read.
    pub reason: String,
}

/// A tracking database, open for writing.
pub struct SqlStore {
    backend: Backend,
}

enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::PostgresStore>),
}

impl SqlStore {
    /// Opens a database, and creates its tables if it is empty.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fatal`] if it cannot be written to as it is: unknown revision, tables that are
    /// not MLflow's, no permission, wrong credentials, or a backend that is not compiled in.
    /// [`StoreError::Retry`] if it is locked or the server does not answer.
    pub async fn connect(uri: &TrackingUri, options: SqlOptions) -> Result<Self, StoreError> {
        let backend = match uri {
            #[cfg(feature = "sqlite")]
            TrackingUri::Sqlite(location) => {
                Backend::Sqlite(sqlite::SqliteStore::open(location.path(), &options).await?)
            }
            #[cfg(not(feature = "sqlite"))]
            TrackingUri::Sqlite(_) => return Err(not_compiled("SQLite", "sqlite")),
            #[cfg(feature = "postgres")]
            TrackingUri::Postgresql(url) => {
                Backend::Postgres(Box::new(postgres::PostgresStore::connect(url, &options).await?))
            }
            #[cfg(not(feature = "postgres"))]
            TrackingUri::Postgresql(_) => return Err(not_compiled("PostgreSQL", "postgres")),
            TrackingUri::Http(_) => {
                return Err(StoreError::fatal(format!("{uri} is a server, not a database")));
            }
        };
        Ok(Self { backend })
    }

    /// Writes updates in a transaction, and returns those that were refused. What is not refused
    /// is durable when this returns.
    ///
    /// Writing the same updates again changes nothing but the traces' payload generation, so a
    /// caller may repeat a call whose outcome it does not know.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] and [`StoreError::Fatal`]; the caller has to assume that nothing was kept.
    pub async fn write(&self, updates: Vec<TraceUpdate>) -> Result<Vec<RefusedUpdate>, StoreError> {
        self.write_holding(updates, ()).await
    }

    /// As [`SqlStore::write`], and drops `held` when another call is useful: at the end, but with SQLite when it
    /// begins, as a call that waits by then shares the transaction.
    ///
    /// # Errors
    ///
    /// As [`SqlStore::write`].
    pub async fn write_holding(
        &self,
        updates: Vec<TraceUpdate>,
        held: impl Send + Sync + 'static,
    ) -> Result<Vec<RefusedUpdate>, StoreError> {
        let batch = Batch::new(updates, held);
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => store.write(batch).await,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.write(&batch).await,
        }
    }

    /// Finishes what is under way and closes the database. Nothing can be written afterwards.
    pub async fn close(&self) {
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.close(),
        }
    }
}

impl ExperimentDirectory for SqlStore {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Experiment>, StoreError>> {
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Box::pin(store.find_experiment(name.to_owned())),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Box::pin(store.find_experiment(name)),
        }
    }

    fn get(&self, id: i64) -> BoxFuture<'_, Result<Option<Experiment>, StoreError>> {
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Box::pin(store.get_experiment(id)),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Box::pin(store.get_experiment(id)),
        }
    }

    fn create<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Experiment, StoreError>> {
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Box::pin(store.create_experiment(name.to_owned())),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Box::pin(store.create_experiment(name)),
        }
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn not_compiled(database: &str, feature: &str) -> StoreError {
    StoreError::fatal(format!(
        "this program was built without {database}; build it with `--features {feature}`, or use the http:// URI of \
         an MLflow server"
    ))
}

/// Why one transaction was not committed.
enum Failure {
    /// The database refuses the data; part of it may be fine.
    Data(String),
    /// Another writer was in the way.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite has one writer at a time"))]
    Conflict(String),
    /// Nothing can be written now.
    Store(StoreError),
}

/// Milliseconds since the Unix epoch, as MLflow's `creation_time`.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// 32 random hex digits, as MLflow's `association_id`.
fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Key, value and trace id of each pair, in the order of the primary key: by key, then by trace. Of two with the same
/// key and trace, the first.
fn keyed<'a>(
    writes: impl Iterator<Item = &'a TraceWrite<'a>>,
    pairs: impl Fn(&'a TraceWrite<'a>) -> &'a Vec<(String, String)>,
) -> Vec<[&'a str; 3]> {
    let rows = writes.flat_map(|write| {
        let trace_id = write.record.trace_id.as_str();
        pairs(write).iter().map(move |(key, value)| [key.as_str(), value.as_str(), trace_id])
    });
    let mut rows: Vec<_> = rows.collect();
    // Stable: the traces of a key stay in their order.
    rows.sort_by(|[left, ..], [right, ..]| left.cmp(right));
    rows.dedup_by(|[key, _, trace_id], [first, _, first_id]| key == first && trace_id == first_id);
    rows
}
