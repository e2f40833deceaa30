//! What a log is allowed to keep, and what it promises of it.

use std::time::Duration;

use super::QueueError;

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// As soon as the record is in memory: lost when the process dies before the writer gets to it.
    Memory,
    /// When the operating system has it: survives the process, not the machine.
    Written,
    /// When it is on the medium: survives a power loss.
    #[default]
    Fsynced,
}

/// What happens to a record for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused, with a hint when to try again.
    #[default]
    Refuse,
    /// The oldest segments make room, whether delivered or not; each cursor counts what it lost.
    DropOldest,
}

/// Limits and promises of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cursors: one per exporter. A segment is kept until all of these are done with it, so the log has to know
    /// them before it deletes anything. Cursors of earlier runs that are not named hold nothing back.
    pub cursors: Vec<String>,
    /// When an append is answered. Without meaning for [`Log::memory`](super::Log::memory).
    pub durability: Durability,
    /// What happens when `max_bytes` are reached.
    pub when_full: WhenFull,
    /// Bytes that the segments, and what waits to be written, may have together.
    pub max_bytes: u64,
    /// Age at which a record is given up; `None` is never.
    pub max_age: Option<Duration>,
    /// Bytes of a segment, the unit in which space is freed; at most an eighth of `max_bytes` is used. A larger
    /// record gets a segment of its own.
    pub segment_bytes: u64,
    /// Bytes of a record; a larger one is refused for good.
    pub record_bytes: u32,
    /// Bytes that may wait in memory for the writer; beyond, appends are refused with a hint.
    pub pending_bytes: u64,
    /// Records that a reader may have handed out and not yet acknowledged; then it gives no more.
    pub outstanding: usize,
    /// How often cursors are persisted and segments deleted. What was acknowledged since is delivered again after
    /// a crash.
    pub upkeep_interval: Duration,
    /// The hint in errors that ask to try again.
    pub retry_after: Duration,
    /// How long a reader reports a place that the medium fails to read before it gives the place up as damaged.
    pub read_patience: Duration,
    /// Bytes of damaged data that are set aside; beyond, damage is only counted.
    pub corrupt_bytes: u64,
    /// What a record counts for in figures of what is lost, such as the number of things in it.
    pub weigh: Weigh,
}

/// Weighs a record by its first [`WEIGHED_BYTES`], which may be damaged, and its length.
pub type Weigh = fn(&[u8], usize) -> u64;

/// How much of a record is looked at to weigh it.
pub const WEIGHED_BYTES: usize = 64;

impl Default for Options {
    fn default() -> Self {
        Self {
            cursors: Vec::new(),
            durability: Durability::default(),
            when_full: WhenFull::default(),
            max_bytes: 1 << 30,
            max_age: None,
            segment_bytes: 64 << 20,
            record_bytes: 64 << 20,
            pending_bytes: 128 << 20,
            outstanding: 16_384,
            upkeep_interval: Duration::from_secs(1),
            retry_after: Duration::from_secs(1),
            read_patience: Duration::from_secs(60),
            corrupt_bytes: 64 << 20,
            weigh: |_, _| 0,
        }
    }
}

impl Options {
    /// Refuses what makes no sense.
    pub(super) fn validate(&self) -> Result<(), QueueError> {
        let unique: std::collections::BTreeSet<_> = self.cursors.iter().collect();
        let problem = if self.max_bytes == 0 {
            "`max_bytes` is 0: give the queue room"
        } else if self.segment_bytes == 0 {
            "`segment_bytes` is 0: give a segment room for some records"
        } else if self.outstanding == 0 {
            "`outstanding` is 0: a reader must be able to hand out a record"
        } else if unique.len() != self.cursors.len() || unique.iter().any(|name| name.is_empty()) {
            "cursor names must be there and differ"
        } else {
            return Ok(());
        };
        Err(QueueError::Options { problem })
    }

    /// The size at which a segment is closed.
    pub(super) fn segment_limit(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 8).max(1)
    }
}
