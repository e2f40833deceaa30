//! A request under delivery: in memory until the exporter has taken it, and from then on in the log alone.

use std::sync::Arc;

use super::record::{RecordError, StoredRequest};
use super::shared::Shared;
use super::window::Slot;
use crate::queue::{Origin, Position, QueueError, Record};

/// A request of the log.
pub(super) struct Parcel {
    /// What to acknowledge.
    pub(super) position: Position,
    /// The number of spans.
    pub(super) spans: usize,
    /// Bytes of the spans.
    pub(super) bytes: usize,
    origin: Origin,
    /// What is in memory.
    read: Option<StoredRequest>,
    slot: Slot,
}

impl Parcel {
    /// A record that was just read.
    ///
    /// # Errors
    ///
    /// As [`StoredRequest::parse`].
    pub(super) fn new(record: &Record, slot: Slot) -> Result<Self, RecordError> {
        let read = StoredRequest::parse(record.payload.clone())?;
        let (spans, bytes) = (read.spans, read.body.len());
        let origin = record.origin.clone();
        Ok(Self { position: record.position, spans, bytes, origin, read: Some(read), slot })
    }

    /// The request, which is read again from the log if it was asked for before.
    ///
    /// # Errors
    ///
    /// The log cannot give it now, or it is [damaged](QueueError::Damaged).
    pub(super) async fn request(&mut self, shared: &Arc<Shared>) -> Result<StoredRequest, QueueError> {
        if let Some(read) = self.read.take() {
            return Ok(read);
        }
        let (shared, origin) = (Arc::clone(shared), self.origin.clone());
        let reading = tokio::task::spawn_blocking(move || shared.log.read_again(&origin));
        // The runtime ends.
        let payload = reading.await.map_err(|_| QueueError::Closed)??;
        // Never so: it has the checksum of what was parsed before.
        StoredRequest::parse(payload).map_err(|_| QueueError::Closed)
    }

    /// Takes note that the exporter has it.
    pub(super) fn taken(&mut self) {
        self.slot.taken();
    }
}
