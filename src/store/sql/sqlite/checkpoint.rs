//! Moving the write-ahead log into the database file, beside the writer.
//!
//! ```text
//! writer   ──commit──commit──commit──commit──[the rest]──commit, from the log's beginning
//! thread              └─ 128 MiB ─┴─ what came meanwhile ─┘
//! ```
//!
//! A log begins anew only when all of it has been moved, which never happens while commits go on. So
//! the thread moves what there is, then what came meanwhile, and the writer itself moves the little
//! that is left. A backlog adds more than that with each commit: its log grows to 512 MiB, until the
//! writer waits for the thread and moves what one transaction has left.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use super::error::store_error;
use crate::store::StoreError;

/// Lengths of the log, in pages.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    /// The log is moved once it is so long: index pages that many commits change are then written once.
    begin: u32,
    /// So much the writer moves itself.
    little: u32,
    /// So long a log holds the writer up until it is moved, as far as no reader is in the way.
    too_long: u32,
}

impl Lengths {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let mebibytes = |count: u32| (count << 20) / page.max(512);
        Ok(Self { begin: mebibytes(128), little: mebibytes(32), too_long: mebibytes(512) })
    }
}

/// How many pages of the log there are, and how many of them are in the file as well.
#[derive(Debug, Default)]
struct Pages {
    logged: AtomicU32,
    moved: AtomicU32,
    /// Held while pages are moved: SQLite lets one connection do so, and turns others away.
    turn: Mutex<()>,
}

impl Pages {
    fn logged(&self) -> u32 {
        self.logged.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> u32 {
        self.logged().saturating_sub(self.moved.load(Ordering::Relaxed))
    }

    /// A commit made the log so long.
    fn committed(&self, pages: u32) {
        if pages < self.logged.swap(pages, Ordering::Relaxed) {
            // The log has begun anew.
            self.moved.store(0, Ordering::Relaxed);
        }
    }
}

/// The thread that moves the log.
pub(super) struct Checkpointer {
    lengths: Lengths,
    pages: Arc<Pages>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, with a connection of its own, and counts the commits of the writer's.
    pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(store_error)?;
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = 16;")
            .map_err(store_error)?;
        let lengths = Lengths::of(&connection).map_err(store_error)?;
        let pages = Arc::new(Pages::default());
        let (wake, woken) = sync_channel(1);
        let seen = Arc::clone(&pages);
        let thread = std::thread::Builder::new()
            .name("sqlite-log".to_owned())
            .spawn(move || run(&connection, lengths.little, &seen, &woken))
            .map_err(|error| StoreError::retry("cannot start the SQLite thread").caused_by(error))?;
        let (counted, waker) = (Arc::clone(&pages), wake.clone());
        let hook = move |_: &mut rusqlite::hooks::Wal, logged| {
            counted.committed(u32::try_from(logged).unwrap_or(0));
            if counted.logged() >= lengths.begin && counted.waiting() > lengths.little {
                // A full channel means that the thread is about to look anyway.
                let _ = waker.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(store_error)?;
        Ok(Self { lengths, pages, wake: Some(wake), thread: Some(thread) })
    }

    /// Before a transaction: moves the rest of a long log, so that it begins anew.
    pub(super) fn keep_short(&self, writer: &Connection) {
        let (logged, Lengths { begin, little, too_long }) = (self.pages.logged(), self.lengths);
        if logged >= begin && (self.pages.waiting() <= little || logged >= too_long) {
            checkpoint(writer, &self.pages);
        }
    }

    /// Ends the thread. The hook holds the channel open, so it goes first.
    pub(super) fn stop(&mut self, writer: &mut Connection) {
        let none: Option<fn(&mut rusqlite::hooks::Wal, i32) -> rusqlite::Result<()>> = None;
        // Fails only for a connection that is in use, which this one is not.
        let _ = writer.wal_hook(none);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported, and the log is moved when the file is closed.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, little: u32, pages: &Pages, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        while pages.waiting() > little && checkpoint(connection, pages) {}
    }
}

/// Moves what can be moved. Says whether that was anything.
fn checkpoint(connection: &Connection, pages: &Pages) -> bool {
    let _turn = pages.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let before = pages.waiting();
    let outcome = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2));
    match outcome {
        Ok(moved) => {
            pages.moved.store(u32::try_from(moved).unwrap_or(0), Ordering::Relaxed);
            pages.waiting() < before
        }
        Err(error) => {
            // Nothing is lost: the commits stay in the log until the next attempt.
            tracing::debug!(%error, "checkpoint of the SQLite log failed");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(path: &Path) -> u64 {
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    #[test]
    fn the_log_begins_anew_while_commits_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let mut writer = Connection::open(&path).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0;
                CREATE TABLE t (content BLOB)",
            )
            .unwrap();
        let mut checkpointer = Checkpointer::start(&path, &mut writer).unwrap();
        let (mut written, mut begun_anew, mut before) = (0, 0, 0);
        // Six times what fills the log.
        while written < 6 * u64::from(checkpointer.lengths.begin) * 4096 {
            checkpointer.keep_short(&writer);
            writer.execute("INSERT INTO t VALUES (zeroblob(8000000))", []).unwrap();
            written += 8_000_000;
            let logged = checkpointer.pages.logged();
            begun_anew += u32::from(logged < before);
            before = logged;
            assert!(logged < checkpointer.lengths.too_long + 4096, "{logged}");
        }
        assert!(begun_anew >= 1, "{begun_anew}");
        checkpointer.stop(&mut writer);
        drop(writer);
        assert_eq!(size(&folder.path().join("x.db-wal")), 0);
        assert!(size(&path) > written);
    }

    #[test]
    fn a_reader_in_the_way_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (content BLOB)").unwrap();
        let mut checkpointer = Checkpointer::start(&path, &mut writer).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        // A little more than makes the writer move the log by itself.
        let inserts = checkpointer.lengths.too_long / 1_953 + 4;
        for _ in 0..inserts {
            checkpointer.keep_short(&writer);
            writer.execute("INSERT INTO t VALUES (zeroblob(8000000))", []).unwrap();
        }
        drop(reader);
        checkpointer.stop(&mut writer);
        let rows: u32 = writer.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, inserts);
    }
}
