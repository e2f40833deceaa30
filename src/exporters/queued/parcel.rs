//! A request under delivery: in memory until the exporter has taken it, and from then on in the log alone.

use std::sync::Arc;

use tokio::time::Instant;

use super::dead_letter::UNREADABLE;
use super::explain;
use super::record::StoredRequest;
use super::shared::Shared;
use super::window::Slot;
use crate::queue::{Origin, Position, QueueError};

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
    /// Since when it cannot be read.
    failing: Option<Instant>,
    slot: Slot,
}

/// Why a request cannot be had from the log.
pub(super) enum Unread {
    /// It may be read later.
    Later(String),
    /// It is lost.
    Lost {
        /// Why, in one of a few fixed words.
        kind: &'static str,
        /// Why, for a person.
        reason: String,
    },
}

impl Parcel {
    /// A record that was just read.
    pub(super) fn new(position: Position, origin: Origin, read: StoredRequest, slot: Slot) -> Self {
        let (spans, bytes) = (read.spans, read.body.len());
        Self { position, spans, bytes, origin, read: Some(read), failing: None, slot }
    }

    /// The request, which is read again from the log if it was asked for before.
    pub(super) async fn request(&mut self, shared: &Arc<Shared>) -> Result<StoredRequest, Unread> {
        if let Some(read) = self.read.take() {
            return Ok(read);
        }
        let (reader, origin) = (Arc::clone(shared), self.origin.clone());
        let reading = tokio::task::spawn_blocking(move || reader.log.read_again(&origin));
        // Without an answer the runtime ends.
        let payload = reading.await.unwrap_or(Err(QueueError::Closed));
        let payload = payload.map_err(|error| self.unread(shared, &error))?;
        self.failing = None;
        let lost = |reason| Unread::Lost { kind: UNREADABLE, reason };
        StoredRequest::parse(payload).map_err(|error| lost(error.to_string()))
    }

    fn unread(&mut self, shared: &Shared, error: &QueueError) -> Unread {
        let reason = explain(error);
        let since = *self.failing.get_or_insert_with(Instant::now);
        let over = since.elapsed() >= shared.log.read_patience() && !error.is_the_machines();
        match error {
            QueueError::Gone { .. } => Unread::Lost { kind: "gone", reason },
            QueueError::Damaged { .. } => Unread::Lost { kind: "damaged", reason },
            _ if over => Unread::Lost { kind: "damaged", reason },
            _ => Unread::Later(reason),
        }
    }

    /// Takes note that the exporter has it.
    pub(super) fn taken(&mut self) {
        self.slot.taken();
    }
}
