//! The reading side of the state: where a cursor goes on, and what it makes of what it finds there.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::QueueError;
use super::cursor::HandedOut;
use super::record::HEADER_BYTES;
use super::segment::{Body, Segment, SegmentId};
use super::state::State;

/// Where a cursor finds its next record.
#[derive(Debug)]
pub(super) enum Place {
    /// Nowhere, for now.
    Nothing,
    /// These are in no segment.
    Missing(Range<u64>),
    /// In a file, of which `limit` bytes may be read; the first of `wanted` that is there.
    File {
        /// The segment.
        id: SegmentId,
        /// Bytes that may be read.
        limit: u64,
        /// From the first sequence that is not done to the end of the segment.
        wanted: Range<u64>,
    },
    /// In memory.
    Memory {
        /// Its sequence.
        sequence: u64,
        /// When it was appended.
        time: u64,
        /// The record.
        payload: Bytes,
    },
}

impl State {
    /// Where a cursor finds its first record from `from` on that is not done, if it may have another.
    pub(super) fn place(&self, cursor: usize, from: u64, outstanding: usize) -> Place {
        let Some(cursor) = self.cursors.get(cursor) else { return Place::Nothing };
        let first = cursor.done.first_missing(from);
        if first >= self.next || cursor.handed_out() >= outstanding {
            return Place::Nothing;
        }
        match self.segment_from(first) {
            None => Place::Missing(first..self.next),
            Some(segment) if segment.id.base > first => Place::Missing(first..segment.id.base),
            Some(segment) => place_in(segment, first),
        }
    }

    /// The first segment that ends after a sequence.
    pub(super) fn segment_from(&self, sequence: u64) -> Option<&Segment> {
        self.segments.get(self.segments.partition_point(|segment| segment.end <= sequence))
    }

    fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        let at = self.segments.partition_point(|segment| segment.id < id);
        self.segments.get_mut(at).filter(|segment| segment.id == id)
    }

    /// Whether a segment is still kept.
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.segments.binary_search_by_key(&id, |segment| segment.id).is_ok()
    }

    /// Takes note that a record goes to a cursor's reader; says whether it should, or is done already.
    pub(super) fn hand_out(&mut self, cursor: usize, sequence: u64, time: u64, payload: &[u8]) -> bool {
        let weight = self.weight(payload);
        let Some(cursor) = self.cursors.get_mut(cursor) else { return false };
        if cursor.done.contains(sequence) {
            return false;
        }
        cursor.outstanding.insert(sequence, HandedOut { time, weight });
        cursor.last_time = Some(time);
        true
    }

    /// Takes note that sequences are not where a cursor looked for them.
    pub(super) fn lose(&mut self, cursor: usize, id: Option<SegmentId>, range: Range<u64>) {
        if let Some(segment) = id.and_then(|id| self.segment_mut(id)) {
            let new = segment.lost.insert(range.clone());
            self.counts.damaged_records += new;
        }
        if let Some(cursor) = self.cursors.get_mut(cursor) {
            cursor.lose(range);
        }
    }

    /// Takes note that a record is too old for a cursor.
    pub(super) fn expire_record(&mut self, cursor: usize, sequence: u64, payload: &[u8]) {
        let (bytes, weight) = ((HEADER_BYTES + payload.len()) as u64, self.weight(payload));
        let Some(cursor) = self.cursors.get_mut(cursor) else { return };
        let unread = cursor.drop_range(sequence..sequence + 1, true, |records| records * bytes);
        if !unread.is_empty() {
            cursor.counts.weighed(weight, true);
        }
    }

    /// Takes note of damaged bytes; returns how many of them should be set aside: none if they were found before.
    pub(super) fn damaged(&mut self, id: SegmentId, range: Range<u64>) -> u64 {
        let new = self.segment_mut(id).is_some_and(|segment| segment.damage.insert(range.start));
        if !new {
            return 0;
        }
        let bytes = range.end - range.start;
        self.counts.damaged_bytes += bytes;
        let kept = bytes.min(self.corrupt_left);
        self.corrupt_left -= kept;
        kept
    }

    /// Takes note of an acknowledgement; says whether the reader may go on because of it, and whether a segment
    /// may be deleted because of it.
    pub(super) fn ack(&mut self, cursor: usize, range: Range<u64>, outstanding: usize) -> (bool, bool) {
        let end = range.end.min(self.next);
        let Some(cursor) = self.cursors.get_mut(cursor) else { return (false, false) };
        let blocked = cursor.handed_out() >= outstanding;
        cursor.ack(range.start..end.max(range.start));
        (blocked, self.is_deletable(range.start) || self.is_deletable(end.saturating_sub(1)))
    }

    /// Whether a record that a cursor's reader has should be delivered: not if a limit took it, or it is older than
    /// `oldest`. Then it is counted as lost.
    pub(super) fn is_wanted(&mut self, cursor: usize, sequence: u64, oldest: Option<u64>) -> bool {
        let bytes = self.segment_from(sequence).map_or(0, |segment| segment.bytes_of(1));
        let Some(cursor) = self.cursors.get_mut(cursor) else { return false };
        let handed_out = cursor.outstanding.get(&sequence);
        if handed_out.zip(oldest).is_some_and(|(handed_out, oldest)| handed_out.time < oldest) {
            cursor.drop_range(sequence..sequence + 1, true, |records| records * bytes);
        }
        cursor.count_taken(sequence..sequence + 1);
        !cursor.done.contains(sequence)
    }

    /// Why the log does not do its work.
    pub(super) fn trouble(&self) -> Option<String> {
        let died =
            self.died.map(|thread| QueueError::Died { thread, retry_after: Duration::ZERO }.to_string());
        died.or_else(|| self.cursors.iter().find_map(|cursor| cursor.trouble.clone()))
    }
}

fn place_in(segment: &Segment, first: u64) -> Place {
    let Body::Memory(records) = &segment.body else {
        return Place::File { id: segment.id, limit: segment.bytes, wanted: first..segment.end };
    };
    let at = usize::try_from(first - segment.id.base).ok();
    match at.and_then(|at| records.get(at)) {
        Some((time, payload)) => Place::Memory { sequence: first, time: *time, payload: payload.clone() },
        None => Place::Missing(first..segment.end),
    }
}
