//! Looking after files: cursors are persisted, segments that nobody needs are deleted.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::QueueError;
use super::commit::forget_gone;
use super::cursor_file;
use super::options::WEIGHED_BYTES;
use super::scan::Scanner;
use super::shared::Shared;
use super::state::Grave;

/// A day: no sum of times overflows.
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// Shows whether the medium takes anything.
const PROBE_FILE: &str = "probe";

/// About as much as a request of a batching sender.
const PROBE_BYTES: usize = 64 << 10;

impl Shared {
    /// Looks after files, when asked to and at intervals, until the log is closed. Apart from the writer, because
    /// an append should not wait for it.
    pub(super) fn keep(&self, directory: &Path) {
        while self.wait_for_upkeep() {
            // A failure is logged where it happens, and what failed is tried again.
            let _ = self.upkeep(directory);
        }
    }

    /// Waits until upkeep is due; `false` if the log is closed instead.
    fn wait_for_upkeep(&self) -> bool {
        let until = Instant::now() + self.options.upkeep_interval.min(LONGEST_INTERVAL);
        let mut state = self.state();
        while !state.closing {
            let left = until.saturating_duration_since(Instant::now());
            if std::mem::take(&mut state.upkeep_asked) || left.is_zero() {
                return true;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Persists the cursors that changed, gives up what is too old, and deletes what every cursor is done with.
    pub(super) fn upkeep(&self, directory: &Path) -> Result<(), QueueError> {
        let _alone = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let persisted = self.persist_cursors(directory);
        // Even if that failed: on a full disk only deleting makes room for the cursors. What is deleted in front is
        // not delivered again, and a cursor whose file is behind goes on with the first record that is left.
        self.release();
        self.bury(directory);
        persisted
    }

    /// Lets go of the segments that are too old, and of those that every cursor is done with.
    pub(super) fn release(&self) {
        // A segment must not go while it is written.
        let mut io = self.io();
        let oldest = self.oldest_allowed();
        let mut state = self.state();
        if let Some(oldest) = oldest {
            state.expire(oldest);
        }
        // The newest is worth a new file only if it has some size, or its room is needed.
        let crowded = state.stored_bytes() + state.pending_bytes > self.options.max_bytes / 2;
        let newest = if crowded || state.medium_full { 1 } else { self.options.segment_limit() / 4 };
        let released = state.release_done(newest);
        // An open file keeps its room, though it is deleted.
        forget_gone(&mut io, &state);
        drop(state);
        if released {
            // Readers close the files that are gone.
            self.readable.notify();
        }
    }

    fn persist_cursors(&self, directory: &Path) -> Result<(), QueueError> {
        let mut outcome = Ok(());
        let mut cursors = Vec::new();
        for (at, cursor) in self.state().cursors.iter_mut().enumerate() {
            if std::mem::take(&mut cursor.dirty) {
                cursors.push((at, cursor.name.clone(), cursor.done.clone()));
            }
        }
        for (at, name, done) in cursors {
            let content = cursor_file::encode(&name, &done);
            let replaced = cursor_file::replace(self.disk.as_ref(), directory, &name, &content);
            let mut state = self.state();
            let Some(cursor) = state.cursors.get_mut(at) else { continue };
            let Err(error) = replaced else {
                cursor.persisted = done;
                continue;
            };
            cursor.dirty = true;
            drop(state);
            if let Some(times) = self.floods.persist.due(1) {
                tracing::warn!(%error, cursor = name, times, "the queue could not persist a cursor");
            }
            outcome = Err(QueueError::Persist { cursor: name, source: Arc::new(error) });
        }
        outcome
    }

    /// Writes something and deletes it again.
    pub(super) fn probe(&self, directory: &Path) -> Result<(), QueueError> {
        let path = directory.join(PROBE_FILE);
        // One may be left of a process that was killed.
        let _ = self.disk.remove(&path);
        let written = self.disk.create(&path).and_then(|mut file| {
            file.append(&[0; PROBE_BYTES])?;
            file.sync()
        });
        let _ = self.disk.remove(&path);
        written.map_err(|error| QueueError::of_write(error, self.options.retry_after))
    }

    /// Deletes the files of segments that were let go; those that cannot be deleted are tried again.
    pub(super) fn bury(&self, directory: &Path) {
        self.delete(directory, false);
    }

    /// As [`Self::bury`]; and cuts the files before: a reader may have one open, and its room is needed now.
    pub(super) fn bury_at_once(&self, directory: &Path) {
        self.delete(directory, true);
    }

    fn delete(&self, directory: &Path, cut: bool) {
        let mut kept = Vec::new();
        loop {
            // One at a time: who needs room meanwhile finds the others.
            let next = self.state().next_grave();
            let Some(mut grave) = next else { break };
            let path = directory.join(grave.id.file_name());
            if let Err(error) = self.weigh(&path, &mut grave)
                && let Some(times) = self.floods.weigh.due(1)
            {
                let segment = grave.id.file_name();
                tracing::warn!(%error, segment, times, "how much is lost with a segment of the queue is not known");
            }
            if cut {
                // If that fails, the room is free once the reader goes on.
                let _ = self.disk.open(&path).and_then(|mut file| file.set_length(0));
            }
            match self.disk.remove(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    if let Some(times) = self.floods.delete.due(1) {
                        let segment = grave.id.file_name();
                        tracing::warn!(%error, segment, times, "the queue could not delete a segment");
                    }
                    kept.push(grave);
                }
            }
        }
        self.state().graveyard.extend(kept);
    }

    /// Finds out, once, what weighs that is lost with a file.
    fn weigh(&self, path: &Path, grave: &mut Grave) -> io::Result<()> {
        let unread = std::mem::take(&mut grave.unread);
        let Some(end) = unread.iter().map(|lost| lost.range.end).max() else { return Ok(()) };
        let mut scanner = Scanner::new(self.disk.open(path)?, grave.id.tag);
        let mut weights = Vec::new();
        let read = loop {
            match scanner.next_head(grave.bytes, end, WEIGHED_BYTES) {
                Ok(Some((header, head))) => {
                    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
                    weights.push((header.sequence, (self.options.weigh)(head, length)));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // What comes before the place that cannot be read is known all the same.
        self.state().count_weights(&unread, &weights);
        read
    }
}
