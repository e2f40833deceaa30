//! What a log, its threads and its readers share.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::active::Active;
use super::disk::{Disk, DiskFile};
use super::event::Event;
use super::flood::Floods;
use super::options::Options;
use super::segment::SegmentId;
use super::state::State;

/// What a log, its threads and its readers share. Locks are taken in the order `upkeep`, `io`, `state`.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) disk: Arc<dyn Disk>,
    /// Where the segments are; `None` for a log in memory.
    pub(super) directory: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while segments are written or given up.
    io: Mutex<Io>,
    /// Held while files are looked after.
    pub(super) upkeep: Mutex<()>,
    /// There is something to do for the threads of the log.
    pub(super) work: Condvar,
    /// There may be something for readers.
    pub(super) readable: Event,
    /// What a bad disk would say too often.
    pub(super) floods: Floods,
}

/// What only one may do at a time.
#[derive(Default)]
pub(super) struct Io {
    /// The segment that is appended to.
    pub(super) active: Option<Active>,
    /// How many segments were made in this directory, as far as files tell.
    pub(super) generation: u32,
    /// Keeps other processes out while it is there.
    pub(super) lock: Option<Box<dyn Send + Sync>>,
}

impl Shared {
    /// A log of that state.
    pub(super) fn new(
        options: Options,
        disk: Arc<dyn Disk>,
        directory: Option<PathBuf>,
        state: State,
        io: Io,
    ) -> Self {
        Self {
            options,
            disk,
            directory,
            state: Mutex::new(state),
            io: Mutex::new(io),
            upkeep: Mutex::new(()),
            work: Condvar::new(),
            readable: Event::default(),
            floods: Floods::default(),
        }
    }

    /// The state. Every change of it is whole, so a panic elsewhere leaves it fit for use.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to write.
    pub(super) fn io(&self) -> MutexGuard<'_, Io> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of a segment.
    pub(super) fn open_segment(&self, id: SegmentId) -> io::Result<Box<dyn DiskFile>> {
        let directory = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.disk.open(&directory.join(id.file_name()))
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.disk.now().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time before which a record is too old.
    pub(super) fn oldest_allowed(&self) -> Option<u64> {
        let age = u64::try_from(self.options.max_age?.as_millis()).unwrap_or(u64::MAX);
        Some(self.now().saturating_sub(age))
    }

    /// Has what is not needed let go of: files soon, memory now.
    pub(super) fn ask_for_upkeep(&self) {
        if self.directory.is_none() {
            return self.release();
        }
        self.state().upkeep_asked = true;
        self.work.notify_all();
    }
}
