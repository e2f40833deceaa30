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
    /// What of that its file has.
    pub(super) persisted: Sequences,
    /// What was handed out and is not done.
    pub(super) outstanding: BTreeMap<u64, HandedOut>,
    /// What was handed out and then taken by a limit: counted when it is known that it was not delivered after all.
    taken: BTreeMap<u64, Taken>,
    /// When the newest record that was handed out was appended.
    pub(super) last_time: Option<u64>,
    /// Whether it has a reader.
    pub(super) reading: bool,
    /// Why its reader cannot read on.
    pub(super) trouble: Option<String>,
    /// Whether `done` differs from its file.
    pub(super) dirty: bool,
    pub(super) counts: Counts,
}

/// A record that the reader has.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandedOut {
    /// When it was appended.
    pub(super) time: u64,
    pub(super) weight: u64,
}

/// A record that a limit took while the reader had it.
#[derive(Clone, Copy, Debug)]
struct Taken {
    bytes: u64,
    weight: u64,
    expired: bool,
}

/// Records that a limit took before anybody read them: what they weigh is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// The number of the cursor that had to deliver them.
    pub(super) cursor: usize,
    pub(super) range: Range<u64>,
    pub(super) expired: bool,
}

/// What became of the records of a cursor since the log was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) acked: u64,
    pub(super) dropped_records: u64,
    pub(super) dropped_bytes: u64,
    pub(super) dropped_weight: u64,
    /// The dropped ones that were too old.
    pub(super) expired_records: u64,
    pub(super) expired_weight: u64,
    pub(super) damaged: u64,
}

impl Cursor {
    /// A cursor as its file has it.
    pub(super) fn new(name: String, done: Sequences) -> Self {
        Self {
            name,
            persisted: done.clone(),
            done,
            outstanding: BTreeMap::new(),
            taken: BTreeMap::new(),
            last_time: None,
            reading: false,
            trouble: None,
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

    /// Records that its reader has, whether still wanted or not.
    pub(super) fn handed_out(&self) -> usize {
        self.outstanding.len() + self.taken.len()
    }

    /// Its reader delivered a range.
    pub(super) fn ack(&mut self, range: Range<u64>) {
        let late: Vec<u64> = self.taken.range(range.clone()).map(|(&sequence, _)| sequence).collect();
        for sequence in &late {
            self.taken.remove(sequence);
        }
        self.counts.acked += self.finish(range) + late.len() as u64;
    }

    /// A limit took a range away; `bytes_of` tells the bytes of so many of it. What the reader has of it is counted
    /// later, by [`Self::count_taken`] or [`Self::ack`]. Returns the parts of which the weight is not known.
    pub(super) fn drop_range(
        &mut self,
        range: Range<u64>,
        expired: bool,
        bytes_of: impl Fn(u64) -> u64,
    ) -> Vec<Range<u64>> {
        let held: Vec<(u64, u64)> =
            self.outstanding.range(range.clone()).map(|(&sequence, held)| (sequence, held.weight)).collect();
        let unread = without(self.done.missing(range.clone()), &held);
        let records = self.finish(range);
        let each = bytes_of(1);
        let (held_records, held_bytes) = (held.len() as u64, each * held.len() as u64);
        let taken = |(sequence, weight)| (sequence, Taken { bytes: each, weight, expired });
        self.taken.extend(held.into_iter().map(taken));
        let bytes = bytes_of(records).saturating_sub(held_bytes);
        self.counts.dropped(records.saturating_sub(held_records), bytes, expired);
        unread
    }

    /// The delivery of a range has ended: what a limit took of it is lost.
    pub(super) fn count_taken(&mut self, range: Range<u64>) {
        let lost: Vec<(u64, Taken)> =
            self.taken.range(range).map(|(&sequence, &taken)| (sequence, taken)).collect();
        for (sequence, taken) in lost {
            self.taken.remove(&sequence);
            self.counts.dropped(1, taken.bytes, taken.expired);
            self.counts.weighed(taken.weight, taken.expired);
        }
    }

    /// Damage took a range away.
    pub(super) fn lose(&mut self, range: Range<u64>) {
        self.counts.damaged += self.finish(range);
    }
}

/// Ranges without some sequences; both in order.
fn without(ranges: Vec<Range<u64>>, held: &[(u64, u64)]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut held = held.iter().map(|&(sequence, _)| sequence).peekable();
    for Range { start, end } in ranges {
        let mut from = start;
        while let Some(sequence) = held.next_if(|&sequence| sequence < end) {
            left.push(from..sequence.max(from));
            from = from.max(sequence + 1);
        }
        left.push(from..end);
    }
    left.retain(|range| !range.is_empty());
    left
}

impl Counts {
    fn dropped(&mut self, records: u64, bytes: u64, expired: bool) {
        self.dropped_records += records;
        self.dropped_bytes += bytes;
        if expired {
            self.expired_records += records;
        }
    }

    /// Dropped records weigh so much.
    pub(super) fn weighed(&mut self, weight: u64, expired: bool) {
        self.dropped_weight += weight;
        if expired {
            self.expired_weight += weight;
        }
    }
}
