//! What is known of one reader of the log: what it acknowledged, and what it is working on.

use std::collections::BTreeMap;
use std::ops::Range;

use super::sequences::Sequences;

/// A cursor.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) name: String,
    /// What needs no delivery: acknowledged, dropped, or lost.
    pub(super) done: Sequences,
    /// What was handed out and is not done, and when each was appended.
    pub(super) outstanding: BTreeMap<u64, u64>,
    /// When the newest record that was handed out was appended.
    pub(super) last_time: Option<u64>,
    /// Whether it has a reader.
    pub(super) reading: bool,
    /// Whether `done` differs from its file.
    pub(super) dirty: bool,
    pub(super) counts: Counts,
}

/// What became of the records of a cursor since the log was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) acked: u64,
    pub(super) dropped_records: u64,
    pub(super) dropped_bytes: u64,
    /// The dropped ones that were too old.
    pub(super) expired_records: u64,
    pub(super) damaged: u64,
}

impl Cursor {
    /// A cursor as its file has it.
    pub(super) fn new(name: String, done: Sequences) -> Self {
        Self {
            name,
            done,
            outstanding: BTreeMap::new(),
            last_time: None,
            reading: false,
            dirty: false,
            counts: Counts::default(),
        }
    }

    /// The first sequence that is not done.
    pub(super) fn floor(&self) -> u64 {
        self.done.first_missing(0)
    }

    /// Takes note that a range needs no delivery; returns how many of it did until now.
    fn finish(&mut self, range: Range<u64>) -> u64 {
        let handed_out: Vec<u64> =
            self.outstanding.range(range.clone()).map(|(&sequence, _)| sequence).collect();
        for sequence in handed_out {
            self.outstanding.remove(&sequence);
        }
        let new = self.done.insert(range);
        self.dirty |= new > 0;
        new
    }

    /// Its reader delivered a range.
    pub(super) fn ack(&mut self, range: Range<u64>) {
        self.counts.acked += self.finish(range);
    }

    /// A limit took a range away; `bytes_of` tells the bytes of so many of it.
    pub(super) fn drop_range(&mut self, range: Range<u64>, bytes_of: impl FnOnce(u64) -> u64) {
        let records = self.finish(range);
        self.counts.dropped_records += records;
        self.counts.dropped_bytes += bytes_of(records);
    }

    /// As [`Self::drop_range`], because of age.
    pub(super) fn expire_range(&mut self, range: Range<u64>, bytes_of: impl FnOnce(u64) -> u64) {
        let before = self.counts.dropped_records;
        self.drop_range(range, bytes_of);
        self.counts.expired_records += self.counts.dropped_records - before;
    }

    /// Damage took a range away.
    pub(super) fn lose(&mut self, range: Range<u64>) {
        self.counts.damaged += self.finish(range);
    }
}
