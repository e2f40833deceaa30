//! Reading the log in order, and acknowledging in any.

use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::QueueError;
use super::damage;
use super::error::is_the_machines;
use super::event::Changed;
use super::origin::Origin;
use super::place::Place;
use super::scan::{Found, Scanner};
use super::segment::SegmentId;
use super::shared::Shared;

/// The place of a record in the log. Later records have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The number of the record, counted from 0 since the log was made.
    pub fn sequence(self) -> u64 {
        self.0
    }
}

/// A record on its way to an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What to acknowledge.
    pub position: Position,
    /// When it was appended, as time since the Unix epoch.
    pub appended: Duration,
    /// What was appended.
    pub payload: Bytes,
    /// Where it can be read again.
    pub origin: Origin,
}

/// Reads the records of a cursor in order.
///
/// What it handed out and was not acknowledged is handed out again by the next reader of the cursor: dropping a
/// reader and making another one starts over.
pub struct Reader {
    shared: Arc<Shared>,
    cursor: usize,
    name: String,
    /// The first sequence that it did not look at.
    next: u64,
    open: Option<(SegmentId, Scanner)>,
    /// Since when the medium fails at the present place.
    failing: Option<Duration>,
    /// Whether it told the log of a trouble.
    troubled: bool,
    /// How often there was something new when it last looked.
    seen: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("name", &self.name)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(shared: &Arc<Shared>, name: &str) -> Result<Self, QueueError> {
        let name = name.to_owned();
        let mut state = shared.state();
        let Some(cursor) = state.cursors.iter().position(|cursor| cursor.name == name) else {
            return Err(QueueError::UnknownCursor { name });
        };
        if let Some(cursor) = state.cursors.get_mut(cursor)
            && std::mem::replace(&mut cursor.reading, true)
        {
            return Err(QueueError::CursorInUse { name });
        }
        if let Some(cursor) = state.cursors.get_mut(cursor) {
            cursor.count_taken(0..u64::MAX);
        }
        drop(state);
        let shared = Arc::clone(shared);
        Ok(Self { shared, cursor, name, next: 0, open: None, failing: None, troubled: false, seen: 0 })
    }

    /// The next record; `None` if there is none now, or as many are outstanding as may be. Reads from a file, so
    /// it may block.
    ///
    /// # Errors
    ///
    /// If the medium fails to give the record (a later call tries again, and after `read_patience` passes over
    /// it); [`QueueError::Closed`] if there is none and the log is closed.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end at the first pause")]
    pub fn next(&mut self) -> Result<Option<Record>, QueueError> {
        self.seen = self.shared.readable.count();
        loop {
            let place = self.shared.state().place(self.cursor, self.next, self.shared.options.outstanding);
            let record = match place {
                Place::Nothing => return self.nothing(),
                Place::Missing(range) => {
                    self.lose(None, range);
                    None
                }
                Place::Memory { sequence, time, payload } => {
                    self.hand_out(sequence, time, payload.clone(), Origin::memory(payload))
                }
                Place::File { id, limit, wanted } => self.read(id, limit, wanted)?,
            };
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    /// Resolves when [`Self::next`] may give something that it did not give when it was last called.
    pub fn changed(&self) -> Changed<'_> {
        self.shared.readable.changed(self.seen)
    }

    /// What acknowledges the records of this cursor, from anywhere.
    pub fn acker(&self) -> Acker {
        Acker { shared: Arc::clone(&self.shared), cursor: self.cursor }
    }

    fn nothing(&mut self) -> Result<Option<Record>, QueueError> {
        let state = self.shared.state();
        // A file that is deleted while it is open keeps its room.
        self.open.take_if(|(id, _)| !state.has(*id));
        if state.closing && self.next >= state.next { Err(QueueError::Closed) } else { Ok(None) }
    }

    /// Gives out a record, unless it needs no delivery.
    fn hand_out(&mut self, sequence: u64, time: u64, payload: Bytes, origin: Origin) -> Option<Record> {
        self.next = sequence + 1;
        let oldest = self.shared.oldest_allowed();
        let mut state = self.shared.state();
        if oldest.is_some_and(|oldest| time < oldest) {
            state.expire_record(self.cursor, sequence, &payload);
            return None;
        }
        state.hand_out(self.cursor, sequence, time, &payload).then(|| Record {
            position: Position(sequence),
            appended: Duration::from_millis(time),
            payload,
            origin,
        })
    }

    /// Reads on in a file. `None` if that gave no record to deliver.
    fn read(&mut self, id: SegmentId, limit: u64, wanted: Range<u64>) -> Result<Option<Record>, QueueError> {
        let scanner = match self.scanner(id) {
            Ok(scanner) => scanner,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.lose(Some(id), wanted);
                return Ok(None);
            }
            Err(error) if is_the_machines(&error) => return Err(self.trouble(id, error)),
            Err(error) => {
                self.failed(id, error)?;
                self.well();
                self.lose(Some(id), wanted);
                return Ok(None);
            }
        };
        let found = match scanner.next(limit, &wanted) {
            Ok(found) => found,
            Err(error) => return self.failed(id, error).map(|()| None),
        };
        scanner.window().tolerant = false;
        let end = scanner.offset();
        self.well();
        match found {
            Found::Record(header, payload) => {
                self.lose(Some(id), wanted.start..header.sequence);
                return Ok(self.hand_out(
                    header.sequence,
                    header.time,
                    payload,
                    Origin::file(id, end, header),
                ));
            }
            Found::Payload(header, offset) => {
                self.damaged(id, offset..offset + header.record_bytes());
                self.lose(Some(id), wanted.start..header.sequence + 1);
            }
            Found::Garbage(range) => self.damaged(id, range),
            Found::End => self.lose(Some(id), wanted),
        }
        Ok(None)
    }

