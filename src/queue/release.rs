//! Which segments are let go of because everything in them is delivered.

use super::cursor::Cursor;
use super::segment::Segment;
use super::sequences::Sequences;
use super::state::State;

impl State {
    /// Whether every cursor is done with a segment, going by these sequences of it.
    fn is_done(&self, segment: &Segment, done: impl Fn(&Cursor) -> &Sequences) -> bool {
        let by = |cursor| done(cursor).count(segment.sequences()) == segment.records();
        !self.cursors.is_empty() && self.cursors.iter().all(by)
    }

    /// Whether the segment of a sequence is not needed any more; the newest only if it may be let go of at any size.
    pub(super) fn is_deletable(&self, sequence: u64) -> bool {
        let Some(segment) = self.segment_from(sequence) else { return false };
        let newest = self.segments.back().is_some_and(|newest| newest.id == segment.id);
        let may_go = !newest || self.medium_full || segment.is_in_memory();
        may_go && self.is_done(segment, |cursor| &cursor.done)
    }

    /// Lets go of the segments that every cursor is done with; of the newest only if it has at least `newest_bytes`.
    /// Says whether there were any.
    ///
    /// A segment that stays, perhaps for one record that no exporter can deliver, keeps none after it. But the files
    /// are read again by the next run, to which only the files of the cursors explain a gap between them: so that
    /// behind the first file that stays, what is done has to be persisted as well.
    pub(super) fn release_done(&mut self, newest_bytes: u64) -> bool {
        let newest = self.segments.back().map(|segment| segment.id);
        let before = self.segments.len();
        for segment in std::mem::take(&mut self.segments) {
            let small = newest == Some(segment.id) && segment.bytes < newest_bytes && !segment.is_in_memory();
            let in_front = self.segments.is_empty() || segment.is_in_memory();
            let done =
                self.is_done(&segment, |cursor| if in_front { &cursor.done } else { &cursor.persisted });
            if done && !small {
                self.bury(&segment);
            } else {
                self.segments.push_back(segment);
            }
        }
        self.segments.len() < before
    }
}
