//! Group commit: batches that wait for the thread share a transaction.
//!
//! ```text
//! batch ──> BEGIN, its rows ──┬─> the next batch's rows ──┬─ none waits, or it is long ─> COMMIT ──> all are answered
//!                             └ its memory is free        └ its memory is free
//! ```
//!
//! Ids are random, so a batch changes as many pages of the indexes as it has traces. Pages that
//! several batches change are logged once, and the medium is waited for once.
//!
//! Data that the database itself refuses, which the mapping hardly leaves any of, rolls the batches
//! before it back, too, and their callers try again. From then on, for a while, each batch has a
//! savepoint and can be undone alone, which costs a sixth of the rate and a temporary file.

use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::{failure, store_error};
use super::open::Database;
use super::{read, write};
use crate::store::StoreError;
use crate::store::sql::batch::{Batch, Plan, Work};
use crate::store::sql::revision::check;
use crate::store::sql::{Failure, RefusedUpdate};

/// A transaction ends with the batch that brings it to so many bytes of spans, or to [`LONG_TIME`].
pub(super) const LONG_BYTES: usize = 48 << 20;

const LONG_TIME: Duration = Duration::from_secs(1);

/// After so much time in transactions the file is left to other writers for [`TURN_OF_OTHERS`]. MLflow's
/// sessions wait for 20 seconds.
const TURN_OF_OURS: Duration = Duration::from_secs(3);

/// SQLite has no queue of writers: who waits looks every 100 ms, and would hardly ever find the file free
/// between two transactions.
const TURN_OF_OTHERS: Duration = Duration::from_millis(110);

/// How many batches have a savepoint after the database has refused data.
const CAREFUL_BATCHES: usize = 10_000;

type Outcome = Result<Vec<RefusedUpdate>, StoreError>;

/// What a merge refused: parts of the batch, and why.
type Refusals = Vec<(Range<usize>, String)>;

/// The batches of the open transaction.
#[derive(Default)]
pub(super) struct Group {
    answers: Vec<(oneshot::Sender<Outcome>, Vec<RefusedUpdate>)>,
    begun: Option<Instant>,
    bytes: usize,
    /// The time in transactions since others had their turn.
    held: Duration,
    careful: usize,
}

impl Group {
    /// Adds a batch, which is answered once the transaction is committed.
    pub(super) fn write(
        &mut self,
        database: &mut Database,
        mut batch: Batch,
        answer: oneshot::Sender<Outcome>,
    ) {
        batch.release();
        let mut added = self.add(database, &batch);
        if let Err(Failure::Data(reason)) = &added {
            // The others are not to blame, but their rows are gone with those of this batch.
            self.fail(database, &StoreError::retry(rolled_back_with(reason)));
            self.careful = CAREFUL_BATCHES;
            added = self.add(database, &batch);
        }
        match added {
            Ok(refused) => {
                self.bytes += batch.bytes();
                self.answers.push((answer, refused));
            }
            Err(Failure::Data(reason) | Failure::Conflict(reason)) => {
                self.answers.push((answer, Vec::new()));
                self.fail(database, &StoreError::retry(reason));
            }
            Err(Failure::Store(error)) => {
                self.answers.push((answer, Vec::new()));
                self.fail(database, &error);
            }
        }
        drop(batch);
        let is_long = self.begun.is_some_and(|begun| begun.elapsed() >= LONG_TIME);
        if is_long || self.bytes >= LONG_BYTES {
            self.commit(database);
        }
    }

    /// Commits, and answers for each batch.
    pub(super) fn commit(&mut self, database: &mut Database) {
        let Some(begun) = self.begun else { return };
        let committed = database
            .check_unmoved()
            .and_then(|()| database.connection.execute_batch("COMMIT").map_err(store_error));
        if let Err(error) = committed {
            self.fail(database, &error);
            return;
        }
        database.note_commit();
        self.begun = None;
        self.bytes = 0;
        for (answer, refused) in self.answers.drain(..) {
            // A caller that has gone needs no answer, here and below.
            let _ = answer.send(Ok(refused));
        }
        self.held += begun.elapsed();
        if self.held >= TURN_OF_OURS {
            self.held = Duration::ZERO;
            leave_to_others();
        }
    }

    /// Writes a batch into the transaction, and begins that where it has to.
    fn add(&mut self, database: &mut Database, batch: &Batch) -> Result<Vec<RefusedUpdate>, Failure> {
        if self.begun.is_none() {
            begin(database)?;
            self.begun = Some(Instant::now());
        }
        let rows = if self.careful > 0 { rows_or_nothing } else { rows };
        self.careful = self.careful.saturating_sub(1);
        let mut work = Work::new(batch);
        while let Some(range) = work.next() {
            for (range, reason) in rows(database, batch, range)? {
                work.refuse(range, &reason);
            }
        }
        Ok(work.into_refused())
    }

    /// Rolls back, and tells every batch why.
    fn fail(&mut self, database: &Database, error: &StoreError) {
        roll_back(database);
        self.begun = None;
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

fn rolled_back_with(reason: &str) -> String {
    format!("rolled back with other spans that were sent at the same time, and were refused: {reason}")
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

/// Merges a part of a batch with what is stored, and writes it.
fn rows(database: &Database, batch: &Batch, range: Range<usize>) -> Result<Refusals, Failure> {
    let (connection, groups) = (&database.connection, batch.traces(range));
    let stored = read::stored(connection, &groups).map_err(failure)?;
    let experiments = read::experiments(connection, &groups, &stored).map_err(failure)?;
    let plan = Plan::new(&groups, stored, &experiments);
    write::all(connection, &plan.writes).map_err(failure)?;
    Ok(plan.refused)
}

/// The same, and nothing of it is left where the database refuses the data.
fn rows_or_nothing(database: &Database, batch: &Batch, range: Range<usize>) -> Result<Refusals, Failure> {
    let run = |sql| database.connection.execute_batch(sql).map_err(failure);
    run("SAVEPOINT part")?;
    match rows(database, batch, range.clone()) {
        // After some errors SQLite has rolled back everything, and the savepoint is gone.
        Err(Failure::Data(reason)) if !database.connection.is_autocommit() => {
            run("ROLLBACK TO part; RELEASE part")?;
            Ok(vec![(range, reason)])
        }
        Err(failure) => Err(failure),
        Ok(refused) => run("RELEASE part").map(|()| refused),
    }
}

/// Ends a transaction that failed, unless SQLite has done so itself.
pub(super) fn roll_back(database: &Database) {
    if !database.connection.is_autocommit()
        && let Err(error) = database.connection.execute_batch("ROLLBACK")
    {
        tracing::debug!(%error, "SQLite could not roll back");
    }
}
