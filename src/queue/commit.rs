//! The writer: one write and one sync for all records that came in during the one before.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;

use super::QueueError;
use super::active::Active;
use super::error::is_full;
use super::options::{Durability, WhenFull};
use super::segment::SegmentId;
use super::shared::{Io, Shared};
use super::state::{Grave, Pending, State};

/// The name of the thread that writes.
pub(super) const WRITER: &str = "queue-writer";

impl Shared {
    /// Writes what is appended until the log is closed.
    pub(super) fn run(&self, directory: &Path) {
        // After a failure, what was accepted into memory is tried again later, not at once.
        let mut resting = false;
        loop {
            let closing = self.wait_for_records(resting);
            resting = !self.write_some(directory);
            if closing && (resting || self.state().pending.is_empty()) {
                return self.give_up_pending();
            }
        }
    }

    /// Waits until there is something to write, after a rest if told to, or the log is closed; says whether it is.
    fn wait_for_records(&self, resting: bool) -> bool {
        let since = Instant::now();
        let mut state = self.state();
        while !state.closing {
            let left = self.options.retry_after.saturating_sub(since.elapsed());
            state = if resting && !left.is_zero() {
                self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            } else if state.pending.is_empty() {
                self.work.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                return false;
            };
        }
        true
    }

    /// Writes as many waiting records as fit in one segment. Says whether it can go on.
    fn write_some(&self, directory: &Path) -> bool {
        let mut io = self.io();
        let batch = self.take_batch(&mut io);
        if batch.is_empty() {
            return true;
        }
        match self.store(&mut io, directory, &batch) {
            Ok(()) => {
                drop(io);
                self.state().medium_full = false;
                for answer in batch.into_iter().filter_map(|record| record.answer) {
                    answer.give(Ok(()));
                }
                self.readable.notify();
                true
            }
            Err(error) => {
                drop(io);
                self.refuse(batch, error)
            }
        }
    }

    /// Takes what fits in the segment that is written, or else in a new one; at least one record.
    fn take_batch(&self, io: &mut Io) -> Vec<Pending> {
        let mut state = self.state();
        forget_gone(io, &state);
        let limit = self.options.segment_limit();
        if let (Some(active), Some(record)) = (&io.active, state.pending.front())
            && active.bytes() > 0
            && active.bytes() + record.bytes() > limit
        {
            io.active = None;
        }
        let mut bytes = io.active.as_ref().map_or(0, Active::bytes);
        let mut batch = Vec::new();
        while let Some(record) = state.pending.front() {
            bytes += record.bytes();
            if !batch.is_empty() && bytes > limit {
                break;
            }
            batch.extend(state.pending.pop_front());
        }
        state.unanswered = weigh_unanswered(&batch, &state);
        if self.options.when_full == WhenFull::DropOldest {
            let needed = batch.iter().map(Pending::bytes).sum();
            state.make_room(needed, self.options.max_bytes);
            forget_gone(io, &state);
        }
        batch
    }

    /// Stores a batch, in a new file if the present one fails: of a file whose sync failed nobody knows what it
    /// has, and a second sync that succeeds says nothing about it.
    fn store(&self, io: &mut Io, directory: &Path, batch: &[Pending]) -> io::Result<()> {
        self.bury(directory);
        let mut again = true;
        loop {
            let Err(error) = self.store_once(io, directory, batch) else { return Ok(()) };
            let full = is_full(&error);
            let mut state = self.state();
            state.counts.write_errors += 1;
            state.medium_full = full;
            if full {
                // Even a little that is delivered already is room.
                state.upkeep_asked = true;
                if self.options.when_full == WhenFull::Refuse || !state.drop_oldest() {
                    return Err(error);
                }
                forget_gone(io, &state);
                drop(state);
                self.bury_at_once(directory);
            } else if !std::mem::take(&mut again) {
                return Err(error);
            }
        }
    }

