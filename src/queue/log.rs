//! The log as its users see it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::QueueError;
use super::commit::WRITER;
use super::cursor::Cursor;
use super::disk::Disk;
use super::options::{Durability, Options, WhenFull};
use super::origin::Origin;
use super::reader::Reader;
use super::record::HEADER_BYTES;
use super::recovery::{self, Recovery};
use super::sequences::Sequences;
use super::shared::{Io, Shared};
use super::state::{Pending, State};
use super::stats::Stats;
use super::system_disk::SystemDisk;
use super::ticket::{Ticket, ticket};

/// The size at which a segment in memory is closed: a file is not worth so little, but what one record keeps in memory
/// should be.
const MEMORY_SEGMENT_BYTES: u64 = 1 << 20;

/// A log; the [module](super) says what it promises.
///
/// Dropping it closes it. Share it in an [`Arc`]. It has two threads: one writes, one looks after files.
pub struct Log {
    shared: Arc<Shared>,
    /// The writer and the one that looks after files; none in memory.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in a directory, which is made if missing. Reads the newest segment, so it takes about as long
    /// as reading `segment_bytes`.
    ///
    /// # Errors
    ///
    /// If the options make no sense, another process has the directory, or it cannot be made or listed. Damage is
    /// no error.
    pub fn open(directory: &Path, options: Options, disk: impl Disk) -> Result<(Self, Recovery), QueueError> {
        options.validate()?;
        let (state, io, recovery) = recovery::open(directory, &options, &disk)?;
        let directory = directory.to_owned();
        let shared = Arc::new(Shared::new(options, Arc::new(disk), Some(directory), state, io));
        let log = Self { shared, threads: Mutex::default() };
        log.spawn(WRITER, Shared::run)?;
        log.spawn("queue-upkeep", Shared::keep)?;
        Ok((log, recovery))
    }

