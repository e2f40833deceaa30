//! SQLite: one connection on a thread of its own, because SQLite has one writer and blocks.

mod checkpoint;
mod directory;
mod error;
mod open;
mod read;
mod tracking;
mod write;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::{Semaphore, oneshot};

use super::batch::{Batch, Plan, Work};
use super::revision::check;
use super::{Failure, RefusedUpdate, SqlOptions};
use crate::store::{Experiment, StoreError};
use error::{failure, store_error};
use open::Database;

/// How many calls wait for the thread.
const WAITING: usize = 64;

/// After so long without a call, what the log holds is moved into the database file.
const IDLE: Duration = Duration::from_millis(500);

enum Job {
    Run(Box<dyn FnOnce(&mut Database) + Send>),
    /// Ends the thread; the sender is dropped once the file is closed.
    Close(oneshot::Sender<()>),
}

/// An open SQLite database.
pub(super) struct SqliteStore {
    jobs: SyncSender<Job>,
    room: Semaphore,
}

impl SqliteStore {
    pub(super) async fn open(path: &Path, options: &SqlOptions) -> Result<Self, StoreError> {
        let (jobs, received) = sync_channel(WAITING + 1);
        let (opened, outcome) = oneshot::channel();
        let (path, create) = (path.to_owned(), options.create);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || match Database::open(&path, create) {
                Ok(database) => {
                    // The caller has gone; so will the channel.
                    let _ = opened.send(Ok(()));
                    run(database, &received);
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| StoreError::retry("cannot start the SQLite thread").caused_by(error))?;
        outcome.await.map_err(|_| stopped())??;
        Ok(Self { jobs, room: Semaphore::new(WAITING) })
    }

    /// Runs a job on the thread.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _room = self.room.acquire().await.map_err(|_| stopped())?;
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move |database: &mut Database| drop(done.send(job(database))));
        self.jobs.try_send(Job::Run(job)).map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(super) async fn write(&self, batch: Batch) -> Result<Vec<RefusedUpdate>, StoreError> {
        self.run(move |database| write_all(database, &batch)).await
    }

    pub(super) async fn close(&self) {
        self.room.close();
        let (done, closed) = oneshot::channel();
        if self.jobs.try_send(Job::Close(done)).is_ok() {
            // Resolves when the sender is dropped, which is an error to the channel.
            let _ = closed.await;
        }
    }

    pub(super) async fn find_experiment(&self, name: String) -> Result<Option<Experiment>, StoreError> {
        self.run(move |database| directory::find(database, &name)).await
    }

    pub(super) async fn get_experiment(&self, id: i64) -> Result<Option<Experiment>, StoreError> {
        self.run(move |database| directory::get(database, id)).await
    }

    pub(super) async fn create_experiment(&self, name: String) -> Result<Experiment, StoreError> {
        self.run(move |database| directory::create(database, &name)).await
    }
}

fn stopped() -> StoreError {
    StoreError::retry("the SQLite thread has stopped; restart the process, unless it is stopping")
}

/// The thread: jobs one after another, and a checkpoint when there are none.
fn run(mut database: Database, jobs: &Receiver<Job>) {
    loop {
        let received = if database.has_log() {
            jobs.recv_timeout(IDLE)
        } else {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match received {
            Ok(Job::Run(job)) => job(&mut database),
            Ok(Job::Close(done)) => {
                drop(database);
                drop(done);
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => database.checkpoint(),
        }
    }
}

fn write_all(database: &mut Database, batch: &Batch) -> Result<Vec<RefusedUpdate>, StoreError> {
    database.check_unmoved()?;
    let mut work = Work::new(batch);
    while let Some(range) = work.next() {
        match transact(database, batch, range.clone()) {
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
    Ok(work.into_refused())
}

/// One transaction; returns what the merge refused.
fn transact(
    database: &mut Database,
    batch: &Batch,
    range: Range<usize>,
) -> Result<Vec<(Range<usize>, String)>, Failure> {
    let groups = batch.traces(range);
    database.keep_log_short();
    // Takes the write lock at once: a read lock that has to grow would fail beside another writer.
    let transaction = database
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| Failure::Store(store_error(error)))?;
    let revision = read::revision(&transaction).map_err(failure)?;
    check(revision.as_deref()).map_err(Failure::Store)?;
    let stored = read::stored(&transaction, &groups).map_err(failure)?;
    let experiments = read::experiments(&transaction, &groups, &stored).map_err(failure)?;
    let plan = Plan::new(&groups, stored, &experiments);
    write::all(&transaction, &plan.writes).map_err(failure)?;
    transaction.commit().map_err(failure)?;
    database.note_commit();
    Ok(plan.refused)
}
