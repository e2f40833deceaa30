//! Figures of a log, for metrics and readiness.

use std::time::Duration;

use super::cursor::Cursor;
use super::state::State;

/// What a log holds, and what happened to it since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records in segments, delivered ones included until their segment is deleted.
    pub records: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Bytes that wait to be written.
    pub pending_bytes: u64,
    /// Records that were accepted and written.
    pub appended_records: u64,
    /// Their bytes, headers included.
    pub appended_bytes: u64,
    /// Records that were refused, for whatever reason.
    pub refused_records: u64,
    /// Records that were accepted into memory alone, and could not be written before the end.
    pub unwritten_records: u64,
    /// What they [weigh](super::Options::weigh).
    pub unwritten_weight: u64,
    /// Writes, each of one or many records; as many syncs, if the log syncs.
    pub writes: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Records that were found damaged or missing.
    pub damaged_records: u64,
    /// Bytes that were found damaged.
    pub damaged_bytes: u64,
    /// The cursors.
    pub cursors: Vec<CursorStats>,
}

/// What a cursor has to do, and what it did since the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorStats {
    /// Its name.
    pub name: String,
    /// Records that are not delivered.
    pub records: u64,
    /// Their bytes; of a segment that is partly delivered, its average.
    pub bytes: u64,
    /// Records that its reader has and did not acknowledge.
    pub outstanding: usize,
    /// Age of the oldest record that is not delivered: exact if its reader has it, else at most this.
    pub oldest: Option<Duration>,
    /// Records that were acknowledged.
    pub acked_records: u64,
    /// Records that a limit took before they were delivered; of those that the reader has, the ones whose delivery
    /// ended without success (see [`Acker::is_wanted`](super::Acker::is_wanted)).
    pub dropped_records: u64,
    /// Those of them that were too old.
    pub expired_records: u64,
    /// Bytes of the dropped; of a segment that was partly delivered, its average.
    pub dropped_bytes: u64,
    /// What the dropped [weigh](super::Options::weigh): known once their segment is deleted.
    pub dropped_weight: u64,
    /// What of it was too old.
    pub expired_weight: u64,
    /// Records that damage took before they were delivered.
    pub damaged_records: u64,
}

impl State {
    /// The figures at `now`, in milliseconds since the Unix epoch.
    pub(super) fn stats(&self, now: u64) -> Stats {
        let counts = self.counts;
        Stats {
            records: self.segments.iter().map(|segment| segment.records()).sum(),
            bytes: self.stored_bytes(),
            segments: self.segments.len(),
            pending_bytes: self.pending_bytes,
            appended_records: counts.appended_records,
            appended_bytes: counts.appended_bytes,
            refused_records: counts.refused_records,
            unwritten_records: counts.unwritten_records,
            unwritten_weight: counts.unwritten_weight,
            writes: counts.writes,
            write_errors: counts.write_errors,
            damaged_records: counts.damaged_records,
            damaged_bytes: counts.damaged_bytes,
            cursors: self.cursors.iter().map(|cursor| self.cursor_stats(cursor, now)).collect(),
        }
    }

    fn cursor_stats(&self, cursor: &Cursor, now: u64) -> CursorStats {
        let (mut records, mut bytes) = (0, 0);
        for segment in &self.segments {
            let left = segment.records() - cursor.done.count(segment.sequences());
            records += left;
            bytes += segment.bytes_of(left);
        }
        let oldest = (records > 0).then(|| self.oldest_time(cursor)).flatten();
        CursorStats {
            name: cursor.name.clone(),
            records,
            bytes,
            outstanding: cursor.handed_out(),
            oldest: oldest.map(|time| Duration::from_millis(now.saturating_sub(time))),
            acked_records: cursor.counts.acked,
            dropped_records: cursor.counts.dropped_records,
            expired_records: cursor.counts.expired_records,
            dropped_bytes: cursor.counts.dropped_bytes,
            dropped_weight: cursor.counts.dropped_weight,
            expired_weight: cursor.counts.expired_weight,
            damaged_records: cursor.counts.damaged,
        }
    }

    /// When the oldest record was appended that a cursor has to deliver, or some time before.
    fn oldest_time(&self, cursor: &Cursor) -> Option<u64> {
        let floor = cursor.floor();
        if let Some((_, handed_out)) = cursor.outstanding.first_key_value() {
            return Some(handed_out.time);
        }
        let segment = self.segments.iter().find(|segment| segment.end > floor)?;
        // Records are appended in order of time, so what was not read is no older than what was.
        Some(segment.times.0.max(cursor.last_time.unwrap_or(0)))
    }
}