    /// Has a thread do some work on the directory until the log is closed.
    fn spawn(&self, name: &'static str, work: fn(&Shared, &Path)) -> Result<(), QueueError> {
        let Some(directory) = self.shared.directory.clone() else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let at = directory.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Every change of what is shared is whole, also after a panic.
            if catch_unwind(AssertUnwindSafe(|| work(&shared, &at))).is_err() {
                shared.die(name);
            }
        });
        let thread = thread.map_err(|error| QueueError::Open { directory, source: Arc::new(error) })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// A log without files: what it holds is lost with the process.
    ///
    /// # Errors
    ///
    /// If the options make no sense.
    pub fn memory(options: Options) -> Result<Self, QueueError> {
        Self::memory_with_clock(options, SystemDisk::new())
    }

    /// As [`Self::memory`], with the clock of `disk`.
    pub(super) fn memory_with_clock(options: Options, disk: impl Disk) -> Result<Self, QueueError> {
        options.validate()?;
        let cursors = options.cursors.iter().map(|name| Cursor::new(name.clone(), Sequences::default()));
        let state = State::new(0, cursors.collect(), 0, options.weigh);
        let shared = Arc::new(Shared::new(options, Arc::new(disk), None, state, Io::default()));
        Ok(Self { shared, threads: Mutex::default() })
    }

    /// Appends a record. The ticket, awaited or waited for, says when it is as durable as the options ask, or why
    /// it is refused; a refusal for lack of room has a [hint](QueueError::retry_after) when to try again.
    pub fn append(&self, payload: Bytes) -> Ticket {
        let shared = &self.shared;
        let crc = if shared.directory.is_some() { crc32c::crc32c(&payload) } else { 0 };
        let bytes = HEADER_BYTES as u64 + payload.len() as u64;
        let mut state = shared.state();
        if let Err(error) = state.admit(bytes, &shared.options) {
            state.counts.refused_records += 1;
            drop(state);
            self.after_refusal(&error);
            return Ticket::answered(Err(error));
        }
        // Read under the lock, so that later records are not older.
        let time = shared.now();
        if shared.directory.is_none() {
            return self.append_in_memory(state, Pending { payload, crc, time, answer: None });
        }
        let (answer, given) = match shared.options.durability {
            Durability::Memory => (None, Ticket::answered(Ok(()))),
            Durability::Written | Durability::Fsynced => {
                let (answer, given) = ticket();
                (Some(answer), given)
            }
        };
        state.pending_bytes += bytes;
        state.pending.push_back(Pending { payload, crc, time, answer });
        drop(state);
        shared.work.notify_all();
        given
    }

    /// Why a record of so many bytes would be refused now, if it would.
    pub fn refusal(&self, payload_bytes: usize) -> Option<QueueError> {
        let bytes = HEADER_BYTES as u64 + payload_bytes as u64;
        let error = self.shared.state().admit(bytes, &self.shared.options).err()?;
        self.after_refusal(&error);
        Some(error)
    }

    fn append_in_memory(&self, mut state: MutexGuard<'_, State>, record: Pending) -> Ticket {
        let options = &self.shared.options;
        if let Some(oldest) = self.shared.oldest_allowed() {
            state.expire(oldest);
        }
        if options.when_full == WhenFull::DropOldest {
            state.make_room(record.bytes(), options.max_bytes);
        }
        state.publish_in_memory(record, options.segment_limit().min(MEMORY_SEGMENT_BYTES));
        drop(state);
        self.shared.readable.notify();
        Ticket::answered(Ok(()))
    }

    /// Room may be made at once by letting go of what is delivered.
    fn after_refusal(&self, error: &QueueError) {
        if matches!(error, QueueError::Full { .. }) {
            if self.shared.directory.is_some() {
                self.shared.work.notify_all();
            } else {
                self.shared.release();
            }
        }
    }

    /// A reader of a cursor, which begins with the oldest record that the cursor did not acknowledge.
    ///
    /// # Errors
    ///
    /// If the options do not name the cursor, or it has a reader already.
    pub fn reader(&self, cursor: &str) -> Result<Reader, QueueError> {
        Reader::new(&self.shared, cursor)
    }

    /// Reads a record again that a reader gave and nobody has acknowledged yet. Reads from a file, so it may block.
    ///
    /// # Errors
    ///
    /// The medium fails to give it, which may pass; it is [damaged](QueueError::Damaged), or [gone](QueueError::Gone).
    pub fn read_again(&self, origin: &Origin) -> Result<Bytes, QueueError> {
        self.shared.read_again(origin)
    }

    /// After so much time of errors, what the medium does not give is lost.
    pub fn read_patience(&self) -> Duration {
        self.shared.options.read_patience
    }

    /// Wakes those who wait for [`Reader::changed`], though there is nothing new: so that they look whether they
    /// should end.
    pub fn wake_readers(&self) {
        self.shared.readable.notify();
    }

    /// Persists what was acknowledged, and deletes what every cursor is done with, now rather than with the next upkeep.
    ///
    /// # Errors
    ///
    /// If a cursor cannot be persisted; it is tried again with the next upkeep.
    pub fn upkeep(&self) -> Result<(), QueueError> {
        match &self.shared.directory {
            Some(directory) => self.shared.upkeep(directory),
            None => {
                self.shared.release();
                Ok(())
            }
        }
    }

    /// Finds out whether the medium takes anything, without an append.
    ///
    /// # Errors
    ///
    /// It does not, and why.
    pub fn probe(&self) -> Result<(), QueueError> {
        self.shared.directory.as_deref().map_or(Ok(()), |directory| self.shared.probe(directory))
    }

    /// What the log holds, and what happened to it.
    pub fn stats(&self) -> Stats {
        if self.shared.directory.is_none() {
            // There is no thread to look for what is too old.
            self.shared.release();
        }
        self.figures()
    }

    /// What the log holds as it stands.
    pub(super) fn figures(&self) -> Stats {
        let now = self.shared.now();
        self.shared.state().stats(now)
    }

    /// Why it does not do its work, if so: a thread of it died, or a reader gets an error from the medium.
    pub fn trouble(&self) -> Option<String> {
        self.shared.state().trouble()
    }

    /// Writes what waits, persists the cursors, and lets other processes have the directory. Appends are refused
    /// from now on; readers read on, but what is acknowledged after this is not persisted.
    ///
    /// # Errors
    ///
    /// If a cursor could not be persisted: some records will be delivered again.
    pub fn close(&self) -> Result<(), QueueError> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut self.shared.state().closing, true) {
            return Ok(());
        }
        self.shared.work.notify_all();
        for thread in threads.drain(..) {
            // One that panicked said so, and what it was writing was refused.
            let _ = thread.join();
        }
        self.shared.readable.notify();
        for cursor in &mut self.shared.state().cursors {
            cursor.count_taken(0..u64::MAX);
        }
        let persisted = self.upkeep();
        let mut io = self.shared.io();
        // The file too: whoever has the directory next may delete it.
        (io.active, io.lock) = (None, None);
        persisted
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // There is nobody left to tell; what is not persisted is delivered again.
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what is logged by this thread.
    #[derive(Default)]
    struct Lines(std::sync::atomic::AtomicUsize);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    /// Guarantees: a disk that takes nothing is a line or two, not one for each request and second.
    #[test]
    fn a_failing_disk_does_not_flood_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { cursors: vec!["mlflow".to_owned()], ..Options::default() };
        let (log, _) = Log::open(directory.path(), options, SystemDisk::new()).unwrap();
        let lines = Arc::new(Lines::default());
        tracing::subscriber::with_default(Arc::clone(&lines), || {
            for _ in 0..100 {
                log.shared.refuse(Vec::new(), std::io::ErrorKind::StorageFull.into());
                log.shared.state().cursors[0].dirty = true;
                log.shared.upkeep(&directory.path().join("missing")).unwrap_err();
            }
        });
        assert_eq!(lines.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    /// Guarantees: whatever is appended while the writer is busy is one write, with one sync.
    #[test]
    fn many_appends_are_one_write() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(directory.path(), Options::default(), SystemDisk::new()).unwrap();
        let busy = log.shared.io();
        let tickets: Vec<_> = (0..50).map(|_| log.append(Bytes::from_static(b"record"))).collect();
        drop(busy);
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        let stats = log.stats();
        assert_eq!((stats.appended_records, stats.writes), (50, 1));
    }
}