    /// The file of a segment, at the place where it was left.
    fn scanner(&mut self, id: SegmentId) -> io::Result<&mut Scanner> {
        let open = match self.open.take() {
            Some(open) if open.0 == id => open,
            _ => (id, Scanner::new(self.shared.open_segment(id)?, id.tag)),
        };
        Ok(&mut self.open.insert(open).1)
    }

    /// The medium did not give what is at this place: for some time that is an error, then it is damage.
    fn failed(&mut self, id: SegmentId, error: io::Error) -> Result<(), QueueError> {
        let now = self.shared.disk.now();
        let since = *self.failing.get_or_insert(now);
        if now.saturating_sub(since) < self.shared.options.read_patience {
            return Err(self.trouble(id, error));
        }
        if let Some((_, scanner)) = &mut self.open {
            scanner.window().tolerant = true;
        }
        Ok(())
    }

    /// What to tell of a failed read, and to [`Log::trouble`](super::Log::trouble).
    fn trouble(&mut self, id: SegmentId, error: io::Error) -> QueueError {
        self.troubled = true;
        let text = format!("the disk of the queue failed to give a record of {}: {error}", id.file_name());
        if let Some(cursor) = self.shared.state().cursors.get_mut(self.cursor) {
            cursor.trouble = Some(text);
        }
        QueueError::Read { segment: id.file_name(), source: Arc::new(error) }
    }

    /// The present place was read, or passed over.
    fn well(&mut self) {
        self.failing = None;
        if std::mem::take(&mut self.troubled)
            && let Some(cursor) = self.shared.state().cursors.get_mut(self.cursor)
        {
            cursor.trouble = None;
        }
    }

    fn damaged(&mut self, id: SegmentId, range: Range<u64>) {
        let kept = self.shared.state().damaged(id, range.clone());
        if let (Some(directory), Some((_, scanner))) = (&self.shared.directory, &mut self.open)
            && kept > 0
        {
            let range = range.start..range.start + kept;
            let (disk, said) = (self.shared.disk.as_ref(), &self.shared.floods.damage);
            damage::set_aside(disk, directory, id, range, scanner.window(), said);
        }
    }

    /// Passes over sequences that are not there.
    fn lose(&mut self, id: Option<SegmentId>, range: Range<u64>) {
        self.next = self.next.max(range.end);
        if !range.is_empty() {
            self.shared.state().lose(self.cursor, id, range);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(cursor) = self.shared.state().cursors.get_mut(self.cursor) {
            cursor.reading = false;
            cursor.trouble = None;
            cursor.outstanding.clear();
        }
    }
}

/// Acknowledges records of one cursor: they need no delivery to it any more.
///
/// Persisted with the next upkeep; until then a crash has them delivered again. Works as long as the log is open.
#[derive(Clone)]
pub struct Acker {
    shared: Arc<Shared>,
    cursor: usize,
}

impl std::fmt::Debug for Acker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acker").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Acker {
    /// Acknowledges a record.
    pub fn ack(&self, position: Position) {
        self.ack_range(position..=position);
    }

    /// Acknowledges all records from one to another.
    pub fn ack_range(&self, positions: RangeInclusive<Position>) {
        let range = positions.start().0..positions.end().0 + 1;
        let (readable, deletable) =
            self.shared.state().ack(self.cursor, range, self.shared.options.outstanding);
        if readable {
            self.shared.readable.notify();
        }
        if deletable {
            self.shared.ask_for_upkeep();
        }
    }

    /// Whether a record that the reader gave should be delivered. `false` once a limit took it, by room or by age, or
    /// it was acknowledged: its delivery should end, without an acknowledgement. Only with this answer, or when the
    /// log is closed, is it counted as lost; one that is acknowledged all the same is counted as that alone.
    pub fn is_wanted(&self, position: Position) -> bool {
        let oldest = self.shared.oldest_allowed();
        let mut state = self.shared.state();
        let wanted = state.is_wanted(self.cursor, position.0, oldest);
        let deletable = !wanted && state.is_deletable(position.0);
        drop(state);
        if !wanted {
            self.shared.readable.notify();
        }
        if deletable {
            self.shared.ask_for_upkeep();
        }
        wanted
    }
}
