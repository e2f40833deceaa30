//! What can go wrong with a log, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a log could not be opened, appended to or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Options that make no sense.
    #[error("queue options: {problem}")]
    Options {
        /// What to change.
        problem: &'static str,
    },
    /// Another process has the directory.
    #[error(
        "the queue directory {} is in use by {}: stop that process, or give this one a directory of its own",
        directory.display(),
        holder.as_deref().unwrap_or("another process")
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// Who has it, as far as it said.
        holder: Option<String>,
    },
    /// The directory cannot be used at all.
    #[error("cannot open the queue directory {}: check that it exists and may be written", directory.display())]
    Open {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The queue holds as much as it may.
    #[error("the queue is full ({bytes} of {limit} bytes): try again when something was delivered")]
    Full {
        /// Bytes that are held.
        bytes: u64,
        /// Bytes that may be held.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// More waits for the writer than may.
    #[error("the queue cannot write as fast as requests arrive ({bytes} bytes are waiting): try again later")]
    Busy {
        /// Bytes that wait.
        bytes: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The record is larger than any that the queue takes; trying again does not help.
    #[error("a record of {bytes} bytes is larger than the queue takes ({limit} bytes): send less at once")]
    TooLarge {
        /// Bytes of the record.
        bytes: u64,
        /// Bytes that a record may have.
        limit: u64,
    },
    /// The medium has no room.
    #[error("the disk of the queue is full: free some room; the queue goes on by itself")]
    DiskFull {
        /// When to try again.
        retry_after: Duration,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The medium failed to take a record.
    #[error("the disk of the queue failed to take a record: check the disk; the queue tries a new file")]
    Write {
        /// When to try again.
        retry_after: Duration,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A thread of the log panicked: nothing is taken any more.
    #[error("the thread {thread} of the queue died: restart this process, and please report it")]
    Died {
        /// The thread.
        thread: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The medium failed to give a record; the same read may succeed later.
    #[error("the disk of the queue failed to give a record of {segment}: check the disk")]
    Read {
        /// The file.
        segment: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file of a record was deleted.
    #[error("the queue does not have {segment} any more: a limit took it, or somebody deleted it")]
    Gone {
        /// The file.
        segment: String,
    },
    /// A record is not what was written any more.
    #[error("the disk of the queue has damaged a record of {segment}: check the disk")]
    Damaged {
        /// The file.
        segment: String,
    },
    /// The state of the cursors could not be written: a restart would deliver more again than it should.
    #[error("the disk of the queue failed to take the state of cursor `{cursor}`: check the disk")]
    Persist {
        /// The cursor.
        cursor: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The log was opened without this cursor.
    #[error("the queue was opened without a cursor `{name}`: name it in the options")]
    UnknownCursor {
        /// The name.
        name: String,
    },
    /// A cursor has one reader at a time.
    #[error("cursor `{name}` already has a reader: drop that one first")]
    CursorInUse {
        /// The name.
        name: String,
    },
    /// The log was closed.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// When to try again, for an append where that can help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { retry_after, .. }
            | Self::Busy { retry_after, .. }
            | Self::DiskFull { retry_after, .. }
            | Self::Write { retry_after, .. }
            | Self::Died { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether a file could not be read for a reason that lies not with its medium, and which somebody can mend.
    pub fn is_the_machines(&self) -> bool {
        matches!(self, Self::Read { source, .. } if is_the_machines(source))
    }

    /// What a failed write means to the one who appended.
    pub(super) fn of_write(source: io::Error, retry_after: Duration) -> Self {
        let full = is_full(&source);
        let source = Arc::new(source);
        if full { Self::DiskFull { retry_after, source } } else { Self::Write { retry_after, source } }
    }
}

/// Whether the medium, or a quota on it, has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file cannot be opened for a reason that lies not with its medium: rights, or a limit of the machine.
/// Somebody can mend that, so what the file has is not given up.
pub(super) fn is_the_machines(error: &io::Error) -> bool {
    // ENFILE and EMFILE, everywhere.
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(23 | 24))
}
