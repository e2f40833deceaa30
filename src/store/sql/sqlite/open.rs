//! Opening the file, creating the tables, and keeping the write-ahead log short.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::checkpoint::Checkpointer;
use super::error::store_error;
use crate::store::sql::revision::{Contents, SELECT_REVISION, must_create};
use crate::store::sql::{DEFAULT_ARTIFACT_LOCATION, now_ms};
use crate::store::{EmptyDatabase, StoreError};

const SCHEMA: &str = include_str!("../schema/sqlite.sql");

/// As long as MLflow's own sessions wait for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Every statement that the writer uses stays prepared.
const PREPARED: usize = 128;

/// Set on each connection. `FULL` makes a commit durable before it is acknowledged. The log is moved
/// by a [`Checkpointer`], not by the commit that happens to fill it, and keeps the 512 MiB that it may
/// grow to: giving the rest back each time it begins anew costs a sixth of the rate on a file system
/// that discards freed blocks.
const PRAGMAS: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -8000;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 536870912;
";

/// Of a file that is created here. A span with its messages takes about 3 KB, of which one fits into SQLite's usual
/// page of 4 KiB, and five into this.
const PAGE_SIZE: &str = "PRAGMA page_size = 16384";

const HAS_DEFAULT: &str = "SELECT EXISTS (SELECT 1 FROM experiments WHERE experiment_id = 0)";

const INSERT_DEFAULT: &str = "
    INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time,
        workspace)
    VALUES (0, 'Default', ?1, 'active', ?2, ?2, 'default')";

/// The connection, and what is known of its file.
pub(super) struct Database {
    pub(super) connection: Connection,
    checkpointer: Option<Checkpointer>,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    has_log: bool,
}

impl Database {
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        let shown = format!("sqlite:///{}", path.display());
        check_folder(path)?;
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(store_error)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        // Looks before it changes anything: the file may be somebody else's.
        let empty = must_create(&contents(&connection).map_err(store_error)?, &shown)?;
        if empty && !create {
            return Err(StoreError::fatal(format!(
                "{shown} is empty; create it with `mlflow db upgrade {shown}`"
            ))
            .caused_by(EmptyDatabase));
        }
        if empty {
            connection.execute_batch(PAGE_SIZE).map_err(store_error)?;
        }
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(store_error)?;
        if !mode.eq_ignore_ascii_case("wal") {
            tracing::warn!(%mode, "SQLite cannot use a write-ahead log here; readers and writers will block each other");
        }
        connection.execute_batch(PRAGMAS).map_err(store_error)?;
        let mut database = Self {
            connection,
            checkpointer: None,
            path: path.to_owned(),
            identity: file_identity(path),
            has_log: false,
        };
        database.prepare_tables(&shown)?;
        database.checkpointer = Some(Checkpointer::start(path, &mut database.connection)?);
        Ok(database)
    }

    /// Creates the tables if the file is (still) empty, and experiment 0 if it is missing.
    fn prepare_tables(&mut self, shown: &str) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
        let contents = contents(&transaction).map_err(store_error)?;
        if must_create(&contents, shown)? {
            transaction.execute_batch(SCHEMA).map_err(store_error)?;
        }
        if transaction.query_row(HAS_DEFAULT, [], |row| row.get::<_, bool>(0)).map_err(store_error)? {
            return transaction.commit().map_err(store_error);
        }
        transaction.execute(INSERT_DEFAULT, (DEFAULT_ARTIFACT_LOCATION, now_ms())).map_err(store_error)?;
        transaction.commit().map_err(store_error)
    }

    /// A file that was moved or deleted would take writes that nobody ever sees.
    pub(super) fn check_unmoved(&self) -> Result<(), StoreError> {
        if file_identity(&self.path) == self.identity {
            return Ok(());
        }
        Err(StoreError::fatal(format!(
            "the SQLite file {} was moved, deleted or replaced while it was in use; put it back, or restart",
            self.path.display()
        )))
    }

    /// Before a transaction: keeps the log from growing without end.
    pub(super) fn keep_log_short(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.keep_short(&self.connection);
        }
    }

    pub(super) fn note_commit(&mut self) {
        self.has_log = true;
    }

    /// Whether commits wait in the log.
    pub(super) fn has_log(&self) -> bool {
        self.has_log
    }

    /// Moves the log into the file as far as no reader is in the way.
    pub(super) fn checkpoint(&mut self) {
        self.has_log = false;
        let outcome = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = outcome {
            // Nothing is lost: the commits stay in the log until the next checkpoint.
            tracing::debug!(%error, "checkpoint of the SQLite log failed");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.stop(&mut self.connection);
        }
    }
}

fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let has = |table: &str| {
        connection
            .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [table], |_| Ok(()))
            .optional()
            .map(|found| found.is_some())
    };
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if objects == 0 {
        return Ok(Contents::Empty);
    }
    let revision = if has("alembic_version")? {
        connection.query_row(SELECT_REVISION, [], |row| row.get(0)).optional()?
    } else {
        None
    };
    Ok(Contents::Tables { mlflow: has("trace_info")? || has("experiments")?, revision })
}

fn check_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(StoreError::fatal(format!(
            "the folder {} of the SQLite file does not exist; create it",
            folder.display()
        ))),
        _ if path.is_dir() => {
            Err(StoreError::fatal(format!("{} is a folder; name a file in it", path.display())))
        }
        _ => Ok(()),
    }
}

/// Device and inode.
#[cfg(unix)]
fn file_identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Nothing that can be compared; other systems keep an open file from being moved.
#[cfg(not(unix))]
fn file_identity(_path: &Path) -> Option<(u64, u64)> {
    None
}
