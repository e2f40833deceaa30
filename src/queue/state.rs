//! What a log knows without reading: its segments, its cursors, and what waits to be written.

use std::collections::VecDeque;

use bytes::Bytes;

use super::QueueError;
use super::cursor::{Cursor, Unread};
use super::options::{Options, WEIGHED_BYTES, Weigh, WhenFull};
use super::record::HEADER_BYTES;
use super::segment::{Body, Segment, SegmentId};
use super::ticket::Answer;

/// A record that waits to be written.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) payload: Bytes,
    pub(super) crc: u32,
    /// Milliseconds since the Unix epoch.
    pub(super) time: u64,
    /// Who waits for it; nobody if it was answered already.
    pub(super) answer: Option<Answer>,
}

impl Pending {
    /// Bytes that it takes in a segment.
    pub(super) fn bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.payload.len() as u64
    }
}

/// A file that is to be deleted.
#[derive(Debug)]
pub(super) struct Grave {
    pub(super) id: SegmentId,
    /// Bytes that may be read.
    pub(super) bytes: u64,
    /// What is lost with it.
    pub(super) unread: Vec<Unread>,
}

impl Grave {
    /// A file in which nothing is that somebody needs.
    pub(super) fn of(id: SegmentId) -> Self {
        Self { id, bytes: 0, unread: Vec::new() }
    }
}

/// What happened since the log was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogCounts {
    pub(super) appended_records: u64,
    pub(super) appended_bytes: u64,
    pub(super) refused_records: u64,
    pub(super) damaged_records: u64,
    pub(super) damaged_bytes: u64,
    pub(super) writes: u64,
    pub(super) write_errors: u64,
    pub(super) unwritten_records: u64,
    pub(super) unwritten_weight: u64,
}

/// What a log knows without reading.
#[derive(Debug)]
pub(super) struct State {
    /// Segments with records, in order.
    pub(super) segments: VecDeque<Segment>,
    /// The sequence of the next record.
    pub(super) next: u64,
    pub(super) pending: VecDeque<Pending>,
    /// Bytes of `pending`, and of what is being written.
    pub(super) pending_bytes: u64,
    pub(super) cursors: Vec<Cursor>,
    /// Files that are to be deleted.
    pub(super) graveyard: Vec<Grave>,
    pub(super) counts: LogCounts,
    /// Bytes of damaged data that may still be set aside.
    pub(super) corrupt_left: u64,
    /// Somebody needs room, or a segment can be deleted.
    pub(super) upkeep_asked: bool,
    /// The medium had no room for the last write.
    pub(super) medium_full: bool,
    pub(super) closing: bool,
    /// The thread of the log that panicked.
    pub(super) died: Option<&'static str>,
    /// Records that are being written and for which nobody waits, and what they weigh.
    pub(super) unanswered: (u64, u64),
    /// What a record weighs.
    weigh: Weigh,
}

impl State {
    /// A log without records whose next one has the sequence `next`.
    pub(super) fn new(next: u64, cursors: Vec<Cursor>, corrupt_left: u64, weigh: Weigh) -> Self {
        Self {
            segments: VecDeque::new(),
            next,
            pending: VecDeque::new(),
            pending_bytes: 0,
            cursors,
            graveyard: Vec::new(),
            counts: LogCounts::default(),
            corrupt_left,
            upkeep_asked: false,
            medium_full: false,
            closing: false,
            died: None,
            unanswered: (0, 0),
            weigh,
        }
    }

    /// Bytes of the segments.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Whether a record of so many bytes, header included, may be appended now.
    pub(super) fn admit(&mut self, bytes: u64, options: &Options) -> Result<(), QueueError> {
        let retry_after = options.retry_after;
        if self.closing {
            return Err(QueueError::Closed);
        }
        if let Some(thread) = self.died {
            return Err(QueueError::Died { thread, retry_after });
        }
        let limit = options.max_bytes.min(HEADER_BYTES as u64 + u64::from(options.record_bytes));
        if bytes > limit {
            let header = HEADER_BYTES as u64;
            return Err(QueueError::TooLarge { bytes: bytes - header, limit: limit.saturating_sub(header) });
        }
        if self.pending_bytes > 0 && self.pending_bytes + bytes > options.pending_bytes {
            return Err(QueueError::Busy { bytes: self.pending_bytes, retry_after });
        }
        let held = self.stored_bytes() + self.pending_bytes;
        if options.when_full == WhenFull::Refuse && held + bytes > options.max_bytes {
            // What is delivered already may be in a segment that is not deleted yet.
            self.upkeep_asked = true;
            return Err(QueueError::Full { bytes: held, limit: options.max_bytes, retry_after });
        }
        Ok(())
    }

