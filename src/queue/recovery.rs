//! Opening a directory that an earlier run left, in whatever state.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::QueueError;
use super::cursor::Cursor;
use super::cursor_file;
use super::damage;
use super::disk::{Disk, Entry, Holder};
use super::flood::Flood;
use super::options::Options;
use super::record::{HEADER_BYTES, Header, MAGIC, SEQUENCE_LIMIT};
use super::scan::{Found, Scanner};
use super::segment::{Body, Segment, SegmentId};
use super::sequences::Sequences;
use super::shared::Io;
use super::state::State;
use super::window::Window;

/// What was found in the directory of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Records that are kept, delivered ones included. Only the newest segment was read: damage elsewhere is found
    /// and counted when it is delivered.
    pub records: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Bytes of an unfinished record that were cut off.
    pub torn_bytes: u64,
    /// Bytes in the newest segment that are damaged, at its end too if they were a whole record; they are set aside.
    pub damaged_bytes: u64,
    /// Cursors that start over because their file is damaged: what they acknowledged is delivered again.
    pub reset_cursors: Vec<String>,
    /// Cursors of earlier runs that are not in the options; they hold nothing back.
    pub unused_cursors: Vec<String>,
}

/// A directory that is being opened.
struct Opening<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    now: u64,
    corrupt_left: u64,
    /// Damage was found.
    said: Flood,
    report: Recovery,
}

/// Opens a directory: what is known of it, the right to write there, and what was found.
pub(super) fn open(
    directory: &Path,
    options: &Options,
    disk: &dyn Disk,
) -> Result<(State, Io, Recovery), QueueError> {
    let failed = |error| open_error(directory, error);
    let aside = damage::directory(directory);
    disk.create_directory(directory).map_err(failed)?;
    let lock = disk.lock(directory).map_err(|holder| match holder {
        Holder::Other(holder) => QueueError::Locked { directory: directory.to_owned(), holder },
        Holder::Failed(error) => failed(error),
    })?;
    let entries = disk.list(directory).map_err(failed)?;
    // Without a place for it, damaged data is only counted.
    let kept_aside = disk.create_directory(&aside).and_then(|()| disk.list(&aside)).unwrap_or_default();
    let corrupt_left = options.corrupt_bytes.saturating_sub(kept_aside.iter().map(|entry| entry.bytes).sum());
    let now = u64::try_from(disk.now().as_millis()).unwrap_or(u64::MAX);
    let (said, report) = (Flood::default(), Recovery::default());
    let mut opening = Opening { disk, directory, now, corrupt_left, said, report };
    let (mut segments, generation) = opening.segments(&entries);
    let (mut cursors, acked) = opening.cursors(&entries, options);
    // What was acknowledged and then lost with the machine must not be given again as a sequence, or a new
    // record would pass for acknowledged.
    let end = segments.last().map_or(0, |segment| segment.end);
    let next = end.max(acked);
    // A number that is left out says that there may be a gap before the next file.
    let generation = generation.saturating_add(u32::from(next > end));
    pass_gaps(&mut segments, &cursors);
    // Even an empty file says where the log is.
    segments.retain(|segment| segment.records() > 0);
    // What was before the first segment was deleted because it was not needed.
    let first = segments.first().map_or(next, |segment| segment.id.base);
    for cursor in &mut cursors {
        cursor.done.insert(0..first);
    }
    let mut state = State::new(next, cursors, opening.corrupt_left, options.weigh);
    opening.report.records = segments.iter().map(Segment::records).sum();
    opening.report.bytes = segments.iter().map(|segment| segment.bytes).sum();
    state.counts.damaged_bytes = opening.report.damaged_bytes;
    state.segments = segments.into();
    Ok((state, Io { active: None, generation, lock: Some(lock) }, opening.report))
}

/// Where files between two others were deleted, the end of the first is not known. What every cursor is done with up
/// to the second was in the ones that were deleted, or is not needed: it is not looked for.
fn pass_gaps(segments: &mut [Segment], cursors: &[Cursor]) {
    let followers: Vec<u32> = segments.iter().skip(1).map(|segment| segment.id.generation()).collect();
    for (segment, follower) in segments.iter_mut().zip(followers) {
        let needed = cursors.iter().map(|cursor| cursor.done.start_of_run(segment.end)).max();
        if follower > segment.id.generation().saturating_add(1) && needed > Some(segment.id.base) {
            segment.end = needed.unwrap_or(segment.end);
        }
    }
}

