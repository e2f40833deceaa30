//! SQLite: one connection on a thread of its own, because SQLite has one writer and blocks.

mod checkpoint;
mod directory;
mod error;
mod group;
mod open;
mod read;
mod tracking;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::batch::Batch;
use super::{RefusedUpdate, SqlOptions};
use crate::store::{Experiment, StoreError};
use group::Group;
use open::Database;

/// How many calls wait for the thread.
const WAITING: usize = 64;

/// After so long without a call, what the log holds is moved into the database file.
const IDLE: Duration = Duration::from_millis(500);

enum Job {
    /// Writes a batch, together with others.
    Write(Batch, oneshot::Sender<Result<Vec<RefusedUpdate>, StoreError>>),
    /// Runs with the connection, outside of the writers' transaction.
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
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move |database: &mut Database| drop(done.send(job(database))));
        self.ask(Job::Run(job), outcome).await
    }

    /// Hands a job to the thread and waits for its outcome.
    async fn ask<T>(
        &self,
        job: Job,
        outcome: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let _room = self.room.acquire().await.map_err(|_| stopped())?;
        self.jobs.try_send(job).map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(super) async fn write(&self, batch: Batch) -> Result<Vec<RefusedUpdate>, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.ask(Job::Write(batch, done), outcome).await
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
    let mut group = Group::default();
    loop {
        match next(&mut database, &mut group, jobs) {
            Ok(Job::Write(batch, done)) => group.write(&mut database, batch, done),
            Ok(Job::Run(job)) => {
                group.commit(&mut database);
                job(&mut database);
            }
            Ok(Job::Close(done)) => {
                group.commit(&mut database);
                drop(database);
                drop(done);
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => database.checkpoint(),
        }
    }
}

/// The next job; a transaction that is open ends when there is none.
fn next(database: &mut Database, group: &mut Group, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
    match jobs.try_recv() {
        Ok(job) => return Ok(job),
        Err(TryRecvError::Empty | TryRecvError::Disconnected) => group.commit(database),
    }
    if database.has_log() {
        jobs.recv_timeout(IDLE)
    } else {
        jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }
}