    /// Gives up the oldest segment, delivered or not. Says whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(segment) = self.segments.pop_front() else { return false };
        self.give_up(segment, false);
        true
    }

    /// A limit takes a segment.
    fn give_up(&mut self, segment: Segment, expired: bool) {
        let mut unread = Vec::new();
        for (number, cursor) in self.cursors.iter_mut().enumerate() {
            let ranges = cursor.drop_range(0..segment.end, expired, |records| segment.bytes_of(records));
            unread.extend(ranges.into_iter().map(|range| Unread { cursor: number, range, expired }));
        }
        let Body::Memory(records) = &segment.body else {
            return self.graveyard.push(Grave { id: segment.id, bytes: segment.bytes, unread });
        };
        let weights: Vec<_> = segment
            .sequences()
            .zip(records)
            .map(|(sequence, (_, payload))| (sequence, self.weight(payload)))
            .collect();
        self.count_weights(&unread, &weights);
    }

    /// The next file to delete; those that are known to be of no use to anybody first.
    pub(super) fn next_grave(&mut self) -> Option<Grave> {
        let known = self.graveyard.iter().position(|grave| grave.unread.is_empty()).unwrap_or(0);
        (known < self.graveyard.len()).then(|| self.graveyard.remove(known))
    }

    /// What a record weighs.
    pub(super) fn weight(&self, payload: &[u8]) -> u64 {
        (self.weigh)(payload.get(..WEIGHED_BYTES).unwrap_or(payload), payload.len())
    }

    /// Counts for the cursors what they lost, by the weights of records in order of their sequences.
    pub(super) fn count_weights(&mut self, unread: &[Unread], weights: &[(u64, u64)]) {
        for lost in unread {
            let before = |limit: u64| weights.partition_point(|(sequence, _)| *sequence < limit);
            let records = weights.get(before(lost.range.start)..before(lost.range.end)).unwrap_or_default();
            if let Some(cursor) = self.cursors.get_mut(lost.cursor) {
                cursor.counts.weighed(records.iter().map(|(_, weight)| weight).sum(), lost.expired);
            }
        }
    }

    /// Gives up the oldest segments until so many bytes more fit in.
    pub(super) fn make_room(&mut self, bytes: u64, max_bytes: u64) {
        while self.stored_bytes() + bytes > max_bytes && self.drop_oldest() {}
    }

    /// Gives up segments whose newest record was appended before `oldest`.
    pub(super) fn expire(&mut self, oldest: u64) {
        while self.segments.front().is_some_and(|segment| segment.times.1 < oldest) {
            let Some(segment) = self.segments.pop_front() else { return };
            self.give_up(segment, true);
        }
    }

    pub(super) fn bury(&mut self, segment: &Segment) {
        if !segment.is_in_memory() {
            self.graveyard.push(Grave::of(segment.id));
        }
    }

    /// Takes note of records that are where they should be.
    pub(super) fn publish(&mut self, id: SegmentId, records: &[Pending], now: u64) {
        let bytes: u64 = records.iter().map(Pending::bytes).sum();
        if self.segments.back().is_none_or(|segment| segment.id != id) {
            self.segments.push_back(Segment::new(id, Body::File, now));
        }
        let times =
            records.first().zip(records.last()).map_or((now, now), |(first, last)| (first.time, last.time));
        if let Some(segment) = self.segments.back_mut() {
            segment.grow(records.len() as u64, bytes, times.0, times.1);
        }
        self.next += records.len() as u64;
        self.unanswered = (0, 0);
        self.medium_full = false;
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.count_appended(records.len() as u64, bytes);
    }

    /// Appends a record in memory.
    pub(super) fn publish_in_memory(&mut self, record: Pending, segment_limit: u64) {
        let bytes = record.bytes();
        if self.segments.back().is_none_or(|segment| segment.bytes + bytes > segment_limit) {
            let id = SegmentId { base: self.next, tag: self.next };
            self.segments.push_back(Segment::new(id, Body::Memory(Vec::new()), record.time));
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.grow(1, bytes, record.time, record.time);
            if let Body::Memory(records) = &mut segment.body {
                records.push((record.time, record.payload));
            }
        }
        self.next += 1;
        self.count_appended(1, bytes);
    }

    fn count_appended(&mut self, records: u64, bytes: u64) {
        self.counts.appended_records += records;
        self.counts.appended_bytes += bytes;
        self.counts.writes += 1;
    }
}