    fn store_once(&self, io: &mut Io, directory: &Path, batch: &[Pending]) -> io::Result<()> {
        let first = self.state().next;
        let sync = self.options.durability == Durability::Fsynced;
        let mut active = match io.active.take() {
            Some(active) => active,
            None => self.create_segment(io, directory, first, sync)?,
        };
        match active.write(batch, first, sync) {
            Ok(()) => {
                active.grow(batch.iter().map(Pending::bytes).sum());
                self.state().publish(active.id, batch, self.now());
                io.active = Some(active);
                Ok(())
            }
            Err(error) => {
                let cut = active.cut();
                if cut && is_full(&error) {
                    io.active = Some(active);
                } else if active.bytes() == 0 {
                    self.state().graveyard.push(Grave::of(active.id));
                }
                Err(error)
            }
        }
    }

    fn create_segment(&self, io: &mut Io, directory: &Path, base: u64, sync: bool) -> io::Result<Active> {
        io.generation = io.generation.saturating_add(1);
        let id = SegmentId::new(base, io.generation);
        let active = Active::new(id, self.disk.create(&directory.join(id.file_name()))?);
        if sync && let Err(error) = self.disk.sync_directory(directory) {
            self.state().graveyard.push(Grave::of(id));
            return Err(error);
        }
        Ok(active)
    }

    /// Tells those who wait that their records were not stored; keeps the records for which nobody waits. Says
    /// whether none were kept.
    pub(super) fn refuse(&self, batch: Vec<Pending>, error: io::Error) -> bool {
        // On a full disk it has something to do.
        self.work.notify_all();
        if let Some(records) = self.floods.write.due(batch.len() as u64) {
            tracing::warn!(%error, records, "the queue could not write");
        }
        let error = QueueError::of_write(error, self.options.retry_after);
        let (refused, kept): (Vec<_>, Vec<_>) = batch.into_iter().partition(|record| record.answer.is_some());
        let none_kept = kept.is_empty();
        let mut state = self.state();
        state.unanswered = (0, 0);
        state.counts.refused_records += refused.len() as u64;
        state.pending_bytes = state.pending_bytes.saturating_sub(refused.iter().map(Pending::bytes).sum());
        for record in kept.into_iter().rev() {
            state.pending.push_front(record);
        }
        drop(state);
        for answer in refused.into_iter().filter_map(|record| record.answer) {
            answer.give(Err(error.clone()));
        }
        none_kept
    }

    /// At the end: counts what was accepted into memory and could not be written.
    fn give_up_pending(&self) {
        let mut state = self.state();
        let pending = std::mem::take(&mut state.pending);
        state.pending_bytes = 0;
        let (waiting, being_written) =
            (weigh_unanswered(&pending, &state), std::mem::take(&mut state.unanswered));
        let unwritten = waiting.0 + being_written.0;
        state.counts.unwritten_records += unwritten;
        state.counts.unwritten_weight += waiting.1 + being_written.1;
        let died = state.died;
        drop(state);
        if unwritten > 0 {
            tracing::error!(records = unwritten, "the queue ended before these records could be written");
        }
        let retry_after = self.options.retry_after;
        for answer in pending.into_iter().filter_map(|record| record.answer) {
            let error = died.map_or(QueueError::Closed, |thread| QueueError::Died { thread, retry_after });
            answer.give(Err(error));
        }
    }

    /// Takes note that a thread of the log panicked: nothing is taken any more, and nobody waits for it.
    pub(super) fn die(&self, thread: &'static str) {
        tracing::error!(thread, "a thread of the queue panicked; the queue takes nothing any more");
        self.state().died.get_or_insert(thread);
        if thread == WRITER {
            self.give_up_pending();
        }
    }
}

/// How many of these records nobody waits for, and what they weigh.
fn weigh_unanswered<'a>(records: impl IntoIterator<Item = &'a Pending>, state: &State) -> (u64, u64) {
    let unanswered = records.into_iter().filter(|record| record.answer.is_none());
    unanswered.fold((0, 0), |(count, weight), record| (count + 1, weight + state.weight(&record.payload)))
}

/// The segment that was written was dropped or released: its file is not written any more.
pub(super) fn forget_gone(io: &mut Io, state: &State) {
    let newest = state.segments.back().map(|segment| segment.id);
    io.active.take_if(|active| active.bytes() > 0 && newest != Some(active.id));
}
