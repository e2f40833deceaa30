//! PostgreSQL: a few connections, one transaction per call, rows by COPY and UNNEST.

mod connect;
mod copy;
mod directory;
mod error;
mod read;
mod schema;
mod session;
mod statements;
mod tls;
mod tracking;
mod write;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::batch::{Batch, Plan, Work};
use super::{ATTEMPTS, Failure, RefusedUpdate, SqlOptions};
use crate::mlflow::tracking_uri::DatabaseUrl;
use crate::store::{Experiment, StoreError};
use connect::Connector;
use session::Session;

/// A transaction that takes longer is given up: the network may have swallowed the connection.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(120);

/// Same isolation whatever the server's default: a row that another writer has just changed must be
/// read as it is now, not fail the transaction.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A PostgreSQL database.
pub(super) struct PostgresStore {
    connector: Connector,
    idle: Mutex<Vec<Session>>,
    room: Semaphore,
}

impl PostgresStore {
    pub(super) async fn connect(url: &DatabaseUrl, options: &SqlOptions) -> Result<Self, StoreError> {
        let connector = Connector::new(url)?;
        let mut client = connector.client().await?;
        schema::prepare(&mut client, options.create, &url.to_string()).await?;
        let session = Session::prepare(client).await?;
        let room = Semaphore::new(options.connections.max(1));
        Ok(Self { connector, idle: Mutex::new(vec![session]), room })
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.idle().clear();
    }

    pub(super) async fn write(&self, batch: &Batch) -> Result<Vec<RefusedUpdate>, StoreError> {
        let mut lease = self.lease().await?;
        let mut work = Work::new(batch);
        while let Some(range) = work.next() {
            match lease.transact(batch, range.clone()).await {
                Ok(refused) => {
                    for (range, reason) in refused {
                        work.refuse(range, &reason);
                    }
                }
                Err(Failure::Data(reason)) => work.refuse(range, &reason),
                Err(Failure::Conflict(reason)) => return Err(StoreError::retry(reason)),
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        lease.give_back();
        Ok(work.into_refused())
    }

    pub(super) async fn find_experiment(&self, name: &str) -> Result<Option<Experiment>, StoreError> {
        let mut lease = self.lease().await?;
        let found = directory::find(lease.session().await?, name).await?;
        lease.give_back();
        Ok(found)
    }

    pub(super) async fn get_experiment(&self, id: i64) -> Result<Option<Experiment>, StoreError> {
        let mut lease = self.lease().await?;
        let found = directory::get(lease.session().await?, id).await?;
        lease.give_back();
        Ok(found)
    }

    pub(super) async fn create_experiment(&self, name: &str) -> Result<Experiment, StoreError> {
        let mut lease = self.lease().await?;
        let created = directory::create(lease.session().await?, name).await?;
        lease.give_back();
        Ok(created)
    }

    /// The right to one connection. It goes back only after success: a dropped lease closes it, and
    /// so rolls back what a cancelled call has begun.
    async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let permit = self.room.acquire().await.map_err(|_| StoreError::retry("the store is closed"))?;
        let session = self.idle().pop();
        Ok(Lease { store: self, session, _permit: permit })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lease<'a> {
    store: &'a PostgresStore,
    session: Option<Session>,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// An open connection: the leased one, or a new one where that has gone.
    async fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.as_ref().is_none_or(|session| session.client.is_closed()) {
            let client = self.store.connector.client().await?;
            self.session = Some(Session::prepare(client).await?);
        }
        self.session.as_mut().ok_or_else(|| StoreError::retry("no connection"))
    }

    fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            self.store.idle().push(session);
        }
    }

    /// One transaction, tried again where another writer was in the way or the connection broke.
    async fn transact(&mut self, batch: &Batch, range: Range<usize>) -> Result<Refusals, Failure> {
        let mut attempt = 1;
        loop {
            let session = self.session().await.map_err(Failure::Store)?;
            let outcome =
                tokio::time::timeout(TRANSACTION_TIMEOUT, transact(session, batch, range.clone())).await;
            let Ok(outcome) = outcome else {
                self.session = None;
                return Err(Failure::Store(StoreError::retry("PostgreSQL did not answer in time")));
            };
            let lost = self.session.as_ref().is_none_or(|session| session.client.is_closed());
            match outcome {
                Err(Failure::Conflict(_)) if attempt < ATTEMPTS => {}
                Err(Failure::Store(StoreError::Retry { .. })) if lost && attempt == 1 => {}
                outcome => return outcome,
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(1..=20 * attempt as u64))).await;
            attempt += 1;
        }
    }
}

/// What a merge refused.
type Refusals = Vec<(Range<usize>, String)>;

async fn transact(session: &mut Session, batch: &Batch, range: Range<usize>) -> Result<Refusals, Failure> {
    let outcome = run(session, batch, range).await;
    if outcome.is_err() && session.client.batch_execute("ROLLBACK").await.is_err() {
        // The connection is lost, and the transaction with it.
        tracing::debug!("PostgreSQL could not be told to roll back");
    }
    outcome
}

async fn run(session: &Session, batch: &Batch, range: Range<usize>) -> Result<Refusals, Failure> {
    let groups = batch.traces(range);
    // Both statements are sent before either is answered.
    let begin = async { session.client.batch_execute(BEGIN).await.map_err(error::failure) };
    let ((), (stored, experiments)) = try_join(begin, read::all(session, &groups)).await?;
    let plan = Plan::new(&groups, stored, &experiments);
    write::all(session, &plan.writes).await.map_err(error::failure)?;
    session.client.batch_execute("COMMIT").await.map_err(error::failure)?;
    Ok(plan.refused)
}
