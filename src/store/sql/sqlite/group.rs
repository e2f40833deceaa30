//! Group commit: batches that wait for the thread share a transaction.
//!
//! ```text
//! batch ──> BEGIN, its rows ──┬─> the next batch's rows ──┬─ none waits, or it is long ─> COMMIT ──> all are answered
//!                             └ its memory is free        └ its memory is free
//! ```
//!
//! Ids are random, so a batch changes as many pages of the indexes as it has traces. Pages that
//! several batches change are logged once, and the medium is waited for once.

use std::ops::Range;
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::{failure, store_error};
use super::open::Database;
use super::{read, write};
use crate::store::StoreError;
use crate::store::sql::batch::{Batch, Plan, Work};
use crate::store::sql::revision::check;
use crate::store::sql::{Failure, RefusedUpdate};

/// A transaction ends with the batch that brings it to so many bytes of spans: about a second of
/// writing. Another writer of the file waits so long, and MLflow's sessions wait for 20 seconds.
pub(super) const LONG_BYTES: usize = 48 << 20;

/// The file is left to other writers for so long after a transaction that more batches wait for. SQLite
/// has no queue of writers: they look every 100 ms, and would hardly ever find it free.
const TURN_OF_OTHERS: Duration = Duration::from_millis(25);

type Outcome = Result<Vec<RefusedUpdate>, StoreError>;

/// The batches of the open transaction.
#[derive(Default)]
pub(super) struct Group {
    answers: Vec<(oneshot::Sender<Outcome>, Vec<RefusedUpdate>)>,
    bytes: usize,
}

impl Group {
    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Adds a batch, which is answered once the transaction is committed.
    pub(super) fn write(&mut self, database: &mut Database, batch: &Batch, answer: oneshot::Sender<Outcome>) {
        match add(database, batch, self.is_open()) {
            Ok(refused) => {
                self.bytes += batch.bytes();
                self.answers.push((answer, refused));
            }
            Err(failure) => {
                roll_back(database);
                let (own, others) = match failure {
                    // The others are not to blame, but their rows are gone with those of this batch.
                    Failure::Data(reason) => (alone(database, batch), StoreError::retry(shared(&reason))),
                    Failure::Conflict(reason) => (Err(StoreError::retry(&reason)), StoreError::retry(reason)),
                    Failure::Store(error) => {
                        let others = error.again();
                        (Err(error), others)
                    }
                };
                // A caller that has gone needs no answer, here and below.
                let _ = answer.send(own);
                self.fail(&others);
            }
        }
        if self.bytes >= LONG_BYTES {
            self.commit(database);
            leave_to_others();
        }
    }

    /// Commits, and answers for each batch.
    pub(super) fn commit(&mut self, database: &mut Database) {
        if !self.is_open() {
            return;
        }
        match database.connection.execute_batch("COMMIT") {
            Ok(()) => {
                database.note_commit();
                self.bytes = 0;
                for (answer, refused) in self.answers.drain(..) {
                    let _ = answer.send(Ok(refused));
                }
            }
            Err(error) => {
                roll_back(database);
                self.fail(&store_error(error));
            }
        }
    }

    fn fail(&mut self, error: &StoreError) {
        self.bytes = 0;
        for (answer, _) in self.answers.drain(..) {
            let _ = answer.send(Err(error.again()));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which no runtime waits for")]
fn leave_to_others() {
    std::thread::sleep(TURN_OF_OTHERS);
}

fn shared(reason: &str) -> String {
    format!("rolled back with other spans that were sent at the same time, and were refused: {reason}")
}

/// Writes a batch into the open transaction, or into a new one; returns what the merge refused.
fn add(database: &mut Database, batch: &Batch, is_open: bool) -> Result<Vec<RefusedUpdate>, Failure> {
    if !is_open {
        begin(database)?;
    }
    let mut work = Work::new(batch);
    while let Some(range) = work.next() {
        for (range, reason) in rows(database, batch, range)? {
            work.refuse(range, &reason);
        }
    }
    Ok(work.into_refused())
}

/// Writes a batch that holds data that the database refuses, in as many transactions as that takes.
fn alone(database: &mut Database, batch: &Batch) -> Outcome {
    let mut work = Work::new(batch);
    while let Some(range) = work.next() {
        match transact(database, batch, range.clone()) {
            Ok(refused) => {
                for (range, reason) in refused {
                    work.refuse(range, &reason);
                }
            }
            Err(failure) => {
                roll_back(database);
                match failure {
                    Failure::Data(reason) => work.refuse(range, &reason),
                    Failure::Conflict(reason) => return Err(StoreError::retry(reason)),
                    Failure::Store(error) => return Err(error),
                }
            }
        }
    }
    Ok(work.into_refused())
}

fn transact(
    database: &mut Database,
    batch: &Batch,
    range: Range<usize>,
) -> Result<Vec<(Range<usize>, String)>, Failure> {
    begin(database)?;
    let refused = rows(database, batch, range)?;
    database.connection.execute_batch("COMMIT").map_err(failure)?;
    database.note_commit();
    Ok(refused)
}

fn begin(database: &Database) -> Result<(), Failure> {
    database.check_unmoved().map_err(Failure::Store)?;
    database.keep_log_short();
    // Takes the write lock at once: a read lock that has to grow would fail beside another writer.
    let begun = database.connection.execute_batch("BEGIN IMMEDIATE");
    begun.map_err(|error| Failure::Store(store_error(error)))?;
    let revision = read::revision(&database.connection).map_err(failure)?;
    check(revision.as_deref()).map_err(Failure::Store)
}

/// Merges a part of a batch with what is stored, and writes it; returns what the merge refused.
fn rows(
    database: &Database,
    batch: &Batch,
    range: Range<usize>,
) -> Result<Vec<(Range<usize>, String)>, Failure> {
    let (connection, groups) = (&database.connection, batch.traces(range));
    let stored = read::stored(connection, &groups).map_err(failure)?;
    let experiments = read::experiments(connection, &groups, &stored).map_err(failure)?;
    let plan = Plan::new(&groups, stored, &experiments);
    write::all(connection, &plan.writes).map_err(failure)?;
    Ok(plan.refused)
}

/// Ends a transaction that failed, unless SQLite has done so itself.
pub(super) fn roll_back(database: &Database) {
    if !database.connection.is_autocommit()
        && let Err(error) = database.connection.execute_batch("ROLLBACK")
    {
        tracing::debug!(%error, "SQLite could not roll back");
    }
}