fn open_error(directory: &Path, error: io::Error) -> QueueError {
    QueueError::Open { directory: directory.to_owned(), source: Arc::new(error) }
}

impl Opening<'_> {
    /// The segments in order, and the number of the newest file.
    fn segments(&mut self, entries: &[Entry]) -> (Vec<Segment>, u32) {
        let mut files: Vec<(SegmentId, u64)> =
            entries.iter().filter_map(|entry| Some((SegmentId::parse(&entry.name)?, entry.bytes))).collect();
        files.sort_unstable();
        let generation = files.iter().map(|(id, _)| id.generation()).max().unwrap_or(0);
        let mut segments = Vec::new();
        let mut rest = files.into_iter().peekable();
        while let Some((id, bytes)) = rest.next() {
            match rest.peek() {
                // A write to it failed before any record was accepted there; the next file took its place.
                Some((next, _)) if next.base == id.base => self.discard(&id.file_name()),
                Some((next, _)) => segments.push(self.closed_segment(id, bytes, next.base)),
                None => segments.push(self.newest_segment(id, bytes)),
            }
        }
        self.estimate_times(&mut segments);
        (segments, generation)
    }

    /// A segment that another one follows: it is read when it is delivered.
    fn closed_segment(&self, id: SegmentId, bytes: u64, end: u64) -> Segment {
        let first_time = self.first_time(id, bytes).unwrap_or(u64::MAX);
        Segment { end, bytes, times: (first_time, u64::MAX), ..Segment::new(id, Body::File, self.now) }
    }

    fn first_time(&self, id: SegmentId, bytes: u64) -> Option<u64> {
        let mut window = Window::new(self.disk.open(&self.directory.join(id.file_name())).ok()?);
        let header = window.peek(0, HEADER_BYTES as u64, bytes.min(HEADER_BYTES as u64)).ok()?;
        Header::decode(header, id.tag).map(|header| header.time)
    }

    /// Where it was not read when the last record of a segment, or even the first, was appended: no later than
    /// the first of the next segment, and not in the future.
    fn estimate_times(&self, segments: &mut [Segment]) {
        let mut next = self.now;
        for segment in segments.iter_mut().rev() {
            segment.times.1 = segment.times.1.min(next);
            segment.times.0 = segment.times.0.min(segment.times.1);
            next = segment.times.0;
        }
    }

    /// The segment that was written when the log was last used: its end is unknown, and may be torn.
    fn newest_segment(&mut self, id: SegmentId, bytes: u64) -> Segment {
        let mut segment = Segment::new(id, Body::File, self.now);
        let path = self.directory.join(id.file_name());
        let mut scanner = match self.disk.open(&path) {
            Ok(file) => Scanner::new(file, id.tag),
            Err(error) => return unread(segment, 0, bytes, &error),
        };
        let (mut intact, mut first_time) = (0, None);
        loop {
            match scanner.next(bytes, &(segment.end..SEQUENCE_LIMIT)) {
                Ok(Found::Record(header, _)) => {
                    segment.times.1 = header.time;
                    first_time.get_or_insert(header.time);
                    (segment.end, intact) = (header.sequence + 1, scanner.offset());
                }
                Ok(Found::Payload(header, offset)) => {
                    (segment.end, intact) = (header.sequence + 1, scanner.offset());
                    self.set_aside(&mut segment, offset..intact, &mut scanner);
                }
                Ok(Found::Garbage(range)) if range.end == bytes => {
                    self.cut(&mut segment, range, &mut scanner);
                    break;
                }
                Ok(Found::Garbage(range)) => self.set_aside(&mut segment, range, &mut scanner),
                Ok(Found::End) => break,
                Err(error) => return unread(segment, intact, bytes, &error),
            }
        }
        segment.times.0 = first_time.unwrap_or(segment.times.0);
        segment.bytes = intact;
        // Its records may be in memory only: the process died, not the machine. They were not promised to be on
        // the medium, so a failure breaks no promise.
        let _ = scanner.window().file().sync();
        segment
    }

    /// Cuts off what is after the last record: a write that did not finish, or a record whose header is damaged.
    fn cut(&mut self, segment: &mut Segment, range: Range<u64>, scanner: &mut Scanner) {
        let damaged = self.report.damaged_bytes;
        self.set_aside(segment, range.clone(), scanner);
        if is_rotten(scanner, &range, segment.end) {
            // At least one record was there: it is missing when it should be delivered, and counted then.
            segment.end += 1;
        } else {
            self.report.torn_bytes += range.end - range.start;
            self.report.damaged_bytes = damaged;
        }
        // If that fails the bytes stay, and are ignored.
        let _ = scanner.window().file().set_length(range.start);
    }

    fn set_aside(&mut self, segment: &mut Segment, range: Range<u64>, scanner: &mut Scanner) {
        let bytes = range.end - range.start;
        self.report.damaged_bytes += bytes;
        segment.damage.insert(range.start);
        let kept = bytes.min(self.corrupt_left);
        self.corrupt_left -= kept;
        if kept > 0 {
            let range = range.start..range.start + kept;
            let (id, said) = (segment.id, &self.said);
            damage::set_aside(self.disk, self.directory, id, range, scanner.window(), said);
        }
    }

    /// The cursors, and one past the last sequence that any cursor acknowledged.
    fn cursors(&mut self, entries: &[Entry], options: &Options) -> (Vec<Cursor>, u64) {
        for entry in entries.iter().filter(|entry| cursor_file::is_unfinished(&entry.name)) {
            self.discard(&entry.name);
        }
        let mut cursors: Vec<Cursor> =
            options.cursors.iter().map(|name| Cursor::new(name.clone(), Sequences::default())).collect();
        let mut acked = 0;
        for entry in entries {
            let Some(name) = cursor_file::cursor_of(&entry.name) else { continue };
            let done = self.cursor_file(&name, entry);
            acked = acked.max(done.as_ref().map_or(0, Sequences::end));
            match (cursors.iter_mut().find(|cursor| cursor.name == name), done) {
                (None, _) => self.report.unused_cursors.push(name),
                (Some(_), None) => self.report.reset_cursors.push(name),
                (Some(cursor), Some(done)) => *cursor = Cursor::new(name, done),
            }
        }
        (cursors, acked)
    }

    fn cursor_file(&self, name: &str, entry: &Entry) -> Option<Sequences> {
        match cursor_file::read(self.disk, self.directory, name, entry.bytes) {
            Ok(Some(done)) => return Some(done),
            Ok(None) => tracing::warn!(cursor = name, "the file of a cursor is damaged"),
            Err(error) => tracing::warn!(cursor = name, %error, "the file of a cursor cannot be read"),
        }
        let aside = damage::directory(self.directory).join(&entry.name);
        // The next file of the cursor replaces it in any case.
        let _ = self.disk.rename(&self.directory.join(&entry.name), &aside);
        None
    }

    /// Deletes a file that has no meaning; if that fails, it is ignored again at the next start.
    fn discard(&self, file_name: &str) {
        let _ = self.disk.remove(&self.directory.join(file_name));
    }
}

/// Whether the end of a segment begins with the whole header of the record `sequence`, damaged. An unfinished write
/// ends in a header or begins with a good one.
fn is_rotten(scanner: &mut Scanner, range: &Range<u64>, sequence: u64) -> bool {
    let (length, tag) = (HEADER_BYTES as u64, scanner.tag());
    let Ok(bytes) = scanner.window().peek(range.start, length, range.end) else { return false };
    let Some(header) = bytes.get(..HEADER_BYTES) else { return false };
    // Zeros, of which a power loss can leave any number, are no sequence.
    let numbered = sequence > 0 && header.get(8..16) == Some(&sequence.to_le_bytes());
    Header::decode(header, tag).is_none() && (numbered || header.starts_with(&MAGIC))
}

/// A segment of which the medium gives only `intact` bytes now. It may have as many records more as fit in the
/// rest: none of their sequences is given again.
fn unread(mut segment: Segment, intact: u64, bytes: u64, error: &io::Error) -> Segment {
    tracing::warn!(%error, segment = segment.id.file_name(), "the newest segment of the queue cannot be read");
    segment.end += (bytes - intact) / HEADER_BYTES as u64;
    segment.bytes = bytes;
    segment
}
